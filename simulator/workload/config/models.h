/* SPDX-License-Identifier: MIT
 *
 * The catalogue of published models: the figures of their config.json that
 * decide shapes and kernels, so that a model can be named instead of a file.
 *
 * It is CSV text, one figure a row:
 *
 *   model,key,value,origin
 *   openai-community/gpt2,n_layer,12,published: default of GPT2Config
 *   openai-community/gpt2-medium,like,openai-community/gpt2,
 *
 * Keys are those of config.json, of nested objects with dots. Values are JSON;
 * a text needs no quotes. "like" names an earlier model that supplies what is
 * not stated; null takes an inherited object away, a dotted key an inherited
 * null. "alias" is another name.
 * An origin begins with its quality, as in the hardware catalogue. Lines that
 * begin with # are comments.
 */
#ifndef PS_WORKLOAD_MODELS_H
#define PS_WORKLOAD_MODELS_H

#include "workload/config/config.h"

typedef struct ps_models ps_models;

/** The built-in catalogue. PS_OK · PS_NOMEM */
ps_code ps_models_create(ps_models **out, ps_error *err) PS_MUST_USE;

/**
 * A catalogue of a text of that form; `name` stands in messages. All copied.
 *
 * @return PS_OK · PS_NOMEM · PS_LIMIT · PS_BAD_INPUT with "name:line:" and what is wrong: a column
 *         missing, an unknown quality, a key stated twice, a name that two models have, "like" that
 *         names no earlier model
 */
ps_code ps_models_create_from(const char *name, const void *bytes, size_t count, ps_models **out,
                              ps_error *err) PS_MUST_USE;

/** NULL is fine. */
void ps_models_destroy(ps_models *self);

/** Number of models, in the order of the catalogue. */
uint32_t ps_models_count(const ps_models *self);

/** "openai-community/gpt2"; borrowed until destroy. */
const char *ps_models_name(const ps_models *self, uint32_t model);

/**
 * The configuration of a model, as if read from its config.json; owned by the
 * caller, lives on without the catalogue.
 *
 * @param name  the model's name or an alias, with or without the owner before
 *              the slash; case, blanks and punctuation do not count, save the
 *              point in a number
 * @return PS_OK · PS_NOMEM · PS_NOT_FOUND with the nearest names · PS_BAD_INPUT a value that is no JSON
 */
ps_code ps_models_find(const ps_models *self, const char *name, ps_model_config **out,
                       ps_error *err) PS_MUST_USE;

#endif
