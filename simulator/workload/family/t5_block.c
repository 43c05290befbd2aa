/* SPDX-License-Identifier: MIT
 *
 * T5Block: attention over its own stack, across to the encoder, and feed forward,
 * each behind a norm and added to what came in.
 */
#include "workload/family/t5.h"

/* ---- norm: x / sqrt(mean of squares), in 32 bits, times a weight ---- */

static ps_tensor run_norm(ps_model *m, ps_tensor weight, ps_tensor x)
{
    ps_eager *e = m->e;
    const int64_t rows = ps_eager_elements(e, x) / ps_eager_elements(e, weight);
    ps_tensor wide = ps_op_to(e, x, PS_DTYPE_F32);
    ps_tensor square = ps_op_square(e, wide);
    ps_eager_clear(e, &wide);
    ps_tensor variance = ps_op_mean(e, square, rows);
    ps_eager_clear(e, &square);
    ps_tensor shifted = ps_op_add_number(e, variance);
    ps_tensor scale = ps_op_rsqrt(e, shifted);
    ps_eager_clear(e, &shifted);
    ps_tensor hidden = ps_op_mul(e, x, scale);
    ps_eager_clear(e, &scale);
    if (ps_eager_dtype(e, weight) != PS_DTYPE_F32) {
        ps_eager_assign(e, &hidden, ps_op_to(e, hidden, ps_eager_dtype(e, weight)));
    }
    const ps_tensor out = ps_op_mul(e, weight, hidden);
    ps_eager_clear(e, &hidden);
    ps_eager_clear(e, &variance);
    return out;
}

ps_tensor ps_t5_norm(ps_model *m, ps_tensor weight, ps_tensor x)
{
    const ps_tensor own[PS_MODULE_OWN] = {weight};
    ps_tensor in = ps_model_use(m, own, x);
    const ps_tensor out = run_norm(m, weight, in);
    ps_model_unuse(m, own, out);
    ps_eager_clear(m->e, &in);
    return out;
}

/* ---- attention ---- */

/* x + dropout(of), where `of` is given up */
static ps_tensor add_dropped(ps_model *m, ps_tensor x, ps_tensor of)
{
    ps_tensor dropped = ps_dropout_run(m, of, ((const ps_t5 *)m->state)->shape.dropout);
    const ps_tensor out = ps_op_add(m->e, x, dropped);
    ps_eager_clear(m->e, &dropped);
    ps_eager_drop(m->e, of);
    return out;
}

static ps_tensor run_own(ps_model *m, const ps_t5_layer *with, ps_tensor x, const ps_t5_pass *about,
                         ps_tensor *bias, ps_tensor *cache)
{
    ps_tensor normed = ps_t5_norm(m, with->before_own, x);
    const ps_t5_view at = {normed, PS_T5_OWN, bias, cache};
    const ps_tensor out = ps_t5_attend(m, &with->own, normed, about, &at);
    const ps_tensor sum = add_dropped(m, x, out);
    ps_eager_clear(m->e, &normed);
    return sum;
}

static ps_tensor run_cross(ps_model *m, const ps_t5_layer *with, ps_tensor x,
                           const ps_t5_pass *about, ps_tensor *bias, ps_tensor *cache)
{
    ps_tensor last = ps_op_plain(m->e, "add", 1, PS_DTYPE_I64); /* cache_position[-1] + 1 */
    ps_tensor normed = ps_t5_norm(m, with->before_cross, x);
    const ps_t5_view at = {about->encoded, PS_T5_CROSS, bias, cache};
    const ps_tensor out = ps_t5_attend(m, &with->cross, normed, about, &at);
    const ps_tensor sum = add_dropped(m, x, out);
    ps_eager_clear(m->e, &normed);
    ps_eager_clear(m->e, &last);
    return sum;
}

/* ---- feed forward ---- */

static ps_tensor activate(ps_model *m, const ps_linear *with, ps_tensor x)
{
    ps_tensor wide = ps_linear_run(m, with, x);
    const ps_tensor out = ps_activation_run(m, ((const ps_t5 *)m->state)->shape.activation, wide);
    ps_eager_clear(m->e, &wide);
    return out;
}

/* T5DenseActDense, T5DenseGatedActDense */
static ps_tensor feed(ps_model *m, const ps_t5_layer *with, ps_tensor x)
{
    ps_eager *e = m->e;
    const ps_t5_shape *n = &((const ps_t5 *)m->state)->shape;
    ps_tensor gate = n->is_gated ? activate(m, &with->gate, x) : 0;
    ps_tensor linear = n->is_gated ? ps_linear_run(m, &with->widen, x) : 0;
    ps_tensor hidden = n->is_gated ? ps_op_mul(e, gate, linear) : activate(m, &with->widen, x);
    ps_eager_assign(e, &hidden, ps_dropout_run(m, hidden, n->dropout));
    ps_eager_assign(e, &hidden, ps_op_to(e, hidden, ps_eager_dtype(e, with->narrow.weight)));
    ps_eager_assign(e, &hidden, ps_linear_run(m, &with->narrow, hidden));
    ps_eager_clear(e, &gate);
    ps_eager_clear(e, &linear);
    return hidden;
}

static ps_tensor run_feed(ps_model *m, const ps_t5_layer *with, ps_tensor x)
{
    ps_tensor forwarded = ps_t5_norm(m, with->before_feed, x);
    ps_eager_assign(m->e, &forwarded, feed(m, with, forwarded));
    return add_dropped(m, x, forwarded);
}

/* ---- block ---- */

/* What a block returns besides its result; a recomputation's goes nowhere. */
static void give_bias(ps_model *m, ps_tensor *bias)
{
    ps_t5 *self = m->state;
    for (int i = 0; i < 2; i++) {
        if (ps_eager_phase_now(m->e) == PS_EAGER_BACKWARD) {
            ps_eager_clear(m->e, &bias[i]);
        } else {
            ps_eager_assign(m->e, &self->bias[i], bias[i]);
        }
    }
}

/* T5Block.forward */
ps_tensor ps_t5_run_block(ps_model *m, const void *given, int64_t block, ps_tensor input)
{
    const ps_t5_pass *about = given;
    const int64_t index = block - about->of->first_block;
    const ps_t5_layer *with = &about->of->layer[index];
    ps_tensor *cache = about->cache == NULL ? NULL : &about->cache[PS_T5_CACHED_A_LAYER * index];
    ps_tensor bias[] = {ps_eager_hold(m->e, about->bias[PS_T5_OWN]),
                        ps_eager_hold(m->e, about->bias[PS_T5_CROSS])};
    /* the block keeps the outputs of its parts until it returns */
    ps_tensor own = run_own(m, with, input, about, &bias[PS_T5_OWN], cache);
    ps_tensor cross = about->of->is_decoder ? run_cross(m, with, own, about, &bias[PS_T5_CROSS],
                                                        cache == NULL ? NULL : cache + 2)
                                            : ps_eager_hold(m->e, own);
    const ps_tensor out = run_feed(m, with, cross);
    ps_eager_clear(m->e, &own);
    ps_eager_clear(m->e, &cross);
    give_bias(m, bias);
    return out;
}
