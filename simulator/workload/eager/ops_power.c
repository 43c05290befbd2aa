/* SPDX-License-Identifier: MIT
 *
 * Powers and roots, element by element.
 */
#include "workload/eager/pointwise_parts.h"

enum { POWER_IS_SQUARE };

/* exponent * a ** (exponent - 1) * grad; to the power of 1 is a copy */
static void power_backward(ps_eager *self, ps_node *node, const ps_tensor *grads, ps_tensor *out)
{
    const char *name = node->number[POWER_IS_SQUARE] != 0 ? "copy" : "pow";
    ps_tensor power = ps_pointwise_like(self, name, node->saved[0]);
    ps_tensor scaled = ps_pointwise_like(self, "mul", power);
    out[0] = ps_pointwise_like(self, "mul", grads[0]);
    ps_eager_clear(self, &scaled);
    ps_eager_clear(self, &power);
}

static const ps_node_ops power_ops = {"PowBackward0", power_backward};

static ps_tensor to_power(ps_eager *self, ps_tensor a, bool is_square)
{
    ps_tensor wide = ps_op_widen(self, a);
    ps_node *node = ps_op_record(self, &power_ops, &wide, 1);
    ps_op_save(self, node, wide);
    if (node != NULL) {
        node->number[POWER_IS_SQUARE] = is_square;
    }
    const ps_tensor out = ps_pointwise_like(self, "pow", wide);
    ps_op_output(self, node, out, 0);
    ps_eager_clear(self, &wide);
    return out;
}

ps_tensor ps_op_power(ps_eager *self, ps_tensor a)
{
    return to_power(self, a, false);
}

ps_tensor ps_op_square(ps_eager *self, ps_tensor a)
{
    return to_power(self, a, true);
}

/* -0.5 * grad * result ** 3; the right factor is computed first */
static void rsqrt_backward(ps_eager *self, ps_node *node, const ps_tensor *grads, ps_tensor *out)
{
    ps_tensor cube = ps_pointwise_like(self, "pow", node->saved[0]);
    ps_tensor half = ps_pointwise_like(self, "mul", grads[0]);
    out[0] = ps_pointwise_like(self, "mul", half);
    ps_eager_clear(self, &half);
    ps_eager_clear(self, &cube);
}

static const ps_node_ops rsqrt_ops = {"RsqrtBackward0", rsqrt_backward};

ps_tensor ps_op_rsqrt(ps_eager *self, ps_tensor a)
{
    ps_node *node = ps_op_record(self, &rsqrt_ops, &a, 1);
    const ps_tensor out = ps_pointwise_like(self, "rsqrt", a);
    ps_op_save(self, node, out);
    ps_op_output(self, node, out, 0);
    return out;
}
