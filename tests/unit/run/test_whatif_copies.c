/* SPDX-License-Identifier: MIT
 *
 * What-if of another host link: copies in closed form, and the step where
 * copies do and do not matter.
 *
 * The recorded link moves 10 GB/s each way, both ways together 15, and a copy
 * takes 10 us to start: 10 MB take 1 010 000 ns.
 */
#include "hardware.h"
#include "make_trace.h"

#define TEN_MB 10000000u
#define START_NS 10000
#define WIRE_NS 1000000
#define LINK (UINT64_C(10) * 1000 * 1000 * 1000)

static const cargo upload = {PS_COPY_HTOD, PS_MEMORY_PINNED, TEN_MB};
static const cargo download = {PS_COPY_DTOH, PS_MEMORY_PINNED, TEN_MB};
static const cargo pageable_upload = {PS_COPY_HTOD, PS_MEMORY_PAGEABLE, TEN_MB};

static void set_link(play *p, uint64_t bytes_per_s)
{
    apply_change(p->plan, &(ps_whatif){.pcie_bytes_per_s = bytes_per_s});
    play_again(p);
}

static ps_ns length(const play *p, uint32_t task)
{
    return p->end[task] - p->start[task];
}

/* A kernel of 10 ms on one stream, a copy on another, and a host that waits for both. */
static ps_trace *copy_under_compute(void)
{
    ps_trace *trace = trace_new();
    put_device(trace, 0, "Oldcard", 0);
    put_step(trace, (span){0, 10100000}, 1);
    put_launch(trace, (span){0, 4000}, stream_7, (span){10000, 10010000}, "compute", 1);
    put_call(trace, MAIN_THREAD, (span){5000, 9000}, "cudaMemcpyAsync", 2);
    put_copy(trace, stream_9, (span){15000, 15000 + START_NS + WIRE_NS}, upload, 2);
    put_call(trace, MAIN_THREAD, (span){20000, 10015000}, "cudaDeviceSynchronize", 3);
    put_call(trace, MAIN_THREAD, (span){10020000, 10022000}, "cudaGetLastError", 4);
    return trace;
}

static void half_the_link_doubles_the_moving_time(void **state)
{
    (void)state;
    play p = play_trace(copy_under_compute());
    const uint32_t copy = task_named(p.plan, "copy", 0);
    assert_int_equal(length(&p, copy), START_NS + WIRE_NS);
    set_link(&p, LINK / 2);
    assert_int_equal(length(&p, copy), START_NS + 2 * WIRE_NS);
    assert_int_equal(p.plan->task.basis[copy], PS_BASIS_SCALED);
    play_end(&p);
}

static void a_copy_under_compute_does_not_stretch_the_step(void **state)
{
    (void)state;
    play p = play_trace(copy_under_compute());
    assert_int_equal(step_time(&p, 0), 10100000);
    set_link(&p, LINK / 4);
    assert_int_equal(length(&p, task_named(p.plan, "copy", 0)), START_NS + 4 * WIRE_NS);
    assert_int_equal(step_time(&p, 0), 10100000);
    play_end(&p);
}

static void a_copy_that_outlasts_the_compute_stretches_the_step_by_the_excess(void **state)
{
    (void)state;
    play p = play_trace(copy_under_compute());
    set_link(&p, LINK / 20); /* 20 ms from 25 000 on; the kernel was done at 10 010 000 */
    const uint32_t sync = task_named(p.plan, "cudaDeviceSynchronize", 0);
    assert_int_equal(p.end[task_named(p.plan, "copy", 0)], 25000 + 20 * WIRE_NS);
    assert_true(p.end[sync] >= 25000 + 20 * WIRE_NS);
    assert_true(p.end[sync] <=
                25000 + 20 * WIRE_NS + 5000); /* and what such a call takes to return */
    assert_int_equal(step_time(&p, 0), 10100000 + (p.end[sync] - 10015000));
    play_end(&p);
}

/* The host stands in a copy of pageable memory and launches behind it. */
static ps_trace *blocking_copy(void)
{
    ps_trace *trace = trace_new();
    put_device(trace, 0, "Oldcard", 0);
    put_step(trace, (span){0, 1250000}, 1);
    put_call(trace, MAIN_THREAD, (span){0, 1025000}, "cudaMemcpyAsync", 1);
    put_copy(trace, stream_7, (span){8000, 8000 + START_NS + WIRE_NS}, pageable_upload, 1);
    put_launch(trace, (span){1030000, 1034000}, stream_7, (span){1040000, 1140000}, "compute", 2);
    put_call(trace, MAIN_THREAD, (span){1040000, 1150000}, "cudaStreamSynchronize", 3);
    return trace;
}

static void a_copy_the_host_waits_for_stretches_the_step_by_the_difference(void **state)
{
    (void)state;
    play p = play_trace(blocking_copy());
    assert_int_equal(step_time(&p, 0), 1250000);
    set_link(&p, LINK / 2);
    assert_int_equal(step_time(&p, 0), 1250000 + WIRE_NS);
    play_is(&p, task_named(p.plan, "compute", 0), 1040000 + WIRE_NS, 1140000 + WIRE_NS);
    play_end(&p);
}

static void a_faster_link_shortens_the_step_by_the_difference(void **state)
{
    (void)state;
    play p = play_trace(blocking_copy());
    set_link(&p, LINK * 4);
    assert_int_equal(length(&p, task_named(p.plan, "copy", 0)), START_NS + WIRE_NS / 4);
    assert_int_equal(step_time(&p, 0), 1250000 - WIRE_NS * 3 / 4);
    play_end(&p);
}

static void the_recorded_link_changes_nothing(void **state)
{
    (void)state;
    play p = play_trace(blocking_copy());
    set_link(&p, LINK);
    assert_int_equal(step_time(&p, 0), 1250000);
    play_is(&p, task_named(p.plan, "copy", 0), 8000, 8000 + START_NS + WIRE_NS);
    play_end(&p);
}

static void opposite_copies_share_what_the_host_can_feed(void **state)
{
    (void)state;
    ps_trace *trace = trace_new();
    put_device(trace, 0, "Oldcard", 0);
    put_call(trace, MAIN_THREAD, (span){0, 1000}, "cudaMemcpyAsync", 1);
    put_call(trace, MAIN_THREAD, (span){1000, 2000}, "cudaMemcpyAsync", 2);
    put_copy(trace, stream_7, (span){5000, 5000 + START_NS + WIRE_NS}, upload, 1);
    put_copy(trace, stream_9, (span){5000, 5000 + START_NS + WIRE_NS}, download, 2);
    play p = play_trace(trace);
    set_link(&p, LINK);
    /* 15 GB/s for two: 7.5 GB/s each */
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(length(&p, task_named(p.plan, "copy", i)), START_NS + 1333334);
    }
    play_end(&p);
}

static void copies_of_one_direction_share_its_link(void **state)
{
    (void)state;
    ps_trace *trace = trace_new();
    put_device(trace, 0, "Oldcard", 0);
    put_call(trace, MAIN_THREAD, (span){0, 1000}, "cudaMemcpyAsync", 1);
    put_call(trace, MAIN_THREAD, (span){1000, 2000}, "cudaMemcpyAsync", 2);
    put_copy(trace, stream_7, (span){5000, 5000 + START_NS + WIRE_NS}, upload, 1);
    put_copy(trace, stream_9, (span){5000, 5000 + START_NS + WIRE_NS}, upload, 2);
    play p = play_trace(trace);
    set_link(&p, LINK);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(length(&p, task_named(p.plan, "copy", i)), START_NS + 2 * WIRE_NS);
    }
    play_end(&p);
}

static ps_trace *one_copy(const char *gpu, span at, cargo what)
{
    ps_trace *trace = trace_new();
    put_device(trace, 0, gpu, 0);
    put_call(trace, MAIN_THREAD, (span){0, 1000}, "cudaMemcpyAsync", 1);
    put_copy(trace, stream_7, at, what, 1);
    return trace;
}

static ps_ns copy_time(ps_trace *trace, uint64_t bytes_per_s)
{
    play p = play_trace(trace);
    set_link(&p, bytes_per_s);
    const ps_ns time = length(&p, task_named(p.plan, "copy", 0));
    play_end(&p);
    return time;
}

static void a_short_copy_is_mostly_start_and_stays_so(void **state)
{
    (void)state;
    /* 5000 bytes cross in 500 ns; the other 1500 ns are the start */
    const cargo few = {PS_COPY_DTOH, PS_MEMORY_PINNED, 5000};
    assert_int_equal(copy_time(one_copy("Oldcard", (span){5000, 7000}, few), LINK / 2), 2500);
    assert_int_equal(copy_time(one_copy("Oldcard", (span){5000, 7000}, few), LINK * 5), 1600);
}

static void a_slow_pageable_copy_keeps_its_share_of_the_link(void **state)
{
    (void)state;
    /* a quarter of the link: 4 ms and the start */
    const span at = {5000, 5000 + START_NS + 4 * WIRE_NS};
    assert_int_equal(copy_time(one_copy("Oldcard", at, pageable_upload), LINK / 2),
                     START_NS + 8 * WIRE_NS);
    assert_int_equal(copy_time(one_copy("Oldcard", at, pageable_upload), LINK * 2),
                     START_NS + 2 * WIRE_NS);
}

static void random_large_copies_double_to_the_nanosecond(void **state)
{
    (void)state;
    uint64_t rng = 20240611;
    print_message("seed %llu\n", (unsigned long long)rng);
    for (int i = 0; i < 200; i++) {
        const uint64_t bytes = MIB + next_random(&rng) % (512 * MIB);
        const ps_ns wire = (ps_ns)(bytes / 10); /* 10 bytes a nanosecond */
        const ps_ns moving = wire + 1 + (ps_ns)(next_random(&rng) % (uint64_t)wire);
        const cargo what = {PS_COPY_HTOD, PS_MEMORY_PINNED, bytes};
        const span at = {5000, 5000 + START_NS + moving};
        const ps_ns halved = copy_time(one_copy("Oldcard", at, what), LINK / 2);
        assert_in_range(halved - START_NS - 2 * moving + 1, 0, 2);
    }
}

static void a_recording_without_a_gpu_name_is_its_own_yardstick(void **state)
{
    (void)state;
    /* 10 MB in 2 ms: its best copies show 5 GB/s */
    const span at = {5000, 5000 + 2 * WIRE_NS};
    assert_int_equal(copy_time(one_copy("", at, upload), LINK / 4), 4 * WIRE_NS);
    assert_int_equal(copy_time(one_copy("Mystery card", at, upload), LINK / 2), 2 * WIRE_NS);
}

static void device_copies_do_not_cross_the_host_link(void **state)
{
    (void)state;
    const cargo inside = {PS_COPY_DTOD, PS_MEMORY_DEVICE, TEN_MB};
    play p = play_trace(one_copy("Oldcard", (span){5000, 30000}, inside));
    set_link(&p, LINK / 2);
    assert_int_equal(length(&p, task_named(p.plan, "copy", 0)), 25000);
    assert_int_equal(p.plan->transfer.head.count, 0);
    assert_int_equal(p.plan->task.basis[task_named(p.plan, "copy", 0)], PS_BASIS_MEASURED);
    play_end(&p);
}

static void a_recording_without_a_device_has_no_links(void **state)
{
    (void)state;
    ps_trace *trace = trace_new();
    put_call(trace, MAIN_THREAD, (span){0, 1000}, "cudaGetDevice", 0);
    play p = play_trace(trace);
    set_link(&p, LINK);
    assert_int_equal(p.plan->link.head.count, 0);
    play_is(&p, 0, 0, 1000);
    play_end(&p);
}

static void another_gpu_brings_its_own_link(void **state)
{
    (void)state;
    play p = play_trace(blocking_copy());
    apply_change(p.plan, &(ps_whatif){.gpu = "Newcard"});
    play_again(&p);
    assert_int_equal(length(&p, task_named(p.plan, "copy", 0)), START_NS + WIRE_NS / 4);
    play_end(&p);
}

/* A saved plan may come back for a second change. */
static void a_second_link_replaces_the_first(void **state)
{
    (void)state;
    play once = play_trace(blocking_copy());
    play twice = play_trace(blocking_copy());
    set_link(&once, LINK / 4);
    set_link(&twice, LINK / 2);
    ps_error err = {0};
    const ps_code code = try_change(twice.plan, &(ps_whatif){.pcie_bytes_per_s = LINK / 4}, &err);
    if (code == PS_OK) {
        play_again(&twice);
        const uint32_t copy = task_named(once.plan, "copy", 0);
        play_is(&twice, copy, once.start[copy], once.end[copy]);
    } else {
        assert_int_equal(code, PS_USAGE); /* or says that it cannot */
        assert_true(err.message[0] != '\0');
    }
    play_end(&once);
    play_end(&twice);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(half_the_link_doubles_the_moving_time),
        cmocka_unit_test(a_copy_under_compute_does_not_stretch_the_step),
        cmocka_unit_test(a_copy_that_outlasts_the_compute_stretches_the_step_by_the_excess),
        cmocka_unit_test(a_copy_the_host_waits_for_stretches_the_step_by_the_difference),
        cmocka_unit_test(a_faster_link_shortens_the_step_by_the_difference),
        cmocka_unit_test(the_recorded_link_changes_nothing),
        cmocka_unit_test(opposite_copies_share_what_the_host_can_feed),
        cmocka_unit_test(copies_of_one_direction_share_its_link),
        cmocka_unit_test(a_short_copy_is_mostly_start_and_stays_so),
        cmocka_unit_test(a_slow_pageable_copy_keeps_its_share_of_the_link),
        cmocka_unit_test(random_large_copies_double_to_the_nanosecond),
        cmocka_unit_test(a_recording_without_a_gpu_name_is_its_own_yardstick),
        cmocka_unit_test(device_copies_do_not_cross_the_host_link),
        cmocka_unit_test(a_recording_without_a_device_has_no_links),
        cmocka_unit_test(another_gpu_brings_its_own_link),
        cmocka_unit_test(a_second_link_replaces_the_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
