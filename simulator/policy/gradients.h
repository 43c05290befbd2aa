/* SPDX-License-Identifier: MIT
 *
 * The gradients of a recorded backward pass: when each parameter's is ready,
 * and how large it is.
 *
 *   ready   the end of autograd's AccumulateGrad; in a recording of
 *           DistributedDataParallel the end of its copy into the bucket;
 *           without ranges the birth of a gradient's buffer
 *   size    recorded shapes of AccumulateGrad; the copies out of the buckets;
 *           buffers with the role of a gradient
 */
#ifndef PS_POLICY_GRADIENTS_H
#define PS_POLICY_GRADIENTS_H

#include "plan/plan.h"
#include "trace/trace.h"
#include "workload/recover/structure.h"

#define PS_GRADIENT_NONE UINT32_MAX

/** One parameter's gradient in one backward pass. */
typedef struct ps_gradient {
    uint32_t ready_after;  /* host task behind which it is ready */
    ps_ns ready_offset_ns; /* after the begin of that task */
    uint32_t copied_back;  /* recorded task that copies it out of its bucket, or PS_GRADIENT_NONE */
    uint32_t buffer;       /* of the plan, or PS_GRADIENT_NONE: not told apart */
    uint64_t bytes;
    uint32_t element_bytes; /* gradients of different ones go to buckets of their own; 0 unknown */
} ps_gradient;

/** A backward pass whose gradients are exchanged: the last one before an optimizer step. */
typedef struct ps_backward {
    size_t first, count; /* in ps_gradients.gradient, in order of readiness */
} ps_backward;

typedef struct ps_gradients {
    ps_gradient *gradient;
    size_t count, capacity;
    ps_backward *backward;
    size_t backward_count, backward_capacity;
    bool has_buckets; /* recorded under DistributedDataParallel: copies in and out are there */
    /* [ns] of the host, typical: a call that launches, and what a small operator takes beside it */
    ps_ns launch_ns, between_launches_ns;
    const char *how; /* the sizes are known; static text */
} ps_gradients;

/**
 * Finds the gradients of a recording of one process on one device.
 *
 * @param trace      as ps_lower_trace left it
 * @param structure  of the trace
 * @param plan       the identity plan of the trace, unchanged
 * @param out        release with ps_gradients_fini; written only on PS_OK
 * @return PS_OK · PS_BAD_INPUT no backward pass is recorded, or the sizes of its gradients are
 *         not · PS_NOMEM
 */
ps_code ps_gradients_find(const ps_trace *trace, const ps_structure *structure, const ps_plan *plan,
                          ps_gradients *out, ps_error *err) PS_MUST_USE;

void ps_gradients_fini(ps_gradients *self);

#endif
