/* SPDX-License-Identifier: MIT
 *
 * Adagrad of torch.optim: one sum of squares a parameter, made with the
 * optimizer. Over lists, roots and numerators of all parameters live at once.
 */
#include "workload/optimizer/optimizer_parts.h"

static void make_state(ps_optimizer *self, size_t parameter)
{
    (void)ps_optimizer_keep_like(self, parameter);
}

static void update_lists(ps_optimizer *self)
{
    static const ps_foreach squares[] = {{"foreach_addcmul", 3, 3, false}};
    static const ps_foreach roots[] = {{"foreach_sqrt", 2, 2, false}, {"foreach_add", 1, 2, false}};
    static const ps_foreach apply[] = {{"foreach_mul", 2, 2, true},
                                       {"foreach_addcdiv", 3, 4, false}};
    PS_CALLS(self, squares);
    ps_optimizer_list(self, 0);
    PS_CALLS(self, roots);
    ps_optimizer_list(self, 1);
    PS_CALLS(self, apply);
    ps_optimizer_drop_list(self, 0);
    ps_optimizer_drop_list(self, 1);
}

static void update_loop(ps_optimizer *self)
{
    static const ps_foreach squares[] = {{"addcmul", 3, 3, false}};
    static const ps_foreach apply[] = {
        {"sqrt", 2, 2, false}, {"add", 1, 2, false}, {"addcdiv", 3, 4, false}};
    ps_tensor root = 0;
    for (size_t i = 0; i < self->active_count; i++) {
        PS_PASSES(self, self->active[i], squares);
        ps_eager_assign(self->e, &root, ps_optimizer_like(self, self->active[i]));
        PS_PASSES(self, self->active[i], apply);
    }
    ps_eager_clear(self->e, &root);
}

static void update(ps_optimizer *self)
{
    if (self->style == PS_OPTIMIZER_LOOP) {
        update_loop(self);
    } else {
        update_lists(self);
    }
}

const ps_optimizer_ops ps_optimizer_adagrad = {.usual = PS_OPTIMIZER_FOREACH,
                                               .styles = PS_STYLE_BIT(FOREACH) | PS_STYLE_BIT(LOOP),
                                               .begins_at_once = true,
                                               .make_state = make_state,
                                               .update = update};
