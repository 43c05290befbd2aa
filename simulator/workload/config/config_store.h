/* SPDX-License-Identifier: MIT
 *
 * What a configuration holds, flat: one entry a value, found by its path.
 * Shared by config.c and the catalogue of models.
 */
#ifndef PS_WORKLOAD_CONFIG_STORE_H
#define PS_WORKLOAD_CONFIG_STORE_H

#include "base/idmap.h"
#include "base/strings.h"
#include "workload/config/config.h"
#include "workload/config/config_json.h"

typedef struct ps_config_entry {
    ps_config_kind kind;
    bool truth;
    int64_t integer;
    double number;
    ps_str text;
    uint32_t count;
    ps_str origin;
} ps_config_entry;

struct ps_model_config {
    char *name; /* not one of `strings`, whose texts move while messages may need it */
    ps_strings *strings;
    ps_idmap entry_by_path; /* id of the path -> entry */
    ps_config_entry *entry;
    size_t entry_count, entry_capacity;
};

/** Empty configuration of that name. PS_OK · PS_NOMEM */
ps_code ps_model_config_create(const char *name, ps_model_config **out, ps_error *err) PS_MUST_USE;

/**
 * Adds all values of a JSON text under the path `root` ("": the text is an
 * object, its members are added).
 *
 * @return as ps_config_json_walk · PS_BAD_INPUT a path that is there already
 */
ps_code ps_model_config_add(ps_model_config *self, const char *root, const void *bytes,
                            size_t count, const char *origin, ps_error *err) PS_MUST_USE;

#endif
