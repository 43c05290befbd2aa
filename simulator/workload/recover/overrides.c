/* SPDX-License-Identifier: MIT
 *
 * Reading of structure files.
 */
#include "workload/recover/overrides.h"

#include <string.h>

#include "base/memory.h"
#include "base/source.h"
#include "base/units.h"
#include "cluster/csv_rows.h"
#include "result/result.h"
#include "workload/recover/recover_parts.h"

/* Nobody writes a longer one by hand. */
#define MAX_ROWS 65536u
#define MAX_BYTES ((size_t)16 << 20)

bool ps_pattern_matches(const char *pattern, const char *text)
{
    const char *star = NULL, *resume = text;
    while (*text != '\0') {
        if (*pattern == '*') {
            star = pattern++;
            resume = text;
        } else if (*pattern == *text) {
            pattern++;
            text++;
        } else if (star != NULL) {
            pattern = star + 1;
            text = ++resume;
        } else {
            return false;
        }
    }
    while (*pattern == '*') {
        pattern++;
    }
    return *pattern == '\0';
}

typedef struct reading {
    const char *name;
    ps_overrides *out;
} reading;

static ps_code refuse(const reading *self, uint32_t line, ps_error *err, const char *what,
                      const char *text)
{
    return ps_fail(err, PS_BAD_INPUT, "%s, line %u: %s \"%s\"", self->name, line, what, text);
}

static bool read_word(const char *const *words, size_t count, const char *text, uint32_t *out)
{
    for (size_t i = 0; i < count; i++) {
        if (words[i] != NULL && strcmp(words[i], text) == 0) {
            *out = (uint32_t)i;
            return true;
        }
    }
    return false;
}

static bool read_phase(const char *text, ps_phase *out)
{
    static const char *const words[] = {"setup", "forward", "backward", "optimizer"};
    uint32_t found = 0;
    const bool ok = read_word(words, sizeof words / sizeof words[0], text, &found);
    *out = (ps_phase)found;
    return ok;
}

static bool read_role(const char *text, ps_role *out)
{
    for (uint32_t role = PS_ROLE_PARAMETER; role < PS_ROLE_BEFORE; role++) {
        if (strcmp(ps_role_name((ps_role)role), text) == 0) {
            *out = (ps_role)role;
            return true;
        }
    }
    return false;
}

/* "1.2ms..3.4ms" */
static ps_code read_span(const char *text, ps_override *row, ps_error *err)
{
    const char *dots = strstr(text, "..");
    char first[PS_QUANTITY_TEXT_BYTES];
    if (dots == NULL || (size_t)(dots - text) >= sizeof first) {
        return ps_fail(err, PS_BAD_INPUT, "a time is written START..END, as in 1.2ms..3.4ms");
    }
    memcpy(first, text, (size_t)(dots - text));
    first[dots - text] = '\0';
    PS_TRY(ps_duration_parse(first, &row->start_ns, err));
    return ps_duration_parse(dots + 2, &row->end_ns, err);
}

static ps_code read_selector(const reading *self, const char *text, ps_override *row, ps_error *err)
{
    static const char *const keys[] = {"range", "time", "size", "label", "born"};
    const char *equals = strchr(text, '=');
    char key[16] = "";
    uint32_t by = 0;
    if (equals != NULL && (size_t)(equals - text) < sizeof key) {
        memcpy(key, text, (size_t)(equals - text));
    }
    if (!read_word(keys, sizeof keys / sizeof keys[0], key, &by)) {
        return refuse(self, row->line, err,
                      "a selector is range=, time=, size=, label= or born=, not", text);
    }
    row->by = (ps_override_by)by;
    const char *value = equals + 1;
    switch (row->by) {
    case PS_OVERRIDE_BY_TIME:
        if (read_span(value, row, err) != PS_OK || row->end_ns <= row->start_ns) {
            return refuse(self, row->line, err, "not a time such as 1.2ms..3.4ms:", value);
        }
        return PS_OK;
    case PS_OVERRIDE_BY_SIZE:
        return ps_size_parse(value, &row->bytes, err) == PS_OK
                   ? PS_OK
                   : refuse(self, row->line, err, "not a size:", value);
    case PS_OVERRIDE_BY_BIRTH:
        return read_phase(value, &row->phase) ? PS_OK
                                              : refuse(self, row->line, err, "not a phase:", value);
    case PS_OVERRIDE_BY_RANGE:
    case PS_OVERRIDE_BY_LABEL:
        break;
    }
    row->pattern = ps_calloc(strlen(value) + 1, 1);
    if (row->pattern == NULL) {
        return ps_fail_nomem(err);
    }
    memcpy(row->pattern, value, strlen(value));
    return PS_OK;
}

static bool is_selectable(const ps_override *row)
{
    switch (row->what) {
    case PS_OVERRIDE_STEP:
    case PS_OVERRIDE_BLOCK:
        return row->by == PS_OVERRIDE_BY_RANGE;
    case PS_OVERRIDE_PHASE:
        return row->by == PS_OVERRIDE_BY_RANGE || row->by == PS_OVERRIDE_BY_TIME;
    case PS_OVERRIDE_ROLE:
        return row->by == PS_OVERRIDE_BY_SIZE || row->by == PS_OVERRIDE_BY_LABEL ||
               row->by == PS_OVERRIDE_BY_BIRTH;
    case PS_OVERRIDE_SCALING:
        break;
    }
    return row->by == PS_OVERRIDE_BY_SIZE || row->by == PS_OVERRIDE_BY_LABEL;
}

static ps_code read_value(const reading *self, const char *text, ps_override *row, ps_error *err)
{
    static const char *const growths[PS_GROWTH_COUNT] = {
        [PS_GROWTH_FIXED] = "fixed",
        [PS_GROWTH_BATCH] = "batch",
        [PS_GROWTH_SEQUENCE] = "sequence",
        [PS_GROWTH_BATCH_SEQUENCE] = "batch-sequence",
        [PS_GROWTH_BATCH_SEQUENCE_SQUARED] = "batch-sequence-squared",
        [PS_GROWTH_SEQUENCE_SQUARED] = "sequence-squared",
    };
    switch (row->what) {
    case PS_OVERRIDE_STEP:
    case PS_OVERRIDE_BLOCK:
        return text[0] == '\0'
                   ? PS_OK
                   : refuse(self, row->line, err, "a step or block takes no value:", text);
    case PS_OVERRIDE_PHASE:
        /* a birth's phase and a phase's value never meet: see is_selectable */
        return read_phase(text, &row->phase) ? PS_OK
                                             : refuse(self, row->line, err, "not a phase:", text);
    case PS_OVERRIDE_ROLE:
        return read_role(text, &row->role) ? PS_OK
                                           : refuse(self, row->line, err, "not a role:", text);
    case PS_OVERRIDE_SCALING:
        break;
    }
    return read_word(growths, PS_GROWTH_COUNT, text, &row->growth)
               ? PS_OK
               : refuse(self, row->line, err, "not a scaling:", text);
}

static ps_code read_fields(const reading *self, const char *const *field, ps_override *row,
                           ps_error *err)
{
    static const char *const whats[] = {"step", "phase", "block", "role", "scaling"};
    uint32_t what = 0;
    if (!read_word(whats, sizeof whats / sizeof whats[0], field[0], &what)) {
        return refuse(self, row->line, err, "a row says step, phase, block, role or scaling, not",
                      field[0]);
    }
    row->what = (ps_override_what)what;
    PS_TRY(read_selector(self, field[1], row, err));
    if (!is_selectable(row)) {
        return refuse(self, row->line, err, "such a row cannot be selected by", field[1]);
    }
    return read_value(self, field[2], row, err);
}

static ps_code read_row(void *context, const char *const *field, size_t field_count, uint32_t line,
                        ps_error *err)
{
    reading *self = context;
    ps_overrides *out = self->out;
    if (line == 1 && field_count == 3 && strcmp(field[0], "what") == 0) {
        return PS_OK;
    }
    if (field_count != 3) {
        return ps_fail(err, PS_BAD_INPUT,
                       "%s, line %u: a row has three fields: what,selector,value", self->name,
                       line);
    }
    PS_TRY(ps_grow((void **)&out->row, &out->capacity, out->count + 1, MAX_ROWS, sizeof *out->row,
                   err));
    out->row[out->count] = (ps_override){.line = line};
    out->count++; /* so that its text is released whatever happens */
    return read_fields(self, field, &out->row[out->count - 1], err);
}

ps_code ps_overrides_read(const char *name, const char *text, size_t bytes, ps_overrides *out,
                          ps_error *err)
{
    ps_overrides found = {0};
    reading self = {.name = name, .out = &found};
    const ps_code code = ps_csv_read(name, text, bytes, read_row, &self, err);
    if (code != PS_OK) {
        ps_overrides_fini(&found);
        return code;
    }
    *out = found;
    return PS_OK;
}

/* Reads a source to its end; *bytes is owned by the caller also on failure. */
static ps_code read_all(ps_source *source, char **bytes, size_t *count, ps_error *err)
{
    size_t capacity = 0, got = 0;
    do {
        PS_TRY(ps_grow((void **)bytes, &capacity, *count + 4096, MAX_BYTES, 1, err));
        PS_TRY(ps_source_read(source, *bytes + *count, capacity - *count, &got, err));
        *count += got;
    } while (got > 0);
    return PS_OK;
}

ps_code ps_overrides_read_file(const char *path, ps_overrides *out, ps_error *err)
{
    ps_source *source = NULL;
    char *bytes = NULL;
    size_t count = 0;
    PS_TRY(ps_source_open(path, &source, err));
    ps_code code = read_all(source, &bytes, &count, err);
    ps_source_close(source);
    if (code == PS_OK) {
        code = ps_overrides_read(path, bytes, count, out, err);
    }
    ps_free(bytes);
    return code;
}

void ps_overrides_fini(ps_overrides *self)
{
    for (size_t i = 0; i < self->count; i++) {
        ps_free(self->row[i].pattern);
    }
    ps_free(self->row);
    *self = (ps_overrides){0};
}
