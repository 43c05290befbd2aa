/* SPDX-License-Identifier: MIT
 *
 * fully_shard: what is gathered when, what is left of it, what goes over the wire.
 */
#include "unit/workload/scheme_runs.h"

/* Of a GPT-2 of width h: one block, and what is in none. */
#define WIDTH ((uint64_t)64)
#define BLOCK (12 * WIDTH * WIDTH + 13 * WIDTH)
#define ROOT (1000 * WIDTH + 64 * WIDTH + 2 * WIDTH)
#define LAYERS ((uint64_t)4)

/* [bytes] of whole parameters that live at most in a step: those in the main lane's pool that are
 * made in it. */
static uint64_t gathered_peak(const ps_workload *w, size_t step)
{
    uint64_t live = 0, peak = 0;
    for (uint32_t at = w->step.begin_event[step]; at < w->step.end_event[step]; at++) {
        const uint32_t row = w->event.ref[at];
        if (w->event.kind[at] == PS_WORKLOAD_EVENT_OP || w->tensor.role[row] != PS_ROLE_PARAMETER) {
            continue;
        }
        live = w->event.kind[at] == PS_WORKLOAD_EVENT_ALLOC ? live + w->tensor.bytes[row]
                                                            : live - w->tensor.bytes[row];
        peak = live > peak ? live : peak;
    }
    assert_int_equal(live, 0);
    return peak;
}

static void test_blocks_are_gathered_twice_and_the_rest_once(void **state)
{
    const ps_recipe r = small_recipe(PS_PARALLEL_FSDP2, 4);
    ps_workload *w = build(GPT2, &r);
    (void)state;
    for (size_t step = 0; step < 3; step++) {
        assert_int_equal(step_bytes(w, step, PS_COLLECTIVE_ALL_GATHER, 1),
                         4 * (2 * LAYERS * BLOCK + ROOT));
        assert_int_equal(step_bytes(w, step, PS_COLLECTIVE_REDUCE_SCATTER, 1),
                         4 * (LAYERS * BLOCK + ROOT));
        assert_int_equal(step_count(w, step, PS_COLLECTIVE_ALL_GATHER), 2 * LAYERS + 1);
        assert_int_equal(step_count(w, step, PS_COLLECTIVE_REDUCE_SCATTER), LAYERS + 1);
        assert_int_equal(step_bytes(w, step, PS_COLLECTIVE_ALL_REDUCE, 1), 0);
    }
    assert_int_equal(w->axis.place[0], PS_WORKLOAD_ANYWHERE); /* 4 divides every dimension */
    ps_workload_destroy(w);
}

static void test_one_block_is_whole_at_a_time(void **state)
{
    ps_recipe r = small_recipe(PS_PARALLEL_FSDP2, 4);
    (void)state;
    ps_workload *w = build(GPT2, &r);
    assert_int_equal(gathered_peak(w, 1), 4 * (ROOT + BLOCK));
    ps_workload_destroy(w);
    r.parallel.fsdp.keeps_gathered = true;
    w = build(GPT2, &r);
    assert_int_equal(gathered_peak(w, 1), 4 * (ROOT + LAYERS * BLOCK));
    assert_int_equal(step_bytes(w, 1, PS_COLLECTIVE_ALL_GATHER, 1), 4 * (LAYERS * BLOCK + ROOT));
    ps_workload_destroy(w);
}

static void test_recomputed_blocks_are_not_gathered_again(void **state)
{
    ps_recipe r = small_recipe(PS_PARALLEL_FSDP2, 2);
    (void)state;
    r.checkpoint_every = 1;
    ps_workload *w = build(GPT2, &r);
    assert_int_equal(step_bytes(w, 1, PS_COLLECTIVE_ALL_GATHER, 1),
                     4 * (2 * LAYERS * BLOCK + ROOT));
    assert_int_equal(gathered_peak(w, 1), 4 * (ROOT + BLOCK));
    ps_workload_destroy(w);
}

/* What all ranks hold of a kind adds up to the whole. */
static void test_shards_of_all_ranks_are_the_whole(void **state)
{
    uint64_t states = 0;
    ps_recipe r = small_recipe(PS_PARALLEL_FSDP2, 3);
    (void)state;
    for (int64_t rank = 0; rank < 3; rank++) {
        r.parallel.rank = rank;
        ps_workload *w = build(OPT, &r);
        assert_int_equal(w->axis.place[0], rank); /* 64 rows are 22, 22, 20 */
        states += held_bytes(w, PS_ROLE_OPTIMIZER_STATE);
        if (rank == 2) {
            assert_int_equal(states, 2 * 4 * parameters_of(w));
        }
        ps_workload_destroy(w);
    }
}

static void test_more_ranks_than_rows_leave_some_empty(void **state)
{
    ps_recipe r = small_recipe(PS_PARALLEL_FSDP2, 96);
    (void)state;
    r.parallel.rank = 95; /* 64 rows of a row each, and then none */
    ps_workload *w = build(OPT, &r);
    assert_true(held_bytes(w, PS_ROLE_OPTIMIZER_STATE) < 2 * 4 * parameters_of(w) / 96);
    ps_workload_destroy(w);
}

/* Two copies of four shards: gathers within a copy, sums across. */
static void test_hybrid_shards_add_up_across_copies(void **state)
{
    ps_recipe r = small_recipe(PS_PARALLEL_FSDP2, 8);
    (void)state;
    r.parallel.shard_ranks = 4;
    ps_workload *w = build(GPT2, &r);
    const uint64_t bytes = 4 * (LAYERS * BLOCK + ROOT);
    assert_int_equal(w->axis.head.count, 2);
    assert_int_equal(w->axis.size[0], 4);
    assert_int_equal(w->axis.size[1], 2);
    assert_int_equal(step_bytes(w, 1, PS_COLLECTIVE_REDUCE_SCATTER, 1), bytes);
    assert_int_equal(step_bytes(w, 1, PS_COLLECTIVE_ALL_REDUCE, 2), bytes / 4);
    assert_int_equal(step_bytes(w, 1, PS_COLLECTIVE_ALL_REDUCE, 1), 0);
    ps_workload_destroy(w);
}

static void test_mixed_precision_gathers_half_and_keeps_whole_shards(void **state)
{
    ps_recipe r = small_recipe(PS_PARALLEL_FSDP2, 4);
    (void)state;
    r.parallel.fsdp.has_param_dtype = r.parallel.fsdp.has_reduce_dtype = true;
    r.parallel.fsdp.param_dtype = PS_DTYPE_BF16;
    r.parallel.fsdp.reduce_dtype = PS_DTYPE_F32;
    ps_workload *w = build(LLAMA, &r);
    const uint64_t elements = parameters_of(w);
    /* words, head and the last norm are gathered once */
    const uint64_t root = 2 * 1000 * 64 + 64;
    assert_int_equal(step_bytes(w, 1, PS_COLLECTIVE_ALL_GATHER, 1), 2 * (2 * elements - root));
    assert_int_equal(step_bytes(w, 1, PS_COLLECTIVE_REDUCE_SCATTER, 1), 4 * elements);
    assert_int_equal(held_bytes(w, PS_ROLE_OPTIMIZER_STATE), 2 * 4 * elements / 4);
    ps_workload_destroy(w);
}

/* Frozen weights are gathered too; gradients are those of adapters. */
static void test_adapters_alone_have_gradients(void **state)
{
    ps_recipe r = small_recipe(PS_PARALLEL_FSDP2, 2);
    (void)state;
    r.lora_rank = 4;
    r.accumulate = 2;
    ps_workload *w = build(LLAMA, &r);
    const char *trained = ps_workload_meta(w, PS_WORKLOAD_META_TRAINED);
    assert_int_equal(step_bytes(w, 1, PS_COLLECTIVE_REDUCE_SCATTER, 1),
                     4 * strtoull(trained, NULL, 10));
    assert_true(step_bytes(w, 1, PS_COLLECTIVE_ALL_GATHER, 1) > 2 * 4 * parameters_of(w));
    ps_workload_destroy(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_blocks_are_gathered_twice_and_the_rest_once),
        cmocka_unit_test(test_one_block_is_whole_at_a_time),
        cmocka_unit_test(test_recomputed_blocks_are_not_gathered_again),
        cmocka_unit_test(test_shards_of_all_ranks_are_the_whole),
        cmocka_unit_test(test_more_ranks_than_rows_leave_some_empty),
        cmocka_unit_test(test_hybrid_shards_add_up_across_copies),
        cmocka_unit_test(test_mixed_precision_gathers_half_and_keeps_whole_shards),
        cmocka_unit_test(test_adapters_alone_have_gradients),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
