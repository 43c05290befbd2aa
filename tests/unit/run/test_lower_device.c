/* SPDX-License-Identifier: MIT
 *
 * Lowering of device work: why it started when it did, overlaps on one
 * stream, waits between streams, devices and what is no device at all.
 */
#include "make_trace.h"

#include <string.h>

#include "lower/lower.h"

/* Launches after idling show a lag of 6000, a kernel queued for long a gap of 1500. */
static ps_trace *lag_and_gap(void)
{
    ps_trace *trace = trace_new();
    put_launch(trace, (span){0, 1000}, stream_7, (span){5000, 15000}, "k1", 1);
    put_launch(trace, (span){20000, 21000}, stream_7, (span){26000, 226000}, "k2", 2);
    put_launch(trace, (span){30000, 31000}, stream_7, (span){227500, 300000}, "k3", 3);
    put_launch(trace, (span){40000, 41000}, stream_7, (span){300200, 310000}, "k4", 4);
    return trace;
}

static void the_delay_of_a_kernel_goes_to_what_held_it_back(void **state)
{
    (void)state;
    play p = play_trace(lag_and_gap());
    const uint32_t k1 = 4, k2 = 5, k3 = 6, k4 = 7;
    dep_is(p.plan, k1, 0, PS_DEP_START_AFTER_START, 5000, PS_DEP_RECORDED);
    dep_is(p.plan, k2, 1, PS_DEP_START_AFTER_START, 6000, PS_DEP_RECORDED);
    dep_is(p.plan, k3, 2, PS_DEP_START_AFTER_START, 6000, PS_DEP_RECORDED);
    dep_is(p.plan, k4, 3, PS_DEP_START_AFTER_START, 6000, PS_DEP_RECORDED);
    assert_int_equal(p.plan->task.gap_ns[k1], 0);
    assert_int_equal(p.plan->task.gap_ns[k2], 1500); /* not binding: what is usual here */
    assert_int_equal(p.plan->task.gap_ns[k3], 1500);
    assert_int_equal(p.plan->task.gap_ns[k4], 200);
    assert_string_equal(ps_plan_meta(p.plan, PS_PLAN_META_LAUNCH_LAG), "6000");
    assert_string_equal(ps_plan_meta(p.plan, PS_PLAN_META_KERNEL_GAP), "1500");
    play_is(&p, k2, 26000, 226000);
    play_is(&p, k4, 300200, 310000);
    play_end(&p);
}

static void the_other_edge_takes_over_when_things_move(void **state)
{
    (void)state;
    play p = play_trace(lag_and_gap());
    p.plan->task.dur_ns[4] = 95000; /* k1 ends at 100000: k2 now waits for the stream */
    play_again(&p);
    play_is(&p, 5, 101500, 301500);
    play_end(&p);
    p = play_trace(lag_and_gap());
    p.plan->task.gap_ns[2] += 400000; /* k3 is called at 430000: it now waits for its launch */
    play_again(&p);
    play_is(&p, 6, 436000, 508500);
    play_end(&p);
}

static void work_without_a_known_launch_starts_when_it_did(void **state)
{
    (void)state;
    ps_trace *trace = trace_new();
    put_call(trace, MAIN_THREAD, (span){0, 1000}, "cudaGetDevice", 0);
    put_kernel(trace, stream_7, (span){5000, 6000}, "a", 0);
    put_kernel(trace, stream_7, (span){9000, 9500}, "b", 99); /* its call was not recorded */
    play p = play_trace(trace);
    play_is(&p, task_named(p.plan, "a", 0), 5000, 6000);
    play_is(&p, task_named(p.plan, "b", 0), 9000, 9500);
    assert_int_equal(p.plan->dep.head.count, 0);
    play_end(&p);
}

static void the_kinds_of_device_work_are_told_apart(void **state)
{
    (void)state;
    ps_trace *trace = trace_new();
    put_launch(trace, (span){0, 1000}, stream_7, (span){5000, 6000}, "k", 1);
    put_call(trace, MAIN_THREAD, (span){1000, 2000}, "ncclAllReduce", 2);
    put_collective(trace, stream_7, (span){7000, 8000}, 2);
    put_call(trace, MAIN_THREAD, (span){2000, 3000}, "cudaMemsetAsync", 3);
    put_fill(trace, stream_7, (span){8000, 8500}, 3);
    put_call(trace, MAIN_THREAD, (span){3000, 4000}, "cudaMemcpyAsync", 4);
    put_copy(trace, stream_7, (span){9000, 9900}, (cargo){PS_COPY_DTOH, PS_MEMORY_PINNED, 4096}, 4);
    ps_plan *plan = lower(trace);
    const uint32_t copy = task_named(plan, "copy", 0);
    assert_int_equal(plan->task.kind[task_named(plan, "k", 0)], PS_TASK_KERNEL);
    assert_int_equal(plan->task.kind[task_named(plan, "ncclDevKernel_AllReduce", 0)],
                     PS_TASK_COLLECTIVE);
    assert_int_equal(plan->task.kind[task_named(plan, "fill", 0)], PS_TASK_MEMSET);
    assert_int_equal(plan->task.kind[copy], PS_TASK_MEMCPY);
    assert_int_equal(plan->task.bytes[copy], 4096);
    assert_int_equal(plan->task.copy_kind[copy], PS_COPY_DTOH);
    assert_int_equal(plan->task.memory_kind[copy], PS_MEMORY_PINNED);
    ps_plan_destroy(plan);
}

/* ---- overlaps on one stream ---- */

static void a_small_overlap_is_noise_and_cut(void **state)
{
    (void)state;
    ps_trace *trace = trace_new();
    put_launch(trace, (span){0, 1000}, stream_7, (span){5000, 12000}, "a", 1);
    put_launch(trace, (span){2000, 3000}, stream_7, (span){10000, 20000}, "b", 2);
    play p = play_trace(trace);
    assert_int_equal(p.plan->lane.head.count, 2);
    play_is(&p, task_named(p.plan, "a", 0), 5000, 10000);
    play_is(&p, task_named(p.plan, "b", 0), 10000, 20000);
    play_end(&p);
}

/* A clock of whole microseconds shows a short fill and the kernel behind it at the same time. */
static void what_has_no_length_comes_before_what_starts_with_it(void **state)
{
    (void)state;
    for (ps_ns kernel_ns = 4000; kernel_ns <= 40000; kernel_ns += 36000) {
        ps_trace *trace = trace_new();
        put_call(trace, MAIN_THREAD, (span){0, 1000}, "cudaMemsetAsync", 1);
        put_fill(trace, stream_7, (span){51000, 51000}, 1);
        put_launch(trace, (span){2000, 3000}, stream_7, (span){51000, 51000 + kernel_ns}, "k", 2);
        play p = play_trace(trace);
        assert_int_equal(p.plan->lane.head.count, 2);
        play_is(&p, task_named(p.plan, "fill", 0), 51000, 51000);
        play_is(&p, task_named(p.plan, "k", 0), 51000, 51000 + kernel_ns);
        play_end(&p);
    }
}

static void parallel_branches_get_a_lane_of_their_own(void **state)
{
    (void)state;
    ps_trace *trace = trace_new();
    put_call(trace, MAIN_THREAD, (span){0, 1000}, "cudaGraphLaunch", 1);
    put_kernel(trace, stream_7, (span){5000, 105000}, "a", 1);
    put_kernel(trace, stream_7, (span){20000, 120000}, "b", 1);
    put_kernel(trace, stream_7, (span){125000, 130000}, "c", 1);
    play p = play_trace(trace);
    const uint32_t a = task_named(p.plan, "a", 0), b = task_named(p.plan, "b", 0);
    assert_int_equal(p.plan->lane.head.count, 3);
    assert_int_not_equal(p.plan->task.lane[a], p.plan->task.lane[b]);
    assert_int_equal(p.plan->task.lane[task_named(p.plan, "c", 0)], p.plan->task.lane[a]);
    assert_int_equal(p.plan->lane.number[p.plan->task.lane[b]], 7);
    assert_string_equal(ps_strings_text(p.plan->strings, p.plan->lane.name[p.plan->task.lane[b]]),
                        "stream 7 branch 2");
    play_is(&p, a, 5000, 105000);
    play_is(&p, b, 20000, 120000);
    play_end(&p);
}

/* ---- waits between streams ---- */

static void an_event_between_streams_is_recognised_by_its_calls(void **state)
{
    (void)state;
    ps_trace *trace = trace_new();
    put_launch(trace, (span){0, 1000}, stream_7, (span){5000, 50000}, "producer", 1);
    put_call(trace, MAIN_THREAD, (span){2000, 2500}, "cudaEventRecord", 0);
    put_call(trace, MAIN_THREAD, (span){3000, 3500}, "cudaStreamWaitEvent", 0);
    put_launch(trace, (span){4000, 5000}, stream_9, (span){51200, 60000}, "consumer", 2);
    play p = play_trace(trace);
    const uint32_t producer = task_named(p.plan, "producer", 0);
    const uint32_t consumer = task_named(p.plan, "consumer", 0);
    dep_is(p.plan, consumer, producer, PS_DEP_START_AFTER_END, 1200, PS_DEP_INFERRED);
    play_is(&p, consumer, 51200, 60000);
    p.plan->task.dur_ns[producer] += 10000;
    play_again(&p);
    play_is(&p, consumer, 61200, 70000);
    play_end(&p);
}

static void streams_without_an_event_do_not_wait(void **state)
{
    (void)state;
    ps_trace *trace = trace_new();
    put_launch(trace, (span){0, 1000}, stream_7, (span){5000, 50000}, "producer", 1);
    put_call(trace, MAIN_THREAD, (span){2000, 2500}, "cudaEventRecord", 0);
    put_launch(trace, (span){4000, 5000}, stream_9, (span){51200, 60000}, "other", 2);
    ps_plan *plan = lower(trace);
    assert_int_equal(dep_row(plan, task_named(plan, "other", 0), task_named(plan, "producer", 0)),
                     NO_ROW);
    ps_plan_destroy(plan);
}

static void a_guess_that_contradicts_the_times_is_moved_back(void **state)
{
    (void)state;
    ps_trace *trace = trace_new();
    put_launch(trace, (span){0, 500}, stream_7, (span){5000, 10000}, "first", 1);
    put_launch(trace, (span){500, 1000}, stream_7, (span){11000, 50000}, "second", 2);
    put_call(trace, MAIN_THREAD, (span){2000, 2500}, "cudaEventRecord", 0);
    put_call(trace, MAIN_THREAD, (span){3000, 3500}, "cudaStreamWaitEvent", 0);
    put_launch(trace, (span){4000, 5000}, stream_9, (span){20000, 60000}, "consumer", 3);
    ps_plan *plan = lower(trace);
    const uint32_t consumer = task_named(plan, "consumer", 0);
    assert_int_equal(dep_row(plan, consumer, task_named(plan, "second", 0)), NO_ROW);
    assert_int_not_equal(dep_row(plan, consumer, task_named(plan, "first", 0)), NO_ROW);
    ps_plan_destroy(plan);
}

static void a_recorded_wait_names_both_sides(void **state)
{
    (void)state;
    const place stream_11 = {0, 11};
    ps_trace *trace = trace_new();
    put_launch(trace, (span){0, 500}, stream_7, (span){5000, 50000}, "producer", 1);
    put_launch(trace, (span){500, 1000}, stream_11, (span){6000, 30000}, "bystander", 2);
    put_call(trace, MAIN_THREAD, (span){2000, 2500}, "cudaEventRecord", 10);
    put_call(trace, MAIN_THREAD, (span){3000, 3500}, "cudaStreamWaitEvent", 20);
    put_stream_wait(trace, stream_9, 20, 7, 10);
    put_launch(trace, (span){4000, 5000}, stream_9, (span){50700, 60000}, "consumer", 3);
    ps_plan *plan = lower(trace);
    const uint32_t consumer = task_named(plan, "consumer", 0);
    dep_is(plan, consumer, task_named(plan, "producer", 0), PS_DEP_START_AFTER_END, 700,
           PS_DEP_RECORDED);
    assert_int_equal(dep_row(plan, consumer, task_named(plan, "bystander", 0)), NO_ROW);
    ps_plan_destroy(plan);
}

/* A fill and a kernel too short for the clock: of those that start together, kernels come first. */
static void a_stream_that_waits_for_itself_waits_for_nothing(void **state)
{
    (void)state;
    for (ps_ns fill_ns = 0; fill_ns <= 1000; fill_ns += 1000) {
        ps_trace *trace = trace_new();
        put_call(trace, MAIN_THREAD, (span){0, 500}, "cudaMemsetAsync", 1);
        put_fill(trace, stream_7, (span){51000, 51000 + fill_ns}, 1);
        put_call(trace, MAIN_THREAD, (span){2000, 2500}, "cudaEventRecord", 10);
        put_call(trace, MAIN_THREAD, (span){3000, 3500}, "cudaStreamWaitEvent", 20);
        put_stream_wait(trace, stream_7, 20, 7, 10);
        put_launch(trace, (span){4000, 5000}, stream_7, (span){51000, 51000}, "k", 2);
        play p = play_trace(trace);
        play_is(&p, task_named(p.plan, "k", 0), 51000, 51000);
        play_is(&p, task_named(p.plan, "fill", 0), 51000, 51000 + fill_ns);
        play_end(&p);
    }
}

/* ---- devices ---- */

static void ordinals_that_disagree_are_one_device(void **state)
{
    (void)state;
    const place second = {2, 7};
    ps_trace *trace = trace_new();
    put_device(trace, 0, "Oldcard", (uint64_t)16 << 30);
    put_launch(trace, (span){0, 1000}, second, (span){5000, 6000}, "k", 1);
    (void)put_alloc(trace, 500, MIB, 1 << 20);
    ps_plan *plan = lower(trace);
    assert_int_equal(plan->device.head.count, 1);
    assert_int_equal(plan->device.ordinal[0], 2);
    assert_int_equal(plan->device.capacity_bytes[0], (uint64_t)16 << 30);
    assert_string_equal(ps_strings_text(plan->strings, plan->device.name[0]), "Oldcard");
    assert_int_equal(plan->buffer.device[0], 0);
    assert_non_null(strstr(ps_plan_meta(plan, "device-ordinals"), "device 0"));
    ps_plan_destroy(plan);
}

static void two_devices_stay_two(void **state)
{
    (void)state;
    const place first = {0, 7}, second = {1, 7};
    ps_trace *trace = trace_new();
    put_launch(trace, (span){0, 1000}, first, (span){5000, 90000}, "a", 1);
    put_launch(trace, (span){1000, 2000}, second, (span){6000, 80000}, "b", 2);
    play p = play_trace(trace);
    assert_int_equal(p.plan->device.head.count, 2);
    assert_int_equal(p.plan->lane.head.count, 3);
    play_is(&p, task_named(p.plan, "a", 0), 5000, 90000);
    play_is(&p, task_named(p.plan, "b", 0), 6000, 80000);
    play_end(&p);
}

static void a_device_that_is_only_filled_is_a_device(void **state)
{
    (void)state;
    const place second = {1, 7};
    ps_trace *trace = trace_new();
    put_launch(trace, (span){0, 1000}, stream_7, (span){5000, 9000}, "k", 1);
    put_call(trace, MAIN_THREAD, (span){1000, 2000}, "cudaMemsetAsync", 2);
    put_fill(trace, second, (span){6000, 8000}, 2);
    play p = play_trace(trace);
    assert_int_equal(p.plan->device.head.count, 2);
    play_is(&p, task_named(p.plan, "fill", 0), 6000, 8000);
    play_end(&p);
}

static void a_recording_of_the_cpu_alone_has_no_device(void **state)
{
    (void)state;
    ps_trace *trace = trace_new();
    put_range(trace, MAIN_THREAD, (span){0, 5000}, PS_RANGE_OPERATOR, "aten::mm");
    put_range(trace, MAIN_THREAD, (span){6000, 9000}, PS_RANGE_OPERATOR, "aten::add");
    play p = play_trace(trace);
    assert_int_equal(p.plan->device.head.count, 0);
    assert_int_equal(p.plan->step.head.count, 1);
    assert_int_equal(step_time(&p, 0), 9000);
    char *json = json_of(p.plan);
    assert_non_null(strstr(json, "\"devices\""));
    free(json);
    play_end(&p);
}

static void an_empty_recording_is_refused_in_words(void **state)
{
    (void)state;
    ps_error err = {0};
    ps_plan *plan = NULL;
    ps_trace *trace = trace_new();
    assert_int_equal(ps_lower_trace(trace, &plan, &err), PS_BAD_INPUT);
    assert_non_null(strstr(err.message, "nothing to simulate"));
    assert_null(plan);
    ps_trace_destroy(trace);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_delay_of_a_kernel_goes_to_what_held_it_back),
        cmocka_unit_test(the_other_edge_takes_over_when_things_move),
        cmocka_unit_test(work_without_a_known_launch_starts_when_it_did),
        cmocka_unit_test(the_kinds_of_device_work_are_told_apart),
        cmocka_unit_test(a_small_overlap_is_noise_and_cut),
        cmocka_unit_test(what_has_no_length_comes_before_what_starts_with_it),
        cmocka_unit_test(parallel_branches_get_a_lane_of_their_own),
        cmocka_unit_test(an_event_between_streams_is_recognised_by_its_calls),
        cmocka_unit_test(streams_without_an_event_do_not_wait),
        cmocka_unit_test(a_guess_that_contradicts_the_times_is_moved_back),
        cmocka_unit_test(a_recorded_wait_names_both_sides),
        cmocka_unit_test(a_stream_that_waits_for_itself_waits_for_nothing),
        cmocka_unit_test(ordinals_that_disagree_are_one_device),
        cmocka_unit_test(two_devices_stay_two),
        cmocka_unit_test(a_device_that_is_only_filled_is_a_device),
        cmocka_unit_test(a_recording_of_the_cpu_alone_has_no_device),
        cmocka_unit_test(an_empty_recording_is_refused_in_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
