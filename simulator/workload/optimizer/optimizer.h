/* SPDX-License-Identifier: MIT
 *
 * Optimizers on the eager model: what each step allocates, in order, and the
 * kernels it launches.
 */
#ifndef PS_WORKLOAD_OPTIMIZER_H
#define PS_WORKLOAD_OPTIMIZER_H

#include "workload/model/model.h"

typedef struct ps_optimizer ps_optimizer;

/** When an optimizer works. */
typedef enum ps_optimizer_way {
    PS_OPTIMIZER_AFTER_BACKWARD = 0, /* step() finds every gradient */
    PS_OPTIMIZER_IN_BACKWARD,        /* a hook takes each gradient as soon as there is one */
    PS_OPTIMIZER_ZEROTH_ORDER,       /* no backward: losses of perturbed parameters */
} ps_optimizer_way;

/**
 * The recipe's optimizer over a model's trained parameters.
 *
 * @param m  loaded; outlives the optimizer
 * @return PS_OK · PS_USAGE an unknown word, or a style that the optimizer does not have · PS_NOMEM
 */
ps_code ps_optimizer_create(const ps_model *m, ps_optimizer **out, ps_error *err) PS_MUST_USE;

/** NULL is fine. */
void ps_optimizer_destroy(ps_optimizer *self);

/** Of a word of optimizers.def; PS_OPTIMIZER_AFTER_BACKWARD of any other. */
ps_optimizer_way ps_optimizer_way_of(const char *word);

/** True when its states can lie on the host between steps: ps_optimizer_place_on_host. */
bool ps_optimizer_can_leave(const char *word);

/**
 * States lie in pageable memory of the host from the end of the step that makes them on: a step
 * brings those of the parameters that have a gradient, tensor by tensor, and sends them back
 * before it ends with empty_cache(). Before the first step, of an optimizer that can.
 */
void ps_optimizer_place_on_host(ps_optimizer *self);

/** True when its kernel unscales gradients itself: GradScaler then lends it the scale. */
bool ps_optimizer_unscales(const ps_optimizer *self);

/** One step over the parameters that have a gradient; of a zeroth-order optimizer, the update. */
void ps_optimizer_step(ps_optimizer *self);

/** zero_grad(): gradients are dropped in the order of the parameters. */
void ps_optimizer_zero_grad(ps_optimizer *self);

/** Of PS_OPTIMIZER_ZEROTH_ORDER: moves every parameter along the random direction of this step. */
void ps_optimizer_perturb(ps_optimizer *self);

/**
 * Of PS_OPTIMIZER_IN_BACKWARD: hooks itself to the parameters. Gradients are applied, or (true)
 * their norms taken; the step after backward does so with the last one, which no hook sees.
 */
void ps_optimizer_hook(ps_optimizer *self, bool gathers_norms);

/** Words of optimizers.def in order; NULL past the end. */
const char *ps_optimizer_word_at(size_t index);

#endif
