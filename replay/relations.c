/* SPDX-License-Identifier: MIT
 *
 * Relations between moments, see relations.h.
 */
#include "replay/relations.h"

#include "base/memory.h"

#define NO_TASK UINT32_MAX

typedef struct walk {
    const ps_plan *plan;
    const ps_replay_log *log;
    ps_replay_relation_fn visit;
    void *context;
    uint32_t *previous;   /* per task: the one before it on its lane, or NO_TASK */
    uint8_t *has_started; /* per task: a request in its course, not in the gap, was seen */
    uint32_t *last_memop; /* per device: row + 1 of its latest memop, 0 none */
} walk;

static ps_ns scaled(const walk *self, ps_ns t)
{
    return ps_replay_scale_ns(t, self->log->time_scale);
}

static void find_previous(walk *self, uint32_t *last_on_lane)
{
    const ps_plan *plan = self->plan;
    for (size_t lane = 0; lane < plan->lane.head.count; lane++) {
        last_on_lane[lane] = NO_TASK;
    }
    for (size_t t = 0; t < plan->task.head.count; t++) {
        self->previous[t] = last_on_lane[plan->task.lane[t]];
        last_on_lane[plan->task.lane[t]] = (uint32_t)t;
    }
}

static void visit_tasks(const walk *self)
{
    const ps_replay_log *log = self->log;
    for (size_t t = 0; t < self->plan->task.head.count; t++) {
        const uint32_t previous = self->previous[t];
        const ps_ns gap = scaled(self, self->plan->task.gap_ns[t]);
        self->visit(
            self->context,
            &(ps_replay_relation){
                .rule = PS_REPLAY_RULE_LANE,
                .row = t,
                .task = (uint32_t)t,
                .bounds_start = true,
                .happened_ns = log->start_ns[t],
                .allowed_ns = previous == NO_TASK ? gap : ps_time_add(log->end_ns[previous], gap),
                .happened_order = log->start_order[t],
                .after_order = previous == NO_TASK ? 0 : log->end_order[previous],
            });
        self->visit(self->context,
                    &(ps_replay_relation){
                        .rule = PS_REPLAY_RULE_LENGTH,
                        .row = t,
                        .task = (uint32_t)t,
                        .happened_ns = log->end_ns[t],
                        .allowed_ns =
                            ps_time_add(log->start_ns[t], scaled(self, self->plan->task.dur_ns[t])),
                        .happened_order = log->end_order[t],
                        .after_order = log->start_order[t],
                    });
    }
}

static void visit_deps(const walk *self)
{
    const ps_plan_dep_table *dep = &self->plan->dep;
    const ps_replay_log *log = self->log;
    for (size_t d = 0; d < dep->head.count; d++) {
        const uint32_t task = dep->task[d], before = dep->before[d];
        const ps_dep_kind kind = (ps_dep_kind)dep->kind[d];
        const bool at_start = kind == PS_DEP_START_AFTER_END || kind == PS_DEP_START_AFTER_START;
        const bool after_end = kind == PS_DEP_START_AFTER_END || kind == PS_DEP_END_AFTER_END;
        self->visit(
            self->context,
            &(ps_replay_relation){
                .rule = PS_REPLAY_RULE_DEP,
                .row = d,
                .task = task,
                .bounds_start = at_start,
                .happened_ns = at_start ? log->start_ns[task] : log->end_ns[task],
                .allowed_ns = ps_time_add(after_end ? log->end_ns[before] : log->start_ns[before],
                                          scaled(self, dep->lag_ns[d])),
                .happened_order = at_start ? log->start_order[task] : log->end_order[task],
                .after_order = after_end ? log->end_order[before] : log->start_order[before],
            });
    }
}

/* A memop in the gap lies between the lane's previous end and the start. */
static void visit_gap_memop(const walk *self, size_t m, uint32_t task)
{
    const ps_replay_log *log = self->log;
    const uint32_t previous = self->previous[task];
    self->visit(self->context,
                &(ps_replay_relation){
                    .rule = PS_REPLAY_RULE_COURSE,
                    .row = m,
                    .task = task,
                    .happened_ns = log->memop_ns[m],
                    .allowed_ns = previous == NO_TASK ? 0 : log->end_ns[previous],
                    .happened_order = log->memop_order[m],
                    .after_order = previous == NO_TASK ? 0 : log->end_order[previous],
                });
    if (self->has_started[task] == 0) { /* else program order has moved it past the start */
        self->visit(self->context, &(ps_replay_relation){
                                       .rule = PS_REPLAY_RULE_COURSE,
                                       .row = m,
                                       .task = task,
                                       .happened_ns = log->start_ns[task],
                                       .allowed_ns = log->memop_ns[m],
                                       .happened_order = log->start_order[task],
                                       .after_order = log->memop_order[m],
                                   });
    }
}

/* One in the task's course keeps its offset, unless the task was over before. */
static void visit_course_memop(const walk *self, size_t m, uint32_t task)
{
    const ps_replay_log *log = self->log;
    const ps_ns offset = self->plan->memop.offset_ns[m], dur = self->plan->task.dur_ns[task];
    self->has_started[task] = 1;
    self->visit(self->context,
                &(ps_replay_relation){
                    .rule = PS_REPLAY_RULE_COURSE,
                    .row = m,
                    .task = task,
                    .happened_ns = log->memop_ns[m],
                    .allowed_ns =
                        ps_time_add(log->start_ns[task], scaled(self, offset < dur ? offset : dur)),
                    .happened_order = log->memop_order[m],
                    .after_order = log->start_order[task],
                });
}

static void visit_memops(const walk *self)
{
    const ps_plan_memop_table *memop = &self->plan->memop;
    const ps_replay_log *log = self->log;
    for (size_t m = 0; m < memop->head.count; m++) {
        const uint32_t task = memop->task[m];
        uint32_t *last = &self->last_memop[memop->device[m]];
        if (*last != 0) {
            self->visit(self->context, &(ps_replay_relation){
                                           .rule = PS_REPLAY_RULE_PROGRAM,
                                           .row = m,
                                           .task = task,
                                           .happened_ns = log->memop_ns[m],
                                           .allowed_ns = log->memop_ns[*last - 1],
                                           .happened_order = log->memop_order[m],
                                           .after_order = log->memop_order[*last - 1],
                                       });
        }
        *last = (uint32_t)m + 1;
        if (memop->offset_ns[m] < 0) {
            visit_gap_memop(self, m, task);
        } else {
            visit_course_memop(self, m, task);
        }
        self->visit(self->context, &(ps_replay_relation){
                                       .rule = PS_REPLAY_RULE_COURSE,
                                       .row = m,
                                       .task = task,
                                       .happened_ns = log->end_ns[task],
                                       .allowed_ns = log->memop_ns[m],
                                       .happened_order = log->end_order[task],
                                       .after_order = log->memop_order[m],
                                   });
    }
}

ps_code ps_replay_relations(const ps_plan *plan, const ps_replay_log *log,
                            ps_replay_relation_fn visit, void *context, ps_error *err)
{
    walk self = {.plan = plan, .log = log, .visit = visit, .context = context};
    uint32_t *last_on_lane = ps_calloc(plan->lane.head.count, sizeof *last_on_lane);
    self.previous = ps_calloc(plan->task.head.count, sizeof *self.previous);
    self.has_started = ps_calloc(plan->task.head.count, sizeof *self.has_started);
    self.last_memop = ps_calloc(plan->device.head.count, sizeof *self.last_memop);
    ps_code code = PS_OK;
    if (last_on_lane == NULL || self.previous == NULL || self.has_started == NULL ||
        self.last_memop == NULL) {
        code = ps_fail_nomem(err);
    } else {
        find_previous(&self, last_on_lane);
        visit_tasks(&self);
        visit_deps(&self);
        visit_memops(&self);
    }
    ps_free(last_on_lane);
    ps_free(self.previous);
    ps_free(self.has_started);
    ps_free(self.last_memop);
    return code;
}
