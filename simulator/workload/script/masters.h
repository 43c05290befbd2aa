/* SPDX-License-Identifier: MIT
 *
 * A 32-bit copy of every 16-bit parameter, which the optimizer updates in its
 * place (private to this folder). As Megatron-LM's
 * Float16OptimizerWithFloat16Params does it without a contiguous buffer of
 * gradients:
 *
 *   optimizer made   each parameter is cloned, the clone made wide and dropped
 *   step             each gradient is made wide, then dropped, one after the other; the optimizer
 *                    sees copies and wide gradients; the copies are copied back
 *   zero_grad        wide gradients are dropped
 *
 * DeepSpeed and Megatron's contiguous buffers hold 32-bit gradients all the time instead.
 *
 * Under HiFT copies lie in pageable memory of the host, as its replacement of DeepSpeed's
 * FP16_UnfusedOptimizer has them, and narrow gradients stay until the step's end:
 *
 *   step             copies of the last step's group go to the host, those of this one's come, by
 *                    copies that wait; then as above
 */
#ifndef PS_WORKLOAD_MASTERS_H
#define PS_WORKLOAD_MASTERS_H

#include "workload/model/model.h"

/** The copies, as a model that an optimizer takes: `of` has no modules. */
typedef struct ps_masters {
    const ps_model *model; /* whose parameters they are */
    ps_model of;
    ps_tensor *host; /* of each copy, where they lie on the host between steps; else NULL */
} ps_masters;

/** Refuses what leaves no room for copies. PS_OK · PS_USAGE */
ps_code ps_masters_check(const ps_recipe *recipe, ps_error *err) PS_MUST_USE;

/**
 * Makes the copies of a loaded model's parameters.
 *
 * @param self  zeroed; release with ps_masters_fini, also after a failure
 * @return PS_OK · PS_NOMEM · what the sink says
 */
ps_code ps_masters_make(ps_masters *self, const ps_model *model, ps_error *err) PS_MUST_USE;

/** Gradients of the model become wide gradients of the copies. */
void ps_masters_take_grads(ps_masters *self);

/** Copies go back into the model's parameters: one kernel each. */
void ps_masters_write_back(ps_masters *self);

/** zero_grad() of what ps_masters_take_grads left: narrow gradients, where copies lie on the host. */
void ps_masters_drop_narrow(ps_masters *self);

void ps_masters_fini(ps_masters *self);

#endif
