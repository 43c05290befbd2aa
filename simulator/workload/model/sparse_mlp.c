/* SPDX-License-Identifier: MIT
 *
 * Feed-forward by experts, as transformers 4.51 writes Mixtral's: each token
 * goes to a few of them, one expert after the other takes its tokens.
 *
 * Which tokens an expert gets depends on values. Here each gets as many as
 * the others, within one, and at least one.
 */
#include "base/memory.h"
#include "workload/model/model_pieces.h"

/* ---- making ---- */

static ps_gated_mlp make_mixtral_expert(ps_model *m, const ps_sparse_mlp_shape *n)
{
    ps_gated_mlp made = {.activation = n->activation};
    made.gate = ps_linear_make(m, "w1", n->hidden, n->inner, false);
    made.down = ps_linear_make(m, "w2", n->inner, n->hidden, false);
    made.up = ps_linear_make(m, "w3", n->hidden, n->inner, false);
    return made;
}

/* Experts are given rows of tokens, whatever sequences they are of. */
static ps_gated_mlp make_expert(ps_model *m, const ps_sparse_mlp_shape *n, int64_t inner)
{
    const ps_gated_mlp_shape shape = {n->hidden, inner, n->activation, false, false};
    ps_gated_mlp made = n->is_mixtral ? make_mixtral_expert(m, n) : ps_gated_mlp_make(m, &shape);
    made.gate.is_flat = made.down.is_flat = made.up.is_flat = true;
    return made;
}

static ps_linear make_gate(ps_model *m, const char *name, int64_t hidden, int64_t out)
{
    ps_linear made = ps_linear_make(m, name, hidden, out, false);
    made.is_flat = true;
    return made;
}

/* DeepSeek's is given sequences, not rows. */
static ps_gated_mlp make_shared(ps_model *m, const ps_sparse_mlp_shape *n)
{
    const ps_gated_mlp_shape shape = {n->hidden, n->shared_inner, n->activation, false, false};
    return n->copies_tokens ? ps_gated_mlp_make(m, &shape) : make_expert(m, n, n->shared_inner);
}

/* DeepSeek's gate is a parameter of its own: no linear module that an adapter could go to. */
static ps_linear make_bare_gate(ps_model *m, const ps_sparse_mlp_shape *n)
{
    return (ps_linear){.weight = ps_model_matrix(m, n->experts, n->hidden),
                       .in = n->hidden,
                       .out = n->experts,
                       .is_flat = true};
}

ps_code ps_sparse_mlp_make(ps_model *m, const ps_sparse_mlp_shape *shape, ps_sparse_mlp *out,
                           ps_error *err)
{
    out->shape = *shape;
    out->expert = ps_calloc((size_t)shape->experts, sizeof *out->expert);
    if (out->expert == NULL) {
        return ps_fail_nomem(err);
    }
    if (!shape->copies_tokens) {
        out->gate = make_gate(m, "gate", shape->hidden, shape->experts);
    }
    for (int64_t i = 0; i < shape->experts; i++) {
        out->expert[i] = make_expert(m, shape, shape->inner);
    }
    if (shape->copies_tokens) {
        out->gate = make_bare_gate(m, shape);
    }
    if (shape->shared_inner > 0) {
        out->shared = make_shared(m, shape);
    }
    if (shape->shared_inner > 0 && !shape->copies_tokens) {
        out->shared_gate = make_gate(m, "shared_expert_gate", shape->hidden, 1);
    }
    return PS_OK;
}

void ps_sparse_mlp_release(ps_sparse_mlp *self)
{
    ps_free(self->expert);
    self->expert = NULL;
}

/* ---- running ---- */

/* Who goes where. */
typedef struct routing {
    ps_tensor logits, weights, chosen, mask;
    int64_t tokens;
} routing;

/* softmax, the best of it, often made to add up to 1 again */
static routing route(ps_model *m, const ps_sparse_mlp *with, ps_tensor x)
{
    ps_eager *e = m->e;
    routing to = {.tokens = ps_eager_elements(e, x) / with->shape.hidden};
    const int64_t kept = to.tokens * with->shape.experts_a_token;
    to.logits = ps_linear_run(m, &with->gate, x);
    to.weights = ps_op_softmax_wide(e, to.logits);
    ps_eager_assign(e, &to.weights, ps_op_topk(e, to.weights, kept, &to.chosen));
    if (!with->shape.keeps_shares) {
        ps_tensor sum = ps_op_sum(e, to.weights, to.tokens);
        ps_eager_assign(e, &to.weights, ps_op_div_in_place(e, to.weights, sum));
        ps_eager_clear(e, &sum);
    }
    ps_eager_assign(e, &to.weights, ps_op_to(e, to.weights, ps_eager_dtype(e, x)));
    return to;
}

/* a[None, index] or a[.., None]: seen with one more dimension, then taken */
static ps_tensor take(ps_eager *e, ps_tensor a, ps_tensor index, int64_t index_count, int64_t width)
{
    ps_tensor view = ps_op_view(e, a, ps_eager_elements(e, a), false);
    const ps_tensor out = ps_op_index(e, view, index, index_count, width);
    ps_eager_clear(e, &view);
    return out;
}

int64_t ps_sparse_mlp_share(const ps_sparse_mlp_shape *n, int64_t tokens, int64_t expert)
{
    const int64_t all = tokens * n->experts_a_token;
    const int64_t share = all * (expert + 1) / n->experts - all * expert / n->experts;
    return share > 0 ? share : 1;
}

/* Variables of the loop, which live from one expert to the next. */
typedef struct turn {
    ps_tensor index, given, made;
} turn;

static void run_expert(ps_model *m, const ps_sparse_mlp *with, const routing *to, ps_tensor x,
                       int64_t expert, turn *v, ps_tensor *result)
{
    ps_eager *e = m->e;
    const ps_sparse_mlp_shape *n = &with->shape;
    ps_eager_assign(e, &v->index,
                    ps_op_nonzero(e, to->tokens * n->experts_a_token, PS_OP_INDEX_DIMENSIONS,
                                  ps_sparse_mlp_share(n, to->tokens, expert), true));
    ps_eager_assign(e, &v->given, take(e, x, v->index, 1, n->hidden));
    ps_tensor fed = ps_gated_mlp_run(m, &with->expert[expert], v->given);
    ps_tensor weight = take(e, to->weights, v->index, PS_OP_INDEX_DIMENSIONS, 1);
    ps_eager_assign(e, &v->made, ps_op_mul(e, fed, weight));
    ps_eager_clear(e, &fed);
    ps_eager_clear(e, &weight);
    ps_tensor source = ps_op_to(e, v->made, ps_eager_dtype(e, x));
    ps_eager_assign(e, result, ps_op_index_add(e, *result, v->index, source));
    ps_eager_clear(e, &source);
}

/* result + sigmoid(gate(x)) * expert(x) */
static ps_tensor add_shared(ps_model *m, const ps_sparse_mlp *with, ps_tensor x, ps_tensor result)
{
    ps_eager *e = m->e;
    ps_tensor fed = ps_gated_mlp_run(m, &with->shared, x);
    ps_tensor gate = ps_linear_run(m, &with->shared_gate, x);
    ps_tensor share = ps_op_sigmoid(e, gate);
    ps_eager_clear(e, &gate);
    ps_eager_assign(e, &fed, ps_op_mul(e, share, fed));
    ps_eager_clear(e, &share);
    const ps_tensor out = ps_op_add(e, result, fed);
    ps_eager_clear(e, &fed);
    return out;
}

ps_tensor ps_sparse_mlp_run(ps_model *m, const ps_sparse_mlp *with, ps_tensor x, ps_tensor *logits)
{
    ps_eager *e = m->e;
    const ps_sparse_mlp_shape *n = &with->shape;
    routing to = route(m, with, x);
    turn v = {0};
    ps_tensor result = ps_op_plain(e, "fill", ps_eager_elements(e, x), ps_eager_dtype(e, x));
    /* zeros, and a one where the expert is */
    to.mask = ps_op_plain(e, "fill", to.tokens * n->experts_a_token * n->experts, PS_DTYPE_I64);
    ps_op_in_place(e, "scatter", to.chosen);
    for (int64_t i = 0; i < n->experts; i++) {
        run_expert(m, with, &to, x, i, &v, &result);
    }
    if (n->shared_inner > 0) {
        ps_eager_assign(e, &result, add_shared(m, with, x, result));
    }
    ps_eager_clear(e, &v.index);
    ps_eager_clear(e, &v.given);
    ps_eager_clear(e, &v.made);
    ps_eager_clear(e, &to.weights);
    ps_eager_clear(e, &to.chosen);
    ps_eager_clear(e, &to.mask);
    *logits = to.logits;
    return result;
}
