/* SPDX-License-Identifier: MIT
 *
 * What every buffer was for, in parts (private to this folder):
 *
 *   roles.c            the rules in order, and what is reported
 *   role_setup.c       what was there before the steps
 *   role_workspace.c   memory of the libraries
 *   role_phase.c       what is born in a phase of a step
 *   role_successor.c   what an optimizer replaces
 */
#ifndef PS_RECOVER_ROLE_PARTS_H
#define PS_RECOVER_ROLE_PARTS_H

#include "base/idmap.h"
#include "workload/recover/recover_parts.h"

typedef struct ps_role_stage {
    ps_recovery *recovery;
    ps_idmap parameter_sizes; /* bytes -> how many */
    size_t parameter_count;
    ps_ns setup_end_ns;   /* what is born before and stays is of the model */
    ps_ns last_end_ns;    /* of the steps: what dies later does so because the program ends */
    ps_idmap size_counts; /* bytes -> how many buffers */
    size_t overridden;
} ps_role_stage;

/** [ns] of a row of the memory table; PS_TIME_NEVER of none. */
static inline ps_ns ps__role_time(const ps_role_stage *self, uint32_t row)
{
    return row == PS_STRUCTURE_NONE ? PS_TIME_NEVER : self->recovery->trace->memory.time_ns[row];
}

/** What goes behind the last step goes because the program ends. */
static inline bool ps__role_is_never_freed(const ps_role_stage *self,
                                           const ps_structure_buffer *buffer)
{
    return ps__role_time(self, buffer->death_row) >= self->last_end_ns;
}

static inline void ps__role_decide(ps_structure_buffer *buffer, ps_role role,
                                   ps_permille confidence)
{
    buffer->role = role;
    buffer->confidence = confidence;
}

/** Who asked for a buffer, as far as the recording says. */
static inline const char *ps__role_label(const ps_role_stage *self, size_t b)
{
    const ps_plan *plan = self->recovery->plan;
    return ps_strings_text(plan->strings, plan->buffer.label[b]);
}

/** True when a parameter has as many bytes. */
static inline bool ps__role_has_parameter_size(const ps_role_stage *self, size_t b)
{
    return ps_idmap_get(&self->parameter_sizes, self->recovery->plan->buffer.bytes[b]) !=
           PS_IDMAP_NONE;
}

/** Forward block of a moment + 1; 0 none: blocks of a step ascend and do not overlap. */
uint32_t ps__role_forward_block_at(const ps_structure *out, ps_ns at);

/** [ns] Where phases are told, the first step; else the first free, or the first computation. */
ps_ns ps__role_end_of_setup(const ps_recovery *recovery);

/** Roles of what was there from the beginning and is never freed. PS_OK · PS_NOMEM */
ps_code ps__roles_of_setup(ps_role_stage *self, ps_error *err) PS_MUST_USE;
/** Roles of models that are built in what counts as the first forward. PS_OK · PS_NOMEM */
ps_code ps__roles_of_built(ps_role_stage *self, ps_error *err) PS_MUST_USE;
/** Roles that pass on to what an optimizer makes in the place of a tensor. PS_OK · PS_NOMEM */
ps_code ps__roles_of_successors(ps_role_stage *stage, ps_error *err) PS_MUST_USE;
/** The role of a buffer that has none yet, by the phases of its birth and death. */
void ps__role_of_phase(const ps_role_stage *self, size_t b);

/** True of a matrix product's operator, as profilers and stacks name it. */
bool ps__role_is_product(const char *label);
/** True of one of two buffers of the first step that nothing else is as large as. */
bool ps__role_is_one_of_two(const ps_role_stage *self, size_t b);
/** True of a library's own memory. */
bool ps__role_is_workspace(const ps_role_stage *self, size_t b);

#endif
