/* SPDX-License-Identifier: MIT
 *
 * OPT, in parts (private to this folder):
 *
 *   opt.c            its modules and its forward pass
 *   opt_attention.c  attention
 *   opt_dual.c       two passes side by side, as ZO2 runs them
 */
#ifndef PS_WORKLOAD_OPT_H
#define PS_WORKLOAD_OPT_H

#include "workload/model/modules.h"
#include "workload/script/dual.h"

typedef struct ps_opt_shape {
    int64_t layers, hidden, heads, inner, positions, vocabulary, words_width;
    double dropout, attention_dropout, layer_dropout;
    ps_activation activation;
    bool has_bias, has_norm_weights, is_norm_first, has_final_norm, is_tied, keeps_cache;
} ps_opt_shape;

typedef struct ps_opt_layer {
    ps_linear key, value, query, projection, widen, narrow;
    ps_norm attention, final; /* before or after attention, before or after the MLP */
} ps_opt_layer;

typedef struct ps_opt {
    ps_opt_shape shape;
    ps_tensor words, positions, head;
    ps_linear project_out, project_in; /* between widths of words and blocks; weight 0: none */
    ps_norm final;
    ps_opt_layer *layer;
    ps_tensor *cache; /* values and keys of each layer, while a forward pass runs */
} ps_opt;

/** Tensors that a block is given, for a recomputation to keep. */
typedef enum ps_opt_given {
    PS_OPT_MASK,
    PS_OPT_NUMBERS, /* position_ids and cache_position, which no block uses */
    PS_OPT_RANGE,
    PS_OPT_GIVEN_COUNT,
} ps_opt_given;

/** What a block is given besides its input. */
typedef struct ps_opt_pass {
    int64_t batch, length;
    ps_tensor given[PS_OPT_GIVEN_COUNT];
    ps_tensor *cache; /* NULL: none is kept */
} ps_opt_pass;

/**
 * OPTAttention.forward.
 *
 * @param weights  receives the shares after dropout, owned by the caller; 0 where a kernel has none
 * @return owned by the caller
 */
ps_tensor ps_opt_attention(ps_model *m, const ps_opt_layer *with, ps_tensor x,
                           const ps_opt_pass *about, int64_t index, ps_tensor *weights);

/** One block, in the form of ps_block_call. */
ps_tensor ps_opt_run_block(ps_model *m, const void *about, int64_t index, ps_tensor input);

/** Tokens before each one that are not hidden: (mask.cumsum() * mask - 1).long() */
ps_tensor ps_opt_count_positions(ps_model *m, ps_tensor mask, int64_t batch);
ps_tensor ps_opt_embed_positions(ps_model *m, ps_tensor numbers);

extern const ps_dual_ops ps_opt_dual;

#endif
