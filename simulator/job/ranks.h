/* SPDX-License-Identifier: MIT
 *
 * The workloads of all ranks of a job, each built once for all ranks that it
 * is the workload of.
 */
#ifndef PS_JOB_RANKS_H
#define PS_JOB_RANKS_H

#include "job/job.h"

typedef struct ps_ranks {
    ps_workload **workload;
    size_t workload_count, workload_capacity;
    uint32_t *workload_of; /* per rank */
    uint32_t rank_count;
} ps_ranks;

/** Builds the workload of one rank; the caller of ps_ranks_build owns it. */
typedef ps_code (*ps_rank_builder)(void *context, uint32_t rank, ps_workload **out, ps_error *err);

/**
 * Asks for the workload of every rank that none built so far covers (ps_grid_covers).
 *
 * @param out  release with ps_ranks_fini; empty after a failure
 * @return PS_OK · what the builder says · PS_BAD_INPUT a workload of another rank or another number
 *         of ranks · PS_NOMEM
 */
ps_code ps_ranks_build(uint32_t rank_count, ps_rank_builder build, void *context, ps_ranks *out,
                       ps_error *err) PS_MUST_USE;

void ps_ranks_fini(ps_ranks *self);

/** The job of these ranks, all at full speed; borrows from `self`. */
ps_job ps_ranks_job(const ps_ranks *self);

#endif
