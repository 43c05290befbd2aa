/* SPDX-License-Identifier: MIT
 *
 * Gradients of a low rank: what GaLore and APOLLO share (private to this
 * folder). A matrix's shorter side is projected on `rank` directions; its
 * moments are those of the product. Other parameters are Adam's.
 */
#ifndef PS_WORKLOAD_LOW_RANK_H
#define PS_WORKLOAD_LOW_RANK_H

#include "workload/optimizer/optimizer_parts.h"

/** Steps between two choices of directions. */
#define PS_LOW_RANK_UPDATE_STEPS 200

/** How a matrix is projected. */
typedef struct ps_low_rank {
    int64_t longer, shorter, rank; /* rank at most `shorter`; 0: not at all */
    bool is_tall;                  /* rows are the longer side */
} ps_low_rank;

/** Variables of the loop: each lives until the next parameter gives it a new value. */
typedef struct ps_low_rank_variables {
    ps_tensor grad, denominator, update; /* grad: projected */
} ps_low_rank_variables;

/** Weights of linear modules are projected, the recipe's rank or else `usual`. */
ps_low_rank ps_low_rank_of(const ps_optimizer *self, size_t parameter, int64_t usual);

/** True when the parameter's directions are due in this step. */
bool ps_low_rank_is_due(const ps_optimizer *self, size_t parameter);

/** Elements of the projected gradient and its moments. */
int64_t ps_low_rank_elements(const ps_low_rank *of);

/** A temporary of the parameter's type. */
ps_tensor ps_low_rank_make(ps_optimizer *self, size_t parameter, int64_t elements, const char *name,
                           uint64_t passes);

/** The projected gradient: one product with the directions. */
void ps_low_rank_project(ps_optimizer *self, size_t parameter, const ps_low_rank *of,
                         ps_low_rank_variables *v);

/** Adam's moments and its update, both of `elements` elements; moments are made at the first. */
void ps_low_rank_adam(ps_optimizer *self, size_t parameter, int64_t elements,
                      ps_low_rank_variables *v);

/** The parameter moves by v->update. */
void ps_low_rank_apply(ps_optimizer *self, size_t parameter);

void ps_low_rank_end(ps_optimizer *self, ps_low_rank_variables *v);

#endif
