/* SPDX-License-Identifier: MIT
 *
 * Parts of reading a recipe (private to model_recipe*.c).
 *
 *   lora ─────► adapters, and the weights below them    model_recipe_lora.c
 *   policies ─► where parameters lie, who shares them   model_recipe_policy.c
 *   lengths ──► of the batches                          model_recipe_lengths.c
 *   recipe ───► all options                             model_recipe.c
 *
 * Each function that reads returns PS_OK · PS_USAGE with one sentence · PS_NOMEM.
 */
#ifndef PS_TOOLS_MODEL_RECIPE_PARTS_H
#define PS_TOOLS_MODEL_RECIPE_PARTS_H

#include "model_recipe.h"

/** A quantity, or what stands for it when the option is absent. */
static inline int64_t ps__recipe_number(const ps_args *args, const char *name, int64_t fallback)
{
    return ps_args_has(args, name) ? (int64_t)ps_args_quantity(args, name) : fallback;
}

/** Modules that get adapters, their dropout and type; --lora itself is a quantity like others. */
ps_code ps__recipe_read_lora(const ps_args *args, ps_model_recipe *out, ps_error *err) PS_MUST_USE;

/** --quantize. */
ps_code ps__recipe_read_quantize(const ps_args *args, ps_recipe *out, ps_error *err) PS_MUST_USE;

/** All --policy, --tp, and the settings of --scheme-option. */
ps_code ps__recipe_read_policies(const ps_args *args, ps_recipe *out, ps_error *err) PS_MUST_USE;

/** Word of a policy on the command line. */
const char *ps__recipe_policy_word(ps_train_policy policy);

/** --lengths; steps, micro-batches, batch and length of the recipe are set. */
ps_code ps__recipe_read_lengths(const ps_args *args, ps_model_recipe *out,
                                ps_error *err) PS_MUST_USE;

#endif
