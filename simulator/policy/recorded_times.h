/* SPDX-License-Identifier: MIT
 *
 * When the tasks of an identity plan were recorded, for what-ifs that look up
 * rows of the trace (private to this folder).
 */
#ifndef PS_POLICY_RECORDED_TIMES_H
#define PS_POLICY_RECORDED_TIMES_H

#include "plan/plan.h"

/** Times of every task on the clock of the trace. */
typedef struct ps_recorded_times {
    int64_t *start_ns, *end_ns;
} ps_recorded_times;

/** PS_OK · PS_NOMEM · PS_DEADLOCK. Release with ps__recorded_times_fini. */
ps_code ps__recorded_times(const ps_plan *plan, ps_recorded_times *out, ps_error *err) PS_MUST_USE;

void ps__recorded_times_fini(ps_recorded_times *self);

/** Lane of a host thread by its number, or UINT32_MAX. */
uint32_t ps__find_host_lane(const ps_plan *plan, uint64_t number);

/**
 * The last of the lane's tasks that had begun at a moment; its first when none had; UINT32_MAX for
 * a lane without tasks. Cost: O(log tasks), rows of host tasks being in order of their begin.
 *
 * @param rows   the lane's tasks, ascending
 */
uint32_t ps__last_begun(const ps_recorded_times *times, const uint32_t *rows, size_t count,
                        ps_ns at_ns);

#endif
