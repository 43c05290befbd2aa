/* SPDX-License-Identifier: MIT
 *
 * Colossal-AI's Gemini on one device: parameters in 16 bits lie in chunks of one
 * size beside chunks of their 32-bit copies, gradients take the parameters'
 * place in their chunk, and one fused Adam keeps two 32-bit states a parameter,
 * made in its first step, each a tensor of its own.
 *
 *   chunks: parameters in order, first fit; a parameter far larger than the
 *   others (mean + 3 deviations) is left out of the search for the size, which
 *   takes the size with the least unused space, and has a chunk to itself
 */
#ifndef PS_WORKLOAD_GEMINI_H
#define PS_WORKLOAD_GEMINI_H

#include "workload/model/model.h"

/** Elements of the chunks that parameters go into, in order; a parameter beyond `size` fills one. */
typedef struct ps_gemini_layout {
    int64_t size; /* elements of an ordinary chunk */
    int64_t *chunk_elements;
    size_t *chunk_of; /* parameter */
    size_t chunk_count;
    bool is_small; /* all are one chunk, which is never divided */
} ps_gemini_layout;

/**
 * Lays parameters of given sizes into chunks.
 *
 * @param ranks  chunks are a multiple of
 * @param out  release with ps_gemini_layout_fini, also after a failure
 * @return PS_OK · PS_NOMEM
 */
ps_code ps_gemini_lay_out(const int64_t *elements, size_t count, int64_t ranks,
                          ps_gemini_layout *out, ps_error *err) PS_MUST_USE;
void ps_gemini_layout_fini(ps_gemini_layout *self);

/** Says why a recipe cannot be run by Gemini. PS_OK · PS_USAGE */
ps_code ps_gemini_check(const ps_recipe *recipe, ps_error *err);

/** Takes chunks and puts the model's parameters into them; from now on gradients go there too. */
ps_code ps_gemini_place(ps_model *m, ps_error *err);

/** Kernels of a step over `elements` parameters. */
void ps_gemini_tell_step(ps_eager *e, uint64_t elements);

/** The optimizer's step; the first makes the states. */
void ps_gemini_step(ps_model *m, bool is_first);

#endif
