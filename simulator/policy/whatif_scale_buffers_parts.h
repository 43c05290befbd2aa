/* SPDX-License-Identifier: MIT
 *
 * New sizes of buffers (private to this folder).
 *
 *   blocks ───► which requests fit a recorded block    whatif_scale_blocks.c
 *   by shape ─► tensors of the operators around        whatif_scale_by_shape.c
 *   by size ──► what divides the bytes                 whatif_scale_by_size.c
 *   buffers ──► which of them is believed              whatif_scale_buffers.c
 */
#ifndef PS_POLICY_WHATIF_SCALE_BUFFERS_PARTS_H
#define PS_POLICY_WHATIF_SCALE_BUFFERS_PARTS_H

#include "policy/whatif_scale_parts.h"

/** How well a request explains the recorded bytes, worst first. */
typedef enum ps_block_fit {
    PS_FIT_NONE = 0,
    PS_FIT_LOOSE, /* fits a block that was not split */
    PS_FIT_EXACT,
} ps_block_fit;

/** What a buffer grows with, as far as found. */
typedef struct ps_scaled_buffer {
    ps_block_fit fit;
    ps_growth growth;
    uint64_t new_bytes;
} ps_scaled_buffer;

/** State of scaling the buffers. */
typedef struct ps_buffer_stage {
    ps_scaling *scaling;
    ps_idmap score_bytes; /* sizes that a softmax made */
    ps_idmap fixed_bytes; /* sizes of parameters */
    bool is_block;        /* sizes recorded of the device at hand are blocks */
} ps_buffer_stage;

/** How well a request of `wanted` bytes explains `bytes` recorded ones. */
ps_block_fit ps__block_fit(bool is_block, uint64_t wanted, uint64_t bytes);

/** Largest multiple of `unit` that explains `bytes` exactly; 0: there is none. */
uint64_t ps__block_multiple(bool is_block, uint64_t bytes, uint64_t unit);

/** true where divisibility by `unit` says something; nearly every block is a multiple of a small
 * one. */
bool ps__block_is_telling(bool is_block, uint64_t unit);

/**
 * Explains the bytes requested at a row of the memory table by tensors that the operators open then
 * were given or made, and, where looks_ahead, those that follow.
 *
 * @param maker  the operator that the request is credited to, or PS_SCALING_NO_RANGE
 * @return fit PS_FIT_NONE where no tensor explains it
 */
ps_scaled_buffer ps__explain_by_shape(const ps_buffer_stage *self, uint32_t row, uint64_t bytes,
                                      bool looks_ahead, uint32_t *maker);

/** Notes the sizes of parameters, and those that a softmax made. */
ps_code ps__note_sizes(ps_buffer_stage *self, ps_error *err) PS_MUST_USE;

/** Explains the bytes of buffer `b` by what divides them; growth PS_GROWTH_UNDECIDED where blocks
 * are too coarse to tell. */
ps_scaled_buffer ps__explain_by_size(const ps_buffer_stage *self, size_t b, uint64_t bytes);

/** Bytes that grow as said. */
ps_scaled_buffer ps__grow_as(const ps_buffer_stage *self, ps_growth growth, uint64_t bytes);

/** Label of a buffer of the plan. */
const char *ps__scaling_label(const ps_scaling *self, size_t b);

/** Roles whose tensors no batch and no sequence makes larger. */
bool ps__is_model_role(ps_role role);

#endif
