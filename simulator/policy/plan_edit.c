/* SPDX-License-Identifier: MIT
 *
 * Taking tasks out of a plan.
 *
 * Every edge of a task that goes has a frontier: per lane, the last moment of a
 * task that stays and comes before it. Frontiers are found in an order in
 * which what comes before comes first (plan_order.h).
 */
#include "policy/plan_edit.h"

#include <string.h>

#include "base/memory.h"
#include "plan/plan_order.h"

#define NO_MOMENT UINT32_MAX

/* Moments of a frontier, one a lane. */
typedef struct frontier {
    size_t first, count;
} frontier;

typedef struct removal {
    ps_plan *plan;
    const bool *drop;
    ps_plan_order order;
    frontier *of;         /* per moment of a task that goes */
    ps_plan_moment *held; /* moments of all frontiers */
    size_t held_count, held_capacity;
    ps_plan_moment *latest; /* per lane, of the frontier in the making, or NO_MOMENT */
    uint32_t *touched;      /* lanes that have one */
    size_t touched_count;
} removal;

/* ---- moments ---- */

static bool waits_at_end(uint8_t kind)
{
    return kind == PS_DEP_END_AFTER_END || kind == PS_DEP_END_AFTER_START;
}

static ps_plan_moment awaited(const ps_plan_dep_table *dep, size_t row)
{
    const uint8_t kind = dep->kind[row];
    return kind == PS_DEP_START_AFTER_END || kind == PS_DEP_END_AFTER_END
               ? ps_end_of(dep->before[row])
               : ps_start_of(dep->before[row]);
}

static ps_dep_kind kind_of(bool at_end, ps_plan_moment before)
{
    const bool after_end = before % 2 == 1;
    return at_end ? (after_end ? PS_DEP_END_AFTER_END : PS_DEP_END_AFTER_START)
                  : (after_end ? PS_DEP_START_AFTER_END : PS_DEP_START_AFTER_START);
}

static uint32_t lane_of(const removal *self, ps_plan_moment moment)
{
    return self->plan->task.lane[moment / 2];
}

/* The task before it on its lane, or PS_ORDER_NONE. */
static uint32_t previous(const removal *self, uint32_t task)
{
    const uint32_t at = self->order.position[task];
    return at == 0 ? PS_ORDER_NONE
                   : self->order
                         .lane_task[self->order.lane_begin[self->plan->task.lane[task]] + at - 1];
}

/* ---- frontiers ---- */

/* Rows of a lane ascend in its order, and a task's start comes before its end. */
static void add_moment(removal *self, ps_plan_moment moment)
{
    const uint32_t lane = lane_of(self, moment);
    if (self->latest[lane] == NO_MOMENT) {
        self->touched[self->touched_count++] = lane;
        self->latest[lane] = moment;
    } else if (moment > self->latest[lane]) {
        self->latest[lane] = moment;
    }
}

/* A moment that comes before, or, where its task goes, all that comes before that. */
static void add_before(removal *self, ps_plan_moment moment)
{
    if (!self->drop[moment / 2]) {
        add_moment(self, moment);
        return;
    }
    const frontier *from = &self->of[moment];
    for (size_t i = from->first; i < from->first + from->count; i++) {
        add_moment(self, self->held[i]);
    }
}

static void add_deps(removal *self, uint32_t task, bool at_end)
{
    const ps_plan_dep_table *dep = &self->plan->dep;
    for (size_t i = self->order.first_dep[task]; i < self->order.first_dep[task + 1]; i++) {
        if (waits_at_end(dep->kind[i]) == at_end) {
            add_before(self, awaited(dep, i));
        }
    }
}

static void forget_latest(removal *self)
{
    for (size_t i = 0; i < self->touched_count; i++) {
        self->latest[self->touched[i]] = NO_MOMENT;
    }
    self->touched_count = 0;
}

static ps_code hold_frontier(removal *self, ps_plan_moment moment, ps_error *err)
{
    const uint32_t task = moment / 2;
    if (moment % 2 == 1) {
        add_before(self, ps_start_of(task));
    } else if (previous(self, task) != PS_ORDER_NONE) {
        add_before(self, ps_end_of(previous(self, task)));
    }
    add_deps(self, task, moment % 2 == 1);
    PS_TRY(ps_grow((void **)&self->held, &self->held_capacity,
                   self->held_count + self->touched_count, PS_TABLE_MAX_ROWS, sizeof *self->held,
                   err));
    self->of[moment] = (frontier){self->held_count, self->touched_count};
    for (size_t i = 0; i < self->touched_count; i++) {
        self->held[self->held_count++] = self->latest[self->touched[i]];
    }
    forget_latest(self);
    return PS_OK;
}

static ps_code find_frontiers(removal *self, ps_error *err)
{
    const size_t moments = self->plan->task.head.count * 2;
    for (size_t i = 0; i < moments; i++) {
        if (self->drop[self->order.sequence[i] / 2]) {
            PS_TRY(hold_frontier(self, self->order.sequence[i], err));
        }
    }
    return PS_OK;
}

/* ---- dependencies of what stays ---- */

static ps_code add_dep(removal *self, uint32_t task, bool at_end, ps_plan_moment before,
                       ps_ns lag_ns, ps_error *err)
{
    ps_plan_dep_table *dep = &self->plan->dep;
    size_t row;
    PS_TRY(ps_plan_add(self->plan, PS_PLAN_DEP, &row, err));
    dep->task[row] = task;
    dep->before[row] = before / 2;
    dep->kind[row] = (uint8_t)kind_of(at_end, before);
    dep->lag_ns[row] = lag_ns;
    dep->origin[row] = PS_DEP_RULE;
    return PS_OK;
}

/* A row that awaits what goes becomes rows that await its frontier. */
static ps_code inherit_row(removal *self, size_t row, ps_error *err)
{
    const uint32_t task = self->plan->dep.task[row];
    const bool at_end = waits_at_end(self->plan->dep.kind[row]);
    const ps_ns lag_ns = self->plan->dep.lag_ns[row];
    const frontier *from = &self->of[awaited(&self->plan->dep, row)];
    for (size_t i = from->first; i < from->first + from->count; i++) {
        if (lane_of(self, self->held[i]) != self->plan->task.lane[task]) {
            PS_TRY(add_dep(self, task, at_end, self->held[i], lag_ns, err));
        }
    }
    return PS_OK;
}

/* What comes next on the lane awaits what the task before it did, unless it does so anyway. */
static ps_code inherit_lane(removal *self, uint32_t task, uint32_t gone, ps_error *err)
{
    ps_code code = PS_OK;
    add_deps(self, task, false);
    const frontier *from = &self->of[ps_end_of(gone)];
    for (size_t i = from->first; i < from->first + from->count && code == PS_OK; i++) {
        const uint32_t lane = lane_of(self, self->held[i]);
        const bool is_covered =
            self->latest[lane] != NO_MOMENT && self->latest[lane] >= self->held[i];
        if (lane != self->plan->task.lane[task] && !is_covered) {
            code = add_dep(self, task, false, self->held[i], 0, err);
        }
    }
    forget_latest(self);
    return code;
}

static ps_code inherit(removal *self, ps_error *err)
{
    const size_t tasks = self->plan->task.head.count;
    for (uint32_t task = 0; task < tasks; task++) {
        const uint32_t before = previous(self, task);
        if (!self->drop[task] && before != PS_ORDER_NONE && self->drop[before]) {
            PS_TRY(inherit_lane(self, task, before, err));
        }
    }
    for (size_t i = 0; i < self->order.first_dep[tasks]; i++) {
        if (!self->drop[self->plan->dep.task[i]] && self->drop[self->plan->dep.before[i]]) {
            PS_TRY(inherit_row(self, i, err));
        }
    }
    return PS_OK;
}

/* ---- requests and steps ---- */

/* The nearest task of the lane that stays; before it where there is one. */
static uint32_t stand_in(const removal *self, uint32_t task, bool *is_before)
{
    const uint32_t lane = self->plan->task.lane[task];
    const uint32_t *row = &self->order.lane_task[self->order.lane_begin[lane]];
    const size_t count = self->order.lane_begin[lane + 1] - self->order.lane_begin[lane];
    *is_before = true;
    for (size_t i = self->order.position[task]; i-- > 0;) {
        if (!self->drop[row[i]]) {
            return row[i];
        }
    }
    *is_before = false;
    for (size_t i = self->order.position[task]; i < count; i++) {
        if (!self->drop[row[i]]) {
            return row[i];
        }
    }
    return PS_ORDER_NONE;
}

static ps_code move_requests(removal *self, ps_error *err)
{
    ps_plan_memop_table *memop = &self->plan->memop;
    bool is_before = false;
    for (size_t i = 0; i < memop->head.count; i++) {
        if (!self->drop[memop->task[i]]) {
            continue;
        }
        const uint32_t other = stand_in(self, memop->task[i], &is_before);
        if (other == PS_ORDER_NONE) {
            return ps_fail(err, PS_USAGE, "nothing is left of the thread that makes request %zu",
                           i);
        }
        memop->task[i] = other;
        memop->offset_ns[i] = is_before ? PS_TIME_NEVER : -self->plan->task.gap_ns[other];
    }
    return PS_OK;
}

static void move_bound(removal *self, uint32_t *task, int64_t *offset_ns)
{
    bool is_before = false;
    if (*task == PS_PLAN_WHOLE || !self->drop[*task]) {
        return;
    }
    const uint32_t other = stand_in(self, *task, &is_before);
    *task = other == PS_ORDER_NONE ? PS_PLAN_WHOLE : other;
    *offset_ns = other == PS_ORDER_NONE || !is_before ? 0 : PS_TIME_NEVER;
}

static void move_steps(removal *self)
{
    ps_plan_step_table *step = &self->plan->step;
    for (size_t i = 0; i < step->head.count; i++) {
        move_bound(self, &step->begin_task[i], &step->begin_offset_ns[i]);
        move_bound(self, &step->end_task[i], &step->end_offset_ns[i]);
    }
}

/* ---- rows that go ---- */

/* Rows of a table go with the tasks that they name. */
static ps_code drop_rows_of(removal *self, ps_plan_table_id id, const uint32_t *task,
                            const uint32_t *other, ps_error *err)
{
    const size_t count = ps_plan_table(self->plan, id)->count;
    bool *keep = ps_calloc(count, sizeof *keep);
    if (keep == NULL) {
        return ps_fail_nomem(err);
    }
    for (size_t i = 0; i < count; i++) {
        keep[i] = !self->drop[task[i]] && (other == NULL || !self->drop[other[i]]);
    }
    ps__plan_keep_rows(self->plan, id, keep);
    ps_free(keep);
    return PS_OK;
}

static ps_code drop_rows(removal *self, uint32_t *new_row, bool *keep, ps_error *err)
{
    ps_plan *plan = self->plan;
    uint32_t next = 0;
    for (size_t i = 0; i < plan->task.head.count; i++) {
        keep[i] = !self->drop[i];
        new_row[i] = keep[i] ? next++ : PS_EDIT_GONE;
    }
    PS_TRY(drop_rows_of(self, PS_PLAN_DEP, plan->dep.task, plan->dep.before, err));
    PS_TRY(drop_rows_of(self, PS_PLAN_TRANSFER, plan->transfer.task, NULL, err));
    PS_TRY(drop_rows_of(self, PS_PLAN_ACCESS, plan->access.task, NULL, err));
    PS_TRY(drop_rows_of(self, PS_PLAN_HOLD, plan->hold.task, NULL, err));
    ps__plan_keep_rows(plan, PS_PLAN_TASK, keep);
    ps__plan_rename_tasks(plan, new_row);
    return ps_plan_sort_by_task(plan, PS_PLAN_DEP, err);
}

/* ---- all ---- */

static ps_code drop_tasks(removal *self, uint32_t *new_row, bool *keep, ps_error *err)
{
    const size_t tasks = self->plan->task.head.count, lanes = self->plan->lane.head.count;
    self->of = ps_calloc(tasks * 2, sizeof *self->of);
    self->latest = ps_calloc(lanes, sizeof *self->latest);
    self->touched = ps_calloc(lanes, sizeof *self->touched);
    if (self->of == NULL || self->latest == NULL || self->touched == NULL || new_row == NULL ||
        keep == NULL) {
        return ps_fail_nomem(err);
    }
    memset(self->latest, 0xff, lanes * sizeof *self->latest);
    PS_TRY(find_frontiers(self, err));
    PS_TRY(inherit(self, err));
    PS_TRY(move_requests(self, err));
    move_steps(self);
    return drop_rows(self, new_row, keep, err);
}

ps_code ps__plan_drop_tasks(ps_plan *plan, const bool *drop, uint32_t *new_row, ps_error *err)
{
    const size_t tasks = plan->task.head.count;
    removal self = {.plan = plan, .drop = drop};
    PS_TRY(ps_plan_order_make(plan, &self.order, err));
    uint32_t *row = ps_calloc(tasks, sizeof *row);
    bool *keep = ps_calloc(tasks, sizeof *keep);
    const ps_code code = drop_tasks(&self, row, keep, err);
    if (code == PS_OK && new_row != NULL) {
        memcpy(new_row, row, tasks * sizeof *row);
    }
    ps_plan_order_fini(&self.order);
    ps_free(self.of);
    ps_free(self.held);
    ps_free(self.latest);
    ps_free(self.touched);
    ps_free(row);
    ps_free(keep);
    return code;
}
