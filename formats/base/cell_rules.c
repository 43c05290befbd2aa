/* SPDX-License-Identifier: MIT
 *
 * Cells against rules, column by column.
 */
#include "base/cell_rules.h"

static const ps_column_spec *column_at(const ps_dataset_view *data, int table, size_t offset)
{
    const ps_column_spec *column = data->specs[table].columns;
    while (column->offset != offset) {
        column++;
    }
    return column;
}

/* The first row whose value is above `most`; count when there is none. */
static size_t first_above(const ps_column_spec *column, const ps_table_head *table, uint64_t most)
{
    const void *array = ps_table_array(column, table);
    const size_t count = table->count;
    size_t row = 0;
    switch (ps_column_type_bytes(column->type)) {
    case 1:
        for (; row < count && ((const uint8_t *)array)[row] <= most; row++) {
        }
        break;
    case 4:
        for (; row < count && ((const uint32_t *)array)[row] <= most; row++) {
        }
        break;
    default:
        for (; row < count && ((const uint64_t *)array)[row] <= most; row++) {
        }
        break;
    }
    return row;
}

static ps_code check_values(const ps_dataset_view *data, const ps_value_rule *rule, ps_error *err)
{
    const ps_column_spec *column = column_at(data, rule->table, rule->offset);
    const ps_table_head *table = data->tables[rule->table];
    const size_t row = first_above(column, table, rule->max);
    if (row == table->count) {
        return PS_OK;
    }
    return ps_fail(err, PS_CHECK_FAILED, "%s %zu: %s is %llu, the largest is %llu",
                   data->specs[rule->table].name, row, column->name,
                   (unsigned long long)ps_table_get(column, table, row),
                   (unsigned long long)rule->max);
}

static ps_code check_rows(const ps_dataset_view *data, const ps_row_rule *rule, ps_error *err)
{
    const ps_column_spec *column = column_at(data, rule->table, rule->offset);
    const ps_table_head *table = data->tables[rule->table];
    const uint64_t end = data->tables[rule->target]->count + (rule->is_optional ? 1u : 0u);
    const size_t row = table->count == 0 || end == 0 ? 0 : first_above(column, table, end - 1);
    if (row == table->count) {
        return PS_OK;
    }
    return ps_fail(err, PS_CHECK_FAILED, "%s %zu: %s is %llu, must be below %llu",
                   data->specs[rule->table].name, row, column->name,
                   (unsigned long long)ps_table_get(column, table, row), (unsigned long long)end);
}

static ps_code check_times(const ps_dataset_view *data, const ps_time_rule *rule, ps_error *err)
{
    const ps_column_spec *column = column_at(data, rule->table, rule->offset);
    const ps_table_head *table = data->tables[rule->table];
    const int64_t *value = ps_table_array(column, table);
    for (size_t row = 0; row < table->count; row++) {
        if (value[row] < 0) {
            return ps_fail(err, PS_CHECK_FAILED, "%s %zu: %s is %lld, must be >= 0",
                           data->specs[rule->table].name, row, column->name, (long long)value[row]);
        }
    }
    return PS_OK;
}

static ps_code check_strings(const ps_dataset_view *data, size_t id, ps_error *err)
{
    const ps_table_spec *spec = &data->specs[id];
    const ps_table_head *table = data->tables[id];
    const uint32_t count = ps_strings_count(data->strings);
    for (size_t c = 0; c < spec->column_count; c++) {
        const ps_column_spec *column = &spec->columns[c];
        const bool is_text = column->type == PS_COLUMN_STR;
        const size_t row = is_text ? first_above(column, table, count - 1) : table->count;
        if (row < table->count) {
            return ps_fail(err, PS_CHECK_FAILED, "%s %zu: %s is string %llu of %u", spec->name, row,
                           column->name, (unsigned long long)ps_table_get(column, table, row),
                           count);
        }
    }
    return PS_OK;
}

ps_code ps_cell_rules_check(const ps_dataset_view *data, const ps_cell_rules *rules, ps_error *err)
{
    for (size_t i = 0; i < data->table_count; i++) {
        PS_TRY(check_strings(data, i, err));
    }
    for (size_t i = 0; i < rules->value_count; i++) {
        PS_TRY(check_values(data, &rules->values[i], err));
    }
    for (size_t i = 0; i < rules->row_count; i++) {
        PS_TRY(check_rows(data, &rules->rows[i], err));
    }
    for (size_t i = 0; i < rules->time_count; i++) {
        PS_TRY(check_times(data, &rules->times[i], err));
    }
    return PS_OK;
}
