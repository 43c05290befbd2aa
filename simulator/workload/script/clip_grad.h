/* SPDX-License-Identifier: MIT
 *
 * torch.nn.utils.clip_grad_norm_ on the eager model.
 */
#ifndef PS_WORKLOAD_CLIP_GRAD_H
#define PS_WORKLOAD_CLIP_GRAD_H

#include "workload/scheme/scheme.h"

/**
 * Norm of all gradients of the model's trained parameters, and a pass that scales them.
 *
 * @param scheme  adds up norms of shards; NULL: one rank
 */
void ps_clip_grad_norm(const ps_model *m, ps_scheme *scheme);

#endif
