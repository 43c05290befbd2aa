/* SPDX-License-Identifier: MIT
 *
 * Operations of the eager model, named and behaving as PyTorch's: what they
 * allocate, what they keep for backward, what backward allocates, in order.
 * Every result is owned by the caller; arguments are borrowed.
 */
#ifndef PS_WORKLOAD_OPS_H
#define PS_WORKLOAD_OPS_H

#include "workload/eager.h"

/* ---- element by element ---- */

/** a + b, broadcast to the larger. */
ps_tensor ps_op_add(ps_eager *self, ps_tensor a, ps_tensor b);

/** a + number. */
ps_tensor ps_op_add_number(ps_eager *self, ps_tensor a);

/** a * b, broadcast to the larger. */
ps_tensor ps_op_mul(ps_eager *self, ps_tensor a, ps_tensor b);

ps_tensor ps_op_neg(ps_eager *self, ps_tensor a);

/** a ** 2. */
ps_tensor ps_op_square(ps_eager *self, ps_tensor a);

ps_tensor ps_op_rsqrt(ps_eager *self, ps_tensor a);

ps_tensor ps_op_silu(ps_eager *self, ps_tensor a);

/** One more owner when the type is already right, as Tensor.to does. */
ps_tensor ps_op_to(ps_eager *self, ps_tensor a, ps_dtype dtype);

/** Mean over rows: `rows` elements remain. */
ps_tensor ps_op_mean(ps_eager *self, ps_tensor a, int64_t rows);

/** A result without a graph: cos, sin and the like of things that need no gradient. */
ps_tensor ps_op_plain(ps_eager *self, const char *name, int64_t elements, ps_dtype dtype);

/** ps_op_plain of a matrix product. */
ps_tensor ps_op_plain_product(ps_eager *self, int64_t elements, ps_dtype dtype);

/* ---- shapes ---- */

/** view, transpose, split: the same storage. `is_strided`: backward has to copy its gradient first. */
ps_tensor ps_op_view(ps_eager *self, ps_tensor a, int64_t elements, bool is_strided);

/** A part of a tensor; backward fills a whole gradient. */
ps_tensor ps_op_slice(ps_eager *self, ps_tensor a, int64_t elements);

/** Concatenation of up to two tensors; b may be 0: an empty one. */
ps_tensor ps_op_cat(ps_eager *self, ps_tensor a, ps_tensor b);

/* ---- matrices ---- */

/** x @ weight.T, without bias. `rows` rows of `in` to `out`. */
ps_tensor ps_op_linear(ps_eager *self, ps_tensor x, ps_tensor weight, int64_t rows, int64_t in,
                       int64_t out);

/* ---- models ---- */

ps_tensor ps_op_embedding(ps_eager *self, ps_tensor weight, ps_tensor ids, int64_t width);

/** Shape of attention. */
typedef struct ps_attention_shape {
    int64_t batch, heads, kv_heads, queries, keys, head_width;
} ps_attention_shape;

/** Flash attention (scaled_dot_product_attention) without mask and dropout, causal. */
ps_tensor ps_op_flash_attention(ps_eager *self, ps_tensor query, ps_tensor key, ps_tensor value,
                                const ps_attention_shape *shape);

/** Cross entropy of `rows` rows over `classes`, reduced to its mean. */
ps_tensor ps_op_cross_entropy(ps_eager *self, ps_tensor logits, ps_tensor labels, int64_t rows,
                              int64_t classes);

#endif
