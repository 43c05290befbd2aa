/* SPDX-License-Identifier: MIT
 *
 * Dropout, softmax and activations: one result each, and backward makes one.
 */
#include "workload/eager/pointwise_parts.h"

/* The gradient takes one pass over gradient and what was kept, and a buffer of its own. */
static void one_pass(ps_eager *self, ps_node *node, const ps_tensor *grads, ps_tensor *out)
{
    out[0] = ps_op_result(self, ps_eager_elements(self, grads[0]), ps_eager_dtype(self, grads[0]));
    ps_op_kernel(self, node->ops->name, 3 * ps_eager_bytes(self, grads[0]));
}

static const ps_node_ops dropout_ops = {"NativeDropoutBackward0", one_pass};

/* In the input's type; the product of gradient and result is made first, in the result's. */
static void softmax_backward(ps_eager *self, ps_node *node, const ps_tensor *grads, ps_tensor *out)
{
    const int64_t elements = ps_eager_elements(self, grads[0]);
    out[0] = ps_op_result(self, elements, node->edge[0].dtype);
    ps_op_kernel_by(self, node->ops->name, PS_ACCESS_ROWS, 3 * ps_eager_bytes(self, grads[0]),
                    elements);
    ps_tensor product = ps_op_plain(self, "mul", elements, ps_eager_dtype(self, grads[0]));
    ps_eager_clear(self, &product);
}

static const ps_node_ops softmax_ops = {"SoftmaxBackward0", softmax_backward};
static const ps_node_ops tanh_ops = {"TanhBackward0", one_pass};
static const ps_node_ops sigmoid_ops = {"SigmoidBackward0", one_pass};
static const ps_node_ops gelu_ops = {"GeluBackward0", one_pass};
static const ps_node_ops relu_ops = {"ReluBackward0", one_pass};
static const ps_node_ops silu_ops = {"SiluBackward0", one_pass};

/* Keeps its result. */
static ps_tensor from_result(ps_eager *self, const ps_node_ops *ops, const char *name,
                             ps_access access, ps_tensor a)
{
    ps_node *node = ps_op_record(self, ops, &a, 1);
    const ps_tensor out = ps_pointwise_make(self, name, access, a, ps_eager_elements(self, a));
    ps_op_save(self, node, out);
    ps_op_output(self, node, out, 0);
    return out;
}

ps_tensor ps_op_dropout(ps_eager *self, ps_tensor a)
{
    ps_node *node = ps_op_record(self, &dropout_ops, &a, 1);
    ps_tensor mask = ps_op_result(self, ps_eager_elements(self, a), PS_DTYPE_BOOL);
    const ps_tensor out = ps_pointwise_like(self, "native_dropout", a);
    ps_op_save(self, node, mask);
    ps_eager_clear(self, &mask);
    ps_op_output(self, node, out, 0);
    return out;
}

ps_tensor ps_op_softmax(ps_eager *self, ps_tensor a)
{
    return from_result(self, &softmax_ops, "softmax", PS_ACCESS_ROWS, a);
}

ps_tensor ps_op_softmax_wide(ps_eager *self, ps_tensor a)
{
    if (ps_eager_dtype(self, a) != PS_DTYPE_F16) {
        ps_tensor wide = ps_op_to(self, a, PS_DTYPE_F32);
        const ps_tensor out = ps_op_softmax(self, wide);
        ps_eager_clear(self, &wide);
        return out;
    }
    ps_node *node = ps_op_record(self, &softmax_ops, &a, 1);
    const ps_tensor out = ps_op_result(self, ps_eager_elements(self, a), PS_DTYPE_F32);
    ps_op_kernel_by(self, "softmax", PS_ACCESS_ROWS,
                    ps_eager_bytes(self, a) + ps_eager_bytes(self, out),
                    ps_eager_elements(self, a));
    ps_op_save(self, node, out);
    ps_op_output(self, node, out, 0);
    return out;
}

ps_tensor ps_op_tanh(ps_eager *self, ps_tensor a)
{
    return from_result(self, &tanh_ops, "tanh", PS_ACCESS_CONTIGUOUS, a);
}

ps_tensor ps_op_sigmoid(ps_eager *self, ps_tensor a)
{
    return from_result(self, &sigmoid_ops, "sigmoid", PS_ACCESS_CONTIGUOUS, a);
}

ps_tensor ps_op_gelu(ps_eager *self, ps_tensor a)
{
    return ps_pointwise_run(self, &gelu_ops, "gelu", a, a);
}

ps_tensor ps_op_relu(ps_eager *self, ps_tensor a)
{
    return from_result(self, &relu_ops, "relu", PS_ACCESS_CONTIGUOUS, a);
}

ps_tensor ps_op_silu(ps_eager *self, ps_tensor a)
{
    return ps_pointwise_run(self, &silu_ops, "silu", a, a);
}
