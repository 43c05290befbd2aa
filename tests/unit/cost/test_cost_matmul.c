/* SPDX-License-Identifier: MIT
 *
 * Matrix products on a GPU of round figures. Its smallest tile of 16 x 64
 * outputs takes 2 x 1024 x k flop on a multiprocessor of 10 TFLOP/s.
 */
#include "unit/cost/round_card.h"

/* Parts of a split contraction would make the turns shorter. */
#define UNSPLIT "round,split-fixed,1,s,given: test\n"

static ps_cost_op product(uint64_t m, uint64_t n, uint64_t k)
{
    return (ps_cost_op){
        .kind = PS_COST_MATMUL, .element = PS_COST_F16, .batch = 1, .m = m, .n = n, .k = k};
}

/* 2560 x 128 outputs are 320 of the smallest tiles: 32 turns of 10 multiprocessors. */
static void full_waves_run_at_the_peak(void **state)
{
    (void)state;
    ps_cost_model *model = round_model("", NULL);
    is_about(ns_of(model, product(2560, 128, 1024)), 1000 + 6711);
    ps_cost_op op = product(2560, 128, 1024);
    op.batch = 3;
    is_about(ns_of(model, op), 1000 + 20133);
    op.batch = 1;
    op.element = PS_COST_BF16; /* which this GPU lacks: 10 TFLOP/s */
    is_about(ns_of(model, op), 1000 + 67109);
    op.element = PS_COST_F32;
    is_about(ns_of(model, op), 1000 + 67109);
    assert_int_equal(time_of(model, op).bound, PS_COST_BY_ARITHMETIC);
    ps_cost_destroy(model);
}

/* One row more begins a new turn, which then has room for 79 further rows. */
static void a_tile_too_many_costs_a_whole_turn(void **state)
{
    (void)state;
    ps_cost_model *model = round_model(UNSPLIT, NULL);
    const ps_ns full = ns_of(model, product(2560, 128, 1024));
    const ps_ns one_more = ns_of(model, product(2561, 128, 1024));
    is_about(one_more, 1000 + 33 * 6711 / 32);
    assert_true(one_more > full);
    assert_int_equal(ns_of(model, product(2640, 128, 1024)), one_more);
    is_about(ns_of(model, product(2641, 128, 1024)), 1000 + 34 * 6711 / 32);
    ps_cost_destroy(model);
}

/* With an efficiency of 1 / (1 + 64 (1/r + 1/c)) a 64 x 64 tile does half of what 256 x 128 does. */
static void small_tiles_are_less_efficient(void **state)
{
    (void)state;
    ps_cost_model *model = round_model("round,tile-half,64,,given: test\n", NULL);
    /* ten tiles of 256 x 128: one turn at the peak, smaller ones lose more than they gain */
    is_about(ns_of(model, product(2560, 128, 1024)), 1000 + 6711);
    /* 64 x 64 outputs: four tiles of 32 x 32 on four multiprocessors, 5 / 1.75 as long */
    is_about(ns_of(model, product(64, 64, 64)), 1000 + 37);
    ps_cost_destroy(model);
}

/* A deep product of one tile is split along its contraction, over all ten multiprocessors. */
static void deep_products_are_split(void **state)
{
    (void)state;
    const char *figures = "round,step-latency,100,ns,given: test\n";
    const char *dear = "round,step-latency,100,ns,given: test\n"
                       "round,split-fixed,1000,us,given: test\n";
    const ps_cost_op op = product(16, 64, 16384); /* 512 steps of 32 */
    ps_cost_model *model = round_model(dear, NULL);
    is_about(ns_of(model, op), 1000 + 51200); /* one block, step after step */
    assert_int_equal(time_of(model, op).bound, PS_COST_BY_LATENCY);
    ps_cost_destroy(model);
    model = round_model(figures, NULL);
    is_about(ns_of(model, op), 1000 + 3200); /* 16 parts of 32 steps, two beside each other */
    ps_cost_destroy(model);
}

/* Ten rows over a large weight: the weight has to come from memory. */
static void thin_products_are_bound_by_memory(void **state)
{
    (void)state;
    ps_cost_model *model = round_model("", NULL);
    const ps_cost_time thin = time_of(model, product(8, 8192, 8192));
    const ps_ns bytes = 2 * (8 * 8192 + 8192 * 8192 + 8 * 8192);
    is_about(thin.dur_ns, 1000 + bytes / 1000);
    assert_int_equal(thin.bound, PS_COST_BY_MEMORY);
    ps_cost_op op = product(8, 8192, 8192);
    op.moved_bytes = 1000000000; /* the caller knows better */
    is_about(ns_of(model, op), 1000 + 1000000);
    ps_cost_destroy(model);
    model = round_model("round,overlap-loss,0.5,,given: test\n", NULL);
    assert_true(ns_of(model, product(8, 8192, 8192)) > thin.dur_ns);
    ps_cost_destroy(model);
}

static void unaligned_rows_halve_the_rate(void **state)
{
    (void)state;
    ps_cost_model *model = round_model(UNSPLIT, NULL);
    is_about(ns_of(model, product(2560, 128, 1023)), 1000 + 2 * 6711);
    ps_cost_op gradient = product(2561, 128, 1024); /* rows of the first operand are 2561 long */
    gradient.layout = PS_COST_NT;
    is_about(ns_of(model, gradient), 1000 + 2 * 33 * 6711 / 32);
    ps_cost_destroy(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(full_waves_run_at_the_peak),
        cmocka_unit_test(a_tile_too_many_costs_a_whole_turn),
        cmocka_unit_test(small_tiles_are_less_efficient),
        cmocka_unit_test(deep_products_are_split),
        cmocka_unit_test(thin_products_are_bound_by_memory),
        cmocka_unit_test(unaligned_rows_halve_the_rate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
