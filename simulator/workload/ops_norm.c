/* SPDX-License-Identifier: MIT
 *
 * Norms in one kernel.
 */
#include "workload/eager_parts.h"
#include "workload/ops.h"

/* Edges are input, weight, bias; gradients of weight and bias have the type of the weight. */
static void layer_norm_backward(ps_eager *self, ps_node *node, const ps_tensor *grads,
                                ps_tensor *out)
{
    for (uint32_t i = 0; i < 3; i++) {
        out[i] = ps_op_wants(node, i)
                     ? ps_op_result(self, node->edge[i].elements, node->edge[i].dtype)
                     : 0;
    }
    ps_op_kernel(self, "native_layer_norm_backward", 3 * ps_eager_bytes(self, grads[0]));
    ps_op_kernel(self, "native_layer_norm_backward", 2 * ps_eager_bytes(self, grads[0]));
}

static const ps_node_ops layer_norm_ops = {"NativeLayerNormBackward0", layer_norm_backward};

ps_tensor ps_op_layer_norm(ps_eager *self, ps_tensor x, ps_tensor weight, ps_tensor bias,
                           int64_t width)
{
    const ps_tensor inputs[] = {x, weight, bias};
    ps_node *node = ps_op_record(self, &layer_norm_ops, inputs, 3);
    const int64_t rows = ps_eager_elements(self, x) / width;
    ps_op_save(self, node, bias);
    ps_op_save(self, node, x);
    ps_op_save(self, node, weight);
    const ps_tensor out = ps_op_result(self, ps_eager_elements(self, x), ps_eager_dtype(self, x));
    ps_tensor mean = ps_op_result(self, rows, PS_DTYPE_F32);
    ps_tensor spread = ps_op_result(self, rows, PS_DTYPE_F32);
    ps_op_kernel(self, "native_layer_norm", 2 * ps_eager_bytes(self, x));
    ps_op_save(self, node, mean);
    ps_op_save(self, node, spread);
    ps_eager_clear(self, &mean);
    ps_eager_clear(self, &spread);
    ps_op_output(self, node, out, 0);
    return out;
}
