/* SPDX-License-Identifier: MIT
 *
 * CSV rows -> catalogue. Each row is one statement about one entry; the first
 * mention of a name makes the entry. A later file overrides an earlier one;
 * saying the same thing twice in one file is refused, since one of the two
 * must be a slip.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/source.h"
#include "cluster/catalogue_store.h"
#include "cluster/csv_rows.h"

/* [bytes] of a catalogue file; the built-in ones are about 50 kB. */
#define MAX_FILE_BYTES ((size_t)16 << 20)

typedef enum column {
    COLUMN_DEVICE,
    COLUMN_QUANTITY,
    COLUMN_VALUE,
    COLUMN_UNIT,
    COLUMN_ORIGIN,
    COLUMN_COUNT
} column;

static const char *const column_names[COLUMN_COUNT] = {"device", "quantity", "value", "unit",
                                                       "origin"};

typedef struct reading {
    ps_catalogue *catalogue;
    const char *name;
    ps_str file;
    bool has_header;
} reading;

/* One row being taken in. */
typedef struct statement {
    const char *const *field;
    ps_catalogue_place at;
    uint32_t entry;
    ps_quality quality;
    ps_str origin;
} statement;

static ps_code read_header(reading *self, const char *const *field, size_t count, uint32_t line,
                           ps_error *err)
{
    bool is_right = count == COLUMN_COUNT;
    for (size_t i = 0; is_right && i < COLUMN_COUNT; i++) {
        is_right = strcmp(field[i], column_names[i]) == 0;
    }
    if (!is_right) {
        return ps_fail(err, PS_BAD_INPUT,
                       "%s:%u: a catalogue begins with the line device,quantity,value,unit,origin",
                       self->name, (unsigned)line);
    }
    self->has_header = true;
    return PS_OK;
}

/* PS_BAD_INPUT with "mine.csv:12: " before the message. */
PS_PRINTF(4, 5)
static ps_code refuse(const reading *self, const statement *row, ps_error *err, const char *fmt,
                      ...)
{
    char what[320];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(what, sizeof what, fmt, args);
    va_end(args);
    return ps_fail(err, PS_BAD_INPUT, "%.140s:%u: %s", self->name, (unsigned)row->at.line, what);
}

static ps_code read_origin(reading *self, statement *row, ps_error *err)
{
    const char *origin = row->field[COLUMN_ORIGIN];
    const size_t word = strcspn(origin, ":");
    for (int i = 0; i < PS_QUALITY_COUNT; i++) {
        const char *name = ps_quality_name((ps_quality)i);
        if (strlen(name) == word && memcmp(name, origin, word) == 0) {
            row->quality = (ps_quality)i;
            return ps_strings_put_z(self->catalogue->strings, origin, &row->origin, err);
        }
    }
    return refuse(self, row, err,
                  "the origin \"%.60s\" does not begin with its quality: measured, reported, "
                  "published, derived, recalled or given",
                  origin);
}

/* Finds or makes the entry of the row. */
static ps_code read_entry(reading *self, statement *row, ps_error *err)
{
    ps_catalogue *catalogue = self->catalogue;
    const char *name = row->field[COLUMN_DEVICE];
    char key[PS_NAME_KEY_BYTES];
    ps_str name_id;
    ps_str key_id;
    if (!ps_name_key(name, PS_NAME_PLAIN, key)) {
        return refuse(self, row, err, "\"%.80s\" is not a name for a device", name);
    }
    row->entry = ps_catalogue_entry_of(catalogue, key);
    if (row->entry != PS_CATALOGUE_NONE) {
        return PS_OK;
    }
    PS_TRY(ps_strings_put_z(catalogue->strings, name, &name_id, err));
    PS_TRY(ps_strings_put_z(catalogue->strings, key, &key_id, err));
    PS_TRY(ps_grow((void **)&catalogue->entry, &catalogue->entry_capacity,
                   catalogue->entry_count + 1, PS_CATALOGUE_MAX_ROWS, sizeof *catalogue->entry,
                   err));
    PS_TRY(ps_idmap_put(&catalogue->entry_by_key, key_id, (uint32_t)catalogue->entry_count, err));
    ps_catalogue_entry *entry = &catalogue->entry[catalogue->entry_count];
    *entry = (ps_catalogue_entry){
        .name = name_id, .key = key_id, .first = row->at, .like = PS_CATALOGUE_NONE};
    for (int i = 0; i < PS_FIGURE_COUNT; i++) {
        entry->figure_row[i] = PS_CATALOGUE_NONE;
    }
    row->entry = (uint32_t)catalogue->entry_count;
    catalogue->entry_count++;
    return PS_OK;
}

/* Refuses a second statement in one file about what `earlier` already stated. */
static ps_code check_once(reading *self, const statement *row, ps_catalogue_place earlier,
                          ps_error *err)
{
    if (earlier.line == 0 || earlier.generation != row->at.generation) {
        return PS_OK;
    }
    return refuse(self, row, err, "%s of %s is already stated in line %u",
                  row->field[COLUMN_QUANTITY], row->field[COLUMN_DEVICE], (unsigned)earlier.line);
}

static ps_code check_no_unit(reading *self, const statement *row, ps_error *err)
{
    if (row->field[COLUMN_UNIT][0] == '\0') {
        return PS_OK;
    }
    return refuse(self, row, err, "%s has no unit, but \"%.40s\" is given",
                  row->field[COLUMN_QUANTITY], row->field[COLUMN_UNIT]);
}

static ps_code take_class(reading *self, statement *row, ps_error *err)
{
    ps_catalogue_entry *entry = &self->catalogue->entry[row->entry];
    PS_TRY(check_no_unit(self, row, err));
    PS_TRY(check_once(self, row, entry->class_at, err));
    for (int i = 0; i < PS_HARDWARE_CLASS_COUNT; i++) {
        if (strcmp(row->field[COLUMN_VALUE], ps_hardware_class_name((ps_hardware_class)i)) == 0) {
            entry->class_of = (ps_hardware_class)i;
            entry->class_at = row->at;
            return PS_OK;
        }
    }
    return refuse(
        self, row, err,
        "class \"%.40s\" is unknown: use gpu, link, memory, storage, host, software or family",
        row->field[COLUMN_VALUE]);
}

static ps_code take_like(reading *self, statement *row, ps_error *err)
{
    ps_catalogue_entry *entry = &self->catalogue->entry[row->entry];
    PS_TRY(check_no_unit(self, row, err));
    PS_TRY(check_once(self, row, entry->like_at, err));
    PS_TRY(ps_strings_put_z(self->catalogue->strings, row->field[COLUMN_VALUE], &entry->like_name,
                            err));
    entry->like_at = row->at;
    return PS_OK;
}

static ps_code take_compute_capability(reading *self, statement *row, ps_error *err)
{
    ps_catalogue_entry *entry = &self->catalogue->entry[row->entry];
    PS_TRY(check_no_unit(self, row, err));
    PS_TRY(check_once(self, row, entry->capability_at, err));
    PS_TRY(ps_strings_put_z(self->catalogue->strings, row->field[COLUMN_VALUE],
                            &entry->compute_capability, err));
    entry->capability_at = row->at;
    return PS_OK;
}

static ps_code take_alias(reading *self, statement *row, ps_error *err)
{
    ps_catalogue *catalogue = self->catalogue;
    char key[PS_NAME_KEY_BYTES];
    ps_catalogue_alias alias = {.entry = row->entry, .generation = row->at.generation};
    PS_TRY(check_no_unit(self, row, err));
    if (!ps_name_key(row->field[COLUMN_VALUE], PS_NAME_PATTERN, key)) {
        return refuse(self, row, err, "\"%.80s\" is not a name for a device",
                      row->field[COLUMN_VALUE]);
    }
    PS_TRY(ps_strings_put_z(catalogue->strings, key, &alias.key, err));
    PS_TRY(ps_grow((void **)&catalogue->alias, &catalogue->alias_capacity,
                   catalogue->alias_count + 1, PS_CATALOGUE_MAX_ROWS, sizeof *catalogue->alias,
                   err));
    catalogue->alias[catalogue->alias_count] = alias;
    catalogue->alias_count++;
    return PS_OK;
}

static ps_code take_figure(reading *self, statement *row, ps_figure_id figure, ps_error *err)
{
    ps_catalogue *catalogue = self->catalogue;
    const ps_figure_spec *spec = ps_figure_spec_of(figure);
    uint32_t *at = &catalogue->entry[row->entry].figure_row[figure];
    const char *unit = row->field[COLUMN_UNIT];
    ps_catalogue_row made = {.origin = row->origin, .quality = row->quality, .at = row->at};
    char text[128];
    if (*at != PS_CATALOGUE_NONE) {
        PS_TRY(check_once(self, row, catalogue->row[*at].at, err));
    }
    (void)snprintf(text, sizeof text, "%.80s%s%.40s", row->field[COLUMN_VALUE],
                   unit[0] != '\0' ? " " : "", unit);
    if (ps_quantity_parse_in(spec->kind, text, spec->min, UINT64_MAX, &made.value, err) != PS_OK) {
        ps_error_note(err, "%.80s:%u: %s of %.40s", self->name, (unsigned)row->at.line, spec->name,
                      row->field[COLUMN_DEVICE]);
        if (err != NULL) {
            err->code = PS_BAD_INPUT;
        }
        return PS_BAD_INPUT;
    }
    PS_TRY(ps_strings_put_z(catalogue->strings, text, &made.text, err));
    PS_TRY(ps_grow((void **)&catalogue->row, &catalogue->row_capacity, catalogue->row_count + 1,
                   PS_CATALOGUE_MAX_ROWS, sizeof *catalogue->row, err));
    catalogue->row[catalogue->row_count] = made;
    *at = (uint32_t)catalogue->row_count;
    catalogue->row_count++;
    return PS_OK;
}

/* Statements that are not numbers. */
static const struct {
    const char *name;
    ps_code (*take)(reading *, statement *, ps_error *);
} text_quantities[] = {
    {"class", take_class},
    {"like", take_like},
    {"alias", take_alias},
    {"compute-capability", take_compute_capability},
};

static ps_code take(reading *self, statement *row, ps_error *err)
{
    const char *quantity = row->field[COLUMN_QUANTITY];
    for (size_t i = 0; i < sizeof text_quantities / sizeof text_quantities[0]; i++) {
        if (strcmp(quantity, text_quantities[i].name) == 0) {
            return text_quantities[i].take(self, row, err);
        }
    }
    for (int i = 0; i < PS_FIGURE_COUNT; i++) {
        if (strcmp(quantity, ps_figure_name((ps_figure_id)i)) == 0) {
            return take_figure(self, row, (ps_figure_id)i, err);
        }
    }
    return refuse(self, row, err, "quantity \"%.40s\" is unknown", quantity);
}

static ps_code on_row(void *context, const char *const *field, size_t count, uint32_t line,
                      ps_error *err)
{
    reading *self = context;
    if (!self->has_header) {
        return read_header(self, field, count, line, err);
    }
    statement row = {.field = field, .at = {self->file, line, self->catalogue->generation}};
    if (count != COLUMN_COUNT) {
        return refuse(self, &row, err, "%zu fields, but device,quantity,value,unit,origin are %d",
                      count, COLUMN_COUNT);
    }
    PS_TRY(read_origin(self, &row, err));
    PS_TRY(read_entry(self, &row, err));
    return take(self, &row, err);
}

ps_code ps_catalogue_read_memory(ps_catalogue *self, const char *name, const void *bytes,
                                 size_t count, ps_error *err)
{
    reading state = {.catalogue = self, .name = name};
    PS_TRY(ps_strings_put_z(self->strings, name, &state.file, err));
    self->generation++;
    PS_TRY(ps_csv_read(name, bytes, count, on_row, &state, err));
    if (!state.has_header) {
        return ps_fail(err, PS_BAD_INPUT,
                       "%s: a catalogue begins with the line device,quantity,value,unit,origin",
                       name);
    }
    return ps_catalogue_check(self, err);
}

/* Reads a source to its end; *bytes is owned by the caller also on failure. */
static ps_code read_all(ps_source *source, char **bytes, size_t *count, ps_error *err)
{
    size_t capacity = 0;
    size_t got = 0;
    do {
        PS_TRY(ps_grow((void **)bytes, &capacity, *count + 65536, MAX_FILE_BYTES + 65536, 1, err));
        PS_TRY(ps_source_read(source, *bytes + *count, capacity - *count, &got, err));
        *count += got;
        if (*count > MAX_FILE_BYTES) {
            return ps_fail(err, PS_LIMIT, "%s is longer than a catalogue can be (16 MiB)",
                           ps_source_name(source));
        }
    } while (got > 0);
    return PS_OK;
}

ps_code ps_catalogue_read_file(ps_catalogue *self, const char *path, ps_error *err)
{
    ps_source *source = NULL;
    char *bytes = NULL;
    size_t count = 0;
    PS_TRY(ps_source_open(path, &source, err));
    ps_code code = read_all(source, &bytes, &count, err);
    ps_source_close(source);
    if (code == PS_OK) {
        code = ps_catalogue_read_memory(self, path, bytes, count, err);
    }
    ps_free(bytes);
    return code;
}
