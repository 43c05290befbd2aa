/* SPDX-License-Identifier: MIT
 *
 * What every buffer was for.
 *
 *   born                 and                                     is
 *   before the steps     never freed                             parameter; optimizer state when
 *                                                                the optimizer's own code made it
 *   in a forward         freed in the same forward               temporary
 *                        alive when its step's backward began    activation, saved for it
 *                        freed long after its block              activation
 *                        copied from the host                    input
 *   in a backward        freed in the same backward              temporary
 *                        alive behind it, of a parameter's size  gradient
 *   in an optimizer      freed in the same optimizer step        temporary
 *                        alive behind it                         optimizer state, or what the
 *                                                                buffer was that it replaces
 *   by a product         never freed, of a size seen at most     workspace
 *                        twice (forward's and backward's thread)
 *   in the first step    never freed, one in forward and one in  workspace
 *                        backward, no other of that size
 *
 * What goes behind the last step goes because the program ends: it counts as never freed.
 *
 * Nothing before the steps is recorded when a profiler starts late; then
 * sizes of parameters are those of what lives through the whole recording.
 */
#include "workload/recover/role_parts.h"

/* A recording that ends within a step sees no program end. */
static ps_ns end_of_steps(const ps_structure *out)
{
    return out->step_count > 0 ? out->step[out->step_count - 1].end_ns : PS_TIME_NEVER;
}

static void locate(const ps_role_stage *self, ps_structure_buffer *buffer)
{
    const ps_structure *out = self->recovery->out;
    if (buffer->birth_row != PS_STRUCTURE_NONE) {
        const ps_ns at = ps__role_time(self, buffer->birth_row);
        buffer->birth_step = ps_structure_step_at(out, at);
        buffer->birth = buffer->birth_step == PS_STRUCTURE_NONE ? PS_PHASE_UNKNOWN
                                                                : ps_structure_phase_at(out, at);
    }
    if (buffer->death_row != PS_STRUCTURE_NONE) {
        const ps_ns at = ps__role_time(self, buffer->death_row);
        buffer->death_step = ps_structure_step_at(out, at);
        buffer->death = ps_structure_phase_at(out, at);
    }
}

static void override_roles(ps_role_stage *self)
{
    const ps_overrides *overrides = self->recovery->overrides;
    ps_structure *out = self->recovery->out;
    for (size_t i = 0; i < overrides->count; i++) {
        const ps_override *row = &overrides->row[i];
        for (size_t b = 0; row->what == PS_OVERRIDE_ROLE && b < out->buffer_count; b++) {
            const bool is_meant = row->by == PS_OVERRIDE_BY_SIZE
                                      ? self->recovery->plan->buffer.bytes[b] == row->bytes
                                  : row->by == PS_OVERRIDE_BY_LABEL
                                      ? ps_pattern_matches(row->pattern, ps__role_label(self, b))
                                      : out->buffer[b].birth == row->phase &&
                                            out->buffer[b].birth_row != PS_STRUCTURE_NONE;
            if (is_meant) {
                ps__role_decide(&out->buffer[b], row->role, 1000);
                self->overridden++;
            }
        }
    }
}

/* ---- saved tensors by block ---- */

static void sum_saved(ps_role_stage *self, uint64_t *bytes, size_t *count)
{
    ps_structure *out = self->recovery->out;
    for (size_t b = 0; b < out->buffer_count; b++) {
        ps_structure_buffer *buffer = &out->buffer[b];
        if (buffer->birth_row == PS_STRUCTURE_NONE) {
            continue;
        }
        buffer->block = ps__role_forward_block_at(out, ps__role_time(self, buffer->birth_row));
        if (buffer->is_saved) {
            *bytes += self->recovery->plan->buffer.bytes[b];
            (*count)++;
        }
        if (buffer->is_saved && buffer->block != 0) {
            out->block[buffer->block - 1].saved_bytes += self->recovery->plan->buffer.bytes[b];
            out->block[buffer->block - 1].saved_count++;
        }
    }
}

static ps_code report(ps_role_stage *self, ps_error *err)
{
    ps_recovery *recovery = self->recovery;
    const ps_structure *out = recovery->out;
    uint64_t weighted = 0, bytes = 0, known = 0;
    for (size_t b = 0; b < out->buffer_count; b++) {
        const uint64_t size = recovery->plan->buffer.bytes[b] / 512 + 1;
        weighted += size * out->buffer[b].confidence;
        bytes += size;
        known += out->buffer[b].role != PS_ROLE_UNKNOWN;
    }
    if (self->overridden > 0) {
        PS_TRY(ps__recover_find(recovery, "roles", "structure file", 1000, err, "%zu buffers",
                                self->overridden));
    }
    if (out->buffer_count > 0) {
        PS_TRY(ps__recover_find(recovery, "roles", "lifetimes, phases, sizes and operators",
                                (ps_permille)(weighted / bytes), err,
                                "%llu of %zu buffers; confidence is the mean over bytes",
                                (unsigned long long)known, out->buffer_count));
    }
    uint64_t saved = 0;
    size_t count = 0;
    sum_saved(self, &saved, &count);
    return count == 0 ? PS_OK
                      : ps__recover_find(recovery, "saved for backward",
                                         "born in forward, alive behind it",
                                         recovery->has_phase_evidence ? 850 : 400, err,
                                         "%zu tensors, %llu bytes over all steps", count,
                                         (unsigned long long)saved);
}

static ps_code decide_all(ps_role_stage *self, ps_error *err)
{
    ps_structure *out = self->recovery->out;
    for (size_t b = 0; b < out->buffer_count; b++) {
        const uint64_t bytes = self->recovery->plan->buffer.bytes[b];
        const uint32_t count = ps_idmap_get(&self->size_counts, bytes);
        locate(self, &out->buffer[b]);
        PS_TRY(
            ps_idmap_put(&self->size_counts, bytes, count == PS_IDMAP_NONE ? 1 : count + 1, err));
    }
    PS_TRY(ps__roles_of_setup(self, err));
    PS_TRY(ps__roles_of_built(self, err));
    PS_TRY(ps__roles_of_successors(self, err));
    for (size_t b = 0; b < out->buffer_count; b++) {
        ps__role_of_phase(self, b);
    }
    override_roles(self);
    return report(self, err);
}

ps_code ps__recover_roles(ps_recovery *recovery, ps_error *err)
{
    ps_role_stage self = {.recovery = recovery,
                          .setup_end_ns = ps__role_end_of_setup(recovery),
                          .last_end_ns = end_of_steps(recovery->out)};
    const ps_code code = decide_all(&self, err);
    ps_idmap_fini(&self.parameter_sizes);
    ps_idmap_fini(&self.size_counts);
    return code;
}
