/* SPDX-License-Identifier: MIT
 *
 * Attention of GPTBigCode: heads have a key and a value each, or all share one.
 */
#include "workload/eager/eager_parts.h"
#include "workload/eager/ops_matrix.h"
#include "workload/family/bigcode.h"
#include "workload/model/scores.h"

static const ps_bigcode_shape *shape_of(const ps_model *m)
{
    return &((const ps_bigcode *)m->state)->shape;
}

static ps_tensor seen_as(ps_eager *e, ps_tensor x, int64_t elements, bool is_strided)
{
    return ps_op_view(e, x, elements, is_strided);
}

/* ---- scores written out ---- */

/* The factors of a product as baddbmm takes them; keys are transposed. */
typedef struct factors {
    ps_tensor query, key;
    ps_bmm_shape product;
} factors;

/* All heads of a token are rows of one matrix; they lie beside the shared key. */
static factors shared_factors(ps_eager *e, ps_tensor query, ps_tensor key,
                              const ps_attention_shape *n)
{
    return (factors){.query =
                         ps_heads_lie_apart(n) ? ps_op_copy(e, query) : ps_eager_hold(e, query),
                     .key = ps_eager_hold(e, key),
                     .product = {n->batch, n->queries * n->heads, n->keys, n->head_width}};
}

static factors own_factors(ps_eager *e, ps_tensor query, ps_tensor key, const ps_attention_shape *n)
{
    const bool is_copied = ps_heads_are_copied(n);
    return (factors){.query = is_copied ? ps_op_copy(e, query) : ps_eager_hold(e, query),
                     .key = is_copied ? ps_op_copy(e, key) : ps_eager_hold(e, key),
                     .product = {n->batch * n->heads, n->queries, n->keys, n->head_width}};
}

static ps_tensor product(ps_model *m, const factors *of)
{
    ps_eager *e = m->e;
    const int64_t cells = of->product.batch * of->product.m * of->product.n;
    ps_tensor query = ps_op_narrow(e, of->query), key = ps_op_narrow(e, of->key);
    ps_tensor nothing = ps_op_result(e, cells, ps_eager_dtype(e, query));
    const ps_tensor scores = ps_op_baddbmm(e, query, key, &of->product, shape_of(m)->has_scale);
    ps_eager_clear(e, &nothing);
    ps_eager_clear(e, &query);
    ps_eager_clear(e, &key);
    return scores;
}

static void make_least(ps_model *m, ps_bigcode_layer *with, ps_dtype dtype)
{
    if (with->least == 0 || ps_eager_dtype(m->e, with->least) != dtype) {
        ps_eager_assign(m->e, &with->least, ps_model_buffer(m, 1, dtype));
    }
}

/*
 * upcast_masked_softmax, a TorchScript function: one call of Python's, whose factor and mask become
 * one kernel once it has run twice. The types are arguments, so both changes of type stay kernels of
 * their own, and softmax is none that the fuser takes.
 */
static ps_tensor scripted_shares(ps_model *m, ps_tensor scores, ps_tensor mask)
{
    ps_eager *e = m->e;
    ps_tensor wide = ps_op_to(e, scores, PS_DTYPE_F32);
    const bool was_subclass = ps_eager_set_subclass(e, false);
    ps_eager_assign(e, &wide, ps_op_scale_where(e, mask, wide));
    ps_eager_assign(e, &wide, ps_op_softmax(e, wide));
    const ps_tensor out = ps_op_to(e, wide, ps_eager_dtype(e, scores));
    ps_eager_clear(e, &wide);
    (void)ps_eager_set_subclass(e, was_subclass);
    return out;
}

/* Scores become shares. */
static void make_shares(ps_model *m, ps_tensor *scores, ps_tensor mask)
{
    ps_eager *e = m->e;
    if (ps_eager_dtype(e, *scores) != PS_DTYPE_F32 && shape_of(m)->has_wide_softmax) {
        ps_eager_assign(e, scores, scripted_shares(m, *scores, mask));
        return;
    }
    ps_eager_assign(e, scores, ps_op_where(e, mask, *scores));
    ps_tensor wide = ps_op_widen(e, *scores);
    ps_eager_assign(e, scores, ps_op_softmax(e, wide));
    ps_eager_clear(e, &wide);
}

static ps_tensor weights_of(ps_model *m, ps_bigcode_layer *with, const factors *of,
                            const ps_bigcode_pass *about)
{
    ps_eager *e = m->e;
    ps_tensor weights = product(m, of);
    make_least(m, with, shape_of(m)->has_wide_softmax ? PS_DTYPE_F32 : ps_eager_dtype(e, weights));
    make_shares(m, &weights, about->mask);
    ps_eager_assign(e, &weights, ps_dropout_run(m, weights, shape_of(m)->attention_dropout));
    return weights;
}

static ps_tensor apply_to_shared(ps_eager *e, ps_tensor weights, ps_tensor value,
                                 const ps_attention_shape *n)
{
    const ps_bmm_shape mixing = {n->batch, n->queries * n->heads, n->head_width, n->keys};
    return ps_op_matmul(e, weights, value, &mixing, PS_MATMUL_COPIES_NONE);
}

static ps_tensor write_out(ps_model *m, ps_bigcode_layer *with, const ps_tensor *own,
                           const ps_bigcode_pass *about, ps_tensor *weights)
{
    ps_eager *e = m->e;
    const ps_attention_shape *n = &about->heads;
    const bool is_shared = shape_of(m)->shares_keys;
    factors of =
        is_shared ? shared_factors(e, own[0], own[1], n) : own_factors(e, own[0], own[1], n);
    *weights = weights_of(m, with, &of, about);
    ps_tensor out = is_shared ? apply_to_shared(e, *weights, own[2], n)
                              : ps_scores_apply(m, *weights, own[2], n);
    ps_eager_clear(e, &of.query);
    ps_eager_clear(e, &of.key);
    if (!is_shared) {
        ps_heads_merge(m, &out, n);
    }
    return out;
}

/* ---- kernels ---- */

static ps_tensor run_kernel(ps_model *m, const ps_tensor *own, const ps_bigcode_pass *about)
{
    ps_eager *e = m->e;
    const ps_attention_shape *n = &about->heads;
    const bool is_shared = shape_of(m)->shares_keys;
    const int64_t elements = n->batch * n->heads * n->queries * n->head_width;
    const ps_attention_call call = {.shape = *n,
                                    .mask = about->mask,
                                    .lies_by_tokens = is_shared,
                                    .has_expanded_keys = is_shared && n->heads > 1,
                                    .is_left = true,
                                    .dropout = shape_of(m)->attention_dropout};
    const ps_dtype dtype = ps_attention_dtype(m, own[0]);
    const bool is_strided = ps_attention_returns_by_heads(m, dtype, &call, PS_ATTENTION_QUERY);
    ps_tensor part[3] = {is_shared ? seen_as(e, own[0], elements, is_strided)
                                   : ps_op_copy(e, own[0]),
                         is_shared ? ps_op_expand(e, own[1], elements) : ps_op_copy(e, own[1]),
                         is_shared ? ps_op_expand(e, own[2], elements) : ps_op_copy(e, own[2])};
    ps_tensor out = ps_attention_run(m, part[0], part[1], part[2], &call);
    for (int i = 0; i < 3; i++) {
        ps_eager_clear(e, &part[i]);
    }
    if (ps_attention_result_is_copied(m, dtype, &call)) {
        ps_eager_assign(e, &out, ps_op_copy(e, out));
    }
    return out;
}

/* ---- both ---- */

/* The query, and key and value in one; heads with keys of their own lie as (query, key, value) each. */
static void project(ps_model *m, const ps_bigcode_layer *with, ps_tensor x,
                    const ps_bigcode_pass *about, ps_tensor part[2])
{
    ps_eager *e = m->e;
    const ps_attention_shape *n = &about->heads;
    const bool is_shared = shape_of(m)->shares_keys;
    const int64_t rows = n->batch * n->queries;
    const int64_t keys = rows * (is_shared ? 1 : n->heads) * n->head_width;
    const int64_t elements[] = {rows * n->heads * n->head_width, 2 * keys};
    ps_tensor packed = ps_linear_run(m, &with->qkv, x);
    if (!is_shared) {
        ps_heads_split_view(m, &packed, n, false);
    }
    ps_op_split_sizes(e, packed, elements, part, 2);
    ps_eager_clear(e, &packed);
}

ps_tensor ps_bigcode_attend(ps_model *m, ps_bigcode_layer *with, ps_tensor x,
                            const ps_bigcode_pass *about, int64_t index)
{
    ps_eager *e = m->e;
    ps_tensor part[2], own[3], weights = 0;
    project(m, with, x, about, part);
    if (about->cache != NULL) {
        about->cache[index] = ps_eager_hold(e, part[1]);
    }
    own[0] = part[0];
    ps_op_split(e, part[1], &own[1], 2);
    ps_tensor mixed = m->recipe->attention == PS_ATTENTION_EAGER
                          ? write_out(m, with, own, about, &weights)
                          : run_kernel(m, own, about);
    ps_eager_assign(e, &mixed, ps_linear_run(m, &with->projection, mixed));
    ps_eager_assign(e, &mixed, ps_dropout_run(m, mixed, shape_of(m)->residual_dropout));
    ps_eager_clear(e, &part[1]);
    ps_eager_clear(e, &weights);
    for (int i = 0; i < 3; i++) {
        ps_eager_clear(e, &own[i]);
    }
    return mixed;
}
