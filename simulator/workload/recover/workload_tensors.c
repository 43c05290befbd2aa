/* SPDX-License-Identifier: MIT
 *
 * Tensors of a recovered workload: a row for each buffer of the device. Those from
 * before the recording are there first; of others it is noted which rows of the
 * memory table begin and end them.
 */
#include "workload/recover/workload_parts.h"

typedef ps_writing writing;

static bool is_of_model(ps_role role)
{
    return role == PS_ROLE_PARAMETER || role == PS_ROLE_GRADIENT || role == PS_ROLE_OPTIMIZER_STATE;
}

ps_code ps__write_tensor(writing *self, uint32_t b, ps_error *err)
{
    const ps_structure_buffer *buffer = &self->structure->buffer[b];
    ps_workload_tensor_table *tensor = &self->out->tensor;
    size_t row;
    PS_TRY(ps_workload_add(self->out, PS_WORKLOAD_TENSOR, &row, err));
    tensor->bytes[row] = self->plan->buffer.bytes[b];
    tensor->role[row] = (uint8_t)buffer->role;
    tensor->is_saved[row] = buffer->is_saved;
    tensor->scaling[row] = is_of_model(buffer->role) ? PS_SCALING_FIXED : PS_SCALING_UNKNOWN;
    if (buffer->birth_row != PS_STRUCTURE_NONE) {
        tensor->block[row] =
            ps__write_block_at(self, self->trace->memory.time_ns[buffer->birth_row]);
    }
    self->tensor_of[b] = (uint32_t)row + 1;
    PS_TRY(ps_strings_put_z(self->out->strings,
                            ps_strings_text(self->plan->strings, self->plan->buffer.label[b]),
                            &tensor->label[row], err));
    return ps_workload_add_event(self->out, PS_WORKLOAD_EVENT_ALLOC, (uint32_t)row, err);
}

/* What the recording counts and never names; one tensor stands for all of it. */
static ps_code add_unnamed(writing *self, ps_error *err)
{
    const uint64_t bytes = self->plan->device.base_live_bytes[self->device];
    size_t row;
    if (bytes == 0) {
        return PS_OK;
    }
    PS_TRY(ps_workload_add(self->out, PS_WORKLOAD_TENSOR, &row, err));
    self->out->tensor.bytes[row] = bytes;
    self->out->tensor.role[row] = PS_ROLE_PARAMETER;
    self->out->tensor.scaling[row] = PS_SCALING_FIXED;
    return ps_workload_add_event(self->out, PS_WORKLOAD_EVENT_ALLOC, (uint32_t)row, err);
}

ps_code ps__write_older(writing *self, ps_error *err)
{
    PS_TRY(add_unnamed(self, err));
    for (uint32_t b = 0; b < self->structure->buffer_count; b++) {
        const ps_structure_buffer *buffer = &self->structure->buffer[b];
        if (self->plan->buffer.device[b] != self->device) {
            continue;
        }
        if (buffer->birth_row == PS_STRUCTURE_NONE) {
            PS_TRY(ps__write_tensor(self, b, err));
        } else if (self->trace->memory.action[buffer->birth_row] == PS_ACTION_ALLOC) {
            self->event_of_row[buffer->birth_row] = b + 1;
        }
        if (buffer->death_row != PS_STRUCTURE_NONE) {
            self->event_of_row[buffer->death_row] = b + 1;
        }
    }
    return PS_OK;
}
