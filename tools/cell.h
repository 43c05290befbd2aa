/* SPDX-License-Identifier: MIT
 *
 * A cell of a table as a person wants to see it: text instead of string ids,
 * words instead of numbers of an enumeration, nothing where the value is not
 * known. Some columns hold a value + 1 so that 0 can mean "unknown", others
 * UINT64_MAX; their descriptions say so ("+ 1", "UINT64_MAX"), and the cell
 * is told from that.
 */
#ifndef PS_TOOLS_CELL_H
#define PS_TOOLS_CELL_H

#include "trace/words.h"

typedef enum ps_cell_kind {
    PS_CELL_NULL,
    PS_CELL_UNSIGNED,
    PS_CELL_SIGNED,
    PS_CELL_TEXT,
} ps_cell_kind;

typedef struct ps_cell {
    ps_cell_kind kind;
    uint64_t number;  /* SIGNED: two's complement */
    const char *text; /* borrowed from the strings, or static */
} ps_cell;

/** How a column is shown; made once a column. */
typedef struct ps_cell_format {
    const ps_column_spec *column;
    const ps_words *words; /* NULL: no enumeration */
    bool is_plus_1;
    bool has_none; /* UINT64_MAX stands for none */
} ps_cell_format;

/** @param words  of the column, or NULL */
ps_cell_format ps_cell_format_of(const ps_column_spec *column, const ps_words *words);

ps_cell ps_cell_get(const ps_cell_format *format, const ps_table_head *table, size_t row,
                    const ps_strings *strings);

#endif
