/* SPDX-License-Identifier: MIT
 *
 * CSV rows -> catalogue of models. The first mention of a name makes the
 * model.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "cluster/catalogue.h"
#include "cluster/csv_rows.h"
#include "cluster/near_names.h"
#include "workload/config/models_store.h"

/* Far above any real catalogue. */
#define MAX_ROWS ((size_t)1 << 20)

typedef enum column { COLUMN_MODEL, COLUMN_KEY, COLUMN_VALUE, COLUMN_ORIGIN, COLUMN_COUNT } column;

static const char *const column_names[COLUMN_COUNT] = {"model", "key", "value", "origin"};

typedef struct reading {
    ps_models *models;
    const char *name;
    uint32_t line;
    bool has_header;
} reading;

/* PS_BAD_INPUT with "models.csv:12: " before the message. */
PS_PRINTF(3, 4)
static ps_code refuse(const reading *self, ps_error *err, const char *fmt, ...)
{
    char what[320];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(what, sizeof what, fmt, args);
    va_end(args);
    return ps_fail(err, PS_BAD_INPUT, "%.140s:%u: %s", self->name, (unsigned)self->line, what);
}

static ps_code read_header(reading *self, const char *const *field, size_t count, ps_error *err)
{
    bool is_right = count == COLUMN_COUNT;
    for (size_t i = 0; is_right && i < COLUMN_COUNT; i++) {
        is_right = strcmp(field[i], column_names[i]) == 0;
    }
    self->has_header = is_right;
    return is_right ? PS_OK
                    : refuse(self, err, "models begin with the line model,key,value,origin");
}

static ps_code add_key(reading *self, const char *name, uint32_t model, ps_error *err)
{
    ps_models *models = self->models;
    char key[PS_NAME_KEY_BYTES];
    ps_model_alias made = {.model = model};
    if (!ps_name_key(name, PS_NAME_DECIMAL, key)) {
        return refuse(self, err, "\"%.80s\" is not a name for a model", name);
    }
    const uint32_t other = ps_models_of_key(models, key);
    if (other == model) {
        return PS_OK; /* the name without owner of an alias may be that of the model */
    }
    if (other != PS_MODELS_NONE) {
        return refuse(self, err, "\"%.80s\" also names %.80s", name, ps_models_name(models, other));
    }
    PS_TRY(ps_strings_put_z(models->strings, key, &made.key, err));
    PS_TRY(ps_idmap_put(&models->model_by_key, made.key, model, err));
    PS_TRY(ps_grow((void **)&models->alias, &models->alias_capacity, models->alias_count + 1,
                   MAX_ROWS, sizeof *models->alias, err));
    models->alias[models->alias_count++] = made;
    return PS_OK;
}

/* A name with its owner, and the same without. */
static ps_code add_name(reading *self, const char *name, uint32_t model, ps_error *err)
{
    const char *slash = strrchr(name, '/');
    PS_TRY(add_key(self, name, model, err));
    return slash == NULL ? PS_OK : add_key(self, slash + 1, model, err);
}

/* Rows of a model stand together, so the last model is the one or a new one begins. */
static ps_code find_or_add_model(reading *self, const char *name, uint32_t *out, ps_error *err)
{
    ps_models *models = self->models;
    ps_model_entry made = {.like = PS_MODELS_NONE};
    const size_t count = models->model_count;
    if (count > 0 && strcmp(ps_models_name(models, (uint32_t)count - 1), name) == 0) {
        *out = (uint32_t)count - 1;
        return PS_OK;
    }
    PS_TRY(ps_strings_put_z(models->strings, name, &made.name, err));
    PS_TRY(ps_grow((void **)&models->model, &models->model_capacity, count + 1, MAX_ROWS,
                   sizeof *models->model, err));
    models->model[count] = made;
    models->model_count++;
    *out = (uint32_t)count;
    return add_name(self, name, *out, err);
}

static ps_code take_like(reading *self, uint32_t model, const char *value, ps_error *err)
{
    ps_models *models = self->models;
    char key[PS_NAME_KEY_BYTES];
    const uint32_t base =
        ps_name_key(value, PS_NAME_DECIMAL, key) ? ps_models_of_key(models, key) : PS_MODELS_NONE;
    if (base == PS_MODELS_NONE || base == model) {
        return refuse(self, err, "no earlier model \"%.80s\" to be like", value);
    }
    if (models->model[model].like != PS_MODELS_NONE) {
        return refuse(self, err, "%.80s is like another model already",
                      ps_models_name(models, model));
    }
    models->model[model].like = base;
    return PS_OK;
}

static bool has_quality(const char *origin)
{
    const size_t word = strcspn(origin, ":");
    for (int i = 0; i < PS_QUALITY_COUNT; i++) {
        const char *name = ps_quality_name((ps_quality)i);
        if (strlen(name) == word && memcmp(name, origin, word) == 0) {
            return true;
        }
    }
    return false;
}

static ps_code check_once(reading *self, const ps_model_row *made, ps_error *err)
{
    const ps_models *models = self->models;
    for (size_t i = models->row_count; i > 0 && models->row[i - 1].model == made->model; i--) {
        if (models->row[i - 1].key == made->key) {
            return refuse(self, err, "%.60s of %.80s is stated twice",
                          ps_strings_text(models->strings, made->key),
                          ps_models_name(models, made->model));
        }
    }
    return PS_OK;
}

static ps_code take_figure(reading *self, uint32_t model, const char *const *field, ps_error *err)
{
    ps_models *models = self->models;
    ps_model_row made = {.model = model};
    if (field[COLUMN_KEY][0] == '\0') {
        return refuse(self, err, "a row without a key");
    }
    if (!has_quality(field[COLUMN_ORIGIN])) {
        return refuse(self, err,
                      "the origin \"%.60s\" does not begin with its quality: measured, reported, "
                      "published, derived, recalled or given",
                      field[COLUMN_ORIGIN]);
    }
    PS_TRY(ps_strings_put_z(models->strings, field[COLUMN_KEY], &made.key, err));
    PS_TRY(ps_strings_put_z(models->strings, field[COLUMN_VALUE], &made.value, err));
    PS_TRY(ps_strings_put_z(models->strings, field[COLUMN_ORIGIN], &made.origin, err));
    PS_TRY(check_once(self, &made, err));
    PS_TRY(ps_grow((void **)&models->row, &models->row_capacity, models->row_count + 1, MAX_ROWS,
                   sizeof *models->row, err));
    models->row[models->row_count++] = made;
    return PS_OK;
}

static ps_code on_row(void *context, const char *const *field, size_t count, uint32_t line,
                      ps_error *err)
{
    reading *self = context;
    uint32_t model;
    self->line = line;
    if (!self->has_header) {
        return read_header(self, field, count, err);
    }
    if (count != COLUMN_COUNT) {
        return refuse(self, err, "%zu fields, but model,key,value,origin are %d", count,
                      COLUMN_COUNT);
    }
    PS_TRY(find_or_add_model(self, field[COLUMN_MODEL], &model, err));
    if (strcmp(field[COLUMN_KEY], "like") == 0) {
        return take_like(self, model, field[COLUMN_VALUE], err);
    }
    if (strcmp(field[COLUMN_KEY], "alias") == 0) {
        return add_name(self, field[COLUMN_VALUE], model, err);
    }
    return take_figure(self, model, field, err);
}

ps_code ps_models_read(ps_models *self, const char *name, const void *bytes, size_t count,
                       ps_error *err)
{
    reading state = {.models = self, .name = name};
    PS_TRY(ps_csv_read(name, bytes, count, on_row, &state, err));
    return state.has_header
               ? PS_OK
               : refuse(&state, err, "models begin with the line model,key,value,origin");
}
