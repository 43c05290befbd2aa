/* SPDX-License-Identifier: MIT
 *
 * Copies of a block's parameters, what they wait for, and their memory on the
 * device.
 */
#include "policy/offload_parameter_parts.h"

enum { UPLOAD = PS_HOST_UPLOAD, OFFLOAD = PS_HOST_OFFLOAD };

bool ps__parameter_is_written(const ps_parameter_streaming *self, size_t parameter)
{
    return self->what->parameter[parameter].goes && self->what->parameter[parameter].is_trained;
}

ps_code ps__parameter_buffer(const ps_parameter_streaming *self, size_t parameter,
                             ps_memory_kind memory, uint32_t *out, ps_error *err)
{
    ps_plan_buffer_table *buffer = &self->b->plan->buffer;
    size_t row;
    PS_TRY(ps_plan_add(self->b->plan, PS_PLAN_BUFFER, &row, err));
    buffer->bytes[row] = self->what->parameter[parameter].bytes;
    buffer->stream[row] = self->what->stream;
    buffer->role[row] = PS_ROLE_PARAMETER;
    buffer->memory[row] = (uint8_t)memory;
    *out = (uint32_t)row;
    return PS_OK;
}

/* ---- coming ---- */

static ps_code bring_one(ps_parameter_streaming *self, size_t i, const ps_offload_moment *at,
                         uint32_t *copy, ps_error *err)
{
    ps_offload_building *b = self->b;
    const ps_phase phase = self->what->use[at->use].phase;
    const uint64_t bytes = self->what->parameter[i].bytes;
    uint32_t launch;
    PS_TRY(ps__offload_call(b, &at->place, "cudaMemcpyAsync", phase, &launch, err));
    PS_TRY(ps__offload_copy(b, UPLOAD, bytes, launch, copy, err));
    b->plan->task.phase[*copy] = (uint8_t)phase;
    PS_TRY(ps__parameter_buffer(self, i, PS_MEMORY_UNKNOWN, &self->device[i], err));
    PS_TRY(ps__offload_request(b, PS_MEMOP_ALLOC, self->device[i], launch, at->place.memop, err));
    PS_TRY(ps__offload_tell(b, *copy, self->pinned[i], false, err));
    self->up_bytes += bytes;
    return ps__offload_tell(b, *copy, self->device[i], true, err);
}

/* What had the memory before is done, and what is read is there. */
static ps_code order_upload(ps_parameter_streaming *self, const ps_streamed_block *state,
                            const ps_offload_place *place, uint32_t copy, ps_error *err)
{
    const bool is_first_work = place->before == PS_OFFLOAD_NONE;
    if (!is_first_work &&
        (self->upload_awaits == PS_OFFLOAD_NONE || self->upload_awaits < place->before)) {
        PS_TRY(ps__offload_wait(self->b, copy, place->before, err));
        self->upload_awaits = place->before;
    }
    const bool is_implied = state->offload == PS_OFFLOAD_NONE ||
                            (state->has_awaited != PS_OFFLOAD_NONE && !is_first_work &&
                             place->before >= state->has_awaited);
    return is_implied ? PS_OK : ps__offload_wait(self->b, copy, state->offload, err);
}

ps_code ps__parameters_bring(ps_parameter_streaming *self, uint32_t block,
                             const ps_offload_moment *at, ps_error *err)
{
    const ps_offload_block *of = &self->what->block[block];
    ps_streamed_block *state = &self->block[block];
    bool is_first = true;
    if (state->is_here) {
        return PS_OK;
    }
    for (size_t i = of->first; i < of->first + of->count; i++) {
        if (!self->what->parameter[i].goes) {
            continue;
        }
        PS_TRY(bring_one(self, i, at, &state->upload, err));
        if (is_first) {
            PS_TRY(order_upload(self, state, &at->place, state->upload, err));
            is_first = false;
        }
    }
    state->is_here = true;
    state->is_awaited = false;
    return PS_OK;
}

/* ---- going back ---- */

static ps_code offload_one(ps_parameter_streaming *self, size_t i, const ps_offload_moment *at,
                           uint32_t *copy, ps_error *err)
{
    ps_offload_building *b = self->b;
    const ps_phase phase = self->what->use[at->use].phase;
    uint32_t launch;
    PS_TRY(ps__offload_call(b, &at->place, "cudaMemcpyAsync", phase, &launch, err));
    PS_TRY(ps__offload_copy(b, OFFLOAD, self->what->parameter[i].bytes, launch, copy, err));
    b->plan->task.phase[*copy] = (uint8_t)phase;
    self->down_bytes += self->what->parameter[i].bytes;
    PS_TRY(ps__offload_tell(b, *copy, self->device[i], false, err));
    return ps__offload_tell(b, *copy, self->pinned[i], true, err);
}

/* `newest` receives the newest copy, and stays as it is when there is none. */
ps_code ps__parameters_offload(ps_parameter_streaming *self, uint32_t block,
                               const ps_offload_moment *at, uint32_t *newest, ps_error *err)
{
    const ps_offload_block *of = &self->what->block[block];
    for (size_t i = of->first; i < of->first + of->count; i++) {
        const bool is_first = *newest == PS_OFFLOAD_NONE;
        if (!ps__parameter_is_written(self, i)) {
            continue;
        }
        PS_TRY(offload_one(self, i, at, newest, err));
        if (is_first) {
            PS_TRY(ps__offload_wait(self->b, *newest, at->place.before, err));
        }
        self->block[block].offload = *newest;
        self->block[block].has_awaited = at->place.behind;
    }
    return PS_OK;
}
