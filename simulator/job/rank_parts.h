/* SPDX-License-Identifier: MIT
 *
 * Lowering one rank, in parts (private to this folder):
 *
 *   rank.c           the walk over the workload's events: steps, operations
 *   rank_rows.c      the rank's device, lanes and buffers
 *   rank_tasks.c     tasks, what they start after, and what the host hands over
 *   rank_order.c     joins and marks: what a lane waits for of another
 *   rank_waits.c     what the host waits for
 *   rank_kernel.c    kernels and parts in collectives, and what runs beside what
 *   rank_host.c      copies to and from the host, and computation there
 *   rank_requests.c  requests for memory
 */
#ifndef PS_JOB_RANK_PARTS_H
#define PS_JOB_RANK_PARTS_H

#include "job/job_parts.h"

#define PS_RANK_MAX_TASKS ((size_t)1 << 31)

/** Sets of the workload's lanes, a bit each. */
#define PS_RANK_LANE(lane) (UINT32_C(1) << (lane))
#define PS_RANK_ALL_LANES (PS_RANK_LANE(PS_WORKLOAD_LANE_COUNT) - 1)
#define PS_RANK_WORKERS (PS_RANK_LANE(PS_WORKLOAD_STREAM) - PS_RANK_LANE(PS_WORKLOAD_WORKER))

_Static_assert(PS_WORKLOAD_LANE_COUNT < 32, "sets of lanes are 32 bits");

/** A rank being lowered. Arrays are per lane of the workload, but for `marked`. */
typedef struct ps_rank_lowering {
    const ps_job_rank *what;
    const ps_workload *from;
    const ps_job_target *target;
    ps_plan *plan;
    ps_job_parts *parts;
    uint32_t device, host_lane, first_buffer;         /* rows of the plan */
    ps_ns launch_ns, copy_ns;                         /* host time of a launch; start of a copy */
    uint64_t copy_bytes_per_s;                        /* of a batch */
    uint64_t rate_bytes_per_s[PS_HOST_TRAFFIC_COUNT]; /* where no network tells; 0: unknown */
    uint32_t lane[PS_WORKLOAD_LANE_COUNT];            /* of the plan; NONE: not used */
    uint32_t last_task[PS_WORKLOAD_LANE_COUNT];       /* newest task; NONE: none */
    /* by the lane it waits for: the task its next one starts after; NONE: none */
    uint32_t joined[PS_WORKLOAD_LANE_COUNT][PS_WORKLOAD_LANE_COUNT];
    uint32_t behind_workers;                  /* lanes whose work waits for a worker's */
    ps_ns beside_ns[PS_WORKLOAD_LANE_COUNT];  /* exchanges that the main lane runs beside */
    ps_ns owed_ns[PS_WORKLOAD_LANE_COUNT];    /* kernels that the main lane's run beside */
    uint32_t written[PS_WORKLOAD_LANE_COUNT]; /* tensor that its last offload wrote + 1 */
    uint32_t *marked;                         /* per mark: task of its last run, or NONE */
    size_t mark_count;
    size_t waiting; /* events from here on have no launch yet */
    size_t access;  /* next row of the workload's accesses */
    uint8_t phase;  /* of the op at work; tasks have it */
    ps_str wait_name;
    ps_str *text; /* per text of the workload: the same in the plan + 1, 0 not yet put there */
} ps_rank_lowering;

/* ---- rows ---- */

/** The rank's device, its lanes that are used, and a buffer for each tensor. */
ps_code ps__rank_rows(ps_rank_lowering *self, ps_error *err) PS_MUST_USE;

/* ---- tasks ---- */

/** The same text in the plan. */
ps_code ps__rank_text(ps_rank_lowering *self, ps_str id, ps_str *out, ps_error *err) PS_MUST_USE;

/** A task of a lane of the plan. */
ps_code ps__rank_task(ps_rank_lowering *self, uint32_t lane, ps_task_kind kind, uint32_t *row,
                      ps_error *err) PS_MUST_USE;

ps_code ps__rank_dep(ps_rank_lowering *self, uint32_t task, uint32_t before, ps_dep_kind kind,
                     ps_ns lag_ns, ps_error *err) PS_MUST_USE;

/** The host hands an op over: its task, at whose start memory is asked for as before `event`. */
ps_code ps__rank_launch(ps_rank_lowering *self, size_t op, size_t event, ps_ns dur_ns,
                        uint32_t *host, ps_error *err) PS_MUST_USE;

/**
 * What is handed over, in the op's lane, behind what that was told to wait for.
 *
 * @param lag_ns  from the start of the host's task
 */
ps_code ps__rank_launched(ps_rank_lowering *self, size_t op, ps_task_kind kind, uint32_t host,
                          ps_ns lag_ns, uint32_t *row, ps_error *err) PS_MUST_USE;

/* ---- order ---- */

/** Marks of the workload, none run. The array is the caller's: ps_free. */
ps_code ps__rank_make_marks(ps_rank_lowering *self, ps_error *err) PS_MUST_USE;

/** What `lane` waits for from now on: the newest task of another, or what that one waits for. */
void ps__rank_join(ps_rank_lowering *self, uint8_t lane, uint8_t awaited);

/** ... or one task alone. */
void ps__rank_join_task(ps_rank_lowering *self, uint8_t lane, uint32_t task);

/* ---- waits of the host ---- */

/** For everything launched into a set of lanes. */
ps_code ps__rank_wait(ps_rank_lowering *self, size_t event, uint32_t lanes,
                      ps_error *err) PS_MUST_USE;

/** For one task. */
ps_code ps__rank_wait_for_task(ps_rank_lowering *self, size_t event, uint32_t task,
                               ps_error *err) PS_MUST_USE;

/** For a step's end. */
ps_code ps__rank_wait_between_steps(ps_rank_lowering *self, size_t event,
                                    ps_error *err) PS_MUST_USE;

/** For the device, to which segments go back then. */
ps_code ps__rank_release_cache(ps_rank_lowering *self, size_t event, ps_error *err) PS_MUST_USE;

/* ---- operations; `task` receives the row of it ---- */

/** A kernel, or the rank's part in a collective. */
ps_code ps__rank_kernel(ps_rank_lowering *self, size_t op, size_t event, uint32_t *task,
                        ps_error *err) PS_MUST_USE;

/** A copy between host and device. */
ps_code ps__rank_copy(ps_rank_lowering *self, size_t op, size_t event, uint32_t *task,
                      ps_error *err) PS_MUST_USE;

/** Computation of the host. */
ps_code ps__rank_cpu(ps_rank_lowering *self, size_t op, size_t event, uint32_t *task,
                     ps_error *err) PS_MUST_USE;

/** Figures of copies: their start, a batch's rate, and rates that no network tells. */
ps_code ps__rank_copy_figures(ps_rank_lowering *self, ps_error *err) PS_MUST_USE;

/* ---- requests ---- */

/** Requests since the last launch happen when this host task begins. */
ps_code ps__rank_requests(ps_rank_lowering *self, size_t end, uint32_t host_task,
                          ps_error *err) PS_MUST_USE;

#endif
