/* SPDX-License-Identifier: MIT
 *
 * DeepSpeed's stages: what goes over the wire, what each rank keeps, and when
 * parameters are whole.
 */
#include "unit/workload/scheme_runs.h"

#define RANKS ((uint64_t)4)

/* Blocks are nearly all of it. */
#define DEEP                                                                        \
    "{\"model_type\":\"llama\",\"vocab_size\":100,\"hidden_size\":64,"              \
    "\"intermediate_size\":176,\"num_hidden_layers\":12,\"num_attention_heads\":4," \
    "\"num_key_value_heads\":2,\"max_position_embeddings\":64}"

static ps_recipe zero_recipe(ps_parallel_scheme scheme)
{
    ps_recipe r = small_recipe(scheme, (int64_t)RANKS);
    r.parameters = PS_DTYPE_BF16;
    r.steps = 4;
    ps_zero_settings_auto(&r.parallel.zero, 64);
    return r;
}

/* [bytes] of what the main and the gather lane hold of whole parameters at most in a step. */
static uint64_t whole_peak(const ps_workload *w, size_t step)
{
    uint64_t live = 0, peak = 0;
    for (size_t at = w->step.begin_event[0]; at < w->step.end_event[step]; at++) {
        const uint32_t row = w->event.ref[at];
        if (w->event.kind[at] != PS_WORKLOAD_EVENT_OP && w->tensor.role[row] == PS_ROLE_PARAMETER) {
            live = w->event.kind[at] == PS_WORKLOAD_EVENT_ALLOC ? live + w->tensor.bytes[row]
                                                                : live - w->tensor.bytes[row];
            peak = at >= w->step.begin_event[step] && live > peak ? live : peak;
        }
    }
    return peak;
}

/* ---- stage 3 ---- */

/*
 * Module by module, as long as their order is not known: each gathers what it has before it runs
 * and before backward does, embeddings too. A head with the words' weight gathers them once more
 * each time.
 */
static void test_stage_3_gathers_twice_and_scatters_once(void **state)
{
    const char *const configs[] = {GPT2, LLAMA};
    const uint64_t again[] = {2 * 2 * 1000 * 64, 0};
    ps_recipe r = zero_recipe(PS_PARALLEL_ZERO3);
    (void)state;
    r.parallel.zero.max_reuse_distance = 0;
    r.parallel.zero.param_persistence_threshold = 0;
    for (size_t i = 0; i < 2; i++) {
        ps_workload *w = build(configs[i], &r);
        const uint64_t bytes = 2 * parameters_of(w);
        assert_int_equal(step_bytes(w, 0, PS_COLLECTIVE_ALL_GATHER, 1), 2 * bytes + again[i]);
        for (size_t step = 0; step < 4; step++) {
            assert_int_equal(step_bytes(w, step, PS_COLLECTIVE_REDUCE_SCATTER, 1), bytes);
        }
        ps_workload_destroy(w);
    }
}

/* The order is noted in the first micro-batch and followed in the second: fewer, larger gathers. */
static void test_stage_3_fetches_ahead_when_it_knows_the_order(void **state)
{
    ps_recipe r = zero_recipe(PS_PARALLEL_ZERO3);
    (void)state;
    r.parallel.zero.max_reuse_distance = 0;
    r.parallel.zero.prefetch_bucket_size = 20000;
    ps_workload *w = build(GPT2, &r);
    const size_t alone = step_count(w, 0, PS_COLLECTIVE_ALL_GATHER);
    assert_true(step_count(w, 1, PS_COLLECTIVE_ALL_GATHER) < alone / 2);
    assert_int_equal(step_count(w, 1, PS_COLLECTIVE_ALL_GATHER),
                     step_count(w, 3, PS_COLLECTIVE_ALL_GATHER));
    ps_workload_destroy(w);
}

/* Within DeepSpeed's usual distance of reuse a small model stays whole from forward to backward. */
static void test_stage_3_keeps_what_is_used_again_soon(void **state)
{
    ps_recipe r = zero_recipe(PS_PARALLEL_ZERO3);
    uint64_t volume[2], peak[2];
    (void)state;
    r.parallel.zero.param_persistence_threshold = 0;
    r.parallel.zero.prefetch_bucket_size = 0;
    for (int far = 0; far < 2; far++) {
        r.parallel.zero.max_reuse_distance = far == 1 ? 1000000000 : 0;
        ps_workload *w = build(DEEP, &r);
        volume[far] = step_bytes(w, 3, PS_COLLECTIVE_ALL_GATHER, 1);
        peak[far] = whole_peak(w, 3);
        if (far == 1) {
            assert_int_equal(volume[far], 2 * parameters_of(w));
            assert_int_equal(peak[far], 2 * parameters_of(w));
        }
        ps_workload_destroy(w);
    }
    assert_true(volume[1] < volume[0]);
    assert_true(peak[0] < peak[1] / 3);
}

static void test_small_parameters_stay(void **state)
{
    ps_recipe r = zero_recipe(PS_PARALLEL_ZERO3);
    (void)state;
    r.parallel.zero.max_reuse_distance = 0;
    r.parallel.zero.param_persistence_threshold = 64;
    ps_workload *w = build(LLAMA, &r);
    /* norms, two a block and the last, are still gathered for each use, and then after the step */
    const uint64_t norms = 9 * 64 * 2;
    const uint64_t first = step_bytes(w, 0, PS_COLLECTIVE_ALL_GATHER, 1);
    assert_int_equal(first, 2 * 2 * parameters_of(w) + norms);
    const uint64_t with = step_bytes(w, 2, PS_COLLECTIVE_ALL_GATHER, 1);
    ps_workload_destroy(w);
    r.parallel.zero.param_persistence_threshold = 0;
    w = build(LLAMA, &r);
    assert_true(with < step_bytes(w, 2, PS_COLLECTIVE_ALL_GATHER, 1));
    ps_workload_destroy(w);
}

/* Micro-batch by micro-batch: there is nothing to keep whole gradients in. */
static void test_stage_3_exchanges_every_micro_batch(void **state)
{
    ps_recipe r = zero_recipe(PS_PARALLEL_ZERO3);
    (void)state;
    r.accumulate = 3;
    ps_workload *w = build(GPT2, &r);
    assert_int_equal(step_bytes(w, 1, PS_COLLECTIVE_REDUCE_SCATTER, 1), 3 * 2 * parameters_of(w));
    ps_workload_destroy(w);
}

static void test_stage_3_runs_recomputed_blocks_and_adapters(void **state)
{
    ps_recipe r = zero_recipe(PS_PARALLEL_ZERO3);
    (void)state;
    r.checkpoint_every = 1;
    r.parallel.zero.max_reuse_distance = 0;
    r.parallel.zero.param_persistence_threshold = 0;
    ps_workload *w = build(LLAMA, &r);
    const uint64_t bytes = 2 * parameters_of(w);
    /* forward, forward again, and backward: three gathers at most of what is in blocks */
    assert_in_range(step_bytes(w, 0, PS_COLLECTIVE_ALL_GATHER, 1), 2 * bytes + 1, 3 * bytes);
    ps_workload_destroy(w);
    r.lora_rank = 4;
    w = build(LLAMA, &r);
    const char *trained = ps_workload_meta(w, PS_WORKLOAD_META_TRAINED);
    assert_int_equal(step_bytes(w, 1, PS_COLLECTIVE_REDUCE_SCATTER, 1),
                     2 * strtoull(trained, NULL, 10));
    assert_int_equal(held_bytes(w, PS_ROLE_OPTIMIZER_STATE), 12 * strtoull(trained, NULL, 10) / 4);
    ps_workload_destroy(w);
}

/* 2 bytes of parameters, 2 of gradients and 12 of states, each divided; padding besides. */
static void test_stage_3_divides_everything(void **state)
{
    const ps_recipe r = zero_recipe(PS_PARALLEL_ZERO3);
    ps_workload *w = build(LLAMA, &r);
    const uint64_t elements = parameters_of(w);
    (void)state;
    assert_int_equal(held_bytes(w, PS_ROLE_OPTIMIZER_STATE), 12 * elements / RANKS);
    assert_int_equal(held_bytes(w, PS_ROLE_GRADIENT), 2 * elements / RANKS);
    assert_int_equal(w->axis.place[0], PS_WORKLOAD_ANYWHERE);
    ps_workload_destroy(w);
}

/* ---- stages 1 and 2 ---- */

/* Parameters padded to twice the number of ranks. */
static uint64_t padded(const ps_workload *w)
{
    return (parameters_of(w) + 2 * RANKS - 1) / (2 * RANKS) * (2 * RANKS);
}

/* [bytes] of 16-bit parameters live at most before the first step. */
static uint64_t loading_peak(const ps_workload *w)
{
    uint64_t live = 0, peak = 0;
    for (size_t at = 0; at < w->step.begin_event[0]; at++) {
        const uint32_t row = w->event.ref[at];
        const uint64_t bytes = w->event.kind[at] == PS_WORKLOAD_EVENT_ALLOC ||
                                       w->event.kind[at] == PS_WORKLOAD_EVENT_FREE
                                   ? w->tensor.bytes[row]
                                   : 0;
        if (bytes > 0 && w->tensor.role[row] == PS_ROLE_PARAMETER) {
            live = w->event.kind[at] == PS_WORKLOAD_EVENT_ALLOC ? live + bytes : live - bytes;
            peak = live > peak ? live : peak;
        }
    }
    return peak;
}

/* One flat buffer beside the model, or in its place where the device does not hold both. */
static void test_a_device_without_room_joins_parameters_on_the_host(void **state)
{
    ps_recipe r = zero_recipe(PS_PARALLEL_ZERO2);
    ps_workload *beside = build(DEEP, &r);
    const uint64_t twice = loading_peak(beside);
    (void)state;
    r.parallel.zero.device_bytes = twice;
    ps_workload *just = build(DEEP, &r);
    r.parallel.zero.device_bytes = twice * 9 / 10;
    ps_workload *instead = build(DEEP, &r);
    assert_true(loading_peak(just) == twice);
    assert_true(loading_peak(instead) <= twice / 2 + 1024);
    assert_true(loading_peak(instead) >= twice / 2 - 1024);
    ps_workload_destroy(beside);
    ps_workload_destroy(just);
    ps_workload_destroy(instead);
}

static void test_stages_1_and_2_sum_gradients_and_gather_parameters(void **state)
{
    const ps_parallel_scheme schemes[] = {PS_PARALLEL_ZERO1, PS_PARALLEL_ZERO2};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        ps_recipe r = zero_recipe(schemes[i]);
        r.accumulate = 2;
        ps_workload *w = build(OPT, &r);
        const uint64_t bytes = 2 * parameters_of(w), norm = 4;
        /* stage 1 sums what has been accumulated, stage 2 each micro-batch's */
        assert_int_equal(step_bytes(w, 1, PS_COLLECTIVE_ALL_REDUCE, 1), (i + 1) * bytes + norm);
        assert_int_equal(step_bytes(w, 1, PS_COLLECTIVE_ALL_GATHER, 1), 2 * padded(w));
        assert_int_equal(held_bytes(w, PS_ROLE_OPTIMIZER_STATE), 12 * padded(w) / RANKS);
        ps_workload_destroy(w);
    }
}

/* Each slice goes to the rank whose part it is in: half the volume of a sum for all. */
static void test_stage_2_may_reduce_to_owners(void **state)
{
    ps_recipe r = zero_recipe(PS_PARALLEL_ZERO2);
    (void)state;
    r.parallel.zero.reduces_to_owners = true;
    ps_workload *w = build(GPT2, &r);
    assert_int_equal(step_bytes(w, 1, PS_COLLECTIVE_REDUCE, 1), 2 * parameters_of(w));
    assert_int_equal(step_bytes(w, 1, PS_COLLECTIVE_ALL_REDUCE, 1), 4);
    ps_workload_destroy(w);
}

/* Parts of all ranks together are all elements, and the padding of the last. */
static void test_parts_of_all_ranks_are_the_whole(void **state)
{
    uint64_t wide = 0;
    ps_recipe r = zero_recipe(PS_PARALLEL_ZERO2);
    (void)state;
    for (int64_t rank = 0; rank < (int64_t)RANKS; rank++) {
        r.parallel.rank = rank;
        ps_workload *w = build(OPT, &r);
        assert_int_equal(w->axis.place[0], rank);
        for (uint32_t at = w->step.begin_event[1]; at < w->step.end_event[1]; at++) {
            const uint32_t row = w->event.ref[at];
            if (w->event.kind[at] == PS_WORKLOAD_EVENT_OP &&
                strcmp(ps_strings_text(w->strings, w->op.name[row]), "linalg_vector_norm") == 0) {
                wide += w->op.moved_bytes[row]; /* of each gradient's slice in the part, 64 bits */
            }
        }
        if (rank == (int64_t)RANKS - 1) {
            assert_int_equal(wide, 8 * parameters_of(w));
        }
        ps_workload_destroy(w);
    }
}

/* A bucket is there while backward runs, two where sums run beside it. */
static void test_stage_2_has_buckets_in_backward(void **state)
{
    ps_recipe r = zero_recipe(PS_PARALLEL_ZERO2);
    uint64_t peak[2];
    (void)state;
    r.parallel.zero.reduce_bucket_size = 50000000;
    for (int overlaps = 0; overlaps < 2; overlaps++) {
        r.parallel.zero.has_overlap_comm = true;
        r.parallel.zero.overlap_comm = overlaps == 1;
        ps_workload *w = build(GPT2, &r);
        peak[overlaps] = peak_bytes(w, 2);
        ps_workload_destroy(w);
    }
    assert_int_equal(peak[1] - peak[0], 2 * 50000000);
}

static void test_each_stage_needs_less_than_the_one_before(void **state)
{
    const ps_parallel_scheme schemes[] = {PS_PARALLEL_DDP, PS_PARALLEL_ZERO1, PS_PARALLEL_ZERO2,
                                          PS_PARALLEL_ZERO3};
    uint64_t peak[4];
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        ps_recipe r = zero_recipe(schemes[i]);
        r.length = 4;
        r.has_masters = schemes[i] == PS_PARALLEL_DDP;
        r.parallel.zero.max_reuse_distance = 0;
        r.parallel.zero.prefetch_bucket_size = 0;
        ps_workload *w = build(DEEP, &r);
        peak[i] = peak_bytes(w, 2);
        ps_workload_destroy(w);
    }
    assert_true(peak[1] < peak[0]);
    assert_true(peak[2] < peak[1]);
    assert_true(peak[3] < peak[2]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stage_3_gathers_twice_and_scatters_once),
        cmocka_unit_test(test_stage_3_fetches_ahead_when_it_knows_the_order),
        cmocka_unit_test(test_stage_3_keeps_what_is_used_again_soon),
        cmocka_unit_test(test_small_parameters_stay),
        cmocka_unit_test(test_stage_3_exchanges_every_micro_batch),
        cmocka_unit_test(test_stage_3_runs_recomputed_blocks_and_adapters),
        cmocka_unit_test(test_stage_3_divides_everything),
        cmocka_unit_test(test_a_device_without_room_joins_parameters_on_the_host),
        cmocka_unit_test(test_stages_1_and_2_sum_gradients_and_gather_parameters),
        cmocka_unit_test(test_stage_2_may_reduce_to_owners),
        cmocka_unit_test(test_parts_of_all_ranks_are_the_whole),
        cmocka_unit_test(test_stage_2_has_buckets_in_backward),
        cmocka_unit_test(test_each_stage_needs_less_than_the_one_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
