/* SPDX-License-Identifier: MIT
 *
 * Cells as people want to see them.
 */
#include "cell.h"

#include <string.h>

ps_cell_format ps_cell_format_of(const ps_column_spec *column, const ps_words *words)
{
    return (ps_cell_format){
        .column = column,
        .words = words,
        .is_plus_1 = strstr(column->doc, "+ 1") != NULL,
        .has_none = strstr(column->doc, "UINT64_MAX") != NULL,
    };
}

ps_cell ps_cell_get(const ps_cell_format *format, const ps_table_head *table, size_t row,
                    const ps_strings *strings)
{
    const uint64_t value = ps_table_get(format->column, table, row);
    const ps_cell_kind kind =
        format->column->type == PS_COLUMN_I64 ? PS_CELL_SIGNED : PS_CELL_UNSIGNED;
    if (format->column->type == PS_COLUMN_STR) {
        return (ps_cell){PS_CELL_TEXT, 0, ps_strings_text(strings, (ps_str)value)};
    }
    if (format->words != NULL && value < format->words->count) {
        return (ps_cell){PS_CELL_TEXT, 0, format->words->word[value]};
    }
    if ((format->is_plus_1 && value == 0) || (format->has_none && value == UINT64_MAX)) {
        return (ps_cell){PS_CELL_NULL, 0, NULL};
    }
    return (ps_cell){kind, format->is_plus_1 ? value - 1 : value, NULL};
}
