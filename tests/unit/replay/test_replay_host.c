/* SPDX-License-Identifier: MIT
 *
 * The harness where time passes: on the host backend, and on the queueing
 * backends that stand for devices. Durations are lower bounds only; a loaded
 * machine may be late, never early.
 */
#include "unit/plan/make_plan.h"

#include <string.h>

#include "unit/replay/async_backend.h"

#define MS ((ps_ns)1000000)

typedef struct machine {
    const char *name;
    const ps_backend_ops *ops;
} machine;

static size_t list_machines(machine *out)
{
    out[0] = (machine){"host", ps_backend_find("host")};
    out[1] = (machine){"async", &async_backend};
    out[2] = (machine){"ordered", &ordered_backend};
    return 3;
}

static void run_on(const ps_plan *plan, const ps_backend_ops *ops, const ps_replay_options *options,
                   ps_replay_report *report)
{
    ps_error err = {0};
    ps_replay_verdict verdict;
    assert_ok(&err, ps_replay_run_on(plan, ops, options, report, &err));
    assert_ok(&err, ps_replay_verify(plan, &report->log, &verdict, &err));
    assert_int_equal(verdict.violation_count, 0);
    assert_true(report->log.task_count == 0 || verdict.worst_slack_ns >= 0);
    assert_true(report->log.is_timed);
    assert_true(report->makespan_ns >= report->planned_ns);
}

/* Ten kernels of half a millisecond behind one another, with gaps. */
static void a_chain_takes_at_least_its_length(void **state)
{
    (void)state;
    machine machines[3];
    for (size_t m = list_machines(machines); m-- > 0;) {
        ps_plan *plan = plan_new();
        const uint32_t stream = plan_stream(plan, plan_device(plan));
        for (int i = 0; i < 10; i++) {
            (void)plan_task(plan, stream, PS_TASK_KERNEL, MS / 10, MS / 2);
        }
        ps_replay_report report;
        run_on(plan, machines[m].ops, NULL, &report);
        assert_true(report.makespan_ns >= 6 * MS);
        assert_int_equal(report.kernel_overrun.count, 10);
        assert_true(report.kernel_overrun.median_ns >= 0);
        assert_true(report.kernel_overrun.max_ns >= report.kernel_overrun.p99_ns);
        assert_int_equal(report.start_lateness.count, 10);
        assert_true(report.start_lateness.mean_ns >= 0);
        ps_replay_report_fini(&report);
        ps_plan_destroy(plan);
    }
}

/* One task a lane, each waiting for t0 in its own way. */
static void all_four_dependencies_hold_with_lags(void **state)
{
    (void)state;
    machine machines[3];
    for (size_t m = list_machines(machines); m-- > 0;) {
        ps_plan *plan = plan_new();
        const uint32_t device = plan_device(plan);
        (void)plan_task(plan, plan_stream(plan, device), PS_TASK_KERNEL, 0, 2 * MS);
        for (uint32_t kind = 0; kind < 4; kind++) {
            const uint32_t task =
                plan_task(plan, plan_stream(plan, device), PS_TASK_KERNEL, 0, MS / 10);
            (void)plan_dep(plan, task, 0, (ps_dep_kind)kind, MS);
        }
        ps_replay_report report;
        run_on(plan, machines[m].ops, NULL, &report);
        const ps_replay_log *log = &report.log;
        assert_true(log->start_ns[1] >= log->end_ns[0] + MS);
        assert_true(log->start_ns[2] >= log->start_ns[0] + MS);
        assert_true(log->end_ns[3] >= log->end_ns[0] + MS);
        assert_true(log->end_ns[4] >= log->start_ns[0] + MS);
        ps_replay_report_fini(&report);
        ps_plan_destroy(plan);
    }
}

static void a_host_wait_blocks_until_the_device_is_done(void **state)
{
    (void)state;
    machine machines[3];
    for (size_t m = list_machines(machines); m-- > 0;) {
        ps_plan *plan = plan_new();
        const uint32_t host = plan_host_lane(plan), stream = plan_stream(plan, plan_device(plan));
        const uint32_t launch = plan_task(plan, host, PS_TASK_HOST, 0, MS / 100);
        const uint32_t kernel = plan_task(plan, stream, PS_TASK_KERNEL, 0, 5 * MS);
        const uint32_t wait = plan_task(plan, host, PS_TASK_WAIT, 0, MS / 100);
        const uint32_t after = plan_task(plan, host, PS_TASK_HOST, 0, MS / 10);
        (void)plan_dep(plan, kernel, launch, PS_DEP_START_AFTER_START, MS / 1000);
        (void)plan_dep(plan, wait, kernel, PS_DEP_END_AFTER_END, 0);
        (void)plan_buffer(plan, 0, 100);
        /* while it waits, and an hour later: that one must not keep the wait from ending */
        (void)plan_memop(plan, PS_MEMOP_ALLOC, 0, 0, wait, MS);
        (void)plan_memop(plan, PS_MEMOP_FREE, 0, 0, wait, 3600 * 1000 * MS);
        (void)plan_step(plan, launch, 0, after, MS / 10);
        (void)plan_step(plan, PS_PLAN_WHOLE, 0, PS_PLAN_WHOLE, 0);
        ps_replay_report report;
        run_on(plan, machines[m].ops, NULL, &report);
        const ps_replay_log *log = &report.log;
        assert_true(log->end_ns[wait] >= log->start_ns[kernel] + 5 * MS);
        /* at its offset, unless this thread came so late that the kernel was over before */
        assert_true(log->memop_ns[0] >= log->start_ns[wait] + MS ||
                    log->memop_ns[0] >= log->end_ns[kernel]);
        assert_true(log->memop_ns[0] <= log->end_ns[wait]);
        assert_true(log->memop_ns[1] <= log->end_ns[wait]);
        assert_true(report.steps[0].measured_ns >= 5 * MS);
        assert_true(report.steps[0].end_ns <= report.makespan_ns);
        assert_int_equal(report.steps[1].measured_ns, report.makespan_ns);
        ps_replay_report_fini(&report);
        ps_plan_destroy(plan);
    }
}

static void copies_move_real_bytes(void **state)
{
    (void)state;
    ps_plan *plan = plan_new();
    const uint32_t device = plan_device(plan), stream = plan_stream(plan, device);
    const uint32_t host = plan_host_lane(plan), link = plan_link(plan, 1000000000);
    const uint64_t bytes = (uint64_t)40 << 20; /* beyond a window */
    const uint32_t up = plan_copy(plan, stream, PS_COPY_HTOD, bytes, 0);
    plan_transfer(plan, up, link);
    const uint32_t down = plan_copy(plan, stream, PS_COPY_DTOH, bytes, MS);
    const uint32_t fill = plan_task(plan, stream, PS_TASK_MEMSET, 0, 0);
    plan->task.bytes[fill] = 3 << 20;
    const uint32_t adam = plan_task(plan, host, PS_TASK_HOST, 0, MS);
    plan->task.bytes[adam] = 1 << 20;
    plan_transfer(plan, adam, link);
    ps_replay_report report;
    run_on(plan, ps_backend_find("host"), NULL, &report);
    assert_int_equal(report.copies[PS_COPY_HTOD].moved_bytes, bytes);
    assert_int_equal(report.copies[PS_COPY_DTOH].moved_bytes, bytes);
    assert_true(report.copies[PS_COPY_HTOD].move_ns > 0);
    assert_true(report.copies[PS_COPY_HTOD].bytes_per_s > 0);
    assert_true(report.log.end_ns[down] - report.log.start_ns[down] >= MS);
    assert_int_equal(report.links.moved_bytes, 1 << 20);
    assert_true(report.log.end_ns[adam] - report.log.start_ns[adam] >= MS);
    ps_replay_report_fini(&report);
    ps_replay_options options;
    ps_replay_options_init(&options);
    options.memory_scale = 1024;
    run_on(plan, ps_backend_find("host"), &options, &report);
    assert_int_equal(report.copies[PS_COPY_HTOD].plan_bytes, bytes);
    assert_int_equal(report.copies[PS_COPY_HTOD].moved_bytes, bytes / 1024);
    ps_replay_report_fini(&report);
    ps_plan_destroy(plan);
}

static void memory_is_taken_and_given_back(void **state)
{
    (void)state;
    machine machines[3];
    for (size_t m = list_machines(machines); m-- > 0;) {
        ps_plan *plan = plan_new();
        const uint32_t device = plan_device(plan), host = plan_host_lane(plan);
        plan->device.base_live_bytes[device] = 70000;
        for (uint32_t i = 0; i < 20; i++) {
            const uint32_t task = plan_task(plan, host, PS_TASK_HOST, 1000, 1000);
            (void)plan_buffer(plan, device, (uint64_t)10 << i); /* heap and mapped */
            (void)plan_memop(plan, PS_MEMOP_ALLOC, device, i, task, -500);
            if (i >= 2 && i % 2 == 0) {
                (void)plan_memop(plan, PS_MEMOP_FREE, device, i - 2, task, 500);
            }
        }
        ps_replay_report null_report, report;
        ps_error err = {0};
        assert_ok(&err, ps_replay_run(plan, "null", NULL, &null_report, &err));
        run_on(plan, machines[m].ops, NULL, &report);
        assert_memory_equal(report.devices, null_report.devices, sizeof *report.devices);
        assert_int_equal(report.devices[0].peak_real_bytes, report.devices[0].peak_held_bytes);
        if (machines[m].ops != ps_backend_find("host")) {
            assert_int_equal(async_backend_observed().live_buffers, 0);
        }
        ps_replay_report_fini(&report);
        ps_replay_report_fini(&null_report);
        ps_plan_destroy(plan);
    }
}

static void more_than_the_machine_has_is_refused(void **state)
{
    (void)state;
    ps_error err = {0};
    ps_replay_report report;
    ps_plan *plan = plan_new();
    const uint32_t device = plan_device(plan);
    const uint32_t task = plan_task(plan, plan_host_lane(plan), PS_TASK_HOST, 0, 1000);
    (void)plan_buffer(plan, device, (uint64_t)1 << 50);
    (void)plan_memop(plan, PS_MEMOP_ALLOC, device, 0, task, 0);
    assert_int_equal(ps_replay_run(plan, "host", NULL, &report, &err), PS_DEVICE_FULL);
    assert_non_null(strstr(err.message, "with a memory scale of "));
    ps_replay_options options;
    ps_replay_options_init(&options);
    options.memory_scale = (uint64_t)1 << 30;
    run_on(plan, ps_backend_find("host"), &options, &report);
    assert_true(report.devices[0].peak_live_bytes == (uint64_t)1 << 50);
    assert_true(report.devices[0].peak_real_bytes == (uint64_t)1 << 20);
    ps_replay_report_fini(&report);
    /* the system refuses what the guard was told to let through: the run ends, it does not hang */
    ps_replay_options_init(&options);
    options.capacity_bytes = UINT64_MAX;
    plan->buffer.bytes[0] = (uint64_t)1 << 62;
    assert_int_equal(ps_replay_run(plan, "host", &options, &report, &err), PS_DEVICE_FULL);
    assert_non_null(strstr(err.frame[0], "memop 0"));
    ps_plan_destroy(plan);
}

static void many_lanes_run_on_few_cores(void **state)
{
    (void)state;
    machine machines[3];
    for (size_t m = list_machines(machines); m-- > 0;) {
        ps_plan *plan = plan_new();
        const uint32_t device = plan_device(plan);
        for (uint32_t i = 0; i < 24; i++) {
            const uint32_t task =
                plan_task(plan, plan_stream(plan, device), PS_TASK_COLLECTIVE, 0, MS);
            for (uint32_t other = 0; other < 24; other++) { /* all ends meet all starts */
                if (other != task) {
                    (void)plan_dep(plan, task, other, PS_DEP_END_AFTER_START, MS);
                }
            }
        }
        ps_replay_report report;
        run_on(plan, machines[m].ops, NULL, &report);
        assert_true(report.makespan_ns >= MS);
        ps_replay_report_fini(&report);
        ps_plan_destroy(plan);
    }
}

static void every_dependency_of_random_plans_holds(void **state)
{
    (void)state;
    machine machines[3];
    for (size_t m = list_machines(machines); m-- > 0;) {
        for (uint64_t seed = 1; seed <= 25; seed++) {
            ps_plan *plan = plan_random_new(&(plan_shape){20 + seed * 8, 20000, 100000}, seed);
            ps_replay_options options;
            ps_replay_options_init(&options);
            options.time_scale = seed % 3 == 0 ? 0.0 : seed % 3 == 1 ? 1.0 : 0.37;
            print_message("%s, seed %llu\n", machines[m].name, (unsigned long long)seed);
            ps_replay_report report, null_report;
            ps_error err = {0};
            run_on(plan, machines[m].ops, &options, &report);
            assert_ok(&err, ps_replay_run(plan, "null", NULL, &null_report, &err));
            assert_memory_equal(report.devices, null_report.devices,
                                report.device_count * sizeof *report.devices);
            ps_replay_report_fini(&null_report);
            ps_replay_report_fini(&report);
            ps_plan_destroy(plan);
        }
    }
}

/* Two streams, a long queue each, the second following the first kernel by kernel. */
static ps_plan *deep_queues(void)
{
    ps_plan *plan = plan_new();
    const uint32_t device = plan_device(plan);
    const uint32_t streams[2] = {plan_stream(plan, device), plan_stream(plan, device)};
    for (uint32_t t = 0; t < 60; t++) {
        (void)plan_task(plan, streams[t % 2], PS_TASK_KERNEL, t % 7 == 0 ? 10000 : 0, 100000);
        if (t % 2 == 1) {
            (void)plan_dep(plan, t, t - 1, PS_DEP_START_AFTER_END, 0);
        }
    }
    return plan;
}

static void ordered_lanes_are_filled_ahead(void **state)
{
    (void)state;
    ps_plan *plan = deep_queues();
    ps_replay_report report;
    async_backend_hold(true); /* nothing runs until lanes are seen to be ahead */
    run_on(plan, &ordered_backend, NULL, &report);
    async_backend_hold(false);
    const async_observed seen = async_backend_observed();
    assert_int_equal(seen.submitted, 60);
    assert_true(seen.most_queued > 1); /* ahead of time */
    assert_true(seen.busy > 0);        /* until the queue was full */
    assert_true(seen.followed > 0);
    ps_replay_report_fini(&report);
    run_on(plan, &async_backend, NULL, &report);
    assert_int_equal(async_backend_observed().most_queued, 1);
    assert_int_equal(async_backend_observed().followed, 0);
    ps_replay_report_fini(&report);
    ps_plan_destroy(plan);
}

static void a_failure_in_one_lane_ends_all(void **state)
{
    (void)state;
    machine machines[3];
    ps_plan *plan = deep_queues();
    const uint32_t host = plan_host_lane(plan);
    const uint32_t wait = plan_task(plan, host, PS_TASK_WAIT, 0, 0);
    (void)plan_dep(plan, wait, 59, PS_DEP_END_AFTER_END, 0);
    async_backend_fail_at(20);
    for (size_t m = list_machines(machines); m-- > 1;) {
        ps_error err = {0};
        ps_replay_report report;
        assert_int_equal(ps_replay_run_on(plan, machines[m].ops, NULL, &report, &err), PS_IO);
        assert_string_equal(err.message, "the device fell off the bus");
        assert_non_null(strstr(err.frame[0], "task "));
    }
    async_backend_fail_at(UINT32_MAX);
    ps_plan_destroy(plan);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_chain_takes_at_least_its_length),
        cmocka_unit_test(all_four_dependencies_hold_with_lags),
        cmocka_unit_test(a_host_wait_blocks_until_the_device_is_done),
        cmocka_unit_test(copies_move_real_bytes),
        cmocka_unit_test(memory_is_taken_and_given_back),
        cmocka_unit_test(more_than_the_machine_has_is_refused),
        cmocka_unit_test(many_lanes_run_on_few_cores),
        cmocka_unit_test(every_dependency_of_random_plans_holds),
        cmocka_unit_test(ordered_lanes_are_filled_ahead),
        cmocka_unit_test(a_failure_in_one_lane_ends_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
