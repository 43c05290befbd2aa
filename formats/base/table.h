/* SPDX-License-Identifier: MIT
 *
 * Tables of columns (struct of arrays), described by data.
 *
 * A table type is declared once as an X-macro list of its columns. From that
 * list come the C struct with one typed array a column, the description that
 * the codec, the checker and `dump` walk, and the names a person sees. A new
 * column is one new line.
 *
 *   #define PS_FOO_COLUMNS(X)                    \
 *       X(1, start_ns, I64, DELTA, "[ns] ...")   \
 *       X(2, name,     STR, PLAIN, "...")
 *   PS_TABLE_STRUCT(ps_foo_table, PS_FOO_COLUMNS);
 *
 * The number is the column's identity in files: never reused, never changed.
 */
#ifndef PS_BASE_TABLE_H
#define PS_BASE_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "base/strings.h"

/** How one value of a column is held in memory. */
typedef enum ps_column_type {
    PS_COLUMN_U8,
    PS_COLUMN_U32,
    PS_COLUMN_U64,
    PS_COLUMN_I64,
    PS_COLUMN_STR, /* ps_str, an id in the owner's string table */
} ps_column_type;

/** How neighbouring values relate; the codec's hint, not part of the meaning. */
typedef enum ps_column_coding {
    PS_CODING_PLAIN,
    PS_CODING_DELTA,
} ps_column_coding;

/** One column as data. */
typedef struct ps_column_spec {
    uint32_t id;      /* identity in files */
    const char *name; /* snake_case with its unit */
    ps_column_type type;
    ps_column_coding coding;
    const char *doc; /* meaning, unit, range */
    size_t offset;   /* of the array pointer in the table struct */
} ps_column_spec;

/** One table type as data. */
typedef struct ps_table_spec {
    uint32_t id;      /* identity in files */
    const char *name; /* snake_case singular: "kernel" */
    const char *doc;
    const ps_column_spec *columns;
    size_t column_count;
} ps_table_spec;

/** First member of every table struct. */
typedef struct ps_table_head {
    size_t count;    /* rows in use */
    size_t capacity; /* rows every array has room for */
    /* While count is where the last ps_table_add left it, rows up to clean_end are zero. */
    size_t clean_count, clean_end;
} ps_table_head;

#define PS_TABLE_MAX_ROWS ((size_t)1 << 31)

#define PS_CTYPE_U8 uint8_t
#define PS_CTYPE_U32 uint32_t
#define PS_CTYPE_U64 uint64_t
#define PS_CTYPE_I64 int64_t
#define PS_CTYPE_STR ps_str

#define PS_TABLE_FIELD(id, name, type, coding, doc) PS_CTYPE_##type *name;
#define PS_TABLE_STRUCT(struct_name, COLUMNS) \
    typedef struct struct_name {              \
        ps_table_head head;                   \
        COLUMNS(PS_TABLE_FIELD)               \
    } struct_name

/** [bytes] size of one value of a type: 1, 4 or 8. */
size_t ps_column_type_bytes(ps_column_type type);

/**
 * Appends one zeroed row.
 *
 * @param row  index of the new row, written only on PS_OK
 * @return PS_OK · PS_NOMEM · PS_LIMIT more than PS_TABLE_MAX_ROWS
 */
ps_code ps_table_add(const ps_table_spec *spec, ps_table_head *table, size_t *row,
                     ps_error *err) PS_MUST_USE;

/** Makes room for `rows` rows in total; the count does not change. */
ps_code ps_table_reserve(const ps_table_spec *spec, ps_table_head *table, size_t rows,
                         ps_error *err) PS_MUST_USE;

/** Forgets all rows, keeps the memory. */
void ps_table_clear(ps_table_head *table);

/** Releases the arrays and clears the struct for reuse. */
void ps_table_fini(const ps_table_spec *spec, ps_table_head *table);

/** Value of a cell widened to 64 bits (I64 by its two's complement bits). */
uint64_t ps_table_get(const ps_column_spec *column, const ps_table_head *table, size_t row);

/** Stores a cell from 64 bits; excess bits are dropped. */
void ps_table_set(const ps_column_spec *column, ps_table_head *table, size_t row, uint64_t value);

/** The array of a column, borrowed until the next add or reserve. */
void *ps_table_array(const ps_column_spec *column, const ps_table_head *table);

/**
 * Reorders all rows so that column `key` (an I64 column) ascends; equal keys
 * keep their order. O(n) when already sorted, else O(n log n).
 */
ps_code ps_table_sort(const ps_table_spec *spec, ps_table_head *table, const ps_column_spec *key,
                      ps_error *err) PS_MUST_USE;

/** Reorders all rows: new row i is old row order[i]. `order` is a permutation of 0 .. count-1. */
ps_code ps_table_permute(const ps_table_spec *spec, ps_table_head *table, const uint32_t *order,
                         ps_error *err) PS_MUST_USE;

#endif
