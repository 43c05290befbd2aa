/* SPDX-License-Identifier: MIT
 *
 * Containers and arithmetic of formats/base.
 */
#include "support/test.h"

#include <string.h>

#include "base/checked.h"
#include "base/idmap.h"
#include "base/memory.h"
#include "base/strings.h"
#include "trace/trace.h"

static void strings_intern_equal_text_once(void **state)
{
    (void)state;
    ps_error err = {0};
    ps_strings *strings = ps_strings_create();
    ps_str a, b, c;
    assert_ok(&err, ps_strings_put_z(strings, "kernel", &a, &err));
    assert_ok(&err, ps_strings_put_z(strings, "other", &b, &err));
    assert_ok(&err, ps_strings_put(strings, "kernelx", 6, &c, &err));
    assert_int_equal(a, 1);
    assert_int_equal(b, 2);
    assert_int_equal(a, c);
    assert_string_equal(ps_strings_text(strings, b), "other");
    assert_string_equal(ps_strings_text(strings, 999), "");
    ps_strings_clear(strings);
    assert_int_equal(ps_strings_count(strings), 1);
    assert_int_equal(ps_strings_find(strings, "other", 5), -1);
    ps_strings_destroy(strings);
}

static void strings_survive_growth(void **state)
{
    (void)state;
    ps_error err = {0};
    ps_strings *strings = ps_strings_create();
    char text[32];
    for (uint32_t i = 1; i <= 5000; i++) {
        ps_str id;
        (void)snprintf(text, sizeof text, "name %u", i);
        assert_ok(&err, ps_strings_put_z(strings, text, &id, &err));
        assert_int_equal(id, i);
    }
    assert_string_equal(ps_strings_text(strings, 4321), "name 4321");
    assert_int_equal(ps_strings_bytes(strings, 4321), 9);
    ps_strings_destroy(strings);
}

static void strings_report_memory(void **state)
{
    (void)state;
    ps_error err = {0};
    ps_strings *strings = ps_strings_create();
    char big[4096];
    memset(big, 'x', sizeof big);
    ps_str id = 77;
    ps_memory_fail_nth(1);
    assert_int_equal(ps_strings_put(strings, big, sizeof big, &id, &err), PS_NOMEM);
    ps_memory_fail_nth(0);
    assert_int_equal(id, 77);
    ps_strings_destroy(strings);
}

static void idmap_agrees_with_an_array(void **state)
{
    (void)state;
    ps_error err = {0};
    enum { KEYS = 512 };
    uint32_t expected[KEYS];
    memset(expected, 0xff, sizeof expected);
    ps_idmap map;
    ps_idmap_init(&map);
    uint64_t rng = 42;
    for (int i = 0; i < 100000; i++) {
        rng = rng * 6364136223846793005u + 1442695040888963407u;
        const uint32_t key = (uint32_t)(rng >> 33) % KEYS;
        if ((rng >> 20) & 1) {
            expected[key] = (uint32_t)i;
            assert_ok(&err, ps_idmap_put(&map, (uint64_t)key << 21, (uint32_t)i, &err));
        } else {
            assert_int_equal(ps_idmap_take(&map, (uint64_t)key << 21), expected[key]);
            expected[key] = PS_IDMAP_NONE;
        }
        assert_int_equal(ps_idmap_get(&map, (uint64_t)key << 21), expected[key]);
    }
    ps_idmap_fini(&map);
}

static void time_saturates(void **state)
{
    (void)state;
    assert_true(ps_time_add(PS_TIME_NEVER, 5) == PS_TIME_NEVER);
    assert_true(ps_time_add(PS_TIME_NEVER - 1, 5) == PS_TIME_NEVER);
    assert_true(ps_time_add(3, -5) == -2);
    assert_true(ps_round_up_u64(513, 512) == 1024);
    assert_true(ps_round_up_u64(UINT64_MAX, 512) == UINT64_MAX - 511);
}

static void table_sort_is_stable(void **state)
{
    (void)state;
    ps_error err = {0};
    ps_trace *trace = ps_trace_create();
    for (int i = 0; i < 1000; i++) {
        size_t row;
        assert_ok(&err, ps_trace_add(trace, PS_TABLE_KERNEL, &row, &err));
        trace->kernel.start_ns[row] = (i * 7919) % 101;
        trace->kernel.correlation[row] = (uint64_t)i;
    }
    const ps_table_spec *spec = &ps_trace_specs()[PS_TABLE_KERNEL];
    assert_ok(&err, ps_table_sort(spec, &trace->kernel.head, &spec->columns[0], &err));
    for (size_t i = 1; i < 1000; i++) {
        assert_true(trace->kernel.start_ns[i - 1] <= trace->kernel.start_ns[i]);
        if (trace->kernel.start_ns[i - 1] == trace->kernel.start_ns[i]) {
            assert_true(trace->kernel.correlation[i - 1] < trace->kernel.correlation[i]);
        }
    }
    ps_trace_destroy(trace);
}

static void error_text_reads_from_general_to_precise(void **state)
{
    (void)state;
    ps_error err = {0};
    char text[512];
    (void)ps_fail_at(&err, PS_BAD_INPUT, 88, "\"dur\" is %d", -5);
    ps_error_note(&err, "event %d", 12);
    ps_error_note(&err, "importing %s", "a.json");
    ps_error_format(&err, text, sizeof text);
    assert_string_equal(text, "importing a.json: event 12: \"dur\" is -5 (at byte 88)");
    assert_int_equal(ps_code_exit_status(PS_BAD_INPUT), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strings_intern_equal_text_once),
        cmocka_unit_test(strings_survive_growth),
        cmocka_unit_test(strings_report_memory),
        cmocka_unit_test(idmap_agrees_with_an_array),
        cmocka_unit_test(time_saturates),
        cmocka_unit_test(table_sort_is_stable),
        cmocka_unit_test(error_text_reads_from_general_to_precise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
