/* SPDX-License-Identifier: MIT
 *
 * A mixture of experts: tokens go to the ranks of their experts and come back.
 *
 *   norm ── router ── permute ── all-to-all ── sort ── experts ── sort back ── all-to-all ── restore
 *      └─── shared expert ──────────────────────────────────────────────────────────────────── +
 *
 * Every expert has room for the same number of tokens, filled up with padding,
 * so that sizes do not depend on what the router says.
 */
#include "workload/megatron/parts.h"

/* Grouped products run in so many streams, each with a workspace of its own. */
#define GROUPED_STREAMS 4

int64_t ps__meg_dispatched_rows(const ps__meg *self)
{
    const ps_megatron_experts *experts = &self->shape->experts;
    const int64_t capacity = (self->tokens * experts->chosen + experts->count - 1) / experts->count;
    return capacity * experts->count;
}

static int64_t local_experts(const ps__meg *self)
{
    return self->shape->experts.count / self->recipe->expert;
}

/* Of one expert, from all ranks. */
static int64_t expert_rows(const ps__meg *self)
{
    return ps__meg_dispatched_rows(self) / local_experts(self);
}

/* ---- tokens move ---- */

/* Elements are copied to places that follow from where rows go. */
static void move(ps__meg *self, const char *name, int64_t elements)
{
    ps__meg_way(self, name, PS_ACCESS_STRIDED, elements * (int64_t)ps_dtype_bytes(self->dtype));
}

static ps_tensor rows_of(ps__meg *self, const char *name)
{
    const int64_t elements = ps__meg_dispatched_rows(self) * self->shape->hidden;
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

/* Probabilities of the rows go the same way, in a message of their own. */
static void exchange_weights(ps__meg *self)
{
    exchange(self, 1);
    if (local_experts(self) > 1) {
        move(self, "sort", 2 * ps__meg_dispatched_rows(self));
    }
}

/* In the order of local experts, where there are several. */
static ps_tensor sort(ps__meg *self, ps_tensor rows)
{
    return local_experts(self) > 1 ? rows_of(self, "sort") : ps_eager_hold(self->e, rows);
}

/* ---- products of all local experts ---- */

static ps_tensor grouped(ps__meg *self, int64_t in, int64_t out)
{
    for (int i = 0; i < GROUPED_STREAMS && !self->has_grouped_workspaces; i++) {
        ps__meg_make_workspace(self);
    }
    self->has_grouped_workspaces = true;
    const ps_tensor result = ps__meg_make(self, ps__meg_dispatched_rows(self) * out);
    ps__meg_product(self, "grouped_linear",
                    (int64_t[]){expert_rows(self), out, in, local_experts(self)}, PS_OPERANDS_TN);
    return result;
}

static ps_tensor grouped_backward(ps__meg *self, int64_t in, int64_t out)
{
    const ps_tensor result = ps__meg_make(self, ps__meg_dispatched_rows(self) * in);
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
    const int64_t rows = self->tokens, hidden = self->shape->hidden;
    const int64_t ffn = self->shape->experts.shared_ffn;
    if (ffn == 0) {
        return 0;
    }
    kept->shared_wide = ps__meg_linear(self, "linear", rows, hidden, 2 * ffn);
    kept->shared_active = ps__meg_make(self, rows * ffn);
    ps__meg_kernel(self, "swiglu", 3 * rows * ffn);
    return ps__meg_linear(self, "linear", rows, ffn, hidden);
}

/* Gradient of the norm's output; 0 none. */
static ps_tensor shared_backward(ps__meg *self, ps__meg_mixture *kept)
{
    const int64_t rows = self->tokens, hidden = self->shape->hidden;
    const int64_t ffn = self->shape->experts.shared_ffn;
    if (ffn == 0) {
        return 0;
    }
    ps_tensor active = ps__meg_row_linear_backward(self, 0, ffn);
    ps_eager_clear(self->e, &kept->shared_active);
    ps_tensor wide = ps__meg_make(self, rows * 2 * ffn);
    ps__meg_kernel(self, "swiglu_backward", 5 * rows * ffn);
    ps_eager_clear(self->e, &active);
    ps_eager_clear(self->e, &kept->shared_wide);
    const ps_tensor result = ps__meg_linear_input(self, "linear_backward", rows, hidden, 2 * ffn);
    ps__meg_linear_weight(self, "linear_weight", rows, hidden, 2 * ffn);
    ps__meg_stand_in(self, 2 * ffn, hidden);
    ps_eager_clear(self->e, &wide);
    return result;
}

/* ---- forward ---- */

/* What the dispatcher makes of the norm's output: rows for each expert, of this rank's tokens. */
static ps_tensor permute(ps__meg *self, ps__meg_mixture *kept, ps_tensor probabilities)
{
    const int64_t experts = self->shape->experts.count, rows = ps__meg_dispatched_rows(self);
    /* the dispatcher keeps them until its next call */
    ps_eager_assign(self->e, &self->probabilities[self->layer], probabilities);
    kept->places = ps__meg_make_as(self, self->tokens * (2 * experts + 1), PS_DTYPE_F32);
    ps__meg_bytes(self, "permute_places", 4 * self->tokens * (2 * experts + 1));
    const ps_tensor permuted = rows_of(self, "permute");
    kept->row_weights = ps__meg_make(self, rows);
    return permuted;
}

static ps_tensor experts(ps__meg *self, ps__meg_mixture *kept)
{
    const int64_t hidden = self->shape->hidden, ffn = self->shape->experts.ffn;
    const int64_t rows = ps__meg_dispatched_rows(self);
    kept->wide = grouped(self, hidden, 2 * ffn);
    kept->active = ps__meg_make(self, rows * ffn);
    ps__meg_kernel(self, "weighted_swiglu", 3 * rows * ffn);
    return grouped(self, ffn, hidden);
}

ps_tensor ps__meg_mixture_forward(ps__meg *self, ps__meg_mixture *kept, ps_tensor x)
{
    const int64_t elements = self->tokens * self->shape->hidden;
    ps__meg_norm_forward(self, &kept->norm, x, self->tokens, self->shape->hidden);
    ps_tensor permuted = permute(self, kept, ps__meg_router_forward(self, &kept->router));
    ps_tensor received = all_to_all(self);
    exchange_weights(self);
    ps_tensor beside = shared(self, kept);
    kept->sorted = sort(self, received);
    ps_tensor made = experts(self, kept);
    ps_tensor back = sort(self, made);
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
    const int64_t hidden = self->shape->hidden, ffn = self->shape->experts.ffn;
    const int64_t rows = ps__meg_dispatched_rows(self);
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
    const int64_t elements = self->tokens * self->shape->hidden;
    (void)grad;
    ps_tensor rows = rows_of(self, "restore_backward");
    ps_eager_assign(self->e, &rows, all_to_all(self));
    ps_eager_assign(self->e, &rows, sort(self, rows));
    rows = experts_backward(self, kept, rows);
    ps_eager_assign(self->e, &rows, sort(self, rows));
    ps_tensor normed = shared_backward(self, kept);
    exchange_weights(self);
    ps_eager_assign(self->e, &rows, all_to_all(self));
    ps_tensor part = ps__meg_make(self, elements);
    ps_tensor probabilities = ps__meg_make(self, self->tokens * self->shape->experts.count);
    move(self, "permute_backward", elements + ps__meg_dispatched_rows(self) * self->shape->hidden);
    ps_eager_clear(self->e, &rows);
    ps_eager_clear(self->e, &kept->places);
    if (normed == 0) {
        normed = part;
    } else {
        ps__meg_accumulate(self, &normed, part);
    }
    ps__meg_accumulate(self, &normed, ps__meg_router_backward(self, &kept->router, probabilities));
    const ps_tensor result = ps__meg_norm_backward(self, self->tokens, self->shape->hidden);
    ps_eager_clear(self->e, &normed);
    ps__meg_norm_drop(self, &kept->norm);
    return result;
}

/* ---- parameters ---- */

void ps__meg_mixture_parameters(ps__meg *self)
{
    const ps_megatron_experts *experts = &self->shape->experts;
    const int64_t hidden = self->shape->hidden;
    ps__meg_add_parameter(self, 1, hidden, false);
    ps__meg_add_parameter(self, experts->count, hidden, false);
    for (int64_t i = 0; i < local_experts(self); i++) {
        ps__meg_add_parameter(self, 2 * experts->ffn, hidden, true);
    }
    for (int64_t i = 0; i < local_experts(self); i++) {
        ps__meg_add_parameter(self, hidden, experts->ffn, true);
    }
    if (experts->shared_ffn > 0) {
        ps__meg_add_parameter(self, 2 * experts->shared_ffn, hidden, false);
        ps__meg_add_parameter(self, hidden, experts->shared_ffn, false);
    }
}
