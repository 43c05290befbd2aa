/* SPDX-License-Identifier: MIT
 *
 * Settings by name: overlap, communicate_optimize_method and
 * precision_on_offloading_device are ZO2's; reuse_memory, fused_update and
 * wait_for_offload switch off what it does, or what it leaves out. Its
 * offloading_blocks is a list; here it is a range, FIRST-LAST.
 */
#include "zo2_options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEY_BYTES 40u
#define BLOCKS "offloading_blocks="
#define MAX_BLOCK 1000000

/* One value of one key; `set` stores it. */
typedef struct choice {
    const char *key, *value;
    void (*set)(ps_zo2_settings *out, const char *value);
} choice;

static void set_overlap(ps_zo2_settings *out, const char *value)
{
    out->is_serial = strcmp(value, "false") == 0;
}

static void set_method(ps_zo2_settings *out, const char *value)
{
    out->is_bucket = strcmp(value, "bucket") == 0;
}

static void set_precision(ps_zo2_settings *out, const char *value)
{
    out->has_host_dtype = true;
    out->host_dtype = strcmp(value, "fp32") == 0   ? PS_DTYPE_F32
                      : strcmp(value, "fp16") == 0 ? PS_DTYPE_F16
                                                   : PS_DTYPE_BF16;
}

static void set_reuse(ps_zo2_settings *out, const char *value)
{
    out->asks_driver = strcmp(value, "false") == 0;
}

static void set_fused(ps_zo2_settings *out, const char *value)
{
    out->updates_apart = strcmp(value, "false") == 0;
}

static void set_wait(ps_zo2_settings *out, const char *value)
{
    out->waits_for_offload = strcmp(value, "true") == 0;
}

static const choice choices[] = {
    {"overlap", "true", set_overlap},
    {"overlap", "false", set_overlap},
    {"communicate_optimize_method", "none", set_method},
    {"communicate_optimize_method", "bucket", set_method},
    {"precision_on_offloading_device", "fp32", set_precision},
    {"precision_on_offloading_device", "fp16", set_precision},
    {"precision_on_offloading_device", "bf16", set_precision},
    {"reuse_memory", "true", set_reuse},
    {"reuse_memory", "false", set_reuse},
    {"fused_update", "true", set_fused},
    {"fused_update", "false", set_fused},
    {"wait_for_offload", "true", set_wait},
    {"wait_for_offload", "false", set_wait},
};

static ps_code refuse_key(const char *text, ps_error *err)
{
    return ps_fail(err, PS_USAGE,
                   "--scheme-option \"%.60s\": zo2 has overlap, offloading_blocks, "
                   "communicate_optimize_method, precision_on_offloading_device, reuse_memory, "
                   "fused_update, wait_for_offload",
                   text);
}

static bool read_number(const char **at, int64_t *out)
{
    char *end;
    *out = strtoll(*at, &end, 10);
    const bool is_read = **at >= '0' && **at <= '9' && end != *at && *out < MAX_BLOCK;
    *at = end;
    return is_read;
}

/* FIRST-LAST, both counted from 0. */
static ps_code read_blocks(const char *text, ps_zo2_settings *out, ps_error *err)
{
    const char *at = text + sizeof BLOCKS - 1;
    out->has_blocks = read_number(&at, &out->first_block) && *at == '-';
    at += out->has_blocks;
    if (!out->has_blocks || !read_number(&at, &out->last_block) || *at != '\0' ||
        out->last_block < out->first_block) {
        return ps_fail(err, PS_USAGE,
                       "--scheme-option \"%.60s\": expected " BLOCKS
                       "FIRST-LAST, blocks counted from 0",
                       text);
    }
    return PS_OK;
}

static ps_code refuse_value(const char *text, const char *key, ps_error *err)
{
    char values[KEY_BYTES] = "";
    for (size_t i = 0; i < sizeof choices / sizeof choices[0]; i++) {
        const size_t used = strlen(values);
        if (strcmp(choices[i].key, key) == 0) {
            (void)snprintf(values + used, sizeof values - used, "%s%s", used == 0 ? "" : ", ",
                           choices[i].value);
        }
    }
    return ps_fail(err, PS_USAGE, "--scheme-option \"%.60s\": %s is one of %s", text, key, values);
}

static ps_code read_one(const char *text, ps_zo2_settings *out, ps_error *err)
{
    const char *equals = strchr(text, '=');
    const size_t length = equals == NULL ? strlen(text) : (size_t)(equals - text);
    const char *key = NULL;
    if (strncmp(text, BLOCKS, sizeof BLOCKS - 1) == 0) {
        return read_blocks(text, out, err);
    }
    for (size_t i = 0; i < sizeof choices / sizeof choices[0]; i++) {
        const choice *of = &choices[i];
        if (strlen(of->key) != length || strncmp(of->key, text, length) != 0) {
            continue;
        }
        key = of->key;
        if (equals != NULL && strcmp(equals + 1, of->value) == 0) {
            of->set(out, of->value);
            return PS_OK;
        }
    }
    return key == NULL ? refuse_key(text, err) : refuse_value(text, key, err);
}

ps_code ps_zo2_options_read(const ps_args *args, ps_zo2_settings *out, ps_error *err)
{
    for (size_t i = 0; i < ps_args_count(args, "scheme-option"); i++) {
        PS_TRY(read_one(ps_args_at(args, "scheme-option", i), out, err));
    }
    return PS_OK;
}
