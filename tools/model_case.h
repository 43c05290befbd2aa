/* SPDX-License-Identifier: MIT
 *
 * Models as input: a config.json, or the name of a published model.
 */
#ifndef PS_TOOLS_MODEL_CASE_H
#define PS_TOOLS_MODEL_CASE_H

#include "cli/options.h"
#include "job/ranks.h"
#include "model_machine.h"
#include "workload/config/config.h"
#include "workload/script/recipe.h"

/**
 * True when an input names a model: a file that is a model's configuration, or no file at all.
 * What no file and no model has for a name is told by ps_model_case_config.
 */
bool ps_model_case_is(const char *input);

/** Configuration that an input names. PS_OK · PS_NOT_FOUND with the nearest names · PS_BAD_INPUT */
ps_code ps_model_case_config(const char *input, ps_model_config **out, ps_error *err) PS_MUST_USE;

/** Builds a model's workloads, one for each kind of rank. Release with ps_ranks_fini. */
ps_code ps_model_case_build(const char *input, const ps_args *args, const ps_model_machine *machine,
                            ps_ranks *out, ps_error *err) PS_MUST_USE;

/** ps_model_case_build of a recipe that is there already; its ranks are the machine's GPUs. */
ps_code ps_model_case_build_recipe(const ps_model_config *config, const ps_recipe *recipe,
                                   const ps_model_machine *machine, ps_ranks *out,
                                   ps_error *err) PS_MUST_USE;

/** Workloads on a machine. PS_USAGE: of another number of GPUs than it has */
ps_code ps_model_case_lower(const ps_ranks *ranks, const ps_args *args,
                            const ps_catalogue *catalogue, const ps_model_machine *machine,
                            ps_plan **out, ps_error *err) PS_MUST_USE;

/** The catalogue of --catalogue. */
ps_code ps_model_case_catalogue(const ps_args *args, ps_catalogue **out, ps_error *err) PS_MUST_USE;

#endif
