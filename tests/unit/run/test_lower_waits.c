/* SPDX-License-Identifier: MIT
 *
 * Lowering of host calls that wait for device work: synchronisations, blocking
 * copies and launches into a full queue.
 */
#include "make_trace.h"

#include "lower/lower.h"

/* ---- synchronisations ---- */

/* A kernel that ends at 55000, awaited by `call`, which returns at 60000. */
static ps_trace *awaited_kernel(const char *call)
{
    ps_trace *trace = trace_new();
    put_launch(trace, (span){0, 1000}, stream_7, (span){5000, 55000}, "k", 1);
    put_call(trace, MAIN_THREAD, (span){30000, 60000}, call, 2);
    put_call(trace, MAIN_THREAD, (span){62000, 63000}, "cudaGetDevice", 0);
    return trace;
}

static void a_synchronisation_keeps_only_what_came_after_the_work(void **state)
{
    (void)state;
    const struct {
        const char *call;
        ps_dep_origin origin;
    } waits[] = {{"cudaStreamSynchronize", PS_DEP_INFERRED},
                 {"cudaEventSynchronize", PS_DEP_INFERRED},
                 {"hipStreamSynchronize", PS_DEP_INFERRED},
                 {"cudaDeviceSynchronize", PS_DEP_RULE},
                 {"cuCtxSynchronize", PS_DEP_RULE}};
    for (size_t i = 0; i < sizeof waits / sizeof waits[0]; i++) {
        play p = play_trace(awaited_kernel(waits[i].call));
        const uint32_t kernel = task_named(p.plan, "k", 0);
        assert_int_equal(p.plan->task.kind[1], PS_TASK_WAIT);
        assert_int_equal(p.plan->task.dur_ns[1], 5000);
        dep_is(p.plan, 1, kernel, PS_DEP_END_AFTER_END, 5000, waits[i].origin);
        play_is(&p, 1, 30000, 60000);
        p.plan->task.dur_ns[kernel] += 7000;
        play_again(&p);
        play_is(&p, 1, 30000, 67000);
        play_is(&p, 2, 69000, 70000);
        p.plan->task.dur_ns[kernel] = 1000; /* done long before: only the call's own cost is left */
        play_again(&p);
        play_is(&p, 1, 30000, 35000);
        play_end(&p);
    }
}

static void a_synchronisation_that_found_its_work_done_may_wait_later(void **state)
{
    (void)state;
    ps_trace *trace = trace_new();
    put_launch(trace, (span){0, 1000}, stream_7, (span){5000, 25000}, "k", 1);
    put_call(trace, MAIN_THREAD, (span){32000, 33000}, "cudaStreamSynchronize", 2);
    play p = play_trace(trace);
    const uint32_t kernel = task_named(p.plan, "k", 0);
    play_is(&p, 1, 32000, 33000);
    assert_int_equal(p.plan->task.dur_ns[1], 1000);
    assert_int_equal(p.plan->task.kind[1], PS_TASK_WAIT);
    p.plan->task.dur_ns[kernel] += 20000; /* ends at 45000 */
    play_again(&p);
    assert_true(p.end[1] >= 45000);
    assert_true(p.end[1] <= 45000 + 8000); /* no later than what such calls take to return */
    play_end(&p);
}

static void a_synchronisation_awaits_the_stream_that_ended_last(void **state)
{
    (void)state;
    ps_trace *trace = trace_new();
    put_launch(trace, (span){0, 1000}, stream_7, (span){5000, 20000}, "early", 1);
    put_launch(trace, (span){1000, 2000}, stream_9, (span){6000, 50000}, "late", 2);
    put_launch(trace, (span){2000, 3000}, (place){0, 11}, (span){8000, 90000}, "later", 3);
    put_call(trace, MAIN_THREAD, (span){10000, 52000}, "cudaStreamSynchronize", 4);
    play p = play_trace(trace);
    assert_int_equal(dep_count(p.plan, 3), 1);
    dep_is(p.plan, 3, task_named(p.plan, "late", 0), PS_DEP_END_AFTER_END, 2000, PS_DEP_INFERRED);
    play_is(&p, 3, 10000, 52000);
    play_end(&p);
}

static void a_device_synchronisation_awaits_every_stream(void **state)
{
    (void)state;
    ps_trace *trace = trace_new();
    put_launch(trace, (span){0, 1000}, stream_7, (span){5000, 20000}, "early", 1);
    put_launch(trace, (span){1000, 2000}, stream_9, (span){6000, 50000}, "late", 2);
    put_call(trace, MAIN_THREAD, (span){10000, 52000}, "cudaDeviceSynchronize", 3);
    play p = play_trace(trace);
    const uint32_t early = task_named(p.plan, "early", 0), late = task_named(p.plan, "late", 0);
    assert_int_equal(dep_count(p.plan, 2), 2);
    play_is(&p, 2, 10000, 52000);
    p.plan->task.dur_ns[early] += 10000; /* ends at 30000: nobody waited for that */
    play_again(&p);
    play_is(&p, 2, 10000, 52000);
    p.plan->task.dur_ns[early] += 50000; /* ends at 80000, after the other */
    play_again(&p);
    assert_true(p.end[2] >= 80000 && p.end[2] <= 85000);
    p.plan->task.dur_ns[early] = 1000;
    p.plan->task.dur_ns[late] += 3000;
    play_again(&p);
    play_is(&p, 2, 10000, 55000);
    play_end(&p);
}

static void work_launched_after_the_wait_began_is_not_awaited(void **state)
{
    (void)state;
    ps_trace *trace = trace_new();
    put_launch(trace, (span){0, 1000}, stream_7, (span){5000, 40000}, "mine", 1);
    put_call(trace, MAIN_THREAD, (span){10000, 52000}, "cudaStreamSynchronize", 2);
    put_call(trace, BACKWARD_THREAD, (span){20000, 21000}, "cudaLaunchKernel", 3);
    put_kernel(trace, stream_9, (span){30000, 50000}, "theirs", 3);
    play p = play_trace(trace);
    assert_int_equal(dep_row(p.plan, 1, task_named(p.plan, "theirs", 0)), NO_ROW);
    dep_is(p.plan, 1, task_named(p.plan, "mine", 0), PS_DEP_END_AFTER_END, 12000, PS_DEP_INFERRED);
    play_end(&p);
}

/* Work of another stream that ends a moment after the call returned explains nothing. */
static void a_synchronisation_does_not_await_what_ended_after_it(void **state)
{
    (void)state;
    ps_trace *trace = trace_new();
    put_launch(trace, (span){0, 1000}, stream_7, (span){5000, 50000}, "mine", 1);
    put_launch(trace, (span){1000, 2000}, stream_9, (span){6000, 52500}, "other", 2);
    put_call(trace, MAIN_THREAD, (span){10000, 51000}, "cudaStreamSynchronize", 3);
    play p = play_trace(trace);
    dep_is(p.plan, 2, task_named(p.plan, "mine", 0), PS_DEP_END_AFTER_END, 1000, PS_DEP_INFERRED);
    play_is(&p, 2, 10000, 51000);
    play_end(&p);
}

/* Clocks of host and device differ a little: work may seem to end after the call that waited. */
static void a_synchronisation_may_seem_to_return_before_its_work_ended(void **state)
{
    (void)state;
    ps_trace *trace = trace_new();
    put_launch(trace, (span){0, 1000}, stream_7, (span){5000, 51500}, "k", 1);
    put_call(trace, MAIN_THREAD, (span){10000, 51000}, "cudaStreamSynchronize", 2);
    play p = play_trace(trace);
    dep_is(p.plan, 1, task_named(p.plan, "k", 0), PS_DEP_END_AFTER_END, 0, PS_DEP_INFERRED);
    play_is(&p, 1, 10000, 51500);
    play_end(&p);
}

/* ---- copies ---- */

static play play_copy(const char *call, ps_ns call_end, cargo what)
{
    ps_trace *trace = trace_new();
    put_call(trace, MAIN_THREAD, (span){0, call_end}, call, 1);
    put_copy(trace, stream_7, (span){8000, 20000}, what, 1);
    return play_trace(trace);
}

static void a_pageable_copy_blocks_its_caller(void **state)
{
    (void)state;
    const cargo what = {PS_COPY_HTOD, PS_MEMORY_PAGEABLE, MIB};
    play p = play_copy("cudaMemcpyAsync", 25000, what);
    const uint32_t copy = task_named(p.plan, "copy", 0);
    assert_int_equal(p.plan->task.kind[0], PS_TASK_WAIT);
    assert_int_equal(p.plan->task.dur_ns[0], 5000);
    dep_is(p.plan, 0, copy, PS_DEP_END_AFTER_END, 5000, PS_DEP_RULE);
    play_is(&p, 0, 0, 25000);
    play_is(&p, copy, 8000, 20000);
    p.plan->task.dur_ns[copy] += 4000;
    play_again(&p);
    play_is(&p, 0, 0, 29000);
    play_end(&p);
}

static void a_synchronous_copy_call_blocks_whatever_the_memory(void **state)
{
    (void)state;
    const cargo what = {PS_COPY_DTOH, PS_MEMORY_PINNED, MIB};
    play p = play_copy("cudaMemcpy", 21000, what);
    dep_is(p.plan, 0, task_named(p.plan, "copy", 0), PS_DEP_END_AFTER_END, 1000, PS_DEP_RULE);
    play_end(&p);
}

static void a_pinned_copy_does_not_block(void **state)
{
    (void)state;
    const cargo what = {PS_COPY_HTOD, PS_MEMORY_PINNED, MIB};
    play p = play_copy("cudaMemcpyAsync", 25000, what); /* slow to return, but not for the copy */
    assert_int_equal(p.plan->task.kind[0], PS_TASK_HOST);
    assert_int_equal(dep_count(p.plan, 0), 0);
    assert_int_equal(p.plan->task.dur_ns[0], 25000);
    play_end(&p);
}

static void a_small_pageable_copy_that_was_staged_does_not_block(void **state)
{
    (void)state;
    const cargo what = {PS_COPY_HTOD, PS_MEMORY_PAGEABLE, 64};
    play p = play_copy("cudaMemcpyAsync", 3000, what); /* returned before the copy ran */
    assert_int_equal(p.plan->task.kind[0], PS_TASK_HOST);
    assert_int_equal(dep_count(p.plan, 0), 0);
    play_end(&p);
}

static void a_copy_inside_the_device_does_not_block(void **state)
{
    (void)state;
    const cargo what = {PS_COPY_DTOD, PS_MEMORY_DEVICE, MIB};
    play p = play_copy("cudaMemcpy", 25000, what);
    assert_int_equal(dep_count(p.plan, 0), 0);
    play_end(&p);
}

/* ---- the launch queue ---- */

#define QUEUE 300u
#define LAUNCHES 700u
#define KERNEL_NS 10000
#define FREED_NS 500 /* from the end of a kernel to the return of the launch it held up */

/* A host that runs ahead. */
typedef struct run {
    size_t launches;
    size_t queue;      /* launches that may be unfinished */
    size_t slow_every; /* every so many launches one takes 9000; 0: none */
} run;

static const run full_queue = {LAUNCHES, QUEUE, 0};

/* Launches take 1000 and come every 2000, kernels take 10000. */
static ps_trace *run_ahead(run of)
{
    const size_t launches = of.launches, queue = of.queue;
    ps_trace *trace = trace_new();
    ps_ns *kernel_end = calloc(launches, sizeof *kernel_end);
    assert_non_null(kernel_end);
    ps_ns now = 0, device = 0;
    for (size_t i = 0; i < launches; i++) {
        const bool is_slow = of.slow_every != 0 && i % of.slow_every == 0;
        ps_ns end = now + (is_slow ? 9000 : 1000);
        if (i >= queue && kernel_end[i - queue] + FREED_NS > end) {
            end = kernel_end[i - queue] + FREED_NS;
        }
        device = device > now + 5000 ? device : now + 5000;
        put_launch(trace, (span){now, end}, stream_7, (span){device, device + KERNEL_NS}, "k",
                   i + 1);
        device += KERNEL_NS;
        kernel_end[i] = device;
        now = end + 1000;
    }
    free(kernel_end);
    return trace;
}

static void a_full_queue_is_recognised_and_played_again(void **state)
{
    (void)state;
    ps_trace *trace = run_ahead(full_queue);
    const ps_ns last_call = trace->call.start_ns[LAUNCHES - 1] - TRACE_ORIGIN_NS;
    const ps_ns last_return = last_call + trace->call.dur_ns[LAUNCHES - 1];
    play p = play_trace(trace);
    assert_string_equal(ps_plan_meta(p.plan, PS_PLAN_META_QUEUE), "300");
    const uint32_t freed = LAUNCHES + LAUNCHES - 1 - QUEUE; /* kernels follow the calls */
    dep_is(p.plan, LAUNCHES - 1, freed, PS_DEP_END_AFTER_END, FREED_NS, PS_DEP_RULE);
    play_is(&p, LAUNCHES - 1, last_call, last_return);
    play_end(&p);
}

static void slower_kernels_block_the_host_longer(void **state)
{
    (void)state;
    play p = play_trace(run_ahead(full_queue));
    for (uint32_t task = LAUNCHES; task < 2 * LAUNCHES; task++) {
        p.plan->task.dur_ns[task] = 3 * KERNEL_NS;
    }
    play_again(&p);
    for (uint32_t call = QUEUE; call < LAUNCHES; call++) {
        const uint32_t oldest = LAUNCHES + call - QUEUE;
        assert_true(p.end[call] >= p.end[oldest]); /* never more than the queue holds */
        assert_true(p.end[call] <= p.end[oldest] + FREED_NS || p.end[call] == p.start[call] + 1000);
    }
    play_end(&p);
}

static void faster_kernels_let_the_host_run_free(void **state)
{
    (void)state;
    play p = play_trace(run_ahead(full_queue));
    for (uint32_t task = LAUNCHES; task < 2 * LAUNCHES; task++) {
        p.plan->task.dur_ns[task] = 100;
    }
    play_again(&p);
    assert_true(p.end[LAUNCHES - 1] < (ps_ns)LAUNCHES * 2100); /* 1000 a call, 1000 between */
    play_end(&p);
}

static void a_host_that_never_filled_the_queue_has_no_limit(void **state)
{
    (void)state;
    ps_plan *plan = lower(run_ahead((run){200, 1000, 0}));
    assert_null(ps_plan_meta(plan, PS_PLAN_META_QUEUE));
    assert_int_equal(plan->dep.head.count, 200); /* each kernel on its launch */
    ps_plan_destroy(plan);
}

static void slow_launches_at_any_depth_are_no_full_queue(void **state)
{
    (void)state;
    ps_plan *plan = lower(run_ahead((run){LAUNCHES, LAUNCHES, 20}));
    assert_null(ps_plan_meta(plan, PS_PLAN_META_QUEUE));
    ps_plan_destroy(plan);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_synchronisation_keeps_only_what_came_after_the_work),
        cmocka_unit_test(a_synchronisation_that_found_its_work_done_may_wait_later),
        cmocka_unit_test(a_synchronisation_awaits_the_stream_that_ended_last),
        cmocka_unit_test(a_device_synchronisation_awaits_every_stream),
        cmocka_unit_test(work_launched_after_the_wait_began_is_not_awaited),
        cmocka_unit_test(a_synchronisation_does_not_await_what_ended_after_it),
        cmocka_unit_test(a_synchronisation_may_seem_to_return_before_its_work_ended),
        cmocka_unit_test(a_pageable_copy_blocks_its_caller),
        cmocka_unit_test(a_synchronous_copy_call_blocks_whatever_the_memory),
        cmocka_unit_test(a_pinned_copy_does_not_block),
        cmocka_unit_test(a_small_pageable_copy_that_was_staged_does_not_block),
        cmocka_unit_test(a_copy_inside_the_device_does_not_block),
        cmocka_unit_test(a_full_queue_is_recognised_and_played_again),
        cmocka_unit_test(slower_kernels_block_the_host_longer),
        cmocka_unit_test(faster_kernels_let_the_host_run_free),
        cmocka_unit_test(a_host_that_never_filled_the_queue_has_no_limit),
        cmocka_unit_test(slow_launches_at_any_depth_are_no_full_queue),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
