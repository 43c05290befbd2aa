/* SPDX-License-Identifier: MIT
 *
 * llmem.csv: the figures of LLMem's estimator, built into the program.
 */
#ifndef PS_SEARCH_LLMEM_FIGURES_H
#define PS_SEARCH_LLMEM_FIGURES_H

#include "base/status.h"
#include "cluster/builtin.h"

extern const ps_builtin_file ps_llmem_files[];
extern const size_t ps_llmem_file_count;

/** What the estimator takes as given. */
typedef struct ps_llmem_figures {
    uint64_t page_bytes;                        /* that every tensor is rounded up to */
    uint64_t id_bytes, half_bytes, float_bytes; /* of an element */
    uint64_t base_bytes;                        /* on the device beside chunks and tensors */
    uint64_t score_cdp, score_adp, score_tp, score_dp_tp; /* [halves] weights of a sequence */
    bool has_wide_logits; /* the model that was asked about casts them to 32 bits */
} ps_llmem_figures;

/**
 * Reads the figures for a family of models.
 *
 * @return PS_OK · PS_BAD_INPUT a row that is none · PS_NOMEM
 */
ps_code ps_llmem_figures_read(const char *model_type, ps_llmem_figures *out,
                              ps_error *err) PS_MUST_USE;

#endif
