/* SPDX-License-Identifier: MIT
 *
 * Scaled losses.
 */
#include "workload/script/grad_scaler.h"

#include "workload/eager/eager_parts.h"

/* Numbers of 64 bits; the eager model knows none with a point, and only their size matters. */
#define DOUBLE PS_DTYPE_I64

static ps_tensor number(ps_eager *e, const char *name, ps_dtype dtype)
{
    const ps_tensor out = ps_eager_make(e, 1, dtype, PS_ROLE_TEMPORARY);
    ps_op_kernel(e, name, 2 * ps_dtype_bytes(dtype));
    return out;
}

ps_tensor ps_grad_scaler_scale(ps_grad_scaler *self, ps_eager *e, ps_tensor loss)
{
    if (self->scale == 0) {
        self->scale = ps_eager_make(e, 1, PS_DTYPE_F32, PS_ROLE_OPTIMIZER_STATE);
        self->growth = ps_eager_make(e, 1, PS_DTYPE_F32, PS_ROLE_OPTIMIZER_STATE);
        ps_op_kernel(e, "fill", ps_dtype_bytes(PS_DTYPE_F32));
        ps_op_kernel(e, "fill", ps_dtype_bytes(PS_DTYPE_F32));
    }
    return ps_op_mul(e, loss, self->scale);
}

/* 1 / scale, by way of 64 bits */
static ps_tensor inverse_scale(ps_eager *e)
{
    ps_tensor wide = number(e, "copy", DOUBLE);
    ps_eager_assign(e, &wide, number(e, "reciprocal", DOUBLE));
    const ps_tensor out = number(e, "copy", PS_DTYPE_F32);
    ps_eager_clear(e, &wide);
    return out;
}

/* Every gradient is looked at, and multiplied by a number that is given away. */
static void look_for_inf(ps_grad_scaler *self, const ps_model *m, ps_tensor inverse)
{
    ps_eager *e = m->e;
    uint64_t bytes = 0;
    ps_tensor found = number(e, "fill", PS_DTYPE_F32);
    /* copies for each device, this one too */
    self->found_inf = number(e, "copy", PS_DTYPE_F32);
    ps_tensor here = number(e, "copy", PS_DTYPE_F32);
    for (size_t i = 0; i < m->parameter_count; i++) {
        const ps_tensor grad = ps_eager_grad(e, m->parameter[i]);
        bytes += grad == 0 ? 0 : 2 * ps_eager_bytes(e, grad);
    }
    ps_op_kernel(e, "_amp_foreach_non_finite_check_and_unscale_", bytes);
    ps_op_read_back(e, PS_DTYPE_F32); /* was any infinite? */
    ps_eager_clear(e, &here);
    ps_eager_clear(e, &inverse);
    ps_eager_clear(e, &found);
}

void ps_grad_scaler_unscale(ps_grad_scaler *self, const ps_model *m)
{
    look_for_inf(self, m, inverse_scale(m->e));
}

void ps_grad_scaler_lend(ps_grad_scaler *self, const ps_model *m)
{
    const bool is_unscaled = self->found_inf != 0;
    if (!is_unscaled) {
        look_for_inf(self, m, number(m->e, "fill", PS_DTYPE_F32)); /* multiplied by 1 */
    }
    self->lent[0] = number(m->e, "add", PS_DTYPE_F32);
    self->lent[1] = is_unscaled ? 0 : number(m->e, "mul", PS_DTYPE_F32);
}

void ps_grad_scaler_take_back(ps_grad_scaler *self, ps_eager *e)
{
    ps_eager_clear(e, &self->lent[1]);
    ps_eager_clear(e, &self->lent[0]);
}

void ps_grad_scaler_update(ps_grad_scaler *self, ps_eager *e)
{
    ps_op_kernel(e, "_amp_update_scale_", 4 * ps_dtype_bytes(PS_DTYPE_F32));
    ps_eager_clear(e, &self->found_inf);
}

void ps_grad_scaler_end(ps_grad_scaler *self, ps_eager *e)
{
    ps_eager_clear(e, &self->found_inf);
    ps_eager_clear(e, &self->scale);
    ps_eager_clear(e, &self->growth);
}
