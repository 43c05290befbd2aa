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

/** Simulated time of a moment: inside a task, or before it when the offset is negative. */
ps_ns ps__run_moment(const ps_run_times *times, uint32_t task, ps_ns offset_ns);

/** Allocator requests of one device, in program order: peaks, chart, breakdown, what did not fit. */
ps_code ps__run_memory(const ps_plan *plan, const ps_run_times *times, uint32_t device,
                       ps_result_device *out, ps_error *err) PS_MUST_USE;

/** What one device was doing, second by second. */
ps_code ps__run_occupancy(const ps_plan *plan, const ps_run_times *times, uint32_t device,
                          ps_result_time *out, ps_error *err) PS_MUST_USE;

/** How much of one device's collectives is waiting for other ranks, how much transfer. */
void ps__run_meetings(const ps_plan *plan, const ps_run_times *times, uint32_t device,
                      ps_result_time *out);

#endif
