/* SPDX-License-Identifier: MIT
 *
 * torch.optim.AdamW as it is by default: over lists of tensors (foreach).
 */
#ifndef PS_WORKLOAD_ADAMW_H
#define PS_WORKLOAD_ADAMW_H

#include "workload/eager.h"

typedef struct ps_adamw ps_adamw;

/** @param parameters  in order; borrowed for its life. NULL when out of memory */
ps_adamw *ps_adamw_create(ps_eager *eager, const ps_tensor *parameters, size_t count) PS_MUST_USE;

void ps_adamw_destroy(ps_adamw *self);

/** One step: states are made at the first, the square roots of all second moments live at once. */
void ps_adamw_step(ps_adamw *self);

/** zero_grad(): gradients are dropped in the order of the parameters. */
void ps_adamw_zero_grad(ps_adamw *self);

#endif
