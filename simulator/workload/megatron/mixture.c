/* SPDX-License-Identifier: MIT
 *
 * A mixture of experts: tokens go to the ranks of their experts and come back.
 *
 *   norm ── router ── permute ── all-to-all ── sort ── experts ── sort back ── all-to-all ── restore
 *      └─── shared expert ──────────────────────────────────────────────────────────────────── +
 *
 * Every expert has room for the same number of tokens, filled up with padding,
 * so that sizes do not depend on what the router says.
 *
 * Tensor ranks share each expert: every one sends the rows of its part of the sequence, and what came
 * is gathered before the experts and scattered, summed, behind them.
 */
#include "workload/megatron/parts.h"

/* Grouped products run in so many streams, each with a workspace of its own. */
#define GROUPED_STREAMS 4

int64_t ps__meg_dispatched_rows(const ps__meg *self)
{
    const ps_megatron_experts *experts = &self->shape->experts;
    const int64_t capacity = (self->slice * experts->chosen + experts->count - 1) / experts->count;
    return capacity * experts->count;
}

static int64_t local_experts(const ps__meg *self)
{
    return self->shape->experts.count / self->recipe->expert;
}

/* Of all local experts, from all ranks. */
static int64_t rows_of_experts(const ps__meg *self)
{
    return ps__meg_dispatched_rows(self) * self->recipe->tensor;
}

/* Of one expert. */
static int64_t expert_rows(const ps__meg *self)
{
    return rows_of_experts(self) / local_experts(self);
}

/* Of this tensor rank. */
static int64_t width_of_expert(const ps__meg *self)
{
    return self->shape->experts.ffn / self->recipe->tensor;
}

static int64_t width_of_shared(const ps__meg *self)
{
    return self->shape->experts.shared_ffn / self->recipe->tensor;
}

/* ---- tokens move ---- */

/* Elements are copied to places that follow from where rows go. */
static void move(ps__meg *self, const char *name, int64_t elements)
{
    ps__meg_way(self, name, PS_ACCESS_STRIDED, elements * (int64_t)ps_dtype_bytes(self->dtype));
}

static ps_tensor rows_of(ps__meg *self, const char *name, int64_t rows)
{
    const int64_t elements = rows * self->shape->hidden;
    const ps_tensor result = ps__meg_make(self, elements);
    move(self, name, 2 * elements);
    return result;
}

/* So many elements of each row go to other ranks, as many come. */
static void exchange(ps__meg *self, int64_t width)
{
    const int64_t elements = ps__meg_dispatched_rows(self) * width;
    ps__meg_start(self, "all_to_all", PS_COLLECTIVE_ALL_TO_ALL, PS__MEG_LANE_EXCHANGE,
                  1u << PS__MEG_EXPERT, (uint64_t)elements * ps_dtype_bytes(self->dtype));
    if (self->recipe->expert > 1) {
        ps__meg_await(self, PS__MEG_LANE_EXCHANGE);
    }
}

static ps_tensor all_to_all(ps__meg *self)
{
    const int64_t elements = ps__meg_dispatched_rows(self) * self->shape->hidden;
    const ps_tensor result = ps__meg_make(self, elements);
    exchange(self, self->shape->hidden);
    return result;
}

/* Rows of all tensor ranks come together, or their sums go apart; elements: of all of them. */
static void share(ps__meg *self, bool is_gather, int64_t elements)
{
    ps__meg_start(self, is_gather ? "all_gather" : "reduce_scatter",
                  is_gather ? PS_COLLECTIVE_ALL_GATHER : PS_COLLECTIVE_REDUCE_SCATTER,
                  PS__MEG_LANE_TENSOR, 1u << PS__MEG_TENSOR,
                  (uint64_t)elements * ps_dtype_bytes(self->dtype));
    ps__meg_await(self, PS__MEG_LANE_TENSOR);
}

/* Borrows rows, as the next one; with one tensor rank they are what is returned. */
static ps_tensor gather_rows(ps__meg *self, ps_tensor rows)
{
    const int64_t elements = rows_of_experts(self) * self->shape->hidden;
    if (self->recipe->tensor == 1) {
        return ps_eager_hold(self->e, rows);
    }
    const ps_tensor result = ps__meg_make(self, elements);
    share(self, true, elements);
    return result;
}

static ps_tensor scatter_rows(ps__meg *self, ps_tensor rows)
{
    if (self->recipe->tensor == 1) {
        return ps_eager_hold(self->e, rows);
    }
    const ps_tensor result =
        ps__meg_make(self, ps__meg_dispatched_rows(self) * self->shape->hidden);
    share(self, false, rows_of_experts(self) * self->shape->hidden);
    return result;
}

/* In the order of local experts, where there are several. */
static ps_tensor sort(ps__meg *self, ps_tensor rows)
{
    return local_experts(self) > 1 ? rows_of(self, "sort", rows_of_experts(self))
                                   : ps_eager_hold(self->e, rows);
}

/* What came, ready for the experts; borrows. */
static ps_tensor bring(ps__meg *self, ps_tensor received)
{
    ps_tensor gathered = gather_rows(self, received);
    const ps_tensor sorted = sort(self, gathered);
    ps_eager_clear(self->e, &gathered);
    return sorted;
}

/* ... and back; borrows. */
static ps_tensor take_back(ps__meg *self, ps_tensor made)
{
    ps_tensor sorted = sort(self, made);
    const ps_tensor scattered = scatter_rows(self, sorted);
    ps_eager_clear(self->e, &sorted);
    return scattered;
}

static void sort_weights(ps__meg *self)
{
    if (local_experts(self) > 1) {
        move(self, "sort", 2 * rows_of_experts(self));
    }
}

/* Probabilities of the rows go the same way, in a message of their own. */
static void exchange_weights(ps__meg *self, ps_tensor *weights)
{
    exchange(self, 1);
    if (self->recipe->tensor > 1) {
        ps_eager_assign(self->e, weights, ps__meg_make(self, rows_of_experts(self)));
        share(self, true, rows_of_experts(self));
    }
    sort_weights(self);
}

/* Their gradients. */
static void exchange_weights_backward(ps__meg *self)
{
    ps_tensor own = 0;
    if (self->recipe->tensor > 1) {
        own = ps__meg_make(self, ps__meg_dispatched_rows(self));
        share(self, false, rows_of_experts(self));
    }
    exchange(self, 1);
    sort_weights(self);
    ps_eager_clear(self->e, &own);
}

/* ---- products of all local experts ---- */

static ps_tensor grouped(ps__meg *self, int64_t in, int64_t out)
{
    for (int i = 0; i < GROUPED_STREAMS && !self->has_grouped_workspaces; i++) {
        ps__meg_make_workspace(self);
    }
    self->has_grouped_workspaces = true;
    const ps_tensor result = ps__meg_make(self, rows_of_experts(self) * out);
    ps__meg_product(self, "grouped_linear",
                    (int64_t[]){expert_rows(self), out, in, local_experts(self)}, PS_OPERANDS_TN);
    return result;
}

static ps_tensor grouped_backward(ps__meg *self, int64_t in, int64_t out)
{
    const ps_tensor result = ps__meg_make(self, rows_of_experts(self) * in);
    const int64_t rows = expert_rows(self), count = local_experts(self);
    ps__meg_product(self, "grouped_linear_backward", (int64_t[]){rows, in, out, count},
                    PS_OPERANDS_NN);
    ps__meg_weight_product(self, "grouped_linear_weight", (int64_t[]){out, in, rows, count});
    ps__meg_stand_in(self, out, in);
    return result;
}

/* ---- the experts that every token takes ---- */

static ps_tensor shared(ps__meg *self, ps__meg_mixture *kept)
{
    const int64_t rows = self->tokens, ffn = width_of_shared(self);
    if (ffn == 0) {
        return 0;
    }
    kept->shared_wide =
        ps__meg_column_linear(self, kept->norm.output, self->shape->hidden, 2 * ffn);
    kept->shared_active = ps__meg_make(self, rows * ffn);
    ps__meg_kernel(self, "swiglu", 3 * rows * ffn);
    return ps__meg_row_linear(self, ffn);
}

/* Gradient of the norm's output; 0 none. */
static ps_tensor shared_backward(ps__meg *self, ps__meg_mixture *kept)
{
    const int64_t rows = self->tokens, ffn = width_of_shared(self);
    if (ffn == 0) {
        return 0;
    }
    ps_tensor active = ps__meg_row_linear_backward(self, 0, ffn);
    ps_eager_clear(self->e, &kept->shared_active);
    const ps_tensor wide = ps__meg_make(self, rows * 2 * ffn);
    ps__meg_kernel(self, "swiglu_backward", 5 * rows * ffn);
    ps_eager_clear(self->e, &active);
    ps_eager_clear(self->e, &kept->shared_wide);
    return ps__meg_column_linear_backward(self, kept->norm.output, wide, self->shape->hidden,
                                          2 * ffn);
}

/* ---- forward ---- */

/* What the dispatcher makes of the norm's output: rows for each expert, of this rank's tokens. */
static ps_tensor permute(ps__meg *self, ps__meg_mixture *kept, ps_tensor probabilities)
{
    const int64_t experts = self->shape->experts.count, rows = ps__meg_dispatched_rows(self);
    /* the dispatcher keeps them until its next call */
    ps_eager_assign(self->e, &self->probabilities[self->layer], probabilities);
    kept->places = ps__meg_make_as(self, self->slice * (2 * experts + 1), PS_DTYPE_F32);
    ps__meg_bytes(self, "permute_places", 4 * self->slice * (2 * experts + 1));
    const ps_tensor permuted = rows_of(self, "permute", rows);
    kept->row_weights = ps__meg_make(self, rows);
    return permuted;
}

static ps_tensor experts(ps__meg *self, ps__meg_mixture *kept)
{
    const int64_t hidden = self->shape->hidden, ffn = width_of_expert(self);
    const int64_t rows = rows_of_experts(self);
    kept->wide = grouped(self, hidden, 2 * ffn);
    kept->active = ps__meg_make(self, rows * ffn);
    ps__meg_kernel(self, "weighted_swiglu", 3 * rows * ffn);
    return grouped(self, ffn, hidden);
}

ps_tensor ps__meg_mixture_forward(ps__meg *self, ps__meg_mixture *kept, ps_tensor x)
{
    const int64_t elements = self->slice * self->shape->hidden;
    ps__meg_norm_forward(self, &kept->norm, x, self->slice, self->shape->hidden);
    ps_tensor permuted = permute(self, kept, ps__meg_router_forward(self, &kept->router));
    ps_tensor received = all_to_all(self);
    exchange_weights(self, &kept->row_weights);
    ps_tensor beside = shared(self, kept);
    kept->sorted = bring(self, received);
    ps_tensor made = experts(self, kept);
    ps_tensor back = take_back(self, made);
    ps_eager_clear(self->e, &made);
    ps_tensor returned = all_to_all(self);
    ps_tensor result = ps__meg_make(self, elements);
    move(self, "restore", ps__meg_dispatched_rows(self) * self->shape->hidden + elements);
    ps_eager_clear(self->e, &returned);
    if (beside != 0) {
        ps_eager_assign(self->e, &result, ps__meg_make(self, elements));
        ps__meg_kernel(self, "add", 3 * elements);
    }
    ps_eager_clear(self->e, &back);
    ps_eager_clear(self->e, &beside);
    ps_eager_clear(self->e, &received);
    ps_eager_clear(self->e, &permuted);
    return result;
}

/* ---- backward ---- */

/* Gradient of the sorted rows. */
static ps_tensor experts_backward(ps__meg *self, ps__meg_mixture *kept, ps_tensor made)
{
    const int64_t hidden = self->shape->hidden, ffn = width_of_expert(self);
    const int64_t rows = rows_of_experts(self);
    ps_tensor active = grouped_backward(self, ffn, hidden);
    ps_eager_clear(self->e, &made);
    ps_eager_clear(self->e, &kept->active);
    ps_tensor wide = ps__meg_make(self, rows * 2 * ffn);
    ps__meg_kernel(self, "weighted_swiglu_backward", 5 * rows * ffn);
    ps_eager_clear(self->e, &active);
    ps_eager_clear(self->e, &kept->wide);
    ps_eager_clear(self->e, &kept->row_weights);
    const ps_tensor sorted = grouped_backward(self, hidden, 2 * ffn);
    ps_eager_clear(self->e, &wide);
    ps_eager_clear(self->e, &kept->sorted);
    return sorted;
}

ps_tensor ps__meg_mixture_backward(ps__meg *self, ps__meg_mixture *kept, ps_tensor grad)
{
    const int64_t elements = self->slice * self->shape->hidden;
    (void)grad;
    ps_tensor rows = rows_of(self, "restore_backward", ps__meg_dispatched_rows(self));
    ps_eager_assign(self->e, &rows, all_to_all(self));
    ps_eager_assign(self->e, &rows, bring(self, rows));
    rows = experts_backward(self, kept, rows);
    ps_eager_assign(self->e, &rows, take_back(self, rows));
    ps_tensor normed = shared_backward(self, kept);
    exchange_weights_backward(self);
    ps_eager_assign(self->e, &rows, all_to_all(self));
    ps_tensor part = ps__meg_make(self, elements);
    ps_tensor probabilities = ps__meg_make(self, self->slice * self->shape->experts.count);
    move(self, "permute_backward", elements + ps__meg_dispatched_rows(self) * self->shape->hidden);
    ps_eager_clear(self->e, &rows);
    ps_eager_clear(self->e, &kept->places);
    if (normed == 0) {
        normed = part;
    } else {
        ps__meg_accumulate(self, &normed, part);
    }
    ps__meg_accumulate(self, &normed, ps__meg_router_backward(self, &kept->router, probabilities));
    const ps_tensor result = ps__meg_norm_backward(self, self->slice, self->shape->hidden);
    ps_eager_clear(self->e, &normed);
    ps__meg_norm_drop(self, &kept->norm);
    return result;
}

/* ---- parameters ---- */

void ps__meg_mixture_parameters(ps__meg *self)
{
    const int64_t hidden = self->shape->hidden, ffn = width_of_expert(self);
    const int64_t shared_ffn = width_of_shared(self);
    ps__meg_add_parameter(self, 1, hidden, false);
    ps__meg_add_whole_parameter(self, self->shape->experts.count, hidden);
    for (int64_t i = 0; i < local_experts(self); i++) {
        ps__meg_add_parameter(self, 2 * ffn, hidden, true);
    }
    for (int64_t i = 0; i < local_experts(self); i++) {
        ps__meg_add_parameter(self, hidden, ffn, true);
    }
    if (shared_ffn > 0) {
        ps__meg_add_parameter(self, 2 * shared_ffn, hidden, false);
        ps__meg_add_parameter(self, hidden, shared_ffn, false);
    }
}
