/* SPDX-License-Identifier: MIT
 *
 * ZeRO-Offload, stages 1 and 2 (private to this folder): this rank's part of
 * 32-bit copies, moments and gradients lies on the host, in one piece each.
 *
 *   gradient   several micro-batches: added up in pinned memory by way of the device; before the
 *              step made wide on the device and copied down
 *   step       scaled, Adam, made narrow on the host; comes up in 16 bits
 *   delayed    a thread steps beside the next forward and backward; what it made is used after
 *              them, so that parameters are one step older
 */
#ifndef PS_WORKLOAD_OFFLOAD_FLAT_H
#define PS_WORKLOAD_OFFLOAD_FLAT_H

#include "workload/scheme/offload.h"

typedef struct ps_offload_flat {
    ps_scheme *scheme;
    int64_t elements;
    ps_tensor state[PS_OFFLOAD_STATES];
    ps_tensor grad[2];     /* the second where a thread may still read the first */
    ps_tensor narrow;      /* 16 bits: what the step made, on its way up */
    ps_tensor landing;     /* on the device: the largest parameter's gradient, as it comes up */
    ps_tensor accumulated; /* 16 bits, where a step has several micro-batches */
    size_t turn;           /* which gradient this step fills */
    uint32_t stepped;      /* mark of the thread's step; 0 none yet */
} ps_offload_flat;

/** Makes them for a part of so many elements; `largest` is the largest parameter's. */
void ps_offload_flat_make(ps_offload_flat *self, ps_scheme *scheme, int64_t elements,
                          int64_t largest);

/** A reduced gradient of this rank's, in the lane of this moment; see ps_offload_take_grad. */
void ps_offload_flat_take_grad(ps_offload_flat *self, int64_t elements, bool adds, bool is_last);

/** The step, and the copy back to `part`, 16 bits on the device. */
void ps_offload_flat_step(ps_offload_flat *self, ps_tensor part);

#endif
