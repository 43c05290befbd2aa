/* SPDX-License-Identifier: MIT
 *
 * One what-if: a plan in, a result out. The result depends on the plan alone,
 * so a saved plan gives the same bytes again; every option of the command is
 * a change of the plan made before (policy/).
 */
#ifndef PS_RUN_RUN_H
#define PS_RUN_RUN_H

#include "plan/plan.h"
#include "result/result.h"

/**
 * Simulates a checked plan.
 *
 * @param plan  borrowed; must outlive *out
 * @param out   release with ps_result_fini
 * @return PS_OK, also when memory does not suffice (device.fits says so) ·
 *         PS_DEADLOCK the plan's tasks wait for each other · PS_NOMEM · PS_USAGE unknown allocator
 */
ps_code ps_run_plan(const ps_plan *plan, ps_result *out, ps_error *err) PS_MUST_USE;

/**
 * Simulates a checked plan as ps_run_plan does, for its memory and its step times alone: where time
 * goes (device.time, device.steady, steady) stays zero, which a search has no use for.
 */
ps_code ps_run_figures(const ps_plan *plan, ps_result *out, ps_error *err) PS_MUST_USE;

/**
 * [ns] ps_result.step_time_ns of a checked plan, without its memory; of one without steps all of
 * it. Fails as ps_run_plan.
 */
ps_code ps_run_step_time(const ps_plan *plan, ps_ns *out, ps_error *err) PS_MUST_USE;

/** Plan facts that a run reads. */
#define PS_PLAN_META_CACHE "cache" /* recovered | empty | steady : the allocator's starting state */

#endif
