/* SPDX-License-Identifier: MIT
 *
 * What-if of another starting cache: as recorded, empty, or as a first run of
 * the same requests leaves it.
 */
#include "hardware.h"
#include "make_trace.h"

#include "run/run.h"

#define ADDR 0x7f0000000000u

/* A snapshot: a segment of 40 MiB with 20 in use, where 10 more come and go. */
static ps_trace *snapshot(void)
{
    ps_trace *trace = trace_new();
    put_fact(trace, PS_META_SOURCE, "memory-snapshot");
    put_fact(trace, PS_META_MEMORY_SIZES, "requested");
    put_segment(trace, ADDR, 40 * MIB);
    put_block(trace, ADDR, 20 * MIB, PS_BLOCK_ALLOCATED);
    put_block(trace, ADDR + 20 * MIB, 20 * MIB, PS_BLOCK_INACTIVE);
    (void)put_alloc(trace, 0, 10 * MIB, ADDR + 20 * MIB);
    (void)put_free(trace, 100, 10 * MIB, ADDR + 20 * MIB);
    return trace;
}

static void a_recorded_cache_is_there_from_the_start(void **state)
{
    (void)state;
    ps_plan *plan = lower(snapshot());
    apply_change(plan, &(ps_whatif){0});
    assert_string_equal(ps_plan_meta(plan, PS_PLAN_META_CACHE), "recovered");
    ps_result result = run_plan(plan);
    assert_int_equal(result.device[0].chart_reserved[0], 40 * MIB);
    assert_int_equal(result.device[0].peak_reserved_bytes, 40 * MIB);
    assert_int_equal(result.device[0].peak_allocated_bytes, 30 * MIB);
    assert_int_equal(result.device[0].address_check.compared, 1);
    assert_int_equal(result.device[0].address_check.equal, 1);
    ps_result_fini(&result);
    ps_plan_destroy(plan);
}

static void an_empty_cache_keeps_what_is_live_and_no_more(void **state)
{
    (void)state;
    ps_plan *plan = lower(snapshot());
    apply_change(plan, &(ps_whatif){.cache = "empty"});
    assert_string_equal(ps_plan_meta(plan, PS_PLAN_META_CACHE), "empty");
    assert_int_equal(plan->segment.head.count, 0);
    assert_int_equal(plan->block.head.count, 0);
    ps_result result = run_plan(plan);
    assert_int_equal(result.device[0].peak_reserved_bytes, 30 * MIB); /* 20 and 10 */
    assert_int_equal(result.device[0].peak_allocated_bytes, 30 * MIB);
    assert_int_equal(result.device[0].address_check.compared, 0);
    ps_result_fini(&result);
    ps_plan_destroy(plan);
}

static void another_allocator_starts_cold(void **state)
{
    (void)state;
    ps_plan *plan = lower(snapshot());
    apply_change(plan, &(ps_whatif){.allocator = "expandable"});
    assert_string_equal(ps_plan_meta(plan, PS_PLAN_META_CACHE), "empty");
    assert_int_equal(plan->segment.head.count, 0);
    ps_plan_destroy(plan);
    plan = lower(snapshot());
    const char *const options[] = {"roundup_power2_divisions=4"};
    apply_change(plan, &(ps_whatif){.allocator_option = options, .allocator_option_count = 1});
    assert_int_equal(plan->segment.head.count, 0);
    ps_plan_destroy(plan);
}

static void the_allocator_as_recorded_keeps_its_cache(void **state)
{
    (void)state;
    ps_plan *plan = lower(snapshot());
    apply_change(plan, &(ps_whatif){.allocator = "native", .cache = "recovered"});
    assert_int_equal(plan->segment.head.count, 1);
    ps_plan_destroy(plan);
}

static void a_cache_that_does_not_apply_is_refused(void **state)
{
    (void)state;
    ps_plan *plan = lower(snapshot());
    is_refused(plan, &(ps_whatif){.cache = "recovered", .allocator = "expandable"}, PS_USAGE,
               "belongs to the recorded allocator");
    ps_plan_destroy(plan);
    plan = lower(snapshot());
    is_refused(plan, &(ps_whatif){.cache = "warm"}, PS_USAGE, "recovered, empty, steady");
    ps_plan_destroy(plan);
    ps_trace *trace = trace_new();
    (void)put_alloc(trace, 0, MIB, ADDR);
    plan = lower(trace);
    is_refused(plan, &(ps_whatif){.cache = "recovered"}, PS_USAGE, "no final segments");
    ps_plan_destroy(plan);
}

/* ---- steady ---- */

#define LIVE_MAX 12

/* One period of a random program that returns all it took. */
static void put_period(ps_trace *trace, ps_ns begin, uint64_t seed)
{
    struct {
        uint64_t bytes, addr;
    } live[LIVE_MAX];
    size_t count = 0;
    uint64_t rng = seed;
    for (ps_ns at = begin; at < begin + 3000 || count > 0; at += 10) {
        const bool ending = at >= begin + 3000;
        if (!ending && count < LIVE_MAX && next_random(&rng) % 5 < 3) {
            const uint64_t bytes =
                512 + next_random(&rng) % (next_random(&rng) % 3 == 0 ? 60 * MIB : 3 * MIB);
            live[count].bytes = bytes;
            live[count].addr = ADDR + (uint64_t)at * (128 * MIB);
            (void)put_alloc(trace, at, bytes, live[count].addr);
            count++;
        } else if (count > 0) {
            const size_t i = next_random(&rng) % count;
            (void)put_free(trace, at, live[i].bytes, live[i].addr);
            live[i] = live[--count];
        }
    }
}

static ps_result run_periods(unsigned periods, uint64_t seed, const char *cache, ps_plan **plan)
{
    ps_trace *trace = trace_new();
    put_fact(trace, PS_META_MEMORY_SIZES, "requested");
    for (unsigned i = 0; i < periods; i++) {
        put_period(trace, (ps_ns)i * 10000, seed);
    }
    *plan = lower(trace);
    apply_change(*plan, &(ps_whatif){.cache = cache});
    return run_plan(*plan);
}

static void a_steady_cache_is_that_of_the_second_period(void **state)
{
    (void)state;
    unsigned grown = 0;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        print_message("seed %llu\n", (unsigned long long)seed);
        ps_plan *first, *twice, *steady;
        ps_result one = run_periods(1, seed, "empty", &first);
        ps_result two = run_periods(2, seed, "empty", &twice);
        ps_result warm = run_periods(1, seed, "steady", &steady);
        const ps_result_device *device = &warm.device[0];
        assert_int_equal(device->peak_reserved_bytes, two.device[0].peak_reserved_bytes);
        assert_int_equal(device->peak_requested_bytes, one.device[0].peak_requested_bytes);
        assert_int_equal(device->request_count, one.device[0].request_count);
        /* it starts with all that the first period took */
        assert_int_equal(device->chart_reserved[0] >= one.device[0].peak_reserved_bytes, 1);
        grown += device->peak_reserved_bytes > one.device[0].peak_reserved_bytes;
        ps_result_fini(&one);
        ps_result_fini(&two);
        ps_result_fini(&warm);
        ps_plan_destroy(first);
        ps_plan_destroy(twice);
        ps_plan_destroy(steady);
    }
    print_message("%u of 40 need more in their second period\n", grown);
}

/* A buffer from before is replaced by one of the same size: so it is at each period's end. */
static void what_lives_on_is_there_once(void **state)
{
    (void)state;
    ps_trace *trace = trace_new();
    put_fact(trace, PS_META_MEMORY_SIZES, "requested");
    (void)put_alloc(trace, 0, 64 * MIB, ADDR);
    (void)put_free(trace, 10, 32 * MIB, ADDR + 100 * MIB);
    (void)put_alloc(trace, 20, 32 * MIB, ADDR + 200 * MIB);
    (void)put_free(trace, 30, 64 * MIB, ADDR);
    ps_plan *plan = lower(trace);
    apply_change(plan, &(ps_whatif){.cache = "steady"});
    ps_result result = run_plan(plan);
    assert_int_equal(result.device[0].peak_allocated_bytes, 96 * MIB);
    assert_int_equal(result.device[0].peak_reserved_bytes, 96 * MIB);
    assert_int_equal(result.device[0].chart_reserved[0], 96 * MIB);
    assert_int_equal(result.device[0].chart_allocated[0], 96 * MIB);
    assert_int_equal(result.device[0].unmatched_free_count, 0);
    ps_result_fini(&result);
    ps_plan_destroy(plan);
}

/* The other stream is still at work when the recording ends: by the next period it is done. */
static void frees_that_wait_at_the_end_are_over_by_the_next_period(void **state)
{
    (void)state;
    ps_trace *trace = trace_new();
    put_fact(trace, PS_META_MEMORY_SIZES, "requested");
    (void)put_alloc(trace, 0, 32 * MIB, ADDR);
    (void)put_memory(trace, 10, PS_ACTION_FREE_REQUESTED, 32 * MIB, ADDR);
    (void)put_memory(trace, 20, PS_ACTION_FREE_REQUESTED, 16 * MIB, ADDR + 100 * MIB);
    ps_plan *plan = lower(trace);
    apply_change(plan, &(ps_whatif){.cache = "steady"});
    ps_result result = run_plan(plan);
    assert_int_equal(result.device[0].peak_allocated_bytes, 48 * MIB);
    assert_int_equal(result.device[0].peak_reserved_bytes, 48 * MIB);
    assert_int_equal(result.device[0].chart_allocated[0], 48 * MIB);
    assert_int_equal(result.device[0].unmatched_free_count, 0);
    ps_result_fini(&result);
    ps_plan_destroy(plan);
}

/* In MiB, of 100: A 60; B 30 of it and C 40 anew (100); D 70 only after all was released. The next
 * period finds the 70 of D, which serves all of it. */
static void the_steady_state_may_need_less_than_the_first_period(void **state)
{
    (void)state;
    ps_trace *trace = trace_new();
    put_fact(trace, PS_META_MEMORY_SIZES, "requested");
    (void)put_alloc(trace, 0, 60 * MIB, ADDR);
    (void)put_free(trace, 10, 60 * MIB, ADDR);
    (void)put_alloc(trace, 20, 30 * MIB, ADDR);
    (void)put_alloc(trace, 30, 40 * MIB, ADDR + 100 * MIB);
    (void)put_free(trace, 40, 30 * MIB, ADDR);
    (void)put_free(trace, 50, 40 * MIB, ADDR + 100 * MIB);
    (void)put_alloc(trace, 60, 70 * MIB, ADDR + 200 * MIB);
    (void)put_free(trace, 70, 70 * MIB, ADDR + 200 * MIB);
    ps_plan *plan = lower(trace);
    apply_change(plan, &(ps_whatif){.cache = "empty", .memory_bytes = 100 * MIB});
    ps_result result = run_plan(plan);
    assert_int_equal(result.device[0].peak_reserved_bytes, 100 * MIB);
    assert_int_equal(result.device[0].retry_count, 1);
    ps_result_fini(&result);
    apply_change(plan, &(ps_whatif){.cache = "steady"});
    result = run_plan(plan);
    assert_int_equal(result.device[0].peak_reserved_bytes, 70 * MIB);
    assert_int_equal(result.device[0].retry_count, 0);
    ps_result_fini(&result);
    ps_plan_destroy(plan);
}

/* The second period finds memory full of what the first left over: told as in any other run. */
static void running_out_before_the_steady_state_is_told_in_full(void **state)
{
    (void)state;
    ps_trace *trace = trace_new();
    put_fact(trace, PS_META_MEMORY_SIZES, "requested");
    (void)put_alloc(trace, 0, 40 * MIB, ADDR);
    (void)put_alloc(trace, 10, 40 * MIB, ADDR + 100 * MIB);
    (void)put_alloc(trace, 20, 40 * MIB, ADDR + 200 * MIB);
    ps_plan *plan = lower(trace);
    apply_change(plan, &(ps_whatif){.cache = "steady", .memory_bytes = 100 * MIB});
    ps_result result = run_plan(plan);
    const ps_result_device *device = &result.device[0];
    assert_true(device->oom.happened);
    assert_false(device->fits);
    assert_int_equal(device->oom.reserved_bytes, 80 * MIB);
    assert_int_equal(device->needed_bytes, 120 * MIB);
    assert_int_equal(device->peak_allocated_bytes, 80 * MIB);
    uint64_t sum = 0;
    for (size_t i = 0; i < device->group_count; i++) {
        sum += device->group[i].bytes;
    }
    assert_int_equal(sum, device->peak_allocated_bytes);
    ps_result_fini(&result);
    ps_plan_destroy(plan);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_recorded_cache_is_there_from_the_start),
        cmocka_unit_test(an_empty_cache_keeps_what_is_live_and_no_more),
        cmocka_unit_test(another_allocator_starts_cold),
        cmocka_unit_test(the_allocator_as_recorded_keeps_its_cache),
        cmocka_unit_test(a_cache_that_does_not_apply_is_refused),
        cmocka_unit_test(a_steady_cache_is_that_of_the_second_period),
        cmocka_unit_test(what_lives_on_is_there_once),
        cmocka_unit_test(frees_that_wait_at_the_end_are_over_by_the_next_period),
        cmocka_unit_test(the_steady_state_may_need_less_than_the_first_period),
        cmocka_unit_test(running_out_before_the_steady_state_is_told_in_full),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
