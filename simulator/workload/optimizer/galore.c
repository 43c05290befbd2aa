/* SPDX-License-Identifier: MIT
 *
 * AdamW of galore_torch: directions are singular vectors of the gradient,
 * chosen at the first step and each 200th after it.
 *
 * The decomposition's results are here, its library's workspace is not:
 * cuSOLVER says its size only on a device.
 */
#include "workload/optimizer/low_rank.h"

#define USUAL_RANK 256

static ps_tensor wide(ps_optimizer *self, int64_t elements, bool is_kept)
{
    return ps_eager_make(self->e, elements, PS_DTYPE_F32,
                         is_kept ? PS_ROLE_OPTIMIZER_STATE : PS_ROLE_TEMPORARY);
}

/* A slice of the singular vectors: in 32 bits a view, which keeps all of them; else a copy. */
static ps_tensor directions(ps_optimizer *self, size_t parameter, const ps_low_rank *of,
                            ps_tensor vectors)
{
    const ps_dtype dtype = ps_eager_dtype(self->e, ps_optimizer_parameter(self, parameter));
    const int64_t elements = of->rank * of->shorter;
    if (dtype == PS_DTYPE_F32) {
        return ps_op_view_of(self->e, vectors, elements);
    }
    return ps_optimizer_keep(self, elements, dtype);
}

/* linalg.svd(gradient in 32 bits, full_matrices=False) */
static void decompose(ps_optimizer *self, size_t parameter, const ps_low_rank *of)
{
    ps_eager *e = self->e;
    const int64_t all = of->longer * of->shorter, square = of->shorter * of->shorter;
    const bool is_narrow =
        ps_eager_dtype(e, ps_optimizer_parameter(self, parameter)) != PS_DTYPE_F32;
    ps_tensor matrix = is_narrow ? wide(self, all, false) : 0;
    ps_tensor left = wide(self, of->is_tall ? all : square, !is_narrow && !of->is_tall);
    ps_tensor values = wide(self, of->shorter, false);
    ps_tensor right = wide(self, of->is_tall ? square : all, !is_narrow && of->is_tall);
    ps_tensor copy = wide(self, all, false);
    ps_op_kernel(e, "svd", 4 * (uint64_t)all * ps_dtype_bytes(PS_DTYPE_F32));
    ps_eager_clear(e, &copy);
    ps_tensor chosen = directions(self, parameter, of, of->is_tall ? right : left);
    ps_eager_assign(e, &self->kept[parameter], chosen);
    ps_eager_clear(e, &left);
    ps_eager_clear(e, &values);
    ps_eager_clear(e, &right);
    ps_eager_clear(e, &matrix);
}

/* A product with the directions, times a factor. */
static void project_back(ps_optimizer *self, size_t parameter, const ps_low_rank *of,
                         ps_low_rank_variables *v)
{
    ps_eager *e = self->e;
    const int64_t all = of->longer * of->shorter;
    const int64_t size[3] = {of->is_tall ? of->longer : of->shorter,
                             of->is_tall ? of->shorter : of->longer, of->rank};
    ps_tensor full = ps_low_rank_make(self, parameter, all, "mm", 0);
    ps_op_product(e, "mm", ps_eager_dtype(e, full), PS_OPERANDS_UNKNOWN, size, 1);
    const ps_tensor scaled = ps_low_rank_make(self, parameter, all, "mul", 2);
    ps_eager_clear(e, &full);
    ps_eager_assign(e, &v->update, scaled);
}

static void update(ps_optimizer *self)
{
    ps_low_rank_variables v = {0};
    for (size_t i = 0; i < self->active_count; i++) {
        const size_t parameter = self->active[i];
        const ps_low_rank of = ps_low_rank_of(self, parameter, USUAL_RANK);
        ps_eager_clear(self->e, &v.grad);
        if (of.rank == 0) {
            ps_low_rank_adam(self, parameter, (int64_t)self->numel[i], &v);
        } else {
            if (ps_low_rank_is_due(self, parameter)) {
                decompose(self, parameter, &of);
            }
            ps_low_rank_project(self, parameter, &of, &v);
            ps_low_rank_adam(self, parameter, ps_low_rank_elements(&of), &v);
            project_back(self, parameter, &of, &v);
        }
        ps_low_rank_apply(self, parameter);
    }
    ps_low_rank_end(self, &v);
}

const ps_optimizer_ops ps_optimizer_galore = {
    .has_rank = true, .usual = PS_OPTIMIZER_LOOP, .styles = PS_STYLE_BIT(LOOP), .update = update};
