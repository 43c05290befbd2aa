/* SPDX-License-Identifier: MIT
 *
 * The structure of a recorded job: steps, phases, blocks, and what every
 * tensor was for.
 *
 * A recording says little of this; most is inferred. So nothing is found
 * without saying how, and how sure that is. Evidence, best first:
 *
 *   steps    marks of the recorder or profiler, ends of optimizer steps, the
 *            period of the allocations, else the whole recording
 *   phases   annotations and autograd's operators, frames of recorded stacks,
 *            else the rise and fall of memory
 *   blocks   module ranges, else the longest repeated run of kernels or allocations
 *   roles    phase of birth and death, sizes of parameters, operators
 *
 * Times are those of the trace's own clock, which may be one of order alone.
 */
#ifndef PS_RECOVER_STRUCTURE_H
#define PS_RECOVER_STRUCTURE_H

#include "plan/plan.h"
#include "trace/trace.h"

/** No step, no row. */
#define PS_STRUCTURE_NONE UINT32_MAX

/** Kind of a block that no module range names: a piece of a run of equal ones. */
#define PS_STRUCTURE_REPEATED "repeated"

/** Certainty that a finding is as stated: 1000 when it was recorded, 0 when it is a guess. */
typedef uint32_t ps_permille;

/** One thing that was found, in words. */
typedef struct ps_finding {
    const char *what; /* "steps", "phases", "blocks", "roles", ... */
    const char *how;  /* by what evidence; static text */
    ps_permille confidence;
    ps_str detail; /* of the structure's strings */
} ps_finding;

typedef struct ps_structure_step {
    ps_str name;
    ps_ns start_ns, end_ns; /* [start, end) */
} ps_structure_step;

/** Time from `start_ns` to the next phase's start. */
typedef struct ps_structure_phase {
    ps_ns start_ns;
    ps_phase phase; /* PS_PHASE_UNKNOWN: set-up, or nothing is known */
} ps_structure_phase;

/** One run of a block (a layer) in one step and phase. */
typedef struct ps_structure_block {
    ps_str name;            /* module path, or "block 3" */
    ps_str kind;            /* class, or PS_STRUCTURE_REPEATED */
    ps_ns start_ns, end_ns; /* on the host */
    ps_ns may_end_ns; /* pieces that repeat: its end had they been cut as late as they could be */
    ps_phase phase;
    uint32_t step;
    uint32_t pair; /* row of the forward block this backward block belongs to + 1; 0 none */
    uint64_t saved_bytes, saved_count; /* forward: tensors kept for backward */
} ps_structure_block;

/** One buffer of the identity plan. */
typedef struct ps_structure_buffer {
    uint32_t birth_row, death_row; /* rows of the trace's memory table; NONE: origin, never freed */
    uint32_t birth_step, death_step;
    ps_phase birth, death;
    ps_role role; /* never PS_ROLE_BEFORE: what is from before the origin has a role too */
    ps_permille confidence;
    uint32_t block; /* forward block in which it was born + 1; 0 none */
    bool is_saved;  /* born in forward, needed by backward */
} ps_structure_buffer;

/** Everything found in one trace. */
typedef struct ps_structure {
    ps_strings *strings;
    ps_structure_step *step;
    size_t step_count, step_capacity;
    ps_structure_phase *phase; /* ascending */
    size_t phase_count, phase_capacity;
    ps_structure_block *block; /* ascending by start within a step */
    size_t block_count, block_capacity;
    ps_structure_buffer *buffer; /* by row of the plan's buffers */
    size_t buffer_count;
    ps_finding *finding;
    size_t finding_count, finding_capacity;
} ps_structure;

/** What a person says instead of what was found. See recover/overrides.h. */
struct ps_overrides;

/**
 * Finds the structure of a trace.
 *
 * @param trace      as ps_lower_trace left it
 * @param plan       the identity plan of that trace, unchanged; borrowed for the call
 * @param overrides  NULL: none
 * @param out        release with ps_structure_fini; written only on PS_OK
 * @return PS_OK · PS_NOMEM · PS_LIMIT · PS_USAGE an override that names no range of the trace
 */
ps_code ps_structure_recover(const ps_trace *trace, const ps_plan *plan,
                             const struct ps_overrides *overrides, ps_structure *out,
                             ps_error *err) PS_MUST_USE;

void ps_structure_fini(ps_structure *self);

/** Phase at a moment of the trace's clock. */
ps_phase ps_structure_phase_at(const ps_structure *self, ps_ns time_ns);

/** Step that holds a moment, or PS_STRUCTURE_NONE. */
uint32_t ps_structure_step_at(const ps_structure *self, ps_ns time_ns);

/** Bytes and buffers of each role live at the moment when most bytes were live. */
typedef struct ps_role_bytes {
    uint64_t bytes[PS_ROLE_COUNT], count[PS_ROLE_COUNT];
    uint64_t total_bytes; /* what the recording holds live but never names included */
    ps_ns time_ns;
} ps_role_bytes;

/** Sums sizes as recorded on one device (plan row) at the peak of their sum. */
ps_role_bytes ps_structure_peak(const ps_structure *self, const ps_trace *trace,
                                const ps_plan *plan, uint32_t device);

/**
 * Writes the roles into the plan's buffers and the phases into its tasks, which changes no
 * figure. Buffers of the origin stay PS_ROLE_BEFORE: a plan says so by their role.
 *
 * @param least  findings less sure than this are left out
 */
void ps_structure_label_plan(const ps_structure *self, ps_permille least, ps_plan *plan);

/** Name of a phase: kebab-case, static storage. */
const char *ps_phase_name(ps_phase phase);

#endif
