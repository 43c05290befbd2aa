/* SPDX-License-Identifier: MIT
 *
 * Levels of memory by phases. Closed forms of a plan of two steps, each one
 * forward pass:
 *
 *   step 0   A 20 MiB, freed
 *   step 1   B 40 MiB, freed
 */
#include "unit/plan/make_plan.h"

#include "result/result.h"
#include "run/run.h"

#define MIB ((uint64_t)1 << 20)
#define HOST_NS 10

enum { FORWARD = PS_PHASE_FORWARD - 1 };

static void add_step(ps_plan *plan, uint32_t device, uint32_t host, uint64_t bytes)
{
    const uint32_t buffer = plan_buffer(plan, device, bytes);
    const uint32_t first = plan_task(plan, host, PS_TASK_HOST, 0, HOST_NS);
    const uint32_t last = plan_task(plan, host, PS_TASK_HOST, 0, HOST_NS);
    plan->task.phase[first] = plan->task.phase[last] = PS_PHASE_FORWARD;
    (void)plan_memop(plan, PS_MEMOP_ALLOC, device, buffer, first, 0);
    (void)plan_memop(plan, PS_MEMOP_FREE, device, buffer, last, 0);
    (void)plan_step(plan, first, 0, last, HOST_NS);
}

static ps_result run(const char *cache)
{
    ps_error err = {0};
    ps_result result;
    ps_plan *plan = plan_new();
    const uint32_t device = plan_device(plan), host = plan_host_lane(plan);
    add_step(plan, device, host, 20 * MIB);
    add_step(plan, device, host, 40 * MIB);
    assert_ok(&err, ps_plan_set_meta(plan, PS_PLAN_META_CACHE, cache, &err));
    assert_ok(&err, ps_plan_check(plan, &err));
    assert_ok(&err, ps_run_plan(plan, &result, &err));
    ps_plan_destroy(plan);
    return result;
}

static void check(const ps_result *result, size_t step, uint64_t allocated, uint64_t reserved)
{
    const ps_result_phase *phase = &result->device[0].phase[step][FORWARD];
    assert_int_equal(phase->time_ns, 2 * HOST_NS);
    assert_int_equal(phase->begin_allocated_bytes, 0);
    assert_int_equal(phase->peak_allocated_bytes, allocated);
    assert_int_equal(phase->end_allocated_bytes, 0);
    assert_int_equal(phase->peak_reserved_bytes, reserved);
}

/* A segment for each: what the first step takes does not hold what the second asks for. */
static void each_phase_has_its_own_peak(void **state)
{
    (void)state;
    ps_result result = run("empty");
    check(&result, 0, 20 * MIB, 20 * MIB);
    check(&result, 1, 40 * MIB, 60 * MIB);
    ps_result_fini(&result);
}

/* Phases are those of the run that counts: all segments are there as it begins. */
static void phases_of_a_steady_cache_begin_with_all_of_it(void **state)
{
    (void)state;
    ps_result result = run("steady");
    check(&result, 0, 20 * MIB, 60 * MIB);
    check(&result, 1, 40 * MIB, 60 * MIB);
    ps_result_fini(&result);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_phase_has_its_own_peak),
        cmocka_unit_test(phases_of_a_steady_cache_begin_with_all_of_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
