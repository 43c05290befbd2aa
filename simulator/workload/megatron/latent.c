/* SPDX-License-Identifier: MIT
 *
 * Multi-head latent attention: q, and k with v, come out of narrow products of
 * x, with a norm between; rotary positions belong to a part of each head, of k
 * to one that all heads share.
 *
 * Every tensor rank has the narrow products whole and makes those of its part of
 * the sequence; the wide ones behind the norms are divided by heads. The shared
 * part of k comes together from all of them.
 */
#include "workload/megatron/parts.h"

#define RANDOM_NUMBERS 2

typedef struct widths {
    int64_t hidden, q_rank, kv_rank, down; /* down: kv_rank and the shared rotary part */
    int64_t q, k, v, joined;               /* elements of a token; joined: k without rotary and v */
} widths;

static widths widths_of(const ps__meg *self)
{
    const ps_megatron_shape *shape = self->shape;
    const ps_megatron_latent *latent = &shape->latent;
    const int64_t heads = self->heads, head = shape->head + latent->rotary_head;
    const widths w = {.hidden = shape->hidden,
                      .q_rank = latent->q_rank,
                      .kv_rank = latent->kv_rank,
                      .down = latent->kv_rank + latent->rotary_head,
                      .q = heads * head,
                      .k = heads * head,
                      .v = heads * latent->value_head,
                      .joined = heads * (shape->head + latent->value_head)};
    return w;
}

/* Half of the products are as long as a head of q, half as one of v. */
static void tell_attention(ps__meg *self, bool is_backward)
{
    const widths w = widths_of(self);
    ps__meg_tell_attention(self, (w.q + w.v) / 2 / self->heads, self->tokens * (w.q + w.v),
                           is_backward);
}

/* k's shared part, of all tensor ranks' tokens: copied out of the rows, then gathered. 0: it is there. */
static ps_tensor gather_rotary(ps__meg *self)
{
    const int64_t width = self->shape->latent.rotary_head;
    if (!self->is_sequence_parallel) {
        return 0;
    }
    ps_tensor own = ps__meg_make(self, self->slice * width);
    ps__meg_kernel(self, "copy", 2 * self->slice * width);
    const ps_tensor whole = ps__meg_gather(self, own, width);
    ps_eager_clear(self->e, &own);
    return whole;
}

/* Its gradient, which each tensor rank has from its own heads: the sum, of this rank's tokens. */
static void scatter_rotary(ps__meg *self, ps__meg_latent *kept)
{
    if (self->is_sequence_parallel) {
        kept->rotary_grad =
            ps__meg_reduce(self, kept->rotary_grad, self->shape->latent.rotary_head);
    }
}

/* q, and k and v, in the order in which the program makes them. */
static void project(ps__meg *self, ps__meg_latent *kept, ps_tensor x)
{
    const widths w = widths_of(self);
    const int64_t rows = self->tokens, slice = self->slice;
    ps__meg_norm_forward(self, &kept->norm, x, slice, w.hidden);
    ps_tensor q_down = ps__meg_linear(self, "linear", slice, w.hidden, w.q_rank);
    ps_tensor kv_down = ps__meg_linear(self, "linear", slice, w.hidden, w.down);
    ps_tensor rotary = gather_rotary(self);
    kept->q = ps__meg_norm_linear(self, &kept->q_norm, q_down, w.q_rank, w.q);
    ps_eager_clear(self->e, &q_down);
    ps_tensor narrow = ps__meg_make(self, slice * w.kv_rank);
    ps__meg_kernel(self, "copy", 2 * slice * w.kv_rank);
    ps_tensor joined = ps__meg_norm_linear(self, &kept->kv_norm, narrow, w.kv_rank, w.joined);
    ps_eager_clear(self->e, &narrow);
    ps__meg_kernel(self, "rotary", 2 * rows * w.q); /* in place */
    kept->k = ps__meg_make(self, rows * w.k);
    kept->v = ps__meg_make(self, rows * w.v);
    ps__meg_kernel(self, "rotary", rows * (w.joined + w.k + w.v));
    ps_eager_clear(self->e, &rotary);
    ps_eager_clear(self->e, &kv_down);
    ps_eager_clear(self->e, &joined);
}

ps_tensor ps__meg_latent_forward(ps__meg *self, ps__meg_latent *kept, ps_tensor x)
{
    const widths w = widths_of(self);
    const int64_t rows = self->tokens;
    project(self, kept, x);
    kept->out = ps__meg_make(self, rows * w.v);
    kept->random = ps__meg_make_as(self, RANDOM_NUMBERS, PS_DTYPE_I64);
    kept->statistics = ps__meg_make_as(self, rows * self->heads, PS_DTYPE_F32);
    tell_attention(self, false);
    return ps__meg_row_linear(self, w.v);
}

/* Takes the gradient of the output; q and joined receive those behind the rotation. */
static void attend_backward(ps__meg *self, ps__meg_latent *kept, ps_tensor out, ps_tensor *q,
                            ps_tensor *joined)
{
    const widths w = widths_of(self);
    const int64_t rows = self->tokens;
    *q = ps__meg_make(self, rows * w.q);
    ps_tensor k = ps__meg_make(self, rows * w.k);
    ps_tensor v = ps__meg_make(self, rows * w.v);
    ps_tensor sums = ps__meg_query_sums(self, rows * w.q);
    tell_attention(self, true);
    ps_eager_clear(self->e, &sums);
    ps_eager_clear(self->e, &out);
    ps_eager_clear(self->e, &kept->q);
    ps_eager_clear(self->e, &kept->k);
    ps_eager_clear(self->e, &kept->v);
    ps_eager_clear(self->e, &kept->out);
    ps_eager_clear(self->e, &kept->random);
    ps_eager_clear(self->e, &kept->statistics);
    *joined = ps__meg_make(self, rows * w.joined);
    kept->rotary_grad = ps__meg_make(self, rows * self->shape->latent.rotary_head);
    ps__meg_kernel(self, "rotary_backward", rows * (w.joined + w.k + w.v));
    ps_eager_clear(self->e, &k);
    ps_eager_clear(self->e, &v);
    ps__meg_kernel(self, "rotary_backward", 2 * rows * w.q); /* in place */
}

/* Gradient of x's norm through one of the narrow products; takes the gradient. */
static ps_tensor down_backward(ps__meg *self, ps_tensor grad, int64_t out)
{
    const widths w = widths_of(self);
    const ps_tensor result =
        ps__meg_linear_input(self, "linear_backward", self->slice, w.hidden, out);
    ps__meg_linear_weight(self, "linear_weight", self->slice, w.hidden, out);
    ps__meg_stand_in(self, out, w.hidden);
    ps_eager_drop(self->e, grad);
    return result;
}

ps_tensor ps__meg_latent_backward(ps__meg *self, ps__meg_latent *kept, ps_tensor grad)
{
    const widths w = widths_of(self);
    const int64_t rows = self->slice;
    ps_tensor q, joined;
    attend_backward(self, kept, ps__meg_row_linear_backward(self, grad, w.v), &q, &joined);
    ps_tensor narrow =
        ps__meg_norm_linear_backward(self, &kept->kv_norm, joined, w.kv_rank, w.joined);
    const ps_tensor q_down = ps__meg_norm_linear_backward(self, &kept->q_norm, q, w.q_rank, w.q);
    scatter_rotary(self, kept);
    const ps_tensor kv_down = ps__meg_make(self, rows * w.down);
    ps__meg_kernel(self, "cat", 2 * rows * w.down);
    ps_eager_clear(self->e, &narrow);
    ps_eager_clear(self->e, &kept->rotary_grad);
    ps_tensor normed = down_backward(self, kv_down, w.down);
    ps__meg_accumulate(self, &normed, down_backward(self, q_down, w.q_rank));
    const ps_tensor result = ps__meg_norm_backward(self, rows, w.hidden);
    ps_eager_clear(self->e, &normed);
    ps__meg_norm_drop(self, &kept->norm);
    return result;
}

void ps__meg_latent_parameters(ps__meg *self)
{
    const widths w = widths_of(self);
    ps__meg_add_parameter(self, 1, w.hidden, false);
    ps__meg_add_parameter(self, w.hidden, w.v, false);
    ps__meg_add_whole_parameter(self, w.q_rank, w.hidden);
    ps__meg_add_parameter(self, 1, w.q_rank, false);
    ps__meg_add_parameter(self, w.q, w.q_rank, false);
    ps__meg_add_whole_parameter(self, w.down, w.hidden);
    ps__meg_add_parameter(self, 1, w.kv_rank, false);
    ps__meg_add_parameter(self, w.joined, w.kv_rank, false);
    /* angles, cosines and sines of each layer */
    for (int i = 0; i < 3; i++) {
        (void)ps_eager_make(self->e, self->recipe->sequence * self->shape->latent.rotary_head,
                            PS_DTYPE_F32, PS_ROLE_WORKSPACE);
    }
}
