/* SPDX-License-Identifier: MIT
 *
 * Lowering one rank (private to rank.c and rank_host.c).
 */
#ifndef PS_JOB_RANK_PARTS_H
#define PS_JOB_RANK_PARTS_H

#include "job/job_parts.h"

#define PS_RANK_MAX_TASKS ((size_t)1 << 31)

/** A rank being lowered. */
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
    size_t waiting;                                   /* events from here on have no launch yet */
    uint32_t last_task[PS_WORKLOAD_LANE_COUNT];       /* newest task of each lane */
    /* per lane, by the lane it waits for: the task its next one starts after */
    uint32_t joined[PS_WORKLOAD_LANE_COUNT][PS_WORKLOAD_LANE_COUNT];
    ps_ns
        beside_ns[PS_WORKLOAD_LANE_COUNT]; /* per lane: exchanges that the main lane runs beside */
    ps_ns owed_ns
        [PS_WORKLOAD_LANE_COUNT]; /* per lane: its kernels, which the main lane's run beside */
    bool follows_worker[PS_WORKLOAD_LANE_COUNT]; /* work of the lane waits for a worker's */
    uint32_t written[PS_WORKLOAD_LANE_COUNT]; /* per lane: tensor that its last offload wrote + 1 */
    uint8_t phase;                            /* of the op at work */
    uint32_t *marked;                         /* per mark: task of its last run, or NONE */
    size_t mark_count;
    size_t access; /* next row of the workload's accesses */
    ps_str wait_name;
} ps_rank_lowering;

/** The same text in the plan. */
ps_code ps__rank_text(ps_rank_lowering *self, ps_str id, ps_str *out, ps_error *err) PS_MUST_USE;

/** A task of a lane of the plan. */
ps_code ps__rank_task(ps_rank_lowering *self, uint32_t lane, ps_task_kind kind, size_t *row,
                      ps_error *err) PS_MUST_USE;

ps_code ps__rank_dep(ps_rank_lowering *self, uint32_t task, uint32_t before, ps_dep_kind kind,
                     ps_ns lag_ns, ps_error *err) PS_MUST_USE;

/** A task of a lane of the workload, behind what its lane was told to wait for. */
ps_code ps__rank_lane_task(ps_rank_lowering *self, uint8_t lane, ps_task_kind kind, size_t *row,
                           ps_error *err) PS_MUST_USE;

/** Requests since the last launch happen when this host task begins. */
ps_code ps__rank_requests(ps_rank_lowering *self, size_t end, uint32_t host_task,
                          ps_error *err) PS_MUST_USE;

/** The host waits for a task of another lane. */
ps_code ps__rank_wait_for_task(ps_rank_lowering *self, size_t event, uint32_t task,
                               ps_error *err) PS_MUST_USE;

/** A copy between host and device; `task` receives the row of it. */
ps_code ps__rank_copy(ps_rank_lowering *self, size_t op, size_t event, uint32_t *task,
                      ps_error *err) PS_MUST_USE;

/** Computation of the host; `task` receives the row of it. */
ps_code ps__rank_cpu(ps_rank_lowering *self, size_t op, size_t event, uint32_t *task,
                     ps_error *err) PS_MUST_USE;

/** Rates of copies that no network tells, where there are such copies. */
ps_code ps__rank_copy_rates(ps_rank_lowering *self, ps_error *err) PS_MUST_USE;

#endif
