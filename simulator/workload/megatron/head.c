/* SPDX-License-Identifier: MIT
 *
 * The model's end: norm, Megatron's own column-parallel layer, the cross
 * entropy whose gradient is written over the logits.
 */
#include "workload/megatron/parts.h"

/* Per row and tensor rank the cross entropy exchanges maximum, sum and the label's logit. */
#define PARTIALS 3
#define PASSES_FORWARD 2 /* of the cross entropy over the logits, in units of one reading */
#define PASSES_BACKWARD 2

/* Tensor ranks' parts of the input come together in a buffer that is kept for ever. */
static void gather_input(ps__meg *self)
{
    const int64_t elements = self->tokens * self->shape->hidden;
    if (!self->is_sequence_parallel) {
        return;
    }
    if (self->gather_buffer == 0) {
        self->gather_buffer = ps_eager_make(self->e, elements, self->dtype, PS_ROLE_WORKSPACE);
    }
    ps__meg_start(self, "all_gather", PS_COLLECTIVE_ALL_GATHER, PS__MEG_LANE_TENSOR,
                  1u << PS__MEG_TENSOR, (uint64_t)elements * ps_dtype_bytes(self->dtype));
}

/* A pass of the cross entropy over the logits reads or writes each of them once. */
static void pass(ps__meg *self, const char *name, int64_t passes)
{
    const int64_t logits = self->tokens * self->vocabulary;
    ps__meg_way(self, name, PS_ACCESS_ROWS, passes * logits * (int64_t)ps_dtype_bytes(self->dtype));
}

static void cross_entropy(ps__meg *self, ps__meg_head *kept)
{
    const int64_t rows = self->tokens;
    kept->losses = ps__meg_make_as(self, rows, PS_DTYPE_F32);
    ps_tensor own = ps__meg_make_as(self, PARTIALS * rows, PS_DTYPE_F32);
    ps_tensor all = ps__meg_make_as(self, PARTIALS * rows * self->recipe->tensor, PS_DTYPE_F32);
    pass(self, "softmax_partials", 1);
    ps__meg_start(
        self, "all_gather", PS_COLLECTIVE_ALL_GATHER, PS__MEG_LANE_TENSOR, 1u << PS__MEG_TENSOR,
        (uint64_t)(PARTIALS * rows * self->recipe->tensor) * ps_dtype_bytes(PS_DTYPE_F32));
    if (self->recipe->tensor > 1) {
        ps__meg_await(self, PS__MEG_LANE_TENSOR);
    }
    pass(self, "cross_entropy", PASSES_FORWARD);
    ps_eager_clear(self->e, &own);
    ps_eager_clear(self->e, &all);
}

ps_tensor ps__meg_head_forward(ps__meg *self, ps__meg_head *kept, ps_tensor x)
{
    const int64_t rows = self->tokens, hidden = self->shape->hidden;
    ps__meg_norm_forward(self, &kept->norm, x, self->slice, hidden);
    ps_eager_drop(self->e, x);
    gather_input(self);
    if (self->is_sequence_parallel) {
        ps__meg_await(self, PS__MEG_LANE_TENSOR);
    }
    kept->logits = ps__meg_linear(self, "linear", rows, hidden, self->vocabulary);
    ps_op_workspace(self->e);
    cross_entropy(self, kept);
    ps_tensor weighted = ps__meg_make_as(self, rows, PS_DTYPE_F32);
    ps__meg_bytes(self, "mul", 3 * rows * 4);
    const ps_tensor loss = ps__meg_make_as(self, 1, PS_DTYPE_F32);
    ps__meg_bytes(self, "sum", rows * 4);
    ps_eager_clear(self->e, &weighted);
    if (self->recipe->checks_gradients) { /* and losses: the host looks whether it is a number */
        ps__meg_wait(self);
    }
    return loss;
}

ps_tensor ps__meg_head_backward(ps__meg *self, ps__meg_head *kept)
{
    const int64_t rows = self->tokens, hidden = self->shape->hidden;
    ps_tensor losses = ps__meg_make_as(self, rows, PS_DTYPE_F32);
    ps__meg_bytes(self, "mul_backward", 2 * rows * 4);
    ps_eager_clear(self->e, &kept->losses);
    ps_eager_clear(self->e, &kept->mask);
    pass(self, "cross_entropy_backward", PASSES_BACKWARD);
    ps_eager_clear(self->e, &losses);
    ps_eager_clear(self->e, &kept->labels);
    gather_input(self);
    ps_tensor full = ps__meg_linear_input(self, "linear_backward", rows, hidden, self->vocabulary);
    ps_op_workspace(self->e);
    if (self->is_sequence_parallel) {
        ps__meg_await(self, PS__MEG_LANE_TENSOR);
    }
    ps_tensor part = ps__meg_start_reduce(self, full, hidden);
    ps__meg_linear_weight(self, "linear_weight", rows, hidden, self->vocabulary);
    ps__meg_stand_in(self, self->vocabulary, hidden);
    if (self->recipe->tensor > 1) {
        ps__meg_await(self, PS__MEG_LANE_TENSOR);
    }
    ps_eager_clear(self->e, &full);
    ps_eager_clear(self->e, &kept->logits);
    ps_eager_clear(self->e, &kept->norm.output);
    ps_tensor grad = ps__meg_norm_backward(self, self->slice, hidden);
    ps_eager_clear(self->e, &part);
    ps__meg_norm_drop(self, &kept->norm);
    const ps_tensor view = ps_op_view_of(self->e, grad, self->slice * hidden);
    ps_eager_clear(self->e, &grad);
    return view;
}
