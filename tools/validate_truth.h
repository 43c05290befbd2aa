/* SPDX-License-Identifier: MIT
 *
 * A table of measured runs: which scenario was measured, what came out. A
 * CSV file with these columns in any order, others are kept:
 *
 *   case      what the row is called
 *   input     a file, or the name of a model
 *   options   options of `simulate`, quoted as in a shell
 *   metric    one of validate_metrics.def
 *   measured  a number, in `unit`; yes or no for fits
 *   unit      as people write it (MiB, ms); empty: as the metric's name says
 *   source    who measured it, kept as a text
 *   measured_high         (may be missing) the row is a range from `measured` to this
 *   used_for_calibration  (may be missing) 1: something was fitted to this row
 */
#ifndef PS_TOOLS_VALIDATE_TRUTH_H
#define PS_TOOLS_VALIDATE_TRUTH_H

#include "base/strings.h"
#include "base/units.h"

/** Most rows, and most columns, of a file. */
#define PS_TRUTH_MAX_ROWS ((size_t)1 << 17)
#define PS_TRUTH_MAX_COLUMNS 256u

typedef enum ps_metric_kind {
    PS_METRIC_SIZE,    /* [bytes] */
    PS_METRIC_TIME,    /* [ns] */
    PS_METRIC_VERDICT, /* 1 yes, 0 no */
} ps_metric_kind;

typedef enum ps_metric {
#define X(symbol, name, kind, unit) symbol,
#include "validate_metrics.def"
#undef X
    PS_METRIC_COUNT
} ps_metric;

/** One measured figure; values in base units of the metric's kind. */
typedef struct ps_truth_row {
    uint32_t line; /* in the file, from 1 */
    ps_metric metric;
    ps_str name, input, options;
    uint64_t measured;      /* > 0 unless a verdict */
    uint64_t measured_high; /* >= measured; equal unless the row is a range */
    bool is_calibration;
} ps_truth_row;

typedef struct ps_truth {
    ps_strings *strings;
    ps_truth_row *row;
    size_t row_count, row_capacity;
    ps_str *column; /* names, as in the file */
    size_t column_count, column_capacity;
    ps_str *cell; /* [row_count * column_count] as in the file */
    size_t cell_count, cell_capacity;
} ps_truth;

/** "peak_allocated_bytes"... Static storage. */
const char *ps_metric_name(ps_metric metric);

ps_metric_kind ps_metric_kind_of(ps_metric metric);

/** Finds a metric by its name; false when there is none. */
bool ps_metric_find(const char *name, size_t bytes, ps_metric *out);

/**
 * Reads a table.
 *
 * @param name  what messages call the text
 * @param out   release with ps_truth_fini; written only on PS_OK
 * @return PS_OK · PS_BAD_INPUT with name and line · PS_LIMIT · PS_NOMEM
 */
ps_code ps_truth_read_memory(const char *name, const void *bytes, size_t count, ps_truth *out,
                             ps_error *err) PS_MUST_USE;

/** ps_truth_read_memory for a file of at most 16 MiB; gzip is undone. PS_IO when it cannot be read. */
ps_code ps_truth_read_file(const char *path, ps_truth *out, ps_error *err) PS_MUST_USE;

/** Number of a column by its name; column_count when there is none. */
size_t ps_truth_column(const ps_truth *self, const char *name);

/** True for the columns whose meaning is shown otherwise, false for those shown as they are. */
bool ps_truth_column_is_known(const ps_truth *self, size_t column);

/** Text of a cell as in the file. Borrowed from the table. */
const char *ps_truth_cell(const ps_truth *self, size_t row, size_t column);

void ps_truth_fini(ps_truth *self);

#endif
