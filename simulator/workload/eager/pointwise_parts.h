/* SPDX-License-Identifier: MIT
 *
 * What operations element by element share (private to this folder): their
 * results, of which each is made together with the kernel that writes it.
 *
 * What is saved, and in which order it is released, follows autograd's
 * generated code: saved inputs by name, then saved results.
 */
#ifndef PS_WORKLOAD_POINTWISE_PARTS_H
#define PS_WORKLOAD_POINTWISE_PARTS_H

#include "workload/eager/eager_parts.h"
#include "workload/eager/ops.h"

/** The larger number of elements of two tensors. */
int64_t ps_pointwise_larger(const ps_eager *self, ps_tensor a, ps_tensor b);

/**
 * How a kernel goes through two operands: those of one type and size as they lie; else each
 * element's place is worked out.
 *
 * @param elements  of the result
 */
ps_access ps_pointwise_access(const ps_eager *self, ps_tensor a, ps_tensor b, int64_t elements);

/** A result of a and b, both spread over `elements`, in the type that both give way to. */
ps_tensor ps_pointwise_spread(ps_eager *self, const char *name, ps_tensor a, ps_tensor b,
                              int64_t elements);

/** A result of `elements` in a's type, made of `a` alone. */
ps_tensor ps_pointwise_make(ps_eager *self, const char *name, ps_access access, ps_tensor a,
                            int64_t elements);

/** A result of a's type and size, made of `a` one element after another. */
ps_tensor ps_pointwise_like(ps_eager *self, const char *name, ps_tensor a);

/**
 * A whole operation on one tensor, with its graph: ps_pointwise_like.
 *
 * @param kept  what backward needs; 0: nothing
 */
ps_tensor ps_pointwise_run(ps_eager *self, const ps_node_ops *ops, const char *name, ps_tensor a,
                           ps_tensor kept);

#endif
