/* SPDX-License-Identifier: MIT
 *
 * Memory that libraries take from the framework's allocator: the first product
 * of a thread takes it, and all others use it.
 */
#include <string.h>

#include "workload/recover/role_parts.h"

/* A matrix product's operator, as profilers and stacks name it. */
bool ps__role_is_product(const char *label)
{
    static const char *const words[] = {"mm",     "addmm", "bmm",   "baddbmm", "linear", "matmul",
                                        "einsum", "conv",  "Addmm", "Mm",      "Bmm"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        const char *hit = strstr(label, words[i]);
        if (hit != NULL && (hit == label || hit[-1] == ':' || hit[-1] == ' ')) {
            return true;
        }
    }
    return false;
}

/* A library's own memory: taken by the first product of a thread, kept for all others. */
static bool is_of_product(const ps_role_stage *self, size_t b)
{
    return ps__role_is_never_freed(self, &self->recovery->out->buffer[b]) &&
           ps__role_is_product(ps__role_label(self, b)) &&
           ps_idmap_get(&self->size_counts, self->recovery->plan->buffer.bytes[b]) <= 2;
}

static bool is_of_first_step(const ps_role_stage *self, size_t b, ps_phase birth)
{
    const ps_structure_buffer *buffer = &self->recovery->out->buffer[b];
    return buffer->birth_step == 0 && buffer->birth == birth &&
           ps__role_is_never_freed(self, buffer);
}

static bool is_in_first_step(const ps_role_stage *self, size_t b)
{
    return is_of_first_step(self, b, PS_PHASE_FORWARD) ||
           is_of_first_step(self, b, PS_PHASE_BACKWARD);
}

/* The same without a name: the threads of forward and backward have taken one each. */
bool ps__role_is_one_of_two(const ps_role_stage *self, size_t b)
{
    const ps_structure *out = self->recovery->out;
    const uint64_t bytes = self->recovery->plan->buffer.bytes[b];
    if (!self->recovery->has_phase_evidence || out->step_count < 2 || !is_in_first_step(self, b) ||
        ps_idmap_get(&self->size_counts, bytes) != 2) {
        return false;
    }
    const ps_phase other =
        out->buffer[b].birth == PS_PHASE_FORWARD ? PS_PHASE_BACKWARD : PS_PHASE_FORWARD;
    for (size_t i = 0; i < out->buffer_count; i++) {
        if (self->recovery->plan->buffer.bytes[i] == bytes && is_of_first_step(self, i, other)) {
            return true;
        }
    }
    return false;
}

bool ps__role_is_workspace(const ps_role_stage *self, size_t b)
{
    return is_of_product(self, b) || ps__role_is_one_of_two(self, b);
}
