/* SPDX-License-Identifier: MIT
 *
 * Blocks that are computed again in backward in place of keeping what
 * backward needs.
 */
#ifndef PS_WORKLOAD_EAGER_CHECKPOINT_H
#define PS_WORKLOAD_EAGER_CHECKPOINT_H

#include "workload/eager/eager.h"

#define PS_CHECKPOINT_ABOUT_BYTES 128 /* of what a family passes along */
#define PS_CHECKPOINT_HELD 8          /* tensors among it */

/** One call of a block. */
typedef struct ps_checkpoint_call {
    ps_tensor (*run)(void *context, const void *about, int64_t index, ps_tensor input);
    void *context;     /* must outlive backward */
    const void *about; /* copied */
    size_t about_bytes;
    const ps_tensor *held; /* tensors in `about`: kept until backward is through */
    size_t held_count;
    int64_t index;
    ps_tensor input;
} ps_checkpoint_call;

/** Runs a block so that it keeps its inputs alone. The result is owned by the caller. */
ps_tensor ps_eager_checkpoint(ps_eager *self, const ps_checkpoint_call *call);

#endif
