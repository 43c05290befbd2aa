/* SPDX-License-Identifier: MIT
 *
 * A model cut into modules that two forward passes go through side by side,
 * module by module: what ZO2 needs of a family.
 *
 * A stage computes one module, or one function without parameters, for a pass;
 * its result goes to a slot of the pass once both passes have one, as in
 *     hidden1, hidden2 = dual(module, hidden1, hidden2)
 */
#ifndef PS_WORKLOAD_DUAL_H
#define PS_WORKLOAD_DUAL_H

#include "workload/model/model.h"

#define PS_DUAL_SLOTS 8
#define PS_DUAL_OWN 2 /* parameters of a module outside blocks: weight and bias */

/** Slot of the hidden states; the others are the family's. */
#define PS_DUAL_HIDDEN 0

/** One of the two passes. */
typedef struct ps_dual_pass {
    const ps_batch *batch;
    ps_tensor slot[PS_DUAL_SLOTS];
    const ps_tensor *shared; /* slots of what is made once for both */
    ps_tensor *beside;       /* receives the second result of a stage that has one */
} ps_dual_pass;

/** One module or function. */
typedef struct ps_dual_stage {
    /** Computes it for a pass; the result is the caller's. */
    ps_tensor (*run)(ps_model *m, const ps_dual_pass *pass);
    /**
     * The module's parameters, 0 where it has none; false: the model has no such module.
     * NULL: a function.
     */
    bool (*own)(const ps_model *m, ps_tensor own[PS_DUAL_OWN]);
    int slot;
    bool is_shared;  /* run once, into the shared slots */
    int beside_slot; /* of its second result; 0: it has one result */
} ps_dual_stage;

/** A family's stages, in order. */
typedef struct ps_dual_ops {
    const ps_dual_stage *before; /* the blocks */
    size_t before_count;
    /** One block. */
    ps_tensor (*block)(ps_model *m, const ps_dual_pass *pass, int64_t index);
    int64_t (*block_count)(const ps_model *m);
    /** After the blocks: when they are done, all slots but the hidden states are let go. */
    const ps_dual_stage *after;
    size_t after_count;
    ps_dual_stage head; /* into slot 1, PS_DUAL_LOGITS */
    /** Of a pass whose logits are there. NULL: cross entropy of all but the last, as typed. */
    ps_tensor (*loss)(ps_model *m, const ps_dual_pass *pass);
} ps_dual_ops;

#define PS_DUAL_LOGITS 1

#endif
