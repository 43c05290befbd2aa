/* SPDX-License-Identifier: MIT
 *
 * What if a recorded job of several ranks had more or fewer that train on data
 * of their own?
 *
 *   transfer = recorded transfer x time among M ranks / time among N, by the network's model
 *
 * for the communicators that are data-parallel. Those are the ones that are
 * told to be; else all that span the world in a recording in which
 * DistributedDataParallel shows. What lies before a transfer, waiting for
 * others, stays. Where only one rank was recorded, the shortest collective of
 * a kind and size tells what its transfer takes.
 */
#ifndef PS_POLICY_RANK_CHANGE_H
#define PS_POLICY_RANK_CHANGE_H

#include "plan/plan.h"
#include "trace/trace.h"

/** See job/network.h. */
struct ps_network;

/** How many, and where. All borrowed. */
typedef struct ps_rank_change {
    uint32_t ranks;                    /* of the whole job */
    const struct ps_network *recorded; /* of as many GPUs as were recorded */
    const struct ps_network *wanted;   /* of `ranks` GPUs */
    const ps_trace *trace;             /* that the plan was lowered from */
    const char *const *group;          /* names of data-parallel groups; "all" */
    size_t group_count;                /* 0: find out */
} ps_rank_change;

/** A fact of a plan that was made so, in words. */
#define PS_PLAN_META_RANK_CHANGE "rank-change"

/** Ranks of a recorded job: as recorded, merged, or of its largest group; 1 when nothing tells. */
uint32_t ps_recorded_ranks(const ps_trace *trace);

#endif
