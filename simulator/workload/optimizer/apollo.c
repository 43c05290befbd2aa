/* SPDX-License-Identifier: MIT
 *
 * AdamW of apollo_torch: directions are random, drawn from a seed at the
 * first step and each 200th after it; the low-rank update says only how to
 * scale the gradient, each channel by itself (APOLLO) or all as one
 * (APOLLO-Mini, of rank 1).
 */
#include "workload/eager/ops.h"
#include "workload/optimizer/low_rank.h"

#define USUAL_RANK 256
#define MINI_RANK 1

/* randn(rank, shorter) / sqrt(rank) */
static void draw(ps_optimizer *self, size_t parameter, const ps_low_rank *of)
{
    const int64_t elements = of->rank * of->shorter;
    ps_tensor drawn = ps_low_rank_make(self, parameter, elements, "normal", 1);
    const ps_dtype dtype = ps_eager_dtype(self->e, drawn);
    const ps_tensor scaled = ps_eager_make(self->e, elements, dtype, PS_ROLE_OPTIMIZER_STATE);
    ps_op_kernel(self->e, "div", 2 * (uint64_t)elements * ps_dtype_bytes(dtype));
    ps_eager_clear(self->e, &drawn);
    ps_eager_assign(self->e, &self->kept[parameter], scaled);
}

/* norm(update) / (norm(projected gradient) + a little), of `count` channels */
static ps_tensor scales(ps_optimizer *self, size_t parameter, int64_t count,
                        const ps_low_rank_variables *v)
{
    ps_eager *e = self->e;
    ps_tensor of_update = ps_op_reduce_last(e, "norm", v->update, count);
    ps_tensor of_grad = ps_op_reduce_last(e, "norm", v->grad, count);
    ps_eager_assign(e, &of_grad, ps_low_rank_make(self, parameter, count, "add", 2));
    const ps_tensor quotient = ps_low_rank_make(self, parameter, count, "div", 3);
    ps_eager_clear(e, &of_grad);
    ps_eager_clear(e, &of_update);
    return quotient;
}

/* The norm may grow by one percent from step to step: norms live on the device, one a parameter. */
static void limit(ps_optimizer *self, size_t parameter, bool is_first, ps_tensor *scaled)
{
    ps_eager *e = self->e;
    if (is_first) {
        (void)ps_optimizer_keep(self, 1, ps_eager_dtype(e, *scaled));
    }
    ps_tensor norm = ps_op_reduce_all(e, "norm", *scaled);
    ps_eager_clear(e, &norm);
    if (!is_first) {
        const int64_t elements = ps_eager_elements(e, *scaled);
        ps_eager_assign(e, scaled, ps_low_rank_make(self, parameter, elements, "div", 2));
    }
}

static void scale_gradient(ps_optimizer *self, size_t parameter, int64_t channels, bool is_first,
                           ps_low_rank_variables *v)
{
    static const ps_foreach factor[] = {{"mul", 1, 2, false}};
    ps_tensor scale = scales(self, parameter, channels, v);
    ps_tensor scaled = ps_optimizer_like(self, parameter);
    ps_op_kernel(self->e, "mul", 2 * ps_eager_bytes(self->e, scaled));
    ps_eager_clear(self->e, &scale);
    limit(self, parameter, is_first, &scaled);
    ps_eager_assign(self->e, &v->update, scaled);
    PS_PASSES(self, parameter, factor);
}

static void update(ps_optimizer *self, int64_t usual_rank, bool has_channels)
{
    ps_low_rank_variables v = {0};
    for (size_t i = 0; i < self->active_count; i++) {
        const size_t parameter = self->active[i];
        const ps_low_rank of = ps_low_rank_of(self, parameter, usual_rank);
        const bool is_first = !self->has_state[parameter];
        ps_eager_clear(self->e, &v.grad);
        if (of.rank == 0) {
            ps_low_rank_adam(self, parameter, (int64_t)self->numel[i], &v);
        } else {
            if (ps_low_rank_is_due(self, parameter)) {
                draw(self, parameter, &of);
            }
            ps_low_rank_project(self, parameter, &of, &v);
            ps_low_rank_adam(self, parameter, ps_low_rank_elements(&of), &v);
            scale_gradient(self, parameter, has_channels ? of.longer : 1, is_first, &v);
        }
        ps_low_rank_apply(self, parameter);
    }
    ps_low_rank_end(self, &v);
}

static void update_apollo(ps_optimizer *self)
{
    update(self, USUAL_RANK, true);
}

static void update_mini(ps_optimizer *self)
{
    update(self, MINI_RANK, false);
}

const ps_optimizer_ops ps_optimizer_apollo = {.has_rank = true,
                                              .usual = PS_OPTIMIZER_LOOP,
                                              .styles = PS_STYLE_BIT(LOOP),
                                              .update = update_apollo};

const ps_optimizer_ops ps_optimizer_apollo_mini = {.has_rank = true,
                                                   .usual = PS_OPTIMIZER_LOOP,
                                                   .styles = PS_STYLE_BIT(LOOP),
                                                   .update = update_mini};
