/* SPDX-License-Identifier: MIT
 *
 * ZeRO-Offload on one GPU: 16-bit weights stay on the device; their 32-bit copies and Adam's moments
 * lie in pinned memory of the host, which steps.
 *
 *   device     FWD  BWD ────────┐                    (delayed)  FWD  BWD ──────┐
 *   to host        gradients ...│                                   gradients ..│
 *   host                        └─ UPD ─┐            UPD of the step before ────│
 *   from host                           └─ weights ─ next FWD                   └─ weights ─ next FWD
 *
 * A step takes FWD + max(BWD, gradients) + UPD + weights; delayed, whichever takes longer of UPD and
 * weights + FWD + max(BWD, gradients). In later micro-batches of a step what the host has comes back
 * for each gradient, is added on the device, and goes again.
 */
#ifndef PS_WORKLOAD_ZERO_OFFLOAD_H
#define PS_WORKLOAD_ZERO_OFFLOAD_H

#include "workload/model/model.h"

typedef struct ps_zero_offload ps_zero_offload;

/** Says why a recipe cannot be run so. PS_OK · PS_USAGE */
ps_code ps_zero_offload_check(const ps_recipe *recipe, ps_error *err) PS_MUST_USE;

/**
 * Makes the host's side of a loaded model; gradients go there from now on.
 *
 * @param m    outlives it
 * @param out  also set after a failure
 * @return PS_OK · PS_NOMEM · what the sink says
 */
ps_code ps_zero_offload_create(ps_model *m, ps_zero_offload **out, ps_error *err) PS_MUST_USE;

/** NULL is fine. */
void ps_zero_offload_destroy(ps_zero_offload *self);

/** After each micro-batch's backward. NULL is fine. */
void ps_zero_offload_end_backward(ps_zero_offload *self);

/** The optimizer's turn. */
void ps_zero_offload_step(ps_zero_offload *self);

#endif
