/* SPDX-License-Identifier: MIT
 *
 * HiFT: a step trains one group of layers, the next step the next group.
 *
 *   layers      embeddings | block 1 | ... | block n | norm and head
 *   queue       the layers from below, from above, or shuffled once
 *   step s      group s mod G of the queue, `layers` of it at a time, G = ceil((n + 2) / layers)
 *
 * Only the active group's parameters require a gradient: the forward pass records a graph from the
 * lowest of them up, backward goes down to it, and the optimizer sees those parameters alone. States
 * of all others lie on the host (ps_optimizer_place_on_host).
 *
 * The released code lets the queue run on where G * layers is not n + 2; here the last group is
 * smaller, as it was published.
 */
#ifndef PS_WORKLOAD_HIFT_H
#define PS_WORKLOAD_HIFT_H

#include "workload/model/model.h"

typedef struct ps_hift ps_hift;

/** Says why a recipe cannot be trained group by group. PS_OK · PS_USAGE */
ps_code ps_hift_check(const ps_recipe *recipe, ps_error *err) PS_MUST_USE;

/**
 * Cuts a loaded model's parameters into groups.
 *
 * @param m    outlives it
 * @param out  NULL where the recipe trains all layers in every step
 * @return PS_OK · PS_NOMEM
 */
ps_code ps_hift_create(const ps_model *m, ps_hift **out, ps_error *err) PS_MUST_USE;

/** NULL is fine. */
void ps_hift_destroy(ps_hift *self);

/** Steps of a cycle: G, > 0. */
int64_t ps_hift_groups(const ps_hift *self);

/** Before the forward pass of step `number`, from 0: its group is active. NULL does nothing. */
void ps_hift_begin_step(ps_hift *self, int64_t number);

#endif
