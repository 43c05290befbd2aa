/* SPDX-License-Identifier: MIT
 *
 * Weights on the host: how often they come, and how many blocks' worth of them
 * the device holds.
 */
#include "unit/workload/scheme_runs.h"

#include "workload/script/weights.h"

enum { LAYERS = 4, STEPS = 3 };

static ps_recipe recipe_of(int64_t prefetch)
{
    ps_recipe r = small_recipe(PS_PARALLEL_NONE, 1);
    r.lora_rank = 4;
    r.streaming.parameters = true;
    r.streaming.prefetch = prefetch;
    return r;
}

/* [bytes] of weights on the device, at most, once training runs. */
static uint64_t most_weights(const ps_workload *w)
{
    uint64_t live = 0, most = 0;
    for (size_t at = 0; at < w->event.head.count; at++) {
        const uint32_t row = w->event.ref[at];
        if (w->event.kind[at] == PS_WORKLOAD_EVENT_OP || w->tensor.role[row] != PS_ROLE_PARAMETER ||
            ps_memory_is_host(w->tensor.memory[row])) {
            continue;
        }
        live = w->event.kind[at] == PS_WORKLOAD_EVENT_ALLOC ? live + w->tensor.bytes[row]
                                                            : live - w->tensor.bytes[row];
        most = live > most ? live : most;
    }
    return most;
}

static uint64_t brought(const ps_workload *w)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < w->op.head.count; i++) {
        const bool is_copy = w->op.kind[i] == PS_OP_COPY && w->op.copy_kind[i] == PS_COPY_HTOD;
        bytes += is_copy ? w->op.moved_bytes[i] : 0;
        assert_int_not_equal(w->op.copy_kind[i], PS_COPY_DTOH);
    }
    return bytes;
}

/* Weights of the small Llama's block: four projections of attention, three of the MLP, two norms. */
static const uint64_t block_bytes =
    4 * (64 * 64 + 2 * 64 * 32 + 64 * 64 + UINT64_C(3) * 64 * 176 + 2 * 64);

static void each_comes_twice_a_step(void **state)
{
    const ps_recipe r = recipe_of(1);
    (void)state;
    ps_workload *w = build(LLAMA, &r);
    /* the last block's are still there when backward begins */
    assert_int_equal(brought(w), STEPS * (2 * LAYERS - 1) * block_bytes);
    assert_int_equal(held_bytes(w, PS_ROLE_GRADIENT), 0);
    ps_workload_destroy(w);
}

static void the_device_holds_what_runs_and_what_comes(void **state)
{
    ps_recipe all = recipe_of(0);
    (void)state;
    all.streaming.parameters = false;
    ps_workload *without = build(LLAMA, &all);
    for (int64_t ahead = 0; ahead < LAYERS; ahead++) {
        const ps_recipe r = recipe_of(ahead);
        ps_workload *with = build(LLAMA, &r);
        assert_int_equal(most_weights(without) - most_weights(with),
                         (uint64_t)(LAYERS - 1 - ahead) * block_bytes);
        ps_workload_destroy(with);
    }
    ps_workload_destroy(without);
}

static void blocks_that_stay_are_not_brought(void **state)
{
    ps_recipe r = recipe_of(1);
    (void)state;
    r.streaming.keep_first = 1;
    r.streaming.keep_last = 1;
    ps_workload *w = build(LLAMA, &r);
    assert_int_equal(brought(w), STEPS * (2 * (LAYERS - 2) - 1) * block_bytes);
    ps_workload_destroy(w);
    r.streaming.keep_last = LAYERS;
    w = build(LLAMA, &r);
    assert_int_equal(brought(w), 0);
    ps_workload_destroy(w);
}

static void what_cannot_be_is_refused(void **state)
{
    ps_recipe r = recipe_of(1);
    ps_error err;
    (void)state;
    r.lora_rank = 0;
    assert_int_equal(ps_weights_check(&r, &err), PS_USAGE);
    r = recipe_of(1);
    r.quantize = PS_QUANTIZE_NF4;
    assert_int_equal(ps_weights_check(&r, &err), PS_USAGE);
    r = recipe_of(1);
    r.parallel.scheme = PS_PARALLEL_DDP;
    r.parallel.ranks = 2;
    assert_int_equal(ps_weights_check(&r, &err), PS_USAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_comes_twice_a_step),
        cmocka_unit_test(the_device_holds_what_runs_and_what_comes),
        cmocka_unit_test(blocks_that_stay_are_not_brought),
        cmocka_unit_test(what_cannot_be_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
