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

/* Rows that are cleared at a time: a column's part of them lies in the first cache. */
#define CLEARED_ROWS 256

static void clear_rows(const ps_table_spec *spec, ps_table_head *table)
{
    const size_t room = table->capacity - table->count;
    const size_t rows = room < CLEARED_ROWS ? room : CLEARED_ROWS;
    for (size_t i = 0; i < spec->column_count; i++) {
        const size_t bytes = ps_column_type_bytes(spec->columns[i].type);
        memset((char *)ps_table_array(&spec->columns[i], table) + table->count * bytes, 0,
               rows * bytes);
    }
    table->clean_end = table->count + rows;
}

ps_code ps_table_add(const ps_table_spec *spec, ps_table_head *table, size_t *row, ps_error *err)
{
    if (table->count == table->capacity) {
        const size_t wanted = table->capacity < 64 ? 64 : table->capacity + table->capacity / 2;
        PS_TRY(ps_table_reserve(spec, table, wanted, err));
    }
    if (table->count != table->clean_count || table->count >= table->clean_end) {
        clear_rows(spec, table);
    }
    *row = table->count++;
    table->clean_count = table->count;
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
    table->clean_count = table->clean_end = 0;
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

/*
 * Tables are runs of sorted rows, one or few a chunk, that overlap little. A
 * natural merge sort of row numbers merges neighbouring runs and leaves alone
 * what is in place; it is stable, and never worse than n log n.
 */
typedef struct row_sort {
    const int64_t *key;
    uint32_t *order;   /* row numbers */
    uint32_t *scratch; /* as many */
    size_t *bound;     /* where runs begin, and the end */
    size_t bound_count, bound_capacity;
} row_sort;

static ps_code find_runs(row_sort *s, size_t count, ps_error *err)
{
    for (size_t i = 0; i <= count; i++) {
        if (i > 0 && i < count && s->key[i] >= s->key[i - 1]) {
            continue;
        }
        void *bound = s->bound;
        PS_TRY(ps_grow(&bound, &s->bound_capacity, s->bound_count + 1, PS_TABLE_MAX_ROWS,
                       sizeof *s->bound, err));
        s->bound = bound;
        s->bound[s->bound_count++] = i;
    }
    return PS_OK;
}

/* First position of low .. high whose row has a key above `key`. */
static size_t behind_key(const row_sort *s, size_t low, size_t high, int64_t key)
{
    while (low < high) {
        const size_t mid = low + (high - low) / 2;
        if (s->key[s->order[mid]] <= key) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low;
}

/* Merges low .. mid with mid .. high; what already lies right is not touched. */
static void merge_runs(row_sort *s, size_t low, size_t mid, size_t high)
{
    low = behind_key(s, low, mid, s->key[s->order[mid]]);
    const size_t left = mid - low;
    memcpy(s->scratch, s->order + low, left * sizeof *s->order);
    size_t a = 0, b = mid;
    for (size_t out = low; a < left; out++) {
        const bool take_left = b >= high || s->key[s->scratch[a]] <= s->key[s->order[b]];
        s->order[out] = take_left ? s->scratch[a++] : s->order[b++];
    }
}

static void merge_all(row_sort *s)
{
    while (s->bound_count > 2) {
        size_t kept = 1;
        for (size_t i = 2; i < s->bound_count; i += 2) {
            merge_runs(s, s->bound[i - 2], s->bound[i - 1], s->bound[i]);
            s->bound[kept++] = s->bound[i];
        }
        if (s->bound_count % 2 == 0) {
            s->bound[kept++] = s->bound[s->bound_count - 1]; /* a run without a partner */
        }
        s->bound_count = kept;
    }
}

/* Rows that stay where they are at both ends are left alone. */
static void permute(void *array, void *scratch, size_t element, const uint32_t *order, size_t begin,
                    size_t end)
{
    char *to = scratch;
    const char *from = array;
    switch (element) {
    case 1:
        for (size_t i = begin; i < end; i++) {
            to[i - begin] = from[order[i]];
        }
        break;
    case 4:
        for (size_t i = begin; i < end; i++) {
            ((uint32_t *)scratch)[i - begin] = ((const uint32_t *)array)[order[i]];
        }
        break;
    default:
        for (size_t i = begin; i < end; i++) {
            ((uint64_t *)scratch)[i - begin] = ((const uint64_t *)array)[order[i]];
        }
        break;
    }
    memcpy((char *)array + begin * element, scratch, (end - begin) * element);
}

ps_code ps_table_permute(const ps_table_spec *spec, ps_table_head *table, const uint32_t *order,
                         ps_error *err)
{
    size_t begin = 0, end = table->count;
    while (begin < end && order[begin] == begin) {
        begin++;
    }
    while (end > begin && order[end - 1] == end - 1) {
        end--;
    }
    if (begin == end) {
        return PS_OK;
    }
    void *scratch = ps_calloc(end - begin, sizeof(uint64_t));
    if (scratch == NULL) {
        return ps_fail_nomem(err);
    }
    for (size_t i = 0; i < spec->column_count; i++) {
        permute(ps_table_array(&spec->columns[i], table), scratch,
                ps_column_type_bytes(spec->columns[i].type), order, begin, end);
    }
    ps_free(scratch);
    return PS_OK;
}

ps_code ps_table_sort(const ps_table_spec *spec, ps_table_head *table, const ps_column_spec *key,
                      ps_error *err)
{
    const size_t count = table->count;
    row_sort s = {.key = ps_table_array(key, table)};
    ps_code code = find_runs(&s, count, err);
    if (code == PS_OK && s.bound_count > 2) {
        s.order = ps_calloc(count, sizeof *s.order);
        s.scratch = ps_calloc(count, sizeof *s.scratch);
        code = s.order == NULL || s.scratch == NULL ? ps_fail_nomem(err) : PS_OK;
        for (size_t i = 0; code == PS_OK && i < count; i++) {
            s.order[i] = (uint32_t)i;
        }
        if (code == PS_OK) {
            merge_all(&s);
            code = ps_table_permute(spec, table, s.order, err);
        }
    }
    ps_free(s.order);
    ps_free(s.scratch);
    ps_free(s.bound);
    return code;
}
