/* SPDX-License-Identifier: MIT
 *
 * MeZO: no gradient, no state. The random direction z is drawn again from its
 * seed each time, parameter by parameter, so that no more than one of it
 * lives; a moved parameter is a new tensor that takes the old one's place.
 */
#include "workload/optimizer/optimizer_parts.h"

/* An operation's result like the parameter. */
static ps_tensor made(ps_optimizer *self, size_t parameter, const char *name, uint32_t passes)
{
    const ps_foreach call = {name, 1, passes, false};
    const ps_tensor result = ps_optimizer_like(self, parameter);
    ps_optimizer_passes(self, parameter, &call, 1);
    return result;
}

/* x = f(x) of a temporary: the new one comes before the old one goes. */
static void follow(ps_optimizer *self, ps_tensor *temporary, size_t parameter, const char *name)
{
    ps_eager_assign(self->e, temporary, made(self, parameter, name, 2));
}

/* param.data = param.data + temporary */
static void move(ps_optimizer *self, size_t parameter, const char *name, ps_tensor *temporary)
{
    const ps_tensor moved = made(self, parameter, name, 3);
    ps_eager_clear(self->e, temporary);
    ps_eager_set_data(self->e, ps_optimizer_parameter(self, parameter), moved);
}

/* z is a variable of the loop: it dies when the next parameter's is there. */
static void draw(ps_optimizer *self, size_t parameter, ps_tensor *z)
{
    ps_eager_assign(self->e, z, made(self, parameter, "normal", 1));
}

static void perturb(ps_optimizer *self)
{
    ps_tensor z = 0;
    for (size_t i = 0; i < self->active_count; i++) {
        const size_t parameter = self->active[i];
        draw(self, parameter, &z);
        ps_tensor step = made(self, parameter, "mul", 2);
        follow(self, &step, parameter, "mul");
        move(self, parameter, "add", &step);
    }
    ps_eager_clear(self->e, &z);
}

/* Matrices decay; biases and norms do not. */
static void update(ps_optimizer *self)
{
    ps_tensor z = 0;
    for (size_t i = 0; i < self->active_count; i++) {
        const size_t parameter = self->active[i];
        draw(self, parameter, &z);
        ps_tensor step = made(self, parameter, "mul", 2);
        if (ps_optimizer_shape(self, parameter)->rows > 0) {
            ps_tensor decay = made(self, parameter, "mul", 2);
            const ps_tensor sum = made(self, parameter, "add", 3);
            ps_eager_clear(self->e, &decay);
            ps_eager_assign(self->e, &step, sum);
        }
        follow(self, &step, parameter, "mul");
        move(self, parameter, "sub", &step);
    }
    ps_eager_clear(self->e, &z);
}

const ps_optimizer_ops ps_optimizer_mezo = {.way = PS_OPTIMIZER_ZEROTH_ORDER,
                                            .usual = PS_OPTIMIZER_LOOP,
                                            .styles = PS_STYLE_BIT(LOOP),
                                            .update = update,
                                            .perturb = perturb};
