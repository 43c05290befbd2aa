/* SPDX-License-Identifier: MIT
 *
 * What if a recorded job kept its activations in host memory until backward
 * needs them?
 *
 *   compute   F0 ─ F1 ─ F2 ─ ... ─ B2 ─ B1 ─ B0
 *   offload      [ 0 ] [ 1 ]
 *   upload                         [ 1 ] [ 0 ]
 *
 * What a block keeps for backward is copied out behind its forward pass, and
 * leaves the device when the next block's forward pass has been launched; it
 * comes back, to new memory, when the backward pass of the block above it
 * begins. The last block stays: its backward pass comes first. All else is as
 * recorded.
 */
#ifndef PS_POLICY_OFFLOAD_H
#define PS_POLICY_OFFLOAD_H

#include "plan/plan.h"
#include "workload/recover/structure.h"

/** See job/network.h. */
struct ps_network;

/** What to move, and over what. All borrowed. */
typedef struct ps_offload {
    bool activations;                 /* false: the plan stays as it is */
    const struct ps_network *network; /* whose rank 0 is the recorded GPU */
    const ps_trace *trace;            /* that the plan was lowered from */
    const ps_structure *structure;
} ps_offload;

/** Fact of a plan that was changed so: what moves, in words. */
#define PS_PLAN_META_OFFLOAD_ACTIVATIONS "offload-activations"

#endif
