/* SPDX-License-Identifier: MIT
 *
 * A workload from a model's configuration and a training recipe: the script
 * runs on the eager model, and what it asks for becomes rows.
 */
#ifndef PS_WORKLOAD_BUILD_H
#define PS_WORKLOAD_BUILD_H

#include "workload/script/train.h"
#include "workload/workload.h"

/** What to build. */
typedef struct ps_build {
    const char *name; /* of the model, shown to people */
    const ps_model_config *config;
    const ps_recipe *recipe;
    ps_train_device device;
} ps_build;

/**
 * Builds the workload of a training run: load, then recipe->steps steps, the first of which makes
 * the optimizer's state.
 *
 * @param out  owned by the caller
 * @return PS_OK · PS_NOT_FOUND a model_type that no family reads · PS_BAD_INPUT a configuration
 *         that cannot be · PS_USAGE a recipe that cannot be · PS_LIMIT · PS_NOMEM
 */
ps_code ps_build_workload(const ps_build *what, ps_workload **out, ps_error *err) PS_MUST_USE;

/* Facts that a build sets besides those of workload.h. */
#define PS_WORKLOAD_META_PARAMETERS "parameters" /* all of the model's */
#define PS_WORKLOAD_META_TRAINED "trained-parameters"
#define PS_WORKLOAD_META_RECIPE "recipe" /* in words; set by whoever knows them */
#define PS_WORKLOAD_META_TOKENS "tokens-per-step"

#endif
