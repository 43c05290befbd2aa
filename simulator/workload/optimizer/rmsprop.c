/* SPDX-License-Identifier: MIT
 *
 * RMSprop of torch.optim, neither centered nor with momentum: one average of
 * squares a parameter.
 */
#include "workload/optimizer/optimizer_parts.h"

static void make_state(ps_optimizer *self, size_t parameter)
{
    (void)ps_optimizer_keep_like(self, parameter);
}

static void update_lists(ps_optimizer *self)
{
    static const ps_foreach squares[] = {{"foreach_mul", 1, 2, false},
                                         {"foreach_addcmul", 3, 3, false}};
    static const ps_foreach apply[] = {{"foreach_sqrt", 2, 2, false},
                                       {"foreach_add", 1, 2, false},
                                       {"foreach_addcdiv", 3, 4, false}};
    PS_CALLS(self, squares);
    ps_optimizer_list(self, 0);
    PS_CALLS(self, apply);
    ps_optimizer_drop_list(self, 0);
}

static void update_loop(ps_optimizer *self)
{
    static const ps_foreach squares[] = {{"mul", 1, 2, false}, {"addcmul", 3, 3, false}};
    static const ps_foreach apply[] = {
        {"sqrt", 2, 2, false}, {"add", 1, 2, false}, {"addcdiv", 3, 4, false}};
    ps_tensor average = 0;
    for (size_t i = 0; i < self->active_count; i++) {
        PS_PASSES(self, self->active[i], squares);
        ps_eager_assign(self->e, &average, ps_optimizer_like(self, self->active[i]));
        PS_PASSES(self, self->active[i], apply);
    }
    ps_eager_clear(self->e, &average);
}

static void update(ps_optimizer *self)
{
    if (self->style == PS_OPTIMIZER_LOOP) {
        update_loop(self);
    } else {
        update_lists(self);
    }
}

const ps_optimizer_ops ps_optimizer_rmsprop = {.usual = PS_OPTIMIZER_FOREACH,
                                               .styles = PS_STYLE_BIT(FOREACH) | PS_STYLE_BIT(LOOP),
                                               .can_leave = true,
                                               .make_state = make_state,
                                               .update = update};
