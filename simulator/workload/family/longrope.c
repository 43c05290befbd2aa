/* SPDX-License-Identifier: MIT
 *
 * Which frequencies a pass uses, as transformers 4.51 decides and computes them.
 */
#include "workload/family/longrope.h"

static ps_tensor floats(ps_eager *e, const char *name, int64_t elements)
{
    return ps_op_plain(e, name, elements, PS_DTYPE_F32);
}

/* _compute_longrope_parameters: 1 / (factors * base ** (arange(0, width, 2).float() / width)) */
static ps_tensor compute(ps_eager *e, int64_t half)
{
    ps_tensor factors = floats(e, "copy", half);
    ps_tensor range = ps_op_plain(e, "arange", half, PS_DTYPE_I64);
    ps_tensor exponent = floats(e, "copy", half);
    ps_eager_clear(e, &range);
    ps_eager_assign(e, &exponent, floats(e, "div", half));
    ps_tensor power = floats(e, "pow", half);
    ps_tensor base =
        ps_op_plain(e, "fill", 1, PS_DTYPE_I64); /* a number of 64 bits on the device */
    ps_eager_clear(e, &base);
    ps_tensor product = floats(e, "mul", half);
    ps_eager_clear(e, &power);
    ps_tensor inverse = floats(e, "reciprocal", half);
    const ps_tensor out = floats(e, "mul", half); /* 1.0 / x is x.reciprocal() * 1.0 */
    ps_eager_clear(e, &inverse);
    ps_eager_clear(e, &product);
    ps_eager_clear(e, &factors);
    ps_eager_clear(e, &exponent);
    return out;
}

void ps_longrope_update(ps_model *m, ps_longrope *self, int64_t length)
{
    ps_eager *e = m->e;
    const bool is_long = length > self->positions;
    ps_tensor *wanted = is_long ? &self->longer : &self->shorter;
    ps_tensor last = ps_op_plain(e, "max", 1, PS_DTYPE_I64);
    ps_tensor count = ps_op_plain(e, "add", 1, PS_DTYPE_I64);
    ps_eager_clear(e, &last);
    ps_tensor is_more = ps_op_plain(e, "gt", 1, PS_DTYPE_BOOL);
    ps_eager_clear(e, &is_more);
    if (*wanted == 0) { /* the model moved its buffer alone: what it was made of is on the host */
        *wanted = is_long ? compute(e, self->width / 2)
                          : ps_model_buffer(m, self->width / 2, PS_DTYPE_F32);
    }
    ps_eager_assign(e, &self->used, ps_eager_hold(e, *wanted));
    ps_eager_clear(e, &count);
}
