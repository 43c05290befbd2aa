/* SPDX-License-Identifier: MIT
 *
 * What was there before the steps: the model, and its optimizer's state.
 */
#include <string.h>

#include "workload/recover/role_parts.h"

/* "aten::empty", "zeros_like, model.py:3 __init__", or nobody known: what building a model asks. */
static bool is_building(const char *label)
{
    static const char *const words[] = {"empty",   "zeros", "ones", "full",  "rand",    "normal",
                                        "uniform", "to",    "copy", "clone", "_to_copy"};
    const char *bare = strncmp(label, "aten::", 6) == 0 ? label + 6 : label;
    if (bare[0] == '\0') {
        return true;
    }
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strncmp(bare, words[i], strlen(words[i])) == 0) {
            return true;
        }
    }
    return false;
}

/* The first request of a device that building a model does not make. */
static ps_ns first_computation(const ps_recovery *recovery)
{
    const ps_plan *plan = recovery->plan;
    for (size_t b = 0; b < recovery->out->buffer_count; b++) {
        const uint32_t row = recovery->out->buffer[b].birth_row;
        if (row != PS_STRUCTURE_NONE &&
            !is_building(ps_strings_text(plan->strings, plan->buffer.label[b]))) {
            return recovery->trace->memory.time_ns[row];
        }
    }
    return PS_TIME_NEVER;
}

/* Where phases are told, the first step ends it; else the first free, or the first computation. */
ps_ns ps__role_end_of_setup(const ps_recovery *recovery)
{
    const ps_memory_table *memory = &recovery->trace->memory;
    const ps_structure *out = recovery->out;
    const ps_ns start = out->step_count > 0 ? out->step[0].start_ns : PS_TIME_NEVER;
    if (recovery->has_phase_evidence) {
        return start;
    }
    const ps_ns computes = first_computation(recovery);
    for (size_t row = 0; row < memory->head.count && memory->time_ns[row] < computes; row++) {
        if (memory->device_kind[row] != PS_DEVICE_HOST &&
            (memory->action[row] == PS_ACTION_FREE ||
             memory->action[row] == PS_ACTION_FREE_REQUESTED)) {
            return memory->time_ns[row];
        }
    }
    return computes == PS_TIME_NEVER ? start : computes;
}

static bool is_of_setup(const ps_role_stage *self, const ps_structure_buffer *buffer)
{
    return buffer->birth_row == PS_STRUCTURE_NONE ||
           ps__role_time(self, buffer->birth_row) < self->setup_end_ns;
}

/* Without marks of phases the model is built in what counts as the first forward: what outlives a
 * step that is not the last is no activation. With marks only what is never freed is of the model:
 * variables such as the loss live until the next step assigns them. */
static bool outlives_first_step(const ps_role_stage *self, const ps_structure_buffer *buffer)
{
    const ps_structure *out = self->recovery->out;
    const bool outlives = self->recovery->has_phase_evidence ? ps__role_is_never_freed(self, buffer)
                                                             : buffer->death_step != 0;
    return buffer->birth_step == 0 && buffer->birth == PS_PHASE_FORWARD && out->step_count > 1 &&
           (buffer->death_row == PS_STRUCTURE_NONE || outlives);
}

/* What was there from the beginning and is never freed. */
ps_code ps__roles_of_setup(ps_role_stage *self, ps_error *err)
{
    ps_structure *out = self->recovery->out;
    for (size_t b = 0; b < out->buffer_count; b++) {
        ps_structure_buffer *buffer = &out->buffer[b];
        if (!is_of_setup(self, buffer)) {
            continue;
        }
        const ps_str stack = buffer->birth_row == PS_STRUCTURE_NONE
                                 ? 0
                                 : self->recovery->trace->memory.stack[buffer->birth_row];
        const char *frames = ps__recover_text(self->recovery, stack);
        const bool is_known = stack != 0 && ps__recover_is_setup_stack(frames);
        if (buffer->death_row != PS_STRUCTURE_NONE &&
            ps__role_time(self, buffer->death_row) < self->setup_end_ns) {
            ps__role_decide(buffer, PS_ROLE_TEMPORARY, 700);
            continue;
        }
        if (!ps__role_is_never_freed(self, buffer) && !is_known) {
            continue; /* it dies in a step: gradients, inputs and activations of an earlier one */
        }
        if (stack != 0 && strstr(frames, "optim") != NULL) {
            ps__role_decide(buffer, PS_ROLE_OPTIMIZER_STATE, 850);
            continue;
        }
        ps__role_decide(buffer, PS_ROLE_PARAMETER, is_known ? 900 : stack == 0 ? 600 : 500);
        const uint64_t bytes = self->recovery->plan->buffer.bytes[b];
        PS_TRY(ps_idmap_put(&self->parameter_sizes, bytes, 1, err));
        self->parameter_count++;
    }
    return PS_OK;
}

ps_code ps__roles_of_built(ps_role_stage *self, ps_error *err)
{
    ps_structure *out = self->recovery->out;
    for (size_t b = 0; b < out->buffer_count; b++) {
        ps_structure_buffer *buffer = &out->buffer[b];
        if (buffer->role == PS_ROLE_UNKNOWN && outlives_first_step(self, buffer) &&
            !ps__role_is_product(ps__role_label(self, b)) && !ps__role_is_one_of_two(self, b)) {
            ps__role_decide(buffer, PS_ROLE_PARAMETER, 600);
            PS_TRY(ps_idmap_put(&self->parameter_sizes, self->recovery->plan->buffer.bytes[b], 1,
                                err));
            self->parameter_count++;
        }
    }
    return PS_OK;
}
