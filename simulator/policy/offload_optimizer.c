/* SPDX-License-Identifier: MIT
 *
 * The optimizer of a recorded job runs on the host: ZeRO-Offload.
 *
 *   backward  launch of a gradient's copy behind the call that made it ready; four copies later the
 *             stream waits for it, and the gradient's memory goes
 *   step      host: wait for all copies ─ update ─ launches of copies back
 *   compute   its next task behind the last copy back
 *
 * Where the recording does not say when each gradient is ready, or kernels may
 * use gradients between backward and the step, they leave together in the step.
 * Updates and weights are in offload_optimizer_update.c.
 */
#include "policy/offload_optimizer.h"

#include "base/memory.h"

enum { UPLOAD = PS_HOST_UPLOAD, OFFLOAD = PS_HOST_OFFLOAD };

typedef ps_offload_moving moving;

/* ---- the thread that steps ---- */

/* The first new task begins when the step's first call could, had its own work not been before it:
 * it waits for what that one waited for. */
static ps_code begin_step(moving *self, uint32_t task, size_t old_deps, ps_error *err)
{
    const ps_offload_step *step = self->step;
    ps_plan *plan = self->b->plan;
    const ps_ns gap = plan->task.gap_ns[step->first_host] - step->head_ns;
    plan->task.gap_ns[task] = gap < 0 ? 0 : gap;
    for (size_t i = 0; i < old_deps; i++) {
        const ps_dep_kind kind = (ps_dep_kind)plan->dep.kind[i];
        if (plan->dep.task[i] == step->first_host &&
            (kind == PS_DEP_START_AFTER_END || kind == PS_DEP_START_AFTER_START)) {
            const ps_ns lag = plan->dep.lag_ns[i] - step->head_ns;
            PS_TRY(ps__insertion_dep(&self->b->insertion, task, plan->dep.before[i], kind,
                                     lag < 0 ? 0 : lag, err));
        }
    }
    return PS_OK;
}

static ps_offload_place place_of(const ps_offload_step *step)
{
    return (ps_offload_place){.before = step->before,
                              .behind = step->behind,
                              .host = step->first_host,
                              .memop = step->memop};
}

ps_code ps__offload_step_task(moving *self, ps_task_kind kind, const char *name, uint32_t *out,
                              ps_error *err)
{
    ps_offload_building *b = self->b;
    const ps_offload_place at = place_of(self->step);
    const size_t old_deps = b->plan->dep.head.count;
    PS_TRY(ps__offload_call(b, &at, name, PS_PHASE_OPTIMIZER, out, err));
    b->plan->task.kind[*out] = (uint8_t)kind;
    if (self->first == PS_OFFLOAD_NONE) {
        self->first = *out;
        return begin_step(self, *out, old_deps, err);
    }
    return PS_OK;
}

/* ---- gradients ---- */

static uint32_t gradient_buffer(const moving *self, const ps_offload_gradient *gradient)
{
    return gradient->buffer == PS_OFFLOAD_NONE ? self->kept[gradient->parameter] : gradient->buffer;
}

/* Gradients are what ranks have made of them: the newest collective of each stream is over. */
static ps_code await_exchanges(moving *self, uint32_t copy, ps_error *err)
{
    const ps_offload_optimizer *places = self->places;
    for (size_t i = 0; i < places->exchange_count; i++) {
        if (places->exchange[i].step == (size_t)(self->step - places->step)) {
            PS_TRY(ps__offload_wait(self->b, copy, places->exchange[i].task, err));
        }
    }
    return PS_OK;
}

/* `launch` makes the copy of what `writer` was the last to write. */
static ps_code send(moving *self, size_t i, uint32_t launch, uint32_t writer, ps_error *err)
{
    ps_offload_building *b = self->b;
    const ps_offload_gradient *gradient = &self->places->gradient[self->step->gradient + i];
    const uint32_t buffer = gradient_buffer(self, gradient);
    uint32_t *copy = &self->copy[i];
    PS_TRY(ps__offload_copy(b, OFFLOAD, self->places->parameter[gradient->parameter].bytes, launch,
                            copy, err));
    b->plan->task.phase[*copy] = PS_PHASE_BACKWARD;
    PS_TRY(ps__offload_wait(b, *copy, writer, err));
    PS_TRY(i == 0 ? await_exchanges(self, *copy, err) : PS_OK);
    PS_TRY(ps__offload_tell(b, writer, buffer, true, err));
    PS_TRY(ps__offload_tell(b, *copy, buffer, false, err));
    return ps__offload_tell(b, *copy, self->transfer[self->side], true, err);
}

/* The gradient's memory goes in the course of a call, and not where it was recorded to. */
static ps_code let_go(moving *self, size_t i, uint32_t call, size_t memop, ps_error *err)
{
    ps_offload_building *b = self->b;
    const ps_offload_gradient *gradient = &self->places->gradient[self->step->gradient + i];
    if (gradient->buffer == PS_OFFLOAD_NONE || !gradient->can_go) {
        return PS_OK;
    }
    if (gradient->free != SIZE_MAX) {
        b->plan->memop.buffer[gradient->free] = b->moved_free;
    }
    return ps__offload_request(b, PS_MEMOP_FREE, gradient->buffer, call, memop, err);
}

static ps_code send_as_ready(moving *self, size_t i, ps_error *err)
{
    ps_offload_building *b = self->b;
    const ps_offload_place *at = &self->places->gradient[self->step->gradient + i].out;
    uint32_t call;
    if (i >= PS_OFFLOAD_LEAVING && at->behind != PS_OFFLOAD_NONE) {
        PS_TRY(ps__offload_call(b, at, "cudaStreamWaitEvent", PS_PHASE_BACKWARD, &call, err));
        PS_TRY(ps__offload_wait(b, at->behind, self->copy[i - PS_OFFLOAD_LEAVING], err));
        PS_TRY(let_go(self, i - PS_OFFLOAD_LEAVING, call, at->memop, err));
    }
    PS_TRY(ps__offload_call(b, at, "cudaMemcpyAsync", PS_PHASE_BACKWARD, &call, err));
    if (b->plan->task.lane[call] != self->places->step[0].lane) {
        PS_TRY(
            ps__insertion_dep(&b->insertion, call, self->begin, PS_DEP_START_AFTER_START, 0, err));
    }
    return send(self, i, call, at->before, err);
}

static ps_code send_gradients(moving *self, ps_error *err)
{
    for (size_t i = 0; i < self->places->parameter_count; i++) {
        uint32_t call;
        if (self->step->streams) {
            PS_TRY(send_as_ready(self, i, err));
        } else {
            PS_TRY(ps__offload_step_task(self, PS_TASK_HOST, "cudaMemcpyAsync", &call, err));
            PS_TRY(send(self, i, call, self->step->before, err));
        }
    }
    return PS_OK;
}

/* Once they are there. */
ps_code ps__offload_let_rest_go(moving *self, uint32_t call, ps_error *err)
{
    const size_t count = self->places->parameter_count;
    const ps_offload_gradient *gradient = &self->places->gradient[self->step->gradient];
    for (size_t i = 0; i < count; i++) {
        const size_t by = i + PS_OFFLOAD_LEAVING;
        const bool has_gone =
            self->step->streams && by < count && gradient[by].out.behind != PS_OFFLOAD_NONE;
        if (!has_gone) {
            PS_TRY(let_go(self, i, call, self->step->memop, err));
        }
    }
    return PS_OK;
}

/* ---- what goes ---- */

/* The thread's host time within the step goes, too. */
static void shorten_gap(moving *self)
{
    ps_plan *plan = self->b->plan;
    const uint32_t next = self->step->next_host;
    if (next == PS_OFFLOAD_NONE) {
        return;
    }
    ps_ns *gap = &plan->task.gap_ns[next];
    *gap -= *gap < self->step->tail_ns ? *gap : self->step->tail_ns;
    for (size_t i = 0; i < self->b->old_memops; i++) {
        if (plan->memop.task[i] == next && plan->memop.offset_ns[i] < -*gap) {
            plan->memop.offset_ns[i] = -*gap;
        }
    }
}

static ps_code drop_tasks(moving *self, ps_error *err)
{
    for (uint32_t i = 0; i < self->b->insertion.old_count; i++) {
        if (self->places->drop_task[i]) {
            PS_TRY(ps__insertion_drop(&self->b->insertion, i, err));
        }
    }
    return PS_OK;
}

/* ---- all ---- */

static ps_code move_steps(moving *self, ps_error *err)
{
    for (size_t i = 0; i < self->places->step_count; i++) {
        self->step = &self->places->step[i];
        self->first = PS_OFFLOAD_NONE;
        self->side = self->b->change->delayed ? i % PS_OFFLOAD_SIDES : 0;
        PS_TRY(send_gradients(self, err));
        PS_TRY(ps__offload_update(self, err));
        shorten_gap(self);
    }
    return PS_OK;
}

static ps_code move(moving *self, ps_error *err)
{
    ps_offload_building *b = self->b;
    if (self->parameter == NULL || self->kept == NULL || self->copy == NULL) {
        return ps_fail_nomem(err);
    }
    PS_TRY(ps__offload_path(b, PS_HOST_PINNED_COMPUTE, &self->path, err));
    PS_TRY(ps__offload_lane(b, "stream of parameters", &b->lane[UPLOAD], err));
    PS_TRY(ps__offload_lane(b, "stream of gradients", &b->lane[OFFLOAD], err));
    if (b->change->delayed) {
        PS_TRY(ps__offload_lane(b, "thread of updates", &self->worker, err));
        b->plan->lane.kind[self->worker] = PS_LANE_HOST; /* of no device */
        b->plan->lane.device[self->worker] = 0;
    }
    PS_TRY(ps__offload_make_memory(self, err));
    PS_TRY(move_steps(self, err));
    PS_TRY(drop_tasks(self, err));
    return ps__offload_optimizer_fact(b, self->places, err);
}

ps_code ps__offload_optimizer(ps_offload_building *b, const ps_offload_optimizer *places,
                              ps_error *err)
{
    const size_t count = places->parameter_count;
    moving self = {.b = b, .places = places, .work = PS_OFFLOAD_NONE};
    self.parameter = ps_calloc(count, sizeof *self.parameter);
    self.kept = ps_calloc(count, sizeof *self.kept);
    self.copy = ps_calloc(count, sizeof *self.copy);
    const ps_code code = move(&self, err);
    ps_free(self.parameter);
    ps_free(self.kept);
    ps_free(self.copy);
    ps_free(self.path.link);
    return code;
}
