/* SPDX-License-Identifier: MIT
 *
 * What if a recorded one-GPU job were trained on several GPUs with
 * DistributedDataParallel, each with a batch of its own?
 *
 *   host     backward ── copy in ── copy in ── all-reduce ── ... ── copies back
 *   stream            kernel ── copy ── kernel ── copy ── ...  waits │ copies ── optimizer
 *   reducer                                 [ part of the all-reduce ]
 *   group                                   [ exchange ]
 *
 * Gradients go into buckets by DistributedDataParallel's rule, a full bucket
 * is exchanged beside the rest of the backward pass, and what follows it waits
 * for all exchanges. A recording of that framework on one GPU has its copies
 * already; others get them. All ranks do the same at the same times, so one
 * device stands for all of them.
 */
#ifndef PS_POLICY_DATA_PARALLEL_H
#define PS_POLICY_DATA_PARALLEL_H

#include "plan/plan.h"
#include "workload/recover/structure.h"

/** See job/network.h. */
struct ps_network;

/** How many, and where. All borrowed. */
typedef struct ps_data_parallel {
    uint32_t ranks;                   /* 1: the plan stays as it is */
    const struct ps_network *network; /* what an all-reduce of all ranks costs */
    bool rates_are_reached; /* the network's figures are those of training, not of a benchmark of
                               collectives alone: see job/costs.c */
    const ps_trace *trace;  /* that the plan was lowered from */
    const ps_structure *structure;
    uint64_t bucket_bytes; /* at which every bucket closes; 0: 1 MiB, then 25 MiB */
    bool has_views;        /* gradient_as_bucket_view: gradients are not copied back */
} ps_data_parallel;

/* Facts of a plan that was made so. */
#define PS_PLAN_META_DATA_PARALLEL "data-parallel"        /* in words */
#define PS_PLAN_META_BUCKETS "data-parallel-bucket-bytes" /* of the last pass, "n n n" */

#endif
