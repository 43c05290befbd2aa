/* SPDX-License-Identifier: MIT
 *
 * 4-D attention masks as transformers' modeling_attn_mask_utils makes them (GPT-2, BERT and other
 * families that have no cache positions).
 *
 * Whether a mask is made depends on what the caller's mask holds: one that hides nothing is left
 * out, and attention is told to be causal. recipe.pads says that something is hidden.
 */
#ifndef PS_WORKLOAD_MASK_4D_H
#define PS_WORKLOAD_MASK_4D_H

#include "workload/model/model.h"

/**
 * _prepare_4d_causal_attention_mask_for_sdpa, (batch, 1, length, length).
 *
 * @param dtype  of the embedded inputs
 * @return owned; 0: attention is causal, or a single query sees all
 */
ps_tensor ps_mask_4d_causal(ps_model *m, const ps_batch *batch, ps_dtype dtype);

/**
 * _prepare_4d_causal_attention_mask, for scores that the library writes out: the same of a mask
 * that was given, whatever it holds.
 *
 * @return owned
 */
ps_tensor ps_mask_4d_scores(ps_model *m, const ps_batch *batch, ps_dtype dtype);

/**
 * _prepare_4d_attention_mask_for_sdpa: as the first without the triangle.
 *
 * @return owned; 0: nothing is hidden
 */
ps_tensor ps_mask_4d_full(ps_model *m, const ps_batch *batch, ps_dtype dtype);

/** (1 - mask) * least, (batch, 1, 1, length): what eager attention adds to scores. 0 without a mask. */
ps_tensor ps_mask_added(ps_model *m, const ps_batch *batch, ps_dtype dtype);

#endif
