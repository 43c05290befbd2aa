/* SPDX-License-Identifier: MIT
 *
 * Which memory of a recorded job its optimizer's states are, or how large.
 *
 *   made     what recorded steps make and keep
 *   told     buffers from before the first step with that role
 *   sized    a part of what was resident before the recording: of as many states
 *            as the optimizer has, by the type that its class or kernels tell
 */
#include <inttypes.h>

#include "alloc/sizes.h"
#include "policy/offload_optimizer.h"

/* States of 8 bits, as bitsandbytes keeps them: a largest value of 32 bits for each block, a table
 * of as many values for each kind of state; small tensors have states of 32 bits. */
enum {
    MIN_8_BIT_ELEMENTS = 4096,
    LEAST_BLOCK_ELEMENTS = 256, /* older releases: 2048 */
    TABLE_BYTES = 256 * 4,
    WORD_BYTES = 4
};

/* ---- buffers ---- */

/* The step in whose course, and by whose thread, a buffer was made, or the number of steps. */
static size_t step_of_birth(const ps_offload_search *self, uint32_t buffer)
{
    const ps_offload_optimizer *out = self->out;
    const ps_ns born = ps__offload_born_ns(self, buffer);
    size_t step = 0;
    while (step < out->step_count && out->step[step].end_ns <= born) {
        step++;
    }
    if (step == out->step_count || born < out->step[step].begin_ns ||
        self->plan->task.lane[self->plan->memop.task[self->alloc[buffer]]] !=
            out->step[step].lane) {
        return out->step_count;
    }
    return step;
}

/* What optimizer steps make goes: for good, or for their own use. */
static uint64_t drop_made(ps_offload_search *self)
{
    const ps_offload_optimizer *out = self->out;
    uint64_t kept = 0;
    for (uint32_t i = 0; i < self->plan->buffer.head.count; i++) {
        if (self->alloc[i] == SIZE_MAX || !ps__offload_is_on_device(self->plan, i)) {
            continue;
        }
        const size_t step = step_of_birth(self, i);
        if (step < out->step_count) {
            out->drop_buffer[i] = true;
            kept += ps__offload_freed_ns(self, i) > out->step[step].end_ns
                        ? self->plan->buffer.bytes[i]
                        : 0;
        }
    }
    return kept;
}

/* Made before the first step, and there behind the last one. */
static bool is_told(const ps_offload_search *self, uint32_t buffer)
{
    const ps_offload_optimizer *out = self->out;
    return self->change->structure->buffer[buffer].role == PS_ROLE_OPTIMIZER_STATE &&
           ps__offload_is_on_device(self->plan, buffer) &&
           ps__offload_born_ns(self, buffer) < out->step[0].begin_ns &&
           ps__offload_freed_ns(self, buffer) >= out->step[out->step_count - 1].end_ns;
}

static uint64_t count_told(const ps_offload_search *self)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < self->change->structure->buffer_count; i++) {
        bytes += is_told(self, i) ? self->plan->buffer.bytes[i] : 0;
    }
    return bytes;
}

static void drop_told(ps_offload_search *self)
{
    for (uint32_t i = 0; i < self->change->structure->buffer_count; i++) {
        self->out->drop_buffer[i] = self->out->drop_buffer[i] || is_told(self, i);
    }
}

/* ---- sizes ---- */

static uint64_t of_block(const ps_plan *plan, uint64_t bytes)
{
    return plan->device.sizes_are_blocks[0] != 0 ? ps_round_up_u64(bytes, PS_ALLOC_GRAIN_BYTES)
                                                 : bytes;
}

static uint64_t narrow_bytes(const ps_plan *plan, uint64_t elements)
{
    const uint64_t blocks = (elements + LEAST_BLOCK_ELEMENTS - 1) / LEAST_BLOCK_ELEMENTS;
    return elements < MIN_8_BIT_ELEMENTS
               ? of_block(plan, elements * WORD_BYTES)
               : of_block(plan, elements) + of_block(plan, blocks * WORD_BYTES);
}

/* One state of one parameter. */
static uint64_t state_of(const ps_offload_search *self, const ps_offload_parameter *of)
{
    const uint64_t elements = of->bytes / of->element_bytes;
    switch (self->out->kind.state_type) {
    case PS_OFFLOAD_STATES_8_BIT:
        return narrow_bytes(self->plan, elements);
    case PS_OFFLOAD_STATES_32_BIT:
    case PS_OFFLOAD_STATES_KERNELS_32_BIT:
        return of->element_bytes == WORD_BYTES ? of->device_bytes
                                               : of_block(self->plan, elements * WORD_BYTES);
    case PS_OFFLOAD_STATES_KERNELS_16_BIT:
        return of->element_bytes == 2 ? of->device_bytes : of_block(self->plan, elements * 2);
    case PS_OFFLOAD_STATES_LIKE_PARAMETERS:
        break;
    }
    return of->device_bytes;
}

/* One state of all parameters. */
static uint64_t one_state(const ps_offload_search *self)
{
    const ps_offload_optimizer *out = self->out;
    bool has_narrow = false;
    uint64_t bytes = 0;
    for (size_t i = 0; i < out->parameter_count; i++) {
        const ps_offload_parameter *of = &out->parameter[i];
        bytes += state_of(self, of);
        has_narrow = has_narrow || of->bytes / of->element_bytes >= MIN_8_BIT_ELEMENTS;
    }
    return bytes +
           (has_narrow && out->kind.state_type == PS_OFFLOAD_STATES_8_BIT ? TABLE_BYTES : 0);
}

/* How many states so many bytes are, or 0. Small ones beside them count steps; those of 8 bits come
 * with as little for their blocks as any release keeps. */
static uint64_t count_states(const ps_offload_search *self, uint64_t bytes)
{
    const ps_offload_kind *kind = &self->out->kind;
    const uint64_t each = one_state(self);
    uint64_t slack = self->out->parameter_count * PS_ALLOC_GRAIN_BYTES, times;
    if (kind->state_type == PS_OFFLOAD_STATES_8_BIT) {
        const uint64_t least = each - each / (LEAST_BLOCK_ELEMENTS / WORD_BYTES);
        const uint64_t most = each + slack;
        times = kind->states;
        return bytes >= times * least && bytes <= times * most ? times : 0;
    }
    times = each == 0 ? 0 : bytes / each;
    return bytes - times * each <= slack ? times : 0;
}

static bool may_have(const ps_offload_kind *kind, uint64_t states)
{
    return states > 0 && states >= kind->states && states <= kind->most_states;
}

static ps_code refuse(const ps_offload_search *self, uint64_t bytes, const char *whence,
                      ps_error *err)
{
    return ps_fail(err, PS_USAGE,
                   "%s of %" PRIu64 " bytes stay, beside states of %" PRIu64
                   " bytes each: which of them are states of %s is not known",
                   whence, bytes, one_state(self), self->out->kind.name);
}

/* ---- all ---- */

/* States have the type of the parameters where their own sizes say so and not that of the kernels. */
static uint64_t states_of_bytes(ps_offload_search *self, uint64_t bytes)
{
    ps_offload_kind *kind = &self->out->kind;
    uint64_t states = count_states(self, bytes);
    if (!may_have(kind, states)) {
        kind->state_type = PS_OFFLOAD_STATES_LIKE_PARAMETERS;
        states = count_states(self, bytes);
    }
    return may_have(kind, states) ? states : 0;
}

ps_code ps__offload_optimizer_states(ps_offload_search *self, ps_error *err)
{
    static const char *const words[] = {
#define PS_OFFLOAD_STATE_WORDS(sym, doc) [PS_OFFLOAD_STATES_##sym] = (doc),
        PS_OFFLOAD_STATE_TYPES(PS_OFFLOAD_STATE_WORDS)
#undef PS_OFFLOAD_STATE_WORDS
    };
    ps_offload_optimizer *out = self->out;
    const uint64_t made = drop_made(self), bytes = made + count_told(self);
    if (out->kind.passes > 1) {
        drop_told(self);
        out->state_bytes = bytes;
        out->states_how = "sums of rows and columns, as far as the recording has them";
        return PS_OK;
    }
    if (bytes <= out->parameter_count * PS_ALLOC_GRAIN_BYTES && bytes < one_state(self)) {
        /* none, or those that count steps */
        out->state_bytes = out->resident_bytes = one_state(self) * out->kind.states;
        out->states_how = words[out->kind.state_type];
        return PS_OK;
    }
    const uint64_t states = states_of_bytes(self, bytes);
    if (states == 0) {
        return refuse(self, bytes,
                      made > 0 ? "what recorded optimizer steps make" : "buffers of states", err);
    }
    drop_told(self);
    out->kind.states = (uint32_t)states;
    out->state_bytes = bytes;
    out->states_how = made > 0 ? "those that recorded steps make" : "those that their buffers tell";
    return PS_OK;
}
