/* SPDX-License-Identifier: MIT
 *
 * A decoder from inside: what its files share (private to this folder).
 */
#ifndef PS_WORKLOAD_DECODER_PARTS_H
#define PS_WORKLOAD_DECODER_PARTS_H

#include "workload/family/decoder.h"
#include "workload/family/longrope.h"

typedef struct ps_decoder_layer {
    ps_linear query, key, value, output;
    ps_linear packed;                 /* in place of the first three */
    ps_rms_norm query_norm, key_norm; /* of each head */
    ps_gated_mlp mlp;
    ps_sparse_mlp sparse; /* in its place where there are experts */
    ps_rotary_table table;
    ps_rms_norm before_attention, after_attention, before_mlp, after_mlp;
} ps_decoder_layer;

typedef struct ps_decoder {
    ps_decoder_shape shape;
    ps_tensor words, head;
    ps_decoder_layer *layer;
    ps_rms_norm final;
    ps_longrope frequencies;
} ps_decoder;

/* What a block is given besides its input. */
typedef struct ps_decoder_pass {
    int64_t batch, length;
    ps_rotary rotary;
    ps_tensor mask;
    int64_t mask_pitch;
    ps_tensor *cache; /* NULL: none is kept */
} ps_decoder_pass;

/** The projections of attention, in the order of the library's constructor. */
void ps_decoder_make_attention(ps_model *m, const ps_decoder_shape *n, ps_decoder_layer *made);

/** The part of a head that turns. */
int64_t ps_decoder_turned_width(const ps_decoder_shape *n);

/** From row to row of a mask that all sequences see, and that may have room for more keys. */
int64_t ps_decoder_mask_pitch(const ps_batch *batch, const ps_mask_style *style);

/** One block, a ps_block_run; `about` is a ps_decoder_pass. */
ps_tensor ps_decoder_run_block(ps_model *m, const void *about, int64_t index, ps_tensor input);

/** Attention of one block: x is normed already, the result goes to the residual. */
ps_tensor ps_decoder_attend(ps_model *m, ps_decoder_layer *with, ps_tensor x,
                            const ps_decoder_pass *about, int64_t index);

#endif
