/* SPDX-License-Identifier: MIT
 *
 * Aligned tables: cells are kept as text until all widths are known.
 */
#include "cli/table.h"

#include <stdarg.h>
#include <string.h>

#include "base/memory.h"
#include "cli/text.h"

#define CELL_BYTES 512u
#define TEXT_MAX ((size_t)64 << 20)

void ps_grid_init(ps_grid *self, const ps_grid_column *column, size_t column_count)
{
    *self = (ps_grid){.column = column, .column_count = column_count, .code = PS_OK};
    for (size_t i = 0; i < column_count; i++) {
        self->width[i] = column[i].title == NULL ? 0 : ps_text_width(column[i].title);
    }
}

void ps_grid_cell(ps_grid *self, const char *fmt, ...)
{
    char cell[CELL_BYTES];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(cell, sizeof cell, fmt, args);
    va_end(args);
    for (char *c = cell; *c != '\0'; c++) {
        *c = (unsigned char)*c < 0x20 || *c == 0x7f ? '?' : *c;
    }
    const size_t bytes = strlen(cell) + 1;
    if (self->code != PS_OK) {
        return;
    }
    self->code = ps_grow((void **)&self->text, &self->text_capacity, self->text_bytes + bytes,
                         TEXT_MAX, 1, NULL);
    if (self->code != PS_OK) {
        return;
    }
    memcpy(self->text + self->text_bytes, cell, bytes);
    self->text_bytes += bytes;
    size_t *width = &self->width[self->cell_count++ % self->column_count];
    *width = ps_text_width(cell) > *width ? ps_text_width(cell) : *width;
}

/* Blanks are put off until something follows, so no line ends in blanks. */
static void print_cell(const ps_grid *self, ps_output *out, size_t column, const char *text,
                       size_t *blanks)
{
    const size_t width = ps_text_width(text);
    const size_t padding = self->width[column] - width;
    *blanks += self->column[column].is_right ? padding : 0;
    if (width > 0) {
        ps_output_print(out, "%*s%s", (int)*blanks, "", text);
        *blanks = 0;
    }
    *blanks += (self->column[column].is_right ? 0 : padding) + 2;
}

static void print_titles(const ps_grid *self, ps_output *out, unsigned indent)
{
    size_t blanks = indent;
    if (self->column_count == 0 || self->column[0].title == NULL) {
        return;
    }
    for (size_t i = 0; i < self->column_count; i++) {
        print_cell(self, out, i, self->column[i].title, &blanks);
    }
    ps_output_print(out, "\n");
}

ps_code ps_grid_print(ps_grid *self, ps_output *out, unsigned indent, ps_error *err)
{
    const ps_code code = self->code;
    const char *text = self->text;
    size_t blanks = indent;
    if (code == PS_OK) {
        print_titles(self, out, indent);
    }
    for (size_t i = 0; code == PS_OK && i < self->cell_count; i++) {
        const size_t column = i % self->column_count;
        print_cell(self, out, column, text, &blanks);
        text += strlen(text) + 1;
        if (column + 1 == self->column_count) {
            ps_output_print(out, "\n");
            blanks = indent;
        }
    }
    ps_free(self->text);
    *self = (ps_grid){.code = PS_OK};
    return code == PS_OK ? PS_OK : ps_fail_nomem(err);
}
