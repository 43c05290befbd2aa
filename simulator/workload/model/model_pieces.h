/* SPDX-License-Identifier: MIT
 *
 * Pieces that decoders of many families are made of: RMS norm, rotary
 * positions, a gated feed-forward, keys shared by heads.
 */
#ifndef PS_WORKLOAD_MODEL_PIECES_H
#define PS_WORKLOAD_MODEL_PIECES_H

#include "workload/model/attention.h"
#include "workload/model/masks.h"
#include "workload/model/modules.h"

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

/** The module's buffer of frequencies: 32 bits in a model of any type. The model's. */
ps_tensor ps_rotary_make(ps_model *m, int64_t width);

/** Cosines and sines of `length` positions, without a graph; cleared by the caller. */
ps_rotary ps_rotary_begin(ps_model *m, int64_t length, int64_t width, ps_dtype dtype);
void ps_rotary_end(ps_model *m, ps_rotary *rotary);

/** Cosines and sines that each attention keeps, as before transformers 4.38. The model's. */
typedef struct ps_rotary_table {
    ps_rotary kept;
    int64_t width;
    int64_t
        length; /* of the longest pass so far; 0: none yet, and the first makes the table anew */
} ps_rotary_table;

/** The module's buffers, in the type of the weights. */
ps_rotary_table ps_rotary_table_make(ps_model *m, int64_t positions, int64_t width);

/** Those of a pass, taken by number; the table is made again for a longer one. */
ps_rotary ps_rotary_table_take(ps_model *m, ps_rotary_table *self, int64_t length, ps_dtype dtype);

/** x * cos + rotate_half(x) * sin. */
ps_tensor ps_rotary_turn(ps_model *m, const ps_rotary *rotary, ps_tensor x);

/** A part of each head that turns, and the rest. */
typedef struct ps_rotary_parts {
    ps_tensor turning, passing;
} ps_rotary_parts;

/** x[..., :turned] and x[..., turned:] of heads of `width` elements. */
ps_rotary_parts ps_rotary_part(ps_model *m, ps_tensor x, int64_t width, int64_t turned);
void ps_rotary_drop_parts(ps_model *m, ps_rotary_parts *of);

/* ---- plain feed-forward: dropout(narrow(activation(widen(x)))) ---- */

typedef struct ps_plain_mlp {
    const ps_linear *widen, *narrow;
    ps_activation activation;
    double dropout; /* share of elements, 0 to 1 */
} ps_plain_mlp;

ps_tensor ps_plain_mlp_run(ps_model *m, const ps_plain_mlp *with, ps_tensor x);

/* ---- gated feed-forward: down(activation(gate(x)) * up(x)) ---- */

typedef struct ps_gated_mlp {
    ps_linear gate, up, down; /* gate and up, or both in one */
    ps_linear packed;
    ps_activation activation;
} ps_gated_mlp;

typedef struct ps_gated_mlp_shape {
    int64_t hidden, inner;
    ps_activation activation;
    bool has_bias;
    bool is_packed; /* Phi-3's: gate and up come from one projection, and up is multiplied first */
} ps_gated_mlp_shape;

ps_gated_mlp ps_gated_mlp_make(ps_model *m, const ps_gated_mlp_shape *shape);
ps_tensor ps_gated_mlp_run(ps_model *m, const ps_gated_mlp *with, ps_tensor x);

/* ---- feed-forward by experts ---- */

/** What DeepSeek's router adds to the loss. */
typedef enum ps_router_loss {
    PS_ROUTER_LOSS_NONE = 0,
    PS_ROUTER_LOSS_SEQUENCE = 1, /* how even experts are chosen in each sequence */
    PS_ROUTER_LOSS_BATCH = 2,    /* in all of them */
} ps_router_loss;

typedef struct ps_sparse_mlp_shape {
    int64_t hidden, inner, experts, experts_a_token;
    int64_t shared_inner; /* of an expert that all tokens go to, by a gate of its own; 0: none */
    ps_activation activation;
    bool keeps_shares;  /* weights of a token's experts are not made to add up to 1 */
    bool is_mixtral;    /* w1, w2, w3 in place of gate_proj, up_proj, down_proj */
    bool copies_tokens; /* DeepSeek's: ps_copied_experts_run; the shared expert has no gate */
    ps_router_loss router_loss;
} ps_sparse_mlp_shape;

typedef struct ps_sparse_mlp {
    ps_sparse_mlp_shape shape;
    ps_linear gate, shared_gate;
    ps_gated_mlp *expert, shared;
} ps_sparse_mlp;

/** @return PS_OK · PS_NOMEM */
ps_code ps_sparse_mlp_make(ps_model *m, const ps_sparse_mlp_shape *shape, ps_sparse_mlp *out,
                           ps_error *err);
void ps_sparse_mlp_release(ps_sparse_mlp *self);

/** @param logits  receives the router's, owned by the caller */
ps_tensor ps_sparse_mlp_run(ps_model *m, const ps_sparse_mlp *with, ps_tensor x, ps_tensor *logits);

/** Tokens that expert number `expert` finds among `tokens`: as many as any other, within one, or 1. */
int64_t ps_sparse_mlp_share(const ps_sparse_mlp_shape *shape, int64_t tokens, int64_t expert);

/** DeepSeek-MoE's way to train experts: each token is there once for each of its experts. */
ps_tensor ps_copied_experts_run(ps_model *m, const ps_sparse_mlp *with, ps_tensor x, int64_t batch);

/* ---- attention of heads that share keys ---- */

/** Lies a (batch, heads, length, width) tensor, transposed from (batch, length, heads, width), in rows? */
bool ps_heads_are_rows(const ps_attention_shape *shape, int64_t heads);

/** repeat_kv: a key for each head of a query; the tensor itself when there is one already. */
ps_tensor ps_heads_repeat(ps_model *m, ps_tensor x, const ps_attention_shape *shape);

/** Query, key and value, by heads. */
typedef struct ps_heads_trio {
    ps_tensor query, key, value;
} ps_heads_trio;

/** What attention is given. */
typedef struct ps_heads_call {
    ps_attention_call call;
    bool replaces; /* repeated and copied ones take the place of the caller's own */
} ps_heads_call;

/** eager_attention_forward: scores written out. Result (batch, length, heads, width), in rows. */
ps_tensor ps_heads_eager_attention(ps_model *m, ps_heads_trio *of, const ps_heads_call *call);

/** cap * tanh(x / cap), each step in place of the one before it. */
ps_tensor ps_soft_cap(ps_model *m, ps_tensor owned);

/** sdpa_attention_forward. Result as above. */
ps_tensor ps_heads_kernel_attention(ps_model *m, ps_heads_trio *of, const ps_heads_call *call);

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
