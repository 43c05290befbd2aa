/* SPDX-License-Identifier: MIT
 *
 * `peakstep plan --chooser llmem`: LLMem's own answer.
 */
#ifndef PS_TOOLS_LLMEM_CHOOSER_H
#define PS_TOOLS_LLMEM_CHOOSER_H

#include "cli/options.h"
#include "cli/output.h"
#include "cluster/catalogue.h"

/**
 * Chooses by LLMem's Algorithm 1 and prints what it weighed.
 *
 * @return PS_OK · PS_DEVICE_FULL nothing fits · PS_USAGE an option that the estimator knows nothing
 *         of · as reading the model and the machine can fail
 */
ps_code ps_llmem_chooser(const ps_args *args, const ps_catalogue *catalogue, ps_output *out,
                         ps_error *err) PS_MUST_USE;

#endif
