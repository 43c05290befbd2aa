/* SPDX-License-Identifier: MIT
 *
 * GPTBigCode between its model and its attention (private to this folder).
 */
#ifndef PS_WORKLOAD_BIGCODE_H
#define PS_WORKLOAD_BIGCODE_H

#include "workload/model/modules.h"

typedef struct ps_bigcode_shape {
    int64_t layers, hidden, heads, inner, positions, vocabulary;
    double embedding_dropout, attention_dropout, residual_dropout;
    ps_activation activation;
    bool is_tied, keeps_cache, shares_keys, has_scale, has_wide_softmax;
} ps_bigcode_shape;

typedef struct ps_bigcode_layer {
    ps_norm before_attention, before_mlp;
    ps_linear qkv, projection, widen, narrow;
    ps_tensor least; /* what hidden scores become; made when first used, and kept */
} ps_bigcode_layer;

/* What a block is given besides its input. */
typedef struct ps_bigcode_pass {
    ps_attention_shape heads;
    ps_tensor mask;   /* of truths where scores are written out, of numbers for a kernel */
    ps_tensor *cache; /* NULL: none is kept */
} ps_bigcode_pass;

typedef struct ps_bigcode {
    ps_bigcode_shape shape;
    ps_tensor words, positions, causal, head;
    ps_bigcode_layer *layer;
    ps_norm final;
    ps_tensor *cache; /* keys with values of each layer, while a forward pass runs */
} ps_bigcode;

/** GPTBigCodeAttention.forward, or GPTBigCodeSdpaAttention's. */
ps_tensor ps_bigcode_attend(ps_model *m, ps_bigcode_layer *with, ps_tensor x,
                            const ps_bigcode_pass *about, int64_t index);

#endif
