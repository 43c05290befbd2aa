/* SPDX-License-Identifier: MIT
 *
 * SGD of torch.optim, plain and with momentum: in place.
 */
#include "workload/optimizer/optimizer_parts.h"

static const ps_foreach add[] = {{"foreach_add", 2, 3, false}};
static const ps_foreach add_one[] = {{"add", 2, 3, false}};

static void descend(ps_optimizer *self, size_t parameter)
{
    PS_PASSES(self, parameter, add_one);
}

static void update(ps_optimizer *self)
{
    static const ps_foreach fused[] = {{"fused_sgd", 2, 3, false}};
    if (self->style == PS_OPTIMIZER_FUSED) {
        PS_CALLS(self, fused);
    } else if (self->style == PS_OPTIMIZER_LOOP) {
        ps_optimizer_each(self, descend);
    } else {
        PS_CALLS(self, add);
    }
}

/* ---- momentum ---- */

/* The first buffer is a copy of the gradient. */
static void copy_grad(ps_optimizer *self, size_t parameter)
{
    static const ps_foreach copy[] = {{"copy", 2, 2, false}};
    const ps_tensor like = ps_optimizer_parameter(self, parameter);
    self->kept[parameter] = ps_eager_make(self->e, ps_eager_elements(self->e, like),
                                          ps_eager_dtype(self->e, like), PS_ROLE_OPTIMIZER_STATE);
    ps_optimizer_note_state(self, self->kept[parameter]);
    PS_PASSES(self, parameter, copy);
}

static void roll(ps_optimizer *self, size_t parameter)
{
    static const ps_foreach decay_one[] = {{"mul", 1, 2, false}};
    if (ps_optimizer_begins(self, parameter)) {
        copy_grad(self, parameter);
    } else {
        PS_PASSES(self, parameter, decay_one);
        PS_PASSES(self, parameter, add_one);
    }
}

static bool all_have_state(const ps_optimizer *self)
{
    bool have = true;
    for (size_t i = 0; i < self->active_count; i++) {
        have = have && self->has_state[self->active[i]];
    }
    return have;
}

static void roll_and_descend(ps_optimizer *self, size_t parameter)
{
    roll(self, parameter);
    descend(self, parameter);
}

static void update_fused(ps_optimizer *self)
{
    static const ps_foreach fused[] = {{"fused_sgd", 3, 5, false}};
    for (size_t i = 0; i < self->active_count; i++) {
        if (ps_optimizer_begins(self, self->active[i])) {
            (void)ps_optimizer_keep_like(self, self->active[i]);
        }
    }
    PS_CALLS(self, fused);
}

static void update_momentum(ps_optimizer *self)
{
    static const ps_foreach decay[] = {{"foreach_mul", 1, 2, false}};
    if (self->style == PS_OPTIMIZER_FUSED) {
        update_fused(self);
    } else if (self->style == PS_OPTIMIZER_LOOP) {
        ps_optimizer_each(self, roll_and_descend);
    } else if (all_have_state(self)) {
        PS_CALLS(self, decay);
        PS_CALLS(self, add);
        PS_CALLS(self, add);
    } else {
        ps_optimizer_each(self, roll);
        PS_CALLS(self, add);
    }
}

#define STYLES (PS_STYLE_BIT(FOREACH) | PS_STYLE_BIT(FUSED) | PS_STYLE_BIT(LOOP))

const ps_optimizer_ops ps_optimizer_sgd = {
    .usual = PS_OPTIMIZER_FOREACH, .styles = STYLES, .can_leave = true, .update = update};

const ps_optimizer_ops ps_optimizer_momentum = {
    .usual = PS_OPTIMIZER_FOREACH, .styles = STYLES, .can_leave = true, .update = update_momentum};
