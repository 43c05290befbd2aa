/* SPDX-License-Identifier: MIT
 *
 * Taking tasks, buffers and resident bytes out of a plan (private to this
 * folder). What stays keeps its order: who waited for a task that goes waits
 * for what that task waited for.
 *
 *   before   launch A ─► A ─► launch B ─► B ─► C      A, B, C on one stream
 *   B goes   launch A ─► A ─────────────────► C       and what B awaited on other lanes,
 *                                                     C awaits
 */
#ifndef PS_POLICY_PLAN_EDIT_H
#define PS_POLICY_PLAN_EDIT_H

#include "plan/plan.h"

/** Stands for the row of what went. */
#define PS_EDIT_GONE UINT32_MAX

/**
 * Takes tasks out, with their dependencies, transfers and accesses, and with the gaps before them.
 *
 *   order     for every two tasks that stay: what came before the other still does (plan_order.h),
 *             and nothing else does. A dependency on a task that goes becomes dependencies on what
 *             that one's edge waited for, with the lag of the old row: it is what waiting costs the
 *             task that waits. What came next on the lane waits for it too, without a lag.
 *   requests  of a task that goes, and bounds of steps in its course, move to the end of the task
 *             that stays before it on its thread, or to the gap before the one behind it
 *
 * @param plan     passed by ps_plan_check; unusable after a failure
 * @param drop     per task
 * @param new_row  per task: receives its new row, or PS_EDIT_GONE; NULL: not wanted
 * @return PS_OK · PS_USAGE requests of a thread of which nothing stays · PS_CHECK_FAILED tasks wait
 *         in a circle · PS_NOMEM
 * Cost: O((tasks + deps) * lanes) at worst; what stays costs O(tasks + deps)
 */
ps_code ps__plan_drop_tasks(ps_plan *plan, const bool *drop, uint32_t *new_row,
                            ps_error *err) PS_MUST_USE;

/**
 * Takes buffers out, with their requests and accesses; what they hold at the origin is free there.
 * Recorded totals are forgotten: they no longer hold.
 *
 * @param drop     per buffer
 * @param new_row  per buffer: receives its new row, or PS_EDIT_GONE; NULL: not wanted
 * @return PS_OK · PS_NOMEM
 */
ps_code ps__plan_drop_buffers(ps_plan *plan, const bool *drop, uint32_t *new_row,
                              ps_error *err) PS_MUST_USE;

/**
 * Takes bytes out of what a device holds at the origin in buffers that the plan never names
 * (base_live_bytes). Recorded totals are forgotten.
 *
 * @return PS_OK · PS_USAGE more than it holds
 */
ps_code ps__plan_shrink_resident(ps_plan *plan, uint32_t device, uint64_t bytes,
                                 ps_error *err) PS_MUST_USE;

/** Removes the rows of a table that `keep` says no to; the others keep their order. */
void ps__plan_keep_rows(ps_plan *plan, ps_plan_table_id table, const bool *keep);

/** Every column that names a task, but PS_PLAN_WHOLE, gets that task's new row. */
void ps__plan_rename_tasks(ps_plan *plan, const uint32_t *new_row);

/** True for a request that names a buffer. */
bool ps__memop_names_buffer(uint8_t op);

#endif
