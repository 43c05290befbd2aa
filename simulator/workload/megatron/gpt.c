/* SPDX-License-Identifier: MIT
 *
 * The older Megatron's GPT: learned positions, words tied to the head, a cross
 * entropy in 32 bits.
 */
#include "workload/megatron/gpt.h"

#include "workload/eager/ops_collective.h"

/* ---- parameters ---- */

static void make_linear(ps__meg *self, int64_t out, int64_t in)
{
    ps__meg_add_parameter(self, out, in, false);
    ps__meg_add_parameter(self, 1, out, false);
}

static void make_norm(ps__meg *self)
{
    ps__meg_add_parameter(self, 1, self->shape->hidden, false);
    ps__meg_add_parameter(self, 1, self->shape->hidden, false);
}

static void make_beginning(ps__meg *self)
{
    if (self->is_first) {
        ps__meg_add_parameter(self, self->vocabulary, self->shape->hidden, false);
        ps__meg_add_parameter(self, self->shape->positions, self->shape->hidden, false);
    }
}

static void make_layer(ps__meg *self, int64_t number)
{
    const int64_t hidden = self->shape->hidden, width = self->heads * self->shape->head;
    (void)number;
    make_norm(self);
    make_linear(self, 3 * width, hidden);
    make_linear(self, hidden, width);
    make_norm(self);
    make_linear(self, self->ffn, hidden);
    make_linear(self, hidden, self->ffn);
}

/* The last stage has the words a second time, for the head. */
static void make_end(ps__meg *self)
{
    if (self->is_last) {
        make_norm(self);
    }
    if (self->is_last && !self->is_first) {
        ps__meg_add_parameter(self, self->vocabulary, self->shape->hidden, false);
    }
}

/* ---- words and positions ---- */

static ps_tensor embed(ps__meg *self, ps__meg_micro *micro)
{
    const int64_t elements = self->tokens * self->shape->hidden;
    ps_tensor words = ps__meg_words(self, micro);
    ps_tensor positions = ps__meg_make(self, elements);
    ps__meg_kernel(self, "embedding", 2 * elements);
    ps_tensor sum = ps__meg_make(self, elements);
    ps__meg_kernel(self, "add", 3 * elements);
    ps_eager_clear(self->e, &words);
    ps_eager_clear(self->e, &positions);
    const ps_tensor x = ps__meg_make(self, elements);
    micro->mask = ps__meg_make_as(self, elements, PS_DTYPE_BOOL);
    ps__meg_bytes(self, "dropout", 5 * elements);
    ps_eager_clear(self->e, &sum);
    return x;
}

static void embed_backward(ps__meg *self, ps__meg_micro *micro, ps_tensor grad)
{
    const int64_t hidden = self->shape->hidden, elements = self->tokens * hidden;
    ps_eager_assign(self->e, &grad, ps__meg_make(self, elements));
    ps__meg_bytes(self, "dropout_backward", 5 * elements);
    ps_eager_clear(self->e, &micro->mask);
    ps_tensor positions = ps_op_embedding_gradient(self->e, grad, self->shape->positions, hidden);
    ps__meg_kernel(self, "add", 3 * self->shape->positions * hidden);
    ps_eager_clear(self->e, &positions);
    ps__meg_words_backward(self, micro, grad);
}

/* ---- head ---- */

/* Maximum, sum of exponentials and the label's logit of each row, over tensor ranks. */
static void reduce_rows(ps__meg *self)
{
    ps__meg_start(self, "all_reduce", PS_COLLECTIVE_ALL_REDUCE, PS__MEG_LANE_TENSOR,
                  1u << PS__MEG_TENSOR, (uint64_t)self->tokens * ps_dtype_bytes(PS_DTYPE_F32));
    if (self->recipe->tensor > 1) {
        ps__meg_await(self, PS__MEG_LANE_TENSOR);
    }
}

static void cross_entropy(ps__meg *self, ps__meg_head *kept)
{
    const int64_t rows = self->tokens, elements = rows * self->vocabulary;
    ps_tensor wide = ps__meg_make_as(self, elements, PS_DTYPE_F32);
    ps__meg_bytes(self, "cast", 6 * elements);
    ps_eager_clear(self->e, &kept->logits);
    ps_tensor largest = ps__meg_make_as(self, rows, PS_DTYPE_F32);
    ps__meg_sums(self, "max", PS_ACCESS_REDUCTION, 4 * elements, elements);
    reduce_rows(self);
    kept->softmax = ps__meg_make_as(self, elements, PS_DTYPE_F32);
    ps__meg_bytes(self, "subtract", 8 * elements);
    ps_eager_clear(self->e, &wide);
    ps_eager_clear(self->e, &largest);
    kept->losses = ps__meg_make_as(self, rows, PS_DTYPE_F32);
    ps__meg_bytes(self, "gather", 8 * rows);
    reduce_rows(self);
    ps__meg_bytes(self, "exp", 8 * elements);
    ps__meg_sums(self, "sum", PS_ACCESS_REDUCTION, 4 * elements, elements);
    reduce_rows(self);
    ps__meg_bytes(self, "div", 8 * elements);
}

static ps_tensor head(ps__meg *self, ps__meg_head *kept, ps_tensor x)
{
    const int64_t rows = self->tokens, hidden = self->shape->hidden;
    ps__meg_layer_norm(self, &kept->norm, x);
    ps_eager_drop(self->e, x);
    kept->logits = ps__meg_linear(self, "linear", rows, hidden, self->vocabulary);
    ps_op_workspace(self->e);
    cross_entropy(self, kept);
    ps_tensor weighted = ps__meg_make_as(self, rows, PS_DTYPE_F32);
    ps__meg_bytes(self, "mul", 3 * rows * 4);
    const ps_tensor loss = ps__meg_make_as(self, 1, PS_DTYPE_F32);
    ps__meg_sums(self, "sum", PS_ACCESS_REDUCTION, rows * 4, rows);
    ps_eager_clear(self->e, &weighted);
    return loss;
}

static ps_tensor head_backward(ps__meg *self, ps__meg_head *kept)
{
    const int64_t rows = self->tokens, hidden = self->shape->hidden;
    const int64_t elements = rows * self->vocabulary;
    ps_eager_clear(self->e, &kept->losses);
    ps_eager_clear(self->e, &kept->mask);
    ps__meg_bytes(self, "cross_entropy_backward", 8 * elements); /* over the softmax */
    ps_eager_clear(self->e, &kept->labels);
    ps_tensor grad = ps__meg_make(self, elements);
    ps__meg_bytes(self, "cast", 6 * elements);
    ps_eager_clear(self->e, &kept->softmax);
    ps_tensor full = ps__meg_linear_input(self, "linear_backward", rows, hidden, self->vocabulary);
    ps_op_workspace(self->e);
    full = ps__meg_reduce(self, full, hidden);
    ps__meg_linear_weight(self, "linear_weight", rows, hidden, self->vocabulary);
    ps_eager_clear(self->e, &grad);
    const ps_tensor result = ps__meg_layer_norm_backward(self, &kept->norm);
    ps_eager_clear(self->e, &full);
    return result;
}

/* ---- words of two stages ---- */

/* First and last stage add up their gradients of the words: each sends the other its own. */
static void share_word_gradients(ps__meg *self)
{
    const int64_t last = self->recipe->pipeline - 1;
    if (last == 0 || (!self->is_first && !self->is_last)) {
        return;
    }
    const int64_t elements = self->vocabulary * self->shape->hidden;
    const ps_eager_lane out = self->is_first ? PS__MEG_LANE_TO_PREVIOUS : PS__MEG_LANE_TO_NEXT;
    const ps_eager_lane in = self->is_first ? PS__MEG_LANE_FROM_PREVIOUS : PS__MEG_LANE_FROM_NEXT;
    ps_collective what = {.name = "send",
                          .op = PS_COLLECTIVE_SEND,
                          .lane = out,
                          .axes = 1u << PS__MEG_PIPELINE,
                          .peer = self->is_first ? (uint32_t)last : 0,
                          .dtype = self->grad_dtype,
                          .bytes = (uint64_t)elements * ps_dtype_bytes(self->grad_dtype)};
    ps_op_collective(self->e, &what);
    what.name = "recv";
    what.op = PS_COLLECTIVE_RECV;
    what.lane = in;
    ps_op_collective(self->e, &what);
    ps__meg_await(self, out);
    ps__meg_await(self, in);
    ps__meg_kernel(self, "add", 3 * elements);
}

const ps__meg_program ps__meg_gpt_program = {.make_beginning = make_beginning,
                                             .make_layer = make_layer,
                                             .make_end = make_end,
                                             .embed = embed,
                                             .embed_backward = embed_backward,
                                             .layer = ps__meg_gpt_layer,
                                             .layer_backward = ps__meg_gpt_layer_backward,
                                             .head = head,
                                             .head_backward = head_backward,
                                             .finish_gradients = share_word_gradients,
                                             .scatters_transfers = true,
                                             .gradients = PS_DTYPE_F16};
