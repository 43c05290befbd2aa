/* SPDX-License-Identifier: MIT
 *
 * Masks of attention that a library builds before its blocks run.
 */
#ifndef PS_WORKLOAD_MASKS_H
#define PS_WORKLOAD_MASKS_H

#include "workload/model/model.h"

/** How a library's model writes its causal mask. */
typedef struct ps_mask_style {
    bool is_windowed;    /* Mistral's way: a window may be cut out, and no triangle is made first */
    bool is_always_made; /* Gemma 2's way: kernels are given it too, and it has no spare keys */
    int64_t window;      /* keys a query sees, itself among them; 0: all before it */
} ps_mask_style;

/** Keys that a mask has room for beside the batch's own, when the caller brings no mask. */
#define PS_CAUSAL_MASK_SPARE_KEYS 1

/** What a causal mask is built for. */
typedef struct ps_causal_mask {
    int64_t batch, length;
    ps_tensor given;    /* (batch, length) of the caller, 0: none */
    ps_dtype dtype;     /* of the hidden states */
    bool is_for_kernel; /* scaled_dot_product_attention does without it when nothing is hidden */
    ps_mask_style style;
} ps_causal_mask;

/**
 * `_update_causal_mask` of transformers 4.51, as most decoders have it: (batch or 1, 1, length,
 * length of the given mask, or length + 1 without one).
 *
 * @return owned; 0 when attention is told to be causal in place of a mask
 */
ps_tensor ps_causal_mask_make(ps_model *m, const ps_causal_mask *about);

/** ps_causal_mask_make for a batch and the recipe's attention. */
ps_tensor ps_batch_mask(ps_model *m, const ps_batch *batch, ps_dtype dtype,
                        const ps_mask_style *style);

/** torch.all(mask == 1), read back on the host. */
void ps_mask_look_for_padding(ps_model *m, ps_tensor mask);

/** AttentionMaskConverter._unmask_unattended: rows of `width` that hide everything hide nothing. */
ps_tensor ps_mask_show_hidden_rows(ps_model *m, ps_tensor mask, int64_t width);

/** Memory of the scan of a single row: taken after the result, given back at once. */
void ps_mask_scan_row(ps_model *m, ps_dtype dtype);

/**
 * mask.cumsum(-1): which of the tokens shown each one is.
 *
 * @param mask  (batch, length)
 * @return owned, in the type of the mask
 */
ps_tensor ps_mask_count(ps_model *m, ps_tensor mask, int64_t batch);

#endif
