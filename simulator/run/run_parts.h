/* SPDX-License-Identifier: MIT
 *
 * Parts of one run (private to this folder).
 */
#ifndef PS_RUN_RUN_PARTS_H
#define PS_RUN_RUN_PARTS_H

#include "run/run.h"

/** When every task ran. */
typedef struct ps_run_times {
    ps_ns *start_ns, *end_ns; /* per task */
    ps_ns makespan_ns;
} ps_run_times;

/**
 * Simulates the times of a plan.
 *
 * @param dur_ns  lengths of tasks in place of the plan's; NULL: the plan's
 * @param times   its arrays are allocated when they are NULL, else filled again; freed by the caller
 */
ps_code ps__run_times(const ps_plan *plan, const int64_t *dur_ns, ps_run_times *times,
                      ps_error *err) PS_MUST_USE;

/** [ns] length of a step by simulated times. */
ps_ns ps__run_step_time(const ps_plan *plan, const ps_run_times *times, size_t step);

/** True for what a device computes: a faster or slower one changes its length. */
bool ps__run_is_compute(const ps_plan *plan, size_t task);

/** Simulated time of a moment: inside a task, or before it when the offset is negative. */
ps_ns ps__run_moment(const ps_run_times *times, uint32_t task, ps_ns offset_ns);

/** Allocator requests of one device, in program order: peaks, chart, breakdown, what did not fit. */
ps_code ps__run_memory(const ps_plan *plan, const ps_run_times *times, uint32_t device,
                       ps_result_device *out, ps_error *err) PS_MUST_USE;

/** Host memory of one device's process. */
void ps__run_host_memory(const ps_plan *plan, uint32_t device, ps_result_host *out);

/** Host memory of each node, when its devices are done: each rank's own peak, added up. */
ps_code ps__run_nodes(const ps_plan *plan, ps_result *out, ps_error *err) PS_MUST_USE;

struct ps_window;

/** What one device was doing, second by second, in a part of the run (steady.h). */
ps_code ps__run_occupancy(const ps_plan *plan, const ps_run_times *times, uint32_t device,
                          const struct ps_window *window, ps_result_time *out,
                          ps_error *err) PS_MUST_USE;

/** Why the last step takes so long, where a plan has traffic with hosts. */
ps_code ps__run_steady(const ps_plan *plan, const ps_run_times *times, ps_result *out,
                       ps_error *err) PS_MUST_USE;

/** How much of one device's collectives is waiting for other ranks, how much transfer. */
void ps__run_meetings(const ps_plan *plan, const ps_run_times *times, uint32_t device,
                      ps_result_time *out);

#endif
