/* SPDX-License-Identifier: MIT
 *
 * Updates of a recorded job's weights on the host.
 *
 *   at once   thread: wait for gradients ─ update ─ launches of weights
 *   delayed   thread: launches of the last step's weights ─ hands over
 *             worker: update, once gradients are there, beside the next step
 *
 * Delayed, gradients of one step come while those of the step before are used:
 * there are two buffers of them, and steps take turns.
 */
#include <stdio.h>

#include "base/memory.h"
#include "policy/offload_optimizer.h"

enum { UPLOAD = PS_HOST_UPLOAD };

/* [bytes] of a number in 32 bits; read and written. */
enum { WIDE_BYTES = PS_OFFLOAD_WIDE_BYTES, TIMES_UPDATED = 2 };

typedef ps_offload_moving moving;

/* The step's newest copy to the host: the lane has them in order. */
static uint32_t newest_gradient(const moving *self)
{
    return self->copy[self->places->parameter_count - 1];
}

/* ---- the update ---- */

/* Over the memory of the socket, at the rate that its cores reach: the copy and states are read and
 * written, a gradient is read in each pass, a weight is written. */
static ps_code add_load(moving *self, uint32_t work, ps_error *err)
{
    ps_offload_building *b = self->b;
    const ps_offload_optimizer *places = self->places;
    ps_plan_task_table *task = &b->plan->task;
    task->bytes[work] =
        ps__offload_elements(places) * (places->kind.states + 1) * WIDE_BYTES * TIMES_UPDATED +
        ps__offload_bytes(places) * (places->kind.passes + 1);
    task->rate_bytes_per_s[work] = b->host.rate_bytes_per_s[PS_HOST_PINNED_COMPUTE];
    task->basis[work] = (uint8_t)b->host.basis[PS_HOST_PINNED_COMPUTE];
    for (size_t i = 0; i < self->path.count; i++) {
        uint32_t link;
        size_t row;
        PS_TRY(ps__offload_link(b, self->path.link[i], &link, err));
        PS_TRY(ps_plan_add(b->plan, PS_PLAN_TRANSFER, &row, err));
        b->plan->transfer.task[row] = work;
        b->plan->transfer.link[row] = link;
    }
    return PS_OK;
}

static ps_code note_update(moving *self, uint32_t work, ps_error *err)
{
    ps_offload_building *b = self->b;
    const uint32_t transfer = self->transfer[self->side];
    PS_TRY(ps_grow((void **)&b->update, &b->update_capacity, b->update_count + 1, PS_TABLE_MAX_ROWS,
                   sizeof *b->update, err));
    b->update[b->update_count++] = work;
    self->work = work;
    PS_TRY(add_load(self, work, err));
    for (uint32_t i = 0; i <= self->places->kind.states; i++) {
        PS_TRY(ps__offload_tell(b, work, self->state[i], true, err));
    }
    PS_TRY(ps__offload_tell(b, work, transfer, false, err));
    return ps__offload_tell(b, work, transfer, true, err);
}

static void name_update(const moving *self, char *out, size_t bytes)
{
    (void)snprintf(out, bytes, "cpu_%s", self->places->kind.name);
}

/* The thread itself waits for gradients, and updates. */
static ps_code update_at_once(moving *self, ps_error *err)
{
    char name[32];
    uint32_t wait, work;
    name_update(self, name, sizeof name);
    PS_TRY(ps__offload_step_task(self, PS_TASK_WAIT, "cudaStreamSynchronize", &wait, err));
    PS_TRY(ps__insertion_dep(&self->b->insertion, wait, newest_gradient(self), PS_DEP_END_AFTER_END,
                             0, err));
    PS_TRY(ps__offload_step_task(self, PS_TASK_CPU, name, &work, err));
    return note_update(self, work, err);
}

/* Another thread does, which takes it over from this one and waits for gradients itself. */
static ps_code hand_over(moving *self, ps_error *err)
{
    ps_offload_building *b = self->b;
    char name[32];
    uint32_t call, work;
    name_update(self, name, sizeof name);
    PS_TRY(
        ps__offload_step_task(self, PS_TASK_HOST, "an update is handed to a thread", &call, err));
    PS_TRY(ps__insertion_task(&b->insertion, self->worker, PS_TASK_CPU, PS_INSERT_NOWHERE, &work,
                              err));
    PS_TRY(ps_strings_put_z(b->plan->strings, name, &b->plan->task.name[work], err));
    b->plan->task.phase[work] = PS_PHASE_OPTIMIZER;
    PS_TRY(ps__insertion_dep(&b->insertion, work, call, PS_DEP_START_AFTER_START, 0, err));
    PS_TRY(ps__offload_wait(b, work, newest_gradient(self), err));
    return note_update(self, work, err);
}

/* ---- weights ---- */

static ps_code bring_one(moving *self, size_t i, size_t side, uint32_t *copy, ps_error *err)
{
    ps_offload_building *b = self->b;
    const uint32_t buffer = self->parameter[i];
    uint32_t call;
    PS_TRY(ps__offload_step_task(self, PS_TASK_HOST, "cudaMemcpyAsync", &call, err));
    if (*copy == PS_OFFLOAD_NONE) { /* gradients are there: all that are left may go */
        PS_TRY(ps__offload_let_rest_go(self, call, err));
    }
    PS_TRY(ps__offload_copy(b, UPLOAD, self->places->parameter[i].bytes, call, copy, err));
    b->plan->task.phase[*copy] = PS_PHASE_OPTIMIZER;
    PS_TRY(ps__offload_tell(b, self->step->before, buffer, false, err));
    PS_TRY(ps__offload_tell(b, *copy, self->transfer[side], false, err));
    PS_TRY(ps__offload_tell(b, *copy, buffer, true, err));
    return self->step->behind == PS_OFFLOAD_NONE
               ? PS_OK
               : ps__offload_tell(b, self->step->behind, buffer, false, err);
}

/* Both directions are used one after the other, behind what the stream had before the step. */
static ps_code order_weights(moving *self, uint32_t first, ps_error *err)
{
    PS_TRY(ps__offload_wait(self->b, first, self->step->before, err));
    if (!self->b->change->delayed) {
        return PS_OK; /* the thread has waited for the update before it launched the copy */
    }
    PS_TRY(ps__offload_wait(self->b, first, newest_gradient(self), err));
    return ps__offload_wait(self->b, first, self->work, err);
}

static ps_code await(moving *self, uint32_t copy, ps_error *err)
{
    return self->step->behind == PS_OFFLOAD_NONE
               ? PS_OK
               : ps__offload_wait(self->b, self->step->behind, copy, err);
}

/* All weights come with their blocks: the host does nothing more. */
static ps_code bring_nothing(moving *self, ps_error *err)
{
    uint32_t call;
    PS_TRY(ps__offload_step_task(self, PS_TASK_HOST, "gradients are let go", &call, err));
    self->b->plan->task.dur_ns[call] = 0;
    return ps__offload_let_rest_go(self, call, err);
}

static ps_code bring_weights(moving *self, size_t side, ps_error *err)
{
    uint32_t copy = PS_OFFLOAD_NONE;
    for (size_t i = 0; i < self->places->parameter_count; i++) {
        const bool is_first = copy == PS_OFFLOAD_NONE;
        if (self->places->parameter[i].streams) {
            continue;
        }
        PS_TRY(bring_one(self, i, side, &copy, err));
        PS_TRY(is_first ? order_weights(self, copy, err) : PS_OK);
    }
    return copy == PS_OFFLOAD_NONE ? bring_nothing(self, err) : await(self, copy, err);
}

/* Before the first update nothing comes, but gradients leave. */
static ps_code await_gradients(moving *self, ps_error *err)
{
    uint32_t call;
    PS_TRY(ps__offload_step_task(self, PS_TASK_HOST, "cudaStreamWaitEvent", &call, err));
    PS_TRY(ps__offload_let_rest_go(self, call, err));
    return await(self, newest_gradient(self), err);
}

/* ---- all ---- */

ps_code ps__offload_update(moving *self, ps_error *err)
{
    if (!self->b->change->delayed) {
        PS_TRY(update_at_once(self, err));
        return bring_weights(self, self->side, err);
    }
    PS_TRY(self->work == PS_OFFLOAD_NONE
               ? await_gradients(self, err)
               : bring_weights(self, PS_OFFLOAD_SIDES - 1 - self->side, err));
    return hand_over(self, err);
}
