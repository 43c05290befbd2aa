/* SPDX-License-Identifier: MIT
 *
 * Feed-forward by experts as DeepSeek-MoE's own code trains them: each token is
 * copied once for each of its experts, an expert takes the copies that are
 * marked as its own and writes over their places, and a token's results are
 * added up by weight. Other experts, in one, take all tokens.
 *
 * Which copies an expert gets depends on values: ps_sparse_mlp_share.
 */
#include "workload/model/model_pieces.h"

/* Who goes where, and what the router adds to the loss. */
typedef struct routing {
    ps_tensor weights, chosen, loss;
    int64_t tokens, copies, batch;
} routing;

static void normalize(ps_eager *e, routing *to)
{
    ps_tensor sum = ps_op_sum(e, to->weights, to->tokens);
    ps_eager_assign(e, &sum, ps_op_add_number(e, sum)); /* never 0 */
    ps_eager_assign(e, &to->weights, ps_op_div_rows(e, to->weights, sum));
    ps_eager_clear(e, &sum);
}

/* ---- the router's own loss ---- */

/* How often each sequence chose each expert, in 32 bits. */
static ps_tensor count_in_sequences(ps_eager *e, const routing *to, int64_t experts)
{
    const ps_tensor counts = ps_op_plain(e, "fill", to->batch * experts, PS_DTYPE_F32);
    ps_tensor ones = ps_op_plain(e, "fill", to->copies, PS_DTYPE_F32);
    ps_op_in_place(e, "scatter_add", ones);
    ps_op_in_place(e, "div", counts);
    ps_eager_clear(e, &ones);
    return counts;
}

/* mean of sums of counts * mean shares, a sequence each, * a number */
static ps_tensor loss_by_sequence(ps_eager *e, const routing *to, ps_tensor scores, int64_t experts)
{
    ps_tensor seen = ps_op_view(e, scores, to->tokens * experts, false);
    ps_tensor counts = count_in_sequences(e, to, experts);
    ps_tensor loss = ps_op_mean(e, seen, to->batch * experts);
    ps_eager_assign(e, &loss, ps_op_mul(e, counts, loss));
    ps_eager_assign(e, &loss, ps_op_sum(e, loss, to->batch));
    ps_eager_assign(e, &loss, ps_op_mean(e, loss, 1));
    ps_eager_assign(e, &loss, ps_op_mul_number(e, loss));
    ps_eager_clear(e, &seen);
    ps_eager_clear(e, &counts);
    return loss;
}

/* Zeros, with a one where the expert is. */
static ps_tensor mark_chosen(ps_eager *e, const routing *to, int64_t experts)
{
    const ps_tensor marks = ps_op_plain(e, "fill", to->copies * experts, PS_DTYPE_I64);
    ps_op_in_place(e, "scatter", to->chosen);
    return marks;
}

/* sum(mean shares * counts of all) * a number */
static ps_tensor loss_by_batch(ps_eager *e, const routing *to, ps_tensor scores, int64_t experts)
{
    ps_tensor marks = mark_chosen(e, to, experts);
    ps_tensor wide = ps_op_plain(e, "copy", to->copies * experts, PS_DTYPE_F32);
    ps_tensor counts = ps_op_plain(e, "mean", experts, PS_DTYPE_F32);
    ps_eager_clear(e, &wide);
    ps_tensor shares = ps_op_mean(e, scores, experts);
    ps_tensor scaled = ps_op_plain(e, "mul", experts, PS_DTYPE_F32);
    ps_tensor loss = ps_op_mul(e, shares, scaled);
    ps_eager_assign(e, &loss, ps_op_sum(e, loss, 1));
    ps_eager_assign(e, &loss, ps_op_mul_number(e, loss));
    ps_eager_clear(e, &marks);
    ps_eager_clear(e, &counts);
    ps_eager_clear(e, &shares);
    ps_eager_clear(e, &scaled);
    return loss;
}

/* softmax in its own type, the best of it */
static routing route(ps_model *m, const ps_sparse_mlp *with, ps_tensor x, int64_t batch)
{
    ps_eager *e = m->e;
    const ps_sparse_mlp_shape *n = &with->shape;
    routing to = {.tokens = ps_eager_elements(e, x) / n->hidden, .batch = batch};
    to.copies = to.tokens * n->experts_a_token;
    ps_tensor rows = ps_op_view(e, x, ps_eager_elements(e, x), false);
    ps_tensor logits = ps_linear_run(m, &with->gate, rows);
    ps_tensor wide = ps_op_widen(e, logits);
    ps_tensor scores = ps_op_softmax(e, wide);
    ps_eager_clear(e, &wide);
    to.weights = ps_op_topk(e, scores, to.copies, &to.chosen);
    if (!n->keeps_shares && n->experts_a_token > 1) {
        normalize(e, &to);
    }
    if (n->router_loss != PS_ROUTER_LOSS_NONE) {
        to.loss = (n->router_loss == PS_ROUTER_LOSS_SEQUENCE ? loss_by_sequence : loss_by_batch)(
            e, &to, scores, n->experts);
    }
    ps_eager_clear(e, &rows);
    ps_eager_clear(e, &logits);
    ps_eager_clear(e, &scores);
    return to;
}

/* ---- experts ---- */

static ps_tensor mark(ps_eager *e, const routing *to)
{
    return ps_op_plain(e, "eq", to->copies, PS_DTYPE_BOOL);
}

/* made[chosen == expert] = run(copied[chosen == expert]); autocast's result is cast back */
static void run_expert(ps_model *m, const ps_sparse_mlp *with, const routing *to, ps_tensor copied,
                       int64_t expert, ps_tensor *made)
{
    ps_eager *e = m->e;
    const int64_t found = ps_sparse_mlp_share(&with->shape, to->tokens, expert);
    ps_tensor marks = mark(e, to);
    ps_tensor given = ps_op_take_marked(e, copied, marks, found, with->shape.hidden);
    ps_eager_clear(e, &marks);
    ps_tensor fed = ps_gated_mlp_run(m, &with->expert[expert], given);
    ps_eager_clear(e, &given);
    ps_eager_assign(e, &fed, ps_op_to(e, fed, ps_eager_dtype(e, copied)));
    marks = mark(e, to);
    ps_eager_assign(e, made, ps_op_put_marked(e, *made, marks, fed, found));
    ps_eager_clear(e, &marks);
    ps_eager_clear(e, &fed);
}

/* repeat_interleave */
static ps_tensor copy_tokens(ps_eager *e, ps_tensor x, const routing *to)
{
    const int64_t width = ps_eager_elements(e, x) / to->tokens;
    ps_tensor rows = ps_op_view(e, x, ps_eager_elements(e, x), false);
    ps_tensor seen = ps_op_expand(e, rows, to->copies * width);
    ps_eager_clear(e, &rows);
    const ps_tensor out = ps_op_copy(e, seen);
    ps_eager_clear(e, &seen);
    return out;
}

/* sum(made * weight) of a token's copies */
static ps_tensor add_up(ps_eager *e, const routing *to, ps_tensor made, int64_t elements)
{
    ps_tensor weights = ps_op_view(e, to->weights, to->copies, false);
    ps_tensor weighed = ps_op_mul(e, made, weights);
    const ps_tensor out = ps_op_sum(e, weighed, elements);
    ps_eager_clear(e, &weighed);
    ps_eager_clear(e, &weights);
    return out;
}

ps_tensor ps_copied_experts_run(ps_model *m, const ps_sparse_mlp *with, ps_tensor x, int64_t batch)
{
    ps_eager *e = m->e;
    const ps_sparse_mlp_shape *n = &with->shape;
    routing to = route(m, with, x, batch);
    ps_tensor copied = copy_tokens(e, x, &to);
    ps_tensor result = /* of untouched memory */
        ps_eager_make(e, ps_eager_elements(e, copied), ps_eager_dtype(e, copied),
                      PS_ROLE_ACTIVATION);
    for (int64_t i = 0; i < n->experts; i++) {
        run_expert(m, with, &to, copied, i, &result);
    }
    ps_eager_assign(e, &result, add_up(e, &to, result, to.tokens * n->hidden));
    if (to.loss != 0) {
        ps_eager_assign(e, &result, ps_op_attach_loss(e, result, to.loss));
    }
    if (n->shared_inner > 0) {
        ps_tensor shared = ps_gated_mlp_run(m, &with->shared, x);
        ps_eager_assign(e, &result, ps_op_add(e, result, shared));
        ps_eager_clear(e, &shared);
    }
    ps_eager_clear(e, &to.chosen);
    ps_eager_clear(e, &to.weights);
    ps_eager_clear(e, &to.loss);
    ps_eager_clear(e, &copied);
    return result;
}
