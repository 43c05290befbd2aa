/* SPDX-License-Identifier: MIT
 *
 * The feed-forward part of the GPTs, without a gate.
 */
#include "workload/model/model_pieces.h"

ps_tensor ps_plain_mlp_run(ps_model *m, const ps_plain_mlp *with, ps_tensor x)
{
    ps_tensor hidden = ps_linear_run(m, with->widen, x);
    ps_eager_assign(m->e, &hidden, ps_activation_run(m, with->activation, hidden));
    ps_eager_assign(m->e, &hidden, ps_linear_run(m, with->narrow, hidden));
    ps_eager_assign(m->e, &hidden, ps_dropout_run(m, hidden, with->dropout));
    return hidden;
}
