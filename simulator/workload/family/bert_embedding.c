/* SPDX-License-Identifier: MIT
 *
 * What BERT's first block is given: words, positions and types added up. A
 * RoBERTa counts its positions, of words that are no padding.
 */
#include "workload/family/bert.h"
#include "workload/model/masks.h"
#include "workload/model/row_parallel.h"

/* cumsum of numbers of 32 bits: it is given them in the result's 64 */
static ps_tensor running_sum(ps_model *m, const ps_batch *batch)
{
    ps_eager *e = m->e;
    const int64_t elements = batch->batch * batch->length;
    const ps_tensor out = ps_eager_make(e, elements, PS_DTYPE_I64, PS_ROLE_ACTIVATION);
    ps_tensor wide = ps_op_plain(e, "copy", elements, PS_DTYPE_I64);
    if (batch->batch == 1) {
        ps_mask_scan_row(m, PS_DTYPE_I64);
    }
    ps_op_in_place(e, "cumsum", out);
    ps_eager_clear(e, &wide);
    return out;
}

/* create_position_ids_from_input_ids: a running count of words that are no padding */
static ps_tensor count_words(ps_model *m, const ps_batch *batch)
{
    ps_eager *e = m->e;
    const int64_t tokens = batch->batch * batch->length;
    ps_tensor is_word = ps_op_plain(e, "ne", tokens, PS_DTYPE_BOOL);
    ps_tensor word = ps_op_plain(e, "copy", tokens, PS_DTYPE_F32); /* whole, of 32 bits */
    ps_eager_clear(e, &is_word);
    ps_tensor count = running_sum(m, batch);
    ps_eager_assign(e, &count, ps_op_plain(e, "copy", tokens, PS_DTYPE_F32));
    ps_eager_assign(e, &count, ps_op_plain(e, "add", tokens, PS_DTYPE_F32));
    ps_eager_assign(e, &count, ps_op_plain(e, "mul", tokens, PS_DTYPE_F32));
    ps_tensor wide = ps_op_plain(e, "copy", tokens, PS_DTYPE_I64);
    const ps_tensor out = ps_op_plain(e, "add", tokens, PS_DTYPE_I64);
    ps_eager_clear(e, &wide);
    ps_eager_clear(e, &word);
    ps_eager_clear(e, &count);
    return out;
}

static ps_tensor places_of(ps_model *m, const ps_batch *batch)
{
    const ps_bert *self = m->state;
    return self->shape.counts_words ? count_words(m, batch)
                                    : ps_op_view(m->e, self->position_ids, batch->length, false);
}

ps_tensor ps_bert_embed(ps_model *m, const ps_batch *batch)
{
    ps_eager *e = m->e;
    const ps_bert *self = m->state;
    const int64_t width = self->shape.hidden;
    ps_tensor types = ps_op_view(e, self->type_ids, batch->length, false);
    ps_tensor places = places_of(m, batch);
    ps_tensor words = ps_input_embedding_run(m, self->words, batch->ids, width);
    const ps_tensor own[PS_MODULE_OWN] = {self->types};
    ps_tensor shown = ps_model_use(m, own, types);
    ps_tensor kinds = ps_row_parallel_gather(
        m, ps_op_embedding_repeated(e, self->types, shown, batch->batch * batch->length,
                                    ps_row_parallel_share(m, width)));
    ps_model_unuse(m, own, kinds);
    ps_eager_clear(e, &shown);
    ps_tensor hidden = ps_op_add(e, words, kinds);
    ps_tensor positions = ps_embedding_run(m, self->positions, places, width);
    ps_eager_assign(e, &hidden, ps_op_add_in_place(e, hidden, positions));
    ps_eager_assign(e, &hidden, ps_norm_run(m, &self->embedded, hidden));
    ps_eager_assign(e, &hidden, ps_dropout_run(m, hidden, self->shape.hidden_dropout));
    ps_eager_clear(e, &types);
    ps_eager_clear(e, &places);
    ps_eager_clear(e, &words);
    ps_eager_clear(e, &kinds);
    ps_eager_clear(e, &positions);
    return hidden;
}
