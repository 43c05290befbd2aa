/* SPDX-License-Identifier: MIT
 *
 * The stride with the shortest update: by hand, and where each rate is the least.
 */
#include "support/test.h"

#include "workload/script/stride_choice.h"

#define GB UINT64_C(1000000000)

/* 76 bytes of memory for two elements, 128 for three. */
static void test_the_slowest_sets_a_rounds_length(void **state)
{
    const ps_update_rates memory = {10 * GB, 1000 * GB, 1000 * GB, 1000 * GB};
    const ps_update_rates threads = {1000 * GB, 10 * GB, 1000 * GB, 1000 * GB};
    const ps_update_rates up = {1000 * GB, 1000 * GB, 1 * GB, 1000 * GB};
    const ps_update_rates down = {1000 * GB, 1000 * GB, 1000 * GB, 1 * GB};
    (void)state;
    assert_int_equal(ps_update_time_ps(&memory, 2), 7600 / 2);
    assert_int_equal(ps_update_time_ps(&memory, 3), 12800 / 3);
    assert_int_equal(ps_update_time_ps(&threads, 4), 15000 / 4);
    assert_int_equal(ps_update_time_ps(&up, 3), 16000 / 3);
    assert_int_equal(ps_update_time_ps(&down, 5), 12000 / 5);
}

static void test_the_machine_chooses(void **state)
{
    const ps_update_rates of_memory = {45 * GB, 69 * GB, 24 * GB, 24 * GB};
    const ps_update_rates slow_link = {200 * GB, 200 * GB, 6 * GB, 6 * GB};
    const ps_update_rates no_link = {200 * GB, 200 * GB, 1, 1};
    (void)state;
    assert_int_equal(ps_update_best_stride(&of_memory), 2);
    assert_true(ps_update_best_stride(&slow_link) > 4);
    assert_int_equal(ps_update_best_stride(&no_link), PS_STRIDE_MOST);
    for (int64_t k = PS_STRIDE_LEAST; k <= PS_STRIDE_MOST; k++) {
        assert_true(ps_update_time_ps(&slow_link, ps_update_best_stride(&slow_link)) <=
                    ps_update_time_ps(&slow_link, k));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_slowest_sets_a_rounds_length),
        cmocka_unit_test(test_the_machine_chooses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
