/* SPDX-License-Identifier: MIT
 *
 * Column tables: growth, generic access and a stable sort by one column.
 */
#include "base/table.h"

#include <string.h>

#include "base/memory.h"

size_t ps_column_type_bytes(ps_column_type type)
{
    switch (type) {
    case PS_COLUMN_U8:
        return 1;
    case PS_COLUMN_U32:
    case PS_COLUMN_STR:
        return 4;
    case PS_COLUMN_U64:
    case PS_COLUMN_I64:
        break;
    }
    return 8;
}

static void **array_slot(const ps_column_spec *column, ps_table_head *table)
{
    return (void **)(void *)((char *)table + column->offset);
}

void *ps_table_array(const ps_column_spec *column, const ps_table_head *table)
{
    void *array;
    memcpy(&array, (const char *)table + column->offset, sizeof array);
    return array;
}

ps_code ps_table_reserve(const ps_table_spec *spec, ps_table_head *table, size_t rows,
                         ps_error *err)
{
    if (rows <= table->capacity) {
        return PS_OK;
    }
    if (rows > PS_TABLE_MAX_ROWS) {
        return ps_fail(err, PS_LIMIT, "more than %zu rows in table %s", PS_TABLE_MAX_ROWS,
                       spec->name);
    }
    for (size_t i = 0; i < spec->column_count; i++) {
        const ps_column_spec *column = &spec->columns[i];
        void **slot = array_slot(column, table);
        void *grown = ps_realloc(*slot, rows, ps_column_type_bytes(column->type));
        if (grown == NULL) {
            return ps_fail_nomem(err);
        }
        *slot = grown;
    }
    table->capacity = rows;
    return PS_OK;
}

ps_code ps_table_add(const ps_table_spec *spec, ps_table_head *table, size_t *row, ps_error *err)
{
    if (table->count == table->capacity) {
        const size_t wanted = table->capacity < 64 ? 64 : table->capacity + table->capacity / 2;
        PS_TRY(ps_table_reserve(spec, table, wanted, err));
    }
    for (size_t i = 0; i < spec->column_count; i++) {
        ps_table_set(&spec->columns[i], table, table->count, 0);
    }
    *row = table->count++;
    return PS_OK;
}

void ps_table_clear(ps_table_head *table)
{
    table->count = 0;
}

void ps_table_fini(const ps_table_spec *spec, ps_table_head *table)
{
    for (size_t i = 0; i < spec->column_count; i++) {
        void **slot = array_slot(&spec->columns[i], table);
        ps_free(*slot);
        *slot = NULL;
    }
    table->count = 0;
    table->capacity = 0;
}

uint64_t ps_table_get(const ps_column_spec *column, const ps_table_head *table, size_t row)
{
    const void *array = ps_table_array(column, table);
    switch (column->type) {
    case PS_COLUMN_U8:
        return ((const uint8_t *)array)[row];
    case PS_COLUMN_U32:
    case PS_COLUMN_STR:
        return ((const uint32_t *)array)[row];
    case PS_COLUMN_U64:
    case PS_COLUMN_I64:
        break;
    }
    return ((const uint64_t *)array)[row];
}

void ps_table_set(const ps_column_spec *column, ps_table_head *table, size_t row, uint64_t value)
{
    void *array = ps_table_array(column, table);
    switch (column->type) {
    case PS_COLUMN_U8:
        ((uint8_t *)array)[row] = (uint8_t)value;
        return;
    case PS_COLUMN_U32:
    case PS_COLUMN_STR:
        ((uint32_t *)array)[row] = (uint32_t)value;
        return;
    case PS_COLUMN_U64:
    case PS_COLUMN_I64:
        break;
    }
    ((uint64_t *)array)[row] = value;
}

static bool is_sorted(const int64_t *key, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        if (key[i] < key[i - 1]) {
            return false;
        }
    }
    return true;
}

/* Bottom-up merge sort of row numbers: stable, and no recursion on hostile sizes. */
static const uint32_t *sort_rows(const int64_t *key, uint32_t *order, uint32_t *scratch,
                                 size_t count)
{
    for (size_t i = 0; i < count; i++) {
        order[i] = (uint32_t)i;
    }
    for (size_t width = 1; width < count; width *= 2) {
        for (size_t low = 0; low < count; low += 2 * width) {
            const size_t mid = low + width < count ? low + width : count;
            const size_t high = low + 2 * width < count ? low + 2 * width : count;
            size_t a = low, b = mid;
            for (size_t out = low; out < high; out++) {
                const bool take_a = a < mid && (b >= high || key[order[a]] <= key[order[b]]);
                scratch[out] = take_a ? order[a++] : order[b++];
            }
        }
        uint32_t *swap = order;
        order = scratch;
        scratch = swap;
    }
    return order;
}

static void permute(void *array, void *scratch, size_t element, const uint32_t *order, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        memcpy((char *)scratch + i * element, (char *)array + order[i] * element, element);
    }
    memcpy(array, scratch, count * element);
}

ps_code ps_table_permute(const ps_table_spec *spec, ps_table_head *table, const uint32_t *order,
                         ps_error *err)
{
    void *scratch = ps_calloc(table->count, 8);
    if (scratch == NULL) {
        return ps_fail_nomem(err);
    }
    for (size_t i = 0; i < spec->column_count; i++) {
        permute(ps_table_array(&spec->columns[i], table), scratch,
                ps_column_type_bytes(spec->columns[i].type), order, table->count);
    }
    ps_free(scratch);
    return PS_OK;
}

ps_code ps_table_sort(const ps_table_spec *spec, ps_table_head *table, const ps_column_spec *key,
                      ps_error *err)
{
    const size_t count = table->count;
    if (is_sorted(ps_table_array(key, table), count)) {
        return PS_OK;
    }
    uint32_t *order = ps_calloc(count, sizeof *order);
    uint32_t *other = ps_calloc(count, sizeof *other);
    ps_code code = PS_OK;
    if (order == NULL || other == NULL) {
        code = ps_fail_nomem(err);
    } else {
        const uint32_t *sorted = sort_rows(ps_table_array(key, table), order, other, count);
        code = ps_table_permute(spec, table, sorted, err);
    }
    ps_free(order);
    ps_free(other);
    return code;
}
