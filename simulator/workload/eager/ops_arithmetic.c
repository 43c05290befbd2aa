/* SPDX-License-Identifier: MIT
 *
 * Sums, products and negation, element by element.
 */
#include "workload/eager/pointwise_parts.h"

/* ---- sums ---- */

static void pass_on(ps_eager *self, ps_node *node, const ps_tensor *grads, ps_tensor *out)
{
    for (uint32_t i = 0; i < node->edge_count; i++) {
        out[i] = ps_op_wants(node, i) ? ps_eager_hold(self, grads[0]) : 0;
    }
}

static const ps_node_ops add_ops = {"AddBackward0", pass_on};

ps_tensor ps_op_add_spread(ps_eager *self, ps_tensor a, ps_tensor b, int64_t elements)
{
    const ps_tensor inputs[] = {a, b};
    ps_node *node = ps_op_record(self, &add_ops, inputs, 2);
    const ps_tensor out = ps_pointwise_spread(self, "add", a, b, elements);
    ps_op_output(self, node, out, 0);
    return out;
}

ps_tensor ps_op_add(ps_eager *self, ps_tensor a, ps_tensor b)
{
    return ps_op_add_spread(self, a, b, ps_pointwise_larger(self, a, b));
}

void ps_op_add_into(ps_eager *self, ps_tensor a, ps_tensor b)
{
    const int64_t elements = ps_eager_elements(self, a);
    ps_op_kernel_by(self, "add", ps_pointwise_access(self, a, b, elements),
                    2 * ps_eager_bytes(self, a) + ps_eager_bytes(self, b), elements);
}

ps_tensor ps_op_add_in_place(ps_eager *self, ps_tensor a, ps_tensor b)
{
    const ps_tensor inputs[] = {a, b};
    ps_node *node = ps_op_record(self, &add_ops, inputs, 2);
    const ps_tensor out = ps_op_view_of(self, a, ps_eager_elements(self, a));
    ps_op_add_into(self, a, b);
    ps_op_output(self, node, out, 0);
    return out;
}

ps_tensor ps_op_add_number(ps_eager *self, ps_tensor a)
{
    return ps_pointwise_run(self, &add_ops, "add", a, 0);
}

/* ---- products: the other factor of each that wants a gradient is saved ---- */

static void mul_backward(ps_eager *self, ps_node *node, const ps_tensor *grads, ps_tensor *out)
{
    if (ps_op_wants(node, 1)) {
        out[1] = ps_pointwise_like(self, "mul", grads[0]);
    }
    if (ps_op_wants(node, 0)) {
        out[0] = ps_pointwise_like(self, "mul", grads[0]);
    }
}

static const ps_node_ops mul_ops = {"MulBackward0", mul_backward};

ps_tensor ps_op_mul(ps_eager *self, ps_tensor a, ps_tensor b)
{
    const ps_tensor inputs[] = {a, b};
    ps_node *node = ps_op_record(self, &mul_ops, inputs, 2);
    if (node != NULL) {
        ps_op_save(self, node, ps_op_wants(node, 0) ? b : 0);
        ps_op_save(self, node, ps_op_wants(node, 1) ? a : 0);
    }
    const ps_tensor out = ps_pointwise_spread(self, "mul", a, b, ps_pointwise_larger(self, a, b));
    ps_op_output(self, node, out, 0);
    return out;
}

static void scale_backward(ps_eager *self, ps_node *node, const ps_tensor *grads, ps_tensor *out)
{
    (void)node;
    out[0] = ps_pointwise_like(self, "mul", grads[0]);
}

static const ps_node_ops scale_ops = {"MulBackward0", scale_backward};

ps_tensor ps_op_mul_number(ps_eager *self, ps_tensor a)
{
    return ps_pointwise_run(self, &scale_ops, "mul", a, 0);
}

static void neg_backward(ps_eager *self, ps_node *node, const ps_tensor *grads, ps_tensor *out)
{
    (void)node;
    out[0] = ps_pointwise_like(self, "neg", grads[0]);
}

static const ps_node_ops neg_ops = {"NegBackward0", neg_backward};

ps_tensor ps_op_neg(ps_eager *self, ps_tensor a)
{
    return ps_pointwise_run(self, &neg_ops, "neg", a, 0);
}
