/* SPDX-License-Identifier: MIT
 *
 * BERT and RoBERTa, in parts (private to this folder):
 *
 *   bert.c            their modules and their forward pass
 *   bert_embedding.c  words, positions and types into one
 *   bert_block.c      one block: attention and feed-forward, each with its norm
 *   bert_attention.c  attention
 */
#ifndef PS_WORKLOAD_BERT_H
#define PS_WORKLOAD_BERT_H

#include "workload/model/modules.h"

typedef struct ps_bert_shape {
    int64_t layers, hidden, heads, inner, positions, types, vocabulary;
    double hidden_dropout, attention_dropout;
    ps_activation activation;
    bool is_tied, looks_for_padding;
    bool counts_words; /* RoBERTa's positions */
    int64_t longest;   /* tokens that positions reach */
} ps_bert_shape;

typedef struct ps_bert_layer {
    ps_linear query, key, value, projection, widen, narrow;
    ps_norm after_attention, after_mlp;
} ps_bert_layer;

typedef struct ps_bert {
    ps_bert_shape shape;
    ps_tensor words, positions, types;
    ps_tensor position_ids, type_ids; /* buffers */
    ps_norm embedded;
    ps_bert_layer *layer;
    ps_linear transform, decoder;
    ps_norm transformed;
} ps_bert;

/** What a block is given besides its input. */
typedef struct ps_bert_pass {
    int64_t batch, length;
    ps_tensor mask;
} ps_bert_pass;

static inline const ps_bert *ps_bert_of(const ps_model *m)
{
    return m->state;
}

/** BertEmbeddings.forward. Owned by the caller. */
ps_tensor ps_bert_embed(ps_model *m, const ps_batch *batch);

/** BertLayer.forward, in the form of ps_block_call; `about` is a ps_bert_pass. */
ps_tensor ps_bert_run_block(ps_model *m, const void *about, int64_t index, ps_tensor input);

/** BertSelfAttention.forward, or BertSdpaSelfAttention's. Owned by the caller. */
ps_tensor ps_bert_attend(ps_model *m, const ps_bert_layer *with, ps_tensor x,
                         const ps_bert_pass *about);

#endif
