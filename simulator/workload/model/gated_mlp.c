/* SPDX-License-Identifier: MIT
 *
 * The feed-forward part with a gate.
 */
#include "workload/model/model_pieces.h"

ps_gated_mlp ps_gated_mlp_make(ps_model *m, const ps_gated_mlp_shape *shape)
{
    ps_gated_mlp made = {.activation = shape->activation};
    if (shape->is_packed) {
        made.packed =
            ps_linear_make(m, "gate_up_proj", shape->hidden, 2 * shape->inner, shape->has_bias);
    } else {
        made.gate = ps_linear_make(m, "gate_proj", shape->hidden, shape->inner, shape->has_bias);
        made.up = ps_linear_make(m, "up_proj", shape->hidden, shape->inner, shape->has_bias);
    }
    made.down = ps_linear_make(m, "down_proj", shape->inner, shape->hidden, shape->has_bias);
    return made;
}

static ps_tensor run_packed(ps_model *m, const ps_gated_mlp *with, ps_tensor x)
{
    ps_eager *e = m->e;
    enum { GATE, UP, PARTS };
    ps_tensor part[PARTS];
    ps_tensor both = ps_linear_run(m, &with->packed, x);
    ps_op_split(e, both, part, PARTS);
    ps_eager_clear(e, &both);
    ps_tensor active = ps_activation_run(m, with->activation, part[GATE]);
    ps_eager_assign(e, &part[UP], ps_op_mul(e, part[UP], active));
    ps_eager_clear(e, &active);
    const ps_tensor out = ps_linear_run(m, &with->down, part[UP]);
    ps_eager_clear(e, &part[GATE]);
    ps_eager_clear(e, &part[UP]);
    return out;
}

ps_tensor ps_gated_mlp_run(ps_model *m, const ps_gated_mlp *with, ps_tensor x)
{
    if (with->packed.weight != 0) {
        return run_packed(m, with, x);
    }
    ps_eager *e = m->e;
    ps_tensor gate = ps_linear_run(m, &with->gate, x);
    ps_eager_assign(e, &gate, ps_activation_run(m, with->activation, gate));
    ps_tensor up = ps_linear_run(m, &with->up, x);
    ps_tensor product = ps_op_mul(e, gate, up);
    ps_eager_clear(e, &gate);
    ps_eager_clear(e, &up);
    const ps_tensor out = ps_linear_run(m, &with->down, product);
    ps_eager_clear(e, &product);
    return out;
}
