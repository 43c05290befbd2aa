/* SPDX-License-Identifier: MIT
 *
 * A workload on one GPU: every operation becomes a launch of the host thread
 * and a kernel on one stream, every tensor a request to the allocator at the
 * launch that follows it.
 *
 *   host    launch ── launch ── copy of a batch, which waits ── ... ── wait for the step's end
 *   stream          kernel ── kernel ── ...
 *
 * Lanes of the workload beside the main one become streams of their own where
 * they are used; copies in them take the link's rate for pinned memory, and the
 * host waits for them only where the workload has a wait.
 */
#ifndef PS_LOWER_LOWER_WORKLOAD_H
#define PS_LOWER_LOWER_WORKLOAD_H

#include "cost/cost.h"
#include "cost/host.h"
#include "plan/plan.h"
#include "workload/workload.h"

/** Where it runs. All borrowed during the call. */
typedef struct ps_lower_target {
    const ps_catalogue *catalogue;
    ps_hardware_id gpu;
    const ps_cost_model *cost; /* of that GPU */
    const ps_cost_host *host;  /* what launches cost */
} ps_lower_target;

/**
 * Lowers a workload to a plan for one device.
 *
 * Operations with a measured duration keep it; others take what the cost model says.
 *
 * @param workload  checked
 * @param out       owned by the caller
 * @return PS_OK · PS_BAD_INPUT a workload without operations · PS_NOT_FOUND a figure that the
 *         catalogue lacks for the GPU · PS_LIMIT more than 2^31 tasks · PS_NOMEM
 */
ps_code ps_lower_workload(const ps_workload *workload, const ps_lower_target *target, ps_plan **out,
                          ps_error *err) PS_MUST_USE;

#endif
