/* SPDX-License-Identifier: MIT
 *
 * What GPT-J and CodeGen share: blocks whose MLP runs beside attention, heads
 * of which a part is turned by position, scores in 32 bits (private to this folder).
 */
#ifndef PS_WORKLOAD_GPTJ_H
#define PS_WORKLOAD_GPTJ_H

#include "workload/model/modules.h"

typedef struct ps_gptj_shape {
    int64_t layers, hidden, heads, inner, positions, vocabulary, turned_width;
    double embedding_dropout, attention_dropout, residual_dropout;
    ps_activation activation;
    bool is_tied, keeps_cache;
} ps_gptj_shape;

typedef struct ps_gptj_layer {
    ps_norm norm;
    ps_linear query, key, value, packed, projection, widen, narrow; /* packed, or the first three */
    ps_tensor causal; /* of the library of 2023; 0 none */
    ps_tensor table;  /* sines and cosines: made on the host, on the device from its first use on */
} ps_gptj_layer;

/* What a block is given besides its input. */
typedef struct ps_gptj_pass {
    ps_attention_shape heads;
    ps_tensor mask, range;
    ps_tensor *cache; /* NULL: none is kept */
} ps_gptj_pass;

#define PS_GPTJ_LOCALS 8

/* Variables of attention. */
typedef struct ps_gptj_heads {
    ps_tensor query, key, value;
    ps_tensor local[PS_GPTJ_LOCALS]; /* others that live as long as it; neither family has more */
    size_t local_count;
} ps_gptj_heads;

/* Where the two families differ. */
typedef struct ps_gptj_way {
    void (*make_projections)(ps_model *m, const ps_gptj_shape *n, ps_gptj_layer *made);
    /* query and key with heads after the length, value by heads */
    void (*project)(ps_model *m, ps_gptj_layer *with, ps_tensor x, const ps_gptj_pass *about,
                    ps_gptj_heads *own);
    /* sines and cosines of the positions of a pass, owned by own */
    void (*look_up)(ps_model *m, const ps_gptj_layer *with, const ps_gptj_pass *about,
                    ps_gptj_heads *own);
    bool casts_cached_key;   /* to the type of the hidden states */
    bool masks_before_scale; /* in place */
} ps_gptj_way;

typedef struct ps_gptj {
    ps_gptj_shape shape;
    const ps_gptj_way *way;
    ps_tensor words;
    ps_linear head;
    ps_gptj_layer *layer;
    ps_norm final;
    ps_tensor *cache; /* values and keys of each layer, while a forward pass runs */
} ps_gptj;

/** As ps_family's, in the way of one of them. */
ps_code ps_gptj_create(ps_model *m, const ps_gptj_way *way, const ps_model_config *config,
                       ps_error *err);
void ps_gptj_destroy(ps_model *m);
void ps_gptj_forward(ps_model *m, const ps_batch *batch, ps_model_output *out);

/** Gives a tensor to the variables of attention; returns it. */
ps_tensor ps_gptj_keep(ps_gptj_heads *own, ps_tensor owned);

#endif
