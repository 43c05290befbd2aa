/* SPDX-License-Identifier: MIT
 *
 * Executes a plan on a backend and measures: when each task ran, how long the
 * steps took, how much memory was live, how fast copies went, how late the
 * machine was. Reads plans only and shares no code with the simulator.
 *
 *   ps_replay_run ──► report: steps, devices, copies, lateness
 *                      └─ log: start and end of every task ──► ps_replay_verify: obeyed?
 *
 * What is real and what stands in: dependencies, lags, gaps, the order of
 * allocator requests and the memory they take are real; bytes are really
 * moved where the backend can; kernels and host work are stand-ins of the
 * stated length. Link capacities of the plan are not imposed: the machine's
 * own links decide. Copies go through windows of the lane, since a plan does
 * not say which buffers a copy touches.
 */
#ifndef PS_REPLAY_REPLAY_H
#define PS_REPLAY_REPLAY_H

#include "plan/plan.h"
#include "replay/backend.h"

typedef struct ps_replay_options {
    double time_scale;     /* factor on gaps, durations, lags and offsets; >= 0, 1 by default */
    uint64_t memory_scale; /* divisor of buffer and copy bytes; >= 1, 1 by default */
    uint64_t
        capacity_bytes; /* [bytes] most real memory to take; 0: what the backend finds available */
} ps_replay_options;

void ps_replay_options_init(ps_replay_options *options);

/* ---- what happened ---- */

/**
 * When everything happened. Times are nanoseconds from a common origin, the
 * moment the lanes are let go; all 0 when no time passes. Order numbers 1, 2,
 * ... count task starts, task ends and allocator requests together: what must
 * come after has the larger number.
 */
typedef struct ps_replay_log {
    bool is_timed;
    double time_scale;
    size_t task_count, memop_count;
    ps_ns *start_ns, *end_ns;          /* per task */
    uint64_t *start_order, *end_order; /* per task */
    ps_ns *memop_ns;                   /* per memop */
    uint64_t *memop_order;             /* per memop */
} ps_replay_log;

typedef struct ps_replay_step {
    const char *name; /* borrowed from the plan */
    ps_ns begin_ns, end_ns;
    ps_ns measured_ns;
    ps_ns recorded_ns; /* from the plan, not scaled; 0 unknown */
} ps_replay_step;

/**
 * Memory of one device. "Plan bytes" are buffer bytes as in the plan; real
 * bytes were taken from the backend. A buffer is live until its free is
 * requested, held until the free is complete; one whose free was requested
 * before the origin is live, too, until then.
 */
typedef struct ps_replay_device {
    uint64_t origin_live_bytes; /* [plan bytes] live before the first request */
    uint64_t peak_live_bytes;   /* [plan bytes] most between allocation and request to free */
    uint64_t peak_held_bytes;   /* [plan bytes] likewise until the free is complete */
    uint64_t peak_real_bytes;   /* [bytes] most taken from the backend: held bytes, scaled */
    uint64_t end_live_bytes;    /* [plan bytes] */
    size_t peak_memop;          /* request that first reached the live peak; SIZE_MAX: the origin */
    uint64_t alloc_count, free_count, release_cache_count;
    uint64_t oom_count; /* requests that were refused when recorded; not repeated */
    uint64_t oom_bytes; /* [plan bytes] the largest of them */
} ps_replay_device;

/** Traffic of one kind of copy. */
typedef struct ps_replay_traffic {
    uint64_t count;
    uint64_t plan_bytes;  /* [plan bytes] */
    uint64_t moved_bytes; /* [bytes] really moved */
    ps_ns move_ns;        /* [ns] spent moving, summed over copies */
    double bytes_per_s;   /* achieved while moving; 0 when nothing moved */
} ps_replay_traffic;

#define PS_REPLAY_COPY_KINDS (PS_COPY_HTOH + 1)

/** How late, in nanoseconds, things were; the count says of how many. */
typedef struct ps_replay_lateness {
    uint64_t count;
    ps_ns mean_ns, median_ns, p99_ns, max_ns;
} ps_replay_lateness;

typedef struct ps_replay_report {
    const char *backend;       /* static */
    ps_replay_options options; /* as used */
    ps_ns makespan_ns;         /* [ns] origin to the last end */
    ps_ns planned_ns;          /* [ns] shortest possible: nothing late, bytes in no time; scaled */
    size_t step_count;
    ps_replay_step *steps; /* in plan order */
    size_t device_count;
    ps_replay_device *devices;                      /* in plan order */
    ps_replay_traffic copies[PS_REPLAY_COPY_KINDS]; /* MEMCPY tasks by ps_copy_kind */
    ps_replay_traffic links;                        /* other tasks that use links */
    ps_replay_lateness kernel_overrun;              /* kernels: length beyond the stated one */
    ps_replay_lateness host_overrun;     /* host tasks without end dependencies: likewise */
    ps_replay_lateness start_lateness;   /* all tasks: start after the moment they could */
    uint64_t waived[PS_TASK_KIND_COUNT]; /* tasks a stand-in replaced, by kind */
    ps_replay_log log;
} ps_replay_report;

/**
 * Executes a plan once.
 *
 * @param plan     checked again here
 * @param backend  name of a backend
 * @param options  NULL: the defaults
 * @param out      written only on PS_OK; release with ps_replay_report_fini
 * @return PS_OK · PS_NOT_FOUND no such backend · PS_USAGE options out of range ·
 *         PS_CHECK_FAILED the plan is not one · PS_DEADLOCK tasks wait in a circle, named in the
 *         message; nothing was run · PS_DEVICE_FULL memory would not suffice, with the divisor that
 *         would; or it did not · PS_NO_DEVICE · PS_NOMEM · PS_LIMIT more lanes
 *         than threads, or a plan that takes longer than a week
 * Threads: any number of runs at once, each with its own report.
 */
ps_code ps_replay_run(const ps_plan *plan, const char *backend, const ps_replay_options *options,
                      ps_replay_report *out, ps_error *err) PS_MUST_USE;

/** ps_replay_run on a backend that is not in the list. */
ps_code ps_replay_run_on(const ps_plan *plan, const ps_backend_ops *ops,
                         const ps_replay_options *options, ps_replay_report *out,
                         ps_error *err) PS_MUST_USE;

/** Releases what a report owns and clears it; a cleared report is fine. */
void ps_replay_report_fini(ps_replay_report *report);

/* ---- was the plan obeyed? ---- */

typedef struct ps_replay_verdict {
    uint64_t checked_count; /* relations looked at: dependencies, lane order, lengths, memops */
    uint64_t violation_count;
    ps_ns worst_slack_ns; /* smallest of (happened - allowed) over timed relations; < 0: too early;
                                 PS_TIME_NEVER when nothing was timed */
    char worst[160];      /* that relation in words, "" when nothing was timed */
} ps_replay_verdict;

/**
 * Proves from a log that a run obeyed its plan: every dependency with its
 * lag, the order and gaps of lanes, lengths not cut short, allocator requests
 * in program order and inside their tasks. Looks at the plan only; knows
 * nothing of how the run was done.
 *
 * @param out  written always; may be NULL
 * @return PS_OK · PS_CHECK_FAILED with the first violation in words · PS_USAGE the log is of
 *         another plan
 */
ps_code ps_replay_verify(const ps_plan *plan, const ps_replay_log *log, ps_replay_verdict *out,
                         ps_error *err) PS_MUST_USE;

/* ---- export ---- */

/** One row of the log, for CSV and the like. Strings are borrowed from the plan. */
typedef struct ps_replay_row {
    size_t task;
    const char *lane, *kind, *name;
    ps_ns start_ns, end_ns, planned_ns; /* planned_ns: stated length, scaled */
    uint64_t start_order, end_order;
} ps_replay_row;

/** Called per row; a failure ends the export with its code. */
typedef ps_code (*ps_replay_row_fn)(void *context, const ps_replay_row *row, ps_error *err);

/** Hands out the log in order of task rows. */
ps_code ps_replay_log_rows(const ps_plan *plan, const ps_replay_log *log, ps_replay_row_fn call,
                           void *context, ps_error *err) PS_MUST_USE;

/** t * scale, rounded to nearest, saturating at +-PS_TIME_NEVER; exactly t for scale 1. */
ps_ns ps_replay_scale_ns(ps_ns t, double scale);

#endif
