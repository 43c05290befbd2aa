/* SPDX-License-Identifier: MIT
 *
 * What `peakstep plan` is asked, and the simulation behind every trial of its
 * search.
 */
#ifndef PS_TOOLS_SEARCH_CASE_H
#define PS_TOOLS_SEARCH_CASE_H

#include "cli/options.h"
#include "megatron_case.h"
#include "model_recipe.h"
#include "result/result.h"
#include "search/search.h"

/** Adapters of this rank where nobody names one: peft's examples and most recipes have it. */
#define PS_SEARCH_LORA_RANK 16

/** A model, a machine and everything that is given. */
typedef struct ps_search_case {
    const ps_args *args; /* borrowed */
    const ps_catalogue *catalogue;
    ps_model_config *config;
    ps_model_machine machine;
    ps_model_recipe recipe; /* of other frameworks than Megatron */
    ps_megatron_recipe megatron;
    ps_megatron_shape shape;
    bool has_megatron;
    char no_megatron[PS_SEARCH_WHY_BYTES]; /* else: why not */
    const char *dtype;                     /* word of --dtype, given or chosen */
    uint64_t margin;                       /* [millionths] of the capacity that stay free */
    uint64_t host_bytes; /* memory of a node, in place of what the options say; 0: as they say */
} ps_search_case;

/**
 * Reads what the options say.
 *
 * @param input  a config.json or a model's name
 * @param out    release with ps_search_case_fini, also after a failure
 * @return PS_OK · PS_USAGE · PS_NOT_FOUND · PS_BAD_INPUT
 */
ps_code ps_search_case_read(const char *input, const ps_args *args, const ps_catalogue *catalogue,
                            ps_search_case *out, ps_error *err) PS_MUST_USE;

void ps_search_case_fini(ps_search_case *self);

/** What there is to choose from. */
ps_search_space ps_search_case_space(const ps_search_case *self);

/** What a step has to train on. */
ps_search_batch_rule ps_search_case_rule(const ps_search_case *self);

/** Tokens of a sequence. */
int64_t ps_search_case_length(const ps_search_case *self);

/** ps_search_evaluate by simulation; the context is a ps_search_case. */
ps_code ps_search_case_evaluate(void *context, const ps_search_point *point, bool in_full,
                                ps_search_outcome *out, ps_error *err) PS_MUST_USE;

#endif
