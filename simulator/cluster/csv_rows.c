/* SPDX-License-Identifier: MIT
 *
 * libcsv reports fields and row ends but no positions. The text is therefore
 * fed one line at a time: what is reported belongs to the line being fed.
 */
#include "cluster/csv_rows.h"

#include <csv.h>
#include <string.h>

#include "base/memory.h"

/* Most fields of a row and [bytes] of its texts; more is no catalogue. */
#define MAX_FIELDS 4096u
#define MAX_ROW_BYTES ((size_t)1 << 20)

typedef struct reader {
    struct csv_parser parser;
    const char *name;
    ps_csv_row row;
    void *context;
    ps_error *err;
    ps_code code;  /* first failure */
    uint32_t line; /* being fed */
    bool is_open;  /* a row has begun and not ended */
    char *text;    /* the fields of the row, each terminated */
    size_t text_bytes, text_capacity;
    size_t *offset; /* of each field in text */
    size_t field_count, offset_capacity;
    const char **field; /* pointers made of the offsets when the row ends */
    size_t field_capacity;
} reader;

static void *resize(void *block, size_t bytes)
{
    return ps_realloc(block, bytes, 1);
}

static ps_code refuse(reader *self, const char *what)
{
    return ps_fail(self->err, PS_BAD_INPUT, "%s:%u: %s", self->name, (unsigned)self->line, what);
}

static ps_code add_field(reader *self, const char *bytes, size_t count)
{
    if (memchr(bytes, '\0', count) != NULL) {
        return refuse(self, "a NUL byte");
    }
    PS_TRY(ps_grow((void **)&self->text, &self->text_capacity, self->text_bytes + count + 1,
                   MAX_ROW_BYTES, 1, self->err));
    PS_TRY(ps_grow((void **)&self->offset, &self->offset_capacity, self->field_count + 1,
                   MAX_FIELDS, sizeof *self->offset, self->err));
    self->offset[self->field_count] = self->text_bytes;
    self->field_count++;
    memcpy(self->text + self->text_bytes, bytes, count);
    self->text[self->text_bytes + count] = '\0';
    self->text_bytes += count + 1;
    return PS_OK;
}

static ps_code end_row(reader *self)
{
    PS_TRY(ps_grow((void **)&self->field, &self->field_capacity, self->field_count, MAX_FIELDS,
                   sizeof *self->field, self->err));
    for (size_t i = 0; i < self->field_count; i++) {
        self->field[i] = self->text + self->offset[i];
    }
    const ps_code code =
        self->row(self->context, self->field, self->field_count, self->line, self->err);
    self->field_count = 0;
    self->text_bytes = 0;
    self->is_open = false;
    return code;
}

static void on_field(void *bytes, size_t count, void *context)
{
    reader *self = context;
    if (self->code == PS_OK) {
        self->code = add_field(self, bytes, count);
    }
}

static void on_row_end(int terminator, void *context)
{
    (void)terminator;
    reader *self = context;
    if (self->code == PS_OK) {
        self->code = end_row(self);
    }
}

static ps_code parser_failure(reader *self)
{
    if (self->code != PS_OK) {
        return self->code;
    }
    switch (csv_error(&self->parser)) {
    case CSV_SUCCESS:
        return PS_OK;
    case CSV_ENOMEM:
        return ps_fail_nomem(self->err);
    case CSV_EPARSE:
        return refuse(self, "a quote that neither encloses a field nor is doubled");
    default:
        return refuse(self, csv_strerror(csv_error(&self->parser)));
    }
}

static bool is_blank(const char *line, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        if (line[i] != ' ' && line[i] != '\t' && line[i] != '\r' && line[i] != '\n') {
            return false;
        }
    }
    return true;
}

static ps_code feed(reader *self, const char *text, size_t bytes)
{
    static const char mark[3] = {'\xef', '\xbb', '\xbf'};
    if (bytes >= sizeof mark && memcmp(text, mark, sizeof mark) == 0) {
        text += sizeof mark;
        bytes -= sizeof mark;
    }
    for (size_t at = 0; at < bytes;) {
        const char *end = memchr(text + at, '\n', bytes - at);
        const size_t length = end != NULL ? (size_t)(end - text) + 1 - at : bytes - at;
        self->line++;
        if (self->is_open || (text[at] != '#' && !is_blank(text + at, length))) {
            self->is_open = true;
            const size_t fed =
                csv_parse(&self->parser, text + at, length, on_field, on_row_end, self);
            if (fed != length || self->code != PS_OK) {
                return parser_failure(self);
            }
        }
        at += length;
    }
    if (csv_fini(&self->parser, on_field, on_row_end, self) != 0 || self->code != PS_OK) {
        return parser_failure(self);
    }
    return PS_OK;
}

ps_code ps_csv_read(const char *name, const char *text, size_t bytes, ps_csv_row row, void *context,
                    ps_error *err)
{
    reader self = {.name = name, .row = row, .context = context, .err = err};
    if (csv_init(&self.parser, CSV_STRICT | CSV_STRICT_FINI) != 0) {
        return ps_fail(err, PS_INTERNAL, "the CSV library does not start");
    }
    csv_set_realloc_func(&self.parser, resize);
    csv_set_free_func(&self.parser, ps_free);
    const ps_code code = feed(&self, text, bytes);
    csv_free(&self.parser);
    ps_free(self.text);
    ps_free(self.offset);
    ps_free(self.field);
    return code;
}
