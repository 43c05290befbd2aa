/* SPDX-License-Identifier: MIT
 *
 * Rows of a figure table are kept in the order of reading; the last row about
 * a figure is the one that holds. Tables are small, so look-ups walk them.
 */
#include "cluster/figure_table.h"

#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/strings.h"
#include "cluster/csv_rows.h"
#include "cluster/near_names.h"

enum { FIELDS = 5, MAX_ROWS = 1 << 14, MAX_LIKE = 16, UNIT_TEXT = 96 };

typedef struct table_row {
    uint32_t thing;
    uint32_t text_number; /* of the file */
    uint32_t line;
    ps_str quantity, text, origin;
    ps_quality quality;
    uint64_t value;
} table_row;

typedef struct thing {
    ps_str name, key;
    ps_str file;
    uint32_t line;
} thing;

struct ps_figure_table {
    const char *subject;
    const ps_figure_rule *rules;
    ps_strings *strings;
    table_row *row;
    size_t row_count, row_capacity;
    thing *thing;
    size_t thing_count, thing_capacity;
    uint32_t text_count;
};

typedef struct reading {
    ps_figure_table *table;
    const char *name;
    ps_str file;
    bool has_header;
} reading;

ps_figure_table *ps_figure_table_create(const char *subject, const ps_figure_rule *rules)
{
    ps_figure_table *self = ps_calloc(1, sizeof *self);
    if (self == NULL) {
        return NULL;
    }
    self->subject = subject;
    self->rules = rules;
    self->strings = ps_strings_create();
    if (self->strings == NULL) {
        ps_free(self);
        return NULL;
    }
    return self;
}

void ps_figure_table_destroy(ps_figure_table *self)
{
    if (self != NULL) {
        ps_strings_destroy(self->strings);
        ps_free(self->row);
        ps_free(self->thing);
        ps_free(self);
    }
}

static ps_code refuse(const reading *self, uint32_t line, const char *what, const char *text,
                      ps_error *err)
{
    return ps_fail(err, PS_BAD_INPUT, "%.140s:%u: %s \"%.80s\"", self->name, (unsigned)line, what,
                   text);
}

static ps_code read_header(reading *self, const char *const *field, size_t count, uint32_t line,
                           ps_error *err)
{
    const char *const wanted[FIELDS] = {self->table->subject, "quantity", "value", "unit",
                                        "origin"};
    bool is_right = count == FIELDS;
    for (size_t i = 0; is_right && i < FIELDS; i++) {
        is_right = strcmp(field[i], wanted[i]) == 0;
    }
    if (!is_right) {
        return ps_fail(err, PS_BAD_INPUT,
                       "%.140s:%u: this table begins with the line %s,quantity,value,unit,origin",
                       self->name, (unsigned)line, self->table->subject);
    }
    self->has_header = true;
    return PS_OK;
}

static bool read_quality(const char *origin, ps_quality *out)
{
    const size_t word = strcspn(origin, ":");
    for (int i = 0; i < PS_QUALITY_COUNT; i++) {
        const char *name = ps_quality_name((ps_quality)i);
        if (strlen(name) == word && memcmp(name, origin, word) == 0) {
            *out = (ps_quality)i;
            return true;
        }
    }
    return false;
}

/* What a * stands for: digits, with - between numbers; a ?: words besides. */
static bool is_ending(char pattern, const char *text)
{
    const char *allowed = pattern == '*' ? "0123456789-" : "0123456789-abcdefghijklmnopqrstuvwxyz";
    return text[0] != '\0' && strspn(text, allowed) == strlen(text);
}

static const ps_figure_rule *rule_of(const ps_figure_table *self, const char *quantity)
{
    static const ps_figure_rule like = {"like", PS_FIGURE_WORD, 0, 0};
    if (strcmp(quantity, like.quantity) == 0) {
        return &like;
    }
    for (const ps_figure_rule *rule = self->rules; rule->quantity != NULL; rule++) {
        const size_t length = strlen(rule->quantity);
        const char last = rule->quantity[length - 1];
        const bool is_pattern = last == '*' || last == '?';
        if (is_pattern ? strncmp(quantity, rule->quantity, length - 1) == 0 &&
                             is_ending(last, quantity + length - 1)
                       : strcmp(quantity, rule->quantity) == 0) {
            return rule;
        }
    }
    return NULL;
}

static ps_code find_or_add(reading *self, const char *name, uint32_t line, uint32_t *id,
                           ps_error *err)
{
    ps_figure_table *table = self->table;
    char key[PS_NAME_KEY_BYTES];
    if (ps_figure_table_find(table, name, id)) {
        return PS_OK;
    }
    if (!ps_name_key(name, PS_NAME_DECIMAL, key)) {
        return refuse(self, line, "not a name:", name, err);
    }
    PS_TRY(ps_grow((void **)&table->thing, &table->thing_capacity, table->thing_count + 1, MAX_ROWS,
                   sizeof *table->thing, err));
    thing *added = &table->thing[table->thing_count];
    *added = (thing){.file = self->file, .line = line};
    PS_TRY(ps_strings_put_z(table->strings, name, &added->name, err));
    PS_TRY(ps_strings_put_z(table->strings, key, &added->key, err));
    *id = (uint32_t)table->thing_count;
    table->thing_count++;
    return PS_OK;
}

/* The row that holds for a thing itself; NULL when it states nothing of the kind. */
static const table_row *own_row(const ps_figure_table *self, uint32_t id, const char *quantity)
{
    const int64_t name = ps_strings_find(self->strings, quantity, strlen(quantity));
    for (size_t i = self->row_count; name >= 0 && i > 0; i--) {
        const table_row *row = &self->row[i - 1];
        if (row->thing == id && row->quantity == (ps_str)name) {
            return row;
        }
    }
    return NULL;
}

static ps_code read_value(const reading *self, const ps_figure_rule *rule, const char *const *field,
                          table_row *row, ps_error *err)
{
    char text[UNIT_TEXT];
    if (rule->kind == PS_FIGURE_WORD) {
        return field[3][0] == '\0' && field[2][0] != '\0'
                   ? PS_OK
                   : refuse(self, row->line, "not a word without unit after", field[1], err);
    }
    (void)snprintf(text, sizeof text, "%.60s%s%.20s", field[2], field[3][0] != '\0' ? " " : "",
                   field[3]);
    if (ps_quantity_parse_in(rule->kind, text, rule->min, rule->max, &row->value, err) != PS_OK) {
        char what[160];
        (void)snprintf(what, sizeof what, "%.60s is not %s in its range:", field[1],
                       ps_unit_kind_name(rule->kind));
        return refuse(self, row->line, what, text, err);
    }
    return PS_OK;
}

static ps_code on_row(void *context, const char *const *field, size_t count, uint32_t line,
                      ps_error *err)
{
    reading *self = context;
    ps_figure_table *table = self->table;
    table_row row = {.text_number = table->text_count, .line = line};
    if (!self->has_header) {
        return read_header(self, field, count, line, err);
    }
    if (count != FIELDS) {
        return refuse(self, line, "not five fields after", field[0], err);
    }
    const ps_figure_rule *rule = rule_of(table, field[1]);
    if (rule == NULL) {
        return refuse(self, line, "unknown quantity", field[1], err);
    }
    if (!read_quality(field[4], &row.quality)) {
        return refuse(self, line,
                      "the origin does not begin with measured, reported, published, derived, "
                      "recalled or given:",
                      field[4], err);
    }
    PS_TRY(find_or_add(self, field[0], line, &row.thing, err));
    const table_row *earlier = own_row(table, row.thing, field[1]);
    if (earlier != NULL && earlier->text_number == row.text_number) {
        return refuse(self, line, "stated twice in this text:", field[1], err);
    }
    PS_TRY(read_value(self, rule, field, &row, err));
    PS_TRY(ps_strings_put_z(table->strings, field[1], &row.quantity, err));
    PS_TRY(ps_strings_put_z(table->strings, field[2], &row.text, err));
    PS_TRY(ps_strings_put_z(table->strings, field[4], &row.origin, err));
    PS_TRY(ps_grow((void **)&table->row, &table->row_capacity, table->row_count + 1, MAX_ROWS,
                   sizeof *table->row, err));
    table->row[table->row_count] = row;
    table->row_count++;
    return PS_OK;
}

ps_code ps_figure_table_read(ps_figure_table *self, const char *name, const char *text,
                             size_t bytes, ps_error *err)
{
    reading read = {.table = self, .name = name};
    self->text_count++;
    PS_TRY(ps_strings_put_z(self->strings, name, &read.file, err));
    return ps_csv_read(name, text, bytes, on_row, &read, err);
}

/* The thing that this one is like; false at the end of the chain. */
static bool step_like(const ps_figure_table *self, uint32_t *id)
{
    const table_row *like = own_row(self, *id, "like");
    return like != NULL &&
           ps_figure_table_find(self, ps_strings_text(self->strings, like->text), id);
}

ps_code ps_figure_table_check(const ps_figure_table *self, ps_error *err)
{
    for (uint32_t id = 0; id < self->thing_count; id++) {
        const table_row *like = own_row(self, id, "like");
        uint32_t at = id;
        int steps = 0;
        while (steps <= MAX_LIKE && step_like(self, &at)) {
            steps++;
        }
        const bool is_named =
            like == NULL ||
            ps_figure_table_find(self, ps_strings_text(self->strings, like->text), &at);
        if (!is_named || steps > MAX_LIKE) {
            return ps_fail(err, PS_BAD_INPUT, "%.140s: %.80s is like %.80s, which %s",
                           ps_strings_text(self->strings, self->thing[id].file),
                           ps_figure_table_name(self, id),
                           ps_strings_text(self->strings, like->text),
                           is_named ? "leads back to it or too far" : "nothing states");
        }
    }
    return PS_OK;
}

uint32_t ps_figure_table_count(const ps_figure_table *self)
{
    return (uint32_t)self->thing_count;
}

const char *ps_figure_table_name(const ps_figure_table *self, uint32_t id)
{
    return ps_strings_text(self->strings, self->thing[id].name);
}

bool ps_figure_table_find(const ps_figure_table *self, const char *name, uint32_t *id)
{
    char key[PS_NAME_KEY_BYTES];
    if (!ps_name_key(name, PS_NAME_DECIMAL, key)) {
        return false;
    }
    const int64_t wanted = ps_strings_find(self->strings, key, strlen(key));
    for (uint32_t i = 0; wanted >= 0 && i < self->thing_count; i++) {
        if (self->thing[i].key == (ps_str)wanted) {
            *id = i;
            return true;
        }
    }
    return false;
}

bool ps_figure_table_get(const ps_figure_table *self, uint32_t id, const char *quantity,
                         ps_stated *out)
{
    for (int steps = 0; steps <= MAX_LIKE; steps++) {
        const table_row *row = own_row(self, id, quantity);
        if (row != NULL) {
            *out = (ps_stated){.value = row->value,
                               .text = ps_strings_text(self->strings, row->text),
                               .origin = ps_strings_text(self->strings, row->origin),
                               .quality = row->quality};
            return true;
        }
        if (!step_like(self, &id)) {
            return false;
        }
    }
    return false;
}

ps_code ps_figure_table_need(const ps_figure_table *self, uint32_t id, const char *quantity,
                             ps_stated *out, ps_error *err)
{
    if (ps_figure_table_get(self, id, quantity, out)) {
        return PS_OK;
    }
    return ps_fail(err, PS_NOT_FOUND, "%.80s states no %s; a row \"%.80s,%s,...\" would",
                   ps_figure_table_name(self, id), quantity, ps_figure_table_name(self, id),
                   quantity);
}
