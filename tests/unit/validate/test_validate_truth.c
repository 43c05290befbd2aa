/* SPDX-License-Identifier: MIT
 *
 * Tables of measured runs: every column, every unit, every way to be wrong.
 */
#include "support/test.h"

#include <string.h>

#include "base/memory.h"
#include "validate_truth.h"

#define HEADER "case,input,options,metric,measured,unit,source\n"
#define RANGES "case,input,options,metric,measured,measured_high,unit,source,used_for_calibration\n"

static ps_code read(const char *text, ps_truth *out, ps_error *err)
{
    return ps_truth_read_memory("t.csv", text, strlen(text), out, err);
}

/* Reads one row behind HEADER and gives its figure. */
static uint64_t figure(const char *row)
{
    ps_error err = {0};
    ps_truth truth;
    char text[512];
    (void)snprintf(text, sizeof text, "%s%s\n", HEADER, row);
    assert_ok(&err, read(text, &truth, &err));
    assert_int_equal(truth.row_count, 1);
    const uint64_t measured = truth.row[0].measured;
    assert_true(truth.row[0].measured_high == measured);
    ps_truth_fini(&truth);
    return measured;
}

/* The text is refused with a message that contains `part`. */
static void refused(const char *text, const char *part)
{
    ps_error err = {0};
    ps_truth truth;
    char message[1024];
    assert_int_equal(read(text, &truth, &err), PS_BAD_INPUT);
    assert_int_equal(err.code, PS_BAD_INPUT);
    ps_error_format(&err, message, sizeof message);
    if (strstr(message, part) == NULL) {
        fail_msg("\"%s\" is not in: %s", part, message);
    }
}

static void figures_are_kept_in_base_units(void **state)
{
    (void)state;
    assert_true(figure("a,i,,peak_allocated_bytes,4096,,s") == 4096);
    assert_true(figure("a,i,,peak_reserved_bytes,4096,bytes,s") == 4096);
    assert_true(figure("a,i,,peak_device_bytes,1.5,KiB,s") == 1536);
    assert_true(figure("a,i,,peak_device_bytes,2,GB,s") == 2000000000);
    assert_true(figure("a,i,,step_time_ms,12.5,,s") == 12500000);
    assert_true(figure("a,i,,step_time_ms,12.5,ms,s") == 12500000);
    assert_true(figure("a,i,,step_time_ms,2,s,s") == 2000000000);
    assert_true(figure("a,i,,fits,yes,,s") == 1);
    assert_true(figure("a,i,,fits,true,,s") == 1);
    assert_true(figure("a,i,,fits,1,,s") == 1);
    assert_true(figure("a,i,,fits,no,,s") == 0);
    assert_true(figure("a,i,,fits,false,,s") == 0);
    assert_true(figure("a,i,,fits,0,,s") == 0);
}

static void columns_may_stand_in_any_order_and_others_are_kept(void **state)
{
    (void)state;
    ps_error err = {0};
    ps_truth truth;
    assert_ok(&err,
              read("gpu,unit,measured,source,metric,options,input,case\n"
                   "# a comment\n"
                   "\"big, old\",MiB,3,paper,peak_device_bytes,\"--gpu \"\"a b\"\"\",x.json,one\n",
                   &truth, &err));
    assert_string_equal(ps_strings_text(truth.strings, truth.row[0].name), "one");
    assert_string_equal(ps_strings_text(truth.strings, truth.row[0].input), "x.json");
    assert_string_equal(ps_strings_text(truth.strings, truth.row[0].options), "--gpu \"a b\"");
    assert_int_equal(truth.row[0].line, 3);
    assert_int_equal(truth.row[0].measured, 3145728);
    assert_int_equal(ps_truth_column(&truth, "gpu"), 0);
    assert_int_equal(ps_truth_column(&truth, "cpu"), truth.column_count);
    assert_string_equal(ps_truth_cell(&truth, 0, 0), "big, old");
    assert_false(ps_truth_column_is_known(&truth, 0));
    assert_true(ps_truth_column_is_known(&truth, ps_truth_column(&truth, "unit")));
    assert_false(ps_truth_column_is_known(&truth, ps_truth_column(&truth, "source")));
    ps_truth_fini(&truth);
}

static void ranges_and_calibration_are_optional(void **state)
{
    (void)state;
    ps_error err = {0};
    ps_truth truth;
    assert_ok(&err, read(RANGES "a,i,,step_time_ms,10,12,ms,s,1\n"
                                "a,i,,step_time_ms,10,,ms,s,\n"
                                "a,i,,step_time_ms,10,10,ms,s,0\n",
                         &truth, &err));
    assert_int_equal(truth.row[0].measured_high, 12000000);
    assert_true(truth.row[0].is_calibration);
    assert_int_equal(truth.row[1].measured_high, 10000000);
    assert_false(truth.row[1].is_calibration);
    assert_int_equal(truth.row[2].measured_high, 10000000);
    assert_false(truth.row[2].is_calibration);
    ps_truth_fini(&truth);
}

static void a_wrong_table_is_refused_with_its_line(void **state)
{
    (void)state;
    refused("", "no rows");
    refused(HEADER, "no rows");
    refused("case,input\n", "t.csv:1: the column options is missing");
    refused("case,case,input,options,metric,measured,unit,source\n", "two columns \"case\"");
    refused(HEADER "a,i,,fits,yes,\n", "t.csv:2: 6 fields");
    refused(HEADER "a,i,,fits,yes,,s\n,i,,fits,yes,,s\n", "t.csv:3: a row needs a case");
    refused(HEADER "a,,,fits,yes,,s\n", "a row needs a case and an input");
    refused(HEADER "a,i,,peak,3,,s\n", "metric \"peak\" is unknown");
    refused(HEADER "a,i,,fits,maybe,,s\n", "\"maybe\" is no verdict");
    refused(HEADER "a,i,,fits,1,MiB,s\n", "fits has no unit");
    refused(HEADER "a,i,,peak_device_bytes,,MiB,s\n", "t.csv:2: measured");
    refused(HEADER "a,i,,peak_device_bytes,0,MiB,s\n", "t.csv:2: measured");
    refused(HEADER "a,i,,peak_device_bytes,-3,MiB,s\n", "t.csv:2: measured");
    refused(HEADER "a,i,,peak_device_bytes,3,ms,s\n", "t.csv:2: measured");
    refused(HEADER "a,i,,step_time_ms,3,MiB,s\n", "t.csv:2: measured");
    refused(RANGES "a,i,,step_time_ms,10,9,ms,s,\n", "measured_high is less than measured");
    refused(RANGES "a,i,,step_time_ms,10,x,ms,s,\n", "t.csv:2: measured_high");
    refused(RANGES "a,i,,fits,yes,yes,,s,\n", "no range");
    refused(RANGES "a,i,,step_time_ms,10,,ms,s,2\n", "used_for_calibration is \"2\"");
    refused(HEADER "a,i,,peak_device_bytes,"
                   "1111111111111111111111111111111111111111111111111111111111111111,MiB,s\n",
            "is no figure");
}

static void running_out_of_memory_leaks_nothing(void **state)
{
    (void)state;
    bool is_done = false;
    for (unsigned long n = 1; !is_done; n++) {
        ps_error err = {0};
        ps_truth truth;
        ps_memory_fail_nth(n);
        const ps_code code = read(HEADER "a,i,,fits,yes,,s\n", &truth, &err);
        ps_memory_fail_nth(0);
        is_done = code == PS_OK;
        assert_true(is_done || code == PS_NOMEM);
        if (is_done) {
            assert_true(n > 5); /* it did allocate */
            ps_truth_fini(&truth);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(figures_are_kept_in_base_units),
        cmocka_unit_test(columns_may_stand_in_any_order_and_others_are_kept),
        cmocka_unit_test(ranges_and_calibration_are_optional),
        cmocka_unit_test(a_wrong_table_is_refused_with_its_line),
        cmocka_unit_test(running_out_of_memory_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
