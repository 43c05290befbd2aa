/* SPDX-License-Identifier: MIT
 *
 * T5Attention: scores without a scale, with a bias.
 */
#include "workload/family/t5.h"
#include "workload/model/scores.h"

static ps_attention_shape attention_shape(const ps_model *m, const ps_t5_pass *about)
{
    const ps_t5_shape *n = &((const ps_t5 *)m->state)->shape;
    return ps_attention_of_itself(about->batch, about->length, n->heads, n->head_width);
}

/* softmax(scores.float()).type_as(scores), then dropout */
static ps_tensor weigh(ps_model *m, ps_tensor scores)
{
    ps_eager *e = m->e;
    ps_tensor wide = ps_op_to(e, scores, PS_DTYPE_F32);
    ps_tensor weights = ps_op_softmax(e, wide);
    ps_eager_clear(e, &wide);
    ps_eager_assign(e, &weights, ps_op_to(e, weights, ps_eager_dtype(e, scores)));
    ps_eager_assign(e, &weights,
                    ps_dropout_run(m, weights, ((const ps_t5 *)m->state)->shape.dropout));
    return weights;
}

typedef struct heads_kv {
    ps_tensor key, value;
} heads_kv;

static heads_kv project_kv(ps_model *m, const ps_t5_scoring *with, const ps_t5_view *at,
                           const ps_attention_shape *heads)
{
    heads_kv out;
    out.key = ps_scores_project_key(m, &with->key, at->states, heads);
    out.value = ps_linear_run(m, &with->value, at->states);
    ps_heads_split_view(m, &out.key, heads, true);
    ps_heads_split_view(m, &out.value, heads, false);
    if (at->cache != NULL) {
        at->cache[0] = ps_eager_hold(m->e, out.key);
        at->cache[1] = ps_eager_hold(m->e, out.value);
    }
    return out;
}

/* T5Attention.forward */
ps_tensor ps_t5_attend(ps_model *m, const ps_t5_scoring *with, ps_tensor x, const ps_t5_pass *about,
                       const ps_t5_view *at)
{
    ps_eager *e = m->e;
    const ps_attention_shape heads = attention_shape(m, about);
    ps_tensor query = ps_linear_run(m, &with->query, x);
    ps_heads_split_view(m, &query, &heads, false);
    heads_kv kv = project_kv(m, with, at, &heads);
    ps_tensor scores = ps_scores_make(m, query, kv.key, &heads);
    ps_tensor last = 0; /* cache_position[-1] + 1 */
    if (*at->bias == 0) {
        last = at->which == PS_T5_OWN ? ps_op_plain(e, "add", 1, PS_DTYPE_I64) : 0;
        *at->bias =
            ps_t5_make_bias(m, with, about, ps_eager_dtype(e, scores), about->mask[at->which]);
    }
    ps_eager_assign(e, &scores, ps_op_add_in_place(e, scores, *at->bias));
    ps_tensor weights = weigh(m, scores);
    ps_tensor out = ps_scores_apply(m, weights, kv.value, &heads);
    ps_heads_merge(m, &out, &heads);
    ps_eager_assign(e, &out, ps_linear_run(m, &with->out, out));
    ps_eager_clear(e, &query);
    ps_eager_clear(e, &kv.key);
    ps_eager_clear(e, &kv.value);
    ps_eager_clear(e, &scores);
    ps_eager_clear(e, &last);
    ps_eager_clear(e, &weights);
    return out;
}
