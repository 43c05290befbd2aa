/* SPDX-License-Identifier: MIT
 *
 * Division, element by element: by one number, or by a number for each row.
 */
#include "workload/eager/pointwise_parts.h"

static void div_backward(ps_eager *self, ps_node *node, const ps_tensor *grads, ps_tensor *out)
{
    (void)node;
    out[0] = ps_pointwise_like(self, "div", grads[0]);
}

static const ps_node_ops div_ops = {"DivBackward0", div_backward};

ps_tensor ps_op_div(ps_eager *self, ps_tensor a, ps_tensor b)
{
    return ps_pointwise_run(self, &div_ops, "div", a, b);
}

ps_tensor ps_op_div_number(ps_eager *self, ps_tensor a)
{
    return ps_pointwise_run(self, &div_ops, "div", a, 0);
}

/* b first: -gradient * ((a / b) / b), summed where b was spread */
static void div_rows_backward(ps_eager *self, ps_node *node, const ps_tensor *grads, ps_tensor *out)
{
    if (ps_op_wants(node, 1)) {
        ps_tensor once = ps_pointwise_like(self, "div", grads[0]);
        ps_tensor twice = ps_pointwise_like(self, "div", grads[0]);
        ps_tensor negative = ps_pointwise_like(self, "neg", grads[0]);
        out[1] = ps_pointwise_like(self, "mul", grads[0]);
        ps_eager_clear(self, &negative);
        ps_eager_clear(self, &twice);
        ps_eager_clear(self, &once);
    }
    if (ps_op_wants(node, 0)) {
        out[0] = ps_pointwise_like(self, "div", grads[0]);
    }
}

static const ps_node_ops div_rows_ops = {"DivBackward0", div_rows_backward};

ps_tensor ps_op_div_in_place(ps_eager *self, ps_tensor a, ps_tensor b)
{
    const ps_tensor inputs[] = {a, b};
    ps_node *node = ps_op_record(self, &div_rows_ops, inputs, 2);
    if (node != NULL) {
        ps_tensor before = ps_pointwise_like(self, "copy", a);
        ps_op_save(self, node, b);
        ps_op_save(self, node, before);
        ps_eager_clear(self, &before);
    }
    ps_op_kernel_by(self, "div", PS_ACCESS_STRIDED, 2 * ps_eager_bytes(self, a),
                    ps_eager_elements(self, a));
    const ps_tensor out = ps_op_view_of(self, a, ps_eager_elements(self, a));
    ps_op_output(self, node, out, 0);
    return out;
}

ps_tensor ps_op_div_rows(ps_eager *self, ps_tensor a, ps_tensor b)
{
    const ps_tensor inputs[] = {a, b};
    ps_node *node = ps_op_record(self, &div_rows_ops, inputs, 2);
    ps_op_save(self, node, b);
    ps_op_save(self, node, a);
    const ps_tensor out =
        ps_pointwise_make(self, "div", PS_ACCESS_STRIDED, a, ps_eager_elements(self, a));
    ps_op_output(self, node, out, 0);
    return out;
}
