/* SPDX-License-Identifier: MIT
 *
 * Aligned tables for people:
 *
 *   device  name         busy
 *        0  Tesla V100   68.40 %
 *
 * Cells are given row by row; the widths come at the end.
 */
#ifndef PS_TOOLS_CLI_TABLE_H
#define PS_TOOLS_CLI_TABLE_H

#include <stddef.h>

#include "cli/output.h"

#define PS_GRID_MAX_COLUMNS 16u

/** One column of a table. */
typedef struct ps_grid_column {
    const char *title; /* NULL in all columns: no line of titles */
    bool is_right;     /* numbers end at the right */
} ps_grid_column;

typedef struct ps_grid {
    const ps_grid_column *column; /* borrowed */
    size_t column_count;
    char *text; /* terminated cells one after the other */
    size_t text_bytes, text_capacity;
    size_t cell_count;
    size_t width[PS_GRID_MAX_COLUMNS];
    ps_code code; /* first failure */
} ps_grid;

/** Starts an empty table of at most PS_GRID_MAX_COLUMNS columns in the caller's storage. */
void ps_grid_init(ps_grid *self, const ps_grid_column *column, size_t column_count);

/** Adds the next cell. Control characters become '?'. */
void ps_grid_cell(ps_grid *self, const char *fmt, ...) PS_PRINTF(2, 3);

/** Prints all rows, each indented, and frees the table. PS_NOMEM when a cell could not be kept. */
ps_code ps_grid_print(ps_grid *self, ps_output *out, unsigned indent, ps_error *err) PS_MUST_USE;

#endif
