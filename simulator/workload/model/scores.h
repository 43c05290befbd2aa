/* SPDX-License-Identifier: MIT
 *
 * Attention that a library writes out: products of heads.
 *
 * Queries, keys and values are (batch, heads, length, width) views of rows of
 * tokens: transposed. A product takes (batch * heads, length, width), which
 * such a view can be without a copy only where a dimension is 1; gradients
 * come back by heads and are copied into rows under the same condition.
 */
#ifndef PS_WORKLOAD_SCORES_H
#define PS_WORKLOAD_SCORES_H

#include "workload/model/attention.h"
#include "workload/model/modules.h"

/** Heads seen through tokens lie apart: (batch, heads, length, width) is not in rows. */
static inline bool ps_heads_lie_apart(const ps_attention_shape *shape)
{
    return shape->heads > 1 && shape->queries > 1;
}

/** ... and cannot be numbered through the sequences of a batch either. */
static inline bool ps_heads_are_copied(const ps_attention_shape *shape)
{
    return shape->batch > 1 && ps_heads_lie_apart(shape);
}

/** A projection, to be split into heads as a key: its gradient comes transposed from scores. */
ps_tensor ps_scores_project_key(ps_model *m, const ps_linear *with, ps_tensor x,
                                const ps_attention_shape *shape);

/**
 * A projection to keys for the kernel that a call gets: PyTorch's own writing out hands the
 * gradient of keys back as a library's scores do.
 */
ps_tensor ps_kernel_project_key(ps_model *m, const ps_linear *with, ps_tensor x,
                                const ps_attention_call *call);

/** x.view(batch, length, heads, width).transpose(1, 2); `is_key`: its gradient needs no copy. */
void ps_heads_split_view(ps_model *m, ps_tensor *x, const ps_attention_shape *shape, bool is_key);

/** matmul(query, key.transpose(-1, -2)), under autocast too. */
ps_tensor ps_scores_make(ps_model *m, ps_tensor query, ps_tensor key,
                         const ps_attention_shape *shape);

/** matmul(weights, value): (batch, heads, length, width), in rows. */
ps_tensor ps_scores_apply(ps_model *m, ps_tensor weights, ps_tensor value,
                          const ps_attention_shape *shape);

/** x.transpose(1, 2).contiguous() of what ps_scores_apply gave: tokens lie in rows again. */
void ps_heads_merge(ps_model *m, ps_tensor *x, const ps_attention_shape *shape);

#endif
