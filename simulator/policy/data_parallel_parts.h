/* SPDX-License-Identifier: MIT
 *
 * Stages of putting a recorded job under DistributedDataParallel (private to
 * this folder).
 */
#ifndef PS_POLICY_DATA_PARALLEL_PARTS_H
#define PS_POLICY_DATA_PARALLEL_PARTS_H

#include "cost/cost.h"
#include "policy/data_parallel.h"
#include "policy/ddp_buckets.h"
#include "policy/plan_insert.h"

/** What is being built. */
typedef struct ps_ddp_building {
    const ps_data_parallel *change;
    const ps_gradients *gradients;
    ps_insertion insertion;
    size_t old_dep_count;
    ps_cost_model *cost; /* of the GPU, for copies; NULL: none are added */
    bool has_kernels;    /* false: memory alone was recorded, and memory alone is asked */
    uint32_t compute;    /* lane of the stream that computes */
    uint32_t reducer;    /* lane of the stream that exchanges */
    uint32_t group;      /* lane of the communicator */
    uint32_t *rank;      /* 0 .. ranks - 1 */
    uint32_t *launch;    /* per old task: the host task that launches it, or PS_GRADIENT_NONE */
    uint32_t *queue;     /* old tasks of the compute lane */
    size_t queue_count, next;
    uint32_t device_behind; /* old task of the compute lane that new ones go behind */
    uint32_t last_device;   /* what the compute lane was last given, new or old */
    uint32_t last_host;     /* newest task on the backward thread */
    ps_ns launch_lag_ns, gap_ns;
    ps_ns collective_delay_ns; /* of the GPU: see job/costs.c */
    uint64_t overlap_cost;     /* [millionths] likewise */
    ps_ns beside_ns;           /* exchanges that the compute lane runs beside */
    ps_ddp_bucket *bucket;     /* of the pass at hand */
    size_t bucket_count;
    size_t *bucket_of; /* per gradient of the pass */
    uint32_t *part;    /* per bucket: its all-reduce on the device, until something waits for it */
} ps_ddp_building;

/** PS_OK · PS_USAGE a recording that cannot be put on several GPUs, with the reason */
ps_code ps__data_parallel_check(const ps_data_parallel *change, const ps_plan *plan,
                                ps_error *err) PS_MUST_USE;

/** True when a plan has kernels: their times need a GPU to be known. */
bool ps__ddp_has_kernels(const ps_plan *plan);

/** Lanes, launches and room. PS_OK · PS_NOMEM */
ps_code ps__ddp_prepare(ps_ddp_building *self, ps_error *err) PS_MUST_USE;

/** What the GPU's collectives and computation cost one another; nothing when `gpu` is NULL. */
void ps__ddp_read_overlap(ps_ddp_building *self, const ps_catalogue *catalogue,
                          const ps_hardware_id *gpu);

/** Device memory of the buckets of the last pass, from the origin on. */
ps_code ps__ddp_hold_buckets(ps_ddp_building *self, ps_error *err) PS_MUST_USE;

void ps__ddp_release(ps_ddp_building *self);

/**
 * Puts a plan under DistributedDataParallel.
 *
 * @param plan       its tasks are still those that the gradients name; unusable after a failure
 * @param gpu        it runs on; NULL: unknown, which is refused where copies are to be added
 * @param gradients  found before anything of the plan changed
 * @return PS_OK · PS_BAD_INPUT · PS_NOT_FOUND a figure that is missing · PS_LIMIT · PS_NOMEM
 */
ps_code ps__data_parallel(ps_plan *plan, const ps_catalogue *catalogue, const ps_hardware_id *gpu,
                          const ps_data_parallel *change, const ps_gradients *gradients,
                          ps_error *err) PS_MUST_USE;

#endif
