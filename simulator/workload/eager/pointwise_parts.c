/* SPDX-License-Identifier: MIT
 *
 * Results of operations element by element: size, type, and how their kernels
 * go through memory.
 */
#include "workload/eager/pointwise_parts.h"

int64_t ps_pointwise_larger(const ps_eager *self, ps_tensor a, ps_tensor b)
{
    const int64_t na = ps_eager_elements(self, a), nb = ps_eager_elements(self, b);
    return na > nb ? na : nb;
}

/* Type of a result of two types of numbers; whole numbers give way. */
static ps_dtype promoted(const ps_eager *self, ps_tensor a, ps_tensor b)
{
    const ps_dtype x = ps_eager_dtype(self, a), y = ps_eager_dtype(self, b);
    const bool x_whole = x == PS_DTYPE_I64 || x == PS_DTYPE_BOOL;
    const bool y_whole = y == PS_DTYPE_I64 || y == PS_DTYPE_BOOL;
    if (x == y || (y_whole && !x_whole)) {
        return x;
    }
    if (x_whole) {
        return y_whole ? PS_DTYPE_I64 : y;
    }
    return PS_DTYPE_F32;
}

ps_access ps_pointwise_access(const ps_eager *self, ps_tensor a, ps_tensor b, int64_t elements)
{
    const bool is_alike = ps_eager_dtype(self, a) == ps_eager_dtype(self, b) &&
                          ps_eager_elements(self, a) == elements &&
                          ps_eager_elements(self, b) == elements;
    return is_alike ? PS_ACCESS_CONTIGUOUS : PS_ACCESS_STRIDED;
}

ps_tensor ps_pointwise_spread(ps_eager *self, const char *name, ps_tensor a, ps_tensor b,
                              int64_t elements)
{
    const ps_tensor out = ps_op_result(self, elements, promoted(self, a, b));
    ps_op_kernel_by(self, name, ps_pointwise_access(self, a, b, elements),
                    ps_eager_bytes(self, a) + ps_eager_bytes(self, b) + ps_eager_bytes(self, out),
                    elements);
    return out;
}

ps_tensor ps_pointwise_make(ps_eager *self, const char *name, ps_access access, ps_tensor a,
                            int64_t elements)
{
    const int64_t read = ps_eager_elements(self, a);
    const ps_tensor out = ps_op_result(self, elements, ps_eager_dtype(self, a));
    ps_op_kernel_by(self, name, access, ps_eager_bytes(self, a) + ps_eager_bytes(self, out),
                    access == PS_ACCESS_REDUCTION ? read : elements);
    return out;
}

ps_tensor ps_pointwise_like(ps_eager *self, const char *name, ps_tensor a)
{
    return ps_pointwise_make(self, name, PS_ACCESS_CONTIGUOUS, a, ps_eager_elements(self, a));
}

ps_tensor ps_pointwise_run(ps_eager *self, const ps_node_ops *ops, const char *name, ps_tensor a,
                           ps_tensor kept)
{
    ps_node *node = ps_op_record(self, ops, &a, 1);
    ps_op_save(self, node, kept);
    const ps_tensor out = ps_pointwise_like(self, name, a);
    ps_op_output(self, node, out, 0);
    return out;
}
