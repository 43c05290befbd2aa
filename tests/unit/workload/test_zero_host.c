/* SPDX-License-Identifier: MIT
 *
 * ZeRO with the optimizer on the host: which sub-groups there are, what moves
 * between device and host, and where states lie.
 */
#include "unit/workload/scheme_runs.h"

#define RANKS 4

/* Sub-groups that published runs logged: of this model's shape by so many ranks. */
typedef struct logged {
    int64_t layers, hidden, heads, keys, inner, words;
    int64_t ranks, size, groups;
    int64_t first; /* elements of the first, where that was logged; 0 unknown */
} logged;

static const logged runs[] = {
    {40, 5120, 40, 4, 13632, 50304, 1, 100000000, 81, 257556480},
    {40, 5120, 40, 4, 13632, 50304, 2, 100000000, 42, 0},
    {40, 5120, 40, 4, 13632, 50304, 4, 100000000, 21, 0},
    {32, 4096, 32, 4, 10880, 50304, 1, 100000000, 34, 0},
    {32, 4096, 32, 4, 10880, 50304, 1, 500000000, 12, 0},
    {32, 4096, 32, 4, 10880, 50304, 1, 3000000000, 2, 0},
    {32, 4096, 32, 4, 10880, 50304, 2, 100000000, 26, 0},
    {32, 4096, 32, 4, 10880, 50304, 16, 100000000, 4, 0},
    {64, 4096, 256, 16, 16384, 50304, 4, 100000000, 33, 0},
    {40, 5120, 64, 4, 20480, 50304, 4, 100000000, 31, 0},
    {60, 6656, 52, 4, 17920, 50304, 4, 100000000, 62, 0},
    {80, 8192, 64, 4, 21824, 50304, 16, 100000000, 33, 0},
};

static ps_recipe offload_recipe(int64_t ranks)
{
    ps_recipe r = small_recipe(PS_PARALLEL_ZERO3, ranks);
    r.parameters = PS_DTYPE_BF16;
    r.optimizer = "adam";
    r.parallel.zero.offloads_optimizer = true;
    return r;
}

static bool is_state(const ps_workload *w, size_t tensor)
{
    return w->tensor.role[tensor] == PS_ROLE_OPTIMIZER_STATE;
}

static void test_sub_groups_are_those_that_were_logged(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof runs / sizeof runs[0]; i++) {
        const logged *n = &runs[i];
        char text[512];
        (void)snprintf(text, sizeof text,
                       "{\"model_type\":\"megatron_deepspeed\",\"num_hidden_layers\":%lld,"
                       "\"hidden_size\":%lld,\"num_attention_heads\":%lld,"
                       "\"num_key_value_heads\":%lld,\"intermediate_size\":%lld,"
                       "\"vocab_size\":%lld}",
                       (long long)n->layers, (long long)n->hidden, (long long)n->heads,
                       (long long)n->keys, (long long)n->inner, (long long)n->words);
        ps_recipe r = offload_recipe(n->ranks);
        r.steps = 1;
        r.parallel.zero.sub_group_size = n->size;
        ps_workload *w = build(text, &r);
        uint64_t states = 0, first = 0;
        for (size_t t = 0; t < w->tensor.head.count; t++) {
            states += is_state(w, t);
            first = first == 0 && is_state(w, t) ? w->tensor.bytes[t] / 4 : first;
        }
        assert_int_equal(states, 3 * n->groups);
        assert_true(n->first == 0 || (int64_t)first == n->first);
        ps_workload_destroy(w);
    }
}

/* [bytes] that copies of a kind move between pinned or pageable memory and the device in a step. */
static uint64_t copied(const ps_workload *w, size_t step, ps_copy_kind kind, ps_memory_kind memory)
{
    uint64_t bytes = 0;
    for (uint32_t at = w->step.begin_event[step]; at < w->step.end_event[step]; at++) {
        const uint32_t row = w->event.ref[at];
        if (w->event.kind[at] == PS_WORKLOAD_EVENT_OP && w->op.kind[row] == PS_OP_COPY &&
            w->op.copy_kind[row] == (uint8_t)kind && w->op.memory[row] == (uint8_t)memory) {
            bytes += w->op.moved_bytes[row];
        }
    }
    return bytes;
}

static uint64_t computed(const ps_workload *w, size_t step)
{
    uint64_t bytes = 0;
    for (uint32_t at = w->step.begin_event[step]; at < w->step.end_event[step]; at++) {
        const uint32_t row = w->event.ref[at];
        bytes += w->event.kind[at] == PS_WORKLOAD_EVENT_OP && w->op.kind[row] == PS_OP_CPU
                     ? w->op.moved_bytes[row]
                     : 0;
    }
    return bytes;
}

/* LLAMA's parameters divide by four: a rank has a fourth of each. */
static uint64_t part_of(const ps_workload *w)
{
    return parameters_of(w) / RANKS;
}

static void test_gradients_go_down_up_and_down_again(void **state)
{
    ps_recipe r = offload_recipe(RANKS);
    (void)state;
    for (int beside = 0; beside < 2; beside++) {
        r.parallel.zero.flushes_beside = beside == 1;
        ps_workload *w = build(LLAMA, &r);
        const uint64_t part = part_of(w), wide = beside == 1 ? 4 * part : 0;
        assert_int_equal(copied(w, 1, PS_COPY_DTOH, PS_MEMORY_PINNED), 2 * part + wide);
        assert_int_equal(copied(w, 1, PS_COPY_HTOD, PS_MEMORY_PINNED), 2 * part);
        assert_int_equal(copied(w, 1, PS_COPY_DTOH, PS_MEMORY_PAGEABLE),
                         beside == 1 ? 0 : 2 * part);
        assert_int_equal(copied(w, 1, PS_COPY_HTOD, PS_MEMORY_PAGEABLE), 2 * part);
        /* 8 to unscale, 28 to step, 8 to narrow into new memory; 6 to widen where the host does that */
        assert_int_equal(computed(w, 1), (beside == 1 ? 44u : 50u) * part);
        ps_workload_destroy(w);
    }
}

static void test_each_micro_batch_goes_there_and_back(void **state)
{
    ps_recipe r = offload_recipe(RANKS);
    (void)state;
    r.accumulate = 3;
    r.parallel.zero.flushes_beside = true;
    ps_workload *w = build(LLAMA, &r);
    const uint64_t part = part_of(w);
    assert_int_equal(copied(w, 1, PS_COPY_DTOH, PS_MEMORY_PINNED), 3 * 2 * part + 4 * part);
    assert_int_equal(copied(w, 1, PS_COPY_HTOD, PS_MEMORY_PINNED), 3 * 2 * part);
    ps_workload_destroy(w);
}

/* Of equal sub-groups every second one visits: 12 bytes up in each step, down but for the last. */
static void test_states_visit_the_device_by_stride(void **state)
{
    ps_recipe r = offload_recipe(RANKS);
    uint64_t here = 0, there = 0, groups = 0, last = 0;
    (void)state;
    r.parallel.zero.flushes_beside = true;
    r.parallel.zero.update_stride = 2;
    r.parallel.zero.sub_group_size = 4000;
    ps_workload *w = build(LLAMA, &r);
    for (size_t t = 0; t < w->tensor.head.count; t++) {
        if (is_state(w, t) && w->tensor.memory[t] == PS_MEMORY_PINNED) {
            const bool visits = groups / 3 % 2 == 1;
            here += visits ? w->tensor.bytes[t] : 0;
            there += visits ? 0 : w->tensor.bytes[t];
            last = w->tensor.bytes[t] / 4;
            groups++;
        }
    }
    const bool ends_visiting = groups / 3 % 2 == 0;
    here /= 12; /* three states of 4 bytes */
    there /= 12;
    const uint64_t part = here + there;
    assert_true(groups / 3 > 8);
    assert_int_equal(copied(w, 1, PS_COPY_HTOD, PS_MEMORY_PINNED),
                     2 * part + 12 * here + 2 * there);
    assert_int_equal(copied(w, 1, PS_COPY_DTOH, PS_MEMORY_PINNED),
                     2 * part + 4 * there + 12 * (here - (ends_visiting ? last : 0)));
    assert_int_equal(computed(w, 1), (8 + 28 + 14) * there);
    ps_workload_destroy(w);
}

/* The first sub-groups are the host's, the others' states stay on the device, gradients too. */
static void test_a_ratio_leaves_states_on_the_device(void **state)
{
    ps_recipe r = offload_recipe(RANKS);
    uint64_t on_host = 0, on_device = 0;
    (void)state;
    r.parallel.zero.sub_group_size = 4000;
    r.parallel.zero.offload_millionths = PS_ZERO_WHOLE * 3 / 5;
    ps_workload *w = build(LLAMA, &r);
    for (size_t t = 0; t < w->tensor.head.count; t++) {
        on_host += is_state(w, t) && ps_memory_is_host(w->tensor.memory[t]);
        on_device += is_state(w, t) && !ps_memory_is_host(w->tensor.memory[t]);
    }
    assert_int_equal(on_host / 3, (on_host + on_device) / 3 * 3 / 5);
    assert_true(on_device > 0);
    ps_workload_destroy(w);
}

/* Alone, a rank has flat buffers and the host's optimizer as among others, and sends nothing. */
static void test_one_rank_runs_it_too(void **state)
{
    const ps_parallel_scheme schemes[] = {PS_PARALLEL_ZERO1, PS_PARALLEL_ZERO2, PS_PARALLEL_ZERO3};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        ps_recipe r = offload_recipe(1);
        r.parallel.scheme = schemes[i];
        ps_workload *w = build(LLAMA, &r);
        assert_int_equal(collectives(w), 0);
        assert_true(computed(w, 1) >= (8 + 28) * parameters_of(w));
        ps_workload_destroy(w);
    }
}

/* Sums over all axes of these, in the second step's update. */
static uint64_t sums_of_a_step(const ps_workload *w, uint32_t axes)
{
    uint64_t count = 0;
    for (uint32_t at = w->step.begin_event[1]; at < w->step.end_event[1]; at++) {
        const uint32_t row = w->event.ref[at];
        count += w->event.kind[at] == PS_WORKLOAD_EVENT_OP && w->op.kind[row] == PS_OP_COLLECTIVE &&
                 w->op.collective[row] == PS_COLLECTIVE_ALL_REDUCE &&
                 w->op.phase[row] == PS_PHASE_OPTIMIZER && w->op.axes[row] == axes;
    }
    return count;
}

/* Norms of every sub-group are summed over ranks with other data and over ranks with other parts of
 * the matrices; the host waits for both, so ranks that share matrices begin their step together. */
static void test_norms_are_summed_over_all_parts(void **state)
{
    static const char shared[] =
        "{\"model_type\":\"megatron_deepspeed\",\"num_hidden_layers\":4,\"hidden_size\":64,"
        "\"num_attention_heads\":4,\"num_key_value_heads\":2,\"intermediate_size\":128,"
        "\"vocab_size\":512,\"tensor_parallel\":2}";
    (void)state;
    for (int64_t ranks = 2; ranks <= RANKS; ranks *= 2) {
        ps_recipe r = offload_recipe(ranks);
        uint64_t states = 0;
        r.parallel.zero.sub_group_size = 20000;
        ps_workload *w = build(shared, &r);
        for (size_t t = 0; t < w->tensor.head.count; t++) {
            states += is_state(w, t);
        }
        assert_true(states / 3 > 2);
        assert_int_equal(sums_of_a_step(w, 1), states / 3);
        assert_int_equal(sums_of_a_step(w, 2), ranks > 2 ? states / 3 : 0);
        ps_workload_destroy(w);
    }
}

static void test_parameters_come_from_the_host(void **state)
{
    ps_recipe r = offload_recipe(RANKS);
    (void)state;
    r.parallel.zero.offloads_parameters = true;
    r.parallel.zero.param_persistence_threshold = 0;
    ps_workload *w = build(LLAMA, &r);
    const uint64_t part = part_of(w);
    assert_true(copied(w, 1, PS_COPY_HTOD, PS_MEMORY_PINNED) >= 2 * part + 2 * part);
    assert_int_equal(copied(w, 1, PS_COPY_HTOD, PS_MEMORY_PAGEABLE), 0);
    ps_workload_destroy(w);
}

/* The thread steps over one gradient while the next step's comes into the other. */
static void test_a_delayed_update_is_the_threads(void **state)
{
    ps_recipe r = offload_recipe(RANKS);
    size_t of_thread = 0, of_host = 0;
    (void)state;
    r.parallel.scheme = PS_PARALLEL_ZERO2;
    r.parallel.zero.delays_update = true;
    ps_workload *w = build(LLAMA, &r);
    for (size_t i = 0; i < w->op.head.count; i++) {
        if (w->op.kind[i] == PS_OP_CPU) {
            of_thread += w->op.lane[i] == PS_WORKLOAD_WORKER;
            of_host += w->op.lane[i] == PS_WORKLOAD_MAIN;
        }
    }
    assert_int_equal(of_thread, 3 * (size_t)r.steps);
    assert_int_equal(of_host, 0);
    assert_int_equal(copied(w, 0, PS_COPY_HTOD, PS_MEMORY_PINNED), 0);
    assert_true(copied(w, 1, PS_COPY_HTOD, PS_MEMORY_PINNED) >= 2 * part_of(w));
    ps_workload_destroy(w);
}

/* Wide enough for each matrix's gradient to be a file; the norms' are not. */
#define WIDE                                                                    \
    "{\"model_type\":\"llama\",\"hidden_size\":512,\"intermediate_size\":1024," \
    "\"num_hidden_layers\":2,\"num_attention_heads\":4,\"vocab_size\":512}"
#define WIDE_MATRICES (UINT64_C(512) * (2 * 512 + 2 * (4 * 512 + 3 * 1024)))
#define WIDE_NORMS (UINT64_C(512) * 5)

static ps_recipe stored_recipe(bool reads_ahead, bool writes_behind)
{
    ps_recipe r = offload_recipe(1);
    r.parallel.zero.stores_optimizer = true;
    r.parallel.zero.sub_group_size = 1000000;
    r.parallel.zero.reads_ahead = reads_ahead;
    r.parallel.zero.writes_behind = writes_behind;
    r.parallel.zero.swap_buffers = 12;
    return r;
}

static uint64_t moved_by(const ps_workload *w, ps_op_kind kind)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < w->event.head.count; i++) {
        if (w->event.kind[i] == PS_WORKLOAD_EVENT_OP && w->op.kind[w->event.ref[i]] == kind) {
            bytes += w->op.moved_bytes[w->event.ref[i]];
        }
    }
    return bytes;
}

/* Twelve bytes a parameter and its gradient's four are read in a step, and as much is written. */
static void test_states_lie_on_disks(void **state)
{
    (void)state;
    for (int pipelined = 0; pipelined < 4; pipelined++) {
        const ps_recipe r = stored_recipe((pipelined & 1) != 0, (pipelined & 2) != 0);
        ps_workload *w = build(WIDE, &r);
        const uint64_t step = 12 * (WIDE_MATRICES + WIDE_NORMS) + 4 * WIDE_MATRICES;
        uint64_t on_disks = 0;
        for (size_t i = 0; i < w->tensor.head.count; i++) {
            on_disks += w->tensor.memory[i] == PS_MEMORY_STORAGE ? w->tensor.bytes[i] : 0;
            assert_true(!is_state(w, i) || w->tensor.memory[i] == PS_MEMORY_STORAGE);
        }
        assert_true(on_disks == 16 * (WIDE_MATRICES + WIDE_NORMS));
        assert_true(moved_by(w, PS_OP_READ) == (uint64_t)r.steps * step);
        assert_true(moved_by(w, PS_OP_WRITE) == (uint64_t)r.steps * step);
        ps_workload_destroy(w);
    }
}

static void test_disks_are_refused_where_states_are_not_theirs(void **state)
{
    (void)state;
    for (int what = 0; what < 5; what++) {
        ps_recipe r = stored_recipe(true, true);
        ps_workload *w = NULL;
        ps_error err = {0};
        r.parallel.zero.swap_buffers = what == 0 ? 11 : what == 1 ? 65 : 12;
        r.parallel.scheme = what == 2 ? PS_PARALLEL_ZERO2 : r.parallel.scheme;
        r.parallel.zero.update_stride = what == 3 ? 2 : 0;
        r.parallel.zero.stores_optimizer = what != 4;
        assert_int_equal(try_build(WIDE, &r, &w, &err), PS_USAGE);
        assert_null(w);
    }
}

static void test_what_makes_no_sense_is_refused(void **state)
{
    (void)state;
    for (int what = 0; what < 5; what++) {
        ps_recipe r = offload_recipe(RANKS);
        ps_workload *w = NULL;
        ps_error err = {0};
        r.parameters = what == 0 ? PS_DTYPE_F32 : r.parameters;
        r.optimizer = what == 1 ? "lomo" : what == 2 ? "sgd" : r.optimizer;
        r.parallel.zero.update_stride = what == 3 ? 1 : 0;
        r.parallel.zero.offloads_optimizer = what != 4;
        r.parallel.zero.flushes_beside = what == 4;
        assert_int_equal(try_build(LLAMA, &r, &w, &err), PS_USAGE);
        assert_null(w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sub_groups_are_those_that_were_logged),
        cmocka_unit_test(test_gradients_go_down_up_and_down_again),
        cmocka_unit_test(test_each_micro_batch_goes_there_and_back),
        cmocka_unit_test(test_states_visit_the_device_by_stride),
        cmocka_unit_test(test_a_ratio_leaves_states_on_the_device),
        cmocka_unit_test(test_one_rank_runs_it_too),
        cmocka_unit_test(test_norms_are_summed_over_all_parts),
        cmocka_unit_test(test_parameters_come_from_the_host),
        cmocka_unit_test(test_a_delayed_update_is_the_threads),
        cmocka_unit_test(test_states_lie_on_disks),
        cmocka_unit_test(test_disks_are_refused_where_states_are_not_theirs),
        cmocka_unit_test(test_what_makes_no_sense_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
