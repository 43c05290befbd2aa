/* SPDX-License-Identifier: MIT
 *
 * A figure table as a store; figure_table_read.c fills it.
 */
#ifndef PS_CLUSTER_FIGURE_TABLE_STORE_H
#define PS_CLUSTER_FIGURE_TABLE_STORE_H

#include "base/strings.h"
#include "cluster/figure_table.h"

typedef struct ps_figure_row {
    uint32_t thing;
    uint32_t text_number; /* of the file */
    uint32_t line;
    uint32_t before; /* the thing's row before this one, counted from 1; 0: this is its first */
    ps_str quantity, text, origin;
    ps_quality quality;
    uint64_t value;
} ps_figure_row;

typedef struct ps_figure_thing {
    ps_str name, key;
    ps_str file;
    uint32_t line;
    uint32_t last; /* its last row, counted from 1; 0: none */
} ps_figure_thing;

struct ps_figure_table {
    const char *subject;
    const ps_figure_rule *rules;
    ps_strings *strings;
    ps_figure_row *row;
    size_t row_count, row_capacity;
    ps_figure_thing *thing;
    size_t thing_count, thing_capacity;
    uint32_t text_count;
};

/** The row that holds for a thing itself; NULL when it states nothing of the kind. */
const ps_figure_row *ps_figure_own_row(const ps_figure_table *self, uint32_t id,
                                       const char *quantity);

#endif
