/* SPDX-License-Identifier: MIT
 *
 * The order of a plan's moments: those nobody waits for any more come next,
 * the newest first, which follows a launch to its device at once.
 */
#include "plan/plan_order.h"

#include "base/memory.h"

typedef struct sorting {
    ps_plan_order *order;
    uint32_t *waits; /* per moment: moments it still waits for */
    uint32_t *first; /* per moment, and one more: into next */
    uint32_t *next;  /* per dependency: the moment that waits */
    uint32_t *ready; /* stack */
    size_t ready_count;
} sorting;

static ps_plan_moment waiting_edge(const ps_plan_dep_table *dep, size_t i)
{
    const bool is_end =
        dep->kind[i] == PS_DEP_END_AFTER_END || dep->kind[i] == PS_DEP_END_AFTER_START;
    return is_end ? ps_end_of(dep->task[i]) : ps_start_of(dep->task[i]);
}

static ps_plan_moment awaited_edge(const ps_plan_dep_table *dep, size_t i)
{
    const bool is_end =
        dep->kind[i] == PS_DEP_START_AFTER_END || dep->kind[i] == PS_DEP_END_AFTER_END;
    return is_end ? ps_end_of(dep->before[i]) : ps_start_of(dep->before[i]);
}

/* ---- lanes ---- */

static void list_lanes(ps_plan_order *self)
{
    const ps_plan *plan = self->plan;
    const size_t tasks = plan->task.head.count, lanes = plan->lane.head.count;
    for (size_t i = 0; i < tasks; i++) {
        self->position[i] = self->lane_begin[plan->task.lane[i] + 1]++;
    }
    for (size_t lane = 0; lane < lanes; lane++) {
        self->lane_begin[lane + 1] += self->lane_begin[lane];
    }
    for (size_t i = 0; i < tasks; i++) {
        self->lane_task[self->lane_begin[plan->task.lane[i]] + self->position[i]] = (uint32_t)i;
    }
}

static void list_deps(ps_plan_order *self)
{
    const ps_plan *plan = self->plan;
    size_t at = 0;
    for (size_t i = 0; i <= plan->task.head.count; i++) {
        while (at < plan->dep.head.count && plan->dep.task[at] < i) {
            at++;
        }
        self->first_dep[i] = (uint32_t)at;
    }
}

static ps_code make_lists(ps_plan_order *self, ps_error *err)
{
    const size_t tasks = self->plan->task.head.count, lanes = self->plan->lane.head.count;
    self->sequence = ps_calloc(tasks * 2, sizeof *self->sequence);
    self->position = ps_calloc(tasks, sizeof *self->position);
    self->first_dep = ps_calloc(tasks + 1, sizeof *self->first_dep);
    self->lane_begin = ps_calloc(lanes + 1, sizeof *self->lane_begin);
    self->lane_task = ps_calloc(tasks, sizeof *self->lane_task);
    if (self->sequence == NULL || self->position == NULL || self->first_dep == NULL ||
        self->lane_begin == NULL || self->lane_task == NULL) {
        return ps_fail_nomem(err);
    }
    list_lanes(self);
    list_deps(self);
    return PS_OK;
}

/* ---- sorting ---- */

/* Who waits for each moment through a dependency, moment by moment. */
static void list_waiting(sorting *self)
{
    const ps_plan_dep_table *dep = &self->order->plan->dep;
    const size_t moments = self->order->plan->task.head.count * 2;
    for (size_t i = 0; i < dep->head.count; i++) {
        self->first[awaited_edge(dep, i)]++;
        self->waits[waiting_edge(dep, i)]++;
    }
    for (size_t i = 0; i < moments; i++) {
        self->first[i + 1] += self->first[i];
    }
    for (size_t i = dep->head.count; i-- > 0;) {
        self->next[--self->first[awaited_edge(dep, i)]] = waiting_edge(dep, i);
    }
}

static void release(sorting *self, ps_plan_moment moment)
{
    if (--self->waits[moment] == 0) {
        self->ready[self->ready_count++] = moment;
    }
}

/* What follows a moment of its own accord: the task's end, or the start of its lane's next. */
static ps_plan_moment following(const ps_plan_order *order, ps_plan_moment moment)
{
    const uint32_t task = moment / 2;
    const uint32_t lane = order->plan->task.lane[task];
    const uint32_t at = order->lane_begin[lane] + order->position[task] + 1;
    if (moment % 2 == 0) {
        return ps_end_of(task);
    }
    return at < order->lane_begin[lane + 1] ? ps_start_of(order->lane_task[at]) : PS_ORDER_NONE;
}

static ps_code sort(sorting *self, ps_error *err)
{
    ps_plan_order *order = self->order;
    const size_t tasks = order->plan->task.head.count;
    size_t count = 0;
    for (size_t i = tasks; i-- > 0;) {
        self->waits[ps_end_of((uint32_t)i)]++;
        self->waits[ps_start_of((uint32_t)i)] += order->position[i] > 0 ? 1 : 0;
        if (self->waits[ps_start_of((uint32_t)i)] == 0) {
            self->ready[self->ready_count++] = ps_start_of((uint32_t)i);
        }
    }
    while (self->ready_count > 0) {
        const ps_plan_moment moment = self->ready[--self->ready_count];
        const ps_plan_moment own = following(order, moment);
        order->sequence[count++] = moment;
        if (own != PS_ORDER_NONE) {
            release(self, own);
        }
        for (uint32_t i = self->first[moment]; i < self->first[moment + 1]; i++) {
            release(self, self->next[i]);
        }
    }
    return count == tasks * 2
               ? PS_OK
               : ps_fail(err, PS_CHECK_FAILED, "tasks wait in a circle: %zu of %zu never end",
                         (tasks * 2 - count + 1) / 2, tasks);
}

static ps_code find_sequence(ps_plan_order *order, ps_error *err)
{
    const size_t tasks = order->plan->task.head.count;
    sorting self = {.order = order};
    self.waits = ps_calloc(tasks * 2, sizeof *self.waits);
    self.first = ps_calloc(tasks * 2 + 1, sizeof *self.first);
    self.next = ps_calloc(order->plan->dep.head.count, sizeof *self.next);
    self.ready = ps_calloc(tasks * 2, sizeof *self.ready);
    ps_code code = PS_OK;
    if (self.waits == NULL || self.first == NULL || self.next == NULL || self.ready == NULL) {
        code = ps_fail_nomem(err);
    } else {
        list_waiting(&self);
        code = sort(&self, err);
    }
    ps_free(self.waits);
    ps_free(self.first);
    ps_free(self.next);
    ps_free(self.ready);
    return code;
}

ps_code ps_plan_order_make(const ps_plan *plan, ps_plan_order *out, ps_error *err)
{
    ps_plan_order self = {.plan = plan};
    ps_code code = make_lists(&self, err);
    if (code == PS_OK) {
        code = find_sequence(&self, err);
    }
    if (code != PS_OK) {
        ps_plan_order_fini(&self);
        return code;
    }
    *out = self;
    return PS_OK;
}

void ps_plan_order_fini(ps_plan_order *self)
{
    ps_free(self->sequence);
    ps_free(self->position);
    ps_free(self->first_dep);
    ps_free(self->lane_begin);
    ps_free(self->lane_task);
    *self = (ps_plan_order){0};
}
