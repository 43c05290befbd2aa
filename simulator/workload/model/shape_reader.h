/* SPDX-License-Identifier: MIT
 *
 * Figures of a configuration, read one after the other as a family asks for them.
 */
#ifndef PS_WORKLOAD_SHAPE_READER_H
#define PS_WORKLOAD_SHAPE_READER_H

#include "workload/model/modules.h"

/** Reads figures one after the other; the first failure is kept in `code`. */
typedef struct ps_shape_reader {
    const ps_model_config *config;
    ps_error *err;
    ps_code code;
} ps_shape_reader;

/** A size, 1 .. 2^31; `fallback` when absent (0: it must be there). */
int64_t ps_shape_size(ps_shape_reader *self, const char *key, int64_t fallback);
/** Two names of one thing: the first that is there. */
int64_t ps_shape_size_or(ps_shape_reader *self, const char *key, const char *other,
                         int64_t fallback);
bool ps_shape_flag(ps_shape_reader *self, const char *key, bool fallback);
/** A probability, 0 .. 1. */
double ps_shape_share(ps_shape_reader *self, const char *key, double fallback);
/** A text; borrowed from the configuration. */
const char *ps_shape_text(ps_shape_reader *self, const char *key, const char *fallback);
ps_activation ps_shape_activation(ps_shape_reader *self, const char *key, const char *fallback);
/** The activation of a word that `key` was found to hold. */
ps_activation ps_shape_activation_named(ps_shape_reader *self, const char *key, const char *word);
/** Refuses the first of the flags that is true: what it asks for is not modelled. */
void ps_shape_refuse(ps_shape_reader *self, const char *const *flags, size_t count);
/** A flag that is not modelled: true is refused with a sentence. */
void ps_shape_refuse_flag(ps_shape_reader *self, const char *key);
/** output_attentions and output_hidden_states are refused; returns use_cache. */
bool ps_shape_outputs(ps_shape_reader *self);
/** whole % parts == 0, or a sentence with both names. */
void ps_shape_divides(ps_shape_reader *self, const char *whole_name, int64_t whole,
                      const char *parts_name, int64_t parts);

#endif
