/* SPDX-License-Identifier: MIT
 *
 * The configuration of a model: what a Hugging Face config.json says, or what
 * the built-in catalogue (workload/models.h) knows of a published model.
 *
 * Values are looked up by dotted paths: "hidden_size", "rope_scaling.factor",
 * "text_config.hidden_size"; items of a list by their number:
 * "layer_types.3", "attention_types.0.0.1". A dot inside a key is no
 * separator, so such a key cannot be looked up.
 *
 * Each look-up checks type and range and tells the file, the key and what it
 * should have been in one sentence. A key that is absent or null has the
 * look-up's fallback, which need not lie in its range.
 */
#ifndef PS_WORKLOAD_CONFIG_H
#define PS_WORKLOAD_CONFIG_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/** [bytes] of the largest configuration; real ones have 1 to 20 kB. */
#define PS_CONFIG_MAX_BYTES ((size_t)4 << 20)

/** Objects and lists inside one another at most. */
#define PS_CONFIG_MAX_DEPTH 32u

typedef struct ps_model_config ps_model_config;

/**
 * Reads a config.json, or that of the folder of a model. gzip is undone on the fly.
 *
 * @return PS_OK · PS_IO · PS_NOMEM · PS_LIMIT too large · PS_BAD_INPUT no JSON object, a key twice,
 *         a text with a NUL; the message names the file
 */
ps_code ps_model_config_read(const char *path, ps_model_config **out, ps_error *err) PS_MUST_USE;

/** ps_model_config_read from memory; `name` stands in messages. All copied. */
ps_code ps_model_config_read_memory(const char *name, const void *bytes, size_t count,
                                    ps_model_config **out, ps_error *err) PS_MUST_USE;

/** NULL is fine. */
void ps_model_config_destroy(ps_model_config *self);

/** The file, or the catalogue's name of the model. Borrowed until destroy. */
const char *ps_model_config_name(const ps_model_config *self);

/** Whether the key is there, null or not. */
bool ps_config_has(const ps_model_config *self, const char *key);

/** Whether the key is there and null. */
bool ps_config_is_null(const ps_model_config *self, const char *key);

/** Where the value comes from: "given: the file", the catalogue's origin; NULL when it is absent. */
const char *ps_config_origin(const ps_model_config *self, const char *key);

/**
 * A whole number.
 *
 * @param min, max  least and greatest value the key may have
 * @param out       written only on PS_OK
 * @return PS_OK · PS_BAD_INPUT
 */
ps_code ps_config_int(const ps_model_config *self, const char *key, int64_t fallback, int64_t min,
                      int64_t max, int64_t *out, ps_error *err) PS_MUST_USE;

/** ps_config_int of a key that must be there and not null. */
ps_code ps_config_need_int(const ps_model_config *self, const char *key, int64_t min, int64_t max,
                           int64_t *out, ps_error *err) PS_MUST_USE;

/** A decimal number, whole ones included: dropout 0.1, rope_theta 1000000.0. */
ps_code ps_config_number(const ps_model_config *self, const char *key, double fallback, double min,
                         double max, double *out, ps_error *err) PS_MUST_USE;

ps_code ps_config_bool(const ps_model_config *self, const char *key, bool fallback, bool *out,
                       ps_error *err) PS_MUST_USE;

/** A text; *out is borrowed until destroy, or is the fallback (which may be NULL). */
ps_code ps_config_text(const ps_model_config *self, const char *key, const char *fallback,
                       const char **out, ps_error *err) PS_MUST_USE;

/** Items of a list; 0 when it is absent, null or empty. */
ps_code ps_config_count(const ps_model_config *self, const char *key, size_t *out,
                        ps_error *err) PS_MUST_USE;

/**
 * Refuses parts that do not divide a whole: 768 hidden elements, 7 heads.
 *
 * @param key, value    of the whole
 * @param part_key, parts  of how many parts it has
 * @return PS_OK · PS_BAD_INPUT also for parts <= 0
 */
ps_code ps_config_check_divides(const ps_model_config *self, const char *key, int64_t value,
                                const char *part_key, int64_t parts, ps_error *err) PS_MUST_USE;

#endif
