/* SPDX-License-Identifier: MIT
 *
 * The router of a mixture: scores of all experts for each token, the best of
 * the best groups, as many tokens for each expert as it has room for, and the
 * same softmax once more for the balancing loss. Each tensor rank routes its
 * part of the sequence.
 */
#include "workload/megatron/parts.h"

/* T x E numbers of a type. */
static ps_tensor scores(ps__meg *self, ps_dtype dtype)
{
    return ps__meg_make_as(self, self->slice * self->shape->experts.count, dtype);
}

static int64_t score_count(const ps__meg *self)
{
    return self->slice * self->shape->experts.count;
}

/* zeros().scatter(): a tensor of zeros and one with the values. */
static ps_tensor scatter(ps__meg *self, ps_dtype dtype)
{
    ps_tensor zeros = scores(self, dtype);
    ps__meg_kernel(self, "fill", score_count(self));
    const ps_tensor result = scores(self, dtype);
    ps__meg_kernel(self, "scatter", 2 * score_count(self));
    ps_eager_clear(self->e, &zeros);
    return result;
}

/* A map of bytes by way of numbers. */
static ps_tensor scatter_map(ps__meg *self, ps_dtype dtype)
{
    ps_tensor numbers = scatter(self, dtype);
    const ps_tensor map = scores(self, PS_DTYPE_BOOL);
    ps__meg_kernel(self, "cast", score_count(self));
    ps_eager_clear(self->e, &numbers);
    return map;
}

static ps_tensor softmax(ps__meg *self)
{
    const ps_tensor wide = scores(self, PS_DTYPE_F32);
    ps__meg_way(self, "softmax", PS_ACCESS_ROWS, 6 * score_count(self));
    return wide;
}

/* PyTorch finds the largest by their bits, two a pass over the row, and gathers them in two more. */
static void select(ps__meg *self, int64_t elements, ps_dtype dtype)
{
    const int64_t bits = 8 * (int64_t)ps_dtype_bytes(dtype), passes = bits / 2 + 2;
    /* a copy's bytes for each element that is looked at */
    ps__meg_way(self, "topk", PS_ACCESS_ROWS,
                2 * passes * elements * (int64_t)ps_dtype_bytes(self->dtype));
}

/* The chosen experts of each token, out of the best groups. */
static void choose(ps__meg *self, ps__meg_router *kept, ps_tensor narrow)
{
    const int64_t chosen = self->slice * self->shape->experts.chosen;
    ps_tensor group_mask = scores(self, self->dtype);
    select(self, score_count(self), self->dtype); /* the best of each group */
    select(self, self->slice * self->recipe->expert, self->dtype);
    ps__meg_kernel(self, "expand", score_count(self));
    kept->mask = scores(self, PS_DTYPE_BOOL);
    ps__meg_kernel(self, "not", score_count(self));
    ps_tensor masked = scores(self, self->dtype);
    ps__meg_kernel(self, "masked_fill", 2 * score_count(self));
    kept->weights = ps__meg_make(self, chosen);
    kept->chosen = ps__meg_make_as(self, chosen, PS_DTYPE_I64);
    select(self, score_count(self), self->dtype);
    ps_eager_clear(self->e, &masked);
    ps_eager_clear(self->e, &group_mask);
    (void)narrow;
}

/* Each expert takes the tokens that want it most, padded to its capacity. */
static ps_tensor limit(ps__meg *self, ps__meg_router *kept, ps_tensor gates)
{
    const int64_t taken = ps__meg_dispatched_rows(self);
    ps_tensor best = ps__meg_make(self, taken);
    kept->taken = ps__meg_make_as(self, taken, PS_DTYPE_I64);
    select(self, score_count(self), self->dtype);
    kept->map = scatter_map(self, self->dtype);
    const ps_tensor probabilities = scores(self, self->dtype);
    ps__meg_kernel(self, "mul", 3 * score_count(self));
    ps_eager_clear(self->e, &best);
    (void)gates;
    return probabilities;
}

/* The balancing loss is that of the whole sequence: tokens of each expert, over tensor ranks. */
static void share_counts(ps__meg *self)
{
    ps__meg_start(self, "all_reduce", PS_COLLECTIVE_ALL_REDUCE, PS__MEG_LANE_TENSOR,
                  1u << PS__MEG_TENSOR,
                  (uint64_t)self->shape->experts.count * ps_dtype_bytes(PS_DTYPE_F32));
    if (self->recipe->tensor > 1) {
        ps__meg_await(self, PS__MEG_LANE_TENSOR);
    }
}

ps_tensor ps__meg_router_forward(ps__meg *self, ps__meg_router *kept)
{
    const int64_t hidden = self->shape->hidden, experts = self->shape->experts.count;
    ps_tensor logits = scores(self, self->dtype);
    ps__meg_product(self, "router", (int64_t[]){self->slice, experts, hidden, 1}, PS_OPERANDS_TN);
    ps_op_workspace(self->e);
    kept->softmax = softmax(self);
    ps_tensor narrow = scores(self, self->dtype);
    ps__meg_bytes(self, "cast", 6 * score_count(self));
    choose(self, kept, narrow);
    ps_eager_clear(self->e, &narrow);
    ps_tensor gates = scatter(self, self->dtype);
    ps_tensor map = scatter_map(self, PS_DTYPE_F32);
    const ps_tensor probabilities = limit(self, kept, gates);
    ps_eager_clear(self->e, &gates);
    kept->balance = softmax(self);
    select(self, score_count(self), PS_DTYPE_F32);
    ps_tensor balance_map = scatter_map(self, PS_DTYPE_F32);
    ps__meg_way(self, "sum", PS_ACCESS_REDUCTION, 5 * score_count(self));
    share_counts(self);
    ps_eager_clear(self->e, &balance_map);
    ps_eager_clear(self->e, &map);
    ps_eager_clear(self->e, &logits);
    return probabilities;
}

/* Gradient of logits through one of the two softmaxes. */
static ps_tensor softmax_backward(ps__meg *self, ps_tensor *result)
{
    ps_tensor wide = scores(self, PS_DTYPE_F32);
    ps__meg_way(self, "softmax_backward", PS_ACCESS_ROWS, 12 * score_count(self));
    const ps_tensor logits = scores(self, self->dtype);
    ps__meg_bytes(self, "cast", 6 * score_count(self));
    ps_eager_clear(self->e, &wide);
    ps_eager_clear(self->e, result);
    return logits;
}

ps_tensor ps__meg_router_backward(ps__meg *self, ps__meg_router *kept, ps_tensor grad)
{
    const int64_t hidden = self->shape->hidden, experts = self->shape->experts.count;
    ps_tensor logits = softmax_backward(self, &kept->balance);
    ps_tensor gates = scores(self, self->dtype);
    ps__meg_kernel(self, "mul", 3 * score_count(self));
    ps_eager_clear(self->e, &grad);
    ps_eager_clear(self->e, &kept->map);
    ps_eager_clear(self->e, &kept->taken);
    ps__meg_kernel(self, "scatter_backward", score_count(self));
    ps_eager_clear(self->e, &gates);
    ps_eager_clear(self->e, &kept->weights);
    ps_eager_clear(self->e, &kept->chosen);
    ps_eager_clear(self->e, &kept->mask);
    ps__meg_accumulate(self, &logits, softmax_backward(self, &kept->softmax));
    const ps_tensor x = ps__meg_linear_input(self, "router_backward", self->slice, hidden, experts);
    ps_op_workspace(self->e);
    ps_tensor weight = ps__meg_make(self, experts * hidden);
    ps__meg_linear_weight(self, "router_weight", self->slice, hidden, experts);
    ps_eager_clear(self->e, &logits);
    ps__meg_bytes(self, "add", 10 * experts * hidden);
    ps_eager_clear(self->e, &weight);
    return x;
}
