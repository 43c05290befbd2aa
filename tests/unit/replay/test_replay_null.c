/* SPDX-License-Identifier: MIT
 *
 * The harness on the null backend: order, books, refusals. Nothing here
 * depends on time.
 */
#include "unit/plan/make_plan.h"

#include <string.h>

#include "base/memory.h"
#include "replay/replay.h"

static void run_null(const ps_plan *plan, ps_replay_report *report)
{
    ps_error err = {0};
    assert_ok(&err, ps_replay_run(plan, "null", NULL, report, &err));
    ps_replay_verdict verdict;
    assert_ok(&err, ps_replay_verify(plan, &report->log, &verdict, &err));
    assert_int_equal(verdict.violation_count, 0);
    assert_true(verdict.worst_slack_ns == PS_TIME_NEVER);
    assert_string_equal(report->backend, "null");
    assert_false(report->log.is_timed);
}

static void backends_are_complete(void **state)
{
    (void)state;
    ps_error err = {0};
    assert_true(ps_backend_count() >= 2);
    for (size_t i = 0; i < ps_backend_count(); i++) {
        const ps_backend_ops *ops = ps_backend_at(i);
        assert_ok(&err, ps_backend_check(ops, &err));
        assert_ptr_equal(ps_backend_find(ops->name), ops);
    }
    assert_null(ps_backend_find("abacus"));
    const ps_backend_ops *null_ops = ps_backend_find("null");
    assert_non_null(null_ops);
    ps_backend_ops broken = *null_ops;
    broken.abi++;
    assert_int_equal(ps_backend_check(&broken, &err), PS_INTERNAL);
    broken = *null_ops;
    broken.name = "";
    assert_int_equal(ps_backend_check(&broken, &err), PS_INTERNAL);
    broken = *null_ops;
    broken.submit = NULL;
    assert_int_equal(ps_backend_check(&broken, &err), PS_INTERNAL);
    broken = *null_ops;
    broken.capabilities |= PS_BACKEND_TIMED; /* without a clock */
    assert_int_equal(ps_backend_check(&broken, &err), PS_INTERNAL);
    broken = *null_ops;
    broken.capabilities |= PS_BACKEND_ORDERED;
    assert_int_equal(ps_backend_check(&broken, &err), PS_INTERNAL);
}

static void an_empty_plan_runs(void **state)
{
    (void)state;
    ps_plan *plan = plan_new();
    ps_replay_report report;
    run_null(plan, &report);
    assert_int_equal(report.log.task_count, 0);
    assert_int_equal(report.makespan_ns, 0);
    ps_replay_report_fini(&report);
    ps_replay_report_fini(&report);
    ps_plan_destroy(plan);
}

/* host: t0; streams: t1 after t0's start, t2 after t0's end; t3 joins the ends of both. */
static ps_plan *fork_and_join(void)
{
    ps_plan *plan = plan_new();
    const uint32_t device = plan_device(plan);
    const uint32_t host = plan_host_lane(plan);
    const uint32_t left = plan_stream(plan, device), right = plan_stream(plan, device);
    (void)plan_task(plan, host, PS_TASK_HOST, 0, 100);
    (void)plan_task(plan, left, PS_TASK_KERNEL, 0, 100);
    (void)plan_task(plan, right, PS_TASK_KERNEL, 0, 100);
    (void)plan_task(plan, host, PS_TASK_WAIT, 0, 0);
    (void)plan_dep(plan, 1, 0, PS_DEP_START_AFTER_START, 5);
    (void)plan_dep(plan, 2, 0, PS_DEP_START_AFTER_END, 5);
    (void)plan_dep(plan, 3, 1, PS_DEP_END_AFTER_END, 0);
    (void)plan_dep(plan, 3, 2, PS_DEP_END_AFTER_END, 0);
    return plan;
}

static void a_fork_is_joined(void **state)
{
    (void)state;
    ps_plan *plan = fork_and_join();
    ps_replay_report report;
    run_null(plan, &report);
    const ps_replay_log *log = &report.log;
    assert_true(log->start_order[1] > log->start_order[0]);
    assert_true(log->start_order[2] > log->end_order[0]);
    assert_true(log->end_order[3] > log->end_order[1] && log->end_order[3] > log->end_order[2]);
    ps_replay_report_fini(&report);
    ps_plan_destroy(plan);
}

static void peaks_are_as_by_hand(void **state)
{
    (void)state;
    ps_plan *plan = plan_new();
    const uint32_t device = plan_device(plan), other = plan_device(plan);
    const uint32_t host = plan_host_lane(plan);
    plan->device.base_live_bytes[device] = 1000;
    const uint32_t a = plan_task(plan, host, PS_TASK_HOST, 0, 100);
    const uint32_t b = plan_task(plan, host, PS_TASK_HOST, 50, 100);
    for (int i = 0; i < 6; i++) {
        (void)plan_buffer(plan, device, (uint64_t)100 << i); /* 100 .. 3200 */
    }
    plan->buffer.role[5] = PS_ROLE_BEFORE; /* 3200, held by a block */
    (void)plan_segment(plan, device, 4096, 4096);
    (void)plan_block(plan, device, 4096, 4096, PS_BLOCK_ALLOCATED, 6);
    const uint32_t big = plan_buffer(plan, other, 50000), refused = plan_buffer(plan, other, 9);
    const uint32_t before = plan_buffer(plan, other, 7);
    plan->buffer.role[before] = PS_ROLE_BEFORE;
    /* live 4200 at the origin */
    (void)plan_memop(plan, PS_MEMOP_ALLOC, device, 0, a, 1); /* 4300 */
    (void)plan_memop(plan, PS_MEMOP_ALLOC, device, 3, a, 2); /* 5100 */
    (void)plan_memop(plan, PS_MEMOP_FREE, device, 5, a, 3);  /* 1900 */
    (void)plan_memop(plan, PS_MEMOP_ALLOC, other, big, a, 1);
    (void)plan_memop(plan, PS_MEMOP_OOM, other, refused, a, 1);
    (void)plan_memop(plan, PS_MEMOP_FREE_REQUEST, device, 3, b, -20); /* 1100, held 1900 */
    (void)plan_memop(plan, PS_MEMOP_ALLOC, device, 4, b, -10);        /* 2700, held 3500 */
    (void)plan_memop(plan, PS_MEMOP_ALLOC, device, 2, b, 0);          /* 3100, held 3900 */
    (void)plan_memop(plan, PS_MEMOP_FREE_COMPLETE, device, 3, b, 1);  /* held 3100 */
    (void)plan_memop(plan, PS_MEMOP_ALLOC, device, 1, b, 1);          /* 3300 */
    (void)plan_memop(plan, PS_MEMOP_RELEASE_CACHE, device, 0, b, 2);
    (void)plan_memop(plan, PS_MEMOP_FREE_COMPLETE, other, before, b, 2);
    ps_replay_report report;
    run_null(plan, &report);
    const ps_replay_device *d = &report.devices[device], *o = &report.devices[other];
    assert_int_equal(d->origin_live_bytes, 4200);
    assert_int_equal(d->peak_live_bytes, 5100);
    assert_int_equal(d->peak_held_bytes, 5100);
    assert_int_equal(d->peak_real_bytes, 5100);
    assert_int_equal(d->peak_memop, 1);
    assert_int_equal(d->end_live_bytes, 3300);
    assert_int_equal(d->alloc_count, 5);
    assert_int_equal(d->free_count, 2);
    assert_int_equal(d->release_cache_count, 1);
    assert_int_equal(o->origin_live_bytes, 7);
    assert_int_equal(o->peak_live_bytes, 50007);
    assert_int_equal(o->end_live_bytes, 50000);
    assert_int_equal(o->oom_count, 1);
    assert_int_equal(o->oom_bytes, 9);
    ps_replay_report_fini(&report);

    /* plan bytes stay, real bytes are divided and rounded up one by one */
    ps_error err = {0};
    ps_replay_options options;
    ps_replay_options_init(&options);
    options.memory_scale = 1000;
    assert_ok(&err, ps_replay_run(plan, "null", &options, &report, &err));
    assert_int_equal(report.devices[device].peak_live_bytes, 5100);
    assert_int_equal(report.devices[device].peak_real_bytes, 1 + 4 + 1 + 1);
    assert_int_equal(report.devices[other].peak_real_bytes, 50 + 1);
    ps_replay_report_fini(&report);
    ps_plan_destroy(plan);
}

static void requests_keep_program_order_across_lanes(void **state)
{
    (void)state;
    ps_plan *plan = plan_new();
    const uint32_t device = plan_device(plan);
    const uint32_t a = plan_task(plan, plan_host_lane(plan), PS_TASK_HOST, 0, 100);
    const uint32_t b = plan_task(plan, plan_host_lane(plan), PS_TASK_HOST, 0, 100);
    for (uint32_t i = 0; i < 6; i++) { /* alternating, offsets against the row order */
        (void)plan_buffer(plan, device, 10);
        (void)plan_memop(plan, PS_MEMOP_ALLOC, device, i, i % 2 == 0 ? a : b, 90 - 20 * (ps_ns)i);
    }
    ps_replay_report report;
    run_null(plan, &report);
    for (size_t i = 1; i < 6; i++) {
        assert_true(report.log.memop_order[i] > report.log.memop_order[i - 1]);
    }
    ps_replay_report_fini(&report);
    ps_plan_destroy(plan);
}

static void traffic_is_counted(void **state)
{
    (void)state;
    ps_plan *plan = plan_new();
    const uint32_t device = plan_device(plan), stream = plan_stream(plan, device);
    const uint32_t link = plan_link(plan, 1000);
    const uint32_t copy = plan_copy(plan, stream, PS_COPY_HTOD, 1000, 5);
    (void)plan_copy(plan, stream, PS_COPY_HTOD, 500, 5);
    (void)plan_copy(plan, stream, PS_COPY_DTOH, 7, 5);
    const uint32_t reduce = plan_task(plan, stream, PS_TASK_COLLECTIVE, 0, 5);
    plan->task.bytes[reduce] = 64;
    plan_transfer(plan, copy, link);
    plan_transfer(plan, reduce, link);
    ps_replay_report report;
    run_null(plan, &report);
    assert_int_equal(report.copies[PS_COPY_HTOD].count, 2);
    assert_int_equal(report.copies[PS_COPY_HTOD].moved_bytes, 1500);
    assert_int_equal(report.copies[PS_COPY_DTOH].plan_bytes, 7);
    assert_int_equal(report.links.count, 1);
    assert_int_equal(report.links.moved_bytes, 64);
    assert_int_equal(report.waived[PS_TASK_COLLECTIVE], 0);
    ps_replay_report_fini(&report);

    /* a backend that can do nothing but kernels waives the rest and says so */
    ps_error err = {0};
    ps_backend_ops bare = *ps_backend_find("null");
    bare.capabilities = 0;
    assert_ok(&err, ps_replay_run_on(plan, &bare, NULL, &report, &err));
    assert_int_equal(report.waived[PS_TASK_MEMCPY], 3);
    assert_int_equal(report.waived[PS_TASK_COLLECTIVE], 1);
    assert_int_equal(report.copies[PS_COPY_HTOD].moved_bytes, 0);
    assert_int_equal(report.copies[PS_COPY_HTOD].plan_bytes, 1500);
    ps_replay_report_fini(&report);
    ps_plan_destroy(plan);
}

static void a_circle_is_named_before_anything_runs(void **state)
{
    (void)state;
    ps_error err = {0};
    ps_replay_report report;
    ps_plan *plan = plan_new();
    const uint32_t device = plan_device(plan);
    (void)plan_task(plan, plan_stream(plan, device), PS_TASK_KERNEL, 0, 1);
    (void)plan_task(plan, plan_stream(plan, device), PS_TASK_KERNEL, 0, 1);
    (void)plan_dep(plan, 0, 1, PS_DEP_START_AFTER_START, 0);
    (void)plan_dep(plan, 1, 0, PS_DEP_START_AFTER_START, 0);
    for (size_t i = 0; i < ps_backend_count(); i++) {
        assert_int_equal(ps_replay_run(plan, ps_backend_at(i)->name, NULL, &report, &err),
                         PS_DEADLOCK);
        assert_non_null(strstr(err.message, "the start of task 0 \"t0\" waits for the start of "
                                            "task 1 \"t1\" waits for the start of task 0 \"t0\""));
    }
    /* ends that wait for each other's start are no circle: a rendezvous */
    plan->dep.kind[0] = PS_DEP_END_AFTER_START;
    plan->dep.kind[1] = PS_DEP_END_AFTER_START;
    run_null(plan, &report);
    ps_replay_report_fini(&report);
    plan->dep.kind[0] = PS_DEP_END_AFTER_END;
    plan->dep.kind[1] = PS_DEP_END_AFTER_END;
    assert_int_equal(ps_replay_run(plan, "null", NULL, &report, &err), PS_DEADLOCK);
    ps_plan_destroy(plan);
}

static void a_circle_through_lanes_or_requests_is_found(void **state)
{
    (void)state;
    ps_error err = {0};
    ps_replay_report report;
    ps_plan *plan = plan_new();
    const uint32_t device = plan_device(plan);
    const uint32_t stream = plan_stream(plan, device);
    for (int i = 0; i < 30; i++) {
        (void)plan_task(plan, stream, PS_TASK_KERNEL, 0, 1);
    }
    (void)plan_dep(plan, 0, 29, PS_DEP_START_AFTER_END, 0);
    assert_int_equal(ps_replay_run(plan, "null", NULL, &report, &err), PS_DEADLOCK);
    assert_non_null(strstr(err.message, "... waits for the first"));
    ps_plan_destroy(plan);

    /* program order wants b's request before a's, yet b waits for a */
    plan = plan_new();
    (void)plan_device(plan);
    const uint32_t a = plan_task(plan, plan_host_lane(plan), PS_TASK_HOST, 0, 10);
    const uint32_t b = plan_task(plan, plan_host_lane(plan), PS_TASK_HOST, 0, 10);
    (void)plan_dep(plan, b, a, PS_DEP_START_AFTER_END, 0);
    for (uint32_t i = 0; i < 2; i++) {
        (void)plan_buffer(plan, 0, 1);
        (void)plan_memop(plan, PS_MEMOP_ALLOC, 0, i, i == 0 ? b : a, 1);
    }
    assert_int_equal(ps_replay_run(plan, "null", NULL, &report, &err), PS_DEADLOCK);
    assert_non_null(strstr(err.message, "memop 0 in task 1"));
    ps_plan_destroy(plan);
}

static void what_cannot_run_is_refused(void **state)
{
    (void)state;
    ps_error err = {0};
    ps_replay_report report;
    ps_replay_options options;
    ps_plan *plan = fork_and_join();
    assert_int_equal(ps_replay_run(plan, "abacus", NULL, &report, &err), PS_NOT_FOUND);
    ps_replay_options_init(&options);
    options.time_scale = -1;
    assert_int_equal(ps_replay_run(plan, "null", &options, &report, &err), PS_USAGE);
    ps_replay_options_init(&options);
    options.memory_scale = 0;
    assert_int_equal(ps_replay_run(plan, "null", &options, &report, &err), PS_USAGE);
    plan->task.lane[0] = 99;
    assert_int_equal(ps_replay_run(plan, "null", NULL, &report, &err), PS_CHECK_FAILED);
    ps_plan_destroy(plan);
}

static void the_planned_length_is_the_longest_chain(void **state)
{
    (void)state;
    ps_error err = {0};
    ps_plan *plan = fork_and_join();
    ps_replay_report report;
    run_null(plan, &report);
    assert_int_equal(report.planned_ns, 205); /* t0, lag, t2 */
    ps_replay_report_fini(&report);
    plan->task.gap_ns[0] = 1000;
    run_null(plan, &report);
    assert_int_equal(report.planned_ns, 1205);
    ps_replay_report_fini(&report);
    plan->task.gap_ns[0] = INT64_MAX;
    run_null(plan, &report); /* no time passes */
    assert_true(report.planned_ns == PS_TIME_NEVER);
    ps_replay_report_fini(&report);
    assert_int_equal(ps_replay_run(plan, "host", NULL, &report, &err), PS_LIMIT);
    assert_non_null(strstr(err.message, "the plan takes at least"));
    ps_plan_destroy(plan);
}

static void too_much_memory_is_refused_with_a_divisor(void **state)
{
    (void)state;
    ps_error err = {0};
    ps_replay_report report;
    ps_replay_options options;
    ps_plan *plan = plan_new();
    const uint32_t device = plan_device(plan);
    const uint32_t task = plan_task(plan, plan_host_lane(plan), PS_TASK_HOST, 0, 10);
    for (uint32_t i = 0; i < 10; i++) {
        (void)plan_buffer(plan, device, 1000001);
        (void)plan_memop(plan, PS_MEMOP_ALLOC, device, i, task, i);
    }
    ps_replay_options_init(&options);
    options.capacity_bytes = 100000;
    assert_int_equal(ps_replay_run(plan, "null", &options, &report, &err), PS_DEVICE_FULL);
    const char *divisor = strstr(err.message, "with a memory scale of ");
    assert_non_null(divisor);
    options.memory_scale = strtoull(divisor + strlen("with a memory scale of "), NULL, 10);
    assert_true(options.memory_scale >= 101 && options.memory_scale < 120);
    assert_ok(&err, ps_replay_run(plan, "null", &options, &report, &err)); /* as it said */
    assert_int_equal(report.devices[0].peak_live_bytes, 10000010);
    assert_true(report.devices[0].peak_real_bytes <= options.capacity_bytes);
    ps_replay_report_fini(&report);
    options.memory_scale = 1;
    options.capacity_bytes = 3; /* ten buffers of a byte each at least */
    assert_int_equal(ps_replay_run(plan, "null", &options, &report, &err), PS_DEVICE_FULL);
    assert_non_null(strstr(err.message, "no memory scale would"));
    ps_plan_destroy(plan);
}

static void order_is_a_linear_extension(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        ps_plan *plan = plan_random_new(&(plan_shape){1 + seed * 5, 1000, 100000}, seed);
        ps_replay_report report, again;
        print_message("seed %llu\n", (unsigned long long)seed);
        run_null(plan, &report);
        run_null(plan, &again); /* and always the same one */
        const size_t tasks = report.log.task_count, memops = report.log.memop_count;
        uint8_t *seen = calloc(2 * tasks + memops + 1, 1);
        for (size_t i = 0; i < 2 * tasks + memops; i++) {
            const uint64_t order = i < tasks       ? report.log.start_order[i]
                                   : i < 2 * tasks ? report.log.end_order[i - tasks]
                                                   : report.log.memop_order[i - 2 * tasks];
            assert_true(order >= 1 && order <= 2 * tasks + memops && seen[order] == 0);
            seen[order] = 1;
        }
        assert_memory_equal(report.log.start_order, again.log.start_order,
                            tasks * sizeof(uint64_t));
        free(seen);
        ps_replay_report_fini(&report);
        ps_replay_report_fini(&again);
        ps_plan_destroy(plan);
    }
}

static void a_wrong_log_is_recognised(void **state)
{
    (void)state;
    ps_error err = {0};
    ps_replay_verdict verdict;
    ps_replay_report report;
    ps_plan *plan = fork_and_join();
    run_null(plan, &report);
    ps_replay_log *log = &report.log;
    const uint64_t start_order = log->start_order[2];
    log->start_order[2] = 1; /* before t0's end */
    assert_int_equal(ps_replay_verify(plan, log, &verdict, &err), PS_CHECK_FAILED);
    assert_true(verdict.violation_count >= 1);
    assert_non_null(strstr(err.message, "task 2 \"t2\": dep 1 on task 0"));
    log->start_order[2] = start_order;
    /* by time: t1 may start 5 ns after t0 */
    log->is_timed = true;
    const ps_ns start[] = {0, 5, 105, 100}, over[] = {100, 105, 205, 205};
    memcpy(log->start_ns, start, sizeof start);
    memcpy(log->end_ns, over, sizeof over);
    assert_ok(&err, ps_replay_verify(plan, log, &verdict, &err));
    assert_int_equal(verdict.worst_slack_ns, 0);
    log->start_ns[1] = 4;
    assert_int_equal(ps_replay_verify(plan, log, &verdict, &err), PS_CHECK_FAILED);
    assert_int_equal(verdict.worst_slack_ns, -1);
    assert_non_null(strstr(verdict.worst, "task 1 \"t1\": dep 0 on task 0"));
    log->start_ns[1] = 6; /* and its length is 100 */
    assert_int_equal(ps_replay_verify(plan, log, NULL, &err), PS_CHECK_FAILED);
    assert_non_null(strstr(err.message, "task 1 \"t1\": length"));
    log->start_order[3] = 0;
    assert_int_equal(ps_replay_verify(plan, log, NULL, &err), PS_CHECK_FAILED);
    assert_non_null(strstr(err.message, "task 3 never ran"));
    log->task_count--;
    assert_int_equal(ps_replay_verify(plan, log, NULL, &err), PS_USAGE);
    ps_replay_report_fini(&report);
    ps_plan_destroy(plan);
}

static void wrong_requests_are_recognised(void **state)
{
    (void)state;
    ps_error err = {0};
    ps_replay_report report;
    ps_plan *plan = plan_new();
    const uint32_t device = plan_device(plan);
    const uint32_t host = plan_host_lane(plan);
    (void)plan_task(plan, host, PS_TASK_HOST, 0, 10);
    (void)plan_task(plan, host, PS_TASK_HOST, 10, 10);
    (void)plan_buffer(plan, device, 1);
    (void)plan_buffer(plan, device, 1);
    (void)plan_memop(plan, PS_MEMOP_ALLOC, device, 0, 1, -5);
    (void)plan_memop(plan, PS_MEMOP_ALLOC, device, 1, 1, 5);
    run_null(plan, &report);
    ps_replay_log *log = &report.log;
    assert_true(log->memop_order[0] > log->end_order[0]);
    assert_true(log->memop_order[0] < log->start_order[1]);
    assert_true(log->memop_order[1] > log->start_order[1]);
    const uint64_t first = log->memop_order[0];
    log->memop_order[0] = log->memop_order[1];
    log->memop_order[1] = first;
    assert_int_equal(ps_replay_verify(plan, log, NULL, &err), PS_CHECK_FAILED);
    assert_non_null(strstr(err.message, "memop"));
    log->memop_order[1] = 0;
    assert_int_equal(ps_replay_verify(plan, log, NULL, &err), PS_CHECK_FAILED);
    assert_non_null(strstr(err.message, "memop 1 never happened"));
    ps_replay_report_fini(&report);
    ps_plan_destroy(plan);
}

static ps_code count_row(void *context, const ps_replay_row *row, ps_error *err)
{
    size_t *count = context;
    assert_int_equal(row->task, *count);
    assert_int_equal(row->name[0], 't');
    assert_string_equal(row->kind, row->task == 0 ? "host" : row->task == 3 ? "wait" : "kernel");
    return ++*count == 4 ? ps_fail(err, PS_IO, "enough") : PS_OK;
}

static void the_log_can_be_exported(void **state)
{
    (void)state;
    ps_error err = {0};
    ps_plan *plan = fork_and_join();
    ps_replay_report report;
    run_null(plan, &report);
    size_t count = 0;
    assert_int_equal(ps_replay_log_rows(plan, &report.log, count_row, &count, &err), PS_IO);
    assert_int_equal(count, 4);
    ps_replay_report_fini(&report);
    ps_plan_destroy(plan);
}

static void times_scale_and_saturate(void **state)
{
    (void)state;
    assert_true(ps_replay_scale_ns(INT64_MAX - 1, 1.0) == INT64_MAX - 1);
    assert_true(ps_replay_scale_ns(10, 0.25) == 3);
    assert_true(ps_replay_scale_ns(-10, 0.25) == -3);
    assert_true(ps_replay_scale_ns(INT64_MAX, 10.0) == PS_TIME_NEVER);
    assert_true(ps_replay_scale_ns(-INT64_MAX, 10.0) == -PS_TIME_NEVER);
    assert_true(ps_replay_scale_ns(12345, 0.0) == 0);
}

static void out_of_memory_is_a_result(void **state)
{
    (void)state;
    ps_error err = {0};
    ps_plan *plan = plan_random_new(&(plan_shape){60, 1000, 1000}, 8);
    ps_code code = PS_NOMEM;
    for (unsigned long n = 1; code != PS_OK; n++) {
        ps_replay_report report = {0};
        assert_true(n < 200);
        ps_memory_fail_nth(n);
        code = ps_replay_run(plan, "null", NULL, &report, &err);
        ps_memory_fail_nth(0);
        assert_true(code == PS_OK || code == PS_NOMEM);
        ps_replay_report_fini(&report);
    }
    ps_plan_destroy(plan);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(backends_are_complete),
        cmocka_unit_test(an_empty_plan_runs),
        cmocka_unit_test(a_fork_is_joined),
        cmocka_unit_test(peaks_are_as_by_hand),
        cmocka_unit_test(requests_keep_program_order_across_lanes),
        cmocka_unit_test(traffic_is_counted),
        cmocka_unit_test(a_circle_is_named_before_anything_runs),
        cmocka_unit_test(a_circle_through_lanes_or_requests_is_found),
        cmocka_unit_test(what_cannot_run_is_refused),
        cmocka_unit_test(the_planned_length_is_the_longest_chain),
        cmocka_unit_test(too_much_memory_is_refused_with_a_divisor),
        cmocka_unit_test(order_is_a_linear_extension),
        cmocka_unit_test(a_wrong_log_is_recognised),
        cmocka_unit_test(wrong_requests_are_recognised),
        cmocka_unit_test(the_log_can_be_exported),
        cmocka_unit_test(times_scale_and_saturate),
        cmocka_unit_test(out_of_memory_is_a_result),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
