/* SPDX-License-Identifier: MIT
 *
 * Attention by one of PyTorch's kernels: which one serves a call, and how what
 * it returns lies in memory. Scores that a library writes out: scores.h.
 */
#ifndef PS_WORKLOAD_ATTENTION_H
#define PS_WORKLOAD_ATTENTION_H

#include "workload/model/model.h"

/** scaled_dot_product_attention or the like; the family makes its own eager one. */
typedef struct ps_attention_call {
    ps_attention_shape shape;
    ps_tensor mask; /* 0: none */
    /* of a part of a wider mask, seen by each sequence: elements from row to row; 0: keys */
    int64_t mask_pitch;
    bool is_causal;
    bool is_put_together; /* query and key lie in rows by heads: parts that turned beside others */
    bool caps_scores; /* Gemma 2's: cap * tanh(scores / cap), where the library writes them out */
    bool lies_by_tokens; /* query, key and value are views of rows of tokens, not copied by heads */
    bool has_expanded_keys; /* one key and value, seen by all heads without a copy */
    bool is_left;           /* the result is not made contiguous: ps_attention_result_is_copied */
    double dropout;
} ps_attention_call;

/** The type in which scaled_dot_product_attention computes: autocast's, or the query's. */
ps_dtype ps_attention_dtype(const ps_model *m, ps_tensor query);

/**
 * The kernel that PyTorch picks for a call (never EAGER); fails when the recipe asks for one that
 * cannot serve it.
 *
 * @param dtype  ps_attention_dtype
 */
ps_attention_kind ps_attention_pick(const ps_model *m, ps_dtype dtype,
                                    const ps_attention_call *call);

/** True when the result of a call, seen by tokens, is not in rows: contiguous() copies it. */
bool ps_attention_result_is_copied(const ps_model *m, ps_dtype dtype,
                                   const ps_attention_call *call);

typedef enum ps_attention_part {
    PS_ATTENTION_QUERY = 0,
    PS_ATTENTION_KEY = 1,
    PS_ATTENTION_VALUE = 2,
    PS_ATTENTION_PART_COUNT,
} ps_attention_part;

/**
 * True when the gradient of query, key or value lies by heads: a view that had put the heads
 * before the length (`view(...).transpose(1, 2)`) then copies it on its way back.
 */
bool ps_attention_returns_by_heads(const ps_model *m, ps_dtype dtype, const ps_attention_call *call,
                                   ps_attention_part part);

/**
 * sdpa_attention_forward after its contiguous(): query, key and value are (batch, heads, length,
 * width) in rows unless the call says otherwise, keys repeated (kv_heads == heads). The result is (batch, length, heads, width) in
 * rows. The mask is in the type of the hidden states, rows of `keys` elements.
 */
ps_tensor ps_attention_run(ps_model *m, ps_tensor query, ps_tensor key, ps_tensor value,
                           const ps_attention_call *call);

#endif
