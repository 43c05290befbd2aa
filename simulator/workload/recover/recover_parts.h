/* SPDX-License-Identifier: MIT
 *
 * Stages of recovering a structure (private to this folder).
 */
#ifndef PS_RECOVER_RECOVER_PARTS_H
#define PS_RECOVER_RECOVER_PARTS_H

#include "workload/recover/overrides.h"
#include "workload/recover/repeat.h"
#include "workload/recover/structure.h"

#define PS_STRUCTURE_MAX ((size_t)1 << 28)

/* What all stages read, and the structure they fill. */
typedef struct ps_recovery {
    const ps_trace *trace;
    const ps_plan *plan;
    const ps_overrides *overrides; /* never NULL */
    ps_structure *out;
    ps_ns first_ns, last_ns; /* of the trace: first start, last end */
    bool has_phase_evidence; /* something recorded tells phases */
    bool tells_backward;     /* had there been a backward, the recording would say so */
} ps_recovery;

/* ---- stages, in order ---- */

/** Which rows of the memory table begin and end every buffer of the plan. */
ps_code ps__recover_rows(ps_recovery *self, ps_error *err) PS_MUST_USE;

/** Moments at which a phase is known to begin: ranges and stacks. */
ps_code ps__recover_marks(ps_recovery *self, ps_error *err) PS_MUST_USE;

/** Steps: marks, optimizer steps, period, or the whole. */
ps_code ps__recover_steps(ps_recovery *self, ps_error *err) PS_MUST_USE;

/** Phases from the marks and steps, else from the rise and fall of memory. */
ps_code ps__recover_phases(ps_recovery *self, ps_error *err) PS_MUST_USE;

/** Blocks: module ranges, else repeated runs; backward ones paired with forward ones. */
ps_code ps__recover_blocks(ps_recovery *self, ps_error *err) PS_MUST_USE;

/** Roles, saved tensors. */
ps_code ps__recover_roles(ps_recovery *self, ps_error *err) PS_MUST_USE;

/* ---- helpers ---- */

/** Appends a finding; `detail` is formatted. */
ps_code ps__recover_find(ps_recovery *self, const char *what, const char *how,
                         ps_permille confidence, ps_error *err, const char *detail, ...) PS_MUST_USE
    PS_PRINTF(6, 7);

/** Phase that a range tells by its name, with *phase; false when it tells none. */
bool ps__recover_range_phase(const ps_recovery *self, size_t range, ps_phase *phase);

/** Phase that the frames of an allocation tell; false when they tell none. */
bool ps__recover_stack_phase(const char *stack, ps_phase *phase);

/** True when the frames are those of building a model, not of running it. */
bool ps__recover_is_setup_stack(const char *stack);

/** Text of the interned id in the trace. */
const char *ps__recover_text(const ps_recovery *self, ps_str id);

/**
 * Shortest period under which the end of a sequence repeats for most of its length: the
 * period of training steps rather than of layers. 0 when there is none.
 */
size_t ps__tail_period(const uint64_t *key, size_t n, ps_error *err, ps_code *code);

#endif
