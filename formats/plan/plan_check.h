/* SPDX-License-Identifier: MIT
 *
 * The parts of ps_plan_check, in the order they must run: a later part
 * indexes by values that an earlier one has verified.
 */
#ifndef PS_PLAN_PLAN_CHECK_H
#define PS_PLAN_PLAN_CHECK_H

#include "plan/plan.h"

/** Every cell by itself: strings exist, enumerations and references in range, times >= 0. */
ps_code ps_plan_check_columns(const ps_plan *plan, ps_error *err) PS_MUST_USE;

/** Segments ascend, blocks tile them, buffers are allocated once and freed at most once after. */
ps_code ps_plan_check_memory(const ps_plan *plan, ps_error *err) PS_MUST_USE;

/** True for the kinds that a host lane alone can run and that memops and steps refer to. */
static inline bool ps_plan_is_host_task(const ps_plan *plan, uint32_t task)
{
    return plan->task.kind[task] == PS_TASK_HOST || plan->task.kind[task] == PS_TASK_WAIT;
}

#endif
