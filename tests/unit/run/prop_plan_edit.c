/* SPDX-License-Identifier: MIT
 *
 * Taking tasks out of a plan: by hand, and on random plans, of which brute
 * force says what comes before what. A failure prints the seed of its plan.
 */
#include "support/test.h"

#include <string.h>

#include "plan/plan_order.h"
#include "policy/plan_edit.h"
#include "policy/plan_insert.h"
#include "unit/plan/make_plan.h"

#define ROUNDS 600
#define TASKS 30
#define MOMENTS ((size_t)TASKS * 2)

/* ---- what comes before what, by brute force ---- */

typedef struct reach {
    bool of[MOMENTS][MOMENTS]; /* [a][b]: a before b */
} reach;

static ps_plan_moment waiting(const ps_plan *plan, size_t dep)
{
    const uint8_t kind = plan->dep.kind[dep];
    return kind == PS_DEP_END_AFTER_END || kind == PS_DEP_END_AFTER_START
               ? ps_end_of(plan->dep.task[dep])
               : ps_start_of(plan->dep.task[dep]);
}

static ps_plan_moment awaited(const ps_plan *plan, size_t dep)
{
    const uint8_t kind = plan->dep.kind[dep];
    return kind == PS_DEP_START_AFTER_END || kind == PS_DEP_END_AFTER_END
               ? ps_end_of(plan->dep.before[dep])
               : ps_start_of(plan->dep.before[dep]);
}

static void find_reach(const ps_plan *plan, reach *out)
{
    const uint32_t tasks = (uint32_t)plan->task.head.count;
    memset(out, 0, sizeof *out);
    for (uint32_t i = 0; i < tasks; i++) {
        out->of[ps_start_of(i)][ps_end_of(i)] = true;
        for (uint32_t k = i + 1; k < tasks; k++) {
            if (plan->task.lane[k] == plan->task.lane[i]) {
                out->of[ps_end_of(i)][ps_start_of(k)] = true;
            }
        }
    }
    for (size_t i = 0; i < plan->dep.head.count; i++) {
        out->of[awaited(plan, i)][waiting(plan, i)] = true;
    }
    for (size_t via = 0; via < (size_t)tasks * 2; via++) {
        for (size_t a = 0; a < (size_t)tasks * 2; a++) {
            for (size_t b = 0; out->of[a][via] && b < (size_t)tasks * 2; b++) {
                out->of[a][b] = out->of[a][b] || out->of[via][b];
            }
        }
    }
}

static void assert_same_order(const reach *before, const reach *after, const uint32_t *row,
                              uint64_t seed)
{
    for (uint32_t a = 0; a < MOMENTS; a++) {
        for (uint32_t b = 0; b < MOMENTS; b++) {
            if (row[a / 2] == PS_EDIT_GONE || row[b / 2] == PS_EDIT_GONE) {
                continue;
            }
            const bool is = after->of[row[a / 2] * 2 + a % 2][row[b / 2] * 2 + b % 2];
            if (before->of[a][b] != is) {
                fail_msg("seed %llu: %s of task %u %s before the %s of task %u",
                         (unsigned long long)seed, a % 2 == 0 ? "start" : "end", a / 2,
                         is ? "is now" : "is no more", b % 2 == 0 ? "start" : "end", b / 2);
            }
        }
    }
}

/* ---- random plans ---- */

/* The newest task of each thread stays, so that requests have somewhere to go. */
static void draw_drops(const ps_plan *plan, uint64_t *rng, bool *drop)
{
    bool has_one[16] = {false};
    for (size_t i = TASKS; i-- > 0;) {
        const uint32_t lane = plan->task.lane[i];
        assert_true(lane < 16);
        drop[i] = has_one[lane] && plan_random(rng) % 3 != 0;
        has_one[lane] = true;
    }
}

static void order_stays(void **state)
{
    (void)state;
    const plan_shape shape = {.task_count = TASKS, .max_ns = 1000, .max_bytes = 1000};
    static reach before, after;
    for (uint64_t seed = 1; seed <= ROUNDS; seed++) {
        ps_error err = {0};
        bool drop[TASKS];
        uint32_t row[TASKS];
        uint64_t rng = seed + 77;
        size_t gone = 0;
        ps_plan *plan = plan_random_new(&shape, seed);
        const size_t requests = plan->memop.head.count;
        draw_drops(plan, &rng, drop);
        find_reach(plan, &before);
        assert_ok(&err, ps__plan_drop_tasks(plan, drop, row, &err));
        for (size_t i = 0; i < TASKS; i++) {
            assert_int_equal(drop[i], row[i] == PS_EDIT_GONE);
            gone += drop[i];
        }
        assert_int_equal(plan->task.head.count, TASKS - gone);
        assert_int_equal(plan->memop.head.count, requests);
        assert_ok(&err, ps_plan_check(plan, &err));
        find_reach(plan, &after);
        assert_same_order(&before, &after, row, seed);
        ps_plan_destroy(plan);
    }
}

static void nothing_dropped_changes_nothing(void **state)
{
    (void)state;
    const plan_shape shape = {.task_count = TASKS, .max_ns = 1000, .max_bytes = 1000};
    const bool drop[TASKS] = {false};
    for (uint64_t seed = 1; seed <= 50; seed++) {
        ps_error err = {0};
        ps_plan *plan = plan_random_new(&shape, seed), *same = plan_random_new(&shape, seed);
        assert_ok(&err, ps__plan_drop_tasks(plan, drop, NULL, &err));
        for (int id = 0; id < PS_PLAN_TABLE_COUNT; id++) {
            const ps_table_spec *spec = &ps_plan_specs()[id];
            const ps_table_head *a = ps_plan_table_const(plan, (ps_plan_table_id)id);
            const ps_table_head *b = ps_plan_table_const(same, (ps_plan_table_id)id);
            assert_int_equal(a->count, b->count);
            for (size_t row = 0; row < a->count; row++) {
                for (size_t c = 0; c < spec->column_count; c++) {
                    assert_int_equal(ps_table_get(&spec->columns[c], a, row),
                                     ps_table_get(&spec->columns[c], b, row));
                }
            }
        }
        ps_plan_destroy(plan);
        ps_plan_destroy(same);
    }
}

/* ---- by hand ---- */

static size_t count_deps(const ps_plan *plan, uint32_t task, uint32_t before, ps_dep_kind kind,
                         ps_ns lag_ns)
{
    size_t count = 0;
    for (size_t i = 0; i < plan->dep.head.count; i++) {
        count += plan->dep.task[i] == task && plan->dep.before[i] == before &&
                 plan->dep.kind[i] == kind && plan->dep.lag_ns[i] == lag_ns;
    }
    return count;
}

/* host  0 launch, 1 launch, 2 wait for 5; stream a: 3, 4 (waits for 6), 5 (launched by 1);
 * stream b: 6, 7 (waits for 4). */
static ps_plan *scene(void)
{
    ps_plan *plan = plan_new();
    const uint32_t device = plan_device(plan), host = plan_host_lane(plan);
    const uint32_t a = plan_stream(plan, device), b = plan_stream(plan, device);
    (void)plan_task(plan, host, PS_TASK_HOST, 0, 10);
    (void)plan_task(plan, host, PS_TASK_HOST, 5, 10);
    (void)plan_task(plan, host, PS_TASK_WAIT, 5, 10);
    for (int i = 0; i < 3; i++) {
        (void)plan_task(plan, a, PS_TASK_KERNEL, 1, 100);
    }
    (void)plan_task(plan, b, PS_TASK_KERNEL, 0, 100);
    (void)plan_task(plan, b, PS_TASK_KERNEL, 0, 100);
    (void)plan_dep(plan, 2, 5, PS_DEP_END_AFTER_END, 7);
    (void)plan_dep(plan, 3, 0, PS_DEP_START_AFTER_START, 3);
    (void)plan_dep(plan, 4, 6, PS_DEP_START_AFTER_END, 2);
    (void)plan_dep(plan, 5, 1, PS_DEP_START_AFTER_START, 3);
    (void)plan_dep(plan, 6, 0, PS_DEP_START_AFTER_START, 3);
    (void)plan_dep(plan, 7, 4, PS_DEP_START_AFTER_END, 4);
    return plan;
}

/* 4 goes: 5 awaits what 4 did on the other stream, 7 the one before 4, with its own lag. */
static void kernel_goes(void **state)
{
    (void)state;
    ps_error err = {0};
    ps_plan *plan = scene();
    bool drop[8] = {false};
    drop[4] = true;
    assert_ok(&err, ps__plan_drop_tasks(plan, drop, NULL, &err));
    assert_int_equal(plan->dep.head.count, 6);
    assert_int_equal(count_deps(plan, 4, 5, PS_DEP_START_AFTER_END, 0), 1); /* 5 on 6 */
    assert_int_equal(count_deps(plan, 6, 3, PS_DEP_START_AFTER_END, 4), 1); /* 7 on 3 */
    assert_int_equal(plan->task.gap_ns[4], 1);
    ps_plan_destroy(plan);
}

/* 5 and its launch go: the host waits for 4 in its place; requests and steps move. */
static void launch_and_kernel_go(void **state)
{
    (void)state;
    ps_error err = {0};
    ps_plan *plan = scene();
    bool drop[8] = {false};
    const uint32_t one = plan_buffer(plan, 0, 64), two = plan_buffer(plan, 0, 64);
    (void)plan_memop(plan, PS_MEMOP_ALLOC, 0, one, 1, 3);
    (void)plan_memop(plan, PS_MEMOP_ALLOC, 0, two, 2, -2);
    (void)plan_step(plan, 0, 4, 1, 10);
    drop[1] = drop[5] = true;
    assert_ok(&err, ps__plan_drop_tasks(plan, drop, NULL, &err));
    assert_int_equal(plan->task.head.count, 6);
    assert_int_equal(count_deps(plan, 1, 3, PS_DEP_END_AFTER_END, 7), 1); /* 2 on 4 */
    assert_int_equal(plan->memop.task[0], 0);
    assert_int_equal(plan->memop.offset_ns[0], PS_TIME_NEVER);
    assert_int_equal(plan->memop.task[1], 1);
    assert_int_equal(plan->memop.offset_ns[1], -2);
    assert_int_equal(plan->step.end_task[0], 0);
    assert_int_equal(plan->step.begin_offset_ns[0], 4);
    ps_plan_destroy(plan);
}

/* The first task of a thread goes: what it asked for is asked for in the gap before the next. */
static void first_goes(void **state)
{
    (void)state;
    ps_error err = {0};
    ps_plan *plan = scene();
    bool drop[8] = {true, false, false, true, false, false, true, false};
    const uint32_t buffer = plan_buffer(plan, 0, 64);
    (void)plan_memop(plan, PS_MEMOP_ALLOC, 0, buffer, 0, 3);
    assert_ok(&err, ps__plan_drop_tasks(plan, drop, NULL, &err));
    assert_int_equal(plan->memop.task[0], 0);
    assert_int_equal(plan->memop.offset_ns[0], -5);
    assert_ok(&err, ps_plan_check(plan, &err));
    ps_plan_destroy(plan);
}

static void thread_of_requests_must_stay(void **state)
{
    (void)state;
    ps_error err = {0};
    ps_plan *plan = scene();
    const bool drop[8] = {true, true, true, false, false, false, false, false};
    const uint32_t buffer = plan_buffer(plan, 0, 64);
    (void)plan_memop(plan, PS_MEMOP_ALLOC, 0, buffer, 0, 3);
    assert_int_equal(ps__plan_drop_tasks(plan, drop, NULL, &err), PS_USAGE);
    ps_plan_destroy(plan);
}

/* Tasks come and go at once: what comes may name what goes. */
static void comes_in_the_place_of_what_goes(void **state)
{
    (void)state;
    ps_error err = {0};
    ps_insertion edit;
    uint32_t fresh;
    ps_plan *plan = scene();
    ps__insertion_init(&edit, plan);
    assert_ok(&err, ps__insertion_task(&edit, 1, PS_TASK_MEMSET, 4, &fresh, &err));
    assert_ok(&err, ps__insertion_dep(&edit, fresh, 7, PS_DEP_START_AFTER_START, 0, &err));
    assert_ok(&err, ps__insertion_drop(&edit, 4, &err));
    assert_ok(&err, ps__insertion_drop(&edit, 7, &err));
    assert_ok(&err, ps__insertion_finish(&edit, &err));
    assert_int_equal(plan->task.head.count, 7);
    assert_int_equal(edit.new_row[fresh], 4);
    assert_int_equal(edit.new_row[4], PS_EDIT_GONE);
    assert_int_equal(edit.new_row[5], 5);
    assert_int_equal(plan->task.kind[4], PS_TASK_MEMSET);
    assert_int_equal(count_deps(plan, 4, 6, PS_DEP_START_AFTER_END, 0), 1); /* through 7, or 4 */
    ps__insertion_fini(&edit);
    ps_plan_destroy(plan);
}

/* ---- memory ---- */

static void buffers_go(void **state)
{
    (void)state;
    ps_error err = {0};
    ps_plan *plan = scene();
    uint32_t row[4];
    for (int i = 0; i < 4; i++) {
        (void)plan_buffer(plan, 0, 64);
    }
    (void)plan_segment(plan, 0, 4096, 256);
    (void)plan_block(plan, 0, 4096, 64, PS_BLOCK_INACTIVE, 0);
    (void)plan_block(plan, 0, 4160, 64, PS_BLOCK_ALLOCATED, 1);
    (void)plan_block(plan, 0, 4224, 64, PS_BLOCK_ALLOCATED, 2);
    (void)plan_block(plan, 0, 4288, 64, PS_BLOCK_INACTIVE, 0);
    (void)plan_segment(plan, 0, 4352, 64);
    (void)plan_block(plan, 0, 4352, 64, PS_BLOCK_INACTIVE, 0);
    (void)plan_memop(plan, PS_MEMOP_ALLOC, 0, 2, 0, 0);
    (void)plan_memop(plan, PS_MEMOP_ALLOC, 0, 3, 0, 1);
    (void)plan_memop(plan, PS_MEMOP_FREE, 0, 2, 1, 0);
    plan->memop.expect[1] = 4711;
    const bool drop[4] = {true, false, true, false};
    assert_ok(&err, ps__plan_drop_buffers(plan, drop, row, &err));
    assert_int_equal(plan->buffer.head.count, 2);
    assert_int_equal(row[1], 0);
    assert_int_equal(row[2], PS_EDIT_GONE);
    assert_int_equal(plan->memop.head.count, 1);
    assert_int_equal(plan->memop.buffer[0], 1);
    assert_int_equal(plan->memop.expect[0], 0);
    assert_int_equal(plan->block.head.count, 4); /* free + freed, 1, free; free of the next */
    assert_int_equal(plan->block.bytes[0], 128);
    assert_int_equal(plan->block.buffer[1], 1);
    assert_ok(&err, ps_plan_check(plan, &err));
    ps_plan_destroy(plan);
}

static void resident_shrinks(void **state)
{
    (void)state;
    ps_error err = {0};
    ps_plan *plan = scene();
    plan->device.base_live_bytes[0] = 100;
    assert_ok(&err, ps__plan_shrink_resident(plan, 0, 60, &err));
    assert_int_equal(plan->device.base_live_bytes[0], 40);
    assert_int_equal(ps__plan_shrink_resident(plan, 0, 41, &err), PS_USAGE);
    ps_plan_destroy(plan);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(order_stays),
        cmocka_unit_test(nothing_dropped_changes_nothing),
        cmocka_unit_test(kernel_goes),
        cmocka_unit_test(launch_and_kernel_go),
        cmocka_unit_test(first_goes),
        cmocka_unit_test(thread_of_requests_must_stay),
        cmocka_unit_test(comes_in_the_place_of_what_goes),
        cmocka_unit_test(buffers_go),
        cmocka_unit_test(resident_shrinks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
