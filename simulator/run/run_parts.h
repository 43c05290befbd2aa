/* SPDX-License-Identifier: MIT
 *
 * Parts of one run (private to this folder).
 */
#ifndef PS_RUN_RUN_PARTS_H
#define PS_RUN_RUN_PARTS_H

#include "run/run.h"
#include "run/waits.h"

/** Most rounds of times and memory. */
#define PS_RUN_MAX_ROUNDS 64

/** When every task ran. */
typedef struct ps_run_times {
    ps_ns *start_ns, *end_ns; /* per task */
    ps_ns makespan_ns;
    ps_run_waits waits; /* in order; taken into the times by ps__run_times */
    ps_ns *asked_ns;    /* per row of these: when the host came to the task, which then waited */
    bool is_unsettled;  /* memory and these times are not of the same run: see ps__run_settle */
} ps_run_times;

void ps__run_times_fini(ps_run_times *times);

/**
 * Simulates the times of a plan.
 *
 * @param dur_ns  lengths of tasks in place of the plan's; NULL: the plan's
 * @param times   its arrays are allocated when they are NULL, else filled again; freed by the caller
 */
ps_code ps__run_times(const ps_plan *plan, const int64_t *dur_ns, ps_run_times *times,
                      ps_error *err) PS_MUST_USE;

/** [ns] when a host came to a task: its start, where it did not wait for memory. */
ps_ns ps__run_asked(const ps_run_times *times, uint32_t task);

/** [ns] length of a step by simulated times. */
ps_ns ps__run_step_time(const ps_plan *plan, const ps_run_times *times, size_t step);

/** True for what a device computes: a faster or slower one changes its length. */
bool ps__run_is_compute(const ps_plan *plan, size_t task);

/** Simulated time of a moment: inside a task, or before it when the offset is negative. */
ps_ns ps__run_moment(const ps_run_times *times, uint32_t task, ps_ns offset_ns);

/** Rows `first` up to, not including, `end`. */
typedef struct ps_run_rows {
    size_t first, end;
} ps_run_rows;

/** Memops of one device, and what lies between: jobs write their ranks' one after the other, so that
 *  nobody has to walk through those of all ranks for each. */
ps_run_rows ps__run_memops_of(const ps_plan *plan, uint32_t device);

/** Allocator requests of one device, in program order: peaks, chart, breakdown, what did not fit. */
ps_code ps__run_memory(const ps_plan *plan, const ps_run_times *times, uint32_t device,
                       ps_result_device *out, ps_error *err) PS_MUST_USE;

/**
 * Adds what a device's host waits for because requests do not fit at these times. Nothing where no
 * free waits for tasks: of recorded jobs the times hold such waiting already.
 */
ps_code ps__run_memory_waits(const ps_plan *plan, const ps_run_times *times, uint32_t device,
                             ps_run_waits *found, ps_error *err) PS_MUST_USE;

/**
 * Simulates the times of a plan with what hosts wait for because requests do not fit.
 *
 * Requests at times found without a wait may fit or not for the wrong reason, so memory is looked
 * at again with every wait that was found, until the waits found are those the times were made with.
 * Up to the first that differs from the round before all is as it stays, for nothing reaches back in
 * time; so that comes at the latest one round after the last request that waits, and after
 * PS_RUN_MAX_ROUNDS rounds what was found last stands. So does nothing at all where tasks that
 * memory waits for wait themselves for the request.
 *
 * @param times  zeroed; ps__run_times_fini releases it
 */
ps_code ps__run_settle(const ps_plan *plan, ps_run_times *times, ps_error *err) PS_MUST_USE;

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
