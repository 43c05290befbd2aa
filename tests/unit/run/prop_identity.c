/* SPDX-License-Identifier: MIT
 *
 * The identity what-if of random recordings: every task starts and ends when
 * it was recorded, every step takes what it took, and after every allocator
 * event the allocated total is the recorded one.
 */
#include "random_program.h"

#include <string.h>

#include "trace/file.h"

/* Recorded times of the tasks of a plan: outermost calls, then device work by start. */
typedef struct expectation {
    span *task;
    size_t host_count, count;
} expectation;

static span span_of(ps_ns start, ps_ns dur)
{
    return (span){start - TRACE_ORIGIN_NS, start - TRACE_ORIGIN_NS + dur};
}

static bool is_nested(const ps_trace *trace, size_t call)
{
    return strncmp(ps_strings_text(trace->strings, trace->call.name[call]), "cuda", 4) != 0;
}

static bool is_later(span a, span b)
{
    return a.start != b.start ? a.start > b.start : a.end > b.end;
}

/* By start, then by end: what starts together on several streams may stand in any order. */
static void sort_spans(span *at, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        const span moving = at[i];
        size_t to = i;
        for (; to > 0 && is_later(at[to - 1], moving); to--) {
            at[to] = at[to - 1];
        }
        at[to] = moving;
    }
}

static expectation expect(const ps_trace *trace)
{
    expectation e = {.task = calloc(ps_trace_event_count(trace) + 1, sizeof *e.task)};
    assert_non_null(e.task);
    for (size_t i = 0; i < trace->call.head.count; i++) {
        if (!is_nested(trace, i)) {
            e.task[e.host_count++] = span_of(trace->call.start_ns[i], trace->call.dur_ns[i]);
        }
    }
    e.count = e.host_count;
    for (size_t i = 0; i < trace->kernel.head.count; i++) {
        e.task[e.count++] = span_of(trace->kernel.start_ns[i], trace->kernel.dur_ns[i]);
    }
    for (size_t i = 0; i < trace->memcpy.head.count; i++) {
        e.task[e.count++] = span_of(trace->memcpy.start_ns[i], trace->memcpy.dur_ns[i]);
    }
    for (size_t i = 0; i < trace->memset.head.count; i++) {
        e.task[e.count++] = span_of(trace->memset.start_ns[i], trace->memset.dur_ns[i]);
    }
    sort_spans(e.task + e.host_count, e.count - e.host_count);
    return e;
}

/* Tasks that stand for moments behind a thread's last call lie between the calls and the device. */
static void check_times(const play *p, const expectation *e)
{
    const size_t devices = e->count - e->host_count;
    const size_t first = p->plan->task.head.count - devices;
    span *played = calloc(devices + 1, sizeof *played);
    assert_non_null(played);
    for (uint32_t i = 0; i < e->host_count; i++) {
        play_is(p, i, e->task[i].start, e->task[i].end);
    }
    for (size_t i = 0; i < devices; i++) {
        played[i] = (span){p->start[first + i], p->end[first + i]};
    }
    sort_spans(played, devices);
    for (size_t i = 0; i < devices; i++) {
        assert_int_equal(played[i].start, e->task[e->host_count + i].start);
        assert_int_equal(played[i].end, e->task[e->host_count + i].end);
    }
    free(played);
}

static void check_result(const ps_plan *plan, size_t memory_events)
{
    ps_result result = run_plan(plan);
    for (size_t i = 0; i < result.step_count; i++) {
        assert_int_equal(result.step[i].time_ns, plan->step.recorded_ns[i]);
    }
    if (memory_events > 0) {
        assert_int_equal(result.device[0].allocated_check.compared, memory_events);
        assert_int_equal(result.device[0].allocated_check.equal, memory_events);
    }
    ps_result_fini(&result);
}

/* Returns the number of steps. */
static size_t check_program(const program_shape *shape, uint64_t seed)
{
    ps_error err = {0};
    print_message("seed %llu\n", (unsigned long long)seed);
    ps_trace *trace = random_program(shape, seed);
    assert_ok(&err, ps_trace_sort(trace, &err));
    expectation e = expect(trace);
    const size_t memory_events = trace->memory.head.count;
    play p = play_trace(trace);
    const size_t steps = p.plan->step.head.count;
    check_times(&p, &e);
    check_result(p.plan, memory_events);
    play_end(&p);
    free(e.task);
    return steps;
}

static void one_thread(void **state)
{
    (void)state;
    size_t steps = 0;
    for (uint64_t seed = 1; seed <= 150; seed++) {
        const program_shape shape = {.threads = 1,
                                     .streams = 1 + (unsigned)(seed % PROGRAM_MAX_STREAMS),
                                     .actions = 20 + (unsigned)(seed * 4)};
        steps += check_program(&shape, seed);
    }
    assert_true(steps > 1000);
}

static void threads_side_by_side(void **state)
{
    (void)state;
    for (uint64_t seed = 1001; seed <= 1150; seed++) {
        const program_shape shape = {.threads = 2 + (unsigned)(seed % 2),
                                     .streams = 1 + (unsigned)(seed % PROGRAM_MAX_STREAMS),
                                     .actions = 400};
        (void)check_program(&shape, seed);
    }
}

static void threads_that_take_turns(void **state)
{
    (void)state;
    for (uint64_t seed = 2001; seed <= 2150; seed++) {
        const program_shape shape = {.threads = 2,
                                     .streams = 1 + (unsigned)(seed % PROGRAM_MAX_STREAMS),
                                     .actions = 400,
                                     .turn = 60 + (unsigned)(seed % 60)};
        (void)check_program(&shape, seed);
    }
}

static void a_host_far_ahead(void **state)
{
    (void)state;
    for (uint64_t seed = 3001; seed <= 3010; seed++) {
        const program_shape shape = {.threads = 1,
                                     .streams = 1,
                                     .actions = 1500,
                                     .queue = 260 + (unsigned)(seed % 40),
                                     .launches_only = true};
        (void)check_program(&shape, seed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_thread),
        cmocka_unit_test(threads_side_by_side),
        cmocka_unit_test(threads_that_take_turns),
        cmocka_unit_test(a_host_far_ahead),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
