/* SPDX-License-Identifier: MIT
 *
 * 4-D attention masks: many small tensors that die at once, and one that stays.
 */
#include "workload/model/mask_4d.h"

#include "workload/model/masks.h"

/* _make_causal_mask: (length, length), made in 32 bits */
static ps_tensor triangle(ps_eager *e, int64_t length, ps_dtype dtype)
{
    const int64_t cells = length * length;
    ps_tensor mask = ps_op_plain(e, "fill", cells, PS_DTYPE_F32);
    ps_tensor place = ps_op_plain(e, "arange", length, PS_DTYPE_I64);
    ps_tensor next = ps_op_plain(e, "add", length, PS_DTYPE_I64);
    ps_tensor is_seen = ps_op_plain(e, "lt", cells, PS_DTYPE_BOOL);
    ps_eager_clear(e, &next);
    ps_op_in_place(e, "masked_fill", mask);
    ps_eager_clear(e, &is_seen);
    ps_eager_assign(e, &mask, ps_op_to(e, mask, dtype));
    ps_eager_clear(e, &place);
    return mask;
}

/* a.masked_fill(b.bool(), least) */
static ps_tensor fill_where(ps_eager *e, int64_t cells, ps_dtype dtype)
{
    ps_tensor is_hidden = ps_op_plain(e, "copy", cells, PS_DTYPE_BOOL);
    const ps_tensor out = ps_op_masked_fill(e, cells, dtype);
    ps_eager_clear(e, &is_hidden);
    return out;
}

/* _expand_mask: (batch, 1, length, length), the least number where a key is hidden */
static ps_tensor expand(ps_eager *e, const ps_batch *batch, ps_dtype dtype)
{
    const int64_t cells = batch->batch * batch->length * batch->length;
    /* a mask in the right type is spread without a copy */
    ps_tensor expanded = ps_eager_dtype(e, batch->mask) == dtype
                             ? ps_eager_hold(e, batch->mask)
                             : ps_op_plain(e, "copy", cells, dtype);
    ps_tensor inverted = ps_op_plain(e, "rsub", cells, dtype);
    const ps_tensor out = fill_where(e, cells, dtype);
    ps_eager_clear(e, &expanded);
    ps_eager_clear(e, &inverted);
    return out;
}

static bool is_left_out(ps_model *m, const ps_batch *batch)
{
    if (batch->mask == 0) {
        return true;
    }
    ps_mask_look_for_padding(m, batch->mask);
    return !m->recipe->pads;
}

/* AttentionMaskConverter.to_4d */
static ps_tensor to_4d(ps_eager *e, const ps_batch *batch, ps_dtype dtype)
{
    ps_tensor causal = batch->length > 1 ? triangle(e, batch->length, dtype) : 0;
    ps_tensor mask = expand(e, batch, dtype);
    if (ps_eager_code(e, NULL) != PS_OK) {
        return 0;
    }
    if (causal != 0) {
        ps_eager_assign(e, &mask, fill_where(e, ps_eager_elements(e, mask), dtype));
        ps_eager_clear(e, &causal);
    }
    return mask;
}

ps_tensor ps_mask_4d_causal(ps_model *m, const ps_batch *batch, ps_dtype dtype)
{
    if (is_left_out(m, batch)) {
        return 0;
    }
    ps_tensor mask = to_4d(m->e, batch, dtype);
    if (mask != 0) {
        ps_eager_assign(m->e, &mask, ps_mask_show_hidden_rows(m, mask, batch->length));
    }
    return mask;
}

ps_tensor ps_mask_4d_scores(ps_model *m, const ps_batch *batch, ps_dtype dtype)
{
    return to_4d(m->e, batch, dtype);
}

ps_tensor ps_mask_4d_full(ps_model *m, const ps_batch *batch, ps_dtype dtype)
{
    return is_left_out(m, batch) ? 0 : expand(m->e, batch, dtype);
}

ps_tensor ps_mask_added(ps_model *m, const ps_batch *batch, ps_dtype dtype)
{
    const int64_t cells = batch->batch * batch->length;
    if (batch->mask == 0) {
        return 0;
    }
    ps_tensor given = ps_op_to(m->e, batch->mask, dtype);
    ps_tensor inverted = ps_op_plain(m->e, "rsub", cells, dtype);
    const ps_tensor out = ps_op_plain(m->e, "mul", cells, dtype);
    ps_eager_clear(m->e, &inverted);
    ps_eager_clear(m->e, &given);
    return out;
}
