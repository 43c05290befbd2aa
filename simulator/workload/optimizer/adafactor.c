/* SPDX-License-Identifier: MIT
 *
 * Adafactor of torch.optim, one parameter after the other, as it is unless
 * lists are asked for: a matrix keeps one factor a row and one a column, a
 * vector its whole variance.
 */
#include "workload/optimizer/optimizer_parts.h"

/* Variables of the loop: each lives until the next parameter gives it a new value. */
typedef struct variables {
    ps_tensor row_mean, column_mean, update, squared;
} variables;

static void make_state(ps_optimizer *self, size_t parameter)
{
    const ps_parameter_shape *shape = ps_optimizer_shape(self, parameter);
    const ps_dtype dtype = ps_eager_dtype(self->e, ps_optimizer_parameter(self, parameter));
    if (shape->rows == 0) {
        (void)ps_optimizer_keep_like(self, parameter);
        return;
    }
    (void)ps_optimizer_keep(self, shape->rows, dtype);
    (void)ps_optimizer_keep(self, shape->columns, dtype);
}

/* norm(2).item(): the number goes to the host */
static void take_norm(ps_optimizer *self, ps_tensor of)
{
    ps_tensor norm = ps_op_reduce_all(self->e, "norm", of);
    ps_op_read_back(self->e, ps_eager_dtype(self->e, norm));
    ps_eager_clear(self->e, &norm);
}

/* squared, divided by the count, mixed into the factor */
static void mix(ps_optimizer *self, ps_tensor mean)
{
    ps_op_kernel(self->e, "mul", 2 * ps_eager_bytes(self->e, mean));
    ps_op_kernel(self->e, "div", 2 * ps_eager_bytes(self->e, mean));
    ps_op_kernel(self->e, "lerp", 3 * ps_eager_bytes(self->e, mean));
}

static ps_tensor estimate_matrix(ps_optimizer *self, size_t parameter, variables *v)
{
    ps_eager *e = self->e;
    const ps_parameter_shape *shape = ps_optimizer_shape(self, parameter);
    const ps_tensor grad = ps_eager_grad(e, ps_optimizer_parameter(self, parameter));
    const int64_t size[3] = {shape->rows, shape->columns, 1};
    ps_eager_assign(e, &v->row_mean, ps_op_reduce_last(e, "norm", grad, shape->rows));
    mix(self, v->row_mean);
    ps_eager_assign(e, &v->column_mean, ps_op_reduce_first(e, "norm", grad, shape->columns));
    mix(self, v->column_mean);
    const ps_tensor product = ps_optimizer_like(self, parameter);
    ps_op_product(e, "mm", ps_eager_dtype(e, grad), PS_OPERANDS_UNKNOWN, size, 1);
    ps_tensor mean = ps_op_reduce_all(e, "mean", v->row_mean); /* of a factor just as long */
    ps_op_kernel(e, "clamp", 2 * ps_eager_bytes(e, mean));
    ps_op_kernel(e, "div", 2 * ps_eager_bytes(e, product));
    ps_eager_clear(e, &mean);
    return product;
}

static ps_tensor estimate_vector(ps_optimizer *self, size_t parameter, variables *v)
{
    static const ps_foreach square[] = {{"mul", 2, 2, false}};
    static const ps_foreach mix_in[] = {{"lerp", 2, 3, false}};
    static const ps_foreach copy[] = {{"copy", 2, 2, false}};
    ps_eager_assign(self->e, &v->squared, ps_optimizer_like(self, parameter));
    PS_PASSES(self, parameter, square);
    PS_PASSES(self, parameter, mix_in);
    const ps_tensor estimate = ps_optimizer_like(self, parameter);
    PS_PASSES(self, parameter, copy);
    return estimate;
}

static void step(ps_optimizer *self, size_t parameter, variables *v)
{
    static const ps_foreach scale[] = {
        {"clamp", 1, 2, false}, {"rsqrt", 1, 2, false}, {"mul", 2, 3, false}};
    static const ps_foreach add[] = {{"add", 2, 3, false}};
    take_norm(self, ps_optimizer_parameter(self, parameter));
    const ps_tensor estimate = ps_optimizer_shape(self, parameter)->rows > 0
                                   ? estimate_matrix(self, parameter, v)
                                   : estimate_vector(self, parameter, v);
    ps_eager_assign(self->e, &v->update, estimate);
    PS_PASSES(self, parameter, scale);
    take_norm(self, v->update);
    PS_PASSES(self, parameter, add);
}

static void update(ps_optimizer *self)
{
    variables v = {0};
    for (size_t i = 0; i < self->active_count; i++) {
        step(self, self->active[i], &v);
    }
    ps_eager_clear(self->e, &v.row_mean);
    ps_eager_clear(self->e, &v.column_mean);
    ps_eager_clear(self->e, &v.update);
    ps_eager_clear(self->e, &v.squared);
}

const ps_optimizer_ops ps_optimizer_adafactor = {.usual = PS_OPTIMIZER_LOOP,
                                                 .styles = PS_STYLE_BIT(LOOP),
                                                 .can_leave = true,
                                                 .make_state = make_state,
                                                 .update = update};
