/* SPDX-License-Identifier: MIT
 *
 * One rank of a job: its workload's events in the order in which its host comes
 * to them.
 *
 *   step      wait ── operations ... wait ── operations ... wait
 *   request   alloc, free: at the start of the host's next task
 */
#include "base/memory.h"
#include "job/rank_parts.h"

typedef ps_rank_lowering lowering;

/* ---- operations ---- */

static ps_code run_op(lowering *self, size_t i, size_t event, uint32_t *task, ps_error *err)
{
    const uint8_t kind = self->from->op.kind[i];
    if (ps_op_is_of_thread(kind)) {
        return ps__rank_cpu(self, i, event, task, err);
    }
    return kind == PS_OP_COPY ? ps__rank_copy(self, i, event, task, err)
                              : ps__rank_kernel(self, i, event, task, err);
}

static ps_code add_accesses(lowering *self, size_t event, uint32_t task, ps_error *err)
{
    const ps_workload_access_table *access = &self->from->access;
    for (; self->access < access->head.count && access->event[self->access] == event;
         self->access++) {
        size_t row;
        PS_TRY(ps_plan_add(self->plan, PS_PLAN_ACCESS, &row, err));
        self->plan->access.task[row] = task;
        self->plan->access.buffer[row] = self->first_buffer + access->tensor[self->access];
        self->plan->access.is_write[row] = access->is_write[self->access];
    }
    return PS_OK;
}

/* The host, or the op's lane, waits: for what ran last under a mark, or for a lane. */
static ps_code add_wait(lowering *self, size_t i, size_t event, ps_error *err)
{
    const ps_workload_op_table *op = &self->from->op;
    const bool is_of_host = op->kind[i] == PS_OP_HOST;
    const uint32_t task = self->marked[op->mark[i]];
    if (op->mark[i] == 0 && is_of_host) {
        return ps__rank_wait(self, event, PS_RANK_LANE(op->lane[i]), err);
    }
    if (op->mark[i] == 0) {
        ps__rank_join(self, op->lane[i], op->awaited[i]);
        return PS_OK;
    }
    if (task != PS_JOB_NONE && is_of_host) {
        return ps__rank_wait_for_task(self, event, task, err);
    }
    if (task != PS_JOB_NONE) {
        ps__rank_join_task(self, op->lane[i], task);
    }
    return PS_OK;
}

static ps_code add_op(lowering *self, size_t i, size_t event, ps_error *err)
{
    const ps_workload_op_table *op = &self->from->op;
    uint32_t task = PS_JOB_NONE;
    self->phase = op->phase[i];
    if (op->kind[i] == PS_OP_HOST || op->kind[i] == PS_OP_JOIN) {
        return add_wait(self, i, event, err);
    }
    if (op->kind[i] == PS_OP_MARK) {
        self->marked[op->mark[i]] = self->last_task[op->lane[i]];
        return PS_OK;
    }
    PS_TRY(run_op(self, i, event, &task, err));
    if (op->mark[i] != 0) {
        self->marked[op->mark[i]] = task;
    }
    return add_accesses(self, event, task, err);
}

/* ---- steps ---- */

static ps_code begin_step(lowering *self, size_t i, ps_error *err)
{
    size_t row;
    if (!self->what->marks_steps) {
        return PS_OK;
    }
    PS_TRY(ps_plan_add(self->plan, PS_PLAN_STEP, &row, err));
    PS_TRY(ps__rank_text(self, self->from->step.name[i], &self->plan->step.name[row], err));
    self->plan->step.begin_task[row] = (uint32_t)self->plan->task.head.count;
    self->plan->step.end_task[row] = PS_PLAN_WHOLE;
    if (row > 0) {
        self->plan->step.end_task[row - 1] = self->plan->step.begin_task[row];
    }
    return PS_OK;
}

/* Other ranks may be at work when this one has done its last step. */
static ps_code end_last_step(lowering *self, ps_error *err)
{
    const size_t steps = self->plan->step.head.count;
    uint32_t end;
    if (steps == 0 || self->what->is_alone || !self->what->marks_steps) {
        return PS_OK;
    }
    PS_TRY(ps__rank_task(self, self->host_lane, PS_TASK_HOST, &end, err));
    self->plan->step.end_task[steps - 1] = end;
    return ps_strings_put_z(self->plan->strings, "end", &self->plan->task.name[end], err);
}

static ps_code add_events(lowering *self, ps_error *err)
{
    const ps_workload *from = self->from;
    size_t step = 0;
    for (size_t i = 0; i < from->event.head.count; i++) {
        if (step < from->step.head.count && from->step.begin_event[step] == i) {
            PS_TRY(ps__rank_wait_between_steps(self, i, err));
            PS_TRY(begin_step(self, step++, err));
        }
        if (from->event.kind[i] == PS_WORKLOAD_EVENT_OP) {
            PS_TRY(add_op(self, from->event.ref[i], i, err));
        } else if (from->event.kind[i] == PS_WORKLOAD_EVENT_RELEASE_CACHE) {
            PS_TRY(ps__rank_release_cache(self, i, err));
        }
    }
    self->phase = PS_PHASE_UNKNOWN;
    PS_TRY(ps__rank_wait(self, from->event.head.count, PS_RANK_ALL_LANES, err));
    return end_last_step(self, err);
}

/* ---- all ---- */

static ps_code find_figures(lowering *self, ps_error *err)
{
    const ps_job_target *to = self->target;
    ps_figure launch;
    PS_TRY(ps_catalogue_need(to->catalogue, to->gpu, PS_FIGURE_LAUNCH_LATENCY, &launch, err));
    self->launch_ns = (ps_ns)launch.value;
    return ps__rank_copy_figures(self, err);
}

static ps_code lower(lowering *self, ps_error *err)
{
    PS_TRY(ps__rank_make_marks(self, err));
    PS_TRY(find_figures(self, err));
    PS_TRY(ps_strings_put_z(self->plan->strings, "synchronize", &self->wait_name, err));
    PS_TRY(ps__rank_rows(self, err));
    return add_events(self, err);
}

ps_code ps__job_rank(const ps_job_rank *what, ps_plan *plan, ps_job_parts *parts, ps_error *err)
{
    lowering self = {
        .what = what, .from = what->workload, .target = what->target, .plan = plan, .parts = parts};
    for (size_t i = 0; i < PS_WORKLOAD_LANE_COUNT; i++) {
        self.lane[i] = self.last_task[i] = PS_JOB_NONE;
        for (size_t k = 0; k < PS_WORKLOAD_LANE_COUNT; k++) {
            self.joined[i][k] = PS_JOB_NONE;
        }
    }
    self.text = ps_calloc(ps_strings_count(self.from->strings), sizeof *self.text);
    const ps_code code = self.text == NULL ? ps_fail_nomem(err) : lower(&self, err);
    ps_free(self.marked);
    ps_free(self.text);
    return code;
}
