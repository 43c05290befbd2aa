/* SPDX-License-Identifier: MIT
 *
 * Optimizers on the eager model: what each step allocates, in order.
 */
#ifndef PS_WORKLOAD_OPTIMIZER_H
#define PS_WORKLOAD_OPTIMIZER_H

#include "workload/recipe.h"

typedef struct ps_optimizer ps_optimizer;

/** What sets one optimizer apart. */
typedef struct ps_optimizer_ops {
    /** Once, at the first step: tensors that stay. */
    void (*make_state)(ps_optimizer *self);
    /** Each step. Parameters without a gradient are left out by the caller's list. */
    void (*update)(ps_optimizer *self);
} ps_optimizer_ops;

/** Shared by all; for the files that are optimizers. */
struct ps_optimizer {
    ps_eager *e;
    const ps_optimizer_ops *ops;
    ps_optimizer_style style;
    const ps_tensor *parameter; /* in order; borrowed */
    size_t count;
    bool has_state;
    ps_tensor *scratch; /* `count` tensors for use during a step */
    void *own;          /* further state of an optimizer, released with ps_free */
};

/**
 * @param word  of optimizers.def: "adamw"
 * @return PS_OK · PS_USAGE an unknown word, or a style it does not have · PS_NOMEM
 */
ps_code ps_optimizer_create(ps_eager *eager, const char *word, ps_optimizer_style style,
                            const ps_tensor *parameters, size_t count, ps_optimizer **out,
                            ps_error *err) PS_MUST_USE;

void ps_optimizer_destroy(ps_optimizer *self);

/** One step. */
void ps_optimizer_step(ps_optimizer *self);

/** zero_grad(): gradients are dropped in the order of the parameters. */
void ps_optimizer_zero_grad(ps_optimizer *self);

/* ---- for optimizers ---- */

/** A tensor like a parameter that stays. */
ps_tensor ps_optimizer_state(ps_optimizer *self, size_t parameter);

/** [bytes] of all parameters. */
uint64_t ps_optimizer_bytes(const ps_optimizer *self);

/** Makes a list of tensors like the parameters, in order, into scratch: a foreach operation. */
void ps_optimizer_list(ps_optimizer *self);

/** Drops that list from its end, as Python drops a list. */
void ps_optimizer_drop_list(ps_optimizer *self);

#endif
