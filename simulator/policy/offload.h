/* SPDX-License-Identifier: MIT
 *
 * What if a recorded job kept tensors in host memory?
 *
 * Activations, until backward needs them:
 *
 *   compute   F0 ─ F1 ─ F2 ─ ... ─ B2 ─ B1 ─ B0
 *   offload      [ 0 ] [ 1 ]
 *   upload                         [ 1 ] [ 0 ]
 *
 * What a block keeps for backward is copied out behind its forward pass, and
 * leaves the device when the next block's forward pass has been launched; it
 * comes back, to new memory, when the backward pass of the block above it
 * begins. The last block stays: its backward pass comes first.
 *
 * The optimizer, with its states, as the policy zero-offload has it for models:
 *
 *   compute   ... B2 ─ B1 ─ B0 ─────────────────────────── F0 ...
 *   offload        [g2] [g1] [g0]
 *   host                         wait ─ [ Adam ] ─ launches
 *   upload                                        [parameters]
 *
 * Its kernels go, and the calls that launched them. Delayed, the weights of a
 * step come at the end of the next one:
 *
 *   compute   ... B1 ─ B0 ──────────────── F0 ... B0 ─
 *   host      ...           [ Adam, of this step's ]
 *   upload       [parameters of the step before]      [parameters of this one]
 *
 * Parameters of blocks, until a block runs:
 *
 *   upload    [ 0 ][ 1 ]  [ 2 ]          [ 1 ]  [ 0 ]
 *   compute        F0 ─── F1 ─── F2 ─ ... ─ B2 ─── B1 ─── B0 ─ optimizer
 *   offload                                                              [ 0 ][ 1 ][ 2 ]
 *
 * They come before a block runs, and are let go when it has run. What an
 * optimizer on the device writes stays from its backward pass until it is
 * written, and is copied back. All else is as recorded.
 */
#ifndef PS_POLICY_OFFLOAD_H
#define PS_POLICY_OFFLOAD_H

#include "plan/plan.h"
#include "workload/recover/structure.h"

/** See job/network.h. */
struct ps_network;

/** What to move, and over what. All borrowed. */
typedef struct ps_offload {
    bool activations;                 /* false: they stay on the device */
    bool optimizer;                   /* false: it stays on the device */
    bool delayed;                     /* the host updates beside the next step */
    bool parameters;                  /* false: those of blocks stay on the device */
    uint32_t prefetch;                /* blocks whose parameters come ahead of the one that runs */
    uint32_t keep_first, keep_last;   /* so many blocks' parameters stay on the device */
    uint32_t ranks;                   /* of the recorded job, all alike; 0 as 1 */
    const struct ps_network *network; /* whose rank 0 is the recorded GPU */
    const ps_trace *trace;            /* that the plan was lowered from */
    const ps_structure *structure;
} ps_offload;

/** Facts of a plan that was changed so: what moves, in words. */
#define PS_PLAN_META_OFFLOAD_ACTIVATIONS "offload-activations"
#define PS_PLAN_META_OFFLOAD_OPTIMIZER "offload-optimizer"
#define PS_PLAN_META_OFFLOAD_PARAMETERS "offload-parameters"
#define PS_PLAN_META_OFFLOAD_RANKS "offload-ranks"

#endif
