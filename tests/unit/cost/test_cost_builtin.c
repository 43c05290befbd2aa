/* SPDX-License-Identifier: MIT
 *
 * What must hold on every GPU of the catalogue.
 */
#include "support/test.h"

#include <string.h>

#include "cost/cost.h"

static uint64_t seed;

static uint64_t next(uint64_t below)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed % below;
}

static ps_catalogue *builtin(void)
{
    ps_error err = {0};
    ps_catalogue *catalogue = NULL;
    assert_ok(&err, ps_catalogue_create(&catalogue, &err));
    return catalogue;
}

typedef void (*check)(const ps_catalogue *catalogue, ps_hardware_id gpu,
                      const ps_cost_model *model);

/* Calls `what` for every GPU; formulas alone, or with measured shapes. */
static void on_every_gpu(bool without_shapes, check what)
{
    ps_catalogue *catalogue = builtin();
    unsigned gpus = 0;
    for (uint32_t i = 0; i < ps_catalogue_count(catalogue); i++) {
        const ps_hardware_id id = {i};
        const ps_cost_options options = {.without_shapes = without_shapes};
        ps_cost_model *model = NULL;
        ps_error err = {0};
        if (ps_catalogue_class(catalogue, id) != PS_HARDWARE_GPU) {
            continue;
        }
        assert_ok(&err, ps_cost_create(catalogue, id, &options, &model, &err));
        what(catalogue, id, model);
        ps_cost_destroy(model);
        gpus++;
    }
    assert_true(gpus >= 30);
    ps_catalogue_destroy(catalogue);
}

static ps_ns ns_of(const ps_cost_model *model, const ps_cost_op *op)
{
    ps_error err = {0};
    ps_cost_time out;
    assert_ok(&err, ps_cost_op_time(model, op, &out, &err));
    return out.dur_ns;
}

static uint64_t figure_of(const ps_catalogue *catalogue, ps_hardware_id gpu, ps_figure_id figure)
{
    ps_figure found = {0};
    (void)ps_catalogue_get(catalogue, gpu, figure, &found);
    return found.value;
}

static ps_cost_op random_op(void)
{
    const uint64_t heads = 1 + next(64), tokens = 1 + next(4096), dimension = 8 * (1 + next(16));
    ps_cost_op op = {.kind = (ps_cost_kind)next(PS_COST_KIND_COUNT),
                     .element = (ps_cost_element)next(PS_COST_ELEMENT_COUNT),
                     .layout = (ps_cost_layout)next(PS_COST_LAYOUT_COUNT),
                     .access = (ps_cost_access)next(PS_COST_ACCESS_COUNT),
                     .launches = (uint32_t)next(3)};
    if (op.kind == PS_COST_MATMUL) {
        op.batch = 1 + next(4);
        op.m = UINT64_C(1) << next(14);
        op.n = 1 + next(9000);
        op.k = 1 + next(9000);
    } else if (op.kind == PS_COST_ATTENTION_FORWARD || op.kind == PS_COST_ATTENTION_BACKWARD) {
        op.batch = heads;
        op.m = op.n = tokens;
        op.k = dimension;
        op.flop = 2 * heads * tokens * tokens * dimension;
        op.moved_bytes = 8 * heads * tokens * dimension;
    } else {
        op.moved_bytes = next(UINT64_C(1) << (10 + next(22)));
    }
    return op;
}

/* Never faster than the peak of the format, with measured shapes or without. */
static void not_above_the_peak(const ps_catalogue *catalogue, ps_hardware_id gpu,
                               const ps_cost_model *model)
{
    static const ps_figure_id figures[] = {PS_FIGURE_FP32_RATE, PS_FIGURE_TF32_RATE,
                                           PS_FIGURE_FP16_RATE, PS_FIGURE_BF16_RATE,
                                           PS_FIGURE_FP8_RATE};
    for (int i = 0; i < 300; i++) {
        const ps_cost_op op = random_op();
        uint64_t peak = figure_of(catalogue, gpu, figures[op.element]);
        peak = peak > 0 ? peak : figure_of(catalogue, gpu, PS_FIGURE_FP32_RATE);
        const uint64_t flop =
            op.kind == PS_COST_MATMUL ? 2 * op.batch * op.m * op.n * op.k : op.flop;
        const ps_ns found = ns_of(model, &op);
        assert_true((double)found >= (double)flop / (double)peak * 1e9);
        assert_true(found > 0);
    }
}

static void no_operation_beats_the_peak(void **state)
{
    (void)state;
    seed = 88172645463325252u;
    on_every_gpu(false, not_above_the_peak);
    on_every_gpu(true, not_above_the_peak);
}

/* More of the same never takes less; extents that keep their alignment. */
static void grows(const ps_catalogue *catalogue, ps_hardware_id gpu, const ps_cost_model *model)
{
    (void)catalogue;
    (void)gpu;
    ps_ns before = 0;
    for (uint64_t bytes = 1; bytes < UINT64_C(1) << 34; bytes += 1 + bytes / 3) {
        const ps_cost_op op = {.kind = PS_COST_MEMORY, .moved_bytes = bytes};
        const ps_ns found = ns_of(model, &op);
        assert_true(found >= before);
        before = found;
    }
    for (int axis = 0; axis < 3; axis++) {
        before = 0;
        for (uint64_t extent = 8; extent < 20000; extent += 8 * (1 + extent / 40)) {
            ps_cost_op op = {.kind = PS_COST_MATMUL,
                             .element = PS_COST_F16,
                             .batch = 1,
                             .m = axis == 0 ? extent : 1024,
                             .n = axis == 1 ? extent : 1024,
                             .k = axis == 2 ? extent : 1024};
            const ps_ns found = ns_of(model, &op);
            assert_true(found >= before);
            before = found;
        }
    }
}

static void times_grow_with_size(void **state)
{
    (void)state;
    on_every_gpu(true, grows);
}

/* The same question has the same answer, from the same model and from another. */
static void same_again(const ps_catalogue *catalogue, ps_hardware_id gpu,
                       const ps_cost_model *model)
{
    ps_error err = {0};
    ps_cost_model *other = NULL;
    assert_ok(&err, ps_cost_create(catalogue, gpu, NULL, &other, &err));
    for (int i = 0; i < 50; i++) {
        const ps_cost_op op = random_op();
        assert_int_equal(ns_of(model, &op), ns_of(other, &op));
    }
    ps_cost_destroy(other);
}

static void answers_repeat(void **state)
{
    (void)state;
    seed = 1181783497276652981u;
    on_every_gpu(false, same_again);
}

/* Large products reach the share of the peak that the catalogue states, to a few percent. */
static void reaches_its_share(const ps_catalogue *catalogue, ps_hardware_id gpu,
                              const ps_cost_model *model)
{
    const ps_cost_op op = {.kind = PS_COST_MATMUL,
                           .element = PS_COST_F16,
                           .batch = 1,
                           .m = 65536,
                           .n = 16384,
                           .k = 16384};
    const double flop = 2.0 * 65536 * 16384 * 16384;
    const double peak = (double)figure_of(catalogue, gpu, PS_FIGURE_FP16_RATE);
    const double stated = (double)figure_of(catalogue, gpu, PS_FIGURE_MATMUL_SHARE) *
                          (double)figure_of(catalogue, gpu, PS_FIGURE_CLOCK_SHARE) / 1e12;
    const double reached = flop / peak / ((double)ns_of(model, &op) * 1e-9);
    if (reached > stated || reached < 0.8 * stated) {
        fail_msg("%s reaches %.3f, not %.3f", ps_catalogue_name(catalogue, gpu), reached, stated);
    }
}

static void large_products_reach_the_stated_share(void **state)
{
    (void)state;
    on_every_gpu(true, reaches_its_share);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_operation_beats_the_peak),
        cmocka_unit_test(times_grow_with_size),
        cmocka_unit_test(answers_repeat),
        cmocka_unit_test(large_products_reach_the_stated_share),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
