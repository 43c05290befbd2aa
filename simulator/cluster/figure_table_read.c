/* SPDX-License-Identifier: MIT
 *
 * CSV rows -> figure table: each row is checked against the table's rules.
 */
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "cluster/csv_rows.h"
#include "cluster/figure_table_store.h"
#include "cluster/near_names.h"

enum { FIELDS = 5, MAX_ROWS = 1 << 14, UNIT_TEXT = 96 };

typedef struct reading {
    ps_figure_table *table;
    const char *name;
    ps_str file;
    bool has_header;
} reading;

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
    ps_figure_thing *added = &table->thing[table->thing_count];
    *added = (ps_figure_thing){.file = self->file, .line = line};
    PS_TRY(ps_strings_put_z(table->strings, name, &added->name, err));
    PS_TRY(ps_strings_put_z(table->strings, key, &added->key, err));
    *id = (uint32_t)table->thing_count;
    table->thing_count++;
    return PS_OK;
}

static ps_code read_value(const reading *self, const ps_figure_rule *rule, const char *const *field,
                          ps_figure_row *row, ps_error *err)
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
    ps_figure_row row = {.text_number = table->text_count, .line = line};
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
    const ps_figure_row *earlier = ps_figure_own_row(table, row.thing, field[1]);
    if (earlier != NULL && earlier->text_number == row.text_number) {
        return refuse(self, line, "stated twice in this text:", field[1], err);
    }
    PS_TRY(read_value(self, rule, field, &row, err));
    PS_TRY(ps_strings_put_z(table->strings, field[1], &row.quantity, err));
    PS_TRY(ps_strings_put_z(table->strings, field[2], &row.text, err));
    PS_TRY(ps_strings_put_z(table->strings, field[4], &row.origin, err));
    PS_TRY(ps_grow((void **)&table->row, &table->row_capacity, table->row_count + 1, MAX_ROWS,
                   sizeof *table->row, err));
    row.before = table->thing[row.thing].last;
    table->row[table->row_count] = row;
    table->row_count++;
    table->thing[row.thing].last = (uint32_t)table->row_count;
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
