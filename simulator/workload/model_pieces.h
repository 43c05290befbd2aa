/* SPDX-License-Identifier: MIT
 *
 * Pieces that decoders of many families are made of: RMS norm, rotary
 * positions, a gated feed-forward, keys shared by heads.
 */
#ifndef PS_WORKLOAD_MODEL_PIECES_H
#define PS_WORKLOAD_MODEL_PIECES_H

#include "workload/masks.h"
#include "workload/model.h"

/* ---- RMS norm ---- */

typedef struct ps_rms_norm {
    ps_tensor weight;
    int64_t width;
    bool is_offset; /* Gemma's: multiplied by 1 + weight, all in 32 bits */
} ps_rms_norm;

ps_rms_norm ps_rms_norm_make(ps_model *m, int64_t width);

/** In 32 bits, then weight * x in x's type, or the offset way; x: rows of `width` elements. */
ps_tensor ps_rms_norm_run(ps_model *m, const ps_rms_norm *with, ps_tensor x);

/* ---- rotary positions ---- */

/** Cosines and sines of a pass, `width` a position. */
typedef struct ps_rotary {
    ps_tensor cos, sin;
} ps_rotary;

/** The module's buffer of frequencies: 32 bits in a model of any type. */
void ps_rotary_make(ps_model *m, int64_t width);

/** Cosines and sines of `length` positions, without a graph; cleared by the caller. */
ps_rotary ps_rotary_begin(ps_model *m, int64_t length, int64_t width, ps_dtype dtype);
void ps_rotary_end(ps_model *m, ps_rotary *rotary);

/** x * cos + rotate_half(x) * sin. */
ps_tensor ps_rotary_turn(ps_model *m, const ps_rotary *rotary, ps_tensor x);

/* ---- gated feed-forward: down(activation(gate(x)) * up(x)) ---- */

typedef struct ps_gated_mlp {
    ps_linear gate, up, down;
    ps_activation activation;
} ps_gated_mlp;

typedef struct ps_gated_mlp_shape {
    int64_t hidden, inner;
    ps_activation activation;
    bool has_bias;
} ps_gated_mlp_shape;

ps_gated_mlp ps_gated_mlp_make(ps_model *m, const ps_gated_mlp_shape *shape);
ps_tensor ps_gated_mlp_run(ps_model *m, const ps_gated_mlp *with, ps_tensor x);

/* ---- feed-forward by experts ---- */

typedef struct ps_sparse_mlp_shape {
    int64_t hidden, inner, experts, experts_a_token;
    ps_activation activation;
} ps_sparse_mlp_shape;

typedef struct ps_sparse_mlp {
    ps_sparse_mlp_shape shape;
    ps_linear gate;
    ps_gated_mlp *expert;
} ps_sparse_mlp;

/** @return PS_OK · PS_NOMEM */
ps_code ps_sparse_mlp_make(ps_model *m, const ps_sparse_mlp_shape *shape, ps_sparse_mlp *out,
                           ps_error *err);
void ps_sparse_mlp_release(ps_sparse_mlp *self);

/** @param logits  receives the router's, owned by the caller */
ps_tensor ps_sparse_mlp_run(ps_model *m, const ps_sparse_mlp *with, ps_tensor x, ps_tensor *logits);

/* ---- attention of heads that share keys ---- */

/** Lies a (batch, heads, length, width) tensor, transposed from (batch, length, heads, width), in rows? */
bool ps_heads_are_rows(const ps_attention_shape *shape, int64_t heads);

/** repeat_kv: a key for each head of a query; the tensor itself when there is one already. */
ps_tensor ps_heads_repeat(ps_model *m, ps_tensor x, const ps_attention_shape *shape);

/** eager_attention_forward: scores written out. Result (batch, length, heads, width), in rows. */
ps_tensor ps_heads_eager_attention(ps_model *m, ps_tensor query, ps_tensor key, ps_tensor value,
                                   const ps_attention_call *call);

/** cap * tanh(x / cap), each step in place of the one before it. */
ps_tensor ps_soft_cap(ps_model *m, ps_tensor owned);

/** sdpa_attention_forward. Result as above. */
ps_tensor ps_heads_kernel_attention(ps_model *m, ps_tensor query, ps_tensor key, ps_tensor value,
                                    const ps_attention_call *call);

/**
 * A projection seen by heads: x.view(batch, length, heads, width).transpose(1, 2). Drops x.
 *
 * @param is_by_heads  its gradient lies as (batch, heads, length, width) and is copied
 */
ps_tensor ps_heads_split(ps_model *m, ps_tensor owned, bool is_by_heads);

/** Whether the value's gradient comes so from either attention; `value` is asked for its type. */
bool ps_heads_return_value_by_heads(const ps_model *m, ps_tensor value,
                                    const ps_attention_call *call);

#endif
