/* SPDX-License-Identifier: MIT
 *
 * Activations on the host: what a block keeps for backward goes to pinned
 * memory while the next block runs, and comes back before its own backward.
 *
 *   forward    block i keeps a tensor:   offload lane, behind the computation so far
 *              block i + 1 keeps one:    the computation waits for the offloads of block i - 1,
 *                                        whose memory is free then
 *   backward   block i needs one:        blocks i - 1 .. i - prefetch are brought, behind the
 *                                        computation so far; the computation waits for block i
 *
 * A tensor that several nodes or neighbouring blocks keep goes once. What
 * still lies on the device when backward asks for it is used as it is.
 */
#ifndef PS_WORKLOAD_ACTIVATIONS_H
#define PS_WORKLOAD_ACTIVATIONS_H

#include "workload/model/model.h"

typedef struct ps_activations ps_activations;

/** Says why a recipe's activations cannot go to the host. PS_OK · PS_USAGE */
ps_code ps_activations_check(const ps_recipe *recipe, ps_error *err) PS_MUST_USE;

/**
 * From now on the loaded model's activations are kept as its recipe says.
 *
 * @param m    outlives it
 * @param out  NULL where they stay on the device
 * @return PS_OK · PS_NOMEM
 */
ps_code ps_activations_create(const ps_model *m, ps_activations **out, ps_error *err) PS_MUST_USE;

/** NULL is fine. */
void ps_activations_destroy(ps_activations *self);

#endif
