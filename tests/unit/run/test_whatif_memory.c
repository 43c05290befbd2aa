/* SPDX-License-Identifier: MIT
 *
 * What-if of another amount of memory, allocator or starting cache, with
 * numbers worked out by hand.
 *
 * The story of all tests below, in MiB, of the native allocator:
 *
 *   alloc X 40, Y 40   two segments                       reserved  80
 *   free  X, Y         both cached
 *   alloc P 24, Q 24   one in each, 16 left over in each  reserved  80, cached 32
 *   alloc R 30         fits into no rest: a third segment  reserved 110
 */
#include "hardware.h"
#include "make_trace.h"

#include "run/run.h"

#define X_ADDR 0x7f0000000000u
#define Y_ADDR 0x7f1000000000u

static ps_trace *story(void)
{
    ps_trace *trace = trace_new();
    put_device(trace, 0, "Oldcard", 0);
    put_fact(trace, PS_META_MEMORY_SIZES, "requested");
    put_range(trace, MAIN_THREAD, (span){650, 750}, PS_RANGE_OPERATOR, "aten::linear");
    put_call(trace, MAIN_THREAD, (span){0, 1000}, "cudaGetDevice", 0);
    (void)put_alloc(trace, 100, 40 * MIB, X_ADDR);
    (void)put_alloc(trace, 200, 40 * MIB, Y_ADDR);
    (void)put_free(trace, 300, 40 * MIB, X_ADDR);
    (void)put_free(trace, 400, 40 * MIB, Y_ADDR);
    (void)put_alloc(trace, 500, 24 * MIB, X_ADDR);
    (void)put_alloc(trace, 600, 24 * MIB, Y_ADDR);
    (void)put_alloc(trace, 700, 30 * MIB, Y_ADDR + 64 * MIB);
    return trace;
}

/* Runs the story after a change; *plan must outlive the result. */
static ps_result run_story(const ps_whatif *change, ps_plan **plan)
{
    *plan = lower(story());
    apply_change(*plan, change);
    return run_plan(*plan);
}

static void end_story(ps_plan *plan, ps_result *result)
{
    ps_result_fini(result);
    ps_plan_destroy(plan);
}

static ps_whatif memory_for(uint64_t allocator_bytes)
{
    return (ps_whatif){
        .has_base = true, .base_bytes = 7 * MIB, .memory_bytes = 7 * MIB + allocator_bytes};
}

static void enough_memory_fits(void **state)
{
    (void)state;
    ps_plan *plan;
    const ps_whatif change = memory_for(110 * MIB);
    ps_result result = run_story(&change, &plan);
    const ps_result_device *device = &result.device[0];
    assert_true(device->fits);
    assert_false(device->oom.happened);
    assert_int_equal(device->peak_reserved_bytes, 110 * MIB);
    assert_int_equal(device->peak_allocated_bytes, 80 * MIB);
    assert_int_equal(device->peak_device_bytes, 117 * MIB);
    assert_int_equal(device->needed_bytes, 117 * MIB);
    assert_int_equal(device->limit_bytes, 110 * MIB);
    end_story(plan, &result);
}

static void fragmentation_is_told_from_shortage(void **state)
{
    (void)state;
    ps_plan *plan;
    const ps_whatif change = memory_for(100 * MIB);
    ps_result result = run_story(&change, &plan);
    const ps_result_device *device = &result.device[0];
    const ps_result_oom *oom = &device->oom;
    assert_false(device->fits);
    assert_true(oom->happened);
    assert_int_equal(plan->memop.op[oom->memop], PS_MEMOP_ALLOC);
    assert_int_equal(plan->buffer.bytes[plan->memop.buffer[oom->memop]], 30 * MIB);
    assert_string_equal(ps_strings_text(plan->strings, oom->label), "aten::linear");
    assert_int_equal(oom->time_ns, 700);
    assert_int_equal(oom->requested_bytes, 30 * MIB);
    assert_int_equal(oom->segment_bytes, 30 * MIB);
    assert_int_equal(oom->limit_bytes, 100 * MIB);
    assert_int_equal(oom->reserved_bytes, 80 * MIB);
    assert_int_equal(oom->allocated_bytes, 48 * MIB);
    assert_int_equal(oom->free_bytes, 52 * MIB);
    assert_int_equal(oom->largest_free_bytes, 16 * MIB);
    assert_int_equal(oom->missing_bytes, 0);
    assert_int_equal(oom->fragmented_bytes, 52 * MIB);
    assert_int_equal(oom->would_fit_bytes, 20 * MIB); /* what the driver has left */
    assert_int_equal(device->needed_bytes, 117 * MIB);
    assert_int_equal(device->peak_allocated_bytes, 80 * MIB); /* X and Y, before the failure */
    end_story(plan, &result);
}

static void a_true_shortage_says_how_much_is_missing(void **state)
{
    (void)state;
    ps_trace *trace = trace_new();
    put_device(trace, 0, "Oldcard", 0);
    put_call(trace, MAIN_THREAD, (span){0, 1000}, "cudaGetDevice", 0);
    (void)put_alloc(trace, 100, 40 * MIB, X_ADDR);
    (void)put_alloc(trace, 200, 40 * MIB, Y_ADDR);
    (void)put_alloc(trace, 300, 31 * MIB, Y_ADDR + 64 * MIB);
    ps_plan *plan = lower(trace);
    const ps_whatif change = memory_for(100 * MIB);
    apply_change(plan, &change);
    ps_result result = run_plan(plan);
    const ps_result_oom *oom = &result.device[0].oom;
    assert_true(oom->happened);
    assert_int_equal(oom->requested_bytes, 31 * MIB);
    assert_int_equal(oom->segment_bytes, 32 * MIB); /* segments are multiples of 2 MiB */
    assert_int_equal(oom->free_bytes, 20 * MIB);
    assert_int_equal(oom->largest_free_bytes, 0);
    assert_int_equal(oom->missing_bytes, 11 * MIB);
    assert_int_equal(oom->fragmented_bytes, 0);
    assert_int_equal(oom->would_fit_bytes, 20 * MIB);
    assert_int_equal(result.device[0].needed_bytes, 7 * MIB + 112 * MIB);
    end_story(plan, &result);
}

static void a_cache_that_can_be_released_is_not_missed(void **state)
{
    (void)state;
    ps_trace *trace = trace_new();
    put_device(trace, 0, "Oldcard", 0);
    put_call(trace, MAIN_THREAD, (span){0, 1000}, "cudaGetDevice", 0);
    (void)put_alloc(trace, 100, 40 * MIB, X_ADDR);
    (void)put_free(trace, 200, 40 * MIB, X_ADDR);
    (void)put_alloc(trace, 300, 60 * MIB, Y_ADDR);
    ps_plan *plan = lower(trace);
    const ps_whatif change = memory_for(80 * MIB);
    apply_change(plan, &change);
    ps_result result = run_plan(plan);
    assert_true(result.device[0].fits);
    assert_int_equal(result.device[0].retry_count, 1);
    assert_int_equal(result.device[0].peak_reserved_bytes, 60 * MIB);
    end_story(plan, &result);
}

static void the_catalogue_supplies_what_the_recording_lacks(void **state)
{
    (void)state;
    ps_plan *plan;
    ps_result result = run_story(&(ps_whatif){0}, &plan);
    assert_int_equal(result.device[0].capacity_bytes, (uint64_t)16 << 30);
    assert_int_equal(result.device[0].base_bytes, 512 * MIB);
    assert_int_equal(result.device[0].base_basis, PS_BASIS_MEASURED);
    assert_int_equal(result.device[0].peak_device_bytes, 622 * MIB);
    assert_int_equal(result.device[0].limit_bytes, 0); /* nobody asked whether it fits less */
    end_story(plan, &result);
    const ps_whatif change = {.memory_bytes = 622 * MIB - 512};
    result = run_story(&change, &plan);
    assert_true(result.device[0].oom.happened); /* 512 bytes short */
    assert_int_equal(result.device[0].limit_bytes, 110 * MIB - 512);
    end_story(plan, &result);
}

/* Software that loads all its code at once, told by name; one number of the user's own beats it. */
static void software_decides_what_lies_outside(void **state)
{
    (void)state;
    ps_plan *plan;
    ps_result result = run_story(&(ps_whatif){.software = "eager 1"}, &plan);
    assert_int_equal(result.device[0].base_bytes, 612 * MIB);
    assert_int_equal(result.device[0].base_basis, PS_BASIS_GUESSED);
    end_story(plan, &result);
    const ps_whatif own = {.software = "eager-1", .has_base = true, .base_bytes = 7 * MIB};
    result = run_story(&own, &plan);
    assert_int_equal(result.device[0].base_bytes, 7 * MIB);
    end_story(plan, &result);
    plan = lower(story());
    is_refused(plan, &(ps_whatif){.software = "eager-2"}, PS_NOT_FOUND, "eager-2");
    ps_plan_destroy(plan);
}

static void another_gpu_brings_its_memory(void **state)
{
    (void)state;
    ps_plan *plan;
    ps_result result = run_story(&(ps_whatif){.gpu = "Plaincard"}, &plan);
    assert_int_equal(result.device[0].capacity_bytes, (uint64_t)8 << 30);
    assert_int_equal(result.device[0].base_bytes, 256 * MIB);
    assert_int_equal(result.device[0].limit_bytes, ((uint64_t)8 << 30) - 256 * MIB);
    assert_true(result.device[0].fits);
    end_story(plan, &result);
}

static void less_memory_than_is_taken_already_is_refused(void **state)
{
    (void)state;
    ps_plan *plan = lower(story());
    is_refused(plan, &(ps_whatif){.memory_bytes = 512 * MIB}, PS_USAGE, "are taken before");
    ps_plan_destroy(plan);
}

static void each_allocator_has_its_own_need(void **state)
{
    (void)state;
    const struct {
        const char *name;
        uint64_t peak_reserved_bytes;
    } expected[] = {
        {"native", 110 * MIB},
        {"expandable", 80 * MIB}, /* R goes behind Q, where X and Y were */
        {"exact", 80 * MIB},      /* X and Y */
    };
    for (size_t i = 0; i < 3; i++) {
        ps_plan *plan;
        ps_whatif change = memory_for(100 * MIB);
        change.allocator = expected[i].name;
        ps_result result = run_story(&change, &plan);
        assert_string_equal(ps_strings_text(plan->strings, result.device[0].allocator),
                            expected[i].name);
        assert_true(result.device[0].fits == (i > 0));
        assert_int_equal(result.device[0].needed_bytes, 7 * MIB + expected[i].peak_reserved_bytes);
        end_story(plan, &result);
    }
}

static void an_unknown_allocator_is_refused(void **state)
{
    (void)state;
    ps_plan *plan = lower(story());
    is_refused(plan, &(ps_whatif){.allocator = "nativ"}, PS_USAGE, "native, expandable, exact");
    ps_plan_destroy(plan);
}

static void options_in_pytorchs_words_take_effect(void **state)
{
    (void)state;
    ps_plan *plan;
    const char *const expandable[] = {"expandable_segments=True"};
    ps_result result =
        run_story(&(ps_whatif){.allocator_option = expandable, .allocator_option_count = 1}, &plan);
    assert_string_equal(ps_strings_text(plan->strings, result.device[0].allocator), "expandable");
    assert_int_equal(result.device[0].peak_reserved_bytes, 80 * MIB);
    end_story(plan, &result);
    /* blocks of 40 are not split for 24: P and Q get segments of their own */
    const char *const no_split[] = {"max_split_size_mb=25"};
    result =
        run_story(&(ps_whatif){.allocator_option = no_split, .allocator_option_count = 1}, &plan);
    assert_int_equal(result.device[0].peak_reserved_bytes, 128 * MIB);
    end_story(plan, &result);
}

static void options_join_the_recorded_ones(void **state)
{
    (void)state;
    ps_trace *trace = story();
    put_fact(trace, PS_META_ALLOCATOR_CONF, "expandable_segments:True");
    ps_plan *plan = lower(trace);
    const char *const options[] = {"garbage_collection_threshold=0.8", "max_split_size_mb:64"};
    apply_change(plan, &(ps_whatif){.allocator_option = options, .allocator_option_count = 2});
    assert_string_equal(ps_strings_text(plan->strings, plan->device.allocator_conf[0]),
                        "expandable_segments:True,garbage_collection_threshold:0.8,"
                        "max_split_size_mb:64");
    assert_string_equal(ps_strings_text(plan->strings, plan->device.allocator[0]), "expandable");
    ps_plan_destroy(plan);
}

static void bad_options_are_refused_by_name(void **state)
{
    (void)state;
    static const char *const bad[][2] = {
        {"max_split_size_mb=1", "max_split_size_mb"},
        {"max_split_size_mb=lots", "lots"},
        {"no_such_option=1", "no_such_option"},
        {"expandable_segments", "expandable_segments"},
        {"garbage_collection_threshold=1.5", "1.5"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        ps_plan *plan = lower(story());
        is_refused(plan, &(ps_whatif){.allocator_option = &bad[i][0], .allocator_option_count = 1},
                   PS_USAGE, bad[i][1]);
        ps_plan_destroy(plan);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(enough_memory_fits),
        cmocka_unit_test(fragmentation_is_told_from_shortage),
        cmocka_unit_test(a_true_shortage_says_how_much_is_missing),
        cmocka_unit_test(a_cache_that_can_be_released_is_not_missed),
        cmocka_unit_test(the_catalogue_supplies_what_the_recording_lacks),
        cmocka_unit_test(software_decides_what_lies_outside),
        cmocka_unit_test(another_gpu_brings_its_memory),
        cmocka_unit_test(less_memory_than_is_taken_already_is_refused),
        cmocka_unit_test(each_allocator_has_its_own_need),
        cmocka_unit_test(an_unknown_allocator_is_refused),
        cmocka_unit_test(options_in_pytorchs_words_take_effect),
        cmocka_unit_test(options_join_the_recorded_ones),
        cmocka_unit_test(bad_options_are_refused_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
