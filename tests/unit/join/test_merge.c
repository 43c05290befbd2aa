/* SPDX-License-Identifier: MIT
 *
 * Merging ranks: a clock that is off is found and taken out, whatever the
 * jitter; numbers of different processes never meet; one rank is itself.
 */
#include "support/test.h"

#include <string.h>
#include <time.h>

#include "merge.h"
#include "trace/check.h"

#define COLLECTIVES 101
#define STEP_NS 1000000

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static ps_str text(ps_trace *trace, const char *value)
{
    ps_error err = {0};
    ps_str id = 0;
    assert_ok(&err, ps_strings_put_z(trace->strings, value, &id, &err));
    return id;
}

static void add_collective(ps_trace *trace, uint32_t device, ps_ns start, ps_ns dur,
                           uint64_t number)
{
    ps_error err = {0};
    size_t kernel, row;
    assert_ok(&err, ps_trace_add(trace, PS_TABLE_KERNEL, &kernel, &err));
    trace->kernel.start_ns[kernel] = start;
    trace->kernel.dur_ns[kernel] = dur;
    trace->kernel.device[kernel] = device;
    trace->kernel.correlation[kernel] = number;
    assert_ok(&err, ps_trace_add(trace, PS_TABLE_COLLECTIVE, &row, &err));
    trace->collective.start_ns[row] = start;
    trace->collective.dur_ns[row] = dur;
    trace->collective.device[row] = device;
    trace->collective.correlation[row] = number;
    trace->collective.kind[row] = text(trace, "all-reduce");
}

/* A rank whose clock is `offset` ahead; it arrives at random and all end together within a microsecond. */
static ps_trace *make_rank(uint32_t device, ps_ns offset, uint64_t *random)
{
    ps_error err = {0};
    ps_trace *trace = ps_trace_create();
    assert_non_null(trace);
    for (uint64_t i = 0; i < COLLECTIVES; i++) {
        const ps_ns end = (ps_ns)(i + 1) * STEP_NS + (ps_ns)(next_random(random) % 1000);
        const ps_ns dur = 1000 + (ps_ns)(next_random(random) % 300000);
        add_collective(trace, device, end - dur + offset, dur, i + 1);
    }
    size_t row;
    assert_ok(&err, ps_trace_add(trace, PS_TABLE_RANGE, &row, &err));
    trace->range.start_ns[row] = offset;
    trace->range.name[row] = text(trace, "ProfilerStep#0");
    trace->range.category[row] = PS_RANGE_ANNOTATION;
    trace->range.tid[row] = 9;
    assert_ok(&err, ps_trace_add(trace, PS_TABLE_DEVICE, &row, &err));
    trace->device.device[row] = device;
    trace->device.kind[row] = PS_DEVICE_CUDA;
    return trace;
}

static void a_clock_that_is_off_is_found(void **state)
{
    (void)state;
    ps_error err = {0};
    uint64_t random = (uint64_t)time(NULL) | 1;
    print_message("seed %llu\n", (unsigned long long)random);
    for (int round = 0; round < 20; round++) {
        const ps_ns offset = (ps_ns)(next_random(&random) % 2000000000) - 1000000000;
        ps_trace *ranks[2] = {make_rank(0, 0, &random), make_rank(1, offset, &random)};
        ps_merge_rank aligned[2];
        ps_trace *merged;
        assert_ok(&err, ps_merge_traces((const ps_trace *const *)ranks, 2, aligned, &merged, &err));
        assert_int_equal(aligned[1].collectives, COLLECTIVES);
        assert_true(aligned[1].offset_ns > offset - 1000 && aligned[1].offset_ns < offset + 1000);
        assert_true(aligned[1].residual_ns < 1000);
        assert_int_equal(aligned[0].offset_ns, 0);
        assert_ok(&err, ps_trace_check(merged, NULL, NULL, NULL, &err));
        ps_trace_destroy(merged);
        ps_trace_destroy(ranks[0]);
        ps_trace_destroy(ranks[1]);
    }
}

static void numbers_of_processes_never_meet(void **state)
{
    (void)state;
    ps_error err = {0};
    uint64_t random = 88172645463325252u;
    ps_trace *ranks[2] = {make_rank(0, 0, &random), make_rank(0, 500, &random)};
    ps_merge_rank aligned[2];
    ps_trace *merged;
    assert_ok(&err, ps_merge_traces((const ps_trace *const *)ranks, 2, aligned, &merged, &err));
    size_t of_second = 0;
    for (size_t i = 0; i < merged->kernel.head.count; i++) {
        const bool is_second = merged->kernel.device[i] == 1;
        assert_int_equal(merged->kernel.correlation[i] >> 48, is_second);
        of_second += is_second;
    }
    assert_int_equal(of_second, COLLECTIVES);
    assert_int_equal(merged->device.head.count, 2);
    assert_string_equal(ps_trace_meta(merged, "device-1-rank"), "1");
    assert_string_equal(ps_trace_meta(merged, "merged-ranks"), "2");
    bool has_other = false;
    for (size_t i = 0; i < merged->range.head.count; i++) {
        const char *name = ps_strings_text(merged->strings, merged->range.name[i]);
        has_other = has_other || strcmp(name, "rank 1: ProfilerStep#0") == 0;
    }
    assert_true(has_other);
    ps_trace_destroy(merged);
    ps_trace_destroy(ranks[0]);
    ps_trace_destroy(ranks[1]);
}

static void one_rank_is_itself(void **state)
{
    (void)state;
    ps_error err = {0};
    uint64_t random = 1234567;
    const ps_trace *rank = make_rank(0, 777, &random);
    ps_merge_rank aligned;
    ps_trace *merged;
    assert_ok(&err, ps_merge_traces(&rank, 1, &aligned, &merged, &err));
    assert_int_equal(merged->kernel.head.count, rank->kernel.head.count);
    for (size_t i = 0; i < rank->kernel.head.count; i++) {
        assert_int_equal(merged->kernel.start_ns[i], rank->kernel.start_ns[i]);
        assert_int_equal(merged->kernel.correlation[i], rank->kernel.correlation[i]);
    }
    ps_trace_destroy(merged);
    ps_trace_destroy((ps_trace *)(uintptr_t)rank);
}

static void ranks_without_common_collectives_keep_their_clocks(void **state)
{
    (void)state;
    ps_error err = {0};
    uint64_t random = 99;
    ps_trace *ranks[2] = {make_rank(0, 0, &random), make_rank(1, 123456, &random)};
    for (size_t i = 0; i < ranks[1]->collective.head.count; i++) {
        ranks[1]->collective.kind[i] = text(ranks[1], "send-recv");
    }
    ps_merge_rank aligned[2];
    ps_trace *merged;
    assert_ok(&err, ps_merge_traces((const ps_trace *const *)ranks, 2, aligned, &merged, &err));
    assert_int_equal(aligned[1].collectives, 0);
    assert_int_equal(aligned[1].offset_ns, 0);
    ps_trace_destroy(merged);
    ps_trace_destroy(ranks[0]);
    ps_trace_destroy(ranks[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_clock_that_is_off_is_found),
        cmocka_unit_test(numbers_of_processes_never_meet),
        cmocka_unit_test(one_rank_is_itself),
        cmocka_unit_test(ranks_without_common_collectives_keep_their_clocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
