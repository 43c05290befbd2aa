/* SPDX-License-Identifier: MIT
 *
 * Norms, embeddings, dropout and activations.
 */
#include "workload/model/modules.h"

#include "workload/eager/eager_parts.h"
#include "workload/model/row_parallel.h"

/* ---- norms, embeddings, dropout ---- */

ps_norm ps_norm_make(ps_model *m, int64_t width)
{
    ps_norm made = {.width = width};
    made.weight = ps_model_parameter(m, width);
    made.bias = ps_model_parameter(m, width);
    return made;
}

ps_tensor ps_norm_run(ps_model *m, const ps_norm *with, ps_tensor x)
{
    const ps_tensor own[PS_MODULE_OWN] = {with->weight, with->bias};
    ps_tensor in = ps_model_use(m, own, x);
    ps_tensor wide = ps_op_widen(m->e, in);
    const ps_tensor out =
        ps_op_layer_norm(m->e, wide, with->weight, with->bias, with->width, with->takes_views);
    ps_eager_clear(m->e, &wide);
    ps_model_unuse(m, own, out);
    ps_eager_clear(m->e, &in);
    return out;
}

ps_tensor ps_embedding_run(ps_model *m, ps_tensor weight, ps_tensor ids, int64_t width)
{
    const ps_tensor own[PS_MODULE_OWN] = {weight};
    ps_tensor in = ps_model_use(m, own, ids);
    const ps_tensor share = ps_op_embedding(m->e, weight, in, ps_row_parallel_share(m, width));
    const ps_tensor out = ps_row_parallel_gather(m, share);
    ps_model_unuse(m, own, out);
    ps_eager_clear(m->e, &in);
    return out;
}

ps_tensor ps_input_embedding_run(ps_model *m, ps_tensor weight, ps_tensor ids, int64_t width)
{
    const ps_tensor out = ps_embedding_run(m, weight, ids, width);
    if (m->recipe->begins_at_inputs) {
        ps_eager_begin_graph(m->e, out);
    }
    return out;
}

ps_tensor ps_dropout_run(ps_model *m, ps_tensor x, double probability)
{
    return probability > 0.0 && !m->recipe->is_evaluating ? ps_op_dropout(m->e, x)
                                                          : ps_eager_hold(m->e, x);
}

/* ---- activations ---- */

/* 0.5 * x * (1 + tanh(c * (x + 0.044715 * x ** 3))), evaluated from left to right */
static ps_tensor gelu_new(ps_eager *e, ps_tensor x)
{
    ps_tensor half = ps_op_mul_number(e, x), cube = ps_op_power(e, x);
    ps_tensor small = ps_op_mul_number(e, cube);
    ps_eager_clear(e, &cube);
    ps_tensor sum = ps_op_add(e, x, small);
    ps_eager_clear(e, &small);
    ps_tensor scaled = ps_op_mul_number(e, sum);
    ps_eager_clear(e, &sum);
    ps_tensor tanh = ps_op_tanh(e, scaled);
    ps_eager_clear(e, &scaled);
    ps_tensor one = ps_op_add_number(e, tanh);
    ps_eager_clear(e, &tanh);
    const ps_tensor out = ps_op_mul(e, half, one);
    ps_eager_clear(e, &half);
    ps_eager_clear(e, &one);
    return out;
}

ps_tensor ps_activation_run(ps_model *m, ps_activation kind, ps_tensor x)
{
    switch (kind) {
    case PS_ACTIVATION_GELU_NEW:
    case PS_ACTIVATION_GELU_FAST:
        return gelu_new(m->e, x);
    case PS_ACTIVATION_GELU:
    case PS_ACTIVATION_GELU_TANH:
        return ps_op_gelu(m->e, x);
    case PS_ACTIVATION_RELU:
        return ps_op_relu(m->e, x);
    case PS_ACTIVATION_SILU:
    case PS_ACTIVATION_SWISH:
        return ps_op_silu(m->e, x);
    case PS_ACTIVATION_COUNT:
        break;
    }
    ps_eager_fail(m->e, PS_INTERNAL, "no such activation");
    return 0;
}
