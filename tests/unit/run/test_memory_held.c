/* SPDX-License-Identifier: MIT
 *
 * Freed memory that another stream still uses: it serves the first request
 * behind the end of what was handed over before the free, and none before.
 */
#include "unit/plan/make_plan.h"

#include "result/result.h"
#include "run/run.h"

#define MIB ((uint64_t)1 << 20)
#define BIG (20 * MIB) /* a segment of its own */
#define HOST_NS 10     /* of each host task; requests happen as it begins */

/*
 * A is freed as the host's second task begins, while `holds` tasks of other streams still use it;
 * B is asked for as the task of that number begins.
 */
typedef struct scene {
    ps_plan *plan;
    uint32_t a, b;
} scene;

static scene make(const ps_ns *busy_ns, size_t holds, uint32_t asks_at)
{
    scene s = {.plan = plan_new()};
    const uint32_t device = plan_device(s.plan), host = plan_host_lane(s.plan);
    for (uint32_t i = 0; i < 6; i++) {
        (void)plan_task(s.plan, host, PS_TASK_HOST, 0, HOST_NS);
    }
    s.a = plan_buffer(s.plan, device, BIG);
    s.b = plan_buffer(s.plan, device, BIG);
    for (size_t i = 0; i < holds; i++) {
        const uint32_t stream = plan_stream(s.plan, device);
        plan_hold(s.plan, s.a, plan_task(s.plan, stream, PS_TASK_KERNEL, 0, busy_ns[i]));
    }
    (void)plan_memop(s.plan, PS_MEMOP_ALLOC, device, s.a, 0, 0);
    (void)plan_memop(s.plan, holds > 0 ? PS_MEMOP_FREE_REQUEST : PS_MEMOP_FREE, device, s.a, 1, 0);
    (void)plan_memop(s.plan, PS_MEMOP_ALLOC, device, s.b, asks_at, 0);
    return s;
}

static ps_result run(const scene *s)
{
    ps_error err = {0};
    ps_result result;
    assert_ok(&err, ps_plan_check(s->plan, &err));
    assert_ok(&err, ps_run_plan(s->plan, &result, &err));
    return result;
}

static uint64_t reserved(scene s)
{
    ps_result result = run(&s);
    const uint64_t bytes = result.device[0].peak_reserved_bytes;
    /* what is allocated falls with the free, whatever it waits for */
    assert_int_equal(result.device[0].peak_allocated_bytes, BIG);
    ps_result_fini(&result);
    ps_plan_destroy(s.plan);
    return bytes;
}

static void memory_serves_again_behind_the_end_of_its_user(void **state)
{
    (void)state;
    const ps_ns ends = 3 * HOST_NS;
    assert_int_equal(reserved(make(&ends, 1, 2)), 2 * BIG);
    assert_int_equal(reserved(make(&ends, 1, 3)), BIG); /* at the same moment */
    assert_int_equal(reserved(make(&ends, 1, 4)), BIG);
    assert_int_equal(reserved(make(NULL, 0, 2)), BIG);
}

static void the_last_of_several_users_counts(void **state)
{
    (void)state;
    const ps_ns ends[] = {4 * HOST_NS, 2 * HOST_NS};
    assert_int_equal(reserved(make(ends, 2, 3)), 2 * BIG);
    assert_int_equal(reserved(make(ends, 2, 4)), BIG);
}

/* empty_cache() waits for all: nothing of it is left to end afterwards. */
static void emptying_the_cache_waits_for_every_user(void **state)
{
    (void)state;
    const ps_ns ends = 100 * HOST_NS;
    scene s = make(&ends, 1, 4);
    s.plan->memop.op[2] = PS_MEMOP_RELEASE_CACHE;
    (void)plan_memop(s.plan, PS_MEMOP_ALLOC, 0, s.b, 5, 0);
    assert_int_equal(reserved(s), BIG);
}

/* ... and so does the allocator when the device has no more to give. */
static void a_full_device_waits_for_every_user(void **state)
{
    (void)state;
    const ps_ns ends = 100 * HOST_NS;
    scene s = make(&ends, 1, 2);
    s.plan->device.limit_bytes[0] = BIG + MIB;
    ps_result result = run(&s);
    assert_false(result.device[0].oom.happened);
    assert_int_equal(result.device[0].retry_count, 1);
    assert_int_equal(result.device[0].peak_reserved_bytes, BIG);
    ps_result_fini(&result);
    ps_plan_destroy(s.plan);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_serves_again_behind_the_end_of_its_user),
        cmocka_unit_test(the_last_of_several_users_counts),
        cmocka_unit_test(emptying_the_cache_waits_for_every_user),
        cmocka_unit_test(a_full_device_waits_for_every_user),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
