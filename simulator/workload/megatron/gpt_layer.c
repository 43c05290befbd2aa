/* SPDX-License-Identifier: MIT
 *
 * A layer of the older Megatron's GPT: layer norm with bias, attention with
 * scores in memory, one kernel for scale, mask and softmax, one for bias and
 * GELU, one for bias, dropout and residual; sums over tensor ranks in place.
 */
#include "workload/megatron/gpt.h"

/* ---- norm ---- */

void ps__meg_layer_norm(ps__meg *self, ps__meg_norm *kept, ps_tensor x)
{
    const int64_t rows = self->slice, width = self->shape->hidden;
    kept->input = ps_eager_hold(self->e, x);
    kept->output = ps__meg_make(self, rows * width);
    kept->mean = ps__meg_make_as(self, rows, PS_DTYPE_F32);
    kept->spread = ps__meg_make_as(self, rows, PS_DTYPE_F32);
    ps__meg_kernel(self, "layer_norm", 2 * rows * width);
}

ps_tensor ps__meg_layer_norm_backward(ps__meg *self, ps__meg_norm *kept)
{
    const int64_t rows = self->slice, width = self->shape->hidden;
    const ps_tensor result = ps__meg_make(self, rows * width);
    ps_tensor weight = ps__meg_make(self, width), bias = ps__meg_make(self, width);
    ps__meg_kernel(self, "layer_norm_backward", 3 * rows * width);
    ps__meg_kernel(self, "layer_norm_weight", 2 * rows * width);
    ps_eager_clear(self->e, &weight);
    ps_eager_clear(self->e, &bias);
    ps_eager_clear(self->e, &kept->input);
    ps_eager_clear(self->e, &kept->output);
    ps_eager_clear(self->e, &kept->mean);
    ps_eager_clear(self->e, &kept->spread);
    return result;
}

/* ---- linear layers ---- */

/* Gradient of a bias: rows added up, then added to the buffer. */
static void bias_gradient(ps__meg *self, int64_t rows, int64_t width)
{
    ps_tensor sum = ps__meg_make(self, width);
    ps__meg_sums(self, "sum", PS_ACCESS_REDUCTION,
                 rows * width * (int64_t)ps_dtype_bytes(self->dtype), rows * width);
    ps_eager_clear(self->e, &sum);
}

/* Columns over tensor ranks: takes the gradient, returns that of the input, summed over ranks. */
static ps_tensor columns_backward(ps__meg *self, ps_tensor grad, int64_t out)
{
    const int64_t hidden = self->shape->hidden, rows = self->tokens;
    ps_tensor full = ps__meg_linear_input(self, "linear_backward", rows, hidden, out);
    full = ps__meg_reduce(self, full, hidden);
    ps__meg_linear_weight(self, "linear_weight", rows, hidden, out);
    bias_gradient(self, rows, out);
    ps_eager_clear(self->e, &grad);
    return full;
}

/* ---- attention ---- */

typedef struct scores {
    int64_t length, head, count, elements; /* count: of heads in all sequences */
} scores;

static scores scores_of(const ps__meg *self)
{
    const int64_t length = self->recipe->sequence;
    const int64_t count = self->recipe->micro_batch * self->heads;
    const scores s = {length, self->shape->head, count, count * length * length};
    return s;
}

/* A warp has a row of scores in its registers, so that its sums, not bytes, take the time. */
static void masked_softmax(ps__meg *self, const char *name, int64_t elements, int64_t passes)
{
    ps__meg_sums(self, name, PS_ACCESS_ROWS,
                 passes * elements * (int64_t)ps_dtype_bytes(self->dtype), elements);
}

static ps_tensor attention(ps__meg *self, ps__meg_gpt *kept, ps_tensor x)
{
    const scores s = scores_of(self);
    const int64_t rows = self->tokens, width = self->heads * s.head;
    ps__meg_layer_norm(self, &kept->norm[0], x);
    ps_tensor plain = ps__meg_linear(self, "linear", rows, self->shape->hidden, 3 * width);
    kept->joined = ps__meg_make(self, rows * 3 * width);
    ps__meg_kernel(self, "add_bias", 2 * rows * 3 * width);
    ps_eager_clear(self->e, &plain);
    ps_tensor raw = ps__meg_make(self, s.elements);
    ps__meg_product(self, "scores", (int64_t[]){s.length, s.length, s.head, s.count},
                    PS_OPERANDS_TN);
    kept->weights = ps__meg_make(self, s.elements);
    masked_softmax(self, "masked_softmax", s.elements, 2);
    ps_eager_clear(self->e, &raw);
    kept->dropped = ps__meg_make(self, s.elements);
    kept->mask = ps__meg_make_as(self, s.elements, PS_DTYPE_BOOL);
    ps__meg_bytes(self, "dropout", 5 * s.elements);
    ps_tensor heads = ps__meg_make(self, rows * width);
    ps__meg_product(self, "context", (int64_t[]){s.length, s.head, s.length, s.count},
                    PS_OPERANDS_NN);
    kept->context = ps__meg_make(self, rows * width);
    ps__meg_kernel(self, "copy", 2 * rows * width);
    ps_eager_clear(self->e, &heads);
    return ps__meg_row_linear(self, width);
}

/* Takes the gradient of the context; returns that of q, k and v. */
static ps_tensor heads_backward(ps__meg *self, ps__meg_gpt *kept, ps_tensor grad)
{
    const scores s = scores_of(self);
    const int64_t width = self->tokens * self->heads * s.head;
    ps_tensor weights = ps__meg_make(self, s.elements);
    ps__meg_product(self, "context_backward", (int64_t[]){s.length, s.length, s.head, s.count},
                    PS_OPERANDS_TN);
    ps_tensor v = ps__meg_make(self, width);
    ps__meg_product(self, "context_backward", (int64_t[]){s.length, s.head, s.length, s.count},
                    PS_OPERANDS_NT);
    ps_eager_clear(self->e, &grad);
    ps_eager_clear(self->e, &kept->dropped);
    ps_eager_assign(self->e, &weights, ps__meg_make(self, s.elements));
    ps__meg_bytes(self, "dropout_backward", 5 * s.elements);
    ps_eager_clear(self->e, &kept->mask);
    masked_softmax(self, "masked_softmax_backward", s.elements, 3); /* over its input */
    ps_eager_clear(self->e, &kept->weights);
    ps_tensor q = ps__meg_make(self, width);
    ps__meg_product(self, "scores_backward", (int64_t[]){s.length, s.head, s.length, s.count},
                    PS_OPERANDS_NN);
    ps_tensor k = ps__meg_make(self, width);
    ps__meg_product(self, "scores_backward", (int64_t[]){s.length, s.head, s.length, s.count},
                    PS_OPERANDS_NT);
    ps_eager_clear(self->e, &weights);
    const ps_tensor joined = ps__meg_make(self, 3 * width);
    ps__meg_kernel(self, "cat", 6 * width);
    ps_eager_clear(self->e, &q);
    ps_eager_clear(self->e, &k);
    ps_eager_clear(self->e, &v);
    ps_eager_clear(self->e, &kept->joined);
    return joined;
}

static ps_tensor attention_backward(ps__meg *self, ps__meg_gpt *kept, ps_tensor grad)
{
    const int64_t width = self->heads * self->shape->head;
    ps_tensor context = ps__meg_row_linear_backward(self, grad, width);
    ps_eager_clear(self->e, &grad);
    ps_eager_clear(self->e, &kept->context);
    ps_tensor joined = heads_backward(self, kept, context);
    ps_tensor normed = columns_backward(self, joined, 3 * width);
    const ps_tensor result = ps__meg_layer_norm_backward(self, &kept->norm[0]);
    ps_eager_clear(self->e, &normed);
    return result;
}

/* ---- feed-forward ---- */

static ps_tensor feed_forward(ps__meg *self, ps__meg_gpt *kept, ps_tensor x)
{
    const int64_t rows = self->tokens, ffn = self->ffn;
    ps__meg_layer_norm(self, &kept->norm[1], x);
    kept->wide = ps__meg_linear(self, "linear", rows, self->shape->hidden, ffn);
    kept->active = ps__meg_make(self, rows * ffn);
    ps__meg_kernel(self, "bias_gelu", 2 * rows * ffn);
    return ps__meg_row_linear(self, ffn);
}

static ps_tensor feed_forward_backward(ps__meg *self, ps__meg_gpt *kept, ps_tensor grad)
{
    const int64_t rows = self->tokens, ffn = self->ffn;
    ps_tensor active = ps__meg_row_linear_backward(self, grad, ffn);
    ps_eager_clear(self->e, &grad);
    ps_eager_clear(self->e, &kept->active);
    const ps_tensor wide = ps__meg_make(self, rows * ffn);
    ps__meg_kernel(self, "bias_gelu_backward", 3 * rows * ffn);
    ps_eager_clear(self->e, &active);
    ps_eager_clear(self->e, &kept->wide);
    ps_tensor normed = columns_backward(self, wide, ffn);
    const ps_tensor result = ps__meg_layer_norm_backward(self, &kept->norm[1]);
    ps_eager_clear(self->e, &normed);
    return result;
}

/* ---- the layer ---- */

/* x + dropout(branch + bias); takes both. */
static ps_tensor join(ps__meg *self, ps_tensor x, ps_tensor branch, ps_tensor *mask)
{
    const int64_t elements = self->slice * self->shape->hidden;
    const ps_tensor sum = ps__meg_make(self, elements);
    *mask = ps__meg_make_as(self, elements, PS_DTYPE_BOOL);
    ps__meg_bytes(self, "bias_dropout_add", 7 * elements);
    ps_eager_drop(self->e, branch);
    ps_eager_drop(self->e, x);
    return sum;
}

/* Gradient of the branch: a tensor of its own, for x's goes on. */
static ps_tensor join_backward(ps__meg *self, ps_tensor *mask)
{
    const int64_t elements = self->slice * self->shape->hidden;
    const ps_tensor branch = ps__meg_make(self, elements);
    ps__meg_bytes(self, "bias_dropout_add_backward", 5 * elements);
    bias_gradient(self, self->slice, self->shape->hidden);
    ps_eager_clear(self->e, mask);
    return branch;
}

ps_tensor ps__meg_gpt_layer(ps__meg *self, ps__meg_layer *layer, ps_tensor x)
{
    ps__meg_gpt *kept = &layer->gpt;
    x = join(self, x, attention(self, kept, x), &kept->branch_mask[0]);
    return join(self, x, feed_forward(self, kept, x), &kept->branch_mask[1]);
}

ps_tensor ps__meg_gpt_layer_backward(ps__meg *self, ps__meg_layer *layer, ps_tensor grad)
{
    ps__meg_gpt *kept = &layer->gpt;
    ps_tensor branch = join_backward(self, &kept->branch_mask[1]);
    ps__meg_accumulate(self, &grad, feed_forward_backward(self, kept, branch));
    branch = join_backward(self, &kept->branch_mask[0]);
    ps__meg_accumulate(self, &grad, attention_backward(self, kept, branch));
    return grad;
}
