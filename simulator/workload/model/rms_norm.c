/* SPDX-License-Identifier: MIT
 *
 * RMS norm, operation by operation: the library has no kernel for it.
 */
#include "workload/model/model_pieces.h"

ps_rms_norm ps_rms_norm_make(ps_model *m, int64_t width)
{
    return (ps_rms_norm){.weight = ps_model_parameter(m, width), .width = width};
}

/* x * rsqrt(x.pow(2).mean(-1) + number), no step of which has a name */
static ps_tensor normed(ps_eager *e, ps_tensor wide, int64_t rows)
{
    ps_tensor square = ps_op_square(e, wide);
    ps_tensor mean = ps_op_mean(e, square, rows);
    ps_eager_clear(e, &square);
    ps_tensor sum = ps_op_add_number(e, mean);
    ps_eager_clear(e, &mean);
    ps_tensor root = ps_op_rsqrt(e, sum);
    ps_eager_clear(e, &sum);
    const ps_tensor out = ps_op_mul(e, wide, root);
    ps_eager_clear(e, &root);
    return out;
}

/* (norm(x.float()) * (1 + weight.float())).type_as(x) */
static ps_tensor run_offset(ps_model *m, const ps_rms_norm *with, ps_tensor x)
{
    ps_eager *e = m->e;
    ps_tensor wide = ps_op_to(e, x, PS_DTYPE_F32);
    ps_tensor hidden = normed(e, wide, ps_eager_elements(e, x) / with->width);
    ps_eager_clear(e, &wide);
    ps_tensor weight = ps_op_to(e, with->weight, PS_DTYPE_F32);
    ps_eager_assign(e, &weight, ps_op_add_number(e, weight));
    ps_eager_assign(e, &hidden, ps_op_mul(e, hidden, weight));
    ps_eager_clear(e, &weight);
    const ps_tensor out = ps_op_to(e, hidden, ps_eager_dtype(e, x));
    ps_eager_clear(e, &hidden);
    return out;
}

static ps_tensor run(ps_model *m, const ps_rms_norm *with, ps_tensor x)
{
    if (with->is_offset) {
        return run_offset(m, with, x);
    }
    ps_eager *e = m->e;
    const int64_t rows = ps_eager_elements(e, x) / with->width;
    ps_tensor hidden = ps_op_to(e, x, PS_DTYPE_F32);
    ps_tensor square = ps_op_square(e, hidden);
    ps_tensor variance = ps_op_mean(e, square, rows);
    ps_eager_clear(e, &square);
    ps_tensor sum = ps_op_add_number(e, variance);
    ps_tensor root = ps_op_rsqrt(e, sum);
    ps_eager_clear(e, &sum);
    ps_eager_assign(e, &hidden, ps_op_mul(e, hidden, root));
    ps_eager_clear(e, &root);
    ps_tensor narrow = ps_op_to(e, hidden, ps_eager_dtype(e, x));
    const ps_tensor out = ps_op_mul(e, with->weight, narrow);
    ps_eager_clear(e, &narrow);
    ps_eager_clear(e, &hidden);
    ps_eager_clear(e, &variance);
    return out;
}

ps_tensor ps_rms_norm_run(ps_model *m, const ps_rms_norm *with, ps_tensor x)
{
    const ps_tensor own[PS_MODULE_OWN] = {with->weight};
    ps_tensor in = ps_model_use(m, own, x);
    const ps_tensor out = run(m, with, in);
    ps_model_unuse(m, own, out);
    ps_eager_clear(m->e, &in);
    return out;
}
