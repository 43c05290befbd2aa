/* SPDX-License-Identifier: MIT
 *
 * GPT-2, in parts (private to this folder):
 *
 *   gpt2.c            its modules and its forward pass
 *   gpt2_attention.c  attention
 *   gpt2_scores.c     scores and shares, where the library writes them out
 */
#ifndef PS_WORKLOAD_GPT2_H
#define PS_WORKLOAD_GPT2_H

#include "workload/model/attention.h"
#include "workload/model/modules.h"

typedef struct ps_gpt2_shape {
    int64_t layers, hidden, heads, inner, positions, vocabulary;
    double embedding_dropout, attention_dropout, residual_dropout;
    ps_activation activation;
    bool is_tied;
    bool is_scaled, is_scaled_by_layer, is_upcast; /* scores, where the library writes them out */
} ps_gpt2_shape;

typedef struct ps_gpt2_layer {
    ps_norm before_attention, before_mlp;
    ps_linear qkv, projection, widen, narrow;
    ps_tensor causal; /* buffer: which keys a query sees */
} ps_gpt2_layer;

typedef struct ps_gpt2 {
    ps_gpt2_shape shape;
    ps_tensor words, positions, head;
    ps_gpt2_layer *layer;
    ps_norm final;
    ps_tensor *cache; /* values and keys of each layer, while a forward pass runs */
} ps_gpt2;

/** What a block is given besides its input. */
typedef struct ps_gpt2_pass {
    int64_t batch, length;
    ps_tensor mask;
    ps_tensor *cache; /* NULL: none is kept */
} ps_gpt2_pass;

static inline const ps_gpt2 *ps_gpt2_of(const ps_model *m)
{
    return m->state;
}

/** Heads of several sequences do not lie one after the other: matmul and reshape copy them. */
static inline bool ps_gpt2_heads_are_apart(const ps_gpt2_shape *n, const ps_gpt2_pass *about)
{
    return about->batch > 1 && n->heads > 1;
}

/** GPT2Attention.forward of block `index`, in the form of ps_block_call. Owned by the caller. */
ps_tensor ps_gpt2_attend(ps_model *m, const void *about, int64_t index, ps_tensor x);

/**
 * eager_attention_forward, or the one that computes scores in 32 bits.
 *
 * @param part    query, key and value
 * @param shares  receives what is returned too, owned by the caller
 * @return owned by the caller
 */
ps_tensor ps_gpt2_write_out(ps_model *m, int64_t index, const ps_tensor part[],
                            const ps_gpt2_pass *about, ps_tensor *shares);

#endif
