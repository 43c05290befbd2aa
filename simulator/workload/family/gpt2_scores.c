/* SPDX-License-Identifier: MIT
 *
 * GPT-2's attention as the library writes it out: scores, the shares of values
 * that they become, and what those give.
 */
#include "workload/eager/eager_parts.h"
#include "workload/eager/ops_matrix.h"
#include "workload/family/gpt2.h"

static ps_bmm_shape scores_shape(const ps_gpt2_shape *n, const ps_gpt2_pass *about)
{
    return (ps_bmm_shape){about->batch * n->heads, about->length, about->length,
                          n->hidden / n->heads};
}

/* scores / root of the width, and / number of the layer */
static ps_tensor plain_scores(ps_model *m, ps_tensor query, ps_tensor key,
                              const ps_gpt2_pass *about)
{
    ps_eager *e = m->e;
    const ps_gpt2_shape *n = &ps_gpt2_of(m)->shape;
    const ps_bmm_shape product = scores_shape(n, about);
    const ps_matmul_copies copies =
        ps_gpt2_heads_are_apart(n, about) ? PS_MATMUL_COPIES_BOTH : PS_MATMUL_COPIES_NONE;
    ps_tensor weights = ps_op_matmul(e, query, key, &product, copies);
    if (n->is_scaled) {
        ps_tensor scale = ps_op_plain(e, "fill", 1, ps_eager_dtype(e, weights));
        ps_eager_assign(e, &weights, ps_op_div(e, weights, scale));
        ps_eager_clear(e, &scale);
    }
    if (n->is_scaled_by_layer) {
        ps_eager_assign(e, &weights, ps_op_mul_number(e, weights)); /* a division by a number */
    }
    return weights;
}

/* Query and key of _upcast_and_reordered_attn: variables that live until it returns. */
typedef struct merged {
    ps_tensor query, key;
} merged;

static ps_tensor merge_heads(ps_model *m, ps_tensor x, const ps_gpt2_pass *about)
{
    const ps_gpt2_shape *n = &ps_gpt2_of(m)->shape;
    return ps_gpt2_heads_are_apart(n, about) ? ps_op_copy(m->e, x) : ps_eager_hold(m->e, x);
}

/* baddbmm in 32 bits, into memory made before, scaled within */
static ps_tensor upcast_scores(ps_model *m, ps_tensor query, ps_tensor key,
                               const ps_gpt2_pass *about, int64_t index, merged *of)
{
    ps_eager *e = m->e;
    const ps_gpt2_shape *n = &ps_gpt2_of(m)->shape;
    const ps_bmm_shape product = scores_shape(n, about);
    const bool is_scaled = n->is_scaled || (n->is_scaled_by_layer && index > 0);
    ps_tensor room = ps_op_result(e, product.batch * product.m * product.n, PS_DTYPE_F32);
    of->query = merge_heads(m, query, about);
    of->key = merge_heads(m, key, about);
    ps_tensor wide_query = ps_op_to(e, of->query, PS_DTYPE_F32);
    ps_tensor wide_key = ps_op_to(e, of->key, PS_DTYPE_F32);
    const ps_tensor out = ps_op_baddbmm(e, wide_query, wide_key, &product, is_scaled);
    ps_eager_clear(e, &wide_key);
    ps_eager_clear(e, &wide_query);
    ps_eager_clear(e, &room);
    return out;
}

/* What hides keys, softmax, dropout. Takes the scores. */
static ps_tensor shares_of(ps_model *m, const ps_gpt2_layer *with, ps_tensor owned_scores,
                           ps_dtype dtype, const ps_gpt2_pass *about)
{
    ps_eager *e = m->e;
    const ps_gpt2_shape *n = &ps_gpt2_of(m)->shape;
    ps_tensor weights = owned_scores;
    ps_eager_assign(e, &weights, ps_op_where(e, with->causal, weights));
    if (about->mask != 0) {
        ps_eager_assign(e, &weights, ps_op_add(e, weights, about->mask));
    }
    ps_tensor wide = ps_op_widen(e, weights);
    ps_eager_assign(e, &weights, ps_op_softmax(e, wide));
    ps_eager_clear(e, &wide);
    ps_eager_assign(e, &weights, ps_op_to(e, weights, dtype));
    ps_eager_assign(e, &weights, ps_dropout_run(m, weights, n->attention_dropout));
    return weights;
}

ps_tensor ps_gpt2_write_out(ps_model *m, int64_t index, const ps_tensor part[],
                            const ps_gpt2_pass *about, ps_tensor *shares)
{
    ps_eager *e = m->e;
    const ps_gpt2_shape *n = &ps_gpt2_of(m)->shape;
    const ps_bmm_shape mixing = {about->batch * n->heads, about->length, n->hidden / n->heads,
                                 about->length};
    const bool is_apart = ps_gpt2_heads_are_apart(n, about);
    const ps_tensor query = part[PS_ATTENTION_QUERY], key = part[PS_ATTENTION_KEY];
    merged of = {0, 0};
    ps_tensor weights = n->is_upcast ? upcast_scores(m, query, key, about, index, &of)
                                     : plain_scores(m, query, key, about);
    ps_tensor least = ps_op_plain(e, "fill", 1, ps_eager_dtype(e, weights));
    const ps_dtype dtype = ps_eager_dtype(e, part[PS_ATTENTION_VALUE]);
    weights = shares_of(m, &ps_gpt2_of(m)->layer[index], weights, dtype, about);
    ps_tensor out = ps_op_matmul(e, weights, part[PS_ATTENTION_VALUE], &mixing,
                                 is_apart ? PS_MATMUL_COPIES_SECOND : PS_MATMUL_COPIES_NONE);
    ps_eager_clear(e, &of.query);
    ps_eager_clear(e, &of.key);
    ps_eager_clear(e, &least);
    *shares = weights;
    /* transposed: its gradient has to be copied on the way back */
    ps_eager_assign(e, &out,
                    ps_op_view(e, out, ps_eager_elements(e, out), is_apart && about->length > 1));
    return out;
}
