/* SPDX-License-Identifier: MIT
 *
 * Tables of named things: what holds when several rows speak, and bad rows.
 */
#include "support/test.h"

#include <string.h>

#include "cluster/figure_table.h"

#define HEADER "thing,quantity,value,unit,origin\n"

static const ps_figure_rule rules[] = {
    {"rate", PS_UNIT_BANDWIDTH, 1, UINT64_MAX},
    {"word", PS_FIGURE_WORD, 0, 0},
    {"of-*", PS_UNIT_COUNT, 1, 9},
    {NULL, PS_UNIT_COUNT, 0, 0},
};

static ps_code read_text(ps_figure_table *table, const char *text, ps_error *err)
{
    return ps_figure_table_read(table, "t.csv", text, strlen(text), err);
}

static void the_last_row_holds_and_like_fills_in(void **state)
{
    (void)state;
    ps_error err = {0};
    ps_stated got;
    uint32_t id = 99;
    ps_figure_table *table = ps_figure_table_create("thing", rules);
    assert_ok(&err, read_text(table,
                              HEADER "a,rate,2,GB/s,given: x\na,of-1-2,3,,given: x\n"
                                     "b,like,A,,given: x\nb,word,w,,measured: y\n",
                              &err));
    assert_ok(&err, read_text(table, HEADER "a,rate,5 GB/s,,derived: z\n", &err));
    assert_ok(&err, ps_figure_table_check(table, &err));
    assert_int_equal(ps_figure_table_count(table), 2);
    assert_true(ps_figure_table_find(table, " B ", &id));
    assert_string_equal(ps_figure_table_name(table, id), "b");
    assert_true(ps_figure_table_get(table, id, "rate", &got));
    assert_int_equal(got.value, 5000000000);
    assert_int_equal(got.quality, PS_QUALITY_DERIVED);
    assert_true(ps_figure_table_get(table, id, "of-1-2", &got));
    assert_int_equal(got.value, 3);
    assert_true(ps_figure_table_get(table, id, "word", &got));
    assert_string_equal(got.text, "w");
    assert_false(ps_figure_table_get(table, id, "of-2-1", &got));
    assert_int_equal(ps_figure_table_need(table, id, "of-2-1", &got, &err), PS_NOT_FOUND);
    assert_false(ps_figure_table_find(table, "c", &id));
    ps_figure_table_destroy(table);
}

static void bad_rows_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"node,quantity,value,unit,origin\n", "t.csv:1: this table begins with the line thing,"},
        {HEADER "a,rate,2,GB/s\n", "t.csv:2: not five fields"},
        {HEADER "a,speed,2,GB/s,given: x\n", "unknown quantity \"speed\""},
        {HEADER "a,of-x,2,,given: x\n", "unknown quantity \"of-x\""},
        {HEADER "a,of-,2,,given: x\n", "unknown quantity \"of-\""},
        {HEADER "a,rate,2,GB/s,trust me\n", "the origin does not begin"},
        {HEADER "a,rate,-2,GB/s,given: x\n", "rate is not a bandwidth"},
        {HEADER "a,of-1,10,,given: x\n", "of-1 is not a count"},
        {HEADER "a,word,w,GB/s,given: x\n", "not a word without unit"},
        {HEADER "--,word,w,,given: x\n", "not a name"},
        {HEADER "a,of-1,1,,given: x\na,of-1,2,,given: x\n", "t.csv:3: stated twice"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ps_error err = {0};
        ps_figure_table *table = ps_figure_table_create("thing", rules);
        assert_int_equal(read_text(table, cases[i].text, &err), PS_BAD_INPUT);
        if (strstr(err.message, cases[i].message) == NULL) {
            fail_msg("%s", err.message);
        }
        ps_figure_table_destroy(table);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_last_row_holds_and_like_fills_in),
        cmocka_unit_test(bad_rows_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
