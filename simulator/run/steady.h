/* SPDX-License-Identifier: MIT
 *
 * Stages of explaining the steady step (private to this folder).
 *
 *   steady.c         which step, and whether there is anything to explain
 *   critical_path.c  what its length is made of
 *   lane_use.c       how busy its lanes were
 *   link_use.c       how full its links were
 */
#ifndef PS_RUN_STEADY_H
#define PS_RUN_STEADY_H

#include "run/run_parts.h"

/** A part of the run, by its times. */
typedef struct ps_window {
    ps_ns begin_ns, end_ns;
    uint32_t end_task; /* PS_PLAN_WHOLE: the task that ends last */
} ps_window;

/** [ns] of begin .. end that lie in the window. */
ps_ns ps__window_share(const ps_window *self, ps_ns begin_ns, ps_ns end_ns);

/** True when copies or computation of hosts load links. */
bool ps__run_has_host_traffic(const ps_plan *plan);

/**
 * Walks back from the end of the window, at every moment to what it waited for: the work of a task,
 * what ended before its start, or before its end. Of several that ended at once the lane's previous
 * task counts, then dependencies in the plan's order.
 *
 * @param path_ns  receives PS_RESOURCE_COUNT lengths, which sum to the window's
 */
ps_code ps__critical_path(const ps_plan *plan, const ps_run_times *times, const ps_window *window,
                          ps_ns *path_ns, ps_error *err) PS_MUST_USE;

ps_code ps__lane_use(const ps_plan *plan, const ps_run_times *times, const ps_window *window,
                     ps_result_steady *out, ps_error *err) PS_MUST_USE;

/** Bytes of a transfer that reaches out of the window count in proportion of its time. */
ps_code ps__link_use(const ps_plan *plan, const ps_run_times *times, const ps_window *window,
                     ps_result_steady *out, ps_error *err) PS_MUST_USE;

#endif
