/* SPDX-License-Identifier: MIT
 *
 * Losses.
 */
#include "workload/eager/eager_parts.h"
#include "workload/eager/ops.h"

/* ---- cross entropy: log_softmax, then the loss ---- */

static void softmax_backward(ps_eager *self, ps_node *node, const ps_tensor *grads, ps_tensor *out)
{
    (void)node;
    out[0] = ps_op_result(self, ps_eager_elements(self, grads[0]), ps_eager_dtype(self, grads[0]));
    ps_op_kernel_by(self, "log_softmax_backward", PS_ACCESS_ROWS,
                    3 * ps_eager_bytes(self, grads[0]), ps_eager_elements(self, grads[0]));
}

static const ps_node_ops softmax_ops = {"LogSoftmaxBackward0", softmax_backward};

static void nll_backward(ps_eager *self, ps_node *node, const ps_tensor *grads, ps_tensor *out)
{
    out[0] = ps_op_result(self, node->edge[0].elements, node->edge[0].dtype);
    ps_op_kernel(self, "fill", ps_eager_bytes(self, out[0]));
    ps_op_kernel(self, "nll_loss_backward", ps_eager_bytes(self, grads[0]));
}

static const ps_node_ops nll_ops = {"NllLossBackward0", nll_backward};

ps_tensor ps_op_cross_entropy(ps_eager *self, ps_tensor logits, ps_tensor labels, int64_t rows,
                              int64_t classes)
{
    ps_node *softmax = ps_op_record(self, &softmax_ops, &logits, 1);
    ps_tensor scores = ps_op_result(self, rows * classes, ps_eager_dtype(self, logits));
    ps_op_kernel_by(self, "log_softmax", PS_ACCESS_ROWS, 2 * ps_eager_bytes(self, logits),
                    rows * classes);
    ps_op_save(self, softmax, scores);
    ps_op_output(self, softmax, scores, 0);
    /* autocast leaves the softmax in the type of the logits, and takes the loss in 32 bits */
    ps_eager_assign(self, &scores, ps_op_widen(self, scores));
    ps_node *nll = ps_op_record(self, &nll_ops, &scores, 1);
    const ps_tensor loss = ps_op_result(self, 1, ps_eager_dtype(self, scores));
    const ps_tensor weight = ps_op_result(self, 1, ps_eager_dtype(self, scores));
    ps_op_kernel(self, "nll_loss", (uint64_t)rows * 16);
    ps_op_save(self, nll, scores);
    ps_op_save(self, nll, labels);
    ps_op_save(self, nll, weight);
    ps_eager_drop(self, weight);
    ps_op_output(self, nll, loss, 0);
    ps_eager_clear(self, &scores);
    return loss;
}

/* ---- a loss beside the model's ---- */

static void attach_loss_backward(ps_eager *self, ps_node *node, const ps_tensor *grads,
                                 ps_tensor *out)
{
    if (ps_op_wants(node, 1)) {
        /* of one dimension, where the loss has none: summed to that */
        ps_tensor ones = ps_op_plain(self, "fill", 1, node->edge[1].dtype);
        out[1] = ps_op_plain(self, "sum", 1, node->edge[1].dtype);
        ps_eager_clear(self, &ones);
    }
    if (ps_op_wants(node, 0)) {
        out[0] = ps_eager_hold(self, grads[0]);
    }
}

static const ps_node_ops attach_loss_ops = {"AddAuxiliaryLossBackward", attach_loss_backward};

ps_tensor ps_op_attach_loss(ps_eager *self, ps_tensor a, ps_tensor loss)
{
    const ps_tensor inputs[] = {a, loss};
    ps_node *node = ps_op_record(self, &attach_loss_ops, inputs, 2);
    const ps_tensor out = ps_op_view_of(self, a, ps_eager_elements(self, a));
    ps_op_output(self, node, out, 0);
    return out;
}
