/* SPDX-License-Identifier: MIT
 *
 * The catalogue as a store: its life and its look-ups.
 */
#include "cluster/catalogue.h"

#include <string.h>

#include "base/memory.h"
#include "cluster/builtin.h"
#include "cluster/catalogue_store.h"

static const ps_figure_spec figure_specs[PS_FIGURE_COUNT] = {
#define PS_FIGURE_SPEC(sym, name, kind, min, class, needed, doc) \
    {name, doc, PS_UNIT_##kind, min, PS_HARDWARE_##class, needed},
    PS_FIGURES(PS_FIGURE_SPEC)
#undef PS_FIGURE_SPEC
};

static const char *const class_names[PS_HARDWARE_CLASS_COUNT] = {
#define PS_HARDWARE_CLASS_NAME(sym, name, doc) name,
    PS_HARDWARE_CLASSES(PS_HARDWARE_CLASS_NAME)
#undef PS_HARDWARE_CLASS_NAME
};

static const char *const quality_names[PS_QUALITY_COUNT] = {
#define PS_QUALITY_NAME(sym, name, doc) name,
    PS_QUALITIES(PS_QUALITY_NAME)
#undef PS_QUALITY_NAME
};

const ps_figure_spec *ps_figure_spec_of(ps_figure_id figure)
{
    return &figure_specs[figure];
}

const char *ps_figure_name(ps_figure_id figure)
{
    return figure_specs[figure].name;
}

const char *ps_figure_doc(ps_figure_id figure)
{
    return figure_specs[figure].doc;
}

const char *ps_hardware_class_name(ps_hardware_class class_of)
{
    return class_names[class_of];
}

const char *ps_quality_name(ps_quality quality)
{
    return quality_names[quality];
}

ps_catalogue *ps_catalogue_create_empty(void)
{
    ps_catalogue *self = ps_calloc(1, sizeof *self);
    if (self == NULL) {
        return NULL;
    }
    self->strings = ps_strings_create();
    if (self->strings == NULL) {
        ps_free(self);
        return NULL;
    }
    ps_idmap_init(&self->entry_by_key);
    return self;
}

ps_code ps_catalogue_create(ps_catalogue **out, ps_error *err)
{
    ps_catalogue *self = ps_catalogue_create_empty();
    if (self == NULL) {
        return ps_fail_nomem(err);
    }
    for (size_t i = 0; i < ps_builtin_file_count; i++) {
        const ps_builtin_file *file = &ps_builtin_files[i];
        const ps_code code =
            ps_catalogue_read_memory(self, file->name, file->bytes, file->count, err);
        if (code != PS_OK) {
            ps_catalogue_destroy(self);
            return code;
        }
    }
    *out = self;
    return PS_OK;
}

void ps_catalogue_destroy(ps_catalogue *self)
{
    if (self == NULL) {
        return;
    }
    ps_strings_destroy(self->strings);
    ps_idmap_fini(&self->entry_by_key);
    ps_free(self->entry);
    ps_free(self->row);
    ps_free(self->alias);
    ps_free(self);
}

uint32_t ps_catalogue_entry_of(const ps_catalogue *self, const char *key)
{
    const int64_t id = ps_strings_find(self->strings, key, strlen(key));
    return id < 0 ? PS_CATALOGUE_NONE : ps_idmap_get(&self->entry_by_key, (uint64_t)id);
}

/*
 * Does a pattern match the whole key? Each * is tried at its shortest first;
 * only the last needs undoing.
 */
static bool matches(const char *pattern, const char *key)
{
    const char *star = NULL;
    const char *resume = NULL;
    while (*key != '\0') {
        if (*pattern == '*') {
            star = pattern;
            pattern++;
            resume = key;
        } else if (*pattern == *key) {
            pattern++;
            key++;
        } else if (star != NULL) {
            pattern = star + 1;
            resume++;
            key = resume;
        } else {
            return false;
        }
    }
    while (*pattern == '*') {
        pattern++;
    }
    return *pattern == '\0';
}

/* The alias of the latest file, within it the earliest row. */
static uint32_t find_alias(const ps_catalogue *self, ps_hardware_class class_of, const char *key)
{
    const ps_catalogue_alias *best = NULL;
    for (size_t i = 0; i < self->alias_count; i++) {
        const ps_catalogue_alias *alias = &self->alias[i];
        if (self->entry[alias->entry].class_of == class_of &&
            (best == NULL || alias->generation > best->generation) &&
            matches(ps_strings_text(self->strings, alias->key), key)) {
            best = alias;
        }
    }
    return best != NULL ? best->entry : PS_CATALOGUE_NONE;
}

ps_code ps_catalogue_find(const ps_catalogue *self, ps_hardware_class class_of, const char *name,
                          ps_hardware_id *out, ps_error *err)
{
    char key[PS_NAME_KEY_BYTES];
    char hint[PS_ERROR_MESSAGE_BYTES] = "";
    if (ps_name_key(name, PS_NAME_PLAIN, key)) {
        uint32_t found = ps_catalogue_entry_of(self, key);
        if (found == PS_CATALOGUE_NONE || self->entry[found].class_of != class_of) {
            found = find_alias(self, class_of, key);
        }
        if (found != PS_CATALOGUE_NONE) {
            out->v = found;
            return PS_OK;
        }
        ps_catalogue_suggest(self, class_of, key, hint, sizeof hint);
    }
    return ps_fail(err, PS_NOT_FOUND, "no %s \"%.80s\" in the catalogue%.300s",
                   class_names[class_of], name, hint);
}

uint32_t ps_catalogue_count(const ps_catalogue *self)
{
    return (uint32_t)self->entry_count;
}

const char *ps_catalogue_name(const ps_catalogue *self, ps_hardware_id id)
{
    return ps_strings_text(self->strings, self->entry[id.v].name);
}

ps_hardware_class ps_catalogue_class(const ps_catalogue *self, ps_hardware_id id)
{
    return self->entry[id.v].class_of;
}

const char *ps_catalogue_compute_capability(const ps_catalogue *self, ps_hardware_id id)
{
    for (uint32_t i = id.v; i != PS_CATALOGUE_NONE; i = self->entry[i].like) {
        if (self->entry[i].capability_at.line != 0) {
            return ps_strings_text(self->strings, self->entry[i].compute_capability);
        }
    }
    return "";
}

bool ps_catalogue_get(const ps_catalogue *self, ps_hardware_id id, ps_figure_id figure,
                      ps_figure *out)
{
    for (uint32_t i = id.v; i != PS_CATALOGUE_NONE; i = self->entry[i].like) {
        const uint32_t at = self->entry[i].figure_row[figure];
        if (at == PS_CATALOGUE_NONE) {
            continue;
        }
        const ps_catalogue_row *row = &self->row[at];
        *out = (ps_figure){
            .value = row->value,
            .kind = figure_specs[figure].kind,
            .quality = row->quality,
            .text = ps_strings_text(self->strings, row->text),
            .origin = ps_strings_text(self->strings, row->origin),
            .file = ps_strings_text(self->strings, row->at.file),
            .line = row->at.line,
            .stated_by = {i},
        };
        return true;
    }
    return false;
}

ps_code ps_catalogue_need(const ps_catalogue *self, ps_hardware_id id, ps_figure_id figure,
                          ps_figure *out, ps_error *err)
{
    if (ps_catalogue_get(self, id, figure, out)) {
        return PS_OK;
    }
    const char *name = ps_catalogue_name(self, id);
    return ps_fail(err, PS_NOT_FOUND,
                   "the catalogue does not know %s of %s (%s): add a line \"%s,%s,VALUE,UNIT,"
                   "ORIGIN\" to a file and name it with --catalogue",
                   figure_specs[figure].name, name, figure_specs[figure].doc, name,
                   figure_specs[figure].name);
}
