/* SPDX-License-Identifier: MIT
 *
 * Errors and their statistics against figures worked out by hand.
 */
#include "support/test.h"

#include "validate_statistics.h"

static void error_is_a_part_of_what_was_measured(void **state)
{
    (void)state;
    assert_int_equal(ps_prediction_error(103, 100, 100), 30000);
    assert_int_equal(ps_prediction_error(97, 100, 100), -30000);
    assert_int_equal(ps_prediction_error(100, 100, 100), 0);
    assert_int_equal(ps_prediction_error(0, 7, 7), -1000000);
    /* 1/3 and 2/3: to the nearest millionth, on both sides alike */
    assert_int_equal(ps_prediction_error(4, 3, 3), 333333);
    assert_int_equal(ps_prediction_error(5, 3, 3), 666667);
    assert_int_equal(ps_prediction_error(1, 3, 3), -666667);
    /* half a millionth away from 0 */
    assert_int_equal(ps_prediction_error(2000001, 2000000, 2000000), 1);
    assert_int_equal(ps_prediction_error(1999999, 2000000, 2000000), -1);
    assert_int_equal(ps_prediction_error(4000001, 4000000, 4000000), 0);
}

static void inside_a_range_there_is_no_error(void **state)
{
    (void)state;
    assert_int_equal(ps_prediction_error(100, 100, 200), 0);
    assert_int_equal(ps_prediction_error(150, 100, 200), 0);
    assert_int_equal(ps_prediction_error(200, 100, 200), 0);
    assert_int_equal(ps_prediction_error(90, 100, 200), -100000);
    assert_int_equal(ps_prediction_error(220, 100, 200), 100000);
}

static void huge_errors_saturate(void **state)
{
    (void)state;
    assert_true(ps_prediction_error(UINT64_MAX, 1, 1) == INT64_MAX);
    assert_int_equal(ps_prediction_error(UINT64_MAX, UINT64_MAX, UINT64_MAX), 0);
    assert_int_equal(ps_prediction_error(0, UINT64_MAX, UINT64_MAX), -1000000);
}

static void of_no_errors_everything_is_0(void **state)
{
    (void)state;
    const ps_error_statistics none = ps_error_statistics_of(NULL, 0);
    assert_int_equal(none.count, 0);
    assert_int_equal(none.median + none.mean + none.p90 + none.worst, 0);
}

static void signs_do_not_cancel(void **state)
{
    (void)state;
    int64_t error[] = {-40, 10, 30, -20, 0};
    const ps_error_statistics odd = ps_error_statistics_of(error, 5);
    assert_int_equal(odd.count, 5);
    assert_int_equal(odd.median, 20);
    assert_int_equal(odd.mean, 20);
    assert_int_equal(odd.p90, 40); /* rank 4.5, so the fifth */
    assert_int_equal(odd.worst, 40);
}

static void the_median_of_an_even_count_is_the_mean_of_the_middle_two(void **state)
{
    (void)state;
    int64_t error[] = {7, -1, 4, 100};
    const ps_error_statistics even = ps_error_statistics_of(error, 4);
    assert_int_equal(even.median, 6); /* 5.5, halves up */
    assert_int_equal(even.mean, 28);
    int64_t two[] = {3, -5};
    assert_int_equal(ps_error_statistics_of(two, 2).median, 4);
}

static void p90_is_the_nearest_rank(void **state)
{
    (void)state;
    int64_t error[100];
    const struct {
        size_t count;
        uint64_t p90;
    } known[] = {{1, 1},   {2, 2},   {9, 9},   {10, 9},  {11, 10},
                 {19, 18}, {20, 18}, {21, 19}, {100, 90}};
    for (size_t k = 0; k < sizeof known / sizeof known[0]; k++) {
        for (size_t i = 0; i < known[k].count; i++) {
            const int64_t size = (int64_t)(known[k].count - i);
            error[i] = i % 2 == 0 ? size : -size;
        }
        assert_int_equal(ps_error_statistics_of(error, known[k].count).p90, known[k].p90);
    }
}

static void sums_do_not_overflow(void **state)
{
    (void)state;
    int64_t error[] = {INT64_MAX, INT64_MAX, -INT64_MAX};
    const ps_error_statistics huge = ps_error_statistics_of(error, 3);
    assert_true(huge.mean == INT64_MAX);
    assert_true(huge.median == INT64_MAX);
}

static void percent_has_two_decimals(void **state)
{
    (void)state;
    const struct {
        int64_t millionths;
        bool has_sign;
        const char *text;
    } known[] = {{30500, false, "3.05 %"},     {30549, false, "3.05 %"},
                 {30550, false, "3.06 %"},     {30550, true, "+3.06 %"},
                 {-30550, true, "-3.06 %"},    {-49, true, "0.00 %"},
                 {-50, true, "-0.01 %"},       {0, true, "0.00 %"},
                 {1000000, false, "100.00 %"}, {-1000000, false, "-100.00 %"}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        char text[PS_PERCENT_TEXT_BYTES];
        assert_string_equal(ps_percent_text(known[i].millionths, known[i].has_sign, text),
                            known[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(error_is_a_part_of_what_was_measured),
        cmocka_unit_test(inside_a_range_there_is_no_error),
        cmocka_unit_test(huge_errors_saturate),
        cmocka_unit_test(of_no_errors_everything_is_0),
        cmocka_unit_test(signs_do_not_cancel),
        cmocka_unit_test(the_median_of_an_even_count_is_the_mean_of_the_middle_two),
        cmocka_unit_test(p90_is_the_nearest_rank),
        cmocka_unit_test(sums_do_not_overflow),
        cmocka_unit_test(percent_has_two_decimals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
