/* SPDX-License-Identifier: MIT
 *
 * A linear module under an autograd function of a library's own: PyTorch finds
 * the gradient of its input, the library what becomes of its weight's.
 */
#include "workload/eager/eager_state.h"
#include "workload/eager/ops.h"
#include "workload/eager/ops_matrix.h"

enum { ROWS, IN, OUT, NUMBER };

static void multiply(ps_eager *self, ps_dtype dtype, ps_operand_layout layout,
                     const int64_t size[3])
{
    ps_op_workspace(self);
    ps_op_product(self, "mm", dtype, layout, size, 1);
}

ps_tensor ps_op_multiply(ps_eager *self, ps_dtype dtype, ps_operand_layout layout,
                         const int64_t size[3])
{
    const ps_tensor out = ps_op_result(self, size[0] * size[1], dtype);
    multiply(self, dtype, layout, size);
    return out;
}

/* The function gives nothing for the weight: what it is told is all that happens. */
static void function_backward(ps_eager *self, ps_node *node, const ps_tensor *grads, ps_tensor *out)
{
    const int64_t *n = node->number;
    const ps_linear_function *f = node->function;
    if (ps_op_wants(node, 0)) {
        const int64_t size[3] = {n[ROWS], n[IN], n[OUT]};
        out[0] = ps_op_multiply(self, ps_eager_dtype(self, grads[0]), PS_OPERANDS_NN, size);
    }
    ps_tensor kept = node->saved[node->saved_count - 1];
    node->saved[node->saved_count - 1] = 0; /* it dies with its use, before the rest of the node */
    f->take(f->context, (uint32_t)n[NUMBER], kept, grads[0]);
}

static const ps_node_ops function_ops = {"LinearFunctionBackward", function_backward};

/* In a checkpoint's first run nothing is kept, so nothing is made either. */
static void keep_for_backward(ps_eager *self, ps_node *node, const ps_linear_call *call)
{
    const ps_linear_function *f = call->function;
    const bool is_first_of_two = self->checkpoint != NULL && !self->is_backward;
    if (self->is_backward && self->is_skipping) {
        return;
    }
    ps_tensor kept =
        is_first_of_two ? ps_eager_hold(self, call->x) : f->keep(f->context, call->number, call->x);
    ps_op_save(self, node, ps_op_wants(node, 0) ? call->weight : 0);
    ps_op_save(self, node, kept);
    ps_eager_clear(self, &kept);
}

ps_tensor ps_op_linear_function(ps_eager *self, const ps_linear_call *call)
{
    const ps_tensor inputs[] = {call->x, call->weight};
    const int64_t size[3] = {call->rows, call->out, call->in};
    const ps_linear_function *f = call->function;
    ps_node *node = ps_op_record(self, &function_ops, inputs, 2);
    if (f->enters_first && !self->is_backward) {
        f->enter(f->context, call->number);
    }
    const ps_tensor result =
        ps_op_multiply(self, ps_eager_dtype(self, call->x), PS_OPERANDS_TN, size);
    if (!f->enters_first && !self->is_backward) {
        f->enter(f->context, call->number);
    }
    if (node != NULL) {
        node->function = call->function;
        node->number[ROWS] = call->rows;
        node->number[IN] = call->in;
        node->number[OUT] = call->out;
        node->number[NUMBER] = call->number;
        const bool was_recording = ps_eager_set_grad_mode(self, false);
        keep_for_backward(self, node, call);
        (void)ps_eager_set_grad_mode(self, was_recording);
    }
    ps_op_output(self, node, result, 0);
    return result;
}
