/* SPDX-License-Identifier: MIT
 *
 * Products of heads, and the copies around them.
 */
#include "workload/model/scores.h"

#include "workload/eager/ops_matrix.h"

static void view(ps_model *m, ps_tensor *x, bool is_strided)
{
    ps_eager_assign(m->e, x, ps_op_view(m->e, *x, ps_eager_elements(m->e, *x), is_strided));
}

ps_tensor ps_scores_project_key(ps_model *m, const ps_linear *with, ps_tensor x,
                                const ps_attention_shape *shape)
{
    /* seen through the heads the transposed gradient is one matrix a sequence */
    ps_tensor out = ps_linear_run(m, with, x);
    view(m, &out, shape->batch > 1 && shape->queries > 1);
    return out;
}

ps_tensor ps_kernel_project_key(ps_model *m, const ps_linear *with, ps_tensor x,
                                const ps_attention_call *call)
{
    return ps_attention_pick(m, ps_attention_dtype(m, x), call) == PS_ATTENTION_MATH
               ? ps_scores_project_key(m, with, x, &call->shape)
               : ps_linear_run(m, with, x);
}

void ps_heads_split_view(ps_model *m, ps_tensor *x, const ps_attention_shape *shape, bool is_key)
{
    view(m, x, !is_key && ps_heads_lie_apart(shape));
}

ps_tensor ps_scores_make(ps_model *m, ps_tensor query, ps_tensor key,
                         const ps_attention_shape *shape)
{
    const ps_bmm_shape product = {shape->batch * shape->heads, shape->queries, shape->keys,
                                  shape->head_width};
    return ps_op_matmul(m->e, query, key, &product,
                        ps_heads_are_copied(shape) ? PS_MATMUL_COPIES_BOTH : PS_MATMUL_COPIES_NONE);
}

ps_tensor ps_scores_apply(ps_model *m, ps_tensor weights, ps_tensor value,
                          const ps_attention_shape *shape)
{
    const ps_bmm_shape product = {shape->batch * shape->heads, shape->queries, shape->head_width,
                                  shape->keys};
    const bool is_copied = ps_heads_are_copied(shape);
    ps_tensor out = ps_op_matmul(m->e, weights, value, &product,
                                 is_copied ? PS_MATMUL_COPIES_SECOND : PS_MATMUL_COPIES_NONE);
    view(m, &out, is_copied);
    return out;
}

void ps_heads_merge(ps_model *m, ps_tensor *x, const ps_attention_shape *shape)
{
    if (ps_heads_lie_apart(shape)) {
        ps_eager_assign(m->e, x, ps_op_copy(m->e, *x));
    }
}
