/* SPDX-License-Identifier: MIT
 *
 * Weights of linear modules in 4 bits, as bitsandbytes' Linear4bit holds them
 * and works with them (private to this folder).
 *
 *   packed   two weights a byte
 *   scale    one for each block of 64 weights: 32 bits, or (double quantisation) a byte, with
 *            the mean of all and a 32-bit scale for each block of 256 scales
 *   code     the 16 numbers that 4 bits stand for, of every module its own; double: also 256
 *            that bytes stand for, once
 *
 * Nothing of it is trained. A product makes the whole weight wide, uses it and drops it; backward
 * does so again.
 */
#ifndef PS_WORKLOAD_QUANTIZED_H
#define PS_WORKLOAD_QUANTIZED_H

#include "workload/model/modules.h"

/** Weights that share a scale, and scales that do. */
#define PS_QUANTIZED_BLOCK 64
#define PS_QUANTIZED_SCALE_BLOCK 256

/** Type in which weights are loaded, before they are quantized: autocast's, if there is one. */
ps_dtype ps_quantized_loaded_type(const ps_recipe *recipe);

/** A weight comes to the device and is packed there; the packed one, which the model owns. */
ps_tensor ps_quantized_make(ps_model *m, int64_t elements);

/** Linear4bit's forward, x @ weight.T + bias in the type of x; `with` is quantized. */
ps_tensor ps_quantized_run(ps_model *m, const ps_linear *with, ps_tensor x);

/**
 * prepare_model_for_kbit_training: after the load, what is not quantized is made 32 bits wide, one
 * parameter after the other. Where the recipe has autocast; models without it are used as loaded.
 */
void ps_quantized_prepare(ps_model *m);

/** Refuses what cannot be quantized. PS_OK · PS_USAGE */
ps_code ps_quantized_check(const ps_recipe *recipe, ps_error *err) PS_MUST_USE;

#endif
