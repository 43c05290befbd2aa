/* SPDX-License-Identifier: MIT
 *
 * Losses of models that predict the next word.
 */
#include "workload/model/modules.h"

/* Logits but the last, labels but the first, each a copy where there are several sequences. */
static ps_tensor loss_of_slice(ps_model *m, ps_tensor sliced, const ps_batch *batch,
                               int64_t vocabulary)
{
    ps_eager *e = m->e;
    const int64_t rows = batch->batch * (batch->length - 1);
    ps_tensor shifted = ps_eager_hold(e, sliced);
    ps_tensor labels = 0;
    if (batch->batch > 1) {
        ps_eager_assign(e, &shifted, ps_op_copy(e, shifted));
        labels = ps_op_plain(e, "copy", rows, PS_DTYPE_I64);
    } else {
        labels = ps_op_view(e, batch->labels != 0 ? batch->labels : batch->ids, rows, false);
    }
    const ps_tensor loss = ps_op_cross_entropy(e, shifted, labels, rows, vocabulary);
    ps_eager_clear(e, &shifted);
    ps_eager_clear(e, &labels);
    return loss;
}

/* logits[..., :-1, :] is two slices, though the second leaves all; the libraries that
 * recipe.shifts_logits stands for took one */
static ps_tensor slice_logits(ps_model *m, ps_tensor logits, const ps_batch *batch,
                              int64_t vocabulary)
{
    const int64_t elements = batch->batch * (batch->length - 1) * vocabulary;
    ps_tensor sliced = ps_op_slice(m->e, logits, elements);
    if (!m->recipe->shifts_logits) {
        ps_eager_assign(m->e, &sliced, ps_op_slice(m->e, sliced, elements));
    }
    return sliced;
}

ps_tensor ps_shifted_loss(ps_model *m, ps_tensor logits, const ps_batch *batch, int64_t vocabulary)
{
    ps_tensor sliced = slice_logits(m, logits, batch, vocabulary);
    const ps_tensor loss = loss_of_slice(m, sliced, batch, vocabulary);
    ps_eager_clear(m->e, &sliced);
    return loss;
}

ps_tensor ps_causal_loss(ps_model *m, ps_tensor logits, const ps_batch *batch, int64_t vocabulary)
{
    ps_eager *e = m->e;
    if (m->recipe->shifts_logits) {
        return ps_shifted_loss(m, logits, batch, vocabulary);
    }
    const int64_t rows = batch->batch * batch->length;
    ps_tensor wide = ps_op_to(e, logits, PS_DTYPE_F32);
    ps_tensor padded = ps_op_plain(e, "fill", batch->batch * (batch->length + 1), PS_DTYPE_I64);
    ps_op_in_place(e, "copy", padded);
    /* labels[..., 1:].contiguous(): one sequence lies in rows without its first label too */
    ps_tensor shifted = batch->batch == 1 ? ps_op_view(e, padded, rows, false)
                                          : ps_op_plain(e, "copy", rows, PS_DTYPE_I64);
    const ps_tensor loss = ps_op_cross_entropy(e, wide, shifted, rows, vocabulary);
    ps_eager_clear(e, &padded);
    ps_eager_clear(e, &wide);
    ps_eager_clear(e, &shifted);
    return loss;
}
