/* SPDX-License-Identifier: MIT
 *
 * What the catalogue of models holds; shared by reading and looking up.
 *
 *   model ──row──► key, value, origin, in the order of the file
 *     └──like──► an earlier model, so there are no circles
 *   key of a name or an alias ──► model
 */
#ifndef PS_WORKLOAD_MODELS_STORE_H
#define PS_WORKLOAD_MODELS_STORE_H

#include "base/idmap.h"
#include "base/strings.h"
#include "workload/config/models.h"

#define PS_MODELS_NONE PS_IDMAP_NONE

typedef struct ps_model_row {
    uint32_t model;
    ps_str key, value, origin;
} ps_model_row;

typedef struct ps_model_entry {
    ps_str name;
    uint32_t like; /* model, or PS_MODELS_NONE */
} ps_model_entry;

/** A key people may type, with or without the owner. */
typedef struct ps_model_alias {
    ps_str key;
    uint32_t model;
} ps_model_alias;

struct ps_models {
    ps_strings *strings;
    ps_idmap model_by_key; /* id of an alias's key -> model */
    ps_model_entry *model;
    size_t model_count, model_capacity;
    ps_model_alias *alias;
    size_t alias_count, alias_capacity;
    ps_model_row *row;
    size_t row_count, row_capacity;
};

/** Model with that key, or PS_MODELS_NONE. */
uint32_t ps_models_of_key(const ps_models *self, const char *key);

/** Takes in a CSV text; see ps_models_create_from. */
ps_code ps_models_read(ps_models *self, const char *name, const void *bytes, size_t count,
                       ps_error *err) PS_MUST_USE;

#endif
