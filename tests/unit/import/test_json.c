/* SPDX-License-Identifier: MIT
 *
 * The JSON layer of the importers: numbers, escapes, heads, and the stream of
 * events with its window and its recovery from damage.
 */
#include "support/test.h"

#include <string.h>

#include "base/memory.h"
#include "import/json_events.h"
#include "import/json_head.h"
#include "import/json_outer.h"
#include "import/json_text.h"

/* ---- numbers ---- */

static void check_decimal(const char *text, int shift, int64_t wanted)
{
    int64_t value = 0;
    if (!ps_json_decimal(text, strlen(text), shift, &value) || value != wanted) {
        fail_msg("%s shifted by %d gives %lld", text, shift, (long long)value);
    }
}

static void decimals_are_exact(void **state)
{
    (void)state;
    check_decimal("1606910596297023", 3, 1606910596297023000);
    check_decimal("1712195495519689.0", 3, 1712195495519689000);
    check_decimal("1712195495519689.001", 3, 1712195495519689001);
    check_decimal("4458676522690.655", 3, 4458676522690655);
    check_decimal("0.0004", 3, 0);
    check_decimal("0.0005", 3, 1);
    check_decimal("0.00049999999999999999999999", 3, 0);
    check_decimal("9.9995", 3, 10000);
    check_decimal("-1.5", 3, -1500);
    check_decimal("-0.0005", 3, -1);
    check_decimal("1.5e3", 3, 1500000);
    check_decimal("15E+2", 3, 1500000);
    check_decimal("1500000e-3", 3, 1500000);
    check_decimal("1e-9", 3, 0);
    check_decimal("0e99999", 3, 0);
    check_decimal("1.7", 0, 2);
    check_decimal("9223372036854775807", 0, INT64_MAX);
    check_decimal("0000000000000000000000000000012", 0, 12);
}

static void what_is_no_number_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "-",
                                      "+1",
                                      ".5",
                                      "1.",
                                      "1e",
                                      "1e+",
                                      "nan",
                                      "1 2",
                                      "0x10",
                                      "1.5.",
                                      "1e5.0",
                                      "inf",
                                      "--1",
                                      "1e20",
                                      "9223372036854775808",
                                      "1e99999999999999999999"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        int64_t value = 0;
        if (ps_json_decimal(bad[i], strlen(bad[i]), 0, &value)) {
            fail_msg("\"%s\" was taken for %lld", bad[i], (long long)value);
        }
    }
    uint64_t whole = 0;
    assert_true(ps_json_whole("18446744073709551615", 20, &whole));
    assert_true(whole == UINT64_MAX);
    assert_false(ps_json_whole("18446744073709551616", 20, &whole));
    assert_false(ps_json_whole("1.0", 3, &whole));
    assert_false(ps_json_whole("", 0, &whole));
}

/* ---- text ---- */

static void check_unescape(const char *text, const char *wanted, uint64_t wanted_damage)
{
    char out[64];
    uint64_t damaged = 0;
    const size_t bytes = ps_json_unescape(text, strlen(text), out, &damaged);
    assert_true(bytes <= strlen(text));
    out[bytes] = '\0';
    assert_string_equal(out, wanted);
    assert_int_equal(damaged, wanted_damage);
}

static void escapes_are_undone(void **state)
{
    (void)state;
    check_unescape("a\\\"b\\\\c\\/d\\n\\t\\r\\b\\f", "a\"b\\c/d\n\t\r\b\f", 0);
    check_unescape("\\u0041\\u00e9\\u20AC", "A\xc3\xa9\xe2\x82\xac", 0);
    check_unescape("\\ud83d\\ude00", "\xf0\x9f\x98\x80", 0);
    check_unescape("\\ud83d", "?", 1);
    check_unescape("\\ude00x", "?x", 1);
    check_unescape("\\u0000", "?", 1);
    check_unescape("\\x\\", "??", 2);
    check_unescape("\\u12", "?12", 1);
}

static void spaces_between_tokens_go(void **state)
{
    (void)state;
    char out[64];
    const char *text = "[ [1, 2],\n\t\"a b\", \"c \\\" d\" ]";
    const size_t bytes = ps_json_compact(text, strlen(text), out);
    out[bytes] = '\0';
    assert_string_equal(out, "[[1,2],\"a b\",\"c \\\" d\"]");
}

static void invalid_utf8_is_replaced(void **state)
{
    (void)state;
    char good[] = "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\xed\x9f\xbf";
    char bad[] = "x\xff\xc0\x80\xe0\x80\x80\xed\xa0\x80\xf4\x90\x80\x80\xc3y\xe2\x82";
    assert_int_equal(ps_json_clean_utf8(good, sizeof good - 1), 0);
    assert_int_equal(ps_json_clean_utf8(bad, sizeof bad - 1), 16);
    assert_string_equal(bad, "x??????????????y??");
}

static void heads_show_outer_names(void **state)
{
    (void)state;
    const char *text =
        "\xef\xbb\xbf { \"a\": {\"b\": 1, \"x\": \"}\"}, \"c\\\"\" : [\"d\", {\"e\": 1}], \"f\"";
    const unsigned char *head = (const unsigned char *)text;
    assert_true(ps_json_head_has(head, strlen(text), "a"));
    assert_true(ps_json_head_has(head, strlen(text), "c\\\""));
    assert_false(ps_json_head_has(head, strlen(text), "b"));
    assert_false(ps_json_head_has(head, strlen(text), "d"));
    assert_false(ps_json_head_has(head, strlen(text), "e"));
    assert_false(ps_json_head_has(head, strlen(text), "f")); /* cut before its colon */
    assert_int_equal(ps_json_head_char(head, strlen(text), 1), '"');
    for (size_t cut = 0; cut < strlen(text); cut++) {
        (void)ps_json_head_has(head, cut, "nothing");
    }
}

/* ---- events ---- */

/* What a run over a text gave: the "n" of every event, and how it ended. */
typedef struct events_run {
    char seen[256];
    ps_code code;
    ps_error err;
    ps_json_damage damage;
    char outer[512];
} events_run;

static void walk(ps_json_events *events, events_run *run)
{
    for (;;) {
        ps_json_item object;
        bool has = false;
        run->code = ps_json_events_next(events, &object, &has, &run->err);
        if (run->code != PS_OK || !has) {
            break;
        }
        for (size_t i = 0; i < object.field_count; i++) {
            if (object.field[i].key_bytes == 1 && object.field[i].key[0] == 'n') {
                const size_t used = strlen(run->seen);
                (void)snprintf(run->seen + used, sizeof run->seen - used, "%s%.*s ",
                               object.field[i].is_inner ? "args." : "",
                               (int)object.field[i].text_bytes, object.field[i].text);
            }
        }
    }
    run->damage = ps_json_events_damage(events);
    if (run->code == PS_OK) {
        char *text = NULL;
        size_t bytes = 0;
        assert_ok(&run->err, ps_json_events_outer(events, &text, &bytes, &run->err));
        (void)snprintf(run->outer, sizeof run->outer, "%.*s", (int)bytes, text);
    }
}

static events_run run_events(const char *text, size_t bytes, size_t window)
{
    events_run run = {.code = PS_OK};
    ps_source *source = NULL;
    ps_json_events *events = NULL;
    assert_ok(&run.err, ps_source_open_memory(text, bytes, &source, &run.err));
    assert_ok(&run.err,
              ps_json_events_open(source, "traceEvents", "args", window, &events, &run.err));
    walk(events, &run);
    ps_json_events_close(events);
    ps_source_close(source);
    return run;
}

/* The same for every window; returns the run with the largest. */
static events_run run_all_windows(const char *text)
{
    static const size_t windows[] = {1, 2, 3, 7, 16, 61, 100, 256, 1000, 65536};
    const size_t bytes = strlen(text);
    const events_run last = run_events(text, bytes, 65536);
    for (size_t i = 0; i < sizeof windows / sizeof windows[0]; i++) {
        const events_run run = run_events(text, bytes, windows[i]);
        assert_int_equal(run.code, last.code);
        assert_string_equal(run.seen, last.seen);
        assert_string_equal(run.outer, last.outer);
        assert_int_equal(run.damage.skipped, last.damage.skipped);
        assert_int_equal(run.damage.bad_bytes, last.damage.bad_bytes);
        assert_int_equal(run.damage.first_offset, last.damage.first_offset);
        assert_int_equal(run.err.offset_bytes, last.err.offset_bytes);
    }
    return last;
}

static void check_events(const char *text, const char *seen, uint64_t skipped, const char *outer)
{
    const events_run run = run_all_windows(text);
    if (run.code != PS_OK) {
        fail_msg("%s: %s at %llu", text, run.err.message, (unsigned long long)run.err.offset_bytes);
    }
    assert_string_equal(run.seen, seen);
    assert_string_equal(run.outer, outer);
    assert_int_equal(run.damage.skipped, skipped);
}

static void events_come_in_any_frame(void **state)
{
    (void)state;
    check_events("[{\"n\":1},{\"n\":2}]", "1 2 ", 0, "[{}]");
    check_events("\xef\xbb\xbf [ {\"n\":1} ,\n {\"n\":2} ] \n", "1 2 ", 0, "[{}]");
    check_events("{\"traceEvents\":[]}", "", 0, "[{}]");
    check_events("{}", "", 0, "[{}]");
    check_events("{\"a\": [1, {\"b\": \"]}\"}], \"traceEvents\": [{\"n\":1}], \"c\" : -1.5 }", "1 ",
                 0, "[{\"a\":[1, {\"b\": \"]}\"}],\"c\":-1.5}]");
    check_events("{\"traceEvents\":[{\"n\":1}],\"x\":\"a\\\"b\",\"traceEvents\":[{\"n\":2}]}",
                 "1 2 ", 0, "[{\"x\":\"a\\\"b\"}]");
    check_events("[{\"args\":{\"n\":3},\"n\":4},{\"args\":{\"x\":{\"n\":5}}},{}]", "args.3 4 ", 0,
                 "[{}]");
    check_events("[{\"n\":1},{\"n\":2},]", "1 2 ", 0, "[{}]");
}

static void guesses_inside_events_do_no_harm(void **state)
{
    (void)state;
    /* lists of objects in an event look like the list of events */
    check_events(
        "[{\"ph\":\"X\",\"n\":1,\"l\":[{\"ph\":1},{\"ph\":2},{\"name\":3}],\"z\":0},"
        "{\"ph\":\"X\",\"n\":2,\"l\":[{\"ph\":1},{\"ph\":2}],\"m\":[{\"ph\":1},{\"ph\":2}]}]",
        "1 2 ", 0, "[{}]");
    check_events("[{\"ph\":\"},{\\\"ph\\\":\",\"n\":1},{\"ph\":\"}],\",\"n\":2}]", "1 2 ", 0,
                 "[{}]");
}

static void damaged_events_are_passed_over(void **state)
{
    (void)state;
    check_events("[{\"ph\":\"X\",\"n\":1},{\"ph\":\"X\",\"name\":\"a\"b\"c\",\"n\":2},{\"ph\":"
                 "\"X\",\"n\":3}]",
                 "1 3 ", 1, "[{}]");
    /* one quote too many turns inside and outside round up to the end */
    check_events(
        "[{\"ph\":\"X\",\"n\":1},{\"ph\":\"X\",\"name\":\"a\"b\",\"n\":2},{\"ph\":\"X\",\"n\":3},"
        "{\"ph\":\"X\",\"n\":4}]",
        "1 3 4 ", 1, "[{}]");
    check_events("{\"traceEvents\":[{\"ph\":\"X\",\"n\":1},{\"ph\":\"X\",\"name\":\"a\"b\",\"n\":2}"
                 "],\"k\":1}",
                 "1 ", 1, "[{\"k\":1}]");
    check_events(
        "[{\"ph\":\"X\",\"n\":1},{\"ph\":\"X\",\"name\":\"a\nb\",\"n\":2},{\"ph\":\"X\",\"n\":3}]",
        "1 3 ", 1, "[{}]");
    check_events("[{\"ph\":1,\"n\":1},{\"ph\" 1,\"n\":2},{\"ph\":1,\"n\":3},{\"ph\":1,,\"n\":4},"
                 "{\"ph\":1,\"n\":5}]",
                 "1 3 5 ", 2, "[{}]");
    check_events("[{\"ph\":1,\"n\":1}, 7, \"x\", [1, 2], null, {\"ph\":1,\"n\":2}]", "1 2 ", 4,
                 "[{}]");
    check_events("[{\"ph\":1,\"n\":1} {\"ph\":1,\"n\":2}]", "1 2 ", 0, "[{}]"); /* a comma less */
}

static void invalid_bytes_in_events_are_counted(void **state)
{
    (void)state;
    const char *text =
        "[{\"ph\":\"a\xff\",\"n\":1},{\"ph\":\"\xc3\xa9\",\"n\":2},{\"ph\":\"\xe2\x82\",\"n\":3}]";
    const events_run run = run_all_windows(text);
    assert_int_equal(run.code, PS_OK);
    assert_string_equal(run.seen, "1 2 3 ");
    assert_int_equal(run.damage.bad_bytes, 3);
}

static void a_file_that_ends_early_is_truncated(void **state)
{
    (void)state;
    const char *text = "{\"a\": [1, 2], \"traceEvents\": [{\"ph\": \"X\", \"args\": {\"n\": 1}}, "
                       "{\"ph\": \"Y\", \"n\": 2}], \"b\": {\"c\": \"d\"}} ";
    const size_t whole = strlen(text) - 1;
    for (size_t cut = 1; cut < whole; cut++) {
        for (size_t window = 1; window < 200; window += 66) {
            const events_run run = run_events(text, cut, window);
            if (run.code != PS_TRUNCATED || !run.err.has_offset || run.err.offset_bytes != cut) {
                fail_msg("cut at %zu gives %s at %llu: %s", cut, ps_code_name(run.code),
                         (unsigned long long)run.err.offset_bytes, run.err.message);
            }
        }
    }
    assert_int_equal(run_events(text, whole, 10).code, PS_OK);
}

static void check_bad(const char *text, ps_code wanted, uint64_t offset)
{
    const events_run run = run_all_windows(text);
    if (run.code != wanted || run.err.offset_bytes != offset) {
        fail_msg("%s: %s at %llu", text, ps_code_name(run.code),
                 (unsigned long long)run.err.offset_bytes);
    }
}

static void text_that_is_no_json_is_refused(void **state)
{
    (void)state;
    check_bad("hello", PS_BAD_INPUT, 0);
    check_bad("{a:1}", PS_BAD_INPUT, 1);
    check_bad("{\"a\" 1}", PS_BAD_INPUT, 5);
    check_bad("{\"a\":1 \"b\":2}", PS_BAD_INPUT, 7);
    check_bad("{\"a\":,}", PS_BAD_INPUT, 5);
    check_bad("{\"traceEvents\": {}}", PS_BAD_INPUT, 16);
    check_bad("{\"traceEvents\": []} x", PS_BAD_INPUT, 20);
    check_bad("[] []", PS_BAD_INPUT, 3);
    check_bad("\xef\xbbx", PS_BAD_INPUT, 2);
}

static void a_file_of_damage_is_given_up(void **state)
{
    (void)state;
    const size_t count = 3000;
    const char *event = "{\"ph\":\"X\",\"name\":\"a\"b\",\"n\":2},";
    char *text = calloc(1, count * strlen(event) + 16);
    (void)strcat(text, "[{\"ph\":1}, ");
    char *at = text + strlen(text);
    for (size_t i = 0; i < count; i++) {
        memcpy(at, event, strlen(event));
        at += strlen(event);
    }
    const events_run run = run_events(text, (size_t)(at - text), 4096);
    assert_int_equal(run.code, PS_CORRUPT);
    assert_int_equal(run.err.offset_bytes, 11);
    assert_true(run.damage.skipped < 1100);
    free(text);
}

static void one_giant_event_is_refused(void **state)
{
    (void)state;
    const size_t bytes = PS_JSON_WINDOW_MAX_BYTES + 1000;
    char *text = malloc(bytes);
    assert_non_null(text);
    memset(text, 'x', bytes);
    memcpy(text, "[{\"ph\":\"", 8);
    const events_run run = run_events(text, bytes, 1 << 20);
    assert_int_equal(run.code, PS_LIMIT);
    free(text);
}

static void giant_members_around_are_left_out(void **state)
{
    (void)state;
    const size_t bytes = PS_JSON_OUTER_MAX_BYTES + 1000;
    char *text = malloc(bytes);
    assert_non_null(text);
    memset(text, 'x', bytes);
    memcpy(text, "{\"a\":1,\"big\":\"", 14);
    const char *tail = "\",\"c\":2,\"traceEvents\":[{\"n\":1}]}";
    memcpy(text + bytes - strlen(tail), tail, strlen(tail));
    const events_run run = run_events(text, bytes, 1 << 16);
    assert_int_equal(run.code, PS_OK);
    assert_string_equal(run.seen, "1 ");
    assert_string_equal(run.outer, "[{\"a\":1,\"c\":2}]");
    assert_int_equal(run.damage.left_out, 1);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decimals_are_exact),
        cmocka_unit_test(what_is_no_number_is_refused),
        cmocka_unit_test(escapes_are_undone),
        cmocka_unit_test(spaces_between_tokens_go),
        cmocka_unit_test(invalid_utf8_is_replaced),
        cmocka_unit_test(heads_show_outer_names),
        cmocka_unit_test(events_come_in_any_frame),
        cmocka_unit_test(guesses_inside_events_do_no_harm),
        cmocka_unit_test(damaged_events_are_passed_over),
        cmocka_unit_test(invalid_bytes_in_events_are_counted),
        cmocka_unit_test(a_file_that_ends_early_is_truncated),
        cmocka_unit_test(text_that_is_no_json_is_refused),
        cmocka_unit_test(a_file_of_damage_is_given_up),
        cmocka_unit_test(one_giant_event_is_refused),
        cmocka_unit_test(giant_members_around_are_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
