/* SPDX-License-Identifier: MIT
 *
 * Aligned cells go to a grid; Markdown needs no widths and is written at once.
 */
#include "cli/sheet.h"

#include <stdarg.h>

#define CELL_BYTES 512u

static void begin_markdown(ps_output *out, const ps_grid_column *column, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        ps_output_print(out, "| %s ", column[i].title);
    }
    ps_output_print(out, "|\n");
    for (size_t i = 0; i < count; i++) {
        ps_output_print(out, "%s", column[i].is_right ? "| ---: " : "| --- ");
    }
    ps_output_print(out, "|\n");
}

void ps_sheet_begin(ps_sheet *self, ps_output *out, bool is_markdown, const ps_grid_column *column,
                    size_t column_count)
{
    *self = (ps_sheet){.out = out, .is_markdown = is_markdown, .column_count = column_count};
    if (is_markdown) {
        begin_markdown(out, column, column_count);
    } else {
        ps_grid_init(&self->grid, column, column_count);
    }
}

/* A bar within a cell would end it. */
static void print_markdown(ps_sheet *self, const char *cell)
{
    ps_output_print(self->out, "| ");
    for (; *cell != '\0'; cell++) {
        const char text[2] = {*cell, '\0'};
        ps_output_print(self->out, "%s", *cell == '|' ? "\\" : "");
        ps_output_quote(self->out, text);
    }
    self->cell_count++;
    ps_output_print(self->out, "%s", self->cell_count % self->column_count == 0 ? " |\n" : " ");
}

void ps_sheet_cell(ps_sheet *self, const char *fmt, ...)
{
    char cell[CELL_BYTES];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(cell, sizeof cell, fmt, args);
    va_end(args);
    if (self->is_markdown) {
        print_markdown(self, cell);
    } else {
        ps_grid_cell(&self->grid, "%s", cell);
    }
}

ps_code ps_sheet_end(ps_sheet *self, ps_error *err)
{
    return self->is_markdown ? PS_OK : ps_grid_print(&self->grid, self->out, 2, err);
}
