/* SPDX-License-Identifier: MIT
 *
 * A job: workloads of the ranks that train together, and the plan they make
 * on a cluster.
 *
 *   rank    host    launch ── launch ── ... ── wait for the step's end
 *           stream          kernel ── part of a collective ── kernel ── ...
 *   group                   exchange: begins with the last part, ends all of them
 *
 * Every operation becomes a launch of the rank's host thread and a task of
 * one of its streams, every tensor a request to the allocator at the launch
 * that follows it. Lanes of the workload beside the main one become streams
 * where they are used. A collective is a part for each rank and one exchange
 * that loads the links between them; the k-th one of a communicator is the
 * k-th of each of its ranks.
 *
 * Ranks that must do the same at the same times can be folded: one device
 * stands for all of them (symmetry.h says when that is exact).
 */
#ifndef PS_JOB_JOB_H
#define PS_JOB_JOB_H

#include "cost/cost.h"
#include "cost/host.h"
#include "job/network.h"
#include "plan/plan.h"
#include "workload/workload.h"

/** Where it runs: GPUs of one kind. All borrowed during the call. */
typedef struct ps_job_target {
    const ps_catalogue *catalogue;
    ps_hardware_id gpu;
    const ps_cost_model *cost; /* of that GPU */
    const ps_cost_host *host;  /* what launches cost */
    const ps_network *network; /* NULL: a single rank */
    bool folds;                /* ranks that do the same are simulated once */
} ps_job_target;

/** The full speed of a rank's device. */
#define PS_JOB_FULL_SPEED 1000u

/** Ranks and their workloads; all with the same axes. Borrowed during the call. */
typedef struct ps_job {
    const ps_workload *const *workload;
    size_t workload_count;
    const uint32_t *workload_of; /* per rank of the grid */
    const uint32_t
        *speed_permille; /* per rank: of its device, 1 or more; NULL: all at full speed */
} ps_job;

/**
 * Lowers a job to a plan.
 *
 * Operations with a measured duration keep it; others take what the cost model says.
 *
 * @param job  workloads checked
 * @param out  owned by the caller
 * @return PS_OK · PS_BAD_INPUT a workload without operations, ranks that disagree on a collective ·
 *         PS_NOT_FOUND a figure that the catalogue or the network lacks · PS_LIMIT more than 2^31
 *         tasks · PS_NOMEM
 */
ps_code ps_job_lower(const ps_job *job, const ps_job_target *target, ps_plan **out,
                     ps_error *err) PS_MUST_USE;

/** ps_job_lower of a single workload. */
ps_code ps_job_lower_one(const ps_workload *workload, const ps_job_target *target, ps_plan **out,
                         ps_error *err) PS_MUST_USE;

#endif
