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
    if (memory == PS_MEMORY_UNKNOWN) {
        buffer->bytes[row] = ps__offload_device_bytes(self->b->plan, buffer->bytes[row]);
    }
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

/* What a task of the stream waited for is done when that task is. */
static bool is_implied(const ps_offload_place *place, uint32_t behind)
{
    return place->before != PS_OFFLOAD_NONE && behind != PS_OFFLOAD_NONE && place->before >= behind;
}

/* What had the memory before is done, and what is read is there. The lane of offloads is in order:
 * of two of its copies the newer one is enough. */
static ps_code order_upload(ps_parameter_streaming *self, const ps_streamed_block *state,
                            const ps_offload_place *place, uint32_t copy, ps_error *err)
{
    uint32_t awaited = PS_OFFLOAD_NONE;
    if (place->before != PS_OFFLOAD_NONE &&
        (self->upload_awaits == PS_OFFLOAD_NONE || self->upload_awaits < place->before)) {
        PS_TRY(ps__offload_wait(self->b, copy, place->before, err));
        self->upload_awaits = place->before;
    }
    if (self->freed != PS_OFFLOAD_NONE && !is_implied(place, self->freed_behind)) {
        awaited = self->freed;
    }
    self->freed = PS_OFFLOAD_NONE;
    if (state->offload != PS_OFFLOAD_NONE && !is_implied(place, state->has_awaited) &&
        (awaited == PS_OFFLOAD_NONE || awaited < state->offload)) {
        awaited = state->offload;
    }
    return awaited == PS_OFFLOAD_NONE ? PS_OK : ps__offload_wait(self->b, copy, awaited, err);
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

ps_code ps__parameters_offload(ps_parameter_streaming *self, uint32_t block,
                               const ps_offload_moment *at, ps_error *err)
{
    const ps_offload_block *of = &self->what->block[block];
    ps_streamed_block *state = &self->block[block];
    for (size_t i = of->first; i < of->first + of->count; i++) {
        const bool is_first = self->offload_awaits != at->place.before;
        if (!ps__parameter_is_written(self, i)) {
            continue;
        }
        PS_TRY(offload_one(self, i, at, &state->offload, err));
        if (is_first) {
            PS_TRY(ps__offload_wait(self->b, state->offload, at->place.before, err));
            self->offload_awaits = at->place.before;
        }
        self->leaving = state->offload;
    }
    state->is_dirty = false;
    state->is_leaving = true;
    state->has_awaited = PS_OFFLOAD_NONE;
    return PS_OK;
}
