/* SPDX-License-Identifier: MIT
 *
 * When the optimizer of a recorded job ran: steps, the backward pass before
 * each, and the tasks that go with it.
 */
#include <string.h>

#include "base/memory.h"
#include "policy/offload_optimizer.h"

#define ACCUMULATE "torch::autograd::AccumulateGrad"

static bool has_text(const char *text, const char *part)
{
    return strstr(text, part) != NULL;
}

/* ---- steps ---- */

/* The thread that launches most between two moments, or NONE. */
static ps_code find_lane(const ps_offload_search *self, ps_offload_step *step, ps_error *err)
{
    size_t *launches = ps_calloc(self->plan->lane.head.count + 1, sizeof *launches);
    const size_t end = ps__offload_launched_by(&self->stream, step->end_ns);
    size_t most = 0;
    if (launches == NULL) {
        return ps_fail_nomem(err);
    }
    step->lane = PS_OFFLOAD_NONE;
    for (size_t i = ps__offload_launched_by(&self->stream, step->begin_ns); i < end; i++) {
        const uint32_t lane = self->plan->task.lane[self->stream.launch[i]];
        if (++launches[lane] > most) {
            most = launches[lane];
            step->lane = lane;
        }
    }
    ps_free(launches);
    return step->lane != PS_OFFLOAD_NONE
               ? PS_OK
               : ps_fail(err, PS_USAGE,
                         "a recorded optimizer step launches no kernels of its own: it runs in a "
                         "captured graph, or on the host");
}

static ps_code add_step(ps_offload_search *self, ps_ns begin_ns, ps_ns end_ns, ps_error *err)
{
    ps_offload_optimizer *out = self->out;
    ps_offload_step step = {.begin_ns = begin_ns,
                            .end_ns = end_ns,
                            .first_host = PS_OFFLOAD_NONE,
                            .next_host = PS_OFFLOAD_NONE};
    PS_TRY(find_lane(self, &step, err));
    PS_TRY(ps_grow((void **)&out->step, &out->step_capacity, out->step_count + 1, PS_TABLE_MAX_ROWS,
                   sizeof *out->step, err));
    out->step[out->step_count++] = step;
    return PS_OK;
}

static ps_code find_steps(ps_offload_search *self, ps_error *err)
{
    const ps_structure *of = self->change->structure;
    for (size_t i = 0; i < of->phase_count; i++) {
        if (of->phase[i].phase != PS_PHASE_OPTIMIZER) {
            continue;
        }
        /* the end of a step that holds no other phase begins the next forward */
        if (i + 1 < of->phase_count && of->phase[i + 1].phase == PS_PHASE_BACKWARD) {
            return ps_fail(err, PS_USAGE,
                           "gradients are made in the course of a recorded optimizer step: a "
                           "closure");
        }
        PS_TRY(add_step(self, of->phase[i].start_ns,
                        i + 1 < of->phase_count ? of->phase[i + 1].start_ns : PS_TIME_NEVER, err));
    }
    return self->out->step_count > 0
               ? PS_OK
               : ps_fail(err, PS_USAGE,
                         "no optimizer step is recorded: neither ranges " PS_OFFLOAD_STEP_RANGE
                         "... nor an annotation such as \"optimizer\"");
}

/* ---- what goes ---- */

/* The step in whose course a host task of its thread begins, or NULL. Steps ascend. */
static ps_offload_step *step_of(const ps_offload_search *self, uint32_t task)
{
    const ps_offload_optimizer *out = self->out;
    const ps_ns at = self->stream.times.start_ns[task];
    size_t low = 0, high = out->step_count;
    while (low < high) {
        const size_t mid = low + (high - low) / 2;
        low = out->step[mid].begin_ns <= at ? mid + 1 : low;
        high = out->step[mid].begin_ns <= at ? high : mid;
    }
    ps_offload_step *step = low == 0 ? NULL : &out->step[low - 1];
    return step != NULL && self->plan->task.lane[task] == step->lane ? step : NULL;
}

static ps_code drop_host(ps_offload_search *self, ps_error *err)
{
    const ps_plan *plan = self->plan;
    for (uint32_t i = 0; i < plan->task.head.count; i++) {
        ps_offload_step *step = step_of(self, i);
        if (step == NULL || plan->lane.kind[plan->task.lane[i]] != PS_LANE_HOST) {
            continue;
        }
        if (self->stream.times.start_ns[i] >= step->end_ns) {
            step->next_host = step->next_host == PS_OFFLOAD_NONE ? i : step->next_host;
            continue;
        }
        if (has_text(ps_strings_text(plan->strings, plan->task.name[i]), "GraphLaunch")) {
            return ps_fail(err, PS_USAGE,
                           "a captured graph runs in a recorded optimizer step: which of its "
                           "kernels belong to the optimizer is not recorded");
        }
        step->first_host = step->first_host == PS_OFFLOAD_NONE ? i : step->first_host;
        self->out->drop_task[i] = true;
    }
    return PS_OK;
}

static ps_code drop_launched(ps_offload_search *self, ps_error *err)
{
    const ps_plan *plan = self->plan;
    for (size_t i = 0; i < plan->dep.head.count; i++) {
        const uint32_t task = plan->dep.task[i], before = plan->dep.before[i];
        if (plan->dep.kind[i] != PS_DEP_START_AFTER_START || !self->out->drop_task[before] ||
            plan->lane.kind[plan->task.lane[before]] != PS_LANE_HOST ||
            plan->lane.kind[plan->task.lane[task]] != PS_LANE_STREAM) {
            continue;
        }
        if (plan->task.kind[task] == PS_TASK_COLLECTIVE) {
            return ps_fail(err, PS_USAGE, "ranks communicate in a recorded optimizer step");
        }
        self->out->dropped_kernels += plan->task.kind[task] == PS_TASK_KERNEL ? 1 : 0;
        self->out->drop_task[task] = true;
    }
    return PS_OK;
}

/* ---- backward passes ---- */

ps_ns ps__offload_ready_ns(const ps_offload_search *self, size_t gradient)
{
    const ps_gradient *of = &self->gradients.gradient[gradient];
    return self->stream.times.start_ns[of->ready_after] + of->ready_offset_ns;
}

static ps_code find_pass(ps_offload_search *self, size_t row, ps_error *err)
{
    const ps_offload_step *step = &self->out->step[row];
    const ps_ns since = row == 0 ? INT64_MIN : self->out->step[row - 1].begin_ns;
    self->pass[row] = SIZE_MAX;
    for (size_t i = 0; i < self->gradients.backward_count; i++) {
        const ps_backward *pass = &self->gradients.backward[i];
        const ps_ns first = ps__offload_ready_ns(self, pass->first);
        const ps_ns last = ps__offload_ready_ns(self, pass->first + pass->count - 1);
        if (last >= step->begin_ns && first < step->end_ns) {
            return ps_fail(err, PS_USAGE,
                           "gradients are made in the course of a recorded optimizer step: a "
                           "closure");
        }
        if (first >= since && last < step->begin_ns) {
            self->pass[row] = i;
        }
    }
    return self->pass[row] != SIZE_MAX
               ? PS_OK
               : ps_fail(err, PS_USAGE,
                         "before optimizer step %zu of the recording no gradients are made: the "
                         "recording begins after its backward pass, or several optimizers step",
                         row + 1);
}

/* Does autograd tell of each gradient when it is ready, and by its shape which one it is? */
static bool has_accumulations(const ps_offload_search *self)
{
    const ps_trace *trace = self->change->trace;
    for (size_t i = 0; i < self->gradients.count; i++) {
        if (self->gradients.gradient[i].element_bytes == 0) {
            return false;
        }
    }
    for (size_t i = 0; i < trace->range.head.count; i++) {
        if (trace->range.category[i] == PS_RANGE_OPERATOR &&
            strcmp(ps_strings_text(trace->strings, trace->range.name[i]), ACCUMULATE) == 0) {
            return true;
        }
    }
    return false;
}

/* Kernels launched between the last gradient and the step. */
static bool is_touched(const ps_offload_search *self, ps_ns since, const ps_offload_step *step)
{
    const size_t end = ps__offload_launched_by(&self->stream, step->begin_ns);
    for (size_t i = ps__offload_launched_by(&self->stream, since + 1); i < end; i++) {
        if (self->plan->task.kind[self->stream.task[i]] == PS_TASK_KERNEL) {
            return true;
        }
    }
    return false;
}

static ps_ns at_least_0(ps_ns value)
{
    return value < 0 ? 0 : value;
}

/* Host time of the step that no task of it counts. */
static void measure_step(const ps_offload_search *self, ps_offload_step *step)
{
    const ps_recorded_times *times = &self->stream.times;
    step->head_ns = at_least_0(times->start_ns[step->first_host] - step->begin_ns);
    if (step->next_host != PS_OFFLOAD_NONE) {
        step->tail_ns =
            at_least_0(step->end_ns - times->end_ns[self->stream.previous[step->next_host]]);
    }
}

static ps_code place_step(ps_offload_search *self, size_t row, ps_error *err)
{
    ps_offload_step *step = &self->out->step[row];
    const ps_offload_stream *stream = &self->stream;
    const size_t before = ps__offload_launched_by(stream, step->begin_ns);
    const size_t behind = ps__offload_launched_by(stream, step->end_ns);
    PS_TRY(find_pass(self, row, err));
    const ps_backward *pass = &self->gradients.backward[self->pass[row]];
    if (before == 0 || step->first_host == PS_OFFLOAD_NONE) {
        return ps_fail(err, PS_USAGE, "no kernels are recorded before an optimizer step");
    }
    measure_step(self, step);
    step->before = stream->task[before - 1];
    step->behind = behind < stream->count ? stream->task[behind] : PS_OFFLOAD_NONE;
    if (self->out->drop_task[step->before] ||
        (behind < stream->count && self->out->drop_task[step->behind])) {
        return ps_fail(err, PS_USAGE,
                       "calls of a recorded optimizer step launch kernels that were also launched "
                       "before it or behind it");
    }
    step->memop = ps__offload_first_memop_after(stream, step->begin_ns);
    const bool is_touched_now =
        is_touched(self, ps__offload_ready_ns(self, pass->first + pass->count - 1), step);
    self->out->touches = self->out->touches || is_touched_now;
    step->streams =
        self->out->is_placed && !is_touched_now && self->change->trace->collective.head.count == 0;
    return PS_OK;
}

/* ---- all ---- */

ps_code ps__offload_optimizer_steps(ps_offload_search *self, ps_error *err)
{
    ps_offload_optimizer *out = self->out;
    PS_TRY(find_steps(self, err));
    PS_TRY(ps_gradients_find(self->change->trace, self->change->structure, self->plan,
                             &self->gradients, err));
    self->pass = ps_calloc(out->step_count, sizeof *self->pass);
    if (self->pass == NULL) {
        return ps_fail_nomem(err);
    }
    PS_TRY(drop_host(self, err));
    PS_TRY(drop_launched(self, err));
    out->is_placed = has_accumulations(self);
    for (size_t i = 0; i < out->step_count; i++) {
        PS_TRY(place_step(self, i, err));
    }
    return ps__offload_find_exchanges(self, err);
}
