/* SPDX-License-Identifier: MIT
 *
 * One run: the chart, the breakdown at the peak, where time goes, what did not
 * fit, and that the same plan always gives the same bytes.
 */
#include "make_trace.h"
#include "unit/plan/make_plan.h"

#include <string.h>
#include <unistd.h>

#include "run/run.h"

static const char *const plan_path = PS_TEST_BINARY_DIR "/test_run.psplan";

/* A plan of one device, one host thread and one host task of that length. */
static ps_plan *small_plan(ps_ns dur)
{
    ps_plan *plan = plan_new();
    (void)plan_device(plan);
    (void)plan_task(plan, plan_host_lane(plan), PS_TASK_HOST, 0, dur);
    (void)plan_step(plan, 0, 0, 0, dur);
    return plan;
}

static uint32_t labelled(ps_plan *plan, uint64_t bytes, ps_role role, const char *label)
{
    const uint32_t buffer = plan_buffer(plan, 0, bytes);
    plan->buffer.role[buffer] = (uint8_t)role;
    plan->buffer.label[buffer] = plan_text(plan, label);
    return buffer;
}

static void alloc_at(ps_plan *plan, uint32_t buffer, ps_ns at)
{
    (void)plan_memop(plan, PS_MEMOP_ALLOC, 0, buffer, 0, at);
}

static void free_at(ps_plan *plan, uint32_t buffer, ps_ns at)
{
    (void)plan_memop(plan, PS_MEMOP_FREE, 0, buffer, 0, at);
}

/* ---- the same bytes ---- */

static void a_plan_from_a_file_gives_the_same_bytes(void **state)
{
    (void)state;
    const plan_shape shape = {400, 20000, 3 * MIB};
    for (uint64_t seed = 1; seed <= 20; seed++) {
        ps_error err = {0};
        ps_plan *plan = plan_random_new(&shape, seed), *read;
        print_message("seed %llu\n", (unsigned long long)seed);
        char *before = json_of(plan);
        assert_ok(&err, ps_plan_write(plan, plan_path, &err));
        assert_ok(&err, ps_plan_read(plan_path, &read, &err));
        char *after = json_of(read);
        assert_string_equal(before, after);
        free(before);
        free(after);
        ps_plan_destroy(plan);
        ps_plan_destroy(read);
    }
    (void)unlink(plan_path);
}

#define SIDES 4u

/* Threads that share nothing, each with a buffer of its own, their rows in a given order. */
static ps_plan *unrelated_rows(const uint32_t order[SIDES])
{
    ps_plan *plan = plan_new();
    uint32_t task[SIDES], buffer[SIDES];
    (void)plan_device(plan);
    for (uint32_t i = 0; i < SIDES; i++) {
        const uint32_t side = order[i];
        char label[32];
        (void)snprintf(label, sizeof label, "layer %u", side);
        const uint32_t stream = plan_stream(plan, 0);
        task[side] = plan_task(plan, plan_host_lane(plan), PS_TASK_HOST, 10, 100 * (side + 1));
        (void)plan_task(plan, stream, PS_TASK_KERNEL, 50 * side, 70);
        buffer[side] = labelled(plan, MIB, PS_ROLE_UNKNOWN, label);
    }
    for (uint32_t side = 0; side < SIDES; side++) {
        (void)plan_memop(plan, PS_MEMOP_ALLOC, 0, buffer[side], task[side], 5);
    }
    (void)plan_step(plan, task[0], 0, task[0], 100);
    return plan;
}

static void the_order_of_unrelated_rows_does_not_matter(void **state)
{
    (void)state;
    static const uint32_t orders[][SIDES] = {
        {0, 1, 2, 3}, {3, 2, 1, 0}, {2, 0, 3, 1}, {1, 3, 0, 2}};
    ps_plan *plan = unrelated_rows(orders[0]);
    char *expected = json_of(plan);
    ps_plan_destroy(plan);
    for (size_t i = 1; i < sizeof orders / sizeof orders[0]; i++) {
        plan = unrelated_rows(orders[i]);
        char *json = json_of(plan);
        assert_string_equal(json, expected);
        free(json);
        ps_plan_destroy(plan);
    }
    free(expected);
}

/* ---- chart ---- */

static void the_chart_shows_the_highest_level_of_each_bin(void **state)
{
    (void)state;
    /* 7200 ns in 72 bins: one a 100 ns, and the very end in the last */
    ps_plan *plan = small_plan(7200);
    const uint32_t a = plan_buffer(plan, 0, 512), b = plan_buffer(plan, 0, 1024);
    const uint32_t spike = plan_buffer(plan, 0, 4096);
    alloc_at(plan, a, 0);
    alloc_at(plan, spike, 2010);
    free_at(plan, spike, 2020);
    alloc_at(plan, b, 3650);
    free_at(plan, a, 7200);
    ps_result result = run_plan(plan);
    const ps_result_device *device = &result.device[0];
    for (size_t i = 0; i < PS_RESULT_CHART_BINS; i++) {
        const uint64_t level = i == 20 ? 4608 : i < 36 ? 512 : 1536;
        assert_int_equal(device->chart_allocated[i], level);
        assert_int_equal(device->chart_reserved[i], 2 * MIB);
    }
    assert_int_equal(device->peak_allocated_bytes, 4608);
    assert_int_equal(device->peak_time_ns, 2010);
    ps_result_fini(&result);
    ps_plan_destroy(plan);
}

static void the_chart_never_shows_more_than_the_peak(void **state)
{
    (void)state;
    const plan_shape shape = {300, 20000, 3 * MIB};
    for (uint64_t seed = 100; seed < 130; seed++) {
        print_message("seed %llu\n", (unsigned long long)seed);
        ps_plan *plan = plan_random_new(&shape, seed);
        ps_result result = run_plan(plan);
        for (size_t d = 0; d < result.device_count; d++) {
            uint64_t allocated = 0, reserved = 0;
            for (size_t i = 0; i < PS_RESULT_CHART_BINS; i++) {
                const uint64_t a = result.device[d].chart_allocated[i];
                const uint64_t r = result.device[d].chart_reserved[i];
                allocated = a > allocated ? a : allocated;
                reserved = r > reserved ? r : reserved;
            }
            assert_int_equal(allocated, result.device[d].peak_allocated_bytes);
            assert_int_equal(reserved, result.device[d].peak_reserved_bytes);
        }
        ps_result_fini(&result);
        ps_plan_destroy(plan);
    }
}

/* ---- breakdown ---- */

static uint64_t sum_of_groups(const ps_result_device *device)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < device->group_count; i++) {
        sum += device->group[i].bytes;
    }
    return sum;
}

static void live_buffers_are_grouped_by_role_then_by_label(void **state)
{
    (void)state;
    ps_plan *plan = small_plan(1000);
    const ps_str linear = plan_text(plan, "aten::linear");
    alloc_at(plan, labelled(plan, 4096, PS_ROLE_PARAMETER, "a"), 0);
    alloc_at(plan, labelled(plan, 8192, PS_ROLE_PARAMETER, "b"), 1);
    alloc_at(plan, labelled(plan, 2048, PS_ROLE_UNKNOWN, "aten::linear"), 2);
    alloc_at(plan, labelled(plan, 1024, PS_ROLE_UNKNOWN, "aten::linear"), 3);
    alloc_at(plan, labelled(plan, 512, PS_ROLE_UNKNOWN, "aten::add"), 4);
    free_at(plan, labelled(plan, 1536, PS_ROLE_BEFORE, ""), 5); /* still there at the peak */
    ps_result result = run_plan(plan);
    const ps_result_device *device = &result.device[0];
    assert_int_equal(device->group_count, 4);
    assert_int_equal(device->group[0].role, PS_ROLE_PARAMETER);
    assert_int_equal(device->group[0].label, 0);
    assert_int_equal(device->group[0].bytes, 12288);
    assert_int_equal(device->group[0].buffer_count, 2);
    assert_int_equal(device->group[0].largest_bytes, 8192);
    assert_int_equal(device->group[1].label, linear);
    assert_int_equal(device->group[1].bytes, 3072);
    assert_int_equal(device->group[2].role, PS_ROLE_BEFORE);
    assert_int_equal(device->group[2].bytes, 1536);
    assert_int_equal(device->group[3].bytes, 512);
    assert_int_equal(sum_of_groups(device), device->peak_allocated_bytes);
    ps_result_fini(&result);
    ps_plan_destroy(plan);
}

static void what_is_too_small_for_a_group_is_the_rest(void **state)
{
    (void)state;
    for (uint32_t labels = PS_RESULT_MAX_GROUPS - 1; labels <= PS_RESULT_MAX_GROUPS + 3; labels++) {
        ps_plan *plan = small_plan(1000);
        uint64_t total = 0;
        for (uint32_t i = 0; i < labels; i++) {
            char label[32];
            (void)snprintf(label, sizeof label, "op %u", i);
            alloc_at(plan, labelled(plan, 512 * (i + 1), PS_ROLE_UNKNOWN, label), i);
            total += 512 * (i + 1);
        }
        ps_result result = run_plan(plan);
        const ps_result_device *device = &result.device[0];
        const bool has_rest = labels > PS_RESULT_MAX_GROUPS;
        assert_int_equal(device->group_count, has_rest ? PS_RESULT_MAX_GROUPS : labels);
        assert_int_equal(device->group[device->group_count - 1].is_rest, has_rest);
        if (has_rest) {
            const ps_result_group *rest = &device->group[PS_RESULT_MAX_GROUPS - 1];
            const uint32_t members = labels - (PS_RESULT_MAX_GROUPS - 1);
            assert_int_equal(rest->buffer_count, members);
            assert_int_equal(rest->bytes, 512 * members * (members + 1) / 2);
            assert_int_equal(rest->largest_bytes, 512 * members);
        }
        assert_int_equal(sum_of_groups(device), total);
        ps_result_fini(&result);
        ps_plan_destroy(plan);
    }
}

static void the_groups_of_any_plan_sum_to_its_peak(void **state)
{
    (void)state;
    static const char *const models[] = {"native", "expandable", "exact"};
    const plan_shape shape = {300, 20000, 3 * MIB};
    for (uint64_t seed = 200; seed < 245; seed++) {
        print_message("seed %llu\n", (unsigned long long)seed);
        ps_plan *plan = plan_random_new(&shape, seed);
        for (size_t d = 0; d < plan->device.head.count; d++) {
            plan->device.allocator[d] = plan_text(plan, models[seed % 3]);
            plan->device.base_live_bytes[d] = seed % 2 == 0 ? 0 : 700 * seed;
        }
        ps_result result = run_plan(plan);
        for (size_t d = 0; d < result.device_count; d++) {
            assert_int_equal(sum_of_groups(&result.device[d]),
                             result.device[d].peak_allocated_bytes);
        }
        ps_result_fini(&result);
        ps_plan_destroy(plan);
    }
}

/* ---- where time goes ---- */

static void each_moment_goes_to_the_most_useful_thing_that_runs(void **state)
{
    (void)state;
    ps_plan *plan = small_plan(40);
    (void)plan_task(plan, plan_stream(plan, 0), PS_TASK_KERNEL, 0, 10);      /* [0, 10] */
    (void)plan_task(plan, plan_stream(plan, 0), PS_TASK_MEMCPY, 5, 15);      /* [5, 20] */
    (void)plan_task(plan, plan_stream(plan, 0), PS_TASK_COLLECTIVE, 18, 12); /* [18, 30] */
    ps_result result = run_plan(plan);
    const ps_result_time *time = &result.device[0].time;
    assert_int_equal(time->compute_ns, 10);
    assert_int_equal(time->copy_ns, 8);
    assert_int_equal(time->collective_ns, 12);
    assert_int_equal(time->host_ns, 10);
    assert_int_equal(time->all_copies_ns, 15);
    assert_int_equal(time->all_collectives_ns, 12);
    ps_result_fini(&result);
    ps_plan_destroy(plan);
}

static void the_parts_of_a_devices_time_sum_to_the_makespan(void **state)
{
    (void)state;
    const plan_shape shape = {300, 20000, 3 * MIB};
    for (uint64_t seed = 300; seed < 340; seed++) {
        print_message("seed %llu\n", (unsigned long long)seed);
        ps_plan *plan = plan_random_new(&shape, seed);
        ps_result result = run_plan(plan);
        for (size_t d = 0; d < result.device_count; d++) {
            const ps_result_time *time = &result.device[d].time;
            assert_int_equal(time->compute_ns + time->collective_ns + time->copy_ns + time->host_ns,
                             result.makespan_ns);
            assert_true(time->copy_ns >= 0 && time->copy_ns <= time->all_copies_ns);
            assert_true(time->host_ns >= 0 && time->compute_ns >= 0);
            assert_true(time->collective_ns <= time->all_collectives_ns);
        }
        ps_result_fini(&result);
        ps_plan_destroy(plan);
    }
}

/* ---- what does not fit ---- */

static void only_the_first_refusal_is_told(void **state)
{
    (void)state;
    ps_plan *plan = small_plan(1000);
    plan->device.capacity_bytes[0] = 110 * MIB;
    plan->device.base_bytes[0] = 10 * MIB;
    plan->device.limit_bytes[0] = 100 * MIB;
    alloc_at(plan, labelled(plan, 80 * MIB, PS_ROLE_UNKNOWN, "first"), 100);
    alloc_at(plan, labelled(plan, 30 * MIB, PS_ROLE_UNKNOWN, "second"), 200);
    alloc_at(plan, labelled(plan, 60 * MIB, PS_ROLE_UNKNOWN, "third"), 300);
    ps_result result = run_plan(plan);
    const ps_result_device *device = &result.device[0];
    assert_true(device->oom.happened);
    assert_false(device->fits);
    assert_int_equal(device->oom.memop, 1);
    assert_int_equal(device->oom.time_ns, 200);
    assert_string_equal(ps_strings_text(plan->strings, device->oom.label), "second");
    assert_int_equal(device->oom.missing_bytes, 10 * MIB);
    assert_int_equal(device->needed_bytes, 180 * MIB);
    assert_int_equal(device->peak_allocated_bytes, 80 * MIB);
    assert_int_equal(device->peak_device_bytes, 90 * MIB);
    ps_result_fini(&result);
    ps_plan_destroy(plan);
}

static void a_start_that_does_not_fit_is_told(void **state)
{
    (void)state;
    ps_plan *plan = small_plan(1000);
    plan->device.limit_bytes[0] = 50 * MIB;
    free_at(plan, labelled(plan, 40 * MIB, PS_ROLE_BEFORE, ""), 100);
    free_at(plan, labelled(plan, 30 * MIB, PS_ROLE_BEFORE, ""), 200);
    ps_result result = run_plan(plan);
    const ps_result_device *device = &result.device[0];
    assert_true(device->oom.happened);
    assert_false(device->fits);
    assert_int_equal(device->oom.requested_bytes, 30 * MIB);
    assert_int_equal(device->oom.allocated_bytes, 40 * MIB);
    assert_int_equal(device->needed_bytes, 70 * MIB);
    assert_int_equal(device->peak_allocated_bytes, 40 * MIB);
    assert_int_equal(sum_of_groups(device), device->peak_allocated_bytes);
    char *json = json_of(plan);
    assert_null(strstr(json, "-1"));
    free(json);
    ps_result_fini(&result);
    ps_plan_destroy(plan);
}

/* ---- errors ---- */

static void a_deadlock_is_told_with_its_tasks(void **state)
{
    (void)state;
    ps_error err = {0};
    ps_result result;
    ps_plan *plan = plan_new();
    (void)plan_device(plan);
    const uint32_t hen = plan_task(plan, plan_host_lane(plan), PS_TASK_HOST, 0, 10);
    const uint32_t egg = plan_task(plan, plan_host_lane(plan), PS_TASK_HOST, 0, 10);
    plan->task.name[hen] = plan_text(plan, "hen");
    plan->task.name[egg] = plan_text(plan, "egg");
    (void)plan_dep(plan, hen, egg, PS_DEP_START_AFTER_END, 0);
    (void)plan_dep(plan, egg, hen, PS_DEP_START_AFTER_END, 0);
    assert_int_equal(ps_run_plan(plan, &result, &err), PS_DEADLOCK);
    assert_non_null(strstr(err.message, "hen on main"));
    assert_non_null(strstr(err.message, "egg on main"));
    ps_plan_destroy(plan);
}

static void an_unknown_allocator_is_refused(void **state)
{
    (void)state;
    ps_error err = {0};
    ps_result result;
    ps_plan *plan = small_plan(1000);
    plan->device.allocator[0] = plan_text(plan, "nativ");
    const ps_code code = ps_run_plan(plan, &result, &err);
    assert_true(code == PS_USAGE || code == PS_NOT_FOUND);
    assert_non_null(strstr(err.message, "nativ"));
    ps_plan_destroy(plan);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plan_from_a_file_gives_the_same_bytes),
        cmocka_unit_test(the_order_of_unrelated_rows_does_not_matter),
        cmocka_unit_test(the_chart_shows_the_highest_level_of_each_bin),
        cmocka_unit_test(the_chart_never_shows_more_than_the_peak),
        cmocka_unit_test(live_buffers_are_grouped_by_role_then_by_label),
        cmocka_unit_test(what_is_too_small_for_a_group_is_the_rest),
        cmocka_unit_test(the_groups_of_any_plan_sum_to_its_peak),
        cmocka_unit_test(each_moment_goes_to_the_most_useful_thing_that_runs),
        cmocka_unit_test(the_parts_of_a_devices_time_sum_to_the_makespan),
        cmocka_unit_test(only_the_first_refusal_is_told),
        cmocka_unit_test(a_start_that_does_not_fit_is_told),
        cmocka_unit_test(a_deadlock_is_told_with_its_tasks),
        cmocka_unit_test(an_unknown_allocator_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
