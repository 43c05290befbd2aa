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

#include "workload/model/model_pieces.h"
#include "workload/model/modules.h"
#include "workload/model/shape_reader.h"

/** What a configuration says. */
typedef struct ps_decoder_shape {
    int64_t layers, hidden, heads, kv_heads, head_width, inner, vocabulary;
    double attention_dropout;
    ps_activation activation;
    ps_mask_style mask;
    bool is_tied, keeps_cache;
    bool has_qkv_bias, has_output_bias, has_mlp_bias;
    bool has_head_norms; /* of each head's query and key */
    /**
     * Attention is written as before all families shared it: heads are seen after the last
     * projection, they are put together for a kernel with a mask alone, and each attention has a
     * buffer of frequencies, unused.
     */
    bool is_early;
    ps_sparse_mlp_shape sparse; /* no experts: one feed-forward for all tokens */
    bool *is_dense;             /* layers without experts; NULL: all have them; the decoder's */
    bool is_packed; /* Phi-3's: one projection for queries, keys, values; one for gate and up */
    int64_t turned_width; /* of a head, the rest passes; 0: all of it, and it is not cut */
    double residual_dropout;
    int64_t table_positions; /* DeepSeek's: each attention has a ps_rotary_table of so many; or 0 */
    bool
        widens_logits; /* DeepSeek's: logits are given out in 32 bits, the loss copies but the last */
    int64_t short_positions; /* of positions of type "longrope": ps_longrope; 0: of another type */
    /* Gemma's */
    bool has_offset_norms, scales_words;
    /* Gemma 2's: norms of what attention and feed-forward give, caps, a window in every other block */
    bool has_output_norms, caps_scores, caps_logits, is_alternating;
} ps_decoder_shape;

/**
 * Reads what all these families' configurations share.
 *
 * @param n  in: what the library takes where the file says nothing (head_width 0: hidden / heads;
 *           kv_heads 0: heads; is_tied; turned_width not 0: the family reads it with
 *           ps_decoder_read_turned); out: the shape
 */
void ps_decoder_read(ps_shape_reader *reader, ps_decoder_shape *n);

/** Reads the window that masks leave, where the library knows one. */
void ps_decoder_read_window(ps_shape_reader *reader, ps_decoder_shape *n, int64_t fallback);

/** ps_decoder_read_window of a library that looks at use_sliding_window first. */
void ps_decoder_read_window_if_used(ps_shape_reader *reader, ps_decoder_shape *n, int64_t fallback);

/**
 * The part of a head that turns, by "partial_rotary_factor"; refused when it is no pairs.
 *
 * @return n->turned_width
 */
int64_t ps_decoder_read_turned(ps_shape_reader *reader, ps_decoder_shape *n, double fallback);

/** Refuses rotary positions whose frequencies depend on the length of what is read. */
void ps_decoder_read_rotary(ps_shape_reader *reader);

/** Reads Qwen's experts: their number and width, and which layers have them; n->is_dense is made. */
void ps_decoder_read_experts(ps_shape_reader *reader, ps_decoder_shape *n,
                             const ps_sparse_mlp_shape *fallback);

/** Refuses experts that cannot be, and a loss of the router's own. */
void ps_decoder_check_experts(ps_shape_reader *reader, const ps_decoder_shape *n);

/**
 * Makes the modules; m->state is the decoder's, and so is shape->is_dense, whatever comes back.
 *
 * @return PS_OK · PS_NOMEM
 */
ps_code ps_decoder_create(ps_model *m, const ps_decoder_shape *shape, ps_error *err);

/** The rest of a family's table. */
void ps_decoder_destroy(ps_model *m);
void ps_decoder_forward(ps_model *m, const ps_batch *batch, ps_model_output *out);

/** Of decoders whose blocks share one rotary embedding, without experts. */
extern const struct ps_dual_ops ps_decoder_dual;

#endif
