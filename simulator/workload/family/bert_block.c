/* SPDX-License-Identifier: MIT
 *
 * One block of BERT: attention and a feed-forward, each added to what it was
 * given and normed then.
 */
#include "workload/family/bert.h"

/* norm(dropout(dense(x)) + residual): BertSelfOutput, BertOutput */
static ps_tensor join(ps_model *m, const ps_linear *dense, const ps_norm *after, ps_tensor x,
                      ps_tensor residual)
{
    ps_eager *e = m->e;
    ps_tensor hidden = ps_linear_run(m, dense, x);
    ps_eager_assign(e, &hidden, ps_dropout_run(m, hidden, ps_bert_of(m)->shape.hidden_dropout));
    ps_tensor sum = ps_op_add(e, hidden, residual);
    ps_eager_assign(e, &hidden, ps_norm_run(m, after, sum));
    ps_eager_clear(e, &sum);
    return hidden;
}

ps_tensor ps_bert_run_block(ps_model *m, const void *about, int64_t index, ps_tensor input)
{
    ps_eager *e = m->e;
    const ps_bert *self = m->state;
    const ps_bert_layer *with = &self->layer[index];
    ps_tensor mixed = ps_bert_attend(m, with, input, about);
    ps_tensor attended = join(m, &with->projection, &with->after_attention, mixed, input);
    ps_eager_clear(e, &mixed);
    ps_tensor wide = ps_linear_run(m, &with->widen, attended);
    ps_eager_assign(e, &wide, ps_activation_run(m, self->shape.activation, wide));
    const ps_tensor out = join(m, &with->narrow, &with->after_mlp, wide, attended);
    ps_eager_clear(e, &wide);
    ps_eager_clear(e, &attended);
    return out;
}
