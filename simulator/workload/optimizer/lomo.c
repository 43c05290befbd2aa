/* SPDX-License-Identifier: MIT
 *
 * LOMO: plain descent within backward. When a parameter's gradient is about
 * to be stored, the one stored before it is applied and dropped, so that two
 * live at most; the last one is applied after backward. With clipping, a
 * first backward takes every gradient's norm and drops it.
 */
#include "workload/eager/ops.h"
#include "workload/optimizer/optimizer_parts.h"

/* Variables of the hook: each lives until the next parameter gives it a new value. */
typedef struct variables {
    ps_tensor grad, wide;
} variables;

/* x.to(float32) of 16-bit elements; 0 when x is wide and stands for itself. */
static ps_tensor widened(ps_optimizer *self, ps_tensor x)
{
    if (ps_eager_dtype(self->e, x) == PS_DTYPE_F32) {
        return 0;
    }
    const ps_tensor wide =
        ps_eager_make(self->e, ps_eager_elements(self->e, x), PS_DTYPE_F32, PS_ROLE_TEMPORARY);
    ps_op_kernel(self->e, "copy", ps_eager_bytes(self->e, x) + ps_eager_bytes(self->e, wide));
    return wide;
}

static void pass(ps_optimizer *self, const char *name, uint64_t passes, ps_tensor over)
{
    ps_op_kernel(self->e, name, passes * ps_eager_bytes(self->e, over));
}

/* The gradient leaves the parameter: it stays for as long as the hook runs. */
static void take_grad(ps_optimizer *self, ps_tensor parameter, variables *v)
{
    const ps_tensor grad = ps_eager_hold(self->e, ps_eager_grad(self->e, parameter));
    const ps_tensor wide = widened(self, grad);
    ps_eager_assign(self->e, &v->grad, wide != 0 ? wide : ps_eager_hold(self->e, grad));
    ps_eager_forget_grad(self->e, parameter);
    ps_eager_drop(self->e, grad);
}

static void apply(ps_optimizer *self, ps_tensor parameter, variables *v)
{
    if (self->factor != 0) {
        pass(self, "mul", 2, v->grad);
    }
    ps_eager_assign(self->e, &v->wide, widened(self, parameter));
    pass(self, "add", 3, v->grad);
    if (v->wide != 0) {
        ps_op_kernel(self->e, "copy",
                     ps_eager_bytes(self->e, parameter) + ps_eager_bytes(self->e, v->wide));
    }
}

static void update(ps_optimizer *self)
{
    variables v = {0};
    for (size_t i = 0; i < self->active_count; i++) {
        const ps_tensor parameter = ps_optimizer_parameter(self, self->active[i]);
        take_grad(self, parameter, &v);
        if (self->gathers_norms) {
            self->norm[self->norm_count++] = ps_op_reduce_all(self->e, "norm", v.grad);
        } else {
            apply(self, parameter, &v);
        }
    }
    ps_eager_clear(self->e, &v.grad);
    ps_eager_clear(self->e, &v.wide);
}

/* Numbers on the device: the norms in a row, their norm, limit / (norm + a little), at most 1. */
static void finish(ps_optimizer *self)
{
    ps_eager *e = self->e;
    if (!self->gathers_norms) {
        return;
    }
    const ps_tensor stacked = ps_op_plain(e, "stack", (int64_t)self->norm_count, PS_DTYPE_F32);
    while (self->norm_count > 0) {
        ps_eager_clear(e, &self->norm[--self->norm_count]);
    }
    ps_tensor total = ps_op_reduce_all(e, "norm", stacked);
    ps_tensor sum = ps_op_plain(e, "add", 1, PS_DTYPE_F32);
    ps_tensor inverse = ps_op_plain(e, "reciprocal", 1, PS_DTYPE_F32);
    const ps_tensor factor = ps_op_plain(e, "mul", 1, PS_DTYPE_F32);
    ps_eager_clear(e, &inverse);
    ps_eager_clear(e, &sum);
    ps_eager_assign(e, &self->factor, factor);
    ps_eager_assign(e, &self->factor, ps_op_plain(e, "clamp", 1, PS_DTYPE_F32));
    ps_eager_clear(e, &total);
    self->kept[0] = stacked; /* until the next pass begins a new list */
}

/* A new list of norms takes the place of the last pass's row of them. */
static void begin(ps_optimizer *self)
{
    if (self->gathers_norms) {
        ps_eager_clear(self->e, &self->kept[0]);
    }
}

const ps_optimizer_ops ps_optimizer_lomo = {.way = PS_OPTIMIZER_IN_BACKWARD,
                                            .usual = PS_OPTIMIZER_LOOP,
                                            .styles = PS_STYLE_BIT(LOOP),
                                            .begin = begin,
                                            .update = update,
                                            .finish = finish};
