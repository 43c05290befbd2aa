/* SPDX-License-Identifier: MIT
 *
 * Another type for the same elements.
 */
#include "workload/eager/eager_parts.h"
#include "workload/eager/ops.h"

static void to_backward(ps_eager *self, ps_node *node, const ps_tensor *grads, ps_tensor *out)
{
    out[0] = ps_op_result(self, ps_eager_elements(self, grads[0]), node->edge[0].dtype);
    ps_op_kernel_by(self, "copy", PS_ACCESS_STRIDED, 2 * ps_eager_bytes(self, grads[0]),
                    ps_eager_elements(self, grads[0]));
}

static const ps_node_ops to_ops = {"ToCopyBackward0", to_backward};

ps_tensor ps_op_copy_to(ps_eager *self, ps_tensor a, ps_dtype dtype)
{
    ps_node *node = ps_op_record(self, &to_ops, &a, 1);
    const ps_tensor out = ps_op_result(self, ps_eager_elements(self, a), dtype);
    ps_op_kernel_by(self, "copy", PS_ACCESS_STRIDED,
                    ps_eager_bytes(self, a) + ps_eager_bytes(self, out),
                    ps_eager_elements(self, a));
    ps_op_output(self, node, out, 0);
    return out;
}

ps_tensor ps_op_to(ps_eager *self, ps_tensor a, ps_dtype dtype)
{
    return ps_eager_dtype(self, a) == dtype ? ps_eager_hold(self, a)
                                            : ps_op_copy_to(self, a, dtype);
}
