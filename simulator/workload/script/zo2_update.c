/* SPDX-License-Identifier: MIT
 *
 * What ZO2 does to parameters: they are moved in place, parameter by
 * parameter. The random direction z is a variable of the loop and dies when
 * the next parameter's is there.
 */
#include "workload/eager/eager_parts.h"
#include "workload/script/zo2.h"

/* A temporary like the parameter, from a kernel that reads or writes `passes` times its bytes. */
static ps_tensor made(ps_model *m, ps_tensor like, const char *name, uint32_t passes)
{
    const ps_tensor result = ps_eager_make(m->e, ps_eager_elements(m->e, like),
                                           ps_eager_dtype(m->e, like), PS_ROLE_TEMPORARY);
    ps_op_kernel(m->e, name, passes * ps_eager_bytes(m->e, like));
    return result;
}

static void in_place(ps_model *m, ps_tensor parameter, const char *name)
{
    ps_op_kernel(m->e, name, 3 * ps_eager_bytes(m->e, parameter));
    ps_eager_touch(m->e, parameter, true);
}

/* p.add_(scale * z * epsilon): both products are there at once */
void ps_zo2_perturb(ps_model *m, const size_t *parameter, size_t count)
{
    ps_tensor z = 0;
    ps_eager_set_phase(m->e, PS_EAGER_OPTIMIZER);
    for (size_t i = 0; i < count; i++) {
        const ps_tensor p = m->parameter[parameter[i]];
        ps_eager_assign(m->e, &z, made(m, p, "normal", 1));
        ps_tensor scaled = made(m, p, "mul", 2);
        ps_eager_assign(m->e, &scaled, made(m, p, "mul", 2));
        in_place(m, p, "add");
        ps_eager_clear(m->e, &scaled);
    }
    ps_eager_clear(m->e, &z);
    ps_eager_set_phase(m->e, PS_EAGER_FORWARD);
}

/* p.sub_(rate * (slope * z + decay * p)), without the decay for vectors */
static void update_one(ps_model *m, size_t parameter)
{
    const ps_tensor p = m->parameter[parameter];
    ps_tensor step = made(m, p, "mul", 2);
    if (m->shape[parameter].rows > 0) {
        ps_tensor decay = made(m, p, "mul", 2);
        ps_tensor sum = made(m, p, "add", 3);
        ps_eager_clear(m->e, &decay);
        ps_eager_assign(m->e, &step, sum);
    }
    ps_eager_assign(m->e, &step, made(m, p, "mul", 2));
    in_place(m, p, "sub");
    ps_eager_clear(m->e, &step);
}

void ps_zo2_update(ps_model *m, const size_t *parameter, size_t count)
{
    ps_tensor z = 0;
    ps_eager_set_phase(m->e, PS_EAGER_OPTIMIZER);
    for (size_t i = 0; i < count; i++) {
        const ps_tensor p = m->parameter[parameter[i]];
        ps_eager_assign(m->e, &z, made(m, p, "normal", 1));
        update_one(m, parameter[i]);
    }
    ps_eager_clear(m->e, &z);
    ps_eager_set_phase(m->e, PS_EAGER_FORWARD);
}
