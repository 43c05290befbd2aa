/* SPDX-License-Identifier: MIT
 *
 * Tasks of a rank, and what they start after.
 *
 *   host          launch ──────── launch ── ...
 *                    │ lag
 *   lane             └► launched
 *   other lane    task ─┘ joined
 */
#include "job/rank_parts.h"

typedef ps_rank_lowering lowering;

ps_code ps__rank_text(lowering *self, ps_str id, ps_str *out, ps_error *err)
{
    ps_str none = 0;
    ps_str *known = id < ps_strings_count(self->from->strings) ? &self->text[id] : &none;
    if (*known == 0) {
        PS_TRY(ps_strings_put_z(self->plan->strings, ps_strings_text(self->from->strings, id), out,
                                err));
        *known = *out + 1;
    }
    *out = *known - 1;
    return PS_OK;
}

ps_code ps__rank_task(lowering *self, uint32_t lane, ps_task_kind kind, uint32_t *row,
                      ps_error *err)
{
    ps_plan_task_table *task = &self->plan->task;
    size_t added;
    if (task->head.count >= PS_RANK_MAX_TASKS) {
        return ps_fail(err, PS_LIMIT, "a job of more than %zu operations", PS_RANK_MAX_TASKS);
    }
    PS_TRY(ps_plan_add(self->plan, PS_PLAN_TASK, &added, err));
    task->lane[added] = lane;
    task->kind[added] = (uint8_t)kind;
    task->basis[added] = (uint8_t)PS_BASIS_ANALYTIC;
    task->phase[added] = self->phase;
    *row = (uint32_t)added;
    return PS_OK;
}

ps_code ps__rank_dep(lowering *self, uint32_t task, uint32_t before, ps_dep_kind kind, ps_ns lag_ns,
                     ps_error *err)
{
    size_t row;
    PS_TRY(ps_plan_add(self->plan, PS_PLAN_DEP, &row, err));
    self->plan->dep.task[row] = task;
    self->plan->dep.before[row] = before;
    self->plan->dep.kind[row] = (uint8_t)kind;
    self->plan->dep.lag_ns[row] = lag_ns;
    self->plan->dep.origin[row] = (uint8_t)PS_DEP_RULE;
    return PS_OK;
}

ps_code ps__rank_launch(lowering *self, size_t op, size_t event, ps_ns dur_ns, uint32_t *host,
                        ps_error *err)
{
    ps_plan_task_table *task = &self->plan->task;
    PS_TRY(ps__rank_task(self, self->host_lane, PS_TASK_HOST, host, err));
    PS_TRY(ps__rank_text(self, self->from->op.name[op], &task->name[*host], err));
    task->dur_ns[*host] = dur_ns;
    return ps__rank_requests(self, event, *host, err);
}

/* Waited for once: what comes next in the lane is behind this task. */
static ps_code start_after_joined(lowering *self, uint8_t lane, uint32_t task, ps_error *err)
{
    for (size_t awaited = 0; awaited < PS_WORKLOAD_LANE_COUNT; awaited++) {
        uint32_t *before = &self->joined[lane][awaited];
        if (*before != PS_JOB_NONE) {
            PS_TRY(ps__rank_dep(self, task, *before, PS_DEP_START_AFTER_END, 0, err));
            *before = PS_JOB_NONE;
            if ((PS_RANK_WORKERS & PS_RANK_LANE(awaited)) != 0) {
                self->behind_workers |= PS_RANK_LANE(lane);
            }
        }
    }
    return PS_OK;
}

ps_code ps__rank_launched(lowering *self, size_t op, ps_task_kind kind, uint32_t host, ps_ns lag_ns,
                          uint32_t *row, ps_error *err)
{
    const uint8_t lane = self->from->op.lane[op];
    PS_TRY(ps__rank_task(self, self->lane[lane], kind, row, err));
    self->plan->task.name[*row] = self->plan->task.name[host];
    PS_TRY(start_after_joined(self, lane, *row, err));
    self->last_task[lane] = *row;
    return ps__rank_dep(self, *row, host, PS_DEP_START_AFTER_START, lag_ns, err);
}
