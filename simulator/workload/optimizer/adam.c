/* SPDX-License-Identifier: MIT
 *
 * Adam and AdamW of torch.optim: two moments a parameter. Over lists, the
 * square roots of all second moments live at once; one parameter after the
 * other, those of one; fused, none.
 */
#include "workload/optimizer/optimizer_parts.h"

/* exp_avg and exp_avg_sq; the step counter lives on the host unless the kernel reads it */
static void make_state(ps_optimizer *self, size_t parameter)
{
    if (self->style == PS_OPTIMIZER_FUSED) {
        (void)ps_optimizer_keep(self, 1, PS_DTYPE_F32);
    }
    (void)ps_optimizer_keep_like(self, parameter);
    (void)ps_optimizer_keep_like(self, parameter);
}

static const ps_foreach decay = {"foreach_mul", 1, 2, false};
static const ps_foreach moments[] = {
    {"foreach_lerp", 2, 3, false},
    {"foreach_mul", 1, 2, false},
    {"foreach_addcmul", 3, 3, false}, /* the gradient is given twice, and read once */
};
static const ps_foreach root[] = {{"foreach_sqrt", 2, 2, false}};
static const ps_foreach apply[] = {
    {"foreach_div", 1, 2, true},
    {"foreach_add", 1, 2, false},
    {"foreach_addcdiv", 3, 4, true},
};

static void update_lists(ps_optimizer *self)
{
    PS_CALLS(self, moments);
    ps_optimizer_list(self, 0);
    PS_CALLS(self, root);
    PS_CALLS(self, apply);
    ps_optimizer_drop_list(self, 0);
}

static void update_fused(ps_optimizer *self)
{
    static const ps_foreach fused[] = {{"fused_adam", 4, 7, false}};
    ps_optimizer_count_steps(self);
    PS_CALLS(self, fused);
}

/* denom is a variable: that of one parameter dies when the next one's is there */
static void update_loop(ps_optimizer *self, bool decays)
{
    static const ps_foreach shrink[] = {{"mul", 1, 2, false}};
    static const ps_foreach before[] = {
        {"lerp", 2, 3, false}, {"mul", 1, 2, false}, {"addcmul", 3, 3, false}};
    static const ps_foreach take_root[] = {{"sqrt", 2, 2, false}};
    static const ps_foreach divide[] = {{"div", 2, 2, false}};
    static const ps_foreach after[] = {{"add", 1, 2, false}, {"addcdiv", 3, 4, false}};
    ps_tensor denom = 0;
    for (size_t i = 0; i < self->active_count; i++) {
        const size_t parameter = self->active[i];
        if (decays) {
            PS_PASSES(self, parameter, shrink);
        }
        PS_PASSES(self, parameter, before);
        ps_tensor square_root = ps_optimizer_like(self, parameter);
        PS_PASSES(self, parameter, take_root);
        const ps_tensor quotient = ps_optimizer_like(self, parameter);
        PS_PASSES(self, parameter, divide);
        ps_eager_clear(self->e, &square_root);
        ps_eager_assign(self->e, &denom, quotient);
        PS_PASSES(self, parameter, after);
    }
    ps_eager_clear(self->e, &denom);
}

static void update(ps_optimizer *self, bool decays)
{
    switch (self->style) {
    case PS_OPTIMIZER_FUSED:
        update_fused(self);
        return;
    case PS_OPTIMIZER_LOOP:
        update_loop(self, decays);
        return;
    case PS_OPTIMIZER_AUTO:
    case PS_OPTIMIZER_FOREACH:
        if (decays) {
            ps_optimizer_calls(self, &decay, 1);
        }
        update_lists(self);
        return;
    }
}

static void update_adam(ps_optimizer *self)
{
    update(self, false);
}

static void update_adamw(ps_optimizer *self)
{
    update(self, true);
}

#define STYLES (PS_STYLE_BIT(FOREACH) | PS_STYLE_BIT(FUSED) | PS_STYLE_BIT(LOOP))

/* no weight decay, as torch.optim.Adam's default */
const ps_optimizer_ops ps_optimizer_adam = {.usual = PS_OPTIMIZER_FOREACH,
                                            .styles = STYLES,
                                            .can_leave = true,
                                            .make_state = make_state,
                                            .update = update_adam};

const ps_optimizer_ops ps_optimizer_adamw = {.usual = PS_OPTIMIZER_FOREACH,
                                             .styles = STYLES,
                                             .can_leave = true,
                                             .make_state = make_state,
                                             .update = update_adamw};
