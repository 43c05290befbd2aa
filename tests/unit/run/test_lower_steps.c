/* SPDX-License-Identifier: MIT
 *
 * Lowering of training steps: where their bounds hang, so that a what-if
 * moves them with the work they stand next to.
 */
#include "make_trace.h"

/* Three calls with time between them. */
static ps_trace *three_calls(void)
{
    ps_trace *trace = trace_new();
    put_call(trace, MAIN_THREAD, (span){0, 1000}, "a", 0);
    put_call(trace, MAIN_THREAD, (span){5000, 6000}, "b", 0);
    put_call(trace, MAIN_THREAD, (span){9000, 10000}, "c", 0);
    return trace;
}

static void bounds_in_gaps_hang_on_the_next_call(void **state)
{
    (void)state;
    ps_trace *trace = three_calls();
    put_step(trace, (span){2000, 7000}, 5);
    play p = play_trace(trace);
    const ps_plan_step_table *step = &p.plan->step;
    assert_int_equal(step->head.count, 1);
    assert_string_equal(ps_strings_text(p.plan->strings, step->name[0]), "ProfilerStep#5");
    assert_int_equal(step->recorded_ns[0], 5000);
    assert_int_equal(step->begin_task[0], 1);
    assert_int_equal(step->begin_offset_ns[0], -3000);
    assert_int_equal(step->end_task[0], 2);
    assert_int_equal(step->end_offset_ns[0], -2000);
    assert_int_equal(step_time(&p, 0), 5000);
    p.plan->task.dur_ns[1] += 500; /* inside the step */
    assert_int_equal(step_time(&p, 0), 5500);
    p.plan->task.dur_ns[0] += 9999; /* before it */
    assert_int_equal(step_time(&p, 0), 5500);
    play_end(&p);
}

static void bounds_inside_calls_stay_inside(void **state)
{
    (void)state;
    ps_trace *trace = three_calls();
    put_step(trace, (span){400, 9700}, 1);
    play p = play_trace(trace);
    assert_int_equal(step_time(&p, 0), 9300);
    p.plan->task.dur_ns[2] = 300; /* shorter than where the step ended */
    assert_int_equal(step_time(&p, 0), 8900);
    play_end(&p);
}

static void a_step_may_cover_the_recording_to_the_nanosecond(void **state)
{
    (void)state;
    ps_trace *trace = three_calls();
    put_step(trace, (span){0, 10000}, 1);
    play p = play_trace(trace);
    assert_int_equal(step_time(&p, 0), 10000);
    p.plan->task.dur_ns[2] += 700;
    assert_int_equal(step_time(&p, 0), 10700);
    play_end(&p);
}

static void a_step_may_begin_before_and_end_behind_all_calls(void **state)
{
    (void)state;
    ps_trace *trace = trace_new();
    put_call(trace, MAIN_THREAD, (span){3000, 4000}, "a", 0);
    put_step(trace, (span){0, 9000}, 1);
    play p = play_trace(trace);
    assert_int_equal(step_time(&p, 0), 9000);
    p.plan->task.dur_ns[0] += 700;
    assert_int_equal(step_time(&p, 0), 9700);
    play_end(&p);
}

/* A step that ends at 60000, with the return of a wait for a kernel. */
static ps_trace *step_that_ends_with_a_wait(void)
{
    ps_trace *trace = trace_new();
    put_step(trace, (span){0, 60000}, 1);
    put_launch(trace, (span){0, 1000}, stream_7, (span){5000, 55000}, "k", 1);
    put_call(trace, MAIN_THREAD, (span){30000, 60000}, "cudaDeviceSynchronize", 2);
    return trace;
}

static void stretch_kernel(play *p, ps_ns by)
{
    p->plan->task.dur_ns[task_named(p->plan, "k", 0)] += by;
}

static void a_step_that_ends_with_a_wait_follows_it(void **state)
{
    (void)state;
    for (int with_more = 0; with_more < 3; with_more++) {
        ps_trace *trace = step_that_ends_with_a_wait();
        if (with_more == 1) {
            put_call(trace, MAIN_THREAD, (span){62000, 63000}, "cudaGetDevice", 0);
        } else if (with_more == 2) {
            put_call(trace, MAIN_THREAD, (span){60000, 63000}, "cudaGetDevice", 0);
        }
        play p = play_trace(trace);
        assert_int_equal(step_time(&p, 0), 60000);
        stretch_kernel(&p, 7000);
        assert_int_equal(step_time(&p, 0), 67000);
        stretch_kernel(&p, -20000);
        assert_int_equal(step_time(&p, 0), 47000);
        play_end(&p);
    }
}

static void a_step_that_begins_with_the_end_of_a_wait_does_not_pay_for_it(void **state)
{
    (void)state;
    ps_trace *trace = step_that_ends_with_a_wait();
    put_step(trace, (span){60000, 70000}, 2);
    put_call(trace, MAIN_THREAD, (span){62000, 63000}, "cudaGetDevice", 0);
    play p = play_trace(trace);
    assert_int_equal(step_time(&p, 1), 10000);
    stretch_kernel(&p, 7000);
    assert_int_equal(step_time(&p, 0), 67000);
    assert_int_equal(step_time(&p, 1), 10000);
    play_end(&p);
}

static void steps_that_touch_share_their_bound(void **state)
{
    (void)state;
    ps_trace *trace = three_calls();
    put_step(trace, (span){0, 3000}, 1);
    put_step(trace, (span){3000, 7000}, 2);
    put_step(trace, (span){7000, 12000}, 3);
    play p = play_trace(trace);
    for (uint32_t task = 0; task < 3; task++) {
        p.plan->task.dur_ns[task] += 100;
    }
    assert_int_equal(step_time(&p, 0), 3100);
    assert_int_equal(step_time(&p, 1), 4100);
    assert_int_equal(step_time(&p, 2), 5100);
    play_end(&p);
}

static void the_first_step_does_not_count_for_the_steady_state(void **state)
{
    (void)state;
    ps_trace *trace = trace_new();
    const ps_ns bounds[] = {0, 50000, 60000, 72000, 80000};
    for (unsigned i = 0; i < 4; i++) {
        put_call(trace, MAIN_THREAD, (span){bounds[i], bounds[i] + 1000}, "a", 0);
        put_step(trace, (span){bounds[i], bounds[i + 1]}, i);
    }
    ps_plan *plan = lower(trace);
    ps_result result = run_plan(plan);
    assert_int_equal(result.step_count, 4);
    assert_int_equal(result.step[0].time_ns, 50000);
    assert_int_equal(result.step_time_ns, 10000); /* the middle one of 10000, 12000, 8000 */
    ps_result_fini(&result);
    ps_plan_destroy(plan);
}

static void without_marks_the_recording_is_one_step(void **state)
{
    (void)state;
    ps_trace *trace = trace_new();
    put_call(trace, MAIN_THREAD, (span){0, 1000}, "cudaGraphLaunch", 1);
    for (int i = 0; i < 3000; i++) {
        put_kernel(trace, stream_7, (span){5000 + i * 1000, 5900 + i * 1000}, "k", 1);
    }
    put_kernel(trace, stream_9, (span){3060000, 3090000}, "last", 1); /* ends after the host */
    play p = play_trace(trace);
    assert_int_equal(p.plan->step.head.count, 1);
    assert_string_equal(ps_strings_text(p.plan->strings, p.plan->step.name[0]), "recording");
    assert_int_equal(p.plan->step.recorded_ns[0], 3090000);
    assert_int_equal(step_time(&p, 0), 3090000);
    p.plan->task.dur_ns[task_named(p.plan, "last", 0)] += 5000;
    assert_int_equal(step_time(&p, 0), 3095000);
    play_end(&p);
}

static void other_annotations_are_no_steps(void **state)
{
    (void)state;
    ps_trace *trace = three_calls();
    put_range(trace, MAIN_THREAD, (span){0, 9000}, PS_RANGE_ANNOTATION, "ProfilerStepX");
    put_range(trace, MAIN_THREAD, (span){0, 9000}, PS_RANGE_OPERATOR, "ProfilerStep#1");
    put_range(trace, 7, (span){0, 9000}, PS_RANGE_GPU_ANNOTATION, "ProfilerStep#1");
    ps_plan *plan = lower(trace);
    assert_int_equal(plan->step.head.count, 1);
    assert_string_equal(ps_strings_text(plan->strings, plan->step.name[0]), "recording");
    ps_plan_destroy(plan);
}

static void a_thread_that_only_marks_steps_can_carry_them(void **state)
{
    (void)state;
    ps_trace *trace = trace_new();
    put_call(trace, BACKWARD_THREAD, (span){0, 1000}, "a", 0);
    put_step(trace, (span){2000, 5000}, 1);
    put_step(trace, (span){5000, 9000}, 2);
    play p = play_trace(trace);
    assert_int_equal(step_time(&p, 0), 3000);
    assert_int_equal(step_time(&p, 1), 4000);
    play_end(&p);
}

/* The step is marked on the main thread, which waits while the other thread works. */
static void a_step_that_ends_while_another_thread_has_its_turn(void **state)
{
    (void)state;
    ps_trace *trace = trace_new();
    for (int i = 0; i < 24; i++) {
        const ps_ns at = i * 4000;
        const uint64_t tid = i < 12 ? MAIN_THREAD : BACKWARD_THREAD;
        put_call(trace, tid, (span){at, at + 1000}, "cudaLaunchKernel", (uint64_t)i + 1);
        put_kernel(trace, stream_7, (span){at + 2000, at + 3000}, "k", (uint64_t)i + 1);
    }
    put_step(trace, (span){0, 100000}, 1); /* behind everything, on the main thread */
    play p = play_trace(trace);
    assert_int_equal(step_time(&p, 0), 100000);
    play_end(&p);
}

/* The main thread waits for k, then hands over to the other and gets its turn back. */
static ps_trace *wait_before_a_hand_over(void)
{
    ps_trace *trace = trace_new();
    for (int i = 0; i < 36; i++) {
        const ps_ns at = i * 4000 + (i < 12 ? 0 : 100000);
        const uint64_t tid = i < 12 || i >= 24 ? MAIN_THREAD : BACKWARD_THREAD;
        put_call(trace, tid, (span){at, at + 1000}, "cudaLaunchKernel", (uint64_t)i + 1);
        put_kernel(trace, stream_7, (span){at + 2000, at + 3000}, i == 11 ? "k" : "l",
                   (uint64_t)i + 1);
    }
    put_call(trace, MAIN_THREAD, (span){46000, 60000}, "cudaStreamSynchronize", 99);
    trace->kernel.dur_ns[11] = 10000; /* k ends at 56000 */
    return trace;
}

static void a_step_that_ends_with_a_wait_follows_it_also_before_a_hand_over(void **state)
{
    (void)state;
    ps_trace *trace = wait_before_a_hand_over();
    put_step(trace, (span){0, 60000}, 1);
    play p = play_trace(trace);
    assert_int_equal(step_time(&p, 0), 60000);
    stretch_kernel(&p, 7000);
    assert_int_equal(step_time(&p, 0), 67000);
    play_end(&p);
}

static void the_first_mark_after_a_hand_over_follows_the_other_thread(void **state)
{
    (void)state;
    ps_trace *trace = wait_before_a_hand_over();
    const ps_ns back = 24 * 4000 + 100000; /* the main thread's first call of its second turn */
    put_step(trace, (span){0, back - 1000}, 1);
    put_step(trace, (span){back - 1000, back + 50000}, 2);
    play p = play_trace(trace);
    assert_int_equal(step_time(&p, 0), back - 1000);
    p.plan->task.dur_ns[15] += 9000; /* a call of the other thread */
    assert_int_equal(step_time(&p, 0), back + 8000);
    assert_int_equal(step_time(&p, 1), 51000);
    play_end(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bounds_in_gaps_hang_on_the_next_call),
        cmocka_unit_test(bounds_inside_calls_stay_inside),
        cmocka_unit_test(a_step_may_cover_the_recording_to_the_nanosecond),
        cmocka_unit_test(a_step_may_begin_before_and_end_behind_all_calls),
        cmocka_unit_test(a_step_that_ends_with_a_wait_follows_it),
        cmocka_unit_test(a_step_that_begins_with_the_end_of_a_wait_does_not_pay_for_it),
        cmocka_unit_test(steps_that_touch_share_their_bound),
        cmocka_unit_test(the_first_step_does_not_count_for_the_steady_state),
        cmocka_unit_test(without_marks_the_recording_is_one_step),
        cmocka_unit_test(other_annotations_are_no_steps),
        cmocka_unit_test(a_thread_that_only_marks_steps_can_carry_them),
        cmocka_unit_test(a_step_that_ends_while_another_thread_has_its_turn),
        cmocka_unit_test(a_step_that_ends_with_a_wait_follows_it_also_before_a_hand_over),
        cmocka_unit_test(the_first_mark_after_a_hand_over_follows_the_other_thread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
