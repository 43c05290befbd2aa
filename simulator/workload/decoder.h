/* SPDX-License-Identifier: MIT
 *
 * A decoder as Llama is built, and Qwen2, Qwen3, Mistral and Mixtral after it:
 *
 *   embedding ─► blocks ─► RMS norm ─► head
 *
 *   block    x + attention(norm(x)), then x + feed-forward(norm(x))
 *
 * A family says in a shape how its members differ.
 */
#ifndef PS_WORKLOAD_DECODER_H
#define PS_WORKLOAD_DECODER_H

#include "workload/model_pieces.h"

/** What a configuration says. */
typedef struct ps_decoder_shape {
    int64_t layers, hidden, heads, kv_heads, head_width, inner, vocabulary;
    double attention_dropout;
    ps_activation activation;
    ps_mask_style mask;
    bool is_tied, keeps_cache;
    bool has_qkv_bias, has_output_bias, has_mlp_bias;
    bool has_head_norms;              /* of each head's query and key */
    int64_t experts, experts_a_token; /* 0: one feed-forward for all tokens */
    /* Gemma's */
    bool has_offset_norms, scales_words;
    /* Gemma 2's: norms of what attention and feed-forward give, caps, a window in every other block */
    bool has_output_norms, caps_scores, caps_logits, is_alternating;
} ps_decoder_shape;

/**
 * Reads what all these families' configurations share.
 *
 * @param n  in: what the library takes where the file says nothing (head_width 0: hidden / heads;
 *           kv_heads 0: heads; is_tied); out: the shape
 */
void ps_decoder_read(ps_shape_reader *reader, ps_decoder_shape *n);

/** Reads the window that masks leave, where the library knows one. */
void ps_decoder_read_window(ps_shape_reader *reader, ps_decoder_shape *n, int64_t fallback);

/** Refuses rotary positions whose frequencies depend on the length of what is read. */
void ps_decoder_read_rotary(ps_shape_reader *reader);

/**
 * Makes the modules; m->state is the decoder's.
 *
 * @return PS_OK · PS_NOMEM
 */
ps_code ps_decoder_create(ps_model *m, const ps_decoder_shape *shape, ps_error *err);

/** The rest of a family's table. */
void ps_decoder_destroy(ps_model *m);
void ps_decoder_forward(ps_model *m, const ps_batch *batch, ps_model_output *out);

#endif
