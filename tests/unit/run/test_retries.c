/* SPDX-License-Identifier: MIT
 *
 * A request that does not fit makes its host wait: for what freed memory waits
 * for, and for the device where segments go back. Closed forms of small plans.
 *
 *   stream   ─┤ kernel, which uses A ├─────────────
 *   host     ─ A ─ A freed ─ B asked ....... goes on
 */
#include "unit/plan/make_plan.h"

#include "base/memory.h"
#include "result/result.h"
#include "run/run.h"
#include "run/unfold.h"

#define MIB ((uint64_t)1 << 20)
#define BIG (20 * MIB) /* a segment of its own */
#define HOST_NS 10     /* of each host task; requests happen as it begins */
#define HOST_TASKS 6
#define BUSY_NS 1000 /* of a kernel that the first host task hands over */

typedef struct scene {
    ps_plan *plan;
    uint32_t device, host, stream, other;
} scene;

/* Host tasks are the first rows; two streams stand beside them. */
static scene make(uint64_t limit_bytes)
{
    scene s = {.plan = plan_new()};
    s.device = plan_device(s.plan);
    s.plan->device.limit_bytes[s.device] = limit_bytes;
    s.host = plan_host_lane(s.plan);
    s.stream = plan_stream(s.plan, s.device);
    s.other = plan_stream(s.plan, s.device);
    for (uint32_t i = 0; i < HOST_TASKS; i++) {
        (void)plan_task(s.plan, s.host, PS_TASK_HOST, 0, HOST_NS);
    }
    (void)plan_step(s.plan, 0, 0, HOST_TASKS - 1, HOST_NS);
    return s;
}

/* A kernel that a host task hands over as it begins. */
static uint32_t launch(const scene *s, uint32_t stream, uint32_t host_task, ps_ns busy_ns)
{
    const uint32_t task = plan_task(s->plan, stream, PS_TASK_KERNEL, 0, busy_ns);
    (void)plan_dep(s->plan, task, host_task, PS_DEP_START_AFTER_START, 0);
    return task;
}

static uint32_t allocate(const scene *s, uint64_t bytes, uint32_t host_task)
{
    const uint32_t buffer = plan_buffer(s->plan, s->device, bytes);
    (void)plan_memop(s->plan, PS_MEMOP_ALLOC, s->device, buffer, host_task, 0);
    return buffer;
}

static void release(const scene *s, uint32_t buffer, uint32_t host_task, uint32_t held_by)
{
    plan_hold(s->plan, buffer, held_by);
    (void)plan_memop(s->plan, PS_MEMOP_FREE_REQUEST, s->device, buffer, host_task, 0);
}

static ps_result run(const scene *s)
{
    ps_error err = {0};
    ps_result result;
    assert_ok(&err, ps_plan_check(s->plan, &err));
    assert_ok(&err, ps_run_plan(s->plan, &result, &err));
    return result;
}

/* What a run should come to; then the plan is gone. */
static void check(scene *s, ps_ns step_ns, uint64_t retries, ps_ns wait_ns)
{
    ps_error err = {0};
    ps_ns alone_ns;
    ps_result result = run(s);
    assert_int_equal(result.step_time_ns, step_ns);
    assert_int_equal(result.device[0].retry_count, retries);
    assert_int_equal(result.device[0].retry[0].count, retries);
    assert_int_equal(result.device[0].retry[0].wait_ns, wait_ns);
    assert_int_equal(result.device[0].retry_wait_ns, wait_ns);
    assert_false(result.device[0].oom.happened);
    assert_false(result.is_unsettled);
    assert_ok(&err, ps_run_step_time(s->plan, &alone_ns, &err));
    assert_int_equal(alone_ns, step_ns);
    ps_result_fini(&result);
    ps_plan_destroy(s->plan);
}

/* A is held to the kernel's end; B, which host task 2 asks for, has no room beside it. */
static scene held_up(uint64_t limit_bytes)
{
    const scene s = make(limit_bytes);
    const uint32_t a = allocate(&s, BIG, 0);
    const uint32_t kernel = launch(&s, s.stream, 0, BUSY_NS);
    release(&s, a, 1, kernel);
    (void)allocate(&s, BIG, 2);
    return s;
}

static void a_request_waits_for_held_memory(void **state)
{
    (void)state;
    scene s = held_up(BIG + MIB);
    /* host tasks 0 and 1, the kernel's end, host tasks 2 to 5 */
    check(&s, BUSY_NS + 4 * HOST_NS, 1, BUSY_NS - 2 * HOST_NS);
}

static void nobody_waits_where_there_is_room(void **state)
{
    (void)state;
    scene s = held_up(2 * BIG);
    check(&s, HOST_TASKS * HOST_NS, 0, 0);
    s = held_up(0); /* no limit */
    check(&s, HOST_TASKS * HOST_NS, 0, 0);
}

/* What was recorded holds its waiting already: rows end the frees, and nothing is added. */
static void recorded_frees_make_nobody_wait(void **state)
{
    (void)state;
    scene s = held_up(BIG + MIB);
    s.plan->hold.head.count = 0;
    (void)plan_memop(s.plan, PS_MEMOP_FREE_COMPLETE, s.device, 0, 3, 0);
    ps_result result = run(&s);
    assert_int_equal(result.step_time_ns, HOST_TASKS * HOST_NS);
    assert_int_equal(result.device[0].retry_count, 1);
    assert_false(result.device[0].retries_are_modelled);
    ps_result_fini(&result);
    ps_plan_destroy(s.plan);
}

/* A fits in time, but its segment is too small for B: it goes back, and the driver waits for a stream
 * that never used it, though not for what is handed over later. */
static void giving_segments_back_waits_for_the_device(void **state)
{
    (void)state;
    scene s = make(2 * BIG + MIB);
    const uint32_t a = allocate(&s, BIG, 0);
    const uint32_t user = launch(&s, s.stream, 0, HOST_NS);
    (void)launch(&s, s.other, 0, BUSY_NS);
    release(&s, a, 2, user);
    (void)allocate(&s, 2 * BIG, 3);
    (void)launch(&s, s.other, 3, 10 * BUSY_NS);
    check(&s, BUSY_NS + 3 * HOST_NS, 1, BUSY_NS - 3 * HOST_NS);
}

/* Pages go back when their own stream is done, whatever others do. */
static void giving_pages_back_waits_for_their_stream(void **state)
{
    (void)state;
    scene s = make(2 * BIG + MIB);
    s.plan->device.allocator[s.device] = plan_text(s.plan, "expandable");
    s.plan->device.allocator_conf[s.device] = plan_text(s.plan, "expandable_segments:True");
    s.plan->lane.number[s.stream] = 7;
    s.plan->lane.number[s.other] = 8;
    const uint32_t a = allocate(&s, BIG, 0);
    s.plan->buffer.stream[a] = 7;
    const uint32_t user = launch(&s, s.other, 0, HOST_NS);
    (void)launch(&s, s.stream, 0, BUSY_NS);
    (void)launch(&s, s.other, 1, 10 * BUSY_NS);
    release(&s, a, 2, user);
    s.plan->buffer.stream[allocate(&s, 2 * BIG, 3)] = 8;
    check(&s, BUSY_NS + 3 * HOST_NS, 1, BUSY_NS - 3 * HOST_NS);
}

/* A goes back for B; C and D then ask for segments, of which one would have been A's. C is asked for in the
 * second step. */
static scene made_anew(bool empties_cache)
{
    const scene s = make(6 * BIG);
    s.plan->step.end_task[0] = 2;
    (void)plan_step(s.plan, 3, 0, HOST_TASKS - 1, HOST_NS);
    const uint32_t a = allocate(&s, 3 * BIG, 0);
    const uint32_t user = launch(&s, s.stream, 0, HOST_NS);
    release(&s, a, 1, user);
    (void)allocate(&s, 4 * BIG, 2);
    if (empties_cache) {
        (void)plan_memop(s.plan, PS_MEMOP_RELEASE_CACHE, s.device, 0, 3, 0);
    }
    (void)allocate(&s, BIG, 3);
    (void)allocate(&s, BIG, 4);
    return s;
}

static void check_segments(scene *s, uint64_t made_anew)
{
    ps_result result = run(s);
    const ps_result_retry *retry = result.device[0].retry;
    assert_int_equal(result.device[0].retry_count, 1);
    assert_int_equal(retry[0].segments_freed, 1);
    assert_int_equal(retry[0].segments_made_anew, 0); /* its own is not */
    assert_int_equal(retry[1].segments_freed, 0);
    assert_int_equal(retry[1].segments_made_anew, made_anew);
    ps_result_fini(&result);
    ps_plan_destroy(s->plan);
}

static void segments_are_made_anew_as_many_as_went_back(void **state)
{
    (void)state;
    scene s = made_anew(false);
    check_segments(&s, 1);
}

static void an_emptied_cache_would_have_had_nothing(void **state)
{
    (void)state;
    scene s = made_anew(true);
    check_segments(&s, 0);
}

/* A page run that went back and one that is mapped count as segments do. */
static void page_runs_count_as_segments(void **state)
{
    (void)state;
    scene s = made_anew(false);
    s.plan->device.allocator[s.device] = plan_text(s.plan, "expandable");
    s.plan->device.allocator_conf[s.device] = plan_text(s.plan, "expandable_segments:True");
    s.plan->lane.number[s.stream] = 7;
    s.plan->buffer.stream[0] = 7; /* else A's pages would be B's first */
    check_segments(&s, 1);
}

/* Where nothing is refused there is nothing to tell, however many segments are asked for. */
static void growth_is_not_made_anew(void **state)
{
    (void)state;
    scene s = made_anew(false);
    s.plan->device.limit_bytes[s.device] = 9 * BIG;
    ps_result result = run(&s);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(result.device[0].retry[i].segments_freed, 0);
        assert_int_equal(result.device[0].retry[i].segments_made_anew, 0);
    }
    ps_result_fini(&result);
    ps_plan_destroy(s.plan);
}

/* What waits for another thread is not waited for: that may not have handed it over yet. */
static void the_device_is_not_waited_for_through_threads(void **state)
{
    (void)state;
    scene s = make(2 * BIG + MIB);
    const uint32_t worker = plan_host_lane(s.plan);
    const uint32_t work = plan_task(s.plan, worker, PS_TASK_CPU, 0, BUSY_NS);
    const uint32_t a = allocate(&s, BIG, 0);
    const uint32_t user = launch(&s, s.stream, 0, HOST_NS);
    const uint32_t copy = launch(&s, s.other, 0, BUSY_NS);
    (void)plan_dep(s.plan, copy, work, PS_DEP_START_AFTER_END, 0);
    release(&s, a, 2, user);
    (void)allocate(&s, 2 * BIG, 3);
    check(&s, HOST_TASKS * HOST_NS, 1, 0);
}

/* C is asked for when B has waited; its memory is held by a kernel that host task 2 hands over then. */
static scene two_requests(ps_ns second_ns)
{
    const scene s = make(2 * BIG + MIB);
    const uint32_t a = allocate(&s, BIG, 0), b = allocate(&s, BIG, 0);
    const uint32_t first = launch(&s, s.stream, 0, BUSY_NS);
    release(&s, a, 1, first);
    (void)allocate(&s, BIG, 2);
    const uint32_t second = launch(&s, s.other, 2, second_ns);
    release(&s, b, 3, second);
    (void)allocate(&s, BIG, 4);
    return s;
}

static void a_later_request_is_asked_at_its_new_time(void **state)
{
    (void)state;
    scene s = two_requests(2 * HOST_NS);
    check(&s, BUSY_NS + 4 * HOST_NS, 1, BUSY_NS - 2 * HOST_NS);
    s = two_requests(BUSY_NS);
    check(&s, 2 * BUSY_NS + 2 * HOST_NS, 2, 2 * BUSY_NS - 4 * HOST_NS);
}

/* Without B's waiting C would have to wait for a kernel that is done when C is asked for behind it. */
static void a_wait_found_too_early_goes(void **state)
{
    (void)state;
    const ps_ns second_ns = 2 * HOST_NS;
    scene s = make(2 * BIG + MIB);
    const uint32_t a = allocate(&s, BIG, 0), b = allocate(&s, BIG, 0);
    const uint32_t first = launch(&s, s.stream, 0, BUSY_NS);
    const uint32_t second = launch(&s, s.stream, 3, second_ns); /* behind the first, too */
    release(&s, a, 1, first);
    (void)allocate(&s, BIG, 2);
    release(&s, b, 4, second);
    (void)allocate(&s, BIG, 5);
    check(&s, BUSY_NS + 4 * HOST_NS, 1, BUSY_NS - 2 * HOST_NS);
}

/* Two requests of one host task: the host waits once. */
static void requests_of_one_task_wait_together(void **state)
{
    (void)state;
    scene s = make(2 * BIG + MIB);
    const uint32_t a = allocate(&s, BIG, 0), b = allocate(&s, BIG, 0);
    const uint32_t first = launch(&s, s.stream, 0, BUSY_NS);
    const uint32_t second = launch(&s, s.other, 0, 2 * BUSY_NS);
    release(&s, a, 1, first);
    release(&s, b, 1, second);
    (void)allocate(&s, BIG, 2);
    (void)allocate(&s, BIG, 2);
    check(&s, 2 * BUSY_NS + 4 * HOST_NS, 1, 2 * BUSY_NS - 2 * HOST_NS);
}

/* Waiting is part of the critical path, where a plan has traffic with hosts. */
static void the_critical_path_goes_through_a_wait(void **state)
{
    (void)state;
    const ps_ns copied_ns = 1000; /* at 1 B/ns */
    scene s = make(BIG + MIB);
    const uint32_t link = plan_link(s.plan, 1000000000);
    const uint32_t a = allocate(&s, BIG, 0);
    const uint32_t copy = plan_copy(s.plan, s.stream, PS_COPY_DTOH, (uint64_t)copied_ns, 0);
    (void)plan_dep(s.plan, copy, 0, PS_DEP_START_AFTER_START, 0);
    plan_transfer(s.plan, copy, link);
    release(&s, a, 1, copy);
    (void)allocate(&s, BIG, 2);
    ps_result result = run(&s);
    assert_int_equal(result.step_time_ns, copied_ns + 4 * HOST_NS);
    assert_int_equal(result.steady.path_ns[PS_RESOURCE_OFFLOAD], copied_ns);
    assert_int_equal(result.steady.path_ns[PS_RESOURCE_LAUNCH], 4 * HOST_NS);
    ps_result_fini(&result);
    ps_plan_destroy(s.plan);
}

/* Memory that waits for what the request itself launches: no run of that can exist, so none waits. */
static void a_circle_of_waits_is_left_out(void **state)
{
    (void)state;
    scene s = make(BIG + MIB);
    const uint32_t a = allocate(&s, BIG, 0);
    const uint32_t later = launch(&s, s.stream, 3, BUSY_NS);
    release(&s, a, 1, later);
    (void)allocate(&s, BIG, 2);
    ps_result result = run(&s);
    assert_int_equal(result.step_time_ns, HOST_TASKS * HOST_NS);
    assert_int_equal(result.device[0].retry_wait_ns, 0);
    assert_true(result.is_unsettled);
    ps_result_fini(&result);
    ps_plan_destroy(s.plan);
}

/* A true shortage stays one, and is told at the time of the request that waited in vain. */
static void what_does_not_fit_after_waiting_is_told(void **state)
{
    (void)state;
    scene s = held_up(BIG + MIB);
    (void)allocate(&s, BIG, 3);
    ps_result result = run(&s);
    assert_true(result.device[0].oom.happened);
    assert_int_equal(result.device[0].oom.time_ns, BUSY_NS + HOST_NS);
    assert_int_equal(result.device[0].needed_bytes, 2 * BIG);
    ps_result_fini(&result);
    ps_plan_destroy(s.plan);
}

/* Ranks that one device stands for wait as each of them does, and for one another's parts. */
static scene meeting(void)
{
    scene s = make(BIG + MIB);
    const size_t group = plan_row(s.plan, PS_PLAN_LANE);
    s.plan->lane.kind[group] = PS_LANE_GROUP;
    s.plan->device.stands_for[s.device] = 2;
    const uint32_t a = allocate(&s, BIG, 0);
    const uint32_t part = plan_task(s.plan, s.stream, PS_TASK_COLLECTIVE, 0, 0);
    const uint32_t exchange = plan_task(s.plan, (uint32_t)group, PS_TASK_EXCHANGE, 0, BUSY_NS);
    (void)plan_dep(s.plan, part, 0, PS_DEP_START_AFTER_START, 0);
    (void)plan_dep(s.plan, part, exchange, PS_DEP_END_AFTER_END, 0);
    (void)plan_dep(s.plan, exchange, part, PS_DEP_START_AFTER_START, 0);
    release(&s, a, 1, part);
    (void)allocate(&s, BIG, 2);
    return s;
}

static void folded_ranks_wait_as_each_does(void **state)
{
    (void)state;
    const ps_unfold_part each[] = {{.first_rank = 0, .ranks = 1}, {.first_rank = 1, .ranks = 1}};
    ps_error err = {0};
    scene s = meeting(), full = {0};
    assert_ok(&err, ps_plan_unfold(s.plan, each, 2, true, &full.plan, &err));
    ps_result result = run(&full);
    assert_int_equal(result.device_count, 2);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(result.device[i].retry_count, 1);
        assert_int_equal(result.device[i].retry_wait_ns, BUSY_NS - 2 * HOST_NS);
    }
    assert_int_equal(result.step_time_ns, BUSY_NS + 4 * HOST_NS);
    ps_result_fini(&result);
    ps_plan_destroy(full.plan);
    check(&s, BUSY_NS + 4 * HOST_NS, 1, BUSY_NS - 2 * HOST_NS);
}

static void memory_of_the_simulator_runs_out(void **state)
{
    (void)state;
    ps_code code = PS_NOMEM;
    for (unsigned long nth = 1; code != PS_OK; nth++) {
        scene s = two_requests(BUSY_NS);
        ps_error err = {0};
        ps_result result;
        ps_memory_fail_nth(nth);
        code = ps_run_plan(s.plan, &result, &err);
        ps_memory_fail_nth(0);
        assert_true(code == PS_OK || code == PS_NOMEM);
        if (code == PS_OK) {
            assert_int_equal(result.device[0].retry_count, 2);
            ps_result_fini(&result);
        }
        ps_plan_destroy(s.plan);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_waits_for_held_memory),
        cmocka_unit_test(nobody_waits_where_there_is_room),
        cmocka_unit_test(recorded_frees_make_nobody_wait),
        cmocka_unit_test(giving_segments_back_waits_for_the_device),
        cmocka_unit_test(giving_pages_back_waits_for_their_stream),
        cmocka_unit_test(segments_are_made_anew_as_many_as_went_back),
        cmocka_unit_test(an_emptied_cache_would_have_had_nothing),
        cmocka_unit_test(page_runs_count_as_segments),
        cmocka_unit_test(growth_is_not_made_anew),
        cmocka_unit_test(the_device_is_not_waited_for_through_threads),
        cmocka_unit_test(a_later_request_is_asked_at_its_new_time),
        cmocka_unit_test(a_wait_found_too_early_goes),
        cmocka_unit_test(requests_of_one_task_wait_together),
        cmocka_unit_test(the_critical_path_goes_through_a_wait),
        cmocka_unit_test(a_circle_of_waits_is_left_out),
        cmocka_unit_test(folded_ranks_wait_as_each_does),
        cmocka_unit_test(memory_of_the_simulator_runs_out),
        cmocka_unit_test(what_does_not_fit_after_waiting_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
