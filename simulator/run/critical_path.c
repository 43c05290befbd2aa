/* SPDX-License-Identifier: MIT
 *
 * What the length of a step is made of. Every edge of a task was decided by an
 * earlier one: its work ends so long after its start, it starts when the last
 * of what it waits for has come. The chain of these from the end of the step to
 * its begin is the critical path; nothing beside it could have made the step
 * shorter.
 */
#include "base/memory.h"
#include "run/steady.h"

#define NONE UINT32_MAX

typedef struct walk {
    const ps_plan *plan;
    const ps_run_times *times;
    const ps_window *window;
    uint32_t *previous;  /* per task: the one before it on its lane, or NONE */
    bool *has_transfers; /* per task */
    ps_ns *path_ns;
    ps_ns at; /* everything later has been told */
    uint32_t task;
    bool is_end; /* the edge of it that `at` is */
} walk;

/* ---- what is charged ---- */

static ps_resource resource_of(const ps_plan *plan, uint32_t task)
{
    switch ((ps_task_kind)plan->task.kind[task]) {
    case PS_TASK_KERNEL:
    case PS_TASK_MEMSET:
        return PS_RESOURCE_COMPUTE;
    case PS_TASK_MEMCPY:
        return plan->task.copy_kind[task] == PS_COPY_HTOD   ? PS_RESOURCE_UPLOAD
               : plan->task.copy_kind[task] == PS_COPY_DTOH ? PS_RESOURCE_OFFLOAD
                                                            : PS_RESOURCE_COMPUTE;
    case PS_TASK_COLLECTIVE:
    case PS_TASK_EXCHANGE:
        return PS_RESOURCE_COLLECTIVE;
    case PS_TASK_CPU:
        return ps_plan_task_is_of_threads(plan, task) ? PS_RESOURCE_CPU : PS_RESOURCE_STORAGE;
    case PS_TASK_HOST:
    case PS_TASK_WAIT:
    case PS_TASK_KIND_COUNT:
        break;
    }
    return PS_RESOURCE_LAUNCH;
}

/* From `since` until now it was that. */
static void charge(walk *self, ps_resource what, ps_ns since)
{
    const ps_ns from = since > self->window->begin_ns ? since : self->window->begin_ns;
    if (from < self->at) {
        self->path_ns[what] += self->at - from;
        self->at = from;
    }
}

static void go(walk *self, uint32_t task, bool is_end, ps_ns lag_ns)
{
    if (lag_ns > 0) { /* until a launch reaches the device, or between calls */
        charge(self, PS_RESOURCE_LAUNCH,
               is_end ? self->times->end_ns[task] : self->times->start_ns[task]);
    }
    self->task = task;
    self->is_end = is_end;
}

/* ---- edges ---- */

/* First row of a task's dependencies, which are sorted by task. */
static size_t first_dep(const ps_plan *plan, uint32_t task)
{
    size_t from = 0, to = plan->dep.head.count;
    while (from < to) {
        const size_t middle = from + (to - from) / 2;
        if (plan->dep.task[middle] < task) {
            from = middle + 1;
        } else {
            to = middle;
        }
    }
    return from;
}

/* Goes to the dependency that decided an edge at `when`; false: none did. */
static bool follow_dep(walk *self, bool of_end, ps_ns when)
{
    const ps_plan_dep_table *dep = &self->plan->dep;
    const uint32_t task = self->task;
    for (size_t i = first_dep(self->plan, task); i < dep->head.count && dep->task[i] == task; i++) {
        const bool is_for_end =
            dep->kind[i] == PS_DEP_END_AFTER_END || dep->kind[i] == PS_DEP_END_AFTER_START;
        const bool awaits_end =
            dep->kind[i] == PS_DEP_START_AFTER_END || dep->kind[i] == PS_DEP_END_AFTER_END;
        const uint32_t before = dep->before[i];
        const ps_ns edge = awaits_end ? self->times->end_ns[before] : self->times->start_ns[before];
        if (is_for_end == of_end && ps_time_add(edge, dep->lag_ns[i]) == when) {
            go(self, before, awaits_end, dep->lag_ns[i]);
            return true;
        }
    }
    return false;
}

/* A request for memory that did not fit at first waited for another task. */
static bool follow_wait(walk *self, ps_ns when)
{
    const ps_run_waits *waits = &self->times->waits;
    const uint32_t task = self->task;
    for (size_t i = ps__run_waits_of(waits, task); i < waits->count && waits->row[i].task == task;
         i++) {
        if (self->times->end_ns[waits->row[i].before] == when) {
            go(self, waits->row[i].before, true, 0);
            return true;
        }
    }
    return false;
}

static void leave_end(walk *self)
{
    const uint32_t task = self->task;
    const ps_ns start = self->times->start_ns[task], end = self->times->end_ns[task];
    const bool is_own =
        self->has_transfers[task] || ps_time_add(start, self->plan->task.dur_ns[task]) >= end;
    if (!is_own && follow_dep(self, true, end)) {
        return;
    }
    charge(self, resource_of(self->plan, task), start);
    self->is_end = false;
}

/* False: nothing came before. */
static bool leave_start(walk *self)
{
    const ps_ns start = self->times->start_ns[self->task];
    const uint32_t previous = self->previous[self->task];
    const ps_ns gap = self->plan->task.gap_ns[self->task];
    if (previous != NONE && ps_time_add(self->times->end_ns[previous], gap) == start) {
        go(self, previous, true, gap);
        return true;
    }
    return follow_dep(self, false, start) || follow_wait(self, start);
}

/* ---- the walk ---- */

static ps_code prepare(walk *self, ps_error *err)
{
    const ps_plan *plan = self->plan;
    uint32_t *last = ps_calloc(plan->lane.head.count + 1, sizeof *last);
    self->previous = ps_calloc(plan->task.head.count + 1, sizeof *self->previous);
    self->has_transfers = ps_calloc(plan->task.head.count + 1, sizeof *self->has_transfers);
    if (last == NULL || self->previous == NULL || self->has_transfers == NULL) {
        ps_free(last);
        return ps_fail_nomem(err);
    }
    for (size_t lane = 0; lane < plan->lane.head.count; lane++) {
        last[lane] = NONE;
    }
    for (uint32_t i = 0; i < plan->task.head.count; i++) {
        self->previous[i] = last[plan->task.lane[i]];
        last[plan->task.lane[i]] = i;
    }
    for (size_t i = 0; i < plan->transfer.head.count; i++) {
        const uint32_t task = plan->transfer.task[i];
        self->has_transfers[task] = plan->task.bytes[task] > 0;
    }
    ps_free(last);
    return PS_OK;
}

static void begin(walk *self)
{
    const ps_window *window = self->window;
    const ps_run_times *times = self->times;
    self->at = window->end_ns;
    if (window->end_task != PS_PLAN_WHOLE) {
        self->task = window->end_task;
        self->is_end = times->end_ns[self->task] <= window->end_ns;
        if (!self->is_end) { /* inside the task, or in the gap before it */
            charge(self, resource_of(self->plan, self->task), times->start_ns[self->task]);
        }
        return;
    }
    for (uint32_t i = 0; i < self->plan->task.head.count; i++) {
        self->task = times->end_ns[i] >= times->end_ns[self->task] ? i : self->task;
    }
    self->is_end = true;
}

ps_code ps__critical_path(const ps_plan *plan, const ps_run_times *times, const ps_window *window,
                          ps_ns *path_ns, ps_error *err)
{
    walk self = {.plan = plan, .times = times, .window = window, .path_ns = path_ns};
    const ps_code code = prepare(&self, err);
    if (code == PS_OK && plan->task.head.count > 0) {
        begin(&self);
        for (bool goes_on = true; goes_on && self.at > window->begin_ns;) {
            if (self.is_end) {
                leave_end(&self);
            } else {
                goes_on = leave_start(&self);
            }
        }
        charge(&self, PS_RESOURCE_LAUNCH, window->begin_ns); /* nobody knows what it waited for */
    }
    ps_free(self.previous);
    ps_free(self.has_transfers);
    return code;
}
