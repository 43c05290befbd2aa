/* SPDX-License-Identifier: MIT
 *
 * The catalogue of models: its life, names, and configurations made of rows.
 */
#include "workload/config/models.h"

#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "cluster/builtin.h"
#include "cluster/near_names.h"
#include "workload/config/config_store.h"
#include "workload/config/models_store.h"

static ps_code create_empty(ps_models **out, ps_error *err)
{
    ps_models *self = ps_calloc(1, sizeof *self);
    if (self == NULL) {
        return ps_fail_nomem(err);
    }
    ps_idmap_init(&self->model_by_key);
    self->strings = ps_strings_create();
    if (self->strings == NULL) {
        ps_free(self);
        return ps_fail_nomem(err);
    }
    *out = self;
    return PS_OK;
}

ps_code ps_models_create_from(const char *name, const void *bytes, size_t count, ps_models **out,
                              ps_error *err)
{
    ps_models *made = NULL;
    PS_TRY(create_empty(&made, err));
    const ps_code code = ps_models_read(made, name, bytes, count, err);
    if (code != PS_OK) {
        ps_models_destroy(made);
        return code;
    }
    *out = made;
    return PS_OK;
}

ps_code ps_models_create(ps_models **out, ps_error *err)
{
    const ps_builtin_file *file = &ps_model_files[0]; /* there is one */
    return ps_models_create_from(file->name, file->bytes, file->count, out, err);
}

void ps_models_destroy(ps_models *self)
{
    if (self == NULL) {
        return;
    }
    ps_idmap_fini(&self->model_by_key);
    ps_strings_destroy(self->strings);
    ps_free(self->model);
    ps_free(self->alias);
    ps_free(self->row);
    ps_free(self);
}

uint32_t ps_models_count(const ps_models *self)
{
    return (uint32_t)self->model_count;
}

const char *ps_models_name(const ps_models *self, uint32_t model)
{
    return ps_strings_text(self->strings, self->model[model].name);
}

uint32_t ps_models_of_key(const ps_models *self, const char *key)
{
    const int64_t id = ps_strings_find(self->strings, key, strlen(key));
    return id < 0 ? PS_MODELS_NONE : ps_idmap_get(&self->model_by_key, (uint64_t)id);
}

/* ---- a configuration made of rows ---- */

/* Is `key` the key `stated`, or inside the object that it states? */
static bool covers(const char *stated, const char *key)
{
    const size_t bytes = strlen(stated);
    return strncmp(stated, key, bytes) == 0 && (key[bytes] == '\0' || key[bytes] == '.');
}

/* Does a model between `model` and `base` in the line of "like" state the key anew, an object
 * around it, or a member of it (then the key was null)? */
static bool is_overridden(const ps_models *self, uint32_t model, uint32_t base, const char *key)
{
    for (size_t i = 0; i < self->row_count; i++) {
        const ps_model_row *row = &self->row[i];
        for (uint32_t at = model; at != base; at = self->model[at].like) {
            const char *stated = ps_strings_text(self->strings, row->key);
            if (row->model == at && (covers(stated, key) || covers(key, stated))) {
                return true;
            }
        }
    }
    return false;
}

/* Text without quotes is meant where JSON could not stand. */
static bool is_json(const char *value)
{
    return strchr("-0123456789[{\"", value[0]) != NULL || strcmp(value, "true") == 0 ||
           strcmp(value, "false") == 0 || strcmp(value, "null") == 0;
}

static ps_code add_text(ps_model_config *config, const char *key, const char *value,
                        const char *origin, ps_error *err)
{
    char quoted[512];
    const int bytes = snprintf(quoted, sizeof quoted, "\"%s\"", value);
    if (bytes < 0 || (size_t)bytes >= sizeof quoted || strpbrk(value, "\"\\") != NULL) {
        return ps_fail(err, PS_BAD_INPUT, "%.200s: %.100s is a text that needs JSON quotes",
                       ps_model_config_name(config), key);
    }
    return ps_model_config_add(config, key, quoted, (size_t)bytes, origin, err);
}

/* The objects that a dotted key lies in. */
static ps_code add_parents(ps_model_config *config, const char *key, const char *origin,
                           ps_error *err)
{
    char parent[PS_CONFIG_PATH_BYTES];
    for (const char *dot = strchr(key, '.'); dot != NULL; dot = strchr(dot + 1, '.')) {
        (void)snprintf(parent, sizeof parent, "%.*s", (int)(dot - key), key);
        if (!ps_config_has(config, parent)) {
            PS_TRY(ps_model_config_add(config, parent, "{}", 2, origin, err));
        }
    }
    return PS_OK;
}

static ps_code add_row(const ps_models *self, const ps_model_row *row, ps_model_config *config,
                       ps_error *err)
{
    const char *key = ps_strings_text(self->strings, row->key);
    const char *value = ps_strings_text(self->strings, row->value);
    const char *origin = ps_strings_text(self->strings, row->origin);
    PS_TRY(add_parents(config, key, origin, err));
    return is_json(value) ? ps_model_config_add(config, key, value, strlen(value), origin, err)
                          : add_text(config, key, value, origin, err);
}

static ps_code fill(const ps_models *self, uint32_t model, ps_model_config *config, ps_error *err)
{
    for (uint32_t base = model; base != PS_MODELS_NONE; base = self->model[base].like) {
        for (size_t i = 0; i < self->row_count; i++) {
            const ps_model_row *row = &self->row[i];
            const char *key = ps_strings_text(self->strings, row->key);
            if (row->model == base && !is_overridden(self, model, base, key)) {
                PS_TRY(add_row(self, row, config, err));
            }
        }
    }
    return PS_OK;
}

static ps_code make_config(const ps_models *self, uint32_t model, ps_model_config **out,
                           ps_error *err)
{
    ps_model_config *made;
    PS_TRY(ps_model_config_create(ps_models_name(self, model), &made, err));
    const ps_code code = fill(self, model, made, err);
    if (code != PS_OK) {
        ps_model_config_destroy(made);
        return code;
    }
    *out = made;
    return PS_OK;
}

/* ---- names ---- */

static const char *name_of(const void *context, uint32_t model)
{
    return ps_models_name(context, model);
}

static ps_code fail_name(const ps_models *self, const char *name, const char *key, ps_error *err)
{
    char hint[PS_ERROR_MESSAGE_BYTES] = "";
    ps_near_names near;
    ps_near_names_init(&near, key);
    for (size_t i = 0; key[0] != '\0' && i < self->alias_count; i++) {
        ps_near_names_add(&near, self->alias[i].model,
                          ps_strings_text(self->strings, self->alias[i].key));
    }
    ps_near_names_format(&near, name_of, self, hint, sizeof hint);
    return ps_fail(err, PS_NOT_FOUND, "no model \"%.80s\" in the catalogue%.300s", name, hint);
}

ps_code ps_models_find(const ps_models *self, const char *name, ps_model_config **out,
                       ps_error *err)
{
    char key[PS_NAME_KEY_BYTES];
    if (!ps_name_key(name, PS_NAME_DECIMAL, key)) {
        return fail_name(self, name, "", err);
    }
    const uint32_t model = ps_models_of_key(self, key);
    return model == PS_MODELS_NONE ? fail_name(self, name, key, err)
                                   : make_config(self, model, out, err);
}
