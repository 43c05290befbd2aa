/* SPDX-License-Identifier: MIT
 *
 * JSON text -> values by path, over simdjson. config_json.cpp is the C++ file
 * behind this header.
 */
#ifndef PS_WORKLOAD_CONFIG_JSON_H
#define PS_WORKLOAD_CONFIG_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

typedef enum ps_config_kind {
    PS_CONFIG_NULL,
    PS_CONFIG_BOOL,
    PS_CONFIG_INT,    /* whole, without fraction or exponent */
    PS_CONFIG_NUMBER, /* other decimal numbers */
    PS_CONFIG_TEXT,
    PS_CONFIG_LIST,
    PS_CONFIG_OBJECT,
} ps_config_kind;

/** One value; lists and objects are told before their items. */
typedef struct ps_config_value {
    ps_config_kind kind;
    bool truth;
    int64_t integer;  /* saturated */
    double number;    /* INT and NUMBER */
    const char *text; /* not terminated; borrowed for the call */
    size_t text_bytes;
    uint32_t count; /* items of a list, members of an object */
} ps_config_value;

/** Called once a value, in the order of the text; anything but PS_OK ends the walk. */
typedef ps_code (*ps_config_take)(void *context, const char *path, const ps_config_value *value,
                                  ps_error *err);

/** [bytes] of the longest path, terminator included. */
#define PS_CONFIG_PATH_BYTES 512

/**
 * Walks all values of a JSON text.
 *
 * @param name  what messages call the text
 * @param root  path of the whole text; "": the text must be an object, and is not told itself
 * @return PS_OK · PS_BAD_INPUT no JSON, no object, too deep, a key with a NUL or too long ·
 *         PS_NOMEM · what `take` returned
 */
ps_code ps_config_json_walk(const char *name, const char *root, const void *bytes, size_t count,
                            ps_config_take take, void *context, ps_error *err) PS_MUST_USE;

#endif
