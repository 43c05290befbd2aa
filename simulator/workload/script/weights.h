/* SPDX-License-Identifier: MIT
 *
 * Weights on the host: those of blocks that are not trained lie in pinned
 * memory and come before their block runs, forward and backward. They are
 * never written, so nothing goes back.
 *
 *   before a block    the computation waits for its weights; those of the next blocks are
 *                     brought, behind the computation so far
 *   behind it         they go; those of the last block stay for its backward
 */
#ifndef PS_WORKLOAD_WEIGHTS_H
#define PS_WORKLOAD_WEIGHTS_H

#include "workload/model/model.h"

typedef struct ps_weights ps_weights;

/** Says why a recipe's weights cannot lie on the host. PS_OK · PS_USAGE */
ps_code ps_weights_check(const ps_recipe *recipe, ps_error *err) PS_MUST_USE;

/**
 * Puts the loaded model's weights where its recipe wants them; it listens to the model from now on.
 *
 * @param m    outlives it
 * @param out  NULL where all lie on the device
 * @return PS_OK · PS_NOMEM
 */
ps_code ps_weights_create(ps_model *m, ps_weights **out, ps_error *err) PS_MUST_USE;

/** NULL is fine. */
void ps_weights_destroy(ps_weights *self);

#endif
