/* SPDX-License-Identifier: MIT
 *
 * T5, in parts (private to this folder):
 *
 *   t5.c            its modules and its forward pass
 *   t5_block.c      one block: norms, attention, feed forward
 *   t5_attention.c  attention with a bias on the scores
 *   t5_bias.c       that bias, by the distance of positions
 */
#ifndef PS_WORKLOAD_T5_H
#define PS_WORKLOAD_T5_H

#include "workload/model/modules.h"

#define PS_T5_CACHED_A_LAYER 4 /* keys and values of the decoder's own, and of the encoder's */

typedef struct ps_t5_shape {
    int64_t encoders, decoders; /* layers */
    int64_t hidden, inner, heads, head_width, buckets, vocabulary;
    double dropout;
    ps_activation activation;
    bool is_gated, is_tied, has_cache;
} ps_t5_shape;

typedef struct ps_t5_scoring {
    ps_linear query, key, value, out;
    ps_tensor buckets; /* relative_attention_bias; 0 but in the first layer */
} ps_t5_scoring;

typedef struct ps_t5_layer {
    ps_t5_scoring own, cross;
    ps_linear gate, widen, narrow; /* wi_0 or none, wi or wi_1, wo */
    ps_tensor before_own, before_cross, before_feed;
} ps_t5_layer;

typedef struct ps_t5_stack {
    ps_t5_layer *layer;
    int64_t count;
    int64_t first_block; /* number of its first layer among both stacks' */
    bool is_decoder;
    ps_tensor final;
} ps_t5_stack;

typedef struct ps_t5 {
    ps_t5_shape shape;
    ps_tensor words, head;
    ps_t5_stack encoder, decoder;
    ps_tensor bias[2]; /* what the last block returned besides its result */
} ps_t5;

/** A block's own attention, and that across to the encoder. */
enum { PS_T5_OWN, PS_T5_CROSS };

/** What a block is given besides its input. */
typedef struct ps_t5_pass {
    const ps_t5_stack *of;
    int64_t batch, length;
    ps_tensor encoded; /* by the encoder; 0 in the encoder */
    ps_tensor places;  /* cache_position */
    ps_tensor mask[2]; /* to add to scores, for the block's own attention and across */
    ps_tensor bias[2]; /* position_bias and encoder_decoder_position_bias; 0: not yet made */
    ps_tensor *cache;  /* NULL: none is kept */
} ps_t5_pass;

/** What one attention looks at and hands on. */
typedef struct ps_t5_view {
    ps_tensor states; /* keys and values are made of it */
    int which;
    ps_tensor *bias;  /* made when there is none yet */
    ps_tensor *cache; /* key and value are kept here, unless NULL */
} ps_t5_view;

/** The bias of a layer that is given none: by distance, or nothing; the mask is added to it. */
ps_tensor ps_t5_make_bias(ps_model *m, const ps_t5_scoring *with, const ps_t5_pass *about,
                          ps_dtype dtype, ps_tensor mask);

/** T5Attention.forward. Owned by the caller. */
ps_tensor ps_t5_attend(ps_model *m, const ps_t5_scoring *with, ps_tensor x, const ps_t5_pass *about,
                       const ps_t5_view *at);

/** x / sqrt(mean of squares), in 32 bits, times a weight. Owned by the caller. */
ps_tensor ps_t5_norm(ps_model *m, ps_tensor weight, ps_tensor x);

/** T5Block.forward, in the form of ps_block_call. */
ps_tensor ps_t5_run_block(ps_model *m, const void *given, int64_t block, ps_tensor input);

#endif
