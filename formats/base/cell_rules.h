/* SPDX-License-Identifier: MIT
 *
 * What each cell of an artefact must satisfy by itself, as lists of rules:
 * enumerations, references to rows, times that are not negative. Strings are
 * checked for every column that holds them.
 */
#ifndef PS_BASE_CELL_RULES_H
#define PS_BASE_CELL_RULES_H

#include "base/whole.h"

/** Largest value a column may hold. Tables count from 0 in the order of the specs. */
typedef struct ps_value_rule {
    int table;
    size_t offset; /* of the column's array in the table struct */
    uint64_t max;
} ps_value_rule;

/** The column names a row of `target`; with `is_optional` it holds row + 1, and 0 for none. */
typedef struct ps_row_rule {
    int table;
    size_t offset;
    int target;
    bool is_optional;
} ps_row_rule;

/** An I64 column whose values are not negative. */
typedef struct ps_time_rule {
    int table;
    size_t offset;
} ps_time_rule;

/** Rules of one kind of artefact. Static storage. */
typedef struct ps_cell_rules {
    const ps_value_rule *values;
    size_t value_count;
    const ps_row_rule *rows;
    size_t row_count;
    const ps_time_rule *times;
    size_t time_count;
} ps_cell_rules;

/**
 * Holds every cell against the rules: strings first, then values, rows, times.
 *
 * @return PS_OK · PS_CHECK_FAILED with the first violation in words
 */
ps_code ps_cell_rules_check(const ps_dataset_view *data, const ps_cell_rules *rules,
                            ps_error *err) PS_MUST_USE;

#endif
