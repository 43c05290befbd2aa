/* SPDX-License-Identifier: MIT
 *
 * Measured shares by shape: taken as they are, carried over to shapes near by,
 * and of no effect farther away.
 */
#include "unit/cost/round_card.h"

#define HEADER "gpu,kind,element,layout,batch,m,n,k,share,origin\n"

static ps_cost_op product(uint64_t m, uint64_t n, uint64_t k)
{
    return (ps_cost_op){
        .kind = PS_COST_MATMUL, .element = PS_COST_F16, .batch = 1, .m = m, .n = n, .k = k};
}

/* 2 x 1024^3 flop at a quarter of 100 TFLOP/s */
static void the_measured_shape_takes_its_measured_time(void **state)
{
    (void)state;
    ps_cost_model *model =
        round_model("", HEADER "round,matmul,f16,,1,1024,1024,1024,0.25,measured: test\n"
                               "round,attention-forward,f16,,8,512,512,128,0.1,measured: test\n");
    const ps_cost_time found = time_of(model, product(1024, 1024, 1024));
    assert_in_range(found.dur_ns, 85898, 85902);
    assert_int_equal(found.basis, PS_BASIS_MEASURED);
    ps_cost_op attention = {.kind = PS_COST_ATTENTION_FORWARD,
                            .element = PS_COST_F16,
                            .batch = 8,
                            .m = 512,
                            .n = 512,
                            .k = 128,
                            .flop = 2ull * 8 * 512 * 512 * 128};
    assert_in_range(ns_of(model, attention), 53685, 53690);
    ps_cost_destroy(model);
}

static void shapes_near_by_are_scaled(void **state)
{
    (void)state;
    ps_cost_model *plain = round_model("", NULL);
    ps_cost_model *model =
        round_model("", HEADER "round,matmul,f16,,1,1024,1024,1024,0.25,measured: test\n");
    const ps_cost_time near = time_of(model, product(1280, 1024, 1024));
    assert_int_equal(near.basis, PS_BASIS_SCALED);
    const ps_ns analytic_there = ns_of(plain, product(1024, 1024, 1024));
    const ps_ns analytic_near = ns_of(plain, product(1280, 1024, 1024));
    /* a quarter of an octave away, where the row and the formulas count alike */
    const ps_ns expected = (analytic_near + analytic_near * 85899 / analytic_there) / 2;
    assert_in_range(near.dur_ns, expected - expected / 1000, expected + expected / 1000);
    const ps_cost_time far = time_of(model, product(4096, 1024, 1024));
    assert_int_equal(far.basis, PS_BASIS_ANALYTIC);
    assert_int_equal(far.dur_ns, ns_of(plain, product(4096, 1024, 1024)));
    ps_cost_destroy(model);
    ps_cost_destroy(plain);
}

/* Next to a row its ratio counts, next to another one that other. */
static void the_nearer_row_counts_more(void **state)
{
    (void)state;
    ps_cost_model *model =
        round_model("", HEADER "round,matmul,f16,,1,1024,1024,1024,0.25,measured: test\n"
                               "round,matmul,f16,,1,2048,1024,1024,0.5,measured: test\n");
    ps_cost_model *plain = round_model("", NULL);
    double ratio[2];
    const uint64_t rows[2] = {1152, 1920};
    for (size_t i = 0; i < 2; i++) {
        ratio[i] = (double)ns_of(model, product(rows[i], 1024, 1024)) /
                   (double)ns_of(plain, product(rows[i], 1024, 1024));
    }
    assert_true(ratio[0] > 3.1 && ratio[0] < 4);
    assert_true(ratio[1] > 1.7 && ratio[1] < 2.1);
    ps_cost_destroy(model);
    ps_cost_destroy(plain);
}

/* Towards the end of its reach a row counts for nothing: no jump where it ends. */
static void rows_fade_out(void **state)
{
    (void)state;
    ps_cost_model *plain = round_model("", NULL);
    ps_cost_model *model =
        round_model("", HEADER "round,matmul,f16,,1,1024,1024,1024,0.25,measured: test\n");
    const ps_ns last = ns_of(model, product(2040, 1024, 1024));
    const ps_ns formula = ns_of(plain, product(2040, 1024, 1024));
    assert_true(last >= formula && last <= formula + formula / 50);
    assert_true(ns_of(model, product(1500, 1024, 1024)) >
                ns_of(plain, product(1500, 1024, 1024)) * 11 / 10);
    ps_cost_destroy(model);
    ps_cost_destroy(plain);
}

static void layout_element_kind_and_gpu_must_agree(void **state)
{
    (void)state;
    ps_cost_model *model =
        round_model("", HEADER "round,matmul,f16,TN,1,1024,1024,1024,0.25,measured: test\n"
                               "round,matmul,f32,,1,512,512,512,0.25,measured: test\n"
                               "nobody's,matmul,f16,,1,256,256,256,0.25,measured: test\n");
    ps_cost_op op = product(1024, 1024, 1024);
    assert_int_equal(time_of(model, op).basis, PS_BASIS_MEASURED); /* any layout */
    op.layout = PS_COST_TN;
    assert_int_equal(time_of(model, op).basis, PS_BASIS_MEASURED);
    op.layout = PS_COST_NT;
    assert_int_equal(time_of(model, op).basis, PS_BASIS_ANALYTIC);
    assert_int_equal(time_of(model, product(256, 256, 256)).basis, PS_BASIS_ANALYTIC);
    ps_cost_destroy(model);
}

/* Sums of 32 bits are read and written, and measured apart from results of 16. */
static void wide_sums_have_rows_of_their_own(void **state)
{
    (void)state;
    ps_cost_model *model =
        round_model("", HEADER "round,matmul,f16,NT,1,1024,1024,1024,0.25,measured: test\n"
                               "round,matmul,f16,NT-wide,1,1024,1024,1024,0.125,measured: test\n"
                               "round,matmul,f16,NT-wide,1,4096,4096,16,0.001,measured: test\n");
    ps_cost_op op = product(1024, 1024, 1024);
    op.layout = PS_COST_NT;
    assert_in_range(ns_of(model, op), 85898, 85902);
    op.layout = PS_COST_NT_WIDE;
    assert_in_range(ns_of(model, op), 171796, 171804);
    op = product(4096, 4096, 16); /* traffic decides: with its bytes given or not, as measured */
    op.layout = PS_COST_NT_WIDE;
    assert_in_range(ns_of(model, op), 5368000, 5369500);
    op.moved_bytes = 2 * 4096 * 16 * 2 + UINT64_C(4096) * 4096 * 8;
    assert_in_range(ns_of(model, op), 5368000, 5369500);
    ps_cost_destroy(model);
}

static void wide_sums_move_more(void **state)
{
    (void)state;
    ps_cost_model *model = round_model("", NULL);
    ps_cost_op op = product(4096, 4096, 16);
    op.layout = PS_COST_NT;
    const ps_ns narrow = ns_of(model, op);
    op.layout = PS_COST_NT_WIDE;
    assert_true(ns_of(model, op) > 3 * narrow); /* 8 bytes a result instead of 2 */
    ps_cost_destroy(model);
}

/* Measured in a short run, needed in a long one: what is left of the rate slows both. */
static void long_runs_are_slower_than_short_ones(void **state)
{
    (void)state;
    const char *shapes = HEADER "round,matmul,f16,,1,1024,1024,1024,0.25,measured: test\n";
    ps_cost_model *model = round_model("round,sustained-share,0.5,,given: test\n", shapes);
    assert_in_range(ns_of(model, product(1024, 1024, 1024)), 171796, 171804);
    is_about(ns_of(model, product(2560, 128, 8192)), 2 * (1000 + 53687));
    const ps_cost_op bytes = {.kind = PS_COST_MEMORY, .moved_bytes = 100000000};
    is_about(ns_of(model, bytes), 1000 + 100000);
    ps_cost_destroy(model);
}

/* A share cannot make an operation faster than the peak of what it does. */
static void a_table_does_not_break_the_roofline(void **state)
{
    (void)state;
    ps_cost_model *model = round_model("round,unaligned-share,0.1,,given: test\n", HEADER
                                       "round,matmul,f16,,1,4099,1023,1023,1,measured: test\n");
    /* the ratio of that row is about a tenth; its neighbour is aligned */
    assert_true(ns_of(model, product(4096, 1024, 1024)) >= 85899);
    ps_cost_destroy(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_measured_shape_takes_its_measured_time),
        cmocka_unit_test(shapes_near_by_are_scaled),
        cmocka_unit_test(the_nearer_row_counts_more),
        cmocka_unit_test(rows_fade_out),
        cmocka_unit_test(layout_element_kind_and_gpu_must_agree),
        cmocka_unit_test(wide_sums_have_rows_of_their_own),
        cmocka_unit_test(wide_sums_move_more),
        cmocka_unit_test(long_runs_are_slower_than_short_ones),
        cmocka_unit_test(a_table_does_not_break_the_roofline),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
