/* SPDX-License-Identifier: MIT
 *
 * torch.amp.GradScaler on the eager model: small tensors on the device, and a pass over all
 * gradients before the optimizer's step.
 */
#ifndef PS_WORKLOAD_GRAD_SCALER_H
#define PS_WORKLOAD_GRAD_SCALER_H

#include "workload/model/model.h"

/** All zero before its first use; released by ps_grad_scaler_end. */
typedef struct ps_grad_scaler {
    ps_tensor scale, growth; /* made by the first scale() */
    ps_tensor found_inf;     /* from unscale_() to update() */
    ps_tensor lent[2];       /* to a fused optimizer: whether there was an infinity, the scale */
} ps_grad_scaler;

/** scale(loss): owned by the caller. */
ps_tensor ps_grad_scaler_scale(ps_grad_scaler *self, ps_eager *e, ps_tensor loss);

/** unscale_(optimizer): the gradients of the model's trained parameters, in place. */
void ps_grad_scaler_unscale(ps_grad_scaler *self, const ps_model *m);

/**
 * step(optimizer) of an optimizer that unscales in its own kernel: gradients are only looked at,
 * unless unscale_() did so, and numbers are lent to it until ps_grad_scaler_take_back.
 */
void ps_grad_scaler_lend(ps_grad_scaler *self, const ps_model *m);
void ps_grad_scaler_take_back(ps_grad_scaler *self, ps_eager *e);

/** update(). */
void ps_grad_scaler_update(ps_grad_scaler *self, ps_eager *e);

void ps_grad_scaler_end(ps_grad_scaler *self, ps_eager *e);

#endif
