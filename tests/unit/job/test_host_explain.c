/* SPDX-License-Identifier: MIT
 *
 * What a result says of a step that waits for its host: the critical path, the
 * lanes, the links, and the bandwidths that would be enough.
 */
#include "lab.h"

#include <string.h>

#include "base/memory.h"
#include "policy/break_even.h"
#include "policy/host_links.h"
#include "run/run.h"

#define MS INT64_C(1000000)
#define GB LAB_GB
#define MB UINT64_C(1000000)

static const uint32_t one[] = {1};

static void copy(ps_workload *w, uint8_t lane, uint64_t bytes, ps_memory_kind memory)
{
    const scene_copy_of what = {
        lane, lane == PS_WORKLOAD_OFFLOAD ? PS_COPY_DTOH : PS_COPY_HTOD, memory, bytes, 0, false};
    scene_copy(w, &what);
}

/* A kernel of 5 ms; behind it an offload, a worker, an upload and a kernel of 3 ms, in a chain. */
static scene chain(uint64_t down, uint64_t work, uint64_t up)
{
    scene s = {.network = {.ranks = 1}};
    ps_workload *w = scene_workload(&s, one, NULL, 1);
    scene_begin_step(w);
    scene_kernel(w, MS);
    scene_begin_step(w);
    scene_kernel(w, 5 * MS);
    scene_join(w, PS_WORKLOAD_OFFLOAD, PS_WORKLOAD_MAIN);
    copy(w, PS_WORKLOAD_OFFLOAD, down, PS_MEMORY_PINNED);
    scene_join(w, PS_WORKLOAD_WORKER, PS_WORKLOAD_OFFLOAD);
    scene_cpu(w, PS_WORKLOAD_WORKER, work, 0);
    scene_join(w, PS_WORKLOAD_UPLOAD, PS_WORKLOAD_WORKER);
    copy(w, PS_WORKLOAD_UPLOAD, up, PS_MEMORY_PINNED);
    scene_join(w, PS_WORKLOAD_MAIN, PS_WORKLOAD_UPLOAD);
    scene_kernel(w, 3 * MS);
    return s;
}

static ps_ns path_of(const lab_run *run, ps_resource resource)
{
    return run->result.steady.path_ns[resource];
}

static ps_ns start_of_copies(const lab_run *run)
{
    return run->plan->task.dur_ns[lab_task(run, "upload", PS_TASK_MEMCPY, 0)];
}

/* Everything stands on the path: 8 ms of kernels, 10 of offload, 20 of worker, 30 of upload. */
static void a_chain_is_its_own_critical_path(void **state)
{
    scene s = chain(100 * MB, 640 * MB, 300 * MB);
    (void)state;
    lab_run run = lab_simulate(&s, &lab_pair, true);
    const ps_ns start = start_of_copies(&run);
    const ps_result_steady *steady = &run.result.steady;
    assert_true(steady->is_known);
    assert_int_equal(path_of(&run, PS_RESOURCE_COMPUTE), 8 * MS);
    assert_int_equal(path_of(&run, PS_RESOURCE_OFFLOAD), 10 * MS + start);
    assert_int_equal(path_of(&run, PS_RESOURCE_CPU), 20 * MS);
    assert_int_equal(path_of(&run, PS_RESOURCE_UPLOAD), 30 * MS + start);
    assert_int_equal(path_of(&run, PS_RESOURCE_COLLECTIVE), 0);
    assert_true(path_of(&run, PS_RESOURCE_LAUNCH) > 0); /* of the first kernel */
    assert_int_equal(path_of(&run, PS_RESOURCE_LAUNCH),
                     steady->end_ns - steady->begin_ns - 68 * MS - 2 * start);
    assert_int_equal(steady->limit, PS_RESOURCE_UPLOAD);
    assert_int_equal(run.result.step_time_ns, steady->end_ns - steady->begin_ns);
    lab_end(&run);
    scene_fini(&s);
}

/* A copy beside a longer kernel is on no critical path and hidden; beside a shorter one it is the path. */
static void what_is_hidden_is_not_on_the_path(void **state)
{
    (void)state;
    for (uint64_t megabytes = 50; megabytes <= 400; megabytes += 350) {
        scene s = {.network = {.ranks = 1}};
        ps_workload *w = scene_workload(&s, one, NULL, 1);
        copy(w, PS_WORKLOAD_UPLOAD, megabytes * MB, PS_MEMORY_PINNED);
        scene_kernel(w, 20 * MS);
        lab_run run = lab_simulate(&s, &lab_pair, true);
        const bool is_longer = megabytes == 400;
        const ps_ns copying = start_of_copies(&run) + (ps_ns)megabytes * MS / 10;
        const ps_result_time *steady = &run.result.device[0].steady;
        assert_int_equal(path_of(&run, PS_RESOURCE_UPLOAD), is_longer ? copying : 0);
        assert_int_equal(path_of(&run, PS_RESOURCE_COMPUTE), is_longer ? 0 : 20 * MS);
        assert_int_equal(run.result.steady.limit,
                         is_longer ? PS_RESOURCE_UPLOAD : PS_RESOURCE_COMPUTE);
        assert_int_equal(steady->all_copies_ns, copying);
        assert_int_equal(steady->compute_ns, 20 * MS);
        assert_int_equal(steady->compute_ns + steady->collective_ns + steady->copy_ns +
                             steady->host_ns,
                         run.result.makespan_ns);
        assert_true(is_longer ? steady->copy_ns > 19 * MS : steady->copy_ns < MS);
        lab_end(&run);
        scene_fini(&s);
    }
}

static const ps_result_lane *lane_of(const lab_run *run, const char *name)
{
    const ps_plan *plan = run->plan;
    for (size_t i = 0; i < run->result.steady.lane_count; i++) {
        const ps_result_lane *lane = &run->result.steady.lane[i];
        if (strcmp(ps_strings_text(plan->strings, plan->lane.name[lane->lane]), name) == 0) {
            return lane;
        }
    }
    fail_msg("no lane %s", name);
    return NULL;
}

/* Lanes of the last step alone, and whose they are. */
static void lanes_are_told_of_the_last_step(void **state)
{
    scene s = chain(100 * MB, 640 * MB, 300 * MB);
    (void)state;
    lab_run run = lab_simulate(&s, &lab_pair, true);
    const ps_ns start = start_of_copies(&run);
    assert_int_equal(lane_of(&run, "stream")->busy_ns, 8 * MS); /* not the 1 ms of the first step */
    assert_int_equal(lane_of(&run, "offload")->busy_ns, 10 * MS + start);
    assert_int_equal(lane_of(&run, "upload")->busy_ns, 30 * MS + start);
    assert_int_equal(lane_of(&run, "worker 0")->busy_ns, 20 * MS);
    assert_int_equal(lane_of(&run, "worker 0")->device, 1);
    assert_int_equal(lane_of(&run, "host")->device, 1);
    assert_true(lane_of(&run, "host")->waiting_ns > 60 * MS);
    lab_end(&run);
    scene_fini(&s);
}

static uint64_t bytes_over(const lab_run *run, const char *name)
{
    const ps_plan *plan = run->plan;
    for (size_t i = 0; i < run->result.steady.link_count; i++) {
        const ps_result_link *link = &run->result.steady.link[i];
        if (strcmp(ps_strings_text(plan->strings, plan->link.name[link->link]), name) == 0) {
            return link->bytes;
        }
    }
    return 0;
}

static void links_are_told_of_the_last_step(void **state)
{
    scene s = chain(100 * MB, 640 * MB, 300 * MB);
    (void)state;
    lab_run run = lab_simulate(&s, &lab_pair, true);
    assert_int_equal(bytes_over(&run, "node0.gpu0.slot.in"), 300 * MB);
    assert_int_equal(bytes_over(&run, "node0.gpu0.slot.out"), 100 * MB);
    assert_int_equal(bytes_over(&run, "node0.gpu0.slot.both"), 400 * MB);
    assert_int_equal(bytes_over(&run, "node0.gpu0.threads"), 640 * MB);
    assert_int_equal(bytes_over(&run, "node0.memory0"), 1040 * MB);
    lab_end(&run);
    scene_fini(&s);
}

/* ---- other rates ---- */

/* Pinned copies follow the slot, pageable ones stay at 6 until the slot is slower. */
static void slots_change_with_what_they_hold_up(void **state)
{
    static const struct {
        uint64_t slot;
        ps_ns pinned, pageable;
    } cases[] = {{20, 5, 16}, {10, 10, 16}, {4, 25, 25}};
    scene s = {.network = {.ranks = 1}};
    ps_workload *w = scene_workload(&s, one, NULL, 1);
    ps_error err = {0};
    (void)state;
    copy(w, PS_WORKLOAD_UPLOAD, 100 * MB, PS_MEMORY_PINNED);
    scene_join(w, PS_WORKLOAD_OFFLOAD, PS_WORKLOAD_UPLOAD);
    copy(w, PS_WORKLOAD_OFFLOAD, 100 * MB, PS_MEMORY_PAGEABLE);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const ps_slot_rates to = {cases[i].slot * GB, cases[i].slot * GB, cases[i].slot * GB * 2};
        lab_run run = lab_simulate(&s, &lab_pair, true);
        assert_int_equal(ps_host_links_slots(run.plan).in_bytes_per_s, 10 * GB);
        assert_int_equal(ps_host_links_slots(run.plan).both_bytes_per_s, 15 * GB);
        assert_ok(&err, ps_host_links_set_slots(run.plan, &to, &err));
        lab_again(&run);
        assert_int_equal(lab_moving(&run, lab_task(&run, "upload", PS_TASK_MEMCPY, 0)),
                         cases[i].pinned * MS);
        assert_int_equal(lab_moving(&run, lab_task(&run, "offload", PS_TASK_MEMCPY, 0)) / MS,
                         cases[i].pageable);
        lab_end(&run);
    }
    scene_fini(&s);
}

/* Uplinks keep their ratio to slots: two that share one stay twice as slow as one. */
static void uplinks_change_in_their_ratio(void **state)
{
    const uint32_t two[] = {2};
    const ps_slot_rates to = {40 * GB, 40 * GB, 60 * GB};
    scene s = {.network = {.ranks = 2}};
    ps_error err = {0};
    (void)state;
    copy(scene_workload(&s, two, NULL, 1), PS_WORKLOAD_UPLOAD, 100 * MB, PS_MEMORY_PINNED);
    lab_run run = lab_simulate(&s, &lab_pair, true);
    assert_ok(&err, ps_host_links_set_slots(run.plan, &to, &err));
    lab_again(&run);
    assert_int_equal(lab_moving(&run, lab_task(&run, "upload", PS_TASK_MEMCPY, 0)), 5 * MS);
    lab_end(&run);
    scene_fini(&s);
}

/* Threads have what memory gives, and never more than their cores stream: here 32 or 256 GB/s. */
static void memory_changes_with_the_threads_it_held_back(void **state)
{
    static const struct {
        uint32_t cores;
        uint64_t memory;
        ps_ns expected;
    } cases[] = {{8, 120, 10}, {8, 16, 20}, {64, 60, 5}, {64, 120, 2}, {64, 600, 1}};
    ps_error err = {0};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        lab_machine machine = lab_pair;
        scene s = {.network = {.ranks = 1}};
        scene_cpu(scene_workload(&s, one, NULL, 1), PS_WORKLOAD_WORKER, 320 * MB, 0);
        machine.cores = cases[i].cores; /* of 4 GB/s each; memory moves 60 */
        lab_run run = lab_simulate(&s, &machine, true);
        assert_ok(&err, ps_host_links_set_memory(run.plan, cases[i].memory * GB, &err));
        lab_again(&run);
        assert_int_equal(lab_moving(&run, lab_task(&run, "worker 0", PS_TASK_CPU, 0)) / MS,
                         cases[i].expected);
        lab_end(&run);
        scene_fini(&s);
    }
}

/* Twice the memory is twice as fast for a copy that memory holds back. */
static void pinned_pages_change_with_their_memory(void **state)
{
    lab_machine machine = lab_pair;
    scene s = {.network = {.ranks = 1}};
    ps_error err = {0};
    (void)state;
    copy(scene_workload(&s, one, NULL, 1), PS_WORKLOAD_UPLOAD, 100 * MB, PS_MEMORY_PINNED);
    machine.memory = 4;
    lab_run run = lab_simulate(&s, &machine, true);
    assert_int_equal(lab_moving(&run, lab_task(&run, "upload", PS_TASK_MEMCPY, 0)), 25 * MS);
    assert_ok(&err, ps_host_links_set_memory(run.plan, 8 * GB, &err));
    lab_again(&run);
    assert_int_equal(lab_moving(&run, lab_task(&run, "upload", PS_TASK_MEMCPY, 0)), 125 * MS / 10);
    lab_end(&run);
    scene_fini(&s);
}

static void what_a_plan_lacks_is_refused(void **state)
{
    scene s = {.network = {.ranks = 1}};
    const ps_slot_rates to = {GB, GB, GB};
    ps_result_break_even even;
    ps_error err = {0};
    (void)state;
    scene_kernel(scene_workload(&s, one, NULL, 1), MS);
    lab_run run = lab_simulate(&s, &lab_pair, true);
    assert_false(ps_host_links_has_slots(run.plan));
    assert_int_equal(ps_host_links_set_slots(run.plan, &to, &err), PS_USAGE);
    assert_int_equal(ps_host_links_set_memory(run.plan, GB, &err), PS_USAGE);
    assert_int_equal(ps_host_links_set_threads(run.plan, GB, &err), PS_USAGE);
    assert_int_equal(ps_break_even(run.plan, PS_BREAK_EVEN_CORES, &even, &err), PS_USAGE);
    assert_false(run.result.steady.is_known);
    lab_end(&run);
    scene_fini(&s);
}

/* ---- enough ---- */

/*
 * 400 MB beside a kernel of 20 ms: a step of 20.2 ms is within 1 % of the shortest, so 400 MB must
 * come in what is left of it behind the start of the copy: a little above 20 GB/s.
 */
static void the_least_bandwidth_that_hides_a_copy(void **state)
{
    scene s = {.network = {.ranks = 1}};
    ps_workload *w = scene_workload(&s, one, NULL, 1);
    ps_result_break_even even;
    ps_error err = {0};
    (void)state;
    copy(w, PS_WORKLOAD_UPLOAD, 400 * MB, PS_MEMORY_PINNED);
    scene_kernel(w, 20 * MS);
    lab_machine machine = lab_pair;
    machine.memory = 1000;
    lab_run run = lab_simulate(&s, &machine, true);
    const ps_ns before = run.result.makespan_ns;
    const ps_ns start =
        start_of_copies(&run) + run.start_ns[lab_task(&run, "upload", PS_TASK_MEMCPY, 0)];
    assert_ok(&err, ps_break_even(run.plan, PS_BREAK_EVEN_PCIE, &even, &err));
    const ps_ns room = even.endless_ns + even.endless_ns / 100 - start;
    const uint64_t exact = ps_mul_div_u64(400 * MB, 1000000000, (uint64_t)room);
    assert_int_equal(even.now_bytes_per_s, 10 * GB);
    assert_true(even.least_bytes_per_s >= exact);
    assert_true(even.least_bytes_per_s <= exact + exact / 100);
    lab_again(&run); /* the plan is as it was */
    assert_int_equal(run.result.makespan_ns, before);
    assert_int_equal(ps_host_links_slots(run.plan).in_bytes_per_s, 10 * GB);
    lab_end(&run);
    scene_fini(&s);
}

/* Copies that are long gone when the kernel ends: less would do, and how much less is told. */
static void less_can_be_enough(void **state)
{
    scene s = {.network = {.ranks = 1}};
    ps_workload *w = scene_workload(&s, one, NULL, 1);
    ps_result_break_even even;
    ps_error err = {0};
    (void)state;
    copy(w, PS_WORKLOAD_UPLOAD, 20 * MB, PS_MEMORY_PINNED);
    scene_kernel(w, 20 * MS);
    lab_run run = lab_simulate(&s, &lab_pair, true);
    assert_ok(&err, ps_break_even(run.plan, PS_BREAK_EVEN_PCIE, &even, &err));
    assert_true(even.least_bytes_per_s > 95 * GB / 100 && even.least_bytes_per_s < 105 * GB / 100);
    assert_ok(&err, ps_break_even(run.plan, PS_BREAK_EVEN_HOST_MEMORY, &even, &err));
    assert_true(even.least_bytes_per_s > 95 * GB / 100 && even.least_bytes_per_s < 105 * GB / 100);
    lab_end(&run);
    scene_fini(&s);
}

/* Each allocation in turn fails: nothing leaks, the plan is as it was. */
static void out_of_memory_is_survived(void **state)
{
    scene s = chain(100 * MB, 640 * MB, 300 * MB);
    (void)state;
    lab_run run = lab_simulate(&s, &lab_pair, true);
    ps_code code = PS_NOMEM;
    for (unsigned long n = 1; code == PS_NOMEM; n++) {
        ps_error err = {0};
        ps_result result = {0};
        ps_memory_fail_nth(n);
        code = ps_run_plan(run.plan, &result, &err);
        ps_memory_fail_nth(0);
        assert_true(code == PS_OK || result.steady.lane == NULL);
        ps_result_fini(&result);
    }
    assert_int_equal(code, PS_OK);
    for (unsigned long n = 1; n < 60; n++) {
        ps_error err = {0};
        ps_result_break_even even = {0};
        ps_memory_fail_nth(n);
        code = ps_break_even(run.plan, PS_BREAK_EVEN_PCIE, &even, &err);
        ps_memory_fail_nth(0);
        assert_true(code == PS_OK ? even.is_known : code == PS_NOMEM && !even.is_known);
        assert_int_equal(ps_host_links_slots(run.plan).in_bytes_per_s, 10 * GB);
    }
    lab_end(&run);
    scene_fini(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_chain_is_its_own_critical_path),
        cmocka_unit_test(what_is_hidden_is_not_on_the_path),
        cmocka_unit_test(lanes_are_told_of_the_last_step),
        cmocka_unit_test(links_are_told_of_the_last_step),
        cmocka_unit_test(slots_change_with_what_they_hold_up),
        cmocka_unit_test(uplinks_change_in_their_ratio),
        cmocka_unit_test(memory_changes_with_the_threads_it_held_back),
        cmocka_unit_test(pinned_pages_change_with_their_memory),
        cmocka_unit_test(what_a_plan_lacks_is_refused),
        cmocka_unit_test(the_least_bandwidth_that_hides_a_copy),
        cmocka_unit_test(less_can_be_enough),
        cmocka_unit_test(out_of_memory_is_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
