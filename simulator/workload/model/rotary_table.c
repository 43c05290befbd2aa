/* SPDX-License-Identifier: MIT
 *
 * Rotary positions out of a table, as models written before transformers 4.38
 * keep one in each attention.
 */
#include "workload/model/model_pieces.h"

ps_rotary_table ps_rotary_table_make(ps_model *m, int64_t positions, int64_t width)
{
    const int64_t elements = positions * width;
    ps_rotary_table made = {.width = width};
    made.kept.cos = ps_model_buffer(m, elements, m->recipe->parameters);
    made.kept.sin = ps_model_buffer(m, elements, m->recipe->parameters);
    return made;
}

/* A buffer takes the place of the one before it once it is there. */
static void renew(ps_eager *e, const char *name, int64_t elements, ps_dtype dtype, ps_tensor *kept)
{
    ps_tensor wide = ps_op_plain(e, name, elements, PS_DTYPE_F32);
    ps_eager_assign(e, kept, ps_op_to(e, wide, dtype));
    ps_eager_clear(e, &wide);
}

/* Cosines and sines of cat(outer(positions, frequencies), the same) */
static void compute(ps_model *m, ps_rotary_table *self, int64_t length, ps_dtype dtype)
{
    ps_eager *e = m->e;
    ps_tensor positions = ps_op_plain(e, "arange", length, PS_DTYPE_F32);
    ps_tensor angles = ps_op_plain(e, "mul", length * (self->width / 2), PS_DTYPE_F32);
    ps_tensor both = ps_op_plain(e, "cat", length * self->width, PS_DTYPE_F32);
    renew(e, "cos", length * self->width, dtype, &self->kept.cos);
    renew(e, "sin", length * self->width, dtype, &self->kept.sin);
    ps_eager_clear(e, &positions);
    ps_eager_clear(e, &angles);
    ps_eager_clear(e, &both);
    self->length = length;
}

ps_rotary ps_rotary_table_take(ps_model *m, ps_rotary_table *self, int64_t length, ps_dtype dtype)
{
    ps_eager *e = m->e;
    if (length > self->length) {
        compute(m, self, length, dtype);
    }
    ps_tensor cos = ps_op_to(e, self->kept.cos, dtype);
    ps_tensor sin = ps_op_to(e, self->kept.sin, dtype);
    ps_rotary taken;
    taken.cos = ps_op_plain(e, "index", length * self->width, dtype);
    taken.sin = ps_op_plain(e, "index", length * self->width, dtype);
    ps_eager_clear(e, &cos);
    ps_eager_clear(e, &sin);
    return taken;
}
