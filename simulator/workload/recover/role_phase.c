/* SPDX-License-Identifier: MIT
 *
 * What is born in a phase of a step: by where it dies, what is as large, who
 * asked for it, and what is copied into it.
 */
#include <string.h>

#include "workload/recover/role_parts.h"

static const char *stack_of(const ps_role_stage *self, const ps_structure_buffer *buffer)
{
    return ps__recover_text(self->recovery, self->recovery->trace->memory.stack[buffer->birth_row]);
}

/* A copy from the host of that size under way or begun soon after the allocation. */
static bool is_copied_from_host(const ps_role_stage *self, const ps_structure_buffer *buffer)
{
    const ps_trace *trace = self->recovery->trace;
    const ps_ns born = ps__role_time(self, buffer->birth_row);
    const uint64_t bytes = trace->memory.bytes[buffer->birth_row];
    /* the copy is the next thing the program does with it; a millisecond covers a busy stream */
    const ps_ns horizon = born + 1000000;
    size_t low = 0, high = trace->memcpy.head.count;
    while (low < high) {
        const size_t mid = low + (high - low) / 2;
        if (trace->memcpy.start_ns[mid] < born) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    for (size_t i = low; i < trace->memcpy.head.count && trace->memcpy.start_ns[i] < horizon; i++) {
        if (trace->memcpy.kind[i] == PS_COPY_HTOD && trace->memcpy.bytes[i] > 0 &&
            trace->memcpy.bytes[i] <= bytes && bytes - trace->memcpy.bytes[i] < 512) {
            return true;
        }
    }
    return false;
}

/* Forward block of a moment + 1: blocks of a step ascend and do not overlap. */
uint32_t ps__role_forward_block_at(const ps_structure *out, ps_ns at)
{
    size_t low = 0, high = out->block_count;
    while (low < high) {
        const size_t mid = low + (high - low) / 2;
        if (out->block[mid].start_ns <= at) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    if (low == 0 || at >= out->block[low - 1].end_ns ||
        out->block[low - 1].phase != PS_PHASE_FORWARD) {
        return 0;
    }
    return (uint32_t)low;
}

/* Outlives the block it was born in by more than the block's own length: kept for a backward that
 * the recording does not hold, not passed on to the next block. */
static bool outlives_block(const ps_role_stage *self, const ps_structure_buffer *buffer)
{
    const ps_structure *out = self->recovery->out;
    const uint32_t block = ps__role_forward_block_at(out, ps__role_time(self, buffer->birth_row));
    if (block == 0) {
        return false;
    }
    const ps_structure_block *of = &out->block[block - 1];
    return ps__role_time(self, buffer->death_row) - of->end_ns > of->end_ns - of->start_ns;
}

static bool dies_in_same(const ps_structure_buffer *buffer)
{
    return buffer->death_row != PS_STRUCTURE_NONE && buffer->death_step == buffer->birth_step &&
           buffer->death == buffer->birth;
}

static void decide_forward(const ps_role_stage *self, size_t b, ps_structure_buffer *buffer)
{
    const bool is_late = self->recovery->has_phase_evidence;
    if (is_copied_from_host(self, buffer)) {
        ps__role_decide(buffer, PS_ROLE_INPUT, 800);
    } else if (ps__role_is_workspace(self, b) && buffer->birth_step != PS_STRUCTURE_NONE &&
               buffer->birth_step + 1 < self->recovery->out->step_count) {
        ps__role_decide(buffer, PS_ROLE_WORKSPACE, 800);
    } else if (dies_in_same(buffer) && outlives_block(self, buffer)) {
        ps__role_decide(buffer, PS_ROLE_ACTIVATION, 500);
    } else if (dies_in_same(buffer)) {
        ps__role_decide(buffer, PS_ROLE_TEMPORARY, is_late ? 850 : 500);
    } else {
        ps__role_decide(buffer, PS_ROLE_ACTIVATION, is_late ? 850 : 500);
        buffer->is_saved = buffer->death != PS_PHASE_FORWARD;
    }
}

static void decide_backward(const ps_role_stage *self, size_t b, ps_structure_buffer *buffer)
{
    const char *stack = stack_of(self, buffer);
    if (dies_in_same(buffer)) {
        ps__role_decide(buffer, PS_ROLE_TEMPORARY, 850);
    } else if (strstr(stack, "AccumulateGrad") != NULL) {
        ps__role_decide(buffer, PS_ROLE_GRADIENT, 950);
    } else if (ps__role_has_parameter_size(self, b)) {
        ps__role_decide(buffer, PS_ROLE_GRADIENT, 850);
    } else if (ps__role_is_workspace(self, b)) {
        ps__role_decide(buffer, PS_ROLE_WORKSPACE, 700);
    } else {
        ps__role_decide(buffer, PS_ROLE_GRADIENT, self->parameter_count == 0 ? 600 : 400);
    }
}

static void decide_optimizer(const ps_role_stage *self, size_t b, ps_structure_buffer *buffer)
{
    if (dies_in_same(buffer)) {
        ps__role_decide(buffer, PS_ROLE_TEMPORARY, 850);
    } else if (ps__role_is_never_freed(self, buffer)) {
        ps__role_decide(buffer, PS_ROLE_OPTIMIZER_STATE,
                        ps__role_has_parameter_size(self, b) ? 900 : 700);
    } else {
        /* replaced by the next step: state or parameters that are not changed in place */
        ps__role_decide(buffer, PS_ROLE_OPTIMIZER_STATE,
                        ps__role_has_parameter_size(self, b) ? 600 : 400);
    }
}

/* What was there before the recording and dies in a step is left over from the step before. */
static void decide_older(const ps_role_stage *self, size_t b, ps_structure_buffer *buffer)
{
    if (buffer->death == PS_PHASE_OPTIMIZER || ps__role_has_parameter_size(self, b)) {
        ps__role_decide(buffer, PS_ROLE_GRADIENT, 400);
    } else if (buffer->death == PS_PHASE_BACKWARD) {
        ps__role_decide(buffer, PS_ROLE_ACTIVATION, 500);
    } else {
        ps__role_decide(buffer, PS_ROLE_UNKNOWN, 0);
    }
}

void ps__role_of_phase(const ps_role_stage *self, size_t b)
{
    ps_structure_buffer *buffer = &self->recovery->out->buffer[b];
    if (buffer->role != PS_ROLE_UNKNOWN) {
        return;
    }
    if (buffer->birth_row == PS_STRUCTURE_NONE) {
        decide_older(self, b, buffer);
        return;
    }
    if (self->recovery->trace->memory.action[buffer->birth_row] == PS_ACTION_OOM) {
        return;
    }
    switch (buffer->birth) {
    case PS_PHASE_FORWARD:
        decide_forward(self, b, buffer);
        break;
    case PS_PHASE_BACKWARD:
        decide_backward(self, b, buffer);
        break;
    case PS_PHASE_OPTIMIZER:
        decide_optimizer(self, b, buffer);
        break;
    case PS_PHASE_UNKNOWN:
        if (is_copied_from_host(self, buffer)) { /* the first batch comes before the first step */
            ps__role_decide(buffer, PS_ROLE_INPUT, 600);
        } else if (buffer->death_row != PS_STRUCTURE_NONE) {
            ps__role_decide(buffer, PS_ROLE_TEMPORARY, 300);
        }
        break;
    }
}
