/* SPDX-License-Identifier: MIT
 *
 * Plans from any input a verb takes: a plan, a trace, or a recording of
 * another tool, which is imported and lowered on the way.
 */
#ifndef PS_TOOLS_LOAD_PLAN_H
#define PS_TOOLS_LOAD_PLAN_H

#include "plan/plan.h"
#include "workload/recover/overrides.h"

/** Loads a plan by the content of the file. *out is owned by the caller. */
ps_code ps_load_plan(const char *path, ps_plan **out, ps_error *err) PS_MUST_USE;

/** A plan with what it was made from. */
typedef struct ps_loaded {
    ps_plan *plan;
    ps_trace *trace;         /* NULL: the file was a plan */
    ps_structure *structure; /* of the trace; NULL: the file was a plan */
    ps_structure kept;
    ps_overrides overrides;
} ps_loaded;

/**
 * Loads a plan, recovers the structure of the trace it comes from, and writes
 * the roles that are surer than not into the plan.
 *
 * @param structure_file  path of a structure file; NULL none. PS_USAGE with a plan
 * @param out             release with ps_loaded_fini; written only on PS_OK
 */
ps_code ps_load_with_structure(const char *path, const char *structure_file, ps_loaded *out,
                               ps_error *err) PS_MUST_USE;

void ps_loaded_fini(ps_loaded *self);

#endif
