/* SPDX-License-Identifier: MIT
 *
 * Lowering of collectives over their ranks: what waits and what moves, what
 * belongs together and what does not, and that recorded times come out again.
 */
#include "make_trace.h"

#include <string.h>

#include "lower/lower.h"
#include "trace/file.h"

#define COMM_STREAM 22u

/* One part of a collective, as a rank recorded it. */
typedef struct part {
    uint32_t device;
    span at;
    const char *kind, *group;
    uint64_t elements, sequence; /* sequence + 1; 0 unknown */
} part;

static ps_str text(ps_trace *trace, const char *value)
{
    ps_error err = {0};
    ps_str id;
    assert_ok(&err, ps_strings_put_z(trace->strings, value, &id, &err));
    return id;
}

static void put_part(ps_trace *trace, part what, uint64_t correlation)
{
    put_call(trace, MAIN_THREAD + what.device, (span){what.at.start - 900, what.at.start - 100},
             "cudaLaunchKernel", correlation);
    put_collective(trace, (place){what.device, COMM_STREAM}, what.at, correlation);
    const size_t row = trace->collective.head.count - 1;
    trace->collective.kind[row] = text(trace, what.kind);
    trace->collective.group[row] = text(trace, what.group);
    trace->collective.dtype[row] = text(trace, "Float");
    trace->collective.elements_in[row] = what.elements;
    trace->collective.elements_out[row] = what.elements;
    trace->collective.sequence[row] = what.sequence;
    trace->collective.group_size[row] = 2;
}

static ps_trace *trace_of(const part *parts, size_t count)
{
    ps_error err = {0};
    ps_trace *trace = trace_new();
    put_call(trace, 9, (span){0, 10}, "cudaGetDevice", 0); /* times count from here */
    for (size_t i = 0; i < count; i++) {
        put_part(trace, parts[i], i + 1);
    }
    assert_ok(&err, ps_trace_sort(trace, &err));
    return trace;
}

#define PLAY(parts) play_trace(trace_of(parts, sizeof(parts) / sizeof *(parts)))

static size_t exchanges_of(const ps_plan *plan)
{
    size_t count = 0;
    for (size_t i = 0; i < plan->task.head.count; i++) {
        count += plan->task.kind[i] == PS_TASK_EXCHANGE;
    }
    return count;
}

static uint64_t loss_of(const ps_plan *plan, const char *name)
{
    for (size_t i = 0; i < plan->loss.head.count; i++) {
        if (strcmp(ps_strings_text(plan->strings, plan->loss.name[i]), name) == 0) {
            assert_int_equal(plan->loss.severity[i], PS_SEVERITY_INFO);
            return plan->loss.count[i];
        }
    }
    return 0;
}

static uint32_t part_of_device(const ps_plan *plan, uint32_t device, unsigned nth)
{
    for (uint32_t i = 0; i < plan->task.head.count; i++) {
        if (plan->task.kind[i] == PS_TASK_COLLECTIVE &&
            plan->lane.device[plan->task.lane[i]] == device + 1 && nth-- == 0) {
            return i;
        }
    }
    fail_msg("no such part");
    return 0;
}

/* Every part runs when it was recorded. */
static void comes_out_as_recorded(const play *p, const part *parts, size_t count)
{
    unsigned seen[4] = {0};
    for (size_t i = 0; i < count; i++) {
        play_is(p, part_of_device(p->plan, parts[i].device, seen[parts[i].device]++),
                parts[i].at.start, parts[i].at.end);
    }
}

static const part meeting[] = {
    {0, {10000, 90000}, "all-reduce", "tp", 1024, 0},
    {1, {70000, 90500}, "all-reduce", "tp", 1024, 0},
};

static void a_part_waits_for_the_last_rank_and_ends_with_the_exchange(void **state)
{
    (void)state;
    play p = PLAY(meeting);
    const uint32_t exchange = task_named(p.plan, "all-reduce", 0);
    const uint32_t early = part_of_device(p.plan, 0, 0), late = part_of_device(p.plan, 1, 0);
    comes_out_as_recorded(&p, meeting, 2);
    play_is(&p, exchange, 70000, 90000);
    assert_int_equal(p.plan->task.bytes[exchange], 4096);
    assert_int_equal(p.plan->task.dur_ns[early], 0);
    assert_int_equal(p.plan->lane.kind[p.plan->task.lane[exchange]], PS_LANE_GROUP);
    assert_string_equal(
        ps_strings_text(p.plan->strings, p.plan->lane.name[p.plan->task.lane[exchange]]),
        "group tp");
    dep_is(p.plan, exchange, early, PS_DEP_START_AFTER_START, 0, PS_DEP_RULE);
    dep_is(p.plan, late, exchange, PS_DEP_END_AFTER_END, 500, PS_DEP_RULE);
    assert_int_equal(loss_of(p.plan, "unmatched-collectives"), 0);
    play_end(&p);
}

static void a_rank_that_comes_earlier_shortens_the_waiting_of_others(void **state)
{
    (void)state;
    play p = PLAY(meeting);
    const uint32_t late = part_of_device(p.plan, 1, 0);
    /* what rank 1 does before: its launch, 40 us earlier */
    const uint32_t call = task_named(p.plan, "cudaLaunchKernel", 1);
    assert_true(dep_row(p.plan, late, call) != NO_ROW);
    p.plan->task.gap_ns[call] -= 40000;
    play_again(&p);
    play_is(&p, late, 30000, 50500);
    play_is(&p, part_of_device(p.plan, 0, 0), 10000, 50000);
    play_end(&p);
}

static void waiting_and_transfer_are_told_apart(void **state)
{
    (void)state;
    ps_plan *plan = lower(trace_of(meeting, 2));
    ps_result result = run_plan(plan);
    const ps_result_time *early = &result.device[0].time, *late = &result.device[1].time;
    assert_true(early->has_exchanges && late->has_exchanges);
    assert_int_equal(early->collective_wait_ns, 60000);
    assert_int_equal(early->collective_transfer_ns, 20000);
    assert_int_equal(late->collective_wait_ns, 0);
    assert_int_equal(late->collective_transfer_ns, 20500);
    assert_int_equal(early->collective_wait_ns + early->collective_transfer_ns,
                     early->all_collectives_ns);
    ps_result_fini(&result);
    ps_plan_destroy(plan);
}

static void of_one_rank_nothing_is_told(void **state)
{
    (void)state;
    ps_plan *plan = lower(trace_of(meeting, 1));
    ps_result result = run_plan(plan);
    assert_int_equal(exchanges_of(plan), 0);
    assert_int_equal(plan->loss.head.count, 0);
    assert_false(result.device[0].time.has_exchanges);
    char *json = json_of(plan);
    assert_non_null(strstr(json, "\"collective_wait_ns\": null"));
    free(json);
    ps_result_fini(&result);
    ps_plan_destroy(plan);
}

/* Rank 1's recording begins one collective later. */
static void a_part_whose_partners_are_missing_stays_as_it_is(void **state)
{
    (void)state;
    static const part parts[] = {
        {0, {10000, 20000}, "all-reduce", "dp", 64, 0},
        {0, {30000, 50000}, "all-reduce", "dp", 64, 0},
        {1, {42000, 50000}, "all-reduce", "dp", 64, 0},
        {0, {60000, 80000}, "all-reduce", "dp", 64, 0},
        {1, {58000, 80000}, "all-reduce", "dp", 64, 0},
    };
    play p = PLAY(parts);
    comes_out_as_recorded(&p, parts, 5);
    assert_int_equal(exchanges_of(p.plan), 2);
    assert_int_equal(loss_of(p.plan, "unmatched-collectives"), 1);
    assert_int_equal(p.plan->task.dur_ns[part_of_device(p.plan, 0, 0)], 10000);
    play_is(&p, task_named(p.plan, "all-reduce", 0), 42000, 50000);
    play_is(&p, task_named(p.plan, "all-reduce", 1), 60000, 80000);
    play_end(&p);
}

/* The kinds differ, and by the clock they could be one: rank 1 waits in the second from early on. */
static void what_differs_in_kind_size_or_number_never_meets(void **state)
{
    (void)state;
    part parts[] = {
        {0, {10000, 20000}, "all-reduce", "dp", 64, 5},
        {0, {30000, 50000}, "all-gather", "dp", 64, 6},
        {1, {12000, 50000}, "all-gather", "dp", 64, 6},
    };
    for (int difference = 0; difference < 3; difference++) {
        parts[0].kind = difference == 0 ? "all-reduce" : "all-gather";
        parts[0].elements = difference == 1 ? 32 : 64;
        for (size_t i = 0; i < 3 && difference != 2; i++) {
            parts[i].sequence = 0;
        }
        if (difference == 2) {
            parts[0].sequence = 5;
            parts[1].sequence = parts[2].sequence = 6;
        }
        play p = PLAY(parts);
        comes_out_as_recorded(&p, parts, 3);
        assert_int_equal(exchanges_of(p.plan), 1);
        assert_int_equal(loss_of(p.plan, "unmatched-collectives"), 1);
        play_is(&p, task_named(p.plan, "all-gather", 0), 30000, 50000);
        play_end(&p);
    }
}

static void communicators_are_kept_apart(void **state)
{
    (void)state;
    static const part parts[] = {
        {0, {10000, 20000}, "all-reduce", "a", 64, 0},
        {2, {12000, 20000}, "all-reduce", "b", 64, 0},
        {1, {15000, 20000}, "all-reduce", "a", 64, 0},
        {3, {18000, 20000}, "all-reduce", "b", 64, 0},
    };
    play p = PLAY(parts);
    assert_int_equal(exchanges_of(p.plan), 2);
    play_is(&p, task_named(p.plan, "all-reduce", 0), 15000, 20000);
    play_is(&p, task_named(p.plan, "all-reduce", 1), 18000, 20000);
    play_end(&p);
}

/* Of a group of three that nobody else recorded of, two are there. */
static void ranks_that_were_not_recorded_are_counted(void **state)
{
    (void)state;
    ps_trace *trace = trace_of(meeting, 2);
    trace->collective.group_size[0] = trace->collective.group_size[1] = 3;
    play p = play_trace(trace);
    assert_int_equal(exchanges_of(p.plan), 1);
    assert_int_equal(loss_of(p.plan, "half-seen-collectives"), 1);
    play_end(&p);
}

static void messages_between_two_are_no_meetings(void **state)
{
    (void)state;
    static const part parts[] = {
        {0, {10000, 20000}, "send", "pp", 64, 0},
        {1, {12000, 20000}, "recv", "pp", 64, 0},
    };
    play p = PLAY(parts);
    comes_out_as_recorded(&p, parts, 2);
    assert_int_equal(exchanges_of(p.plan), 0);
    assert_int_equal(loss_of(p.plan, "unmatched-collectives"), 2);
    play_end(&p);
}

/* An all-to-all made of sends shows as one kernel a rank, and all end together. */
static void sends_and_receives_at_once_meet_when_they_end_together(void **state)
{
    (void)state;
    part parts[] = {
        {0, {10000, 20000}, "send-recv", "", 64, 0},
        {1, {12000, 22000}, "send-recv", "", 64, 0},
    };
    play p = PLAY(parts);
    comes_out_as_recorded(&p, parts, 2);
    play_is(&p, task_named(p.plan, "send-recv", 0), 12000, 20000);
    play_end(&p);
    parts[1].at.end = 40000;
    p = PLAY(parts);
    comes_out_as_recorded(&p, parts, 2);
    assert_int_equal(exchanges_of(p.plan), 0);
    assert_int_equal(loss_of(p.plan, "unmatched-collectives"), 2);
    play_end(&p);
}

/* Two processes on one clock: neither's synchronisation waits for the other's device, no thread of
 * one hands over to a thread of the other. */
static void processes_have_nothing_to_do_with_one_another(void **state)
{
    (void)state;
    const uint64_t other = (uint64_t)1 << PS_TRACE_PROCESS_SHIFT;
    ps_trace *trace = trace_new();
    put_fact(trace, PS_META_MERGED, "2");
    put_fact(trace, "device-0-rank", "0");
    put_fact(trace, "device-1-rank", "1");
    for (unsigned i = 0; i < 8; i++) { /* turns in time, eight calls each */
        put_launch(trace, (span){i * 1000, i * 1000 + 400}, stream_7,
                   (span){i * 1000 + 600, i * 1000 + 900}, "of rank 0", i + 1);
    }
    for (unsigned i = 8; i < 16; i++) {
        put_call(trace, other | MAIN_THREAD, (span){i * 1000, i * 1000 + 400}, "cudaLaunchKernel",
                 other | (i + 1));
        put_kernel(trace, (place){1, 7}, (span){i * 1000 + 600, i * 1000 + 900}, "of rank 1",
                   other | (i + 1));
    }
    put_call(trace, MAIN_THREAD, (span){9000, 16000}, "cudaDeviceSynchronize", 0);
    play p = play_trace(trace);
    for (size_t i = 0; i < p.plan->dep.head.count; i++) {
        const uint32_t lane = p.plan->task.lane[p.plan->dep.task[i]];
        const uint32_t awaited = p.plan->task.lane[p.plan->dep.before[i]];
        const ps_plan_lane_table *lanes = &p.plan->lane;
        const bool is_second = lanes->device[lane] == 2 || lanes->number[lane] >= other;
        const bool awaits_second = lanes->device[awaited] == 2 || lanes->number[awaited] >= other;
        assert_int_equal(is_second, awaits_second);
    }
    play_end(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_part_waits_for_the_last_rank_and_ends_with_the_exchange),
        cmocka_unit_test(a_rank_that_comes_earlier_shortens_the_waiting_of_others),
        cmocka_unit_test(waiting_and_transfer_are_told_apart),
        cmocka_unit_test(of_one_rank_nothing_is_told),
        cmocka_unit_test(a_part_whose_partners_are_missing_stays_as_it_is),
        cmocka_unit_test(what_differs_in_kind_size_or_number_never_meets),
        cmocka_unit_test(communicators_are_kept_apart),
        cmocka_unit_test(ranks_that_were_not_recorded_are_counted),
        cmocka_unit_test(messages_between_two_are_no_meetings),
        cmocka_unit_test(sends_and_receives_at_once_meet_when_they_end_together),
        cmocka_unit_test(processes_have_nothing_to_do_with_one_another),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
