/* SPDX-License-Identifier: MIT
 *
 * Operations of the eager model, named and behaving as PyTorch's: what they
 * allocate, what they keep for backward, what backward allocates, in order.
 * Every result is owned by the caller; arguments are borrowed.
 *
 *   ops_matrix.h      products of matrices
 *   ops_collective.h  what ranks exchange
 *   ops_host.h        the host's memory and work, disks, and waiting
 */
#ifndef PS_WORKLOAD_OPS_H
#define PS_WORKLOAD_OPS_H

#include "workload/eager/eager.h"

/* ---- element by element ---- */

/** a + b, broadcast to the larger. */
ps_tensor ps_op_add(ps_eager *self, ps_tensor a, ps_tensor b);

/** a + b, both broadcast to `elements`, which neither may have. */
ps_tensor ps_op_add_spread(ps_eager *self, ps_tensor a, ps_tensor b, int64_t elements);

/** a += b: a tensor on the storage of `a`, in its type. */
ps_tensor ps_op_add_in_place(ps_eager *self, ps_tensor a, ps_tensor b);

/** a += b, where b wants no gradient and a's passes: nothing is allocated. */
void ps_op_add_into(ps_eager *self, ps_tensor a, ps_tensor b);

/** a + number. */
ps_tensor ps_op_add_number(ps_eager *self, ps_tensor a);

/** a * b, broadcast to the larger. */
ps_tensor ps_op_mul(ps_eager *self, ps_tensor a, ps_tensor b);

/** a / b, where b is one number on the device that wants no gradient; kept for backward. */
ps_tensor ps_op_div(ps_eager *self, ps_tensor a, ps_tensor b);

/** a / number. */
ps_tensor ps_op_div_number(ps_eager *self, ps_tensor a);
/** a / b, a number for each row; both want gradients and are kept. */
ps_tensor ps_op_div_rows(ps_eager *self, ps_tensor a, ps_tensor b);
/** a /= b, with a graph: the same storage, and a copy of what it held for backward. */
ps_tensor ps_op_div_in_place(ps_eager *self, ps_tensor a, ps_tensor b);

/** where(condition, a, one number): keeps the condition. */
ps_tensor ps_op_where(ps_eager *self, ps_tensor condition, ps_tensor a);

/** max(a, one number of the host's): keeps `a`. */
ps_tensor ps_op_maximum_number(ps_eager *self, ps_tensor a);

/**
 * where(condition, a * number, one number) inside a TorchScript function, which makes one kernel of
 * it, and one of its gradient's; keeps the condition.
 */
ps_tensor ps_op_scale_where(ps_eager *self, ps_tensor condition, ps_tensor a);

ps_tensor ps_op_neg(ps_eager *self, ps_tensor a);

/** a ** number, from 2 on; under autocast in 32 bits. */
ps_tensor ps_op_power(ps_eager *self, ps_tensor a);

/** ps_op_power of 2: backward copies where others take a power. */
ps_tensor ps_op_square(ps_eager *self, ps_tensor a);

/** a * number. */
ps_tensor ps_op_mul_number(ps_eager *self, ps_tensor a);

ps_tensor ps_op_rsqrt(ps_eager *self, ps_tensor a);

ps_tensor ps_op_silu(ps_eager *self, ps_tensor a);
ps_tensor ps_op_gelu(ps_eager *self, ps_tensor a);
ps_tensor ps_op_relu(ps_eager *self, ps_tensor a);
ps_tensor ps_op_tanh(ps_eager *self, ps_tensor a);
ps_tensor ps_op_sigmoid(ps_eager *self, ps_tensor a);
ps_tensor ps_op_softmax(ps_eager *self, ps_tensor a);
/** softmax(a, dtype=float32): of float16 in one kernel, of bfloat16 after a copy. */
ps_tensor ps_op_softmax_wide(ps_eager *self, ps_tensor a);

/** native_dropout: keeps a mask of one byte an element. */
ps_tensor ps_op_dropout(ps_eager *self, ps_tensor a);

/**
 * Layer norm of rows of `width` elements; keeps its input, means and spreads.
 *
 * @param is_strided  x does not lie in rows: the kernels are given a copy
 */
ps_tensor ps_op_layer_norm(ps_eager *self, ps_tensor x, ps_tensor weight, ps_tensor bias,
                           int64_t width, bool is_strided);

/** One more owner when the type is already right, as Tensor.to does. */
ps_tensor ps_op_to(ps_eager *self, ps_tensor a, ps_dtype dtype);

/** The tensor as autocast hands it to a matrix product, or as it is. */
ps_tensor ps_op_narrow(ps_eager *self, ps_tensor tensor);

/** The tensor as autocast hands it to an operation that needs 32 bits, or as it is. */
ps_tensor ps_op_widen(ps_eager *self, ps_tensor tensor);

/** Sum of each of `rows` rows. */
ps_tensor ps_op_sum(ps_eager *self, ps_tensor a, int64_t rows);

/** Mean over rows: `rows` elements remain. */
ps_tensor ps_op_mean(ps_eager *self, ps_tensor a, int64_t rows);

/** A result without a graph: cos, sin and the like of things that need no gradient. */
ps_tensor ps_op_plain(ps_eager *self, const char *name, int64_t elements, ps_dtype dtype);

/** A kernel that changes a tensor in place and that backward need not know. */
void ps_op_in_place(ps_eager *self, const char *name, ps_tensor tensor);

/** A number of that type comes to the host, which waits for it: item(), bool(), a count. */
void ps_op_read_back(ps_eager *self, ps_dtype dtype);

/** ps_op_plain of numbers that come from the host. */
ps_tensor ps_op_from_host(ps_eager *self, int64_t elements, ps_dtype dtype);

/** ps_op_plain of a.masked_fill(...): a copy of a, filled in place. */
ps_tensor ps_op_masked_fill(ps_eager *self, int64_t elements, ps_dtype dtype);

/* ---- shapes ---- */

/** view, transpose, split: the same storage. `is_strided`: backward has to copy its gradient first. */
ps_tensor ps_op_view(ps_eager *self, ps_tensor a, int64_t elements, bool is_strided);

/** The tensor under another name, as a slice of all that is there: its gradient passes. */
ps_tensor ps_op_alias(ps_eager *self, ps_tensor a);

/**
 * The tensor itself, through a node of the graph that is marked: backward comes there when all that
 * was made of the result has its gradients.
 */
ps_tensor ps_op_boundary(ps_eager *self, ps_tensor a, uint32_t mark);

/** A part of a tensor; backward fills a whole gradient. */
ps_tensor ps_op_slice(ps_eager *self, ps_tensor a, int64_t elements);

/** Zeros beside a tensor (F.pad), `elements` in all; backward cuts them off, in a tensor of its own. */
ps_tensor ps_op_pad(ps_eager *self, ps_tensor a, int64_t elements);

/** Concatenation of up to two tensors; b may be 0: an empty one. */
ps_tensor ps_op_cat(ps_eager *self, ps_tensor a, ps_tensor b);

/** contiguous() or clone() of a tensor that does not lie in rows: a copy; its gradient passes. */
ps_tensor ps_op_copy(ps_eager *self, ps_tensor a);

/**
 * Equal parts of a tensor, as views: split or chunk; backward puts their gradients together again.
 *
 * @param part  receives `count` (at most PS_NODE_OUTPUTS, 4) tensors
 */
void ps_op_split(ps_eager *self, ps_tensor a, ps_tensor *part, uint32_t count);

/** As ps_op_split, in parts of given numbers of elements. */
void ps_op_split_sizes(ps_eager *self, ps_tensor a, const int64_t *elements, ps_tensor *part,
                       uint32_t count);

/** The same numbers seen several times (expand); backward sums them. */
ps_tensor ps_op_expand(ps_eager *self, ps_tensor a, int64_t elements);

/* ---- rows by number ---- */

/** The `kept` best of all rows of a, and their numbers. */
ps_tensor ps_op_topk(ps_eager *self, ps_tensor a, int64_t kept, ps_tensor *index);

/** Numbers that say where a row is: tensors of them lie in one, as where(condition) returns them. */
#define PS_OP_INDEX_DIMENSIONS 2

/**
 * where(condition) of whole numbers: `found` of `elements` are set. The host waits for the count.
 *
 * @param is_strided  the condition does not lie in rows and is copied
 */
ps_tensor ps_op_nonzero(ps_eager *self, int64_t elements, int64_t dimensions, int64_t found,
                        bool is_strided);

/** a[index]: a row of `width` elements for each; `index_count` of the index's dimensions are used. */
ps_tensor ps_op_index(ps_eager *self, ps_tensor a, ps_tensor index, int64_t index_count,
                      int64_t width);

/**
 * a[mask]: the `found` rows of `width` elements that a mask of one byte a row marks. The host waits
 * for their count, in backward too.
 */
ps_tensor ps_op_take_marked(ps_eager *self, ps_tensor a, ps_tensor mask, int64_t found,
                            int64_t width);

/** into[mask] = source, of `found` rows: the same storage, with the source's graph. */
ps_tensor ps_op_put_marked(ps_eager *self, ps_tensor into, ps_tensor mask, ps_tensor source,
                           int64_t found);

/** into.index_add_(0, index, source): the same storage, with the source's graph. */
ps_tensor ps_op_index_add(ps_eager *self, ps_tensor into, ps_tensor index, ps_tensor source);

/* ---- models ---- */

ps_tensor ps_op_embedding(ps_eager *self, ps_tensor weight, ps_tensor ids, int64_t width);

/**
 * The same for `count` indices that are one row of `ids` seen again and again: forward and
 * backward copy them first.
 */
ps_tensor ps_op_embedding_repeated(ps_eager *self, ps_tensor weight, ps_tensor ids, int64_t count,
                                   int64_t width);

/** The same where the result is used transposed: backward copies its gradient first. */
ps_tensor ps_op_embedding_transposed(ps_eager *self, ps_tensor weight, ps_tensor ids,
                                     int64_t width);

/** Shape of attention. */
typedef struct ps_attention_shape {
    int64_t batch, heads, kv_heads, queries, keys, head_width;
    bool sees_all;    /* not causal: every query sees every key, or a mask says which */
    bool has_dropout; /* of the shares */
    bool is_by_heads; /* query lies as (batch, heads, length, width), not with the length outside */
    bool lies_by_tokens;    /* key and value too: nothing was made contiguous */
    bool has_expanded_keys; /* one for all heads: arithmetic makes it dense, by heads */
    bool is_padded;         /* width was padded to a multiple of 8 */
} ps_attention_shape;

/** Of sequences that look at themselves, each head at keys of its own. */
static inline ps_attention_shape ps_attention_of_itself(int64_t batch, int64_t length,
                                                        int64_t heads, int64_t head_width)
{
    return (ps_attention_shape){.batch = batch,
                                .heads = heads,
                                .kv_heads = heads,
                                .queries = length,
                                .keys = length,
                                .head_width = head_width};
}

/** Flash attention. The result lies as the query does. */
ps_tensor ps_op_flash_attention(ps_eager *self, ps_tensor query, ps_tensor key, ps_tensor value,
                                const ps_attention_shape *shape);

/** The memory-efficient kernel, in any type; mask 0: none. The result lies with the length outside. */
ps_tensor ps_op_efficient_attention(ps_eager *self, ps_tensor query, ps_tensor key, ps_tensor value,
                                    ps_tensor mask, const ps_attention_shape *shape);

/** scaled_dot_product_attention written out by PyTorch. The result lies by heads. */
ps_tensor ps_op_math_attention(ps_eager *self, ps_tensor query, ps_tensor key, ps_tensor value,
                               ps_tensor mask, const ps_attention_shape *shape);

/** Cross entropy of `rows` rows over `classes`, reduced to its mean. */
ps_tensor ps_op_cross_entropy(ps_eager *self, ps_tensor logits, ps_tensor labels, int64_t rows,
                              int64_t classes);

/** The tensor itself, whose backward gives `loss` a gradient of one: a loss beside the model's. */
ps_tensor ps_op_attach_loss(ps_eager *self, ps_tensor a, ps_tensor loss);

/* ---- reductions, without a graph ---- */

/** One number of a whole tensor, in its type: norm, mean. */
ps_tensor ps_op_reduce_all(ps_eager *self, const char *name, ps_tensor a);

/** One number of each row: reduced along the last dimension. */
ps_tensor ps_op_reduce_last(ps_eager *self, const char *name, ps_tensor a, int64_t rows);

/** One number of each column. */
ps_tensor ps_op_reduce_first(ps_eager *self, const char *name, ps_tensor a, int64_t columns);

#endif
