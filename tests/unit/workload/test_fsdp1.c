/* SPDX-License-Identifier: MIT
 *
 * FullyShardedDataParallel: flat units, what is gathered when, what goes over
 * the wire.
 */
#include "unit/workload/scheme_runs.h"

/* Of a GPT-2 of width 64: every parameter is a multiple of 4 elements, so that nothing is padded
 * between them, and units are multiples of 4 ranks. */
#define WIDTH ((uint64_t)64)
#define BLOCK (12 * WIDTH * WIDTH + 13 * WIDTH)
#define ROOT (1000 * WIDTH + 64 * WIDTH + 2 * WIDTH)
#define LAYERS ((uint64_t)4)

/* [bytes] of gathered units that live at most in a step: what the unshard lane's pool gives. */
static uint64_t gathered_peak(const ps_workload *w, size_t step)
{
    uint64_t live = 0, peak = 0;
    for (uint32_t at = w->step.begin_event[step]; at < w->step.end_event[step]; at++) {
        const uint32_t row = w->event.ref[at];
        if (w->event.kind[at] == PS_WORKLOAD_EVENT_OP || w->tensor.lane[row] != PS_WORKLOAD_GROUP) {
            continue;
        }
        live = w->event.kind[at] == PS_WORKLOAD_EVENT_ALLOC ? live + w->tensor.bytes[row]
                                                            : live - w->tensor.bytes[row];
        peak = live > peak ? live : peak;
    }
    assert_int_equal(live, 0);
    return peak;
}

static size_t host_waits(const ps_workload *w, size_t step)
{
    size_t count = 0;
    for (uint32_t at = w->step.begin_event[step]; at < w->step.end_event[step]; at++) {
        const uint32_t row = w->event.ref[at];
        count += w->event.kind[at] == PS_WORKLOAD_EVENT_OP && w->op.kind[row] == PS_OP_HOST;
    }
    return count;
}

static void test_units_are_gathered_twice_and_the_root_once(void **state)
{
    const ps_fsdp_prefetch kinds[] = {PS_FSDP_BACKWARD_PRE, PS_FSDP_BACKWARD_POST,
                                      PS_FSDP_BACKWARD_NONE};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        ps_recipe r = small_recipe(PS_PARALLEL_FSDP1, 4);
        r.parallel.fsdp.backward_prefetch = kinds[i];
        r.parallel.fsdp.forward_prefetch = i == 2;
        ps_workload *w = build(GPT2, &r);
        for (size_t step = 0; step < 3; step++) {
            assert_int_equal(step_bytes(w, step, PS_COLLECTIVE_ALL_GATHER, 1),
                             4 * (2 * LAYERS * BLOCK + ROOT));
            assert_int_equal(step_bytes(w, step, PS_COLLECTIVE_REDUCE_SCATTER, 1),
                             4 * (LAYERS * BLOCK + ROOT));
            assert_int_equal(step_count(w, step, PS_COLLECTIVE_REDUCE_SCATTER), LAYERS + 1);
        }
        ps_workload_destroy(w);
    }
}

/* Two blocks whose memory nobody has waited for yet, and the one that runs; of the root one. */
static void test_the_host_waits_so_that_few_units_live(void **state)
{
    ps_recipe r = small_recipe(PS_PARALLEL_FSDP1, 4);
    (void)state;
    ps_workload *w = build(GPT2, &r);
    assert_int_equal(gathered_peak(w, 1), 4 * (ROOT + 3 * BLOCK));
    assert_true(host_waits(w, 1) > 0);
    ps_workload_destroy(w);
    r.parallel.fsdp.gathers_unlimited = true;
    w = build(GPT2, &r);
    /* what the host does not wait for is given back at once: backward has two */
    assert_int_equal(gathered_peak(w, 1), 4 * (ROOT + 2 * BLOCK));
    assert_int_equal(host_waits(w, 1), 0);
    ps_workload_destroy(w);
    r.parallel.fsdp.backward_prefetch = PS_FSDP_BACKWARD_NONE;
    w = build(GPT2, &r);
    assert_int_equal(gathered_peak(w, 1), 4 * (ROOT + BLOCK));
    ps_workload_destroy(w);
}

static void test_units_that_stay_are_gathered_once(void **state)
{
    ps_recipe r = small_recipe(PS_PARALLEL_FSDP1, 4);
    (void)state;
    r.parallel.fsdp.keeps_gathered = true;
    ps_workload *w = build(GPT2, &r);
    assert_int_equal(step_bytes(w, 1, PS_COLLECTIVE_ALL_GATHER, 1), 4 * (LAYERS * BLOCK + ROOT));
    ps_workload_destroy(w);
}

static void test_parts_of_all_ranks_are_the_whole(void **state)
{
    uint64_t states = 0;
    ps_recipe r = small_recipe(PS_PARALLEL_FSDP1, 3);
    (void)state;
    for (int64_t rank = 0; rank < 3; rank++) {
        r.parallel.rank = rank;
        ps_workload *w = build(OPT, &r);
        assert_int_equal(w->axis.place[0], rank);
        states += held_bytes(w, PS_ROLE_OPTIMIZER_STATE);
        if (rank == 2) {
            assert_int_equal(states, 2 * 4 * parameters_of(w));
        }
        ps_workload_destroy(w);
    }
}

/* Gradients of micro-batches that are not exchanged are whole and flat until the last one. */
static void test_accumulation_keeps_flat_gradients(void **state)
{
    ps_recipe r = small_recipe(PS_PARALLEL_FSDP1, 4);
    uint64_t peak[2];
    (void)state;
    r.accumulate = 2;
    for (int always = 0; always < 2; always++) {
        r.parallel.syncs_always = always == 1;
        ps_workload *w = build(GPT2, &r);
        peak[always] = peak_bytes(w, 1);
        assert_int_equal(step_bytes(w, 1, PS_COLLECTIVE_REDUCE_SCATTER, 1),
                         4 * (LAYERS * BLOCK + ROOT) * (uint64_t)(1 + always));
        ps_workload_destroy(w);
    }
    assert_true(peak[0] > peak[1]);
}

static void test_mixed_precision_gathers_half(void **state)
{
    ps_recipe r = small_recipe(PS_PARALLEL_FSDP1, 4);
    (void)state;
    r.parallel.fsdp.has_param_dtype = true;
    r.parallel.fsdp.param_dtype = PS_DTYPE_BF16;
    ps_workload *w = build(GPT2, &r);
    assert_int_equal(step_bytes(w, 1, PS_COLLECTIVE_ALL_GATHER, 1),
                     2 * (2 * LAYERS * BLOCK + ROOT));
    assert_int_equal(step_bytes(w, 1, PS_COLLECTIVE_REDUCE_SCATTER, 1),
                     2 * (LAYERS * BLOCK + ROOT));
    assert_int_equal(held_bytes(w, PS_ROLE_OPTIMIZER_STATE), 2 * 4 * parameters_of(w) / 4);
    ps_workload_destroy(w);
}

static void test_hybrid_shards_add_up_across_copies(void **state)
{
    ps_recipe r = small_recipe(PS_PARALLEL_FSDP1, 8);
    (void)state;
    r.parallel.shard_ranks = 4;
    r.checkpoint_every = 1;
    ps_workload *w = build(GPT2, &r);
    const uint64_t bytes = 4 * (LAYERS * BLOCK + ROOT);
    assert_int_equal(step_bytes(w, 1, PS_COLLECTIVE_REDUCE_SCATTER, 1), bytes);
    assert_int_equal(step_bytes(w, 1, PS_COLLECTIVE_ALL_REDUCE, 2), bytes / 4);
    assert_int_equal(step_bytes(w, 1, PS_COLLECTIVE_ALL_GATHER, 1),
                     4 * (2 * LAYERS * BLOCK + ROOT));
    ps_workload_destroy(w);
}

static void test_types_must_agree(void **state)
{
    ps_error err = {0};
    ps_workload *w = NULL;
    ps_recipe r = small_recipe(PS_PARALLEL_FSDP1, 2);
    (void)state;
    r.lora_rank = 4;
    w = build(LLAMA, &r);
    /* a unit with adapters has gradients of all its weights; the rest has none */
    const uint64_t blocks = parameters_of(w) - 2 * 1000 * 64 - 64;
    assert_int_equal(step_bytes(w, 1, PS_COLLECTIVE_REDUCE_SCATTER, 1), 4 * blocks);
    ps_workload_destroy(w);
    r.parameters = PS_DTYPE_BF16;
    assert_int_equal(try_build(LLAMA, &r, &w, &err), PS_USAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_units_are_gathered_twice_and_the_root_once),
        cmocka_unit_test(test_the_host_waits_so_that_few_units_live),
        cmocka_unit_test(test_units_that_stay_are_gathered_once),
        cmocka_unit_test(test_parts_of_all_ranks_are_the_whole),
        cmocka_unit_test(test_accumulation_keeps_flat_gradients),
        cmocka_unit_test(test_mixed_precision_gathers_half),
        cmocka_unit_test(test_hybrid_shards_add_up_across_copies),
        cmocka_unit_test(test_types_must_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
