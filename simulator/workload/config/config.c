/* SPDX-License-Identifier: MIT
 *
 * Configurations: filling them, and look-ups that check.
 */
#include "workload/config/config.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/memory.h"
#include "base/source.h"
#include "workload/config/config_store.h"

/* Values of one configuration; a vocabulary of labels has some thousand. */
#define MAX_ENTRIES ((size_t)1 << 20)

ps_code ps_model_config_create(const char *name, ps_model_config **out, ps_error *err)
{
    ps_model_config *self = ps_calloc(1, sizeof *self);
    if (self == NULL) {
        return ps_fail_nomem(err);
    }
    ps_idmap_init(&self->entry_by_path);
    self->strings = ps_strings_create();
    self->name = ps_calloc(strlen(name) + 1, 1);
    if (self->strings == NULL || self->name == NULL) {
        ps_model_config_destroy(self);
        return ps_fail_nomem(err);
    }
    memcpy(self->name, name, strlen(name) + 1);
    *out = self;
    return PS_OK;
}

void ps_model_config_destroy(ps_model_config *self)
{
    if (self == NULL) {
        return;
    }
    ps_idmap_fini(&self->entry_by_path);
    ps_strings_destroy(self->strings);
    ps_free(self->name);
    ps_free(self->entry);
    ps_free(self);
}

const char *ps_model_config_name(const ps_model_config *self)
{
    return self->name;
}

/* ---- filling ---- */

typedef struct filling {
    ps_model_config *config;
    ps_str origin;
} filling;

static ps_code take_value(void *context, const char *path, const ps_config_value *value,
                          ps_error *err)
{
    filling *self = context;
    ps_model_config *config = self->config;
    ps_str path_id;
    ps_config_entry made = {.kind = value->kind,
                            .truth = value->truth,
                            .integer = value->integer,
                            .number = value->number,
                            .count = value->count,
                            .origin = self->origin};
    PS_TRY(ps_strings_put_z(config->strings, path, &path_id, err));
    if (ps_idmap_get(&config->entry_by_path, path_id) != PS_IDMAP_NONE) {
        return ps_fail(err, PS_BAD_INPUT, "%.200s: %.100s is there twice",
                       ps_model_config_name(config), path);
    }
    if (value->kind == PS_CONFIG_TEXT) {
        PS_TRY(ps_strings_put(config->strings, value->text, value->text_bytes, &made.text, err));
    }
    PS_TRY(ps_grow((void **)&config->entry, &config->entry_capacity, config->entry_count + 1,
                   MAX_ENTRIES, sizeof *config->entry, err));
    config->entry[config->entry_count] = made;
    PS_TRY(ps_idmap_put(&config->entry_by_path, path_id, (uint32_t)config->entry_count, err));
    config->entry_count++;
    return PS_OK;
}

ps_code ps_model_config_add(ps_model_config *self, const char *root, const void *bytes,
                            size_t count, const char *origin, ps_error *err)
{
    filling state = {.config = self};
    PS_TRY(ps_strings_put_z(self->strings, origin, &state.origin, err));
    return ps_config_json_walk(ps_model_config_name(self), root, bytes, count, take_value, &state,
                               err);
}

ps_code ps_model_config_read_memory(const char *name, const void *bytes, size_t count,
                                    ps_model_config **out, ps_error *err)
{
    ps_model_config *made;
    if (count > PS_CONFIG_MAX_BYTES) {
        return ps_fail(err, PS_LIMIT, "%.200s is longer than a configuration can be (4 MiB)", name);
    }
    PS_TRY(ps_model_config_create(name, &made, err));
    const ps_code code = ps_model_config_add(made, "", bytes, count, "given: the file", err);
    if (code != PS_OK) {
        ps_model_config_destroy(made);
        return code;
    }
    *out = made;
    return PS_OK;
}

/* Reads up to one byte more than a configuration can have; the block is owned by the caller. */
static ps_code read_all(ps_source *source, char *bytes, size_t *count, ps_error *err)
{
    size_t got = 0;
    do {
        PS_TRY(ps_source_read(source, bytes + *count, PS_CONFIG_MAX_BYTES + 1 - *count, &got, err));
        *count += got;
    } while (got > 0);
    return PS_OK;
}

/* The file itself, or the one in the folder of a model. */
static ps_code file_of(const char *path, char out[PATH_MAX], ps_error *err)
{
    struct stat info;
    const bool is_folder = stat(path, &info) == 0 && S_ISDIR(info.st_mode);
    const int bytes = snprintf(out, PATH_MAX, "%s%s", path, is_folder ? "/config.json" : "");
    return bytes < PATH_MAX ? PS_OK
                            : ps_fail_errno(err, ENAMETOOLONG, "cannot open %.80s...", path);
}

ps_code ps_model_config_read(const char *path, ps_model_config **out, ps_error *err)
{
    char file[PATH_MAX];
    PS_TRY(file_of(path, file, err));
    ps_source *source;
    size_t count = 0;
    PS_TRY(ps_source_open(file, &source, err));
    char *bytes = ps_calloc(PS_CONFIG_MAX_BYTES + 1, 1);
    ps_code code = bytes == NULL ? ps_fail_nomem(err) : read_all(source, bytes, &count, err);
    ps_source_close(source);
    if (code == PS_OK) {
        code = ps_model_config_read_memory(file, bytes, count, out, err);
    }
    ps_free(bytes);
    return code;
}

/* ---- look-ups ---- */

static const ps_config_entry *find(const ps_model_config *self, const char *key)
{
    const int64_t id = ps_strings_find(self->strings, key, strlen(key));
    const uint32_t at = id < 0 ? PS_IDMAP_NONE : ps_idmap_get(&self->entry_by_path, (uint64_t)id);
    return at == PS_IDMAP_NONE ? NULL : &self->entry[at];
}

/* The entry unless it is null. */
static const ps_config_entry *find_value(const ps_model_config *self, const char *key)
{
    const ps_config_entry *entry = find(self, key);
    return entry == NULL || entry->kind == PS_CONFIG_NULL ? NULL : entry;
}

/* What stands in the file, for messages. */
static const char *words_of(const ps_model_config *self, const ps_config_entry *entry, char out[96])
{
    switch (entry->kind) {
    case PS_CONFIG_NULL:
        return "null";
    case PS_CONFIG_BOOL:
        return entry->truth ? "true" : "false";
    case PS_CONFIG_INT:
        (void)snprintf(out, 96, "%lld", (long long)entry->integer);
        return out;
    case PS_CONFIG_NUMBER:
        (void)snprintf(out, 96, "%.6g", entry->number);
        return out;
    case PS_CONFIG_TEXT:
        (void)snprintf(out, 96, "\"%.80s\"", ps_strings_text(self->strings, entry->text));
        return out;
    case PS_CONFIG_LIST:
        return "a list";
    case PS_CONFIG_OBJECT:
        break;
    }
    return "an object";
}

static ps_code refuse(const ps_model_config *self, const char *key, const ps_config_entry *entry,
                      const char *wanted, ps_error *err)
{
    char words[96];
    return ps_fail(err, PS_BAD_INPUT, "%.200s: %.100s is %s, must be %s",
                   ps_model_config_name(self), key, words_of(self, entry, words), wanted);
}

bool ps_config_has(const ps_model_config *self, const char *key)
{
    return find(self, key) != NULL;
}

bool ps_config_is_null(const ps_model_config *self, const char *key)
{
    const ps_config_entry *entry = find(self, key);
    return entry != NULL && entry->kind == PS_CONFIG_NULL;
}

const char *ps_config_origin(const ps_model_config *self, const char *key)
{
    const ps_config_entry *entry = find(self, key);
    return entry == NULL ? NULL : ps_strings_text(self->strings, entry->origin);
}

static ps_code int_of(const ps_model_config *self, const char *key, const ps_config_entry *entry,
                      int64_t min, int64_t max, int64_t *out, ps_error *err)
{
    char range[80];
    if (entry->kind != PS_CONFIG_INT) {
        return refuse(self, key, entry, "a whole number", err);
    }
    if (entry->integer < min || entry->integer > max) {
        (void)snprintf(range, sizeof range, "%lld .. %lld", (long long)min, (long long)max);
        return refuse(self, key, entry, range, err);
    }
    *out = entry->integer;
    return PS_OK;
}

ps_code ps_config_int(const ps_model_config *self, const char *key, int64_t fallback, int64_t min,
                      int64_t max, int64_t *out, ps_error *err)
{
    const ps_config_entry *entry = find_value(self, key);
    if (entry == NULL) {
        *out = fallback;
        return PS_OK;
    }
    return int_of(self, key, entry, min, max, out, err);
}

ps_code ps_config_need_int(const ps_model_config *self, const char *key, int64_t min, int64_t max,
                           int64_t *out, ps_error *err)
{
    const ps_config_entry *entry = find_value(self, key);
    if (entry == NULL) {
        return ps_fail(err, PS_BAD_INPUT, "%.200s does not tell %.100s", ps_model_config_name(self),
                       key);
    }
    return int_of(self, key, entry, min, max, out, err);
}

ps_code ps_config_number(const ps_model_config *self, const char *key, double fallback, double min,
                         double max, double *out, ps_error *err)
{
    char range[80];
    const ps_config_entry *entry = find_value(self, key);
    if (entry == NULL) {
        *out = fallback;
        return PS_OK;
    }
    if (entry->kind != PS_CONFIG_INT && entry->kind != PS_CONFIG_NUMBER) {
        return refuse(self, key, entry, "a number", err);
    }
    if (entry->number < min || entry->number > max) {
        (void)snprintf(range, sizeof range, "%.6g .. %.6g", min, max);
        return refuse(self, key, entry, range, err);
    }
    *out = entry->number;
    return PS_OK;
}

ps_code ps_config_bool(const ps_model_config *self, const char *key, bool fallback, bool *out,
                       ps_error *err)
{
    const ps_config_entry *entry = find_value(self, key);
    if (entry != NULL && entry->kind != PS_CONFIG_BOOL) {
        return refuse(self, key, entry, "true or false", err);
    }
    *out = entry == NULL ? fallback : entry->truth;
    return PS_OK;
}

ps_code ps_config_text(const ps_model_config *self, const char *key, const char *fallback,
                       const char **out, ps_error *err)
{
    const ps_config_entry *entry = find_value(self, key);
    if (entry != NULL && entry->kind != PS_CONFIG_TEXT) {
        return refuse(self, key, entry, "a text", err);
    }
    *out = entry == NULL ? fallback : ps_strings_text(self->strings, entry->text);
    return PS_OK;
}

ps_code ps_config_count(const ps_model_config *self, const char *key, size_t *out, ps_error *err)
{
    const ps_config_entry *entry = find_value(self, key);
    if (entry != NULL && entry->kind != PS_CONFIG_LIST) {
        return refuse(self, key, entry, "a list", err);
    }
    *out = entry == NULL ? 0 : entry->count;
    return PS_OK;
}

ps_code ps_config_check_divides(const ps_model_config *self, const char *key, int64_t value,
                                const char *part_key, int64_t parts, ps_error *err)
{
    if (parts > 0 && value % parts == 0) {
        return PS_OK;
    }
    return ps_fail(err, PS_BAD_INPUT, "%.200s: %.100s, %lld, is not a multiple of %.100s, %lld",
                   ps_model_config_name(self), key, (long long)value, part_key, (long long)parts);
}
