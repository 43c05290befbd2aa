/* SPDX-License-Identifier: MIT
 *
 * The plan checker: what rows of one table mean for rows of another. Cells
 * by themselves are plan_check_columns.c's matter, memory plan_check_memory.c's.
 *
 * It does not look for cycles of dependencies: who executes a plan, in model
 * or in fact, finds them on the way and names the tasks.
 */
#include "plan/plan_check.h"

#include "base/idmap.h"

static ps_code check_lanes(const ps_plan *plan, ps_error *err)
{
    for (size_t i = 0; i < plan->lane.head.count; i++) {
        const bool is_stream = plan->lane.kind[i] == PS_LANE_STREAM;
        if (is_stream && plan->lane.device[i] == 0) {
            return ps_fail(err, PS_CHECK_FAILED, "lane %zu is a stream of no device", i);
        }
        if (!is_stream && plan->lane.device[i] != 0) {
            return ps_fail(err, PS_CHECK_FAILED, "lane %zu is no stream, yet names device %u", i,
                           plan->lane.device[i] - 1);
        }
    }
    return PS_OK;
}

/* Copies, fills and collectives may run on either kind of lane: staging copies and host
 * collectives exist. */
static ps_code check_tasks(const ps_plan *plan, ps_error *err)
{
    for (size_t i = 0; i < plan->task.head.count; i++) {
        const uint8_t lane = plan->lane.kind[plan->task.lane[i]];
        const bool on_stream = lane == PS_LANE_STREAM;
        if ((lane == PS_LANE_GROUP) != (plan->task.kind[i] == PS_TASK_EXCHANGE)) {
            return ps_fail(err, PS_CHECK_FAILED,
                           "task %zu on lane %u: exchanges, and nothing else, run on groups", i,
                           plan->task.lane[i]);
        }
        if (on_stream && ps_plan_is_host_task(plan, (uint32_t)i)) {
            return ps_fail(err, PS_CHECK_FAILED, "task %zu is host work on lane %u, a stream", i,
                           plan->task.lane[i]);
        }
        if (on_stream && plan->task.kind[i] == PS_TASK_CPU) {
            return ps_fail(err, PS_CHECK_FAILED,
                           "task %zu is computation of the host on lane %u, a stream", i,
                           plan->task.lane[i]);
        }
        if (!on_stream && plan->task.kind[i] == PS_TASK_KERNEL) {
            return ps_fail(err, PS_CHECK_FAILED, "task %zu is a kernel on lane %u, a host lane", i,
                           plan->task.lane[i]);
        }
    }
    return PS_OK;
}

static ps_code check_sorted(const uint32_t *key, size_t count, const char *table, ps_error *err)
{
    for (size_t i = 1; i < count; i++) {
        if (key[i] < key[i - 1]) {
            return ps_fail(err, PS_CHECK_FAILED, "%s %zu is of task %u, after one of task %u",
                           table, i, key[i], key[i - 1]);
        }
    }
    return PS_OK;
}

static ps_code check_deps(const ps_plan *plan, ps_error *err)
{
    const ps_plan_dep_table *dep = &plan->dep;
    for (size_t i = 0; i < dep->head.count; i++) {
        if (dep->task[i] == dep->before[i]) {
            return ps_fail(err, PS_CHECK_FAILED, "dep %zu: task %u waits for itself", i,
                           dep->task[i]);
        }
    }
    return check_sorted(dep->task, dep->head.count, "dep", err);
}

static ps_code check_transfers(const ps_plan *plan, ps_error *err)
{
    for (size_t i = 0; i < plan->link.head.count; i++) {
        if (plan->link.bytes_per_s[i] == 0) {
            return ps_fail(err, PS_CHECK_FAILED, "link %zu moves 0 bytes/s", i);
        }
    }
    return check_sorted(plan->transfer.task, plan->transfer.head.count, "transfer", err);
}

/* A moment of a step: PS_PLAN_WHOLE is before or after everything else. */
typedef struct moment {
    uint32_t task;
    int64_t offset_ns;
} moment;

/* Moments can be compared only along one lane; across lanes it takes a run. */
static bool is_later(const ps_plan *plan, moment a, moment b)
{
    if (a.task == PS_PLAN_WHOLE || b.task == PS_PLAN_WHOLE ||
        plan->task.lane[a.task] != plan->task.lane[b.task]) {
        return false;
    }
    return a.task != b.task ? a.task > b.task : a.offset_ns > b.offset_ns;
}

static ps_code check_moment(const ps_plan *plan, size_t step, uint32_t task, ps_error *err)
{
    if (task == PS_PLAN_WHOLE) {
        return PS_OK;
    }
    if (task >= plan->task.head.count || !ps_plan_is_host_task(plan, task)) {
        return ps_fail(err, PS_CHECK_FAILED, "step %zu is bounded by task %u, no host task", step,
                       task);
    }
    return PS_OK;
}

static ps_code check_steps(const ps_plan *plan, ps_error *err)
{
    const ps_plan_step_table *step = &plan->step;
    moment last = {.task = PS_PLAN_WHOLE};
    for (size_t i = 0; i < step->head.count; i++) {
        const moment begin = {step->begin_task[i], step->begin_offset_ns[i]};
        const moment end = {step->end_task[i], step->end_offset_ns[i]};
        PS_TRY(check_moment(plan, i, begin.task, err));
        PS_TRY(check_moment(plan, i, end.task, err));
        if (is_later(plan, begin, end)) {
            return ps_fail(err, PS_CHECK_FAILED, "step %zu ends before it begins", i);
        }
        if (is_later(plan, last, begin)) {
            return ps_fail(err, PS_CHECK_FAILED, "step %zu begins before step %zu", i, i - 1);
        }
        last = begin;
    }
    return PS_OK;
}

static ps_code add_meta_keys(const ps_plan *plan, ps_idmap *seen, ps_error *err)
{
    for (size_t i = 0; i < plan->meta.head.count; i++) {
        const ps_str key = plan->meta.key[i];
        const uint32_t earlier = ps_idmap_get(seen, key);
        if (key == 0) {
            return ps_fail(err, PS_CHECK_FAILED, "meta %zu has no key", i);
        }
        if (earlier != PS_IDMAP_NONE) {
            return ps_fail(err, PS_CHECK_FAILED, "meta %zu repeats the key \"%s\" of meta %u", i,
                           ps_strings_text(plan->strings, key), earlier);
        }
        PS_TRY(ps_idmap_put(seen, key, (uint32_t)i, err));
    }
    return PS_OK;
}

static ps_code check_meta(const ps_plan *plan, ps_error *err)
{
    ps_idmap seen;
    ps_idmap_init(&seen);
    const ps_code code = add_meta_keys(plan, &seen, err);
    ps_idmap_fini(&seen);
    return code;
}

ps_code ps_plan_check(const ps_plan *plan, ps_error *err)
{
    PS_TRY(ps_plan_check_columns(plan, err));
    PS_TRY(check_lanes(plan, err));
    PS_TRY(check_tasks(plan, err));
    PS_TRY(check_deps(plan, err));
    PS_TRY(check_transfers(plan, err));
    PS_TRY(check_sorted(plan->access.task, plan->access.head.count, "access", err));
    PS_TRY(ps_plan_check_memory(plan, err));
    PS_TRY(check_steps(plan, err));
    return check_meta(plan, err);
}
