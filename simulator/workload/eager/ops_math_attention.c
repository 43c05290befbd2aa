/* SPDX-License-Identifier: MIT
 *
 * scaled_dot_product_attention written out by PyTorch: for shapes and devices that its kernels do
 * not serve. It computes in 32 bits whatever the type, and scales queries and keys each by the root
 * of the scale.
 */
#include "workload/eager/attention_parts.h"
#include "workload/eager/ops_matrix.h"

/* A triangle of truths, then of numbers: 0 where a key is seen, minus infinity where not. */
static ps_tensor causal_mask(ps_eager *self, int64_t cells, ps_dtype dtype)
{
    ps_tensor ones = ps_op_plain(self, "fill", cells, PS_DTYPE_BOOL);
    ps_tensor lower = ps_op_plain(self, "tril", cells, PS_DTYPE_BOOL);
    ps_eager_clear(self, &ones);
    ps_tensor zero = ps_op_plain(self, "fill", 1, dtype);
    ps_tensor least = ps_op_plain(self, "fill", 1, dtype);
    const ps_tensor out = ps_op_plain(self, "where", cells, dtype);
    ps_eager_clear(self, &least);
    ps_eager_clear(self, &zero);
    ps_eager_clear(self, &lower);
    return out;
}

/* _safe_softmax: rows that see nothing become 0, in place. */
static ps_tensor safe_softmax(ps_eager *self, ps_tensor scores, int64_t width)
{
    const int64_t elements = ps_eager_elements(self, scores);
    const ps_tensor out = ps_op_softmax(self, scores);
    ps_tensor is_hidden = ps_op_plain(self, "isneginf", elements, PS_DTYPE_BOOL);
    ps_tensor is_empty = ps_op_plain(self, "all", elements / width, PS_DTYPE_BOOL);
    ps_tensor zero = ps_op_plain(self, "fill", 1, ps_eager_dtype(self, scores));
    ps_op_kernel_by(self, "where", PS_ACCESS_STRIDED, 2 * ps_eager_bytes(self, scores), elements);
    ps_eager_clear(self, &zero);
    ps_eager_clear(self, &is_empty);
    ps_eager_clear(self, &is_hidden);
    return out;
}

/* matmul copies heads that lie by tokens, unless there is one sequence. */
static ps_tensor by_heads(ps_eager *self, ps_tensor of, const ps_attention_shape *n)
{
    const bool is_copied = n->lies_by_tokens && n->batch > 1 && n->heads > 1 && n->queries > 1;
    return is_copied ? ps_op_copy(self, of) : ps_eager_hold(self, of);
}

/* The scaled query is a variable of the function, the scaled key is not. */
static ps_tensor scores_of(ps_eager *self, const ps_tensor wide[2], ps_tensor *query,
                           ps_tensor *mask, const ps_attention_shape *n)
{
    const ps_bmm_shape shape = {n->batch * n->heads, n->queries, n->keys, n->head_width};
    *query = ps_op_mul_number(self, wide[0]);
    if (!n->sees_all) {
        *mask = causal_mask(self, n->queries * n->keys, ps_eager_dtype(self, *query));
    }
    ps_tensor key = ps_op_mul_number(self, wide[1]);
    ps_tensor left = by_heads(self, *query, n);
    ps_tensor right = n->has_expanded_keys ? ps_eager_hold(self, key) : by_heads(self, key, n);
    const ps_tensor out = ps_op_bmm(self, left, right, &shape);
    ps_eager_clear(self, &left);
    ps_eager_clear(self, &right);
    if (*mask != 0) {
        ps_op_kernel_by(self, "add", PS_ACCESS_STRIDED, 2 * ps_eager_bytes(self, out),
                        ps_eager_elements(self, out)); /* in place */
    }
    ps_eager_clear(self, &key);
    return out;
}

ps_tensor ps_op_math_attention(ps_eager *self, ps_tensor query, ps_tensor key, ps_tensor value,
                               ps_tensor mask, const ps_attention_shape *n)
{
    const ps_dtype dtype = ps_eager_dtype(self, query);
    const ps_bmm_shape mixing = {n->batch * n->heads, n->queries, n->head_width, n->keys};
    ps_tensor wide[3] = {ps_op_to(self, query, PS_DTYPE_F32), ps_op_to(self, key, PS_DTYPE_F32),
                         ps_op_to(self, value, PS_DTYPE_F32)};
    ps_tensor used_mask = ps_eager_hold(self, mask);
    ps_tensor scaled_query;
    ps_tensor shares = scores_of(self, wide, &scaled_query, &used_mask, n);
    ps_eager_assign(self, &shares, safe_softmax(self, shares, n->keys));
    if (n->has_dropout) {
        ps_eager_assign(self, &shares, ps_op_dropout(self, shares));
    }
    /* the shares are a result too, dropped by the caller */
    ps_tensor returned = ps_op_to(self, shares, dtype);
    const bool is_dense = n->has_expanded_keys && dtype != PS_DTYPE_F32;
    ps_tensor values = is_dense ? ps_eager_hold(self, wide[2]) : by_heads(self, wide[2], n);
    ps_tensor mixed = ps_op_bmm(self, shares, values, &mixing);
    ps_eager_clear(self, &values);
    /* the gradient comes with the length outside: it is copied unless there is one sequence */
    const bool is_copied = n->batch > 1 && n->heads > 1 && n->queries > 1;
    ps_eager_assign(self, &mixed,
                    ps_op_view(self, mixed, ps_eager_elements(self, mixed), is_copied));
    const ps_tensor out = ps_op_to(self, mixed, dtype);
    ps_eager_clear(self, &mixed);
    ps_eager_clear(self, &shares);
    ps_eager_clear(self, &scaled_query);
    ps_eager_clear(self, &used_mask);
    for (int i = 2; i >= 0; i--) {
        ps_eager_clear(self, &wide[i]);
    }
    ps_eager_clear(self, &returned);
    return out;
}
