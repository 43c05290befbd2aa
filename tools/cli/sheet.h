/* SPDX-License-Identifier: MIT
 *
 * One table in two dresses: aligned for a terminal (cli/table.h), or Markdown
 * for a document.
 */
#ifndef PS_TOOLS_CLI_SHEET_H
#define PS_TOOLS_CLI_SHEET_H

#include "cli/table.h"

typedef struct ps_sheet {
    ps_output *out;
    bool is_markdown;
    size_t column_count, cell_count;
    ps_grid grid; /* of the aligned dress */
} ps_sheet;

/**
 * Begins a table in the caller's storage.
 *
 * @param column  at most PS_GRID_MAX_COLUMNS with titles, borrowed until ps_sheet_end
 * @param out     borrowed until ps_sheet_end
 */
void ps_sheet_begin(ps_sheet *self, ps_output *out, bool is_markdown, const ps_grid_column *column,
                    size_t column_count);

/** Adds the next cell. Control characters become '?'. */
void ps_sheet_cell(ps_sheet *self, const char *fmt, ...) PS_PRINTF(2, 3);

/** Prints what is not printed yet and frees the table. PS_NOMEM. */
ps_code ps_sheet_end(ps_sheet *self, ps_error *err) PS_MUST_USE;

#endif
