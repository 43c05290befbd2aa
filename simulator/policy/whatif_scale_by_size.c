/* SPDX-License-Identifier: MIT
 *
 * Sizes of buffers without shapes.
 *
 * The bytes themselves tell: what the recorded sequence squared divides and a
 * softmax made, what the sequence divides, what the batch divides.
 */
#include <string.h>

#include "policy/whatif_scale_buffers_parts.h"

static bool is_scores_text(const char *text)
{
    return strstr(text, "softmax") != NULL && strstr(text, "log_softmax") == NULL &&
           strstr(text, "cross_entropy") == NULL && strstr(text, "loss") == NULL;
}

ps_code ps__note_sizes(ps_buffer_stage *self, ps_error *err)
{
    const ps_scaling *scaling = self->scaling;
    const ps_structure *structure = scaling->change->structure;
    for (size_t b = 0; b < structure->buffer_count; b++) {
        const uint64_t bytes = scaling->plan->buffer.bytes[b];
        const uint32_t row = structure->buffer[b].birth_row;
        const ps_str stack = row == PS_STRUCTURE_NONE ? 0 : scaling->trace->memory.stack[row];
        if (ps__is_model_role(structure->buffer[b].role)) {
            PS_TRY(ps_idmap_put(&self->fixed_bytes, bytes, 1, err));
        }
        if (is_scores_text(ps__scaling_label(scaling, b)) ||
            (stack != 0 && is_scores_text(ps_strings_text(scaling->trace->strings, stack)))) {
            PS_TRY(ps_idmap_put(&self->score_bytes, bytes, 1, err));
        }
    }
    return PS_OK;
}

/* Candidate growths of sizes, strongest claim first. */
static const ps_growth claims[] = {
    PS_GROWTH_BATCH_SEQUENCE_SQUARED,
    PS_GROWTH_SEQUENCE_SQUARED,
    PS_GROWTH_BATCH_SEQUENCE,
    PS_GROWTH_SEQUENCE,
    PS_GROWTH_BATCH,
};

static uint64_t unit_of(ps_growth growth, uint64_t batch, uint64_t sequence)
{
    switch (growth) {
    case PS_GROWTH_BATCH:
        return batch;
    case PS_GROWTH_SEQUENCE:
        return sequence;
    case PS_GROWTH_BATCH_SEQUENCE:
        return ps_mul_div_u64(batch, sequence, 1);
    case PS_GROWTH_BATCH_SEQUENCE_SQUARED:
        return ps_mul_div_u64(ps_mul_div_u64(batch, sequence, 1), sequence, 1);
    case PS_GROWTH_SEQUENCE_SQUARED:
        return ps_mul_div_u64(sequence, sequence, 1);
    case PS_GROWTH_UNKNOWN:
    case PS_GROWTH_FIXED:
    case PS_GROWTH_UNDECIDED:
    case PS_GROWTH_COUNT:
        break;
    }
    return 0;
}

static uint64_t old_unit_of(const ps_scaling *self, ps_growth growth)
{
    return unit_of(growth, self->old_batch, self->old_sequence);
}

ps_scaled_buffer ps__grow_as(const ps_buffer_stage *self, ps_growth growth, uint64_t bytes)
{
    const ps_scaling *scaling = self->scaling;
    const uint64_t old_unit = old_unit_of(scaling, growth);
    const uint64_t new_unit = unit_of(growth, scaling->new_batch, scaling->new_sequence);
    if (old_unit == 0 || new_unit == 0) {
        return (ps_scaled_buffer){
            .fit = PS_FIT_EXACT, .growth = PS_GROWTH_FIXED, .new_bytes = bytes};
    }
    const uint64_t multiple = ps__block_multiple(self->is_block, bytes, old_unit);
    return (ps_scaled_buffer){
        .fit = PS_FIT_EXACT,
        .growth = growth,
        .new_bytes = ps_mul_div_u64(multiple == 0 ? bytes : multiple, new_unit, old_unit),
    };
}

static bool is_squared(ps_growth growth)
{
    return growth == PS_GROWTH_BATCH_SEQUENCE_SQUARED || growth == PS_GROWTH_SEQUENCE_SQUARED;
}

ps_scaled_buffer ps__explain_by_size(const ps_buffer_stage *self, size_t b, uint64_t bytes)
{
    const ps_scaling *scaling = self->scaling;
    const ps_role role = scaling->change->structure->buffer[b].role;
    const bool is_score = ps_idmap_get(&self->score_bytes, bytes) != PS_IDMAP_NONE;
    bool is_untold = false;
    for (size_t i = 0; i < sizeof claims / sizeof claims[0]; i++) {
        const uint64_t unit = old_unit_of(scaling, claims[i]);
        if (unit <= 1 || (is_squared(claims[i]) && !is_score) ||
            ps__block_multiple(self->is_block, bytes, unit) == 0) {
            continue;
        }
        if (ps__block_is_telling(self->is_block, unit)) {
            return ps__grow_as(self, claims[i], bytes);
        }
        is_untold = true;
    }
    const bool is_data = role == PS_ROLE_ACTIVATION || role == PS_ROLE_INPUT;
    if (is_untold && is_data && scaling->old_batch != 0) {
        /* what a batch makes; sizes do not deny it */
        return ps__grow_as(self, PS_GROWTH_BATCH, bytes);
    }
    return (ps_scaled_buffer){
        .fit = PS_FIT_LOOSE,
        .growth = is_untold ? PS_GROWTH_UNDECIDED : PS_GROWTH_FIXED,
        .new_bytes = bytes,
    };
}
