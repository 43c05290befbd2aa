/* SPDX-License-Identifier: MIT
 *
 * Sums and means of rows, with a graph; those without one: ops_reduce.c.
 */
#include "workload/eager/pointwise_parts.h"

/* The gradient seen by all that were added. */
static void sum_backward(ps_eager *self, ps_node *node, const ps_tensor *grads, ps_tensor *out)
{
    out[0] = ps_op_view_of(self, grads[0], node->edge[0].elements);
}

static const ps_node_ops sum_ops = {"SumBackward1", sum_backward};

ps_tensor ps_op_sum(ps_eager *self, ps_tensor a, int64_t rows)
{
    ps_node *node = ps_op_record(self, &sum_ops, &a, 1);
    const ps_tensor out = ps_pointwise_make(self, "sum", PS_ACCESS_REDUCTION, a, rows);
    ps_op_output(self, node, out, 0);
    return out;
}

/* The gradient spread over what was averaged, divided by how many. */
static void mean_backward(ps_eager *self, ps_node *node, const ps_tensor *grads, ps_tensor *out)
{
    out[0] = ps_pointwise_make(self, "div", PS_ACCESS_STRIDED, grads[0], node->edge[0].elements);
}

static const ps_node_ops mean_ops = {"MeanBackward1", mean_backward};

ps_tensor ps_op_mean(ps_eager *self, ps_tensor a, int64_t rows)
{
    ps_node *node = ps_op_record(self, &mean_ops, &a, 1);
    const ps_tensor out = ps_pointwise_make(self, "mean", PS_ACCESS_REDUCTION, a, rows);
    ps_op_output(self, node, out, 0);
    return out;
}
