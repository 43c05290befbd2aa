/* SPDX-License-Identifier: MIT
 *
 * Adam on gradients of a low rank.
 */
#include "workload/optimizer/low_rank.h"

ps_low_rank ps_low_rank_of(const ps_optimizer *self, size_t parameter, int64_t usual)
{
    const ps_parameter_shape *shape = ps_optimizer_shape(self, parameter);
    const int64_t asked = self->m->recipe->optimizer_rank;
    ps_low_rank of = {.rank = asked > 0 ? asked : usual, .is_tall = shape->rows >= shape->columns};
    if (!shape->is_linear) {
        return (ps_low_rank){.rank = 0};
    }
    of.longer = of.is_tall ? shape->rows : shape->columns;
    of.shorter = of.is_tall ? shape->columns : shape->rows;
    of.rank = of.rank < of.shorter ? of.rank : of.shorter;
    return of;
}

bool ps_low_rank_is_due(const ps_optimizer *self, size_t parameter)
{
    return self->kept[parameter] == 0 || self->steps % PS_LOW_RANK_UPDATE_STEPS == 0;
}

int64_t ps_low_rank_elements(const ps_low_rank *of)
{
    return of->longer * of->rank;
}

ps_tensor ps_low_rank_make(ps_optimizer *self, size_t parameter, int64_t elements, const char *name,
                           uint64_t passes)
{
    const ps_dtype dtype = ps_eager_dtype(self->e, ps_optimizer_parameter(self, parameter));
    const ps_tensor made = ps_eager_make(self->e, elements, dtype, PS_ROLE_TEMPORARY);
    if (passes > 0) {
        ps_op_kernel(self->e, name, passes * (uint64_t)elements * ps_dtype_bytes(dtype));
    }
    return made;
}

void ps_low_rank_project(ps_optimizer *self, size_t parameter, const ps_low_rank *of,
                         ps_low_rank_variables *v)
{
    const int64_t size[3] = {of->is_tall ? of->longer : of->rank,
                             of->is_tall ? of->rank : of->longer, of->shorter};
    v->grad = ps_low_rank_make(self, parameter, ps_low_rank_elements(of), "mm", 0);
    ps_op_product(self->e, "mm", ps_eager_dtype(self->e, v->grad), PS_OPERANDS_UNKNOWN, size, 1);
}

void ps_low_rank_adam(ps_optimizer *self, size_t parameter, int64_t elements,
                      ps_low_rank_variables *v)
{
    static const struct {
        const char *name;
        uint64_t passes;
    } moments[] = {{"mul", 2}, {"add", 3}, {"mul", 2}, {"addcmul", 3}};
    ps_eager *e = self->e;
    const ps_dtype dtype = ps_eager_dtype(e, ps_optimizer_parameter(self, parameter));
    const uint64_t bytes = (uint64_t)elements * ps_dtype_bytes(dtype);
    if (ps_optimizer_begins(self, parameter)) {
        (void)ps_optimizer_keep(self, elements, dtype);
        (void)ps_optimizer_keep(self, elements, dtype);
    }
    for (size_t i = 0; i < sizeof moments / sizeof moments[0]; i++) {
        ps_op_kernel(e, moments[i].name, moments[i].passes * bytes);
    }
    ps_eager_assign(e, &v->denominator, ps_low_rank_make(self, parameter, elements, "sqrt", 2));
    ps_op_kernel(e, "add", 2 * bytes);
    ps_eager_assign(e, &v->update, ps_low_rank_make(self, parameter, elements, "div", 3));
}

void ps_low_rank_apply(ps_optimizer *self, size_t parameter)
{
    static const ps_foreach add[] = {{"add", 2, 3, false}};
    PS_PASSES(self, parameter, add);
}

void ps_low_rank_end(ps_optimizer *self, ps_low_rank_variables *v)
{
    ps_eager_clear(self->e, &v->grad);
    ps_eager_clear(self->e, &v->denominator);
    ps_eager_clear(self->e, &v->update);
}
