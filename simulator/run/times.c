/* SPDX-License-Identifier: MIT
 *
 * When tasks run: the engine over a plan's tables, and what hosts wait for
 * besides (waits.h).
 */
#include <stdio.h>

#include "base/memory.h"
#include "engine/engine.h"
#include "run/run_parts.h"

#define NONE UINT32_MAX

/* Dependencies with waits among them, sorted by task. */
typedef struct merged {
    uint32_t *task, *before;
    uint8_t *kind;
    int64_t *lag_ns;
    size_t count;
} merged;

static void name_task(const void *context, uint32_t task, char *out, size_t bytes)
{
    const ps_plan *plan = context;
    const uint32_t lane = plan->task.lane[task];
    (void)snprintf(out, bytes, "%s on %s", ps_strings_text(plan->strings, plan->task.name[task]),
                   ps_strings_text(plan->strings, plan->lane.name[lane]));
}

static void release(merged *self)
{
    ps_free(self->task);
    ps_free(self->before);
    ps_free(self->kind);
    ps_free(self->lag_ns);
}

static void put_wait(merged *self, const ps_run_wait *wait)
{
    self->task[self->count] = wait->task;
    self->before[self->count] = wait->before;
    self->kind[self->count] = PS_DEP_START_AFTER_END;
    self->lag_ns[self->count] = 0;
    self->count++;
}

static ps_code merge(const ps_plan *plan, const ps_run_waits *waits, merged *out, ps_error *err)
{
    const ps_plan_dep_table *dep = &plan->dep;
    const size_t count = dep->head.count + waits->count;
    size_t at = 0;
    out->task = ps_realloc(NULL, count, sizeof *out->task);
    out->before = ps_realloc(NULL, count, sizeof *out->before);
    out->kind = ps_realloc(NULL, count, sizeof *out->kind);
    out->lag_ns = ps_realloc(NULL, count, sizeof *out->lag_ns);
    if (out->task == NULL || out->before == NULL || out->kind == NULL || out->lag_ns == NULL) {
        return ps_fail_nomem(err);
    }
    for (size_t i = 0; i < dep->head.count; i++) {
        for (; at < waits->count && waits->row[at].task < dep->task[i]; at++) {
            put_wait(out, &waits->row[at]);
        }
        out->task[out->count] = dep->task[i];
        out->before[out->count] = dep->before[i];
        out->kind[out->count] = dep->kind[i];
        out->lag_ns[out->count] = dep->lag_ns[i];
        out->count++;
    }
    for (; at < waits->count; at++) {
        put_wait(out, &waits->row[at]);
    }
    return PS_OK;
}

static ps_code run_engine(const ps_plan *plan, const int64_t *dur_ns, const merged *deps,
                          ps_run_times *times, ps_error *err)
{
    const bool is_merged = deps->task != NULL;
    const ps_engine_input input = {
        .lane_count = plan->lane.head.count,
        .task_count = plan->task.head.count,
        .lane = plan->task.lane,
        .gap_ns = plan->task.gap_ns,
        .dur_ns = dur_ns == NULL ? plan->task.dur_ns : dur_ns,
        .bytes = plan->task.bytes,
        .rate_bytes_per_s = plan->task.rate_bytes_per_s,
        .dep_count = is_merged ? deps->count : plan->dep.head.count,
        .dep_task = is_merged ? deps->task : plan->dep.task,
        .dep_before = is_merged ? deps->before : plan->dep.before,
        .dep_kind = is_merged ? deps->kind : plan->dep.kind,
        .dep_lag_ns = is_merged ? deps->lag_ns : plan->dep.lag_ns,
        .link_count = plan->link.head.count,
        .link_bytes_per_s = plan->link.bytes_per_s,
        .transfer_count = plan->transfer.head.count,
        .transfer_task = plan->transfer.task,
        .transfer_link = plan->transfer.link,
    };
    return ps_engine_run(&input, name_task, plan, times->start_ns, times->end_ns, err);
}

/* ---- when a host came to what then waited ---- */

static ps_ns latest(ps_ns a, ps_ns b)
{
    return a > b ? a : b;
}

/* Dependencies of the plan alone; `row` is the first of the task's. */
static ps_ns edges_of(const ps_plan *plan, const ps_run_times *times, uint32_t task, size_t *row)
{
    const ps_plan_dep_table *dep = &plan->dep;
    ps_ns out = 0;
    for (; *row < dep->head.count && dep->task[*row] < task; ++*row) {
    }
    for (; *row < dep->head.count && dep->task[*row] == task; ++*row) {
        const uint32_t before = dep->before[*row];
        if (dep->kind[*row] == PS_DEP_START_AFTER_END) {
            out = latest(out, ps_time_add(times->end_ns[before], dep->lag_ns[*row]));
        } else if (dep->kind[*row] == PS_DEP_START_AFTER_START) {
            out = latest(out, ps_time_add(times->start_ns[before], dep->lag_ns[*row]));
        }
    }
    return out;
}

static ps_code find_asked(const ps_plan *plan, ps_run_times *times, ps_error *err)
{
    const ps_run_waits *waits = &times->waits;
    uint32_t *last = ps_calloc(plan->lane.head.count, sizeof *last);
    size_t at = 0, row = 0;
    ps_free(times->asked_ns);
    times->asked_ns = ps_calloc(waits->count, sizeof *times->asked_ns);
    if (last == NULL || times->asked_ns == NULL) {
        ps_free(last);
        return ps_fail_nomem(err);
    }
    for (size_t i = 0; i < plan->lane.head.count; i++) {
        last[i] = NONE;
    }
    for (uint32_t task = 0; task < plan->task.head.count && at < waits->count; task++) {
        uint32_t *before = &last[plan->task.lane[task]];
        if (waits->row[at].task == task) {
            const ps_ns gap_ns = plan->task.gap_ns[task];
            const ps_ns free_ns =
                *before == NONE ? gap_ns : ps_time_add(times->end_ns[*before], gap_ns);
            const ps_ns asked_ns = latest(free_ns, edges_of(plan, times, task, &row));
            for (; at < waits->count && waits->row[at].task == task; at++) {
                times->asked_ns[at] = asked_ns;
            }
        }
        *before = task;
    }
    ps_free(last);
    return PS_OK;
}

ps_ns ps__run_asked(const ps_run_times *times, uint32_t task)
{
    const size_t at = ps__run_waits_of(&times->waits, task);
    return at < times->waits.count && times->waits.row[at].task == task ? times->asked_ns[at]
                                                                        : times->start_ns[task];
}

/* ---- all ---- */

ps_code ps__run_times(const ps_plan *plan, const int64_t *dur_ns, ps_run_times *times,
                      ps_error *err)
{
    const size_t count = plan->task.head.count;
    merged deps = {0};
    times->makespan_ns = 0;
    if (times->start_ns == NULL) {
        times->start_ns = ps_calloc(count, sizeof *times->start_ns);
        times->end_ns = ps_calloc(count, sizeof *times->end_ns);
    }
    if (times->start_ns == NULL || times->end_ns == NULL) {
        return ps_fail_nomem(err);
    }
    ps_code code = times->waits.count > 0 ? merge(plan, &times->waits, &deps, err) : PS_OK;
    if (code == PS_OK) {
        code = run_engine(plan, dur_ns, &deps, times, err);
    }
    release(&deps);
    PS_TRY(code);
    for (size_t i = 0; i < count; i++) {
        times->makespan_ns = latest(times->makespan_ns, times->end_ns[i]);
    }
    return times->waits.count > 0 ? find_asked(plan, times, err) : PS_OK;
}

void ps__run_times_fini(ps_run_times *times)
{
    ps_free(times->start_ns);
    ps_free(times->end_ns);
    ps_free(times->asked_ns);
    ps__run_waits_fini(&times->waits);
    *times = (ps_run_times){0};
}

ps_ns ps__run_moment(const ps_run_times *times, uint32_t task, ps_ns offset_ns)
{
    const ps_ns at = ps_time_add(times->start_ns[task], offset_ns);
    /* a moment inside a task stays inside it, also where a what-if made the task shorter */
    return offset_ns >= 0 && at > times->end_ns[task] ? times->end_ns[task] : at;
}

ps_ns ps__run_step_time(const ps_plan *plan, const ps_run_times *times, size_t i)
{
    const ps_plan_step_table *step = &plan->step;
    const ps_ns begin = step->begin_task[i] == PS_PLAN_WHOLE
                            ? 0
                            : ps__run_moment(times, step->begin_task[i], step->begin_offset_ns[i]);
    const ps_ns end = step->end_task[i] == PS_PLAN_WHOLE
                          ? times->makespan_ns
                          : ps__run_moment(times, step->end_task[i], step->end_offset_ns[i]);
    return end - begin;
}
