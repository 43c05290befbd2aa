/* SPDX-License-Identifier: MIT
 *
 * Adafactor of transformers, with a learning rate of its own
 * (relative_step=False) and no first moment: a parameter's state is in 32
 * bits; 16-bit gradients and parameters are widened for its update.
 */
#include "workload/optimizer/optimizer_parts.h"

/* Variables of the loop: each lives until the next parameter gives it a new value. */
typedef struct variables {
    ps_tensor grad, update, wide; /* grad and wide: of 16-bit parameters */
} variables;

/* A tensor in 32 bits, of as many elements as the parameter. */
static ps_tensor wide_like(ps_optimizer *self, size_t parameter)
{
    const int64_t elements = ps_eager_elements(self->e, ps_optimizer_parameter(self, parameter));
    return ps_eager_make(self->e, elements, PS_DTYPE_F32, PS_ROLE_TEMPORARY);
}

static void pass(ps_optimizer *self, const char *name, uint64_t passes, ps_tensor over)
{
    ps_op_kernel(self->e, name, passes * ps_eager_bytes(self->e, over));
}

/* made on the host and copied */
static void begin(ps_optimizer *self, size_t parameter)
{
    const ps_parameter_shape *shape = ps_optimizer_shape(self, parameter);
    if (shape->rows == 0) {
        (void)ps_optimizer_keep(self, shape->columns, PS_DTYPE_F32);
        return;
    }
    (void)ps_optimizer_keep(self, shape->rows, PS_DTYPE_F32);
    (void)ps_optimizer_keep(self, shape->columns, PS_DTYPE_F32);
}

static ps_tensor widened(ps_optimizer *self, ps_tensor narrow)
{
    const ps_tensor wide =
        ps_eager_make(self->e, ps_eager_elements(self->e, narrow), PS_DTYPE_F32, PS_ROLE_TEMPORARY);
    ps_op_kernel(self->e, "copy", ps_eager_bytes(self->e, narrow) + ps_eager_bytes(self->e, wide));
    return wide;
}

/* norm / sqrt(count) */
static ps_tensor root_mean_square(ps_optimizer *self, ps_tensor of)
{
    ps_tensor norm = ps_op_reduce_all(self->e, "norm", of);
    const ps_tensor quotient = ps_op_result(self->e, 1, PS_DTYPE_F32);
    pass(self, "div", 2, quotient);
    ps_eager_clear(self->e, &norm);
    return quotient;
}

/* The learning rate: is the parameter larger than a least size? */
static void compare(ps_optimizer *self)
{
    ps_tensor is_larger = ps_op_result(self->e, 1, PS_DTYPE_BOOL);
    ps_op_kernel(self->e, "gt", ps_dtype_bytes(PS_DTYPE_F32));
    ps_op_read_back(self->e, PS_DTYPE_BOOL); /* max() of a number and a tensor asks which */
    ps_eager_clear(self->e, &is_larger);
}

/* A mean of the squares goes into the factor. */
static void mix(ps_optimizer *self, ps_tensor mean)
{
    pass(self, "mul", 2, mean);
    pass(self, "add", 3, mean);
    ps_eager_drop(self->e, mean);
}

/* _approx_sq_grad */
static ps_tensor product(ps_optimizer *self, size_t parameter)
{
    ps_eager *e = self->e;
    const ps_parameter_shape *shape = ps_optimizer_shape(self, parameter);
    ps_tensor mean = ps_op_result(e, 1, PS_DTYPE_F32);
    ps_op_kernel(e, "mean", (uint64_t)shape->rows * ps_dtype_bytes(PS_DTYPE_F32));
    ps_tensor rows = ps_op_result(e, shape->rows, PS_DTYPE_F32);
    pass(self, "div", 2, rows);
    ps_eager_clear(e, &mean);
    pass(self, "rsqrt", 2, rows);
    ps_tensor columns = ps_op_result(e, shape->columns, PS_DTYPE_F32);
    pass(self, "rsqrt", 2, columns);
    const ps_tensor all = wide_like(self, parameter);
    pass(self, "mul", 1, all);
    ps_eager_clear(e, &rows);
    ps_eager_clear(e, &columns);
    return all;
}

static void scale_update(ps_optimizer *self, variables *v)
{
    ps_eager *e = self->e;
    pass(self, "mul", 3, v->update);
    ps_tensor size = root_mean_square(self, v->update);
    const ps_tensor clipped = ps_op_result(e, 1, PS_DTYPE_F32);
    pass(self, "div", 2, clipped);
    ps_eager_assign(e, &size, clipped);
    pass(self, "clamp", 2, size);
    pass(self, "div", 2, v->update);
    ps_eager_clear(e, &size);
    pass(self, "mul", 2, v->update);
}

/* The update from the gradient's squares. */
static void estimate(ps_optimizer *self, size_t parameter, variables *v)
{
    ps_eager *e = self->e;
    const ps_parameter_shape *shape = ps_optimizer_shape(self, parameter);
    ps_tensor power = wide_like(self, parameter);
    pass(self, "pow", 2, power);
    const ps_tensor squares = wide_like(self, parameter);
    pass(self, "add", 2, squares);
    ps_eager_clear(e, &power);
    ps_eager_assign(e, &v->update, squares);
    if (shape->rows == 0) {
        mix(self, ps_eager_hold(e, squares));
        ps_eager_assign(e, &v->update, wide_like(self, parameter));
        pass(self, "rsqrt", 2, v->update);
        return;
    }
    mix(self, ps_op_reduce_last(e, "mean", squares, shape->rows));
    mix(self, ps_op_reduce_first(e, "mean", squares, shape->columns));
    ps_eager_assign(e, &v->update, product(self, parameter));
}

static void apply(ps_optimizer *self, size_t parameter, const variables *v)
{
    ps_tensor negative = wide_like(self, parameter);
    pass(self, "neg", 2, negative);
    pass(self, "add", 3, negative);
    ps_eager_clear(self->e, &negative);
    if (v->wide != 0) {
        const ps_tensor narrow = ps_optimizer_parameter(self, parameter);
        ps_op_kernel(self->e, "copy",
                     ps_eager_bytes(self->e, narrow) + ps_eager_bytes(self->e, v->wide));
    }
}

static void step(ps_optimizer *self, size_t parameter, variables *v)
{
    ps_eager *e = self->e;
    const ps_tensor weight = ps_optimizer_parameter(self, parameter);
    const bool is_narrow = ps_eager_dtype(e, weight) != PS_DTYPE_F32;
    ps_eager_clear(e, &v->grad);
    v->grad = is_narrow ? widened(self, ps_eager_grad(e, weight)) : 0;
    if (ps_optimizer_begins(self, parameter)) {
        begin(self, parameter);
    }
    ps_eager_clear(e, &v->wide);
    v->wide = is_narrow ? widened(self, weight) : 0;
    ps_eager_assign(e, &self->kept[parameter],
                    root_mean_square(self, is_narrow ? v->wide : weight));
    compare(self);
    estimate(self, parameter, v);
    scale_update(self, v);
    apply(self, parameter, v);
}

static void update(ps_optimizer *self)
{
    variables v = {0};
    for (size_t i = 0; i < self->active_count; i++) {
        step(self, self->active[i], &v);
    }
    ps_eager_clear(self->e, &v.grad);
    ps_eager_clear(self->e, &v.update);
    ps_eager_clear(self->e, &v.wide);
}

const ps_optimizer_ops ps_optimizer_hf_adafactor = {
    .usual = PS_OPTIMIZER_LOOP, .styles = PS_STYLE_BIT(LOOP), .can_leave = true, .update = update};
