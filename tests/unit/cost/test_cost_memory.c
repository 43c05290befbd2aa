/* SPDX-License-Identifier: MIT
 *
 * Operations bound by their traffic, on a GPU of round figures.
 */
#include "unit/cost/round_card.h"

#include "cost/cost_parts.h"

static ps_cost_op moving(uint64_t bytes)
{
    return (ps_cost_op){.kind = PS_COST_MEMORY, .element = PS_COST_F32, .moved_bytes = bytes};
}

static void bytes_over_bandwidth_of_cache_and_memory(void **state)
{
    (void)state;
    ps_cost_model *model = round_model("", NULL);
    is_about(ns_of(model, moving(0)), 1000);
    is_about(ns_of(model, moving(8000000)), 1000 + 2000);   /* 4 TB/s */
    is_about(ns_of(model, moving(10000000)), 1000 + 2500);  /* the last that stays */
    is_about(ns_of(model, moving(15000000)), 1000 + 11250); /* half way to the next */
    is_about(ns_of(model, moving(20000000)), 1000 + 20000); /* 1 TB/s */
    is_about(ns_of(model, moving(100000000)), 1000 + 100000);
    assert_int_equal(time_of(model, moving(100000000)).bound, PS_COST_BY_MEMORY);
    assert_int_equal(time_of(model, moving(4000)).bound, PS_COST_BY_LATENCY);
    assert_int_equal(time_of(model, moving(4000)).basis, PS_BASIS_ANALYTIC);
    ps_cost_destroy(model);
}

static void every_launch_has_its_start(void **state)
{
    (void)state;
    ps_cost_model *model = round_model("", NULL);
    ps_cost_op op = moving(100000000);
    op.launches = 7;
    is_about(ns_of(model, op), 7000 + 100000);
    op.kind = PS_COST_FILL;
    is_about(ns_of(model, op), 7000 + 100000);
    op.kind = PS_COST_COPY;
    is_about(ns_of(model, op), 7000 + 100000);
    ps_cost_destroy(model);
}

/* 10 multiprocessors, 100, 200 or 400 elements a microsecond each. */
static void the_way_through_the_operands_costs(void **state)
{
    (void)state;
    ps_cost_model *model = round_model("", NULL);
    ps_cost_op op = moving(8000000);
    op.elements = 1000000;
    is_about(ns_of(model, op), 1000 + 2000);
    op.access = PS_COST_STRIDED;
    is_about(ns_of(model, op), 1000 + 1000000);
    assert_int_equal(time_of(model, op).bound, PS_COST_BY_ARITHMETIC);
    op.access = PS_COST_ROWS;
    is_about(ns_of(model, op), 1000 + 500000 + 3000);
    op.access = PS_COST_REDUCTION;
    is_about(ns_of(model, op), 1000 + 250000 + 5000);
    op.elements = 0; /* half the operands are the result */
    is_about(ns_of(model, op), 1000 + 250000 + 5000);
    ps_cost_destroy(model);
}

/* Multiprocessors and their cache slow down with their clock, memory does not. */
static void a_lower_clock_leaves_memory_as_it_is(void **state)
{
    (void)state;
    ps_cost_model *model = round_model("round,clock-share,0.5,,given: test\n", NULL);
    is_about(ns_of(model, moving(100000000)), 2000 + 100000);
    is_about(ns_of(model, moving(8000000)), 2000 + 4000);
    ps_cost_op op = moving(8000000);
    op.elements = 1000000;
    op.access = PS_COST_STRIDED;
    is_about(ns_of(model, op), 2000 + 2000000);
    ps_cost_destroy(model);
}

static void a_time_beyond_all_counting_stays_the_longest(void **state)
{
    (void)state;
    assert_true(ps_cost_at_rate((uint64_t)1 << 62, 1) == PS_COST_MAX);
    assert_true(ps_cost_at_rate(1000, 1000) == PS_COST_PS_PER_S + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_over_bandwidth_of_cache_and_memory),
        cmocka_unit_test(every_launch_has_its_start),
        cmocka_unit_test(the_way_through_the_operands_costs),
        cmocka_unit_test(a_lower_clock_leaves_memory_as_it_is),
        cmocka_unit_test(a_time_beyond_all_counting_stays_the_longest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
