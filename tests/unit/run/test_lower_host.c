/* SPDX-License-Identifier: MIT
 *
 * Lowering of host calls: lanes, think time, nesting, and threads that take
 * turns or do not.
 */
#include "make_trace.h"

#include "lower/lower.h"

static void calls_keep_their_length_and_the_time_between(void **state)
{
    (void)state;
    ps_trace *trace = trace_new();
    put_call(trace, MAIN_THREAD, (span){0, 1000}, "first", 0);
    put_call(trace, MAIN_THREAD, (span){5000, 7000}, "second", 0);
    play p = play_trace(trace);
    assert_int_equal(p.plan->task.gap_ns[1], 4000);
    assert_int_equal(p.plan->task.dur_ns[1], 2000);
    assert_int_equal(p.plan->task.basis[1], PS_BASIS_MEASURED);
    play_is(&p, 0, 0, 1000);
    play_is(&p, 1, 5000, 7000);
    p.plan->task.dur_ns[0] += 300; /* think time follows the call before it */
    play_again(&p);
    play_is(&p, 1, 5300, 7300);
    play_end(&p);
}

static void each_thread_has_a_lane(void **state)
{
    (void)state;
    ps_trace *trace = trace_new();
    put_call(trace, MAIN_THREAD, (span){0, 4000}, "a", 0);
    put_call(trace, BACKWARD_THREAD, (span){1000, 3000}, "b", 0);
    put_call(trace, MAIN_THREAD, (span){5000, 6000}, "c", 0);
    play p = play_trace(trace);
    assert_int_equal(p.plan->lane.head.count, 2);
    assert_int_equal(p.plan->lane.number[p.plan->task.lane[1]], BACKWARD_THREAD);
    assert_int_equal(p.plan->lane.kind[0], PS_LANE_HOST);
    play_is(&p, task_named(p.plan, "b", 0), 1000, 3000);
    play_is(&p, task_named(p.plan, "c", 0), 5000, 6000);
    play_end(&p);
}

static void threads_of_two_processes_with_one_number_are_two(void **state)
{
    (void)state;
    ps_trace *trace = trace_new();
    put_call(trace, MAIN_THREAD, (span){0, 4000}, "a", 0);
    put_call(trace, MAIN_THREAD, (span){1000, 3000}, "b", 0);
    trace->call.pid[1] = TRACE_PID + 1;
    play p = play_trace(trace);
    assert_int_equal(p.plan->lane.head.count, 2);
    play_is(&p, task_named(p.plan, "b", 0), 1000, 3000);
    play_end(&p);
}

static void a_call_inside_a_call_belongs_to_it(void **state)
{
    (void)state;
    ps_trace *trace = trace_new();
    put_call(trace, MAIN_THREAD, (span){0, 10000}, "cudaLaunchKernel", 1);
    put_call(trace, MAIN_THREAD, (span){2000, 8000}, "cuLaunchKernel", 2);
    put_call(trace, MAIN_THREAD, (span){3000, 4000}, "cuCtxGetCurrent", 0);
    put_kernel(trace, stream_7, (span){12000, 13000}, "k", 2);
    play p = play_trace(trace);
    assert_int_equal(p.plan->lane.head.count, 2);
    assert_int_equal(p.plan->task.head.count, 2);
    const uint32_t kernel = task_named(p.plan, "k", 0);
    dep_is(p.plan, kernel, 0, PS_DEP_START_AFTER_START, 12000, PS_DEP_RECORDED);
    play_is(&p, 0, 0, 10000);
    play_is(&p, kernel, 12000, 13000);
    play_end(&p);
}

static void neighbours_that_overlap_by_rounding_are_put_in_a_row(void **state)
{
    (void)state;
    ps_trace *trace = trace_new();
    put_call(trace, MAIN_THREAD, (span){0, 3000}, "a", 0);
    put_call(trace, MAIN_THREAD, (span){2000, 5000}, "b", 0); /* one microsecond early */
    put_call(trace, MAIN_THREAD, (span){5000, 5000}, "c", 0);
    play p = play_trace(trace);
    assert_int_equal(p.plan->task.head.count, 3);
    play_is(&p, 0, 0, 3000);
    play_is(&p, 1, 3000, 5000);
    play_is(&p, 2, 5000, 5000);
    play_end(&p);
}

static void a_thread_without_calls_gets_one_long_task(void **state)
{
    (void)state;
    ps_trace *trace = trace_new();
    put_step(trace, (span){1000, 9000}, 1);
    (void)put_alloc(trace, 4000, MIB, 1 << 20);
    (void)put_alloc(trace, 9500, MIB, 2 << 20);
    put_call(trace, BACKWARD_THREAD, (span){0, 100}, "other", 0);
    play p = play_trace(trace);
    const uint32_t task = task_named(p.plan, "host work", 0);
    play_is(&p, task, 1000, 9500);
    assert_int_equal(p.plan->memop.task[0], task);
    assert_int_equal(p.plan->memop.offset_ns[0], 3000);
    play_end(&p);
}

/* ---- taking turns ---- */

#define TURN_CALLS 16
#define CALL_STEP 4000

/* A thread launches TURN_CALLS kernels, one every CALL_STEP; returns when its last call ends. */
static ps_ns put_turn(ps_trace *trace, uint64_t tid, ps_ns begin, uint64_t *correlation)
{
    for (int i = 0; i < TURN_CALLS; i++) {
        const ps_ns at = begin + i * CALL_STEP;
        (*correlation)++;
        put_call(trace, tid, (span){at, at + 1000}, "cudaLaunchKernel", *correlation);
        put_kernel(trace, stream_7, (span){at + 2000, at + 3000}, "k", *correlation);
    }
    return begin + (TURN_CALLS - 1) * CALL_STEP + 1000;
}

/* Forward on the main thread, backward on its own, the optimizer on the main thread again. */
static ps_trace *three_turns(void)
{
    ps_trace *trace = trace_new();
    uint64_t correlation = 0;
    ps_ns now = put_turn(trace, MAIN_THREAD, 0, &correlation);
    now = put_turn(trace, BACKWARD_THREAD, now + 7000, &correlation);
    now = put_turn(trace, MAIN_THREAD, now + 9000, &correlation);
    put_step(trace, (span){0, now}, 1);
    return trace;
}

static void threads_that_take_turns_hand_over(void **state)
{
    (void)state;
    play p = play_trace(three_turns());
    const uint32_t backward = TURN_CALLS, optimizer = 2 * TURN_CALLS;
    dep_is(p.plan, backward, backward - 1, PS_DEP_START_AFTER_END, 7000, PS_DEP_INFERRED);
    dep_is(p.plan, optimizer, optimizer - 1, PS_DEP_START_AFTER_END, 9000, PS_DEP_INFERRED);
    assert_int_equal(p.plan->task.gap_ns[backward], 0);
    assert_int_equal(p.plan->task.gap_ns[optimizer], 0);
    assert_int_equal(dep_count(p.plan, backward + 1), 0);
    play_is(&p, backward, 68000, 69000);
    play_is(&p, optimizer, 138000, 139000);
    play_end(&p);
}

static void a_longer_forward_delays_the_backward(void **state)
{
    (void)state;
    play p = play_trace(three_turns());
    const ps_ns before = step_time(&p, 0);
    p.plan->task.dur_ns[3] += 5000;
    play_again(&p);
    play_is(&p, TURN_CALLS, 73000, 74000);
    play_is(&p, 2 * TURN_CALLS, 143000, 144000);
    assert_int_equal(step_time(&p, 0), before + 5000);
    play_end(&p);
}

static void a_shorter_backward_lets_the_optimizer_begin_earlier(void **state)
{
    (void)state;
    play p = play_trace(three_turns());
    for (uint32_t task = TURN_CALLS + 1; task < 2 * TURN_CALLS; task++) {
        p.plan->task.gap_ns[task] -= 1000;
    }
    play_again(&p);
    const ps_ns saved = (TURN_CALLS - 1) * 1000;
    play_is(&p, 2 * TURN_CALLS, 138000 - saved, 139000 - saved);
    play_end(&p);
}

static void threads_side_by_side_are_left_alone(void **state)
{
    (void)state;
    ps_trace *trace = trace_new();
    for (int i = 0; i < 2 * TURN_CALLS; i++) {
        const uint64_t tid = i % 2 == 0 ? MAIN_THREAD : BACKWARD_THREAD;
        const ps_ns at = i * 2000;
        const uint64_t correlation = (uint64_t)i + 1;
        put_call(trace, tid, (span){at, at + 1900}, "cudaLaunchKernel", correlation);
        put_kernel(trace, i % 2 == 0 ? stream_7 : stream_9, (span){at + 2000, at + 3000}, "k",
                   correlation);
    }
    play p = play_trace(trace);
    for (uint32_t task = 0; task < 2 * TURN_CALLS; task++) {
        assert_int_equal(dep_count(p.plan, task), 0);
    }
    p.plan->task.dur_ns[0] += 100000;
    play_again(&p);
    play_is(&p, 1, 2000, 3900); /* the other thread does not notice */
    play_is(&p, 2, 104000, 105900);
    play_end(&p);
}

static void a_thread_that_launches_nothing_takes_no_turn(void **state)
{
    (void)state;
    ps_trace *trace = trace_new();
    uint64_t correlation = 0;
    ps_ns now = put_turn(trace, MAIN_THREAD, 0, &correlation);
    put_call(trace, BACKWARD_THREAD, (span){now + 1000, now + 2000}, "cudaGetDevice", 0);
    (void)put_turn(trace, MAIN_THREAD, now + 9000, &correlation);
    play p = play_trace(trace);
    const uint32_t other = task_named(p.plan, "cudaGetDevice", 0);
    assert_int_equal(dep_count(p.plan, other), 0);
    assert_int_equal(dep_count(p.plan, other + 1), 0);
    play_end(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calls_keep_their_length_and_the_time_between),
        cmocka_unit_test(each_thread_has_a_lane),
        cmocka_unit_test(threads_of_two_processes_with_one_number_are_two),
        cmocka_unit_test(a_call_inside_a_call_belongs_to_it),
        cmocka_unit_test(neighbours_that_overlap_by_rounding_are_put_in_a_row),
        cmocka_unit_test(a_thread_without_calls_gets_one_long_task),
        cmocka_unit_test(threads_that_take_turns_hand_over),
        cmocka_unit_test(a_longer_forward_delays_the_backward),
        cmocka_unit_test(a_shorter_backward_lets_the_optimizer_begin_earlier),
        cmocka_unit_test(threads_side_by_side_are_left_alone),
        cmocka_unit_test(a_thread_that_launches_nothing_takes_no_turn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
