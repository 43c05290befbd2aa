/* SPDX-License-Identifier: MIT
 *
 * BERT's attention as transformers 4.51 writes it: by itself, or by a kernel.
 */
#include "workload/family/bert.h"
#include "workload/model/scores.h"

static ps_attention_shape attention_shape(const ps_model *m, const ps_bert_pass *about)
{
    const ps_bert_shape *n = &ps_bert_of(m)->shape;
    return ps_attention_of_itself(about->batch, about->length, n->heads, n->hidden / n->heads);
}

/* BertSelfAttention.forward */
static ps_tensor eager_attention(ps_model *m, const ps_bert_layer *with, ps_tensor x,
                                 const ps_bert_pass *about)
{
    ps_eager *e = m->e;
    const ps_attention_shape heads = attention_shape(m, about);
    ps_tensor query = ps_linear_run(m, &with->query, x);
    ps_tensor key = ps_scores_project_key(m, &with->key, x, &heads);
    ps_heads_split_view(m, &key, &heads, true);
    ps_tensor value = ps_linear_run(m, &with->value, x);
    ps_heads_split_view(m, &value, &heads, false);
    ps_heads_split_view(m, &query, &heads, false);
    ps_tensor scores = ps_scores_make(m, query, key, &heads);
    ps_eager_assign(e, &scores, ps_op_mul_number(e, scores)); /* divided by a number */
    ps_eager_assign(e, &scores, ps_op_add(e, scores, about->mask));
    ps_tensor wide = ps_op_widen(e, scores);
    ps_tensor weights = ps_op_softmax(e, wide);
    ps_eager_clear(e, &wide);
    ps_eager_assign(e, &weights,
                    ps_dropout_run(m, weights, ps_bert_of(m)->shape.attention_dropout));
    ps_tensor out = ps_scores_apply(m, weights, value, &heads);
    ps_heads_merge(m, &out, &heads);
    ps_eager_clear(e, &query);
    ps_eager_clear(e, &key);
    ps_eager_clear(e, &value);
    ps_eager_clear(e, &scores);
    ps_eager_clear(e, &weights);
    return out;
}

/* Seen by heads, as they lie. */
static ps_tensor project(ps_model *m, const ps_linear *with, ps_tensor x,
                         const ps_attention_call *call, ps_attention_part which)
{
    ps_tensor out = which == PS_ATTENTION_KEY ? ps_kernel_project_key(m, with, x, call)
                                              : ps_linear_run(m, with, x);
    const bool is_by_heads =
        ps_attention_returns_by_heads(m, ps_attention_dtype(m, out), call, which);
    ps_eager_assign(m->e, &out, ps_op_view(m->e, out, ps_eager_elements(m->e, out), is_by_heads));
    return out;
}

/* BertSdpaSelfAttention.forward */
static ps_tensor kernel_attention(ps_model *m, const ps_bert_layer *with, ps_tensor x,
                                  const ps_bert_pass *about)
{
    const ps_attention_call call = {.shape = attention_shape(m, about),
                                    .mask = about->mask,
                                    .lies_by_tokens = true,
                                    .dropout = ps_bert_of(m)->shape.attention_dropout};
    ps_tensor query = project(m, &with->query, x, &call, PS_ATTENTION_QUERY);
    ps_tensor key = project(m, &with->key, x, &call, PS_ATTENTION_KEY);
    ps_tensor value = project(m, &with->value, x, &call, PS_ATTENTION_VALUE);
    const ps_tensor out = ps_attention_run(m, query, key, value, &call);
    ps_eager_clear(m->e, &query);
    ps_eager_clear(m->e, &key);
    ps_eager_clear(m->e, &value);
    return out;
}

ps_tensor ps_bert_attend(ps_model *m, const ps_bert_layer *with, ps_tensor x,
                         const ps_bert_pass *about)
{
    return m->recipe->attention == PS_ATTENTION_EAGER ? eager_attention(m, with, x, about)
                                                      : kernel_attention(m, with, x, about);
}
