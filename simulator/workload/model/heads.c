/* SPDX-License-Identifier: MIT
 *
 * Attention of heads, some of which may share keys and values.
 *
 * Projections come as (batch, length, heads, width) and are seen transposed,
 * (batch, heads, length, width). Whether such a view can be reshaped without
 * a copy depends on which of its dimensions are 1.
 */
#include "workload/eager/eager_parts.h"
#include "workload/eager/ops_matrix.h"
#include "workload/model/model_pieces.h"

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
static bool is_copied_key(const ps_attention_shape *shape, bool is_put_together)
{
    if (heads_a_key(shape) == 1) {
        return !is_put_together && !merge_with_batch(shape, shape->kv_heads);
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
    const bool is_whole = call->is_put_together || merge_with_batch(n, n->heads);
    const unsigned copies =
        (is_whole ? PS_MATMUL_COPIES_NONE : PS_MATMUL_COPIES_FIRST) |
        (is_copied_key(n, call->is_put_together) ? PS_MATMUL_COPIES_SECOND : PS_MATMUL_COPIES_NONE);
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
    ps_tensor share = ps_op_softmax_wide(e, weights);
    ps_eager_assign(e, &share, ps_op_to(e, share, dtype));
    ps_eager_clear(e, &weights);
    ps_eager_assign(e, &share, ps_dropout_run(m, share, dropout));
    return share;
}

/* A variable of the function, and of its caller too where they are one. */
static void set(ps_model *m, ps_tensor *own, ps_tensor *callers, ps_tensor value, bool replaces)
{
    ps_eager_assign(m->e, own, value);
    if (replaces) {
        ps_eager_assign(m->e, callers, ps_eager_hold(m->e, value));
    }
}

static ps_heads_trio enter(ps_model *m, ps_heads_trio *of, const ps_heads_call *call)
{
    const ps_attention_shape *n = &call->call.shape;
    ps_heads_trio own = {.query = ps_eager_hold(m->e, of->query)};
    set(m, &own.key, &of->key, ps_heads_repeat(m, of->key, n), call->replaces);
    set(m, &own.value, &of->value, ps_heads_repeat(m, of->value, n), call->replaces);
    return own;
}

static void leave(ps_model *m, ps_heads_trio *own)
{
    ps_eager_clear(m->e, &own->query);
    ps_eager_clear(m->e, &own->key);
    ps_eager_clear(m->e, &own->value);
}

ps_tensor ps_heads_eager_attention(ps_model *m, ps_heads_trio *of, const ps_heads_call *call)
{
    ps_eager *e = m->e;
    const ps_attention_shape *n = &call->call.shape;
    const ps_bmm_shape shape = {n->batch * n->heads, n->queries, n->head_width, n->keys};
    ps_heads_trio own = enter(m, of, call);
    ps_tensor weights = shares(m, scores(m, own.query, own.key, &call->call),
                               ps_eager_dtype(e, own.query), call->call.dropout);
    ps_tensor out =
        ps_op_matmul(e, weights, own.value, &shape,
                     is_copied_key(n, false) ? PS_MATMUL_COPIES_SECOND : PS_MATMUL_COPIES_NONE);
    const int64_t elements = ps_eager_elements(e, out);
    ps_eager_assign(e, &out, ps_op_view(e, out, elements, !merge_with_batch(n, n->heads)));
    if (!ps_heads_are_rows(n, n->heads)) {
        ps_eager_assign(e, &out, ps_op_copy(e, out));
    }
    leave(m, &own);
    ps_model_leave_to_block(m, weights);
    return out;
}

/* contiguous() */
static void put_in_rows(ps_model *m, ps_heads_trio *own, ps_heads_trio *of,
                        const ps_heads_call *call)
{
    const ps_attention_shape *n = &call->call.shape;
    const bool is_put_together = call->call.is_put_together;
    const bool are_rows = ps_heads_are_rows(n, n->heads), is_query = is_put_together || are_rows;
    const bool are_repeated = heads_a_key(n) > 1;
    const bool is_key = are_repeated ? n->kv_heads > 1 : is_query;
    const bool is_value = are_repeated ? n->kv_heads > 1 : are_rows;
    if (call->call.lies_by_tokens) {
        return;
    }
    if (!is_query) {
        set(m, &own->query, &of->query, ps_op_copy(m->e, own->query), call->replaces);
    }
    if (!is_key) {
        set(m, &own->key, &of->key, ps_op_copy(m->e, own->key), call->replaces);
    }
    if (!is_value) {
        set(m, &own->value, &of->value, ps_op_copy(m->e, own->value), call->replaces);
    }
}

ps_tensor ps_heads_kernel_attention(ps_model *m, ps_heads_trio *of, const ps_heads_call *call)
{
    ps_attention_call all = call->call;
    ps_heads_trio own = enter(m, of, call);
    put_in_rows(m, &own, of, call);
    all.shape.kv_heads = all.shape.heads; /* repeated */
    const ps_tensor out = ps_attention_run(m, own.query, own.key, own.value, &all);
    leave(m, &own);
    return out;
}
