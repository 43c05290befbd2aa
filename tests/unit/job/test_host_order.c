/* SPDX-License-Identifier: MIT
 *
 * Who waits for whom among copies, computation of the host and kernels: marks,
 * workers, copies that block. And the memory of hosts that goes with them.
 */
#include "lab.h"

#define MS INT64_C(1000000)
#define GB LAB_GB
#define MB UINT64_C(1000000)

static const uint32_t one[] = {1};

static scene alone(ps_workload **w)
{
    scene s = {.network = {.ranks = 1}};
    *w = scene_workload(&s, one, NULL, 1);
    return s;
}

static void copy(ps_workload *w, uint8_t lane, uint64_t bytes, uint32_t mark)
{
    const scene_copy_of what = {lane,
                                lane == PS_WORKLOAD_OFFLOAD ? PS_COPY_DTOH : PS_COPY_HTOD,
                                PS_MEMORY_PINNED,
                                bytes,
                                mark,
                                false};
    scene_copy(w, &what);
}

static uint32_t copies(const lab_run *run, const char *lane, size_t nth)
{
    return lab_task(run, lane, PS_TASK_MEMCPY, nth);
}

/* ---- marks ---- */

/* A lane that waits for a mark waits for that copy, not for the one launched behind it. */
static void a_lane_waits_for_the_marked_run_alone(void **state)
{
    ps_workload *w;
    scene s = alone(&w);
    (void)state;
    copy(w, PS_WORKLOAD_UPLOAD, 50 * MB, 7);
    copy(w, PS_WORKLOAD_UPLOAD, 50 * MB, 8);
    scene_join_mark(w, PS_WORKLOAD_COMPUTE, 7);
    copy(w, PS_WORKLOAD_COMPUTE, 10 * MB, 0); /* device work of that lane, to see when it begins */
    lab_run run = lab_simulate(&s, &lab_pair, true);
    const uint32_t first = copies(&run, "upload", 0), waiting = copies(&run, "compute", 0);
    assert_int_equal(run.start_ns[waiting], run.end_ns[first]);
    assert_true(run.end_ns[copies(&run, "upload", 1)] > run.start_ns[waiting]);
    lab_end(&run);
    scene_fini(&s);
}

/* A mark that is set again names the later run; one that nobody set is not waited for. */
static void a_mark_names_its_last_run(void **state)
{
    ps_workload *w;
    scene s = alone(&w);
    (void)state;
    scene_wait_mark(w, 9);
    copy(w, PS_WORKLOAD_UPLOAD, 50 * MB, 7);
    copy(w, PS_WORKLOAD_UPLOAD, 50 * MB, 7);
    scene_join_mark(w, PS_WORKLOAD_OFFLOAD, 7);
    copy(w, PS_WORKLOAD_OFFLOAD, 10 * MB, 0);
    lab_run run = lab_simulate(&s, &lab_pair, true);
    assert_int_equal(run.start_ns[copies(&run, "offload", 0)],
                     run.end_ns[copies(&run, "upload", 1)]);
    lab_end(&run);
    scene_fini(&s);
}

static void mark(ps_workload *w, uint8_t lane, uint32_t name)
{
    scene_join_mark(w, lane, name);
    w->op.kind[w->op.head.count - 1] = PS_OP_MARK;
}

/* A mark that no run sets itself names what its lane was given last when it was set. */
static void an_event_names_what_the_lane_was_given_last(void **state)
{
    ps_workload *w;
    scene s = alone(&w);
    (void)state;
    mark(w, PS_WORKLOAD_UPLOAD, 5); /* nothing yet */
    scene_wait_mark(w, 5);
    copy(w, PS_WORKLOAD_UPLOAD, 50 * MB, 0);
    mark(w, PS_WORKLOAD_UPLOAD, 5);
    copy(w, PS_WORKLOAD_UPLOAD, 50 * MB, 0);
    scene_wait_mark(w, 5);
    scene_cpu(w, PS_WORKLOAD_MAIN, 32 * MB, 0);
    lab_run run = lab_simulate(&s, &lab_pair, true);
    const uint32_t launch = lab_task(&run, "host", PS_TASK_HOST, 2);
    assert_int_equal(run.start_ns[launch], run.end_ns[copies(&run, "upload", 0)]);
    lab_end(&run);
    scene_fini(&s);
}

/* ---- freed memory ---- */

/* The plan's held tasks of a buffer. */
static size_t held(const ps_plan *plan, uint32_t buffer, uint32_t task[4])
{
    size_t count = 0;
    for (size_t i = 0; i < plan->hold.head.count; i++) {
        if (plan->hold.buffer[i] == buffer && count < 4) {
            task[count++] = plan->hold.task[i];
        }
    }
    return count;
}

/*
 * What a lane was given before the free, and what it would wait for next; nothing that came later. A
 * lane that was given nothing, or the tensor's own, holds nothing.
 */
static void freed_memory_waits_for_the_lanes_that_use_it(void **state)
{
    ps_workload *w;
    scene s = alone(&w);
    uint32_t task[4];
    (void)state;
    for (int i = 0; i < 3; i++) {
        scene_tensor(w, MB);
    }
    w->tensor.users[0] = 1u << PS_WORKLOAD_OFFLOAD;
    w->tensor.users[1] = 1u << PS_WORKLOAD_COMPUTE;
    w->tensor.user_mark[2] = 4;
    copy(w, PS_WORKLOAD_OFFLOAD, 10 * MB, 0);
    copy(w, PS_WORKLOAD_UPLOAD, 10 * MB, 4);
    scene_join(w, PS_WORKLOAD_OFFLOAD, PS_WORKLOAD_UPLOAD);
    for (uint32_t i = 0; i < 3; i++) {
        scene_free(w, i);
    }
    copy(w, PS_WORKLOAD_OFFLOAD, 10 * MB, 0);
    copy(w, PS_WORKLOAD_UPLOAD, 10 * MB, 4);
    lab_run run = lab_simulate(&s, &lab_pair, true);
    assert_int_equal(held(run.plan, 0, task), 2);
    assert_int_equal(task[0], copies(&run, "offload", 0));
    assert_int_equal(task[1], copies(&run, "upload", 0));
    assert_int_equal(held(run.plan, 1, task), 0);
    assert_int_equal(held(run.plan, 2, task), 1);
    assert_int_equal(task[0], copies(&run, "upload", 0));
    const ps_memop ops[] = {PS_MEMOP_FREE_REQUEST, PS_MEMOP_FREE, PS_MEMOP_FREE_REQUEST};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(run.plan->memop.op[3 + i], ops[i]);
    }
    lab_end(&run);
    scene_fini(&s);
}

/* The host goes on when the marked copy is done, though another still runs. */
static void the_host_waits_for_a_mark(void **state)
{
    ps_workload *w;
    scene s = alone(&w);
    (void)state;
    copy(w, PS_WORKLOAD_OFFLOAD, 50 * MB, 3);
    copy(w, PS_WORKLOAD_OFFLOAD, 50 * MB, 4);
    scene_wait_mark(w, 3);
    scene_cpu(w, PS_WORKLOAD_MAIN, 32 * MB, 0);
    lab_run run = lab_simulate(&s, &lab_pair, true);
    const uint32_t work = lab_task(&run, "host", PS_TASK_CPU, 0);
    const uint32_t launch = lab_task(&run, "host", PS_TASK_HOST, 2);
    assert_int_equal(run.start_ns[launch], run.end_ns[copies(&run, "offload", 0)]);
    assert_int_equal(run.start_ns[work], run.end_ns[launch]);
    assert_true(run.end_ns[work] < run.end_ns[copies(&run, "offload", 1)]);
    lab_end(&run);
    scene_fini(&s);
}

/* A gradient goes to the host, a worker works on it, the result goes back: one behind the other. */
static void a_worker_is_waited_for_and_waits(void **state)
{
    ps_workload *w;
    scene s = alone(&w);
    (void)state;
    copy(w, PS_WORKLOAD_OFFLOAD, 10 * MB, 1);
    scene_join_mark(w, PS_WORKLOAD_WORKER + 1, 1);
    scene_cpu(w, PS_WORKLOAD_WORKER + 1, 320 * MB, 2);
    scene_join_mark(w, PS_WORKLOAD_UPLOAD, 2);
    copy(w, PS_WORKLOAD_UPLOAD, 10 * MB, 3);
    scene_kernel(w, 2 * MS); /* beside all of it */
    lab_run run = lab_simulate(&s, &lab_pair, true);
    const uint32_t work = lab_task(&run, "worker 1", PS_TASK_CPU, 0);
    assert_int_equal(run.start_ns[work], run.end_ns[copies(&run, "offload", 0)]);
    assert_int_equal(run.start_ns[copies(&run, "upload", 0)], run.end_ns[work]);
    assert_int_equal(lab_moving(&run, work), 10 * MS); /* 320 MB at 32 GB/s */
    assert_true(run.end_ns[lab_task(&run, "stream", PS_TASK_KERNEL, 0)] < run.end_ns[work]);
    lab_end(&run);
    scene_fini(&s);
}

/* A copy that blocks holds up what the host launches next; one that does not does not. */
static void a_blocking_copy_holds_the_host(void **state)
{
    (void)state;
    for (int blocks = 0; blocks < 2; blocks++) {
        ps_workload *w;
        scene s = alone(&w);
        const scene_copy_of what = {
            PS_WORKLOAD_OFFLOAD, PS_COPY_DTOH, PS_MEMORY_PAGEABLE, 60 * MB, 0, blocks != 0};
        scene_copy(w, &what);
        scene_kernel(w, MS);
        lab_run run = lab_simulate(&s, &lab_pair, true);
        const ps_ns done = run.end_ns[copies(&run, "offload", 0)];
        const ps_ns launched = run.start_ns[lab_task(&run, "host", PS_TASK_HOST, 1)];
        assert_true(blocks != 0 ? launched == done : launched < done);
        lab_end(&run);
        scene_fini(&s);
    }
}

/* ---- memory ---- */

static const ps_result_host *host_of(const lab_run *run)
{
    return &run->result.device[0].host;
}

/* Powers of two, used again at the same size alone, never given back; pages for the rest. */
static void pinned_memory_is_kept_in_powers_of_two(void **state)
{
    ps_workload *w;
    scene s = alone(&w);
    (void)state;
    const uint32_t a = scene_host_tensor(w, PS_MEMORY_PINNED, 5000); /* 8192 */
    (void)scene_host_tensor(w, PS_MEMORY_PINNED, 4096);              /* 4096 */
    scene_free(w, a);
    (void)scene_host_tensor(w, PS_MEMORY_PINNED, 8192);                /* the first one's block */
    (void)scene_host_tensor(w, PS_MEMORY_PINNED, 4097);                /* 8192 more */
    const uint32_t b = scene_host_tensor(w, PS_MEMORY_PAGEABLE, 4097); /* two pages */
    scene_free(w, b);
    (void)scene_host_tensor(w, PS_MEMORY_PAGEABLE, 1); /* one page */
    scene_kernel(w, MS);
    lab_run run = lab_simulate(&s, &lab_pair, true);
    assert_int_equal(host_of(&run)->peak_pinned_bytes, 8192 + 4096 + 8192);
    assert_int_equal(host_of(&run)->peak_pageable_bytes, 8192);
    assert_int_equal(host_of(&run)->peak_bytes, 8192 + 4096 + 8192 + 8192);
    assert_int_equal(run.result.device[0].peak_allocated_bytes, 0); /* none of it the device's */
    lab_end(&run);
    scene_fini(&s);
}

/* Ranks of a node add up, each with its own peak; a node that has too little says so. */
static void a_node_holds_all_its_ranks(void **state)
{
    const uint32_t size[] = {4};
    lab_machine machine = lab_pair;
    (void)state;
    machine.capacity_gib = 4;
    for (int folds = 0; folds < 2; folds++) {
        for (uint64_t gib = 2; gib <= 4; gib += 2) {
            scene s = {.network = {.ranks = 4}};
            ps_workload *w = scene_workload(&s, size, NULL, 1);
            (void)scene_host_tensor(w, PS_MEMORY_PAGEABLE, gib << 30);
            scene_kernel(w, MS);
            lab_run run = lab_simulate(&s, &machine, folds != 0);
            assert_int_equal(run.plan->device.head.count, folds != 0 ? 1 : 4);
            assert_int_equal(run.result.node_count, folds != 0 ? 1 : 2);
            for (size_t i = 0; i < run.result.node_count; i++) {
                assert_int_equal(run.result.node[i].capacity_bytes, UINT64_C(4) << 30);
                assert_int_equal(run.result.node[i].peak_bytes, 2 * (gib << 30));
                assert_true(run.result.node[i].fits == (gib == 2));
            }
            lab_end(&run);
            scene_fini(&s);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lane_waits_for_the_marked_run_alone),
        cmocka_unit_test(a_mark_names_its_last_run),
        cmocka_unit_test(an_event_names_what_the_lane_was_given_last),
        cmocka_unit_test(freed_memory_waits_for_the_lanes_that_use_it),
        cmocka_unit_test(the_host_waits_for_a_mark),
        cmocka_unit_test(a_worker_is_waited_for_and_waits),
        cmocka_unit_test(a_blocking_copy_holds_the_host),
        cmocka_unit_test(pinned_memory_is_kept_in_powers_of_two),
        cmocka_unit_test(a_node_holds_all_its_ranks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
