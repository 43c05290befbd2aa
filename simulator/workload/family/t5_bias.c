/* SPDX-License-Identifier: MIT
 *
 * T5's positions: a bias on the scores, looked up by the distance of two places,
 * which is counted in buckets.
 */
#include "workload/family/t5.h"

static void become(ps_model *m, ps_tensor *x, const char *name, ps_dtype dtype)
{
    ps_eager_assign(m->e, x, ps_op_plain(m->e, name, ps_eager_elements(m->e, *x), dtype));
}

/* Distances beyond half of the buckets, by their logarithm. */
static ps_tensor far_buckets(ps_model *m, int64_t cells)
{
    ps_tensor far = ps_op_plain(m->e, "copy", cells, PS_DTYPE_F32);
    become(m, &far, "div", PS_DTYPE_F32);
    become(m, &far, "log", PS_DTYPE_F32);
    become(m, &far, "div", PS_DTYPE_F32);
    become(m, &far, "mul", PS_DTYPE_F32);
    become(m, &far, "copy", PS_DTYPE_I64);
    become(m, &far, "add", PS_DTYPE_I64);
    ps_tensor last = ps_op_plain(m->e, "fill", cells, PS_DTYPE_I64);
    become(m, &far, "minimum", PS_DTYPE_I64);
    ps_eager_clear(m->e, &last);
    return far;
}

/* Later keys have buckets of their own: an offset. */
static ps_tensor side_buckets(ps_model *m, int64_t cells)
{
    ps_tensor side = ps_op_plain(m->e, "gt", cells, PS_DTYPE_BOOL);
    become(m, &side, "copy", PS_DTYPE_I64);
    become(m, &side, "mul", PS_DTYPE_I64);
    become(m, &side, "add", PS_DTYPE_I64);
    return side;
}

/* Distances into the past; the future counts as 0. */
static ps_tensor past(ps_model *m, int64_t cells)
{
    ps_tensor zero = ps_op_plain(m->e, "fill", cells, PS_DTYPE_I64);
    ps_tensor distance = ps_op_plain(m->e, "minimum", cells, PS_DTYPE_I64);
    ps_eager_clear(m->e, &zero);
    become(m, &distance, "neg", PS_DTYPE_I64);
    return distance;
}

/* _relative_position_bucket */
static ps_tensor bucket(ps_model *m, int64_t cells, bool is_decoder)
{
    ps_eager *e = m->e;
    ps_tensor buckets = is_decoder ? 0 : side_buckets(m, cells);
    ps_tensor distance = is_decoder ? past(m, cells) : ps_op_plain(e, "abs", cells, PS_DTYPE_I64);
    ps_tensor is_near = ps_op_plain(e, "lt", cells, PS_DTYPE_BOOL);
    ps_tensor far = far_buckets(m, cells);
    ps_tensor chosen = ps_op_plain(e, "where", cells, PS_DTYPE_I64);
    if (buckets == 0) {
        buckets = ps_op_plain(e, "add", cells, PS_DTYPE_I64);
    } else {
        ps_op_in_place(e, "add", buckets);
    }
    ps_eager_clear(e, &chosen);
    ps_eager_clear(e, &distance);
    ps_eager_clear(e, &is_near);
    ps_eager_clear(e, &far);
    return buckets;
}

/* compute_bias, and position_bias[:, :, -length:, :] of it: four slices */
static ps_tensor compute_bias(ps_model *m, const ps_t5_scoring *with, const ps_t5_pass *about)
{
    ps_eager *e = m->e;
    const int64_t cells = about->length * about->length;
    ps_tensor places = ps_op_plain(e, "arange", about->length, PS_DTYPE_I64);
    ps_tensor distance = ps_op_plain(e, "sub", cells, PS_DTYPE_I64);
    ps_tensor buckets = bucket(m, cells, about->of->is_decoder);
    const int64_t heads = ((const ps_t5 *)m->state)->shape.heads;
    /* (length, length, heads) to (heads, length, length) */
    const bool is_transposed = heads > 1 && cells > 1;
    const ps_tensor own[PS_MODULE_OWN] = {with->buckets};
    ps_tensor in = ps_model_use(m, own, buckets);
    ps_tensor bias = is_transposed ? ps_op_embedding_transposed(e, with->buckets, in, heads)
                                   : ps_op_embedding(e, with->buckets, in, heads);
    ps_model_unuse(m, own, bias);
    ps_eager_clear(e, &in);
    ps_eager_clear(e, &places);
    ps_eager_clear(e, &distance);
    ps_eager_clear(e, &buckets);
    for (int i = 0; i < 4; i++) {
        ps_eager_assign(e, &bias, ps_op_slice(e, bias, ps_eager_elements(e, bias)));
    }
    return bias;
}

/* The bias of a layer that is given none: by distance, or nothing; the mask is added to it. */
ps_tensor ps_t5_make_bias(ps_model *m, const ps_t5_scoring *with, const ps_t5_pass *about,
                          ps_dtype dtype, ps_tensor mask)
{
    const int64_t heads = ((const ps_t5 *)m->state)->shape.heads;
    const int64_t cells = heads * about->length * about->length;
    ps_tensor bias =
        with->buckets != 0 ? compute_bias(m, with, about) : ps_op_plain(m->e, "fill", cells, dtype);
    if (with->buckets == 0 && m->recipe->checkpoint_every > 0 && !m->recipe->is_evaluating) {
        ps_eager_begin_graph(m->e, bias); /* the library asks for a gradient nobody uses */
    }
    ps_eager_assign(m->e, &bias, ps_op_add_spread(m->e, bias, mask, about->batch * cells));
    return bias;
}
