/* SPDX-License-Identifier: MIT
 *
 * New sizes of buffers: who is believed.
 *
 *   1. a person, by the structure file
 *   2. a sure role: parameters, gradients and optimizer states never grow; nor
 *      do, without shapes, buffers of the size of a parameter
 *   3. recorded shapes
 *   4. a role that is not sure
 *   5. what divides the bytes
 */
#include "policy/whatif_scale_buffers_parts.h"

/* A role surer than this outweighs what shapes say. */
#define SURE_ROLE 800u

const char *ps__scaling_label(const ps_scaling *self, size_t b)
{
    return ps_strings_text(self->plan->strings, self->plan->buffer.label[b]);
}

bool ps__is_model_role(ps_role role)
{
    return role == PS_ROLE_PARAMETER || role == PS_ROLE_GRADIENT || role == PS_ROLE_OPTIMIZER_STATE;
}

static bool override_of(const ps_buffer_stage *self, size_t b, uint64_t bytes,
                        ps_scaled_buffer *out)
{
    const ps_overrides *overrides = self->scaling->change->overrides;
    bool found = false;
    for (size_t i = 0; overrides != NULL && i < overrides->count; i++) {
        const ps_override *row = &overrides->row[i];
        if (row->what == PS_OVERRIDE_SCALING &&
            (row->by == PS_OVERRIDE_BY_SIZE
                 ? row->bytes == bytes
                 : ps_pattern_matches(row->pattern, ps__scaling_label(self->scaling, b)))) {
            *out = ps__grow_as(self, (ps_growth)row->growth, bytes);
            found = true;
        }
    }
    return found;
}

static void credit(ps_scaling *self, uint32_t maker, uint64_t old_bytes, uint64_t new_bytes)
{
    if (maker != PS_SCALING_NO_RANGE) {
        self->born_old[maker] += old_bytes;
        self->born_new[maker] += new_bytes;
    }
}

static bool is_surely_fixed(const ps_buffer_stage *self, const ps_structure_buffer *buffer,
                            uint64_t bytes)
{
    const bool has_shapes = self->scaling->has_shapes;
    if (ps__is_model_role(buffer->role) && (buffer->confidence >= SURE_ROLE || !has_shapes)) {
        return true;
    }
    return !has_shapes && ps_idmap_get(&self->fixed_bytes, bytes) != PS_IDMAP_NONE &&
           buffer->role != PS_ROLE_ACTIVATION;
}

static ps_scaled_buffer fixed_by_role(ps_scaling *scaling, uint64_t bytes)
{
    scaling->counts_by_role++;
    return (ps_scaled_buffer){.fit = PS_FIT_EXACT, .growth = PS_GROWTH_FIXED, .new_bytes = bytes};
}

/* true where shapes explain a buffer. */
static bool try_shapes(ps_buffer_stage *self, const ps_structure_buffer *buffer, uint64_t bytes,
                       ps_scaled_buffer *out)
{
    ps_scaling *scaling = self->scaling;
    if (!scaling->has_shapes || buffer->birth_row == PS_STRUCTURE_NONE) {
        return false;
    }
    uint32_t maker;
    *out = ps__explain_by_shape(self, buffer->birth_row, bytes, !ps__is_model_role(buffer->role),
                                &maker);
    if (out->fit == PS_FIT_NONE) {
        return false;
    }
    scaling->counts_by_shape++;
    if (out->growth == PS_GROWTH_FIXED) {
        out->new_bytes = bytes; /* also what the block holds beyond the request */
    }
    credit(scaling, maker, bytes, out->new_bytes);
    return true;
}

static ps_scaled_buffer explain(ps_buffer_stage *self, size_t b, uint64_t bytes)
{
    ps_scaling *scaling = self->scaling;
    const ps_structure_buffer *buffer = &scaling->change->structure->buffer[b];
    ps_scaled_buffer found;
    if (override_of(self, b, bytes, &found)) {
        scaling->counts_by_person++;
        return found;
    }
    if (is_surely_fixed(self, buffer, bytes)) {
        return fixed_by_role(scaling, bytes);
    }
    if (try_shapes(self, buffer, bytes, &found)) {
        return found;
    }
    if (ps__is_model_role(buffer->role)) {
        return fixed_by_role(scaling, bytes);
    }
    scaling->counts_by_size++;
    found = ps__explain_by_size(self, b, bytes);
    if (buffer->birth_row != PS_STRUCTURE_NONE) {
        const ps_memory_table *memory = &scaling->trace->memory;
        const uint32_t maker = ps__scaling_maker_at(scaling, memory->tid[buffer->birth_row],
                                                    memory->time_ns[buffer->birth_row]);
        credit(scaling, maker, bytes, found.new_bytes);
    }
    return found;
}

static ps_code scale_buffers(ps_buffer_stage *self, ps_error *err)
{
    ps_plan *plan = self->scaling->plan;
    PS_TRY(ps__note_sizes(self, err));
    for (size_t b = 0; b < plan->buffer.head.count; b++) {
        self->is_block = plan->device.sizes_are_blocks[plan->buffer.device[b]] != 0;
        const ps_scaled_buffer found = explain(self, b, plan->buffer.bytes[b]);
        plan->buffer.growth[b] = (uint8_t)found.growth;
        plan->buffer.bytes[b] = found.new_bytes == 0 ? 1 : found.new_bytes;
    }
    return PS_OK;
}

ps_code ps__scaling_buffers(ps_scaling *scaling, ps_error *err)
{
    ps_buffer_stage self = {.scaling = scaling};
    const ps_code code = scale_buffers(&self, err);
    ps_idmap_fini(&self.score_bytes);
    ps_idmap_fini(&self.fixed_bytes);
    return code;
}
