/* SPDX-License-Identifier: MIT
 *
 * What a log says about time: steps, the whole length, how late things were.
 */
#include <math.h>
#include <stdlib.h>

#include "base/memory.h"
#include "replay/relations.h"
#include "replay/session.h"

ps_ns ps_replay_scale_ns(ps_ns t, double scale)
{
    if (scale == 1.0) {
        return t;
    }
    const double scaled = (double)t * scale;
    if (scaled >= 9.2e18) {
        return PS_TIME_NEVER;
    }
    return scaled <= -9.2e18 ? -PS_TIME_NEVER : (ps_ns)llround(scaled);
}

/* Makespan is known by then. */
static void measure_steps(ps_replay_session *self)
{
    const ps_plan_step_table *step = &self->plan->step;
    ps_replay_report *report = self->report;
    const ps_ns *start = report->log.start_ns;
    for (size_t i = 0; i < step->head.count; i++) {
        const uint32_t begin = step->begin_task[i], end = step->end_task[i];
        ps_replay_step *out = &report->steps[i];
        out->name = ps_strings_text(self->plan->strings, step->name[i]);
        out->recorded_ns = step->recorded_ns[i];
        if (!report->log.is_timed) {
            continue;
        }
        out->begin_ns =
            begin == PS_PLAN_WHOLE
                ? 0
                : ps_time_add(start[begin], ps_replay_session_ns(self, step->begin_offset_ns[i]));
        out->end_ns =
            end == PS_PLAN_WHOLE
                ? report->makespan_ns
                : ps_time_add(start[end], ps_replay_session_ns(self, step->end_offset_ns[i]));
        out->measured_ns = ps_time_add(out->end_ns, -out->begin_ns);
    }
}

static int compare_ns(const void *left, const void *right)
{
    const ps_ns a = *(const ps_ns *)left, b = *(const ps_ns *)right;
    return (a > b) - (a < b);
}

static ps_replay_lateness summarise(ps_ns *late, size_t count)
{
    ps_replay_lateness out = {.count = count};
    if (count == 0) {
        return out;
    }
    qsort(late, count, sizeof *late, compare_ns);
    double sum = 0;
    for (size_t i = 0; i < count; i++) {
        sum += (double)late[i];
    }
    out.mean_ns = (ps_ns)llround(sum / (double)count);
    out.median_ns = late[count / 2];
    out.p99_ns = late[count - 1 - count / 100];
    out.max_ns = late[count - 1];
    return out;
}

/* Lengths beyond the stated ones, of tasks whose length nothing else decides. */
static ps_replay_lateness overrun_of(const ps_replay_session *self, ps_task_kind kind,
                                     const uint8_t *waits_at_end, ps_ns *scratch)
{
    const ps_replay_log *log = &self->report->log;
    size_t count = 0;
    for (size_t t = 0; t < log->task_count; t++) {
        if (self->plan->task.kind[t] == kind && waits_at_end[t] == 0 && self->uses_links[t] == 0) {
            scratch[count++] = log->end_ns[t] - log->start_ns[t] -
                               ps_replay_session_ns(self, self->plan->task.dur_ns[t]);
        }
    }
    return summarise(scratch, count);
}

/* Collects, per task, the latest moment that held its start back. */
static void raise_allowed(void *context, const ps_replay_relation *relation)
{
    ps_ns *allowed = context;
    if (relation->bounds_start && relation->allowed_ns > allowed[relation->task]) {
        allowed[relation->task] = relation->allowed_ns;
    }
}

static ps_code measure_lateness(ps_replay_session *self, uint8_t *waits_at_end, ps_ns *scratch,
                                ps_error *err)
{
    ps_replay_report *report = self->report;
    const ps_replay_log *log = &report->log;
    const ps_plan_dep_table *dep = &self->plan->dep;
    for (size_t d = 0; d < dep->head.count; d++) {
        if (dep->kind[d] == PS_DEP_END_AFTER_END || dep->kind[d] == PS_DEP_END_AFTER_START) {
            waits_at_end[dep->task[d]] = 1;
        }
    }
    PS_TRY(ps_replay_relations(self->plan, log, raise_allowed, scratch, err));
    for (size_t t = 0; t < log->task_count; t++) {
        scratch[t] = log->start_ns[t] - scratch[t];
    }
    report->start_lateness = summarise(scratch, log->task_count);
    report->kernel_overrun = overrun_of(self, PS_TASK_KERNEL, waits_at_end, scratch);
    report->host_overrun = overrun_of(self, PS_TASK_HOST, waits_at_end, scratch);
    return PS_OK;
}

ps_code ps_replay_measure(ps_replay_session *self, ps_error *err)
{
    const ps_replay_log *log = &self->report->log;
    for (size_t t = 0; t < log->task_count; t++) {
        if (log->end_ns[t] > self->report->makespan_ns) {
            self->report->makespan_ns = log->end_ns[t];
        }
    }
    measure_steps(self);
    if (!log->is_timed) {
        return PS_OK;
    }
    uint8_t *waits_at_end = ps_calloc(log->task_count, sizeof *waits_at_end);
    ps_ns *scratch = ps_calloc(log->task_count, sizeof *scratch);
    const ps_code code = waits_at_end == NULL || scratch == NULL
                             ? ps_fail_nomem(err)
                             : measure_lateness(self, waits_at_end, scratch, err);
    ps_free(waits_at_end);
    ps_free(scratch);
    return code;
}

ps_code ps_replay_log_rows(const ps_plan *plan, const ps_replay_log *log, ps_replay_row_fn call,
                           void *context, ps_error *err)
{
    static const char *const kinds[PS_TASK_KIND_COUNT] = {
        "host", "wait", "kernel", "memcpy", "memset", "collective", "exchange", "cpu"};
    for (size_t t = 0; t < log->task_count; t++) {
        const uint32_t lane = plan->task.lane[t];
        PS_TRY(call(context,
                    &(ps_replay_row){
                        .task = t,
                        .lane = ps_strings_text(plan->strings, plan->lane.name[lane]),
                        .kind = kinds[plan->task.kind[t]],
                        .name = ps_strings_text(plan->strings, plan->task.name[t]),
                        .start_ns = log->start_ns[t],
                        .end_ns = log->end_ns[t],
                        .planned_ns = ps_replay_scale_ns(plan->task.dur_ns[t], log->time_scale),
                        .start_order = log->start_order[t],
                        .end_order = log->end_order[t],
                    },
                    err));
    }
    return PS_OK;
}
