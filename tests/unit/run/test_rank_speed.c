/* SPDX-License-Identifier: MIT
 *
 * Ranks that differ: parted from the device that stood for all of them, slower
 * for good or by chance.
 *
 * In every step of the job a kernel of 1000 ns runs, then all ranks exchange
 * for 300 ns, and the host waits for both; launching takes it 10 ns.
 */
#include "make_trace.h"

#include <string.h>

#include "run/jitter.h"
#include "run/rank_speed.h"
#include "run/run.h"
#include "run/unfold.h"

#define KERNEL_NS 1000
#define EXCHANGE_NS 300
#define HOST_NS 10
#define STEP_NS (HOST_NS + KERNEL_NS + EXCHANGE_NS)
#define BUFFER_BYTES 4096u

enum { HOST_LANE, STREAM_LANE, REDUCER_LANE, GROUP_LANE };

static uint32_t add_task(ps_plan *plan, uint32_t lane, ps_task_kind kind, ps_ns dur)
{
    ps_error err = {0};
    size_t row;
    assert_ok(&err, ps_plan_add(plan, PS_PLAN_TASK, &row, &err));
    plan->task.lane[row] = lane;
    plan->task.kind[row] = (uint8_t)kind;
    plan->task.dur_ns[row] = dur;
    return (uint32_t)row;
}

static void add_dep(ps_plan *plan, uint32_t task, uint32_t before, ps_dep_kind kind)
{
    ps_error err = {0};
    size_t row;
    assert_ok(&err, ps_plan_add(plan, PS_PLAN_DEP, &row, &err));
    plan->dep.task[row] = task;
    plan->dep.before[row] = before;
    plan->dep.kind[row] = (uint8_t)kind;
}

static void add_step(ps_plan *plan, uint32_t launch, uint32_t wait)
{
    ps_error err = {0};
    size_t row;
    assert_ok(&err, ps_plan_add(plan, PS_PLAN_STEP, &row, &err));
    plan->step.begin_task[row] = launch;
    plan->step.end_task[row] = wait;
    plan->step.end_offset_ns[row] = INT64_MAX; /* its end */
}

static void add_buffer(ps_plan *plan, uint32_t task)
{
    ps_error err = {0};
    size_t buffer, memop;
    assert_ok(&err, ps_plan_add(plan, PS_PLAN_BUFFER, &buffer, &err));
    plan->buffer.bytes[buffer] = BUFFER_BYTES;
    assert_ok(&err, ps_plan_add(plan, PS_PLAN_MEMOP, &memop, &err));
    plan->memop.op[memop] = PS_MEMOP_ALLOC;
    plan->memop.buffer[memop] = (uint32_t)buffer;
    plan->memop.task[memop] = task;
}

static ps_plan *job_of(uint32_t ranks, unsigned steps)
{
    static const ps_lane_kind kinds[] = {PS_LANE_HOST, PS_LANE_STREAM, PS_LANE_STREAM,
                                         PS_LANE_GROUP};
    ps_error err = {0};
    size_t row;
    ps_plan *plan = ps_plan_create();
    assert_non_null(plan);
    assert_ok(&err, ps_plan_add(plan, PS_PLAN_DEVICE, &row, &err));
    plan->device.stands_for[row] = ranks;
    assert_ok(&err, ps_strings_put_z(plan->strings, "native", &plan->device.allocator[row], &err));
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        assert_ok(&err, ps_plan_add(plan, PS_PLAN_LANE, &row, &err));
        plan->lane.kind[row] = (uint8_t)kinds[i];
        plan->lane.device[row] = kinds[i] == PS_LANE_STREAM;
    }
    for (unsigned step = 0; step < steps; step++) {
        const uint32_t launch = add_task(plan, HOST_LANE, PS_TASK_HOST, HOST_NS);
        const uint32_t wait = add_task(plan, HOST_LANE, PS_TASK_WAIT, 0);
        const uint32_t kernel = add_task(plan, STREAM_LANE, PS_TASK_KERNEL, KERNEL_NS);
        const uint32_t part = add_task(plan, REDUCER_LANE, PS_TASK_COLLECTIVE, 0);
        const uint32_t exchange = add_task(plan, GROUP_LANE, PS_TASK_EXCHANGE, EXCHANGE_NS);
        add_dep(plan, wait, part, PS_DEP_END_AFTER_END);
        add_dep(plan, kernel, launch, PS_DEP_START_AFTER_END);
        add_dep(plan, part, kernel, PS_DEP_START_AFTER_END);
        add_dep(plan, part, exchange, PS_DEP_END_AFTER_END);
        add_dep(plan, exchange, part, PS_DEP_START_AFTER_START);
        add_step(plan, launch, wait);
        if (step == 0) {
            add_buffer(plan, launch);
        }
    }
    assert_ok(&err, ps_plan_check(plan, &err));
    return plan;
}

static size_t count_kind(const ps_plan *plan, ps_task_kind kind)
{
    size_t count = 0;
    for (size_t i = 0; i < plan->task.head.count; i++) {
        count += plan->task.kind[i] == (uint8_t)kind;
    }
    return count;
}

/* ---- parting ---- */

static void parted_ranks_that_do_the_same_take_as_long(void **state)
{
    (void)state;
    ps_error err = {0};
    static const ps_unfold_part parts[] = {{0, 3}, {3, 1}, {4, 2}};
    ps_plan *folded = job_of(6, 4), *unfolded;
    assert_ok(&err, ps_plan_unfold(folded, parts, 3, true, &unfolded, &err));
    assert_ok(&err, ps_plan_check(unfolded, &err));
    assert_int_equal(unfolded->device.head.count, 3);
    assert_int_equal(unfolded->device.stands_for[2], 2);
    assert_int_equal(unfolded->device.rank[1], 3);
    assert_int_equal(count_kind(unfolded, PS_TASK_KERNEL), 3 * 4);
    assert_int_equal(count_kind(unfolded, PS_TASK_EXCHANGE), 4);
    ps_result before = run_plan(folded), after = run_plan(unfolded);
    assert_int_equal(before.step_time_ns, STEP_NS);
    assert_int_equal(after.step_time_ns, STEP_NS);
    assert_int_equal(after.makespan_ns, before.makespan_ns);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(after.device[i].peak_allocated_bytes, BUFFER_BYTES);
        assert_int_equal(after.device[i].time.collective_transfer_ns, 4 * EXCHANGE_NS);
    }
    ps_result_fini(&before);
    ps_result_fini(&after);
    ps_plan_destroy(folded);
    ps_plan_destroy(unfolded);
}

static void all_wait_for_the_slow_rank(void **state)
{
    (void)state;
    ps_error err = {0};
    ps_plan *plan = job_of(4, 3);
    const ps_rank_speed half = {.rank = 2, .speed = 500000};
    assert_ok(&err, ps_plan_set_rank_speeds(&plan, &half, 1, false, &err));
    assert_ok(&err, ps_plan_check(plan, &err));
    ps_result result = run_plan(plan);
    assert_int_equal(result.step_time_ns, STEP_NS + KERNEL_NS);
    assert_int_equal(result.device_count, 2);
    assert_int_equal(plan->device.stands_for[0], 3);
    assert_int_equal(result.device[0].time.collective_wait_ns, 3 * KERNEL_NS);
    assert_int_equal(result.device[1].time.collective_wait_ns, 0);
    assert_int_equal(plan->device.rank[1], 2);
    ps_result_fini(&result);
    ps_plan_destroy(plan);
}

/* Ranks that have devices of their own already, as those of merged recordings do. */
static void a_device_of_its_own_is_changed_in_its_place(void **state)
{
    (void)state;
    ps_error err = {0};
    ps_plan *plan = job_of(2, 2);
    const ps_rank_speed speeds[] = {{0, 2000000}, {1, 2000000}};
    const ps_rank_speed slow = {1, 250000};
    assert_ok(&err, ps_plan_set_rank_speeds(&plan, speeds, 2, false, &err));
    const size_t tasks = plan->task.head.count;
    ps_result fast = run_plan(plan);
    assert_int_equal(fast.step_time_ns, STEP_NS - KERNEL_NS / 2);
    ps_result_fini(&fast);
    assert_ok(&err, ps_plan_set_rank_speeds(&plan, &slow, 1, false, &err));
    assert_int_equal(plan->task.head.count, tasks);
    ps_result result = run_plan(plan);
    assert_int_equal(result.step_time_ns, STEP_NS + KERNEL_NS);
    ps_result_fini(&result);
    ps_plan_destroy(plan);
}

static void what_cannot_be_parted_is_refused(void **state)
{
    (void)state;
    ps_error err = {0};
    size_t row;
    ps_plan *plan = job_of(4, 1);
    const ps_rank_speed none = {.rank = 4, .speed = 500000}, some = {.rank = 3, .speed = 500000};
    assert_int_equal(ps_plan_set_rank_speeds(&plan, &none, 1, false, &err), PS_USAGE);
    assert_non_null(strstr(err.message, "ranks 0 to 3"));
    assert_ok(&err, ps_plan_add(plan, PS_PLAN_LANE, &row, &err));
    plan->lane.kind[row] = PS_LANE_GROUP;
    err = (ps_error){0};
    assert_int_equal(ps_plan_set_rank_speeds(&plan, &some, 1, false, &err), PS_USAGE);
    assert_non_null(strstr(err.message, "2 groups"));
    ps_plan_destroy(plan);
}

/* ---- jitter ---- */

static void factors_have_the_deviation_they_are_asked_for(void **state)
{
    (void)state;
    const ps_jitter jitter = {.deviation = 50000, .seed = 7};
    const uint32_t count = 20000;
    uint64_t sum = 0, squares = 0;
    for (uint32_t i = 0; i < count; i++) {
        const uint64_t factor = ps_jitter_factor(&jitter, i % 16, i / 16, i);
        const int64_t off = (int64_t)factor - 1000000;
        sum += factor;
        squares += (uint64_t)(off * off);
    }
    assert_in_range(sum / count, 999000, 1001000);
    assert_in_range(squares / count, (uint64_t)49000 * 49000, (uint64_t)51000 * 51000);
    /* the same everywhere, and by each number apart */
    assert_int_equal(ps_jitter_factor(&jitter, 1, 2, 3), ps_jitter_factor(&jitter, 1, 2, 3));
    assert_int_not_equal(ps_jitter_factor(&jitter, 1, 2, 3), ps_jitter_factor(&jitter, 2, 2, 3));
    assert_int_not_equal(ps_jitter_factor(&jitter, 1, 2, 3), ps_jitter_factor(&jitter, 1, 3, 3));
    assert_int_not_equal(ps_jitter_factor(&jitter, 1, 2, 3), ps_jitter_factor(&jitter, 1, 2, 4));
    const ps_jitter wild = {.deviation = 100000000, .seed = 7};
    for (uint32_t i = 0; i < 1000; i++) {
        assert_true(ps_jitter_factor(&wild, i, 0, 0) >= 100000);
    }
}

static ps_jitter_times drawn(uint32_t ranks, const ps_jitter *jitter)
{
    ps_error err = {0};
    ps_jitter_times times;
    ps_plan *plan = job_of(ranks, 5);
    const size_t tasks = plan->task.head.count;
    assert_ok(&err, ps_run_jitter(plan, jitter, &times, &err));
    assert_int_equal(plan->task.head.count, tasks); /* as it was */
    ps_plan_destroy(plan);
    return times;
}

static void draws_depend_on_the_seed_alone(void **state)
{
    (void)state;
    const ps_jitter jitter = {.deviation = 50000, .seed = 1, .draws = 50};
    const ps_jitter other = {.deviation = 50000, .seed = 2, .draws = 50};
    const ps_jitter_times a = drawn(8, &jitter), b = drawn(8, &jitter), c = drawn(8, &other);
    assert_memory_equal(&a, &b, sizeof a);
    assert_true(a.median_ns != c.median_ns || a.p95_ns != c.p95_ns);
}

/* Of one rank the median is the undisturbed step and 95 of 100 lie within 1.645 deviations; of more
 * ranks the slowest counts: of 8 normal numbers the median of the largest is 1.39. */
static void more_ranks_wait_longer(void **state)
{
    (void)state;
    const ps_jitter jitter = {.deviation = 50000, .seed = 3, .draws = 400};
    const ps_jitter_times one = drawn(1, &jitter), eight = drawn(8, &jitter);
    assert_in_range(one.median_ns, STEP_NS - 5, STEP_NS + 5);
    assert_in_range(one.p95_ns, STEP_NS + 75, STEP_NS + 90);
    assert_in_range(eight.median_ns, STEP_NS + 63, STEP_NS + 76);
    assert_true(eight.p95_ns > eight.median_ns + 30);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parted_ranks_that_do_the_same_take_as_long),
        cmocka_unit_test(all_wait_for_the_slow_rank),
        cmocka_unit_test(a_device_of_its_own_is_changed_in_its_place),
        cmocka_unit_test(what_cannot_be_parted_is_refused),
        cmocka_unit_test(factors_have_the_deviation_they_are_asked_for),
        cmocka_unit_test(draws_depend_on_the_seed_alone),
        cmocka_unit_test(more_ranks_wait_longer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
