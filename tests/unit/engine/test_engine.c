/* SPDX-License-Identifier: MIT
 *
 * The engine without links: lanes, the four kinds of dependencies, circles,
 * refusals, memory.
 */
#include "support/test.h"

#include <string.h>

#include "base/memory.h"
#include "scene.h"

static void assert_task(const scene *s, uint32_t task, int64_t start, int64_t end)
{
    if (s->start_ns[task] != start || s->end_ns[task] != end) {
        fail_msg("task %u runs %lld..%lld, not %lld..%lld", (unsigned)task,
                 (long long)s->start_ns[task], (long long)s->end_ns[task], (long long)start,
                 (long long)end);
    }
}

static void nothing_takes_no_time(void **state)
{
    (void)state;
    ps_error err = {0};
    const ps_engine_input none = {0};
    assert_ok(&err, ps_engine_run(&none, NULL, NULL, NULL, NULL, &err));
    scene s = {.lane_count = 3};
    assert_ok(&err, scene_run(&s, &err));
}

static void a_lane_runs_in_row_order_with_gaps(void **state)
{
    (void)state;
    ps_error err = {0};
    scene s = {0};
    for (int i = 0; i < 100; i++) {
        (void)scene_task(&s, 0, 3, 7);
    }
    assert_ok(&err, scene_run(&s, &err));
    for (uint32_t i = 0; i < 100; i++) {
        assert_task(&s, i, 3 + 10 * (int64_t)i, 10 + 10 * (int64_t)i);
    }
}

/* Copy of batch i+1 under the work on batch i: total = copy + n * work when work is longer. */
static void two_lanes_overlap(void **state)
{
    (void)state;
    ps_error err = {0};
    scene s = {0};
    enum { N = 10, COPY = 4, WORK = 9 };
    for (uint32_t i = 0; i < N; i++) {
        const uint32_t copy = scene_task(&s, 0, 0, COPY);
        const uint32_t work = scene_task(&s, 1, 0, WORK);
        scene_dep_add(&s, work, PS_ENGINE_START_AFTER_END, copy, 0);
        if (i >= 2) { /* two buffers: copy i reuses the one of work i-2 */
            scene_dep_add(&s, copy, PS_ENGINE_START_AFTER_END, work - 4, 0);
        }
    }
    assert_ok(&err, scene_run(&s, &err));
    assert_int_equal(scene_makespan(&s), COPY + N * WORK);
    assert_task(&s, 4, COPY + WORK, COPY + WORK + COPY);
}

static void each_dependency_holds_its_edge(void **state)
{
    (void)state;
    static const struct {
        ps_engine_dep_kind kind;
        int64_t start, end;
    } cases[] = {
        {PS_ENGINE_START_AFTER_END, 35, 36},   /* 10 + 20 + 5 */
        {PS_ENGINE_START_AFTER_START, 15, 16}, /* 10 + 5 */
        {PS_ENGINE_END_AFTER_END, 0, 35},
        {PS_ENGINE_END_AFTER_START, 0, 15},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ps_error err = {0};
        scene s = {0};
        const uint32_t waiting = scene_task(&s, 0, 0, 1);
        const uint32_t after = scene_task(&s, 0, 0, 1);
        const uint32_t awaited = scene_task(&s, 1, 10, 20);
        scene_dep_add(&s, waiting, cases[i].kind, awaited, 5);
        assert_ok(&err, scene_run(&s, &err));
        assert_task(&s, waiting, cases[i].start, cases[i].end);
        assert_task(&s, after, cases[i].end, cases[i].end + 1); /* the lane is held until the end */
    }
}

static void the_latest_of_many_counts(void **state)
{
    (void)state;
    ps_error err = {0};
    scene s = {0};
    const uint32_t last = scene_task(&s, 0, 2, 3);
    for (uint32_t i = 1; i <= 20; i++) {
        const uint32_t other = scene_task(&s, i, 0, (int64_t)i * 10);
        scene_dep_add(&s, last, PS_ENGINE_START_AFTER_END, other, 20 - (int64_t)i);
        scene_dep_add(&s, last, PS_ENGINE_END_AFTER_START, other, 300);
    }
    assert_ok(&err, scene_run(&s, &err));
    assert_task(&s, last, 200, 300);
}

/* A rendezvous: equal starts by mutual waits on a third; a minimum length by a wait on oneself. */
static void waits_on_own_start_are_a_least_length(void **state)
{
    (void)state;
    ps_error err = {0};
    scene s = {0};
    const uint32_t task = scene_task(&s, 0, 5, 2);
    scene_dep_add(&s, task, PS_ENGINE_END_AFTER_START, task, 40);
    assert_ok(&err, scene_run(&s, &err));
    assert_task(&s, task, 5, 45);
}

/* Two ends may wait for each other's starts: a collective on two devices. */
static void ends_may_wait_for_starts_both_ways(void **state)
{
    (void)state;
    ps_error err = {0};
    scene s = {0};
    const uint32_t a = scene_task(&s, 0, 0, 10);
    const uint32_t b = scene_task(&s, 1, 70, 10);
    scene_dep_add(&s, a, PS_ENGINE_END_AFTER_START, b, 10);
    scene_dep_add(&s, b, PS_ENGINE_END_AFTER_START, a, 10);
    assert_ok(&err, scene_run(&s, &err));
    assert_task(&s, a, 0, 80);
    assert_task(&s, b, 70, 80);
}

static void name_task(const void *context, uint32_t task, char *out, size_t bytes)
{
    (void)snprintf(out, bytes, "%s%u", (const char *)context, (unsigned)task);
}

static void a_circle_is_named(void **state)
{
    (void)state;
    ps_error err = {0};
    scene s = {0};
    const uint32_t first = scene_task(&s, 0, 0, 1);
    const uint32_t a = scene_task(&s, 0, 0, 1);
    const uint32_t b = scene_task(&s, 1, 0, 1);
    const uint32_t innocent = scene_task(&s, 1, 0, 1);
    scene_dep_add(&s, a, PS_ENGINE_START_AFTER_END, b, 0);
    scene_dep_add(&s, b, PS_ENGINE_START_AFTER_END, a, 0);
    const ps_engine_input input = scene_input(&s);
    assert_int_equal(ps_engine_run(&input, name_task, "op", s.start_ns, s.end_ns, &err),
                     PS_DEADLOCK);
    assert_string_equal(err.message,
                        "tasks wait in a circle: the start of task 1 \"op1\" (lane 0) waits for "
                        "the end of task 2 \"op2\" (lane 1) waits for the start of task 2 \"op2\" "
                        "(lane 1) waits for the end of task 1 \"op1\" (lane 0) waits for the start "
                        "of task 1 \"op1\" (lane 0)");
    (void)first;
    (void)innocent;
}

static void a_task_that_waits_for_itself_is_named(void **state)
{
    (void)state;
    static const ps_engine_dep_kind kinds[] = {
        PS_ENGINE_START_AFTER_END, PS_ENGINE_START_AFTER_START, PS_ENGINE_END_AFTER_END};
#define START "the start of task 0 (lane 0)"
#define END "the end of task 0 (lane 0)"
    static const char *const messages[] = {
        "tasks wait in a circle: " START " waits for " END " waits for " START,
        "tasks wait in a circle: " START " waits for " START,
        "tasks wait in a circle: " END " waits for " END,
    };
    for (size_t i = 0; i < 3; i++) {
        ps_error err = {0};
        scene s = {0};
        const uint32_t task = scene_task(&s, 0, 0, 1);
        scene_dep_add(&s, task, kinds[i], task, 0);
        assert_int_equal(scene_run(&s, &err), PS_DEADLOCK);
        assert_string_equal(err.message, messages[i]);
    }
}

/* Queues in opposite orders, the usual cause in practice: no dependency alone is wrong. */
static void opposite_orders_of_two_lanes_are_a_circle(void **state)
{
    (void)state;
    ps_error err = {0};
    scene s = {0};
    const uint32_t send = scene_task(&s, 0, 0, 1);
    const uint32_t give = scene_task(&s, 0, 0, 1);
    const uint32_t take = scene_task(&s, 1, 0, 1);
    const uint32_t receive = scene_task(&s, 1, 0, 1);
    scene_dep_add(&s, send, PS_ENGINE_END_AFTER_START, receive, 0);
    scene_dep_add(&s, take, PS_ENGINE_START_AFTER_START, give, 0);
    assert_int_equal(scene_run(&s, &err), PS_DEADLOCK);
    assert_non_null(
        strstr(err.message, "the end of task 0 (lane 0) waits for the start of task 3"));
    assert_non_null(strstr(err.message, "waits for the end of task 2 (lane 1)"));
}

static void a_long_circle_is_cut_short(void **state)
{
    (void)state;
    ps_error err = {0};
    scene s = {0};
    for (uint32_t i = 0; i < 100; i++) {
        (void)scene_task(&s, i, 0, 1);
        scene_dep_add(&s, i, PS_ENGINE_START_AFTER_START, (i + 1) % 100, 0);
    }
    assert_int_equal(scene_run(&s, &err), PS_DEADLOCK);
    assert_non_null(
        strstr(err.message, "100 edges wait in a circle: the start of task 0 (lane 0)"));
    assert_non_null(strstr(err.message, "task 5"));
    assert_null(strstr(err.message, "task 50"));
    assert_int_equal(ps_engine_run(&(ps_engine_input){0}, NULL, NULL, NULL, NULL, NULL), PS_OK);
    assert_int_equal(scene_run(&s, NULL), PS_DEADLOCK);
}

static void expect_refusal(scene *s, const char *message)
{
    ps_error err = {0};
    const ps_engine_input input = scene_input(s);
    assert_int_equal(ps_engine_run(&input, NULL, NULL, s->start_ns, s->end_ns, &err), PS_BAD_INPUT);
    assert_string_equal(err.message, message);
}

static void wrong_rows_are_refused(void **state)
{
    (void)state;
    scene base = {0};
    (void)scene_task(&base, 0, 0, 1);
    (void)scene_task(&base, 1, 0, 1);
    scene_dep_add(&base, 1, PS_ENGINE_START_AFTER_END, 0, 0);
    (void)scene_link(&base, 100);
    scene_cross(&base, 1, 0);
    scene s = base;
    s.lane_count = 1;
    expect_refusal(&s, "task 1: lane 1 of 1");
    s = base;
    s.gap_ns[1] = -1;
    expect_refusal(&s, "task 1: gap -1 ns, duration 1 ns, must be >= 0");
    s = base;
    s.dur_ns[0] = -7;
    expect_refusal(&s, "task 0: gap 0 ns, duration -7 ns, must be >= 0");
    s = base;
    s.dep[0].before = 2;
    expect_refusal(&s, "dependency 0: tasks 1 and 2 of 2");
    s = base;
    s.dep[0].lag_ns = -1;
    expect_refusal(&s, "dependency 0: lag -1 ns, must be >= 0");
    s = base;
    s.dep[0].kind = (ps_engine_dep_kind)4;
    expect_refusal(&s, "dependency 0: kind 4 is unknown");
    s = base;
    s.link_bytes_per_s[0] = 0;
    expect_refusal(&s, "link 0: capacity 0");
    s = base;
    s.transfer[0].link = 1;
    expect_refusal(&s, "transfer 0: task 1 of 2 over link 1 of 1");
}

static void unsorted_rows_are_refused(void **state)
{
    (void)state;
    ps_error err = {0};
    scene s = {0};
    (void)scene_task(&s, 0, 0, 1);
    (void)scene_task(&s, 1, 0, 1);
    (void)scene_link(&s, 100);
    scene_dep_add(&s, 0, PS_ENGINE_START_AFTER_START, 1, 0);
    scene_dep_add(&s, 1, PS_ENGINE_END_AFTER_END, 0, 0);
    scene_cross(&s, 0, 0);
    scene_cross(&s, 1, 0);
    ps_engine_input input = scene_input(&s);
    s.dep_task[0] = 1;
    s.dep_task[1] = 0;
    assert_int_equal(ps_engine_run(&input, NULL, NULL, s.start_ns, s.end_ns, &err), PS_BAD_INPUT);
    assert_string_equal(err.message, "dependency 1: task 0 after task 1, not sorted");
    input = scene_input(&s);
    s.transfer_task[0] = 1;
    s.transfer_task[1] = 0;
    assert_int_equal(ps_engine_run(&input, NULL, NULL, s.start_ns, s.end_ns, &err), PS_BAD_INPUT);
    assert_string_equal(err.message, "transfer 1: task 0 after task 1, not sorted");
    input = (ps_engine_input){.task_count = (size_t)1 << 31};
    assert_int_equal(ps_engine_run(&input, NULL, NULL, NULL, NULL, &err), PS_BAD_INPUT);
    assert_string_equal(err.message, "2147483648 tasks, must be below 2147483648");
}

static void the_end_of_time_is_refused(void **state)
{
    (void)state;
    ps_error err = {0};
    scene s = {0};
    (void)scene_task(&s, 0, 0, INT64_MAX - 1);
    assert_ok(&err, scene_run(&s, &err));
    (void)scene_task(&s, 0, 0, 1);
    assert_int_equal(scene_run(&s, &err), PS_BAD_INPUT);
    assert_string_equal(err.message, "task 1 ends after the last representable time");
    scene moving = {0};
    const uint32_t slow = scene_link(&moving, 1);
    (void)scene_flow(&moving, 0, UINT64_MAX, 0, slow);
    (void)scene_flow(&moving, 0, 1000, 0, slow);
    assert_int_equal(scene_run(&moving, &err), PS_BAD_INPUT);
    assert_string_equal(err.message, "task 0 ends after the last representable time");
    scene late = {0};
    (void)scene_flow(&late, INT64_MAX, 1, 0, scene_link(&late, 1));
    assert_int_equal(scene_run(&late, &err), PS_BAD_INPUT);
}

static void every_failed_allocation_is_reported(void **state)
{
    (void)state;
    scene s = {0};
    const uint32_t link = scene_link(&s, 1000);
    for (uint32_t i = 0; i < 6; i++) {
        (void)scene_flow(&s, i, 100 + i, 0, link);
        scene_dep_add(&s, i, PS_ENGINE_END_AFTER_START, 0, 3);
    }
    unsigned long failures = 0;
    for (unsigned long n = 1;; n++) {
        ps_error err = {0};
        ps_memory_fail_nth(n);
        const ps_code code = scene_run(&s, &err);
        ps_memory_fail_nth(0);
        if (code == PS_OK) {
            break;
        }
        assert_int_equal(code, PS_NOMEM);
        assert_int_equal(err.code, PS_NOMEM);
        failures++;
    }
    assert_true(failures >= 15);
    scene_dep_add(&s, 0, PS_ENGINE_START_AFTER_END, 0, 0);
    for (unsigned long n = 1;; n++) {
        ps_memory_fail_nth(n);
        const ps_code code = scene_run(&s, NULL);
        ps_memory_fail_nth(0);
        if (code == PS_DEADLOCK) {
            assert_true(n > failures);
            break;
        }
        assert_int_equal(code, PS_NOMEM);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_takes_no_time),
        cmocka_unit_test(a_lane_runs_in_row_order_with_gaps),
        cmocka_unit_test(two_lanes_overlap),
        cmocka_unit_test(each_dependency_holds_its_edge),
        cmocka_unit_test(the_latest_of_many_counts),
        cmocka_unit_test(waits_on_own_start_are_a_least_length),
        cmocka_unit_test(ends_may_wait_for_starts_both_ways),
        cmocka_unit_test(a_circle_is_named),
        cmocka_unit_test(a_task_that_waits_for_itself_is_named),
        cmocka_unit_test(opposite_orders_of_two_lanes_are_a_circle),
        cmocka_unit_test(a_long_circle_is_cut_short),
        cmocka_unit_test(wrong_rows_are_refused),
        cmocka_unit_test(unsorted_rows_are_refused),
        cmocka_unit_test(the_end_of_time_is_refused),
        cmocka_unit_test(every_failed_allocation_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
