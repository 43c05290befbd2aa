/* SPDX-License-Identifier: MIT
 *
 * What ranks exchange, as operations of the eager model: collectives in lanes
 * of their own, and columns of matrices that ranks share.
 */
#ifndef PS_WORKLOAD_OPS_COLLECTIVE_H
#define PS_WORKLOAD_OPS_COLLECTIVE_H

#include "workload/eager/eager.h"

/* ---- collectives ---- */

/** One collective; it allocates nothing. */
typedef struct ps_collective {
    const char *name; /* static storage */
    ps_collective_op op;
    ps_eager_lane lane; /* of its communicator */
    uint32_t axes;      /* of the grid that the group spans, one bit each */
    uint32_t peer;      /* of SEND and RECV: the other's place on the axis */
    bool is_called;     /* by a function of Python, in backward too: ps_eager_set_subclass */
    ps_dtype dtype;
    uint64_t bytes; /* the whole message: see ps_collective_op */
    uint32_t mark;  /* name of this run; 0 none */
} ps_collective;

/**
 * Ranks exchange something in the communicator's lane, behind all that the lane of this moment has
 * been given so far. Nothing waits for it.
 */
void ps_op_collective(ps_eager *self, const ps_collective *what);

/* ---- a group of ranks that share the columns of matrices, on the lane of this moment ---- */

/** The ranks along some axes of the grid (bits), each with one share of the columns. */
typedef struct ps_op_group {
    int64_t ranks; /* > 0 */
    uint32_t axes;
} ps_op_group;

/** This rank's columns of a, which all ranks have whole: a copy. Backward gathers their gradients. */
ps_tensor ps_op_take_share(ps_eager *self, ps_tensor a, ps_op_group group);

/** All columns of what each rank has a share of. Backward takes this rank's share. */
ps_tensor ps_op_gather_shares(ps_eager *self, ps_tensor a, ps_op_group group);

/** The sum of what the ranks have, in the place of a; its gradient passes. */
ps_tensor ps_op_sum_shares(ps_eager *self, ps_tensor a, ps_op_group group);

#endif
