/* SPDX-License-Identifier: MIT
 *
 * Attention of heads, some of which may share keys and values.
 *
 * Projections come as (batch, length, heads, width) and are seen transposed,
 * (batch, heads, length, width). Whether such a view can be reshaped without
 * a copy depends on which of its dimensions are 1.
 */
#include "workload/eager_parts.h"
#include "workload/model_pieces.h"

bool ps_heads_are_rows(const ps_attention_shape *shape, int64_t heads)
{
    return heads == 1 || shape->queries == 1;
}

/* (batch * heads, length, width) of the transposed view: one step from head to head? */
static bool merge_with_batch(const ps_attention_shape *shape, int64_t heads)
{
    return shape->batch == 1 || ps_heads_are_rows(shape, heads);
}

ps_tensor ps_heads_split(ps_model *m, ps_tensor owned, bool is_by_heads)
{
    const ps_tensor out = ps_op_view(m->e, owned, ps_eager_elements(m->e, owned), is_by_heads);
    ps_eager_drop(m->e, owned);
    return out;
}

static int64_t heads_a_key(const ps_attention_shape *shape)
{
    return shape->heads / shape->kv_heads;
}

bool ps_heads_return_value_by_heads(const ps_model *m, ps_tensor value,
                                    const ps_attention_call *call)
{
    const ps_attention_shape *n = &call->shape;
    if (ps_heads_are_rows(n, n->kv_heads)) {
        return false;
    }
    if (m->recipe->attention == PS_ATTENTION_EAGER || heads_a_key(n) > 1) {
        return true; /* from a product by heads, or from the slices of a repetition */
    }
    return ps_attention_returns_by_heads(m, ps_attention_dtype(m, value), call, PS_ATTENTION_VALUE);
}

/* x[:, :, None, :, :]: each colon is a slice of its own, and fills a gradient of its own */
static ps_tensor with_new_dimension(ps_eager *e, ps_tensor x)
{
    ps_tensor view = ps_eager_hold(e, x);
    for (int i = 0; i < 4; i++) {
        ps_eager_assign(e, &view, ps_op_slice(e, view, ps_eager_elements(e, x)));
    }
    return view;
}

ps_tensor ps_heads_repeat(ps_model *m, ps_tensor x, const ps_attention_shape *shape)
{
    ps_eager *e = m->e;
    const int64_t times = heads_a_key(shape);
    if (times == 1) {
        return ps_eager_hold(e, x);
    }
    ps_tensor many = with_new_dimension(e, x);
    ps_eager_assign(e, &many, ps_op_view(e, many, times * ps_eager_elements(e, x), false));
    if (shape->kv_heads > 1) { /* one head is repeated without a copy */
        ps_eager_assign(e, &many, ps_op_copy(e, many));
    }
    return many;
}

/* matmul copies a factor whose heads and sequences do not lie one after the other */
static bool is_copied_key(const ps_attention_shape *shape)
{
    if (heads_a_key(shape) == 1) {
        return !merge_with_batch(shape, shape->kv_heads);
    }
    return shape->kv_heads == 1 && shape->batch > 1;
}

ps_tensor ps_soft_cap(ps_model *m, ps_tensor owned)
{
    ps_eager *e = m->e;
    ps_tensor capped = owned;
    ps_eager_assign(e, &capped, ps_op_div_number(e, capped));
    ps_eager_assign(e, &capped, ps_op_tanh(e, capped));
    ps_eager_assign(e, &capped, ps_op_mul_number(e, capped));
    return capped;
}

static ps_tensor scores(ps_model *m, ps_tensor query, ps_tensor key, const ps_attention_call *call)
{
    ps_eager *e = m->e;
    const ps_attention_shape *n = &call->shape;
    const ps_bmm_shape shape = {n->batch * n->heads, n->queries, n->keys, n->head_width};
    const unsigned copies =
        (merge_with_batch(n, n->heads) ? PS_MATMUL_COPIES_NONE : PS_MATMUL_COPIES_FIRST) |
        (is_copied_key(n) ? PS_MATMUL_COPIES_SECOND : PS_MATMUL_COPIES_NONE);
    ps_tensor weights = ps_op_matmul(e, query, key, &shape, (ps_matmul_copies)copies);
    ps_eager_assign(e, &weights, ps_op_mul_number(e, weights));
    if (call->caps_scores) {
        weights = ps_soft_cap(m, weights);
    }
    if (call->mask != 0) {
        ps_eager_assign(e, &weights, ps_op_add(e, weights, call->mask));
    }
    return weights;
}

static ps_tensor shares(ps_model *m, ps_tensor owned_weights, ps_dtype dtype, double dropout)
{
    ps_eager *e = m->e;
    ps_tensor weights = owned_weights;
    ps_tensor wide = ps_op_to(e, weights, PS_DTYPE_F32);
    ps_tensor share = ps_op_softmax(e, wide);
    ps_eager_clear(e, &wide);
    ps_eager_assign(e, &share, ps_op_to(e, share, dtype));
    ps_eager_clear(e, &weights);
    ps_eager_assign(e, &share, ps_dropout_run(m, share, dropout));
    return share;
}

ps_tensor ps_heads_eager_attention(ps_model *m, ps_tensor query, ps_tensor key, ps_tensor value,
                                   const ps_attention_call *call)
{
    ps_eager *e = m->e;
    const ps_attention_shape *n = &call->shape;
    const ps_bmm_shape shape = {n->batch * n->heads, n->queries, n->head_width, n->keys};
    ps_tensor keys = ps_heads_repeat(m, key, n), values = ps_heads_repeat(m, value, n);
    ps_tensor weights =
        shares(m, scores(m, query, keys, call), ps_eager_dtype(e, query), call->dropout);
    ps_tensor out =
        ps_op_matmul(e, weights, values, &shape,
                     is_copied_key(n) ? PS_MATMUL_COPIES_SECOND : PS_MATMUL_COPIES_NONE);
    const int64_t elements = ps_eager_elements(e, out);
    ps_eager_assign(e, &out, ps_op_view(e, out, elements, !merge_with_batch(n, n->heads)));
    if (!ps_heads_are_rows(n, n->heads)) {
        ps_eager_assign(e, &out, ps_op_copy(e, out));
    }
    ps_eager_clear(e, &keys);
    ps_eager_clear(e, &values);
    ps_eager_clear(e, &weights);
    return out;
}

/* contiguous() */
static ps_tensor in_rows(ps_eager *e, ps_tensor x, bool is_in_rows)
{
    return is_in_rows ? ps_eager_hold(e, x) : ps_op_copy(e, x);
}

ps_tensor ps_heads_kernel_attention(ps_model *m, ps_tensor query, ps_tensor key, ps_tensor value,
                                    const ps_attention_call *call)
{
    ps_eager *e = m->e;
    const ps_attention_shape *n = &call->shape;
    ps_tensor keys = ps_heads_repeat(m, key, n), values = ps_heads_repeat(m, value, n);
    const bool are_in_rows = heads_a_key(n) > 1 ? n->kv_heads > 1 : ps_heads_are_rows(n, n->heads);
    ps_attention_call all = *call;
    all.shape.kv_heads = n->heads; /* repeated */
    ps_tensor own = in_rows(e, query, ps_heads_are_rows(n, n->heads));
    ps_eager_assign(e, &keys, in_rows(e, keys, are_in_rows));
    ps_eager_assign(e, &values, in_rows(e, values, are_in_rows));
    const ps_tensor out = ps_attention_run(m, own, keys, values, &all);
    ps_eager_clear(e, &own);
    ps_eager_clear(e, &keys);
    ps_eager_clear(e, &values);
    return out;
}
