/* SPDX-License-Identifier: MIT
 *
 * What DeepSpeed's stages share (private to this folder): 32-bit copies of this
 * rank's part of the parameters, which the optimizer updates.
 */
#ifndef PS_WORKLOAD_ZERO_H
#define PS_WORKLOAD_ZERO_H

#include "workload/scheme/scheme_parts.h"

/** Refuses what no stage can run. PS_OK · PS_USAGE */
ps_code ps_zero_check(const ps_recipe *recipe, ps_error *err) PS_MUST_USE;

/** The type of all weights and gradients: DeepSpeed converts the whole model. */
static inline ps_dtype ps_zero_type(const ps_scheme *self)
{
    return self->m->recipe->parameters;
}

/** True when the optimizer is the host's. */
static inline bool ps_zero_offloads(const ps_scheme *self)
{
    return self->settings->zero.offloads_optimizer;
}

/** True when streams run beside the computation. */
bool ps_zero_overlaps(const ps_scheme *self, bool usual);

/**
 * clone().float() of a part: the 32-bit copy stays, the clone of 16-bit ones goes.
 *
 * @return the copy, owned by the caller
 */
ps_tensor ps_zero_make_copy(ps_scheme *self, int64_t elements);

/** Zeros as a gradient of the largest part, for a moment: states are sized by it. */
void ps_zero_show_gradient(ps_scheme *self, int64_t elements);

/** A norm or a flag summed over all that have parts of the parameters, ranks that share matrices
 * included, on the main stream; the host does not wait. */
void ps_zero_sum_number(ps_scheme *self);

/** The norm of a gradient in 64 bits, which is made of it; `count` of them. */
void ps_zero_norms(ps_scheme *self, const int64_t *elements, size_t count);

/**
 * Steps over one 32-bit copy.
 *
 * @param grad  its gradient, 32 bits; owned by this function
 */
void ps_zero_update(ps_scheme *self, ps_optimizer *optimizer, ps_tensor copy, ps_tensor grad);

#endif
