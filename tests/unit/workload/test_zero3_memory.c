/* SPDX-License-Identifier: MIT
 *
 * ZeRO-3's memory that several streams use, how far its host runs ahead, and
 * a parameter that another module uses than the one that has it.
 */
#include "unit/workload/scheme_runs.h"

#define RANKS 4
#define STEPS 3
#define GATHER PS_WORKLOAD_GROUP
#define REDUCE (PS_WORKLOAD_GROUP + 1)

/* The head is multiplied by the model, and belongs to a module that nobody calls. */
#define WORDS 512
#define HIDDEN 64
#define MEGATRON                                                                         \
    "{\"model_type\":\"megatron_deepspeed\",\"num_hidden_layers\":6,\"hidden_size\":64," \
    "\"num_attention_heads\":4,\"num_key_value_heads\":2,\"intermediate_size\":176,"     \
    "\"vocab_size\":512}"
#define MEGATRON_SHARED                                                                  \
    "{\"model_type\":\"megatron_deepspeed\",\"num_hidden_layers\":6,\"hidden_size\":64," \
    "\"num_attention_heads\":4,\"num_key_value_heads\":2,\"intermediate_size\":176,"     \
    "\"vocab_size\":512,\"tensor_parallel\":2}"
#define HEAD_BYTES (2 * WORDS * HIDDEN)

static ps_recipe recipe(int64_t ranks)
{
    ps_recipe r = small_recipe(PS_PARALLEL_ZERO3, ranks);
    r.parameters = PS_DTYPE_BF16;
    r.optimizer = "adam";
    r.steps = STEPS;
    r.parallel.zero.offloads_optimizer = true;
    r.parallel.zero.param_persistence_threshold = 0;
    return r;
}

static bool is_used_by(const ps_workload *w, size_t tensor, uint32_t lane)
{
    return (w->tensor.users[tensor] >> lane & 1) != 0;
}

/* [bytes] of tensors of one lane that freed wait for another. */
static uint64_t shared_bytes(const ps_workload *w, uint32_t lane, uint32_t user)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < w->tensor.head.count; i++) {
        bytes += w->tensor.lane[i] == lane && is_used_by(w, i, user) ? w->tensor.bytes[i] : 0;
    }
    return bytes;
}

static void test_gradients_wait_for_the_stream_that_reduces_them(void **state)
{
    const ps_recipe r = recipe(RANKS);
    (void)state;
    ps_workload *w = build(LLAMA, &r);
    assert_int_equal(shared_bytes(w, PS_WORKLOAD_MAIN, REDUCE), 2 * STEPS * parameters_of(w));
    ps_workload_destroy(w);
}

/* In line or not: the memory is that of the stream that gathers, the user the one that computes. */
static void test_gathered_parameters_wait_for_the_computation(void **state)
{
    ps_recipe r = recipe(RANKS);
    (void)state;
    for (int in_line = 0; in_line < 2; in_line++) {
        r.parallel.zero.gathers_in_line = in_line == 1;
        ps_workload *w = build(LLAMA, &r);
        /* a model smaller than the distance of reuse is gathered once a step, but in the first */
        assert_int_equal(shared_bytes(w, GATHER, PS_WORKLOAD_MAIN),
                         2 * (STEPS + 1) * parameters_of(w));
        ps_workload_destroy(w);
    }
}

/* Buffers of collectives wait for the last one of their communicator. */
static void test_buffers_wait_for_the_communicator(void **state)
{
    const ps_recipe r = recipe(RANKS);
    size_t gathers = 0, scatters = 0;
    uint32_t mark = 0;
    (void)state;
    ps_workload *w = build(LLAMA, &r);
    for (size_t i = 0; i < w->tensor.head.count; i++) {
        if (w->tensor.user_mark[i] != 0) {
            assert_true(mark == 0 || w->tensor.user_mark[i] == mark);
            mark = w->tensor.user_mark[i];
            gathers += w->tensor.lane[i] == GATHER;
            scatters += w->tensor.lane[i] == REDUCE;
        }
    }
    assert_true(gathers > 0);
    assert_int_equal(scatters, STEPS); /* the model fits one bucket */
    for (size_t i = 0; i < w->op.head.count; i++) {
        if (w->op.collective[i] == PS_COLLECTIVE_ALL_GATHER ||
            w->op.collective[i] == PS_COLLECTIVE_REDUCE_SCATTER) {
            assert_int_equal(w->op.mark[i], mark);
        }
    }
    ps_workload_destroy(w);
}

/* Before it takes a parameter that comes, the host waits for the third before it. */
static void test_the_host_is_three_parameters_ahead(void **state)
{
    const ps_recipe r = recipe(RANKS);
    uint32_t waited[256] = {0}, marked[256] = {0};
    size_t waits = 0, marks = 0;
    (void)state;
    ps_workload *w = build(LLAMA, &r);
    for (uint32_t at = w->step.begin_event[1]; at < w->step.end_event[1]; at++) {
        const uint32_t row = w->event.ref[at];
        if (w->event.kind[at] != PS_WORKLOAD_EVENT_OP || w->op.mark[row] == 0) {
            continue;
        }
        if (w->op.kind[row] == PS_OP_MARK) {
            marked[marks++ % 256] = w->op.mark[row];
            assert_int_equal(waits, marks); /* a wait before each */
        } else if (w->op.kind[row] == PS_OP_HOST && w->op.phase[row] != PS_PHASE_OPTIMIZER &&
                   waits == marks) {
            waited[waits++ % 256] = w->op.mark[row];
        }
    }
    assert_true(marks > 12 && marks < 256);
    for (size_t i = 3; i < marks; i++) {
        assert_int_equal(waited[i], marked[i - 3]);
        assert_int_not_equal(marked[i], marked[i - 1]);
    }
    ps_workload_destroy(w);
}

/* ---- the head ---- */

static size_t head_gathers(const ps_workload *w, size_t step)
{
    size_t count = 0;
    for (uint32_t at = w->step.begin_event[step]; at < w->step.end_event[step]; at++) {
        const uint32_t row = w->event.ref[at];
        count += w->event.kind[at] == PS_WORKLOAD_EVENT_OP &&
                 w->op.collective[row] == PS_COLLECTIVE_ALL_GATHER &&
                 w->op.moved_bytes[row] == HEAD_BYTES;
    }
    return count;
}

/* By itself when it is found out, and again for backward; then once, by the model. Words likewise:
 * for the forward pass and for backward, where that is too far away. */
static void test_a_head_is_found_out_once(void **state)
{
    ps_recipe r = recipe(RANKS);
    (void)state;
    r.parallel.zero.max_reuse_distance = WORDS * HIDDEN;
    r.parallel.zero.prefetch_bucket_size = 0;
    ps_workload *w = build(MEGATRON, &r);
    assert_int_equal(head_gathers(w, 0), 2 + 2);
    assert_int_equal(head_gathers(w, 1), 1 + 2);
    assert_int_equal(head_gathers(w, 2), 1 + 2);
    ps_workload_destroy(w);
}

static size_t copies_of_head(const ps_workload *w, size_t step)
{
    size_t count = 0;
    for (uint32_t at = w->step.begin_event[step]; at < w->step.end_event[step]; at++) {
        const uint32_t row = w->event.ref[at];
        count += w->event.kind[at] == PS_WORKLOAD_EVENT_ALLOC &&
                 w->tensor.bytes[row] == HEAD_BYTES && w->tensor.role[row] == PS_ROLE_PARAMETER;
    }
    return count;
}

/* One rank has every parameter whole, and copies this one all the same: the first time. */
static void test_one_rank_copies_the_head_once(void **state)
{
    const ps_recipe r = recipe(1);
    (void)state;
    ps_workload *w = build(MEGATRON, &r);
    assert_int_equal(copies_of_head(w, 0), 1);
    assert_int_equal(copies_of_head(w, 1), 0);
    assert_int_equal(copies_of_head(w, 2), 0);
    ps_workload_destroy(w);
}

/* Ranks that share matrices alone have nothing left to divide: the one buffer, beside which none is
 * whole, whoever's the optimizer is. */
static void test_what_is_shared_by_matrices_alone_lies_once(void **state)
{
    (void)state;
    for (int offloads = 0; offloads < 2; offloads++) {
        ps_recipe r = recipe(2);
        r.parallel.zero.offloads_optimizer = offloads == 1;
        ps_workload *w = build(MEGATRON_SHARED, &r);
        assert_int_equal(held_bytes(w, PS_ROLE_PARAMETER), 2 * parameters_of(w));
        assert_int_equal(step_count(w, 1, PS_COLLECTIVE_ALL_GATHER), 0);
        ps_workload_destroy(w);
    }
}

/* [bytes] of whole parameters, and of buffers that they come in, at most. */
static uint64_t most_gathered(const ps_workload *w)
{
    uint64_t live = 0, most = 0;
    for (size_t at = 0; at < w->event.head.count; at++) {
        const uint32_t row = w->event.ref[at];
        if (w->event.kind[at] <= PS_WORKLOAD_EVENT_FREE && w->tensor.lane[row] == GATHER) {
            live = w->event.kind[at] == PS_WORKLOAD_EVENT_ALLOC ? live + w->tensor.bytes[row]
                                                                : live - w->tensor.bytes[row];
            most = live > most ? live : most;
        }
    }
    return most;
}

/*
 * Counted anew when backward has ended, parameters that are still whole then (words and head) are
 * taken off when the step releases them: so many more are fetched ahead, but for what parameters too
 * large for the rest of the limit make of it.
 */
static void test_a_count_that_begins_in_backward_lets_more_live(void **state)
{
    ps_recipe r = recipe(RANKS);
    uint64_t most[2];
    (void)state;
    r.checkpoint_every = 1;
    r.parallel.zero.max_live_parameters = 2 * WORDS * HIDDEN;
    r.parallel.zero.prefetch_bucket_size = 1;
    r.parallel.zero.max_reuse_distance = 0;
    for (int resets = 0; resets < 2; resets++) {
        r.parallel.zero.resets_in_backward = resets == 1;
        ps_workload *w = build(MEGATRON, &r);
        most[resets] = most_gathered(w);
        ps_workload_destroy(w);
    }
    const uint64_t largest = 2 * 2 * 176 * HIDDEN; /* [bytes] of a gate and its up-projection */
    assert_true(most[1] > most[0] + 2 * HEAD_BYTES - largest);
    assert_true(most[1] < most[0] + 2 * HEAD_BYTES + 2 * largest);
}

/* ---- blocks that are recomputed ---- */

static size_t products(const ps_workload *w, size_t step, ps_phase phase)
{
    size_t count = 0;
    for (uint32_t at = w->step.begin_event[step]; at < w->step.end_event[step]; at++) {
        const uint32_t row = w->event.ref[at];
        count += w->event.kind[at] == PS_WORKLOAD_EVENT_OP && w->op.kind[row] == PS_OP_MATMUL &&
                 w->op.phase[row] == (uint8_t)phase;
    }
    return count;
}

/* Megatron's checkpoint runs a block again to its end: every product of it three times as a whole in
 * backward, and the head's gradients. */
static void test_a_block_is_run_again_to_its_end(void **state)
{
    ps_recipe r = recipe(RANKS);
    (void)state;
    r.checkpoint_every = 1;
    ps_workload *w = build(MEGATRON, &r);
    const size_t head = 1, angles = 1; /* of positions: no gradient */
    const size_t once = products(w, 1, PS_PHASE_FORWARD) - head - angles;
    assert_int_equal(once, 6 * 7); /* five linear modules and two products of attention a block */
    assert_int_equal(products(w, 1, PS_PHASE_BACKWARD), 3 * once + 2 * head);
    ps_workload_destroy(w);
}

/* In line with the computation, a bucket's buffer waits for what of it went to the host. */
static void test_a_bucket_in_line_waits_for_its_own_copies(void **state)
{
    ps_recipe r = recipe(RANKS);
    uint32_t mark[2] = {0};
    (void)state;
    for (int in_line = 0; in_line < 2; in_line++) {
        r.parallel.zero.gathers_in_line = in_line == 1;
        ps_workload *w = build(LLAMA, &r);
        size_t events = 0;
        for (size_t i = 0; i < w->tensor.head.count; i++) {
            mark[in_line] = w->tensor.user_mark[i] != 0 && w->tensor.lane[i] == REDUCE
                                ? w->tensor.user_mark[i]
                                : mark[in_line];
        }
        for (size_t i = 0; i < w->event.head.count; i++) {
            const uint32_t row = w->event.ref[i];
            events += w->event.kind[i] == PS_WORKLOAD_EVENT_OP && w->op.kind[row] == PS_OP_MARK &&
                      w->op.lane[row] == REDUCE && w->op.mark[row] == mark[in_line];
        }
        assert_int_equal(events, in_line == 1 ? STEPS : 0); /* the model fits one bucket */
        ps_workload_destroy(w);
    }
    assert_int_not_equal(mark[0], mark[1]);
}

/* [bytes] of what a scripted dropout makes in a step: copies of its input, and masks of a byte each. */
static void test_nothing_dropped_leaves_masks(void **state)
{
    enum { BLOCKS = 6, SUMS = 2, PASSES = 2 };
    ps_recipe r = recipe(1);
    uint64_t copies = 0, masks = 0;
    (void)state;
    r.checkpoint_every = 1;
    ps_workload *w = build(MEGATRON, &r);
    const uint64_t elements = (uint64_t)(r.batch * r.length * HIDDEN);
    for (uint32_t at = w->step.begin_event[1]; at < w->step.end_event[1]; at++) {
        const uint32_t row = w->event.ref[at];
        if (w->event.kind[at] != PS_WORKLOAD_EVENT_ALLOC ||
            strcmp(ps_strings_text(w->strings, w->tensor.label[row]), "native_dropout") != 0) {
            continue;
        }
        copies += w->tensor.bytes[row] == 2 * elements;
        masks += w->tensor.bytes[row] == elements;
    }
    assert_int_equal(copies, BLOCKS * SUMS * PASSES);
    assert_int_equal(masks, BLOCKS * SUMS * PASSES);
    ps_workload_destroy(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gradients_wait_for_the_stream_that_reduces_them),
        cmocka_unit_test(test_gathered_parameters_wait_for_the_computation),
        cmocka_unit_test(test_buffers_wait_for_the_communicator),
        cmocka_unit_test(test_the_host_is_three_parameters_ahead),
        cmocka_unit_test(test_a_head_is_found_out_once),
        cmocka_unit_test(test_one_rank_copies_the_head_once),
        cmocka_unit_test(test_what_is_shared_by_matrices_alone_lies_once),
        cmocka_unit_test(test_a_count_that_begins_in_backward_lets_more_live),
        cmocka_unit_test(test_a_block_is_run_again_to_its_end),
        cmocka_unit_test(test_nothing_dropped_leaves_masks),
        cmocka_unit_test(test_a_bucket_in_line_waits_for_its_own_copies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
