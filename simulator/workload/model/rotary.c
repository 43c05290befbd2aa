/* SPDX-License-Identifier: MIT
 *
 * Rotary positions, as Llama and what is built like it write them.
 */
#include "workload/eager/ops_matrix.h"
#include "workload/model/model_pieces.h"

ps_tensor ps_rotary_make(ps_model *m, int64_t width)
{
    return ps_model_buffer(m, width / 2, PS_DTYPE_F32);
}

/* cos(x) * scale, where the scale of most models is 1 and is multiplied all the same */
static ps_tensor scaled(ps_eager *e, const char *name, int64_t elements)
{
    ps_tensor raw = ps_op_plain(e, name, elements, PS_DTYPE_F32);
    const ps_tensor out = ps_op_plain(e, "mul", elements, PS_DTYPE_F32);
    ps_eager_clear(e, &raw);
    return out;
}

ps_rotary ps_rotary_begin(ps_model *m, int64_t length, int64_t width, ps_dtype dtype)
{
    ps_eager *e = m->e;
    ps_tensor positions = ps_op_plain(e, "copy", length, PS_DTYPE_F32);
    ps_tensor angles = ps_op_plain_product(e, length * (width / 2), PS_DTYPE_F32);
    ps_tensor both = ps_op_plain(e, "cat", length * width, PS_DTYPE_F32);
    ps_tensor cos = scaled(e, "cos", length * width);
    ps_tensor sin = scaled(e, "sin", length * width);
    ps_rotary made;
    made.cos = ps_op_to(e, cos, dtype);
    made.sin = ps_op_to(e, sin, dtype);
    ps_eager_clear(e, &positions);
    ps_eager_clear(e, &angles);
    ps_eager_clear(e, &both);
    ps_eager_clear(e, &cos);
    ps_eager_clear(e, &sin);
    return made;
}

void ps_rotary_end(ps_model *m, ps_rotary *rotary)
{
    ps_eager_clear(m->e, &rotary->cos);
    ps_eager_clear(m->e, &rotary->sin);
}

/* cat(-second half, first half) */
static ps_tensor rotate_half(ps_eager *e, ps_tensor x)
{
    const int64_t half = ps_eager_elements(e, x) / 2;
    ps_tensor first = ps_op_slice(e, x, half), second = ps_op_slice(e, x, half);
    ps_tensor negative = ps_op_neg(e, second);
    const ps_tensor out = ps_op_cat(e, negative, first);
    ps_eager_clear(e, &negative);
    ps_eager_clear(e, &first);
    ps_eager_clear(e, &second);
    return out;
}

ps_tensor ps_rotary_turn(ps_model *m, const ps_rotary *rotary, ps_tensor x)
{
    ps_eager *e = m->e;
    ps_tensor straight = ps_op_mul(e, x, rotary->cos);
    ps_tensor half = rotate_half(e, x);
    ps_tensor turned = ps_op_mul(e, half, rotary->sin);
    ps_eager_clear(e, &half);
    const ps_tensor out = ps_op_add(e, straight, turned);
    ps_eager_clear(e, &straight);
    ps_eager_clear(e, &turned);
    return out;
}

ps_rotary_parts ps_rotary_part(ps_model *m, ps_tensor x, int64_t width, int64_t turned)
{
    const int64_t all = ps_eager_elements(m->e, x), turning = all / width * turned;
    ps_rotary_parts of;
    /* a slice up to the very end is none; one of nothing is one, whose backward fills a gradient */
    of.turning = turned == width ? ps_op_alias(m->e, x) : ps_op_slice(m->e, x, turning);
    of.passing = ps_op_slice(m->e, x, all - turning);
    return of;
}

void ps_rotary_drop_parts(ps_model *m, ps_rotary_parts *of)
{
    ps_eager_clear(m->e, &of->turning);
    ps_eager_clear(m->e, &of->passing);
}
