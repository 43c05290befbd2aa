/* SPDX-License-Identifier: MIT
 *
 * Scores that a mask or a bound changes: one number where a condition fails,
 * the larger of each and a number, and the kernel that TorchScript makes of a
 * factor and a mask.
 */
#include "workload/eager/pointwise_parts.h"

/* where(condition, gradient, 0): the zero is a tensor too */
static void where_backward(ps_eager *self, ps_node *node, const ps_tensor *grads, ps_tensor *out)
{
    (void)node;
    ps_tensor zero = ps_op_plain(self, "fill", 1, ps_eager_dtype(self, grads[0]));
    out[0] = ps_pointwise_like(self, "where", grads[0]);
    ps_eager_clear(self, &zero);
}

static const ps_node_ops where_ops = {"WhereBackward0", where_backward};

ps_tensor ps_op_where(ps_eager *self, ps_tensor condition, ps_tensor a)
{
    return ps_pointwise_run(self, &where_ops, "where", a, condition);
}

static ps_tensor pass_over(ps_eager *self, const char *name, ps_tensor like, ps_dtype dtype,
                           uint64_t read_bytes)
{
    const ps_tensor out = ps_op_result(self, ps_eager_elements(self, like), dtype);
    ps_op_kernel(self, name, read_bytes + ps_eager_bytes(self, out));
    return out;
}

/* where(a == number, gradient / 2, gradient), then zero where a < number */
static void maximum_backward(ps_eager *self, ps_node *node, const ps_tensor *grads, ps_tensor *out)
{
    const ps_tensor a = node->saved[0];
    const ps_dtype dtype = ps_eager_dtype(self, grads[0]);
    const uint64_t bytes = ps_eager_bytes(self, grads[0]);
    ps_tensor half = pass_over(self, "div", grads[0], dtype, bytes);
    ps_tensor is_same = pass_over(self, "eq", a, PS_DTYPE_BOOL, bytes);
    out[0] = pass_over(self, "where", grads[0], dtype, 2 * bytes + ps_eager_bytes(self, is_same));
    ps_eager_clear(self, &is_same);
    ps_eager_clear(self, &half);
    ps_tensor is_less = pass_over(self, "lt", a, PS_DTYPE_BOOL, bytes);
    ps_op_kernel(self, "masked_fill", 2 * bytes + ps_eager_bytes(self, is_less));
    ps_eager_clear(self, &is_less);
}

static const ps_node_ops maximum_ops = {"MaximumBackward0", maximum_backward};

ps_tensor ps_op_maximum_number(ps_eager *self, ps_tensor a)
{
    ps_node *node = ps_op_record(self, &maximum_ops, &a, 1);
    ps_op_save(self, node, a);
    const ps_tensor out =
        pass_over(self, "maximum", a, ps_eager_dtype(self, a), ps_eager_bytes(self, a));
    ps_op_output(self, node, out, 0);
    return out;
}

/* The gradient times the mask times the factor, in one kernel too. */
static void scale_where_backward(ps_eager *self, ps_node *node, const ps_tensor *grads,
                                 ps_tensor *out)
{
    (void)node;
    out[0] = pass_over(self, "fused_mul_mul", grads[0], ps_eager_dtype(self, grads[0]),
                       ps_eager_bytes(self, grads[0]));
}

static const ps_node_ops scale_where_ops = {"ScaleWhereBackward", scale_where_backward};

ps_tensor ps_op_scale_where(ps_eager *self, ps_tensor condition, ps_tensor a)
{
    ps_node *node = ps_op_record(self, &scale_where_ops, &a, 1);
    ps_op_save(self, node, condition);
    const ps_tensor out =
        pass_over(self, "fused_mul_where", a, ps_eager_dtype(self, a), ps_eager_bytes(self, a));
    ps_op_output(self, node, out, 0);
    return out;
}
