/* SPDX-License-Identifier: MIT
 *
 * CSV rows -> measured figures. A file that says anything that cannot be
 * understood is refused as a whole: a row left out would flatter somebody.
 */
#include "validate_truth.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/source.h"
#include "cluster/csv_rows.h"

/* [bytes] of a file. */
#define MAX_FILE_BYTES ((size_t)16 << 20)

/* [bytes] of a number, and of a unit, as text. */
#define MAX_NUMBER_BYTES 60u
#define MAX_UNIT_BYTES 20u

typedef enum known_column {
    COLUMN_CASE,
    COLUMN_INPUT,
    COLUMN_OPTIONS,
    COLUMN_METRIC,
    COLUMN_MEASURED,
    COLUMN_UNIT,
    COLUMN_SOURCE,
    COLUMN_REQUIRED_COUNT,
    COLUMN_HIGH = COLUMN_REQUIRED_COUNT,
    COLUMN_CALIBRATION,
    COLUMN_KNOWN_COUNT
} known_column;

static const char *const known_names[COLUMN_KNOWN_COUNT] = {
    "case",   "input",         "options",
    "metric", "measured",      "unit",
    "source", "measured_high", "used_for_calibration"};

static const struct {
    const char *name;
    ps_metric_kind kind;
    const char *unit;
} metrics[PS_METRIC_COUNT] = {
#define X(symbol, name, kind, unit) {name, kind, unit},
#include "validate_metrics.def"
#undef X
};

const char *ps_metric_name(ps_metric metric)
{
    return metrics[metric].name;
}

ps_metric_kind ps_metric_kind_of(ps_metric metric)
{
    return metrics[metric].kind;
}

bool ps_metric_find(const char *name, size_t bytes, ps_metric *out)
{
    for (int i = 0; i < PS_METRIC_COUNT; i++) {
        if (strlen(metrics[i].name) == bytes && memcmp(metrics[i].name, name, bytes) == 0) {
            *out = (ps_metric)i;
            return true;
        }
    }
    return false;
}

typedef struct reading {
    ps_truth *truth;
    const char *name;
    size_t at[COLUMN_KNOWN_COUNT]; /* column in the file; column_count: not there */
    const char *const *field;      /* of the row being read */
    uint32_t line;
} reading;

/* PS_BAD_INPUT with "runs.csv:12: " before the message. */
PS_PRINTF(3, 4)
static ps_code refuse(const reading *self, ps_error *err, const char *fmt, ...)
{
    char what[320];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(what, sizeof what, fmt, args);
    va_end(args);
    return ps_fail(err, PS_BAD_INPUT, "%.140s:%u: %s", self->name, (unsigned)self->line, what);
}

/* Text of a column in the row, "" when the file has no such column. */
static const char *field_of(const reading *self, known_column column)
{
    return self->at[column] == self->truth->column_count ? "" : self->field[self->at[column]];
}

static ps_code read_header(reading *self, size_t count, ps_error *err)
{
    ps_truth *truth = self->truth;
    PS_TRY(ps_grow((void **)&truth->column, &truth->column_capacity, count, PS_TRUTH_MAX_COLUMNS,
                   sizeof *truth->column, err));
    for (size_t i = 0; i < count; i++) {
        PS_TRY(ps_strings_put_z(truth->strings, self->field[i], &truth->column[i], err));
        for (size_t j = 0; j < i; j++) {
            if (truth->column[i] == truth->column[j]) {
                return refuse(self, err, "there are two columns \"%.80s\"", self->field[i]);
            }
        }
    }
    truth->column_count = count;
    for (int i = 0; i < COLUMN_KNOWN_COUNT; i++) {
        self->at[i] = ps_truth_column(truth, known_names[i]);
        if (i < COLUMN_REQUIRED_COUNT && self->at[i] == count) {
            return refuse(self, err,
                          "the column %s is missing: a table of measured runs has case, input, "
                          "options, metric, measured, unit and source",
                          known_names[i]);
        }
    }
    return PS_OK;
}

/* Reads yes/no, true/false, 1/0. */
static bool parse_verdict(const char *text, bool *out)
{
    static const char *const words[] = {"no", "yes", "false", "true", "0", "1"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(text, words[i]) == 0) {
            *out = i % 2 == 1;
            return true;
        }
    }
    return false;
}

/* "12.5" in "MiB" -> base units of the metric. */
static ps_code parse_figure(const reading *self, ps_metric metric, known_column column,
                            uint64_t *out, ps_error *err)
{
    char text[MAX_NUMBER_BYTES + MAX_UNIT_BYTES + 2];
    const char *number = field_of(self, column);
    const char *unit = field_of(self, COLUMN_UNIT);
    if (strlen(number) > MAX_NUMBER_BYTES || strlen(unit) > MAX_UNIT_BYTES) {
        return refuse(self, err, "%s: \"%.80s\" \"%.40s\" is no figure", known_names[column],
                      number, unit);
    }
    unit = unit[0] == '\0' ? metrics[metric].unit : strcmp(unit, "bytes") == 0 ? "B" : unit;
    (void)snprintf(text, sizeof text, "%s %s", number, unit);
    const ps_unit_kind kind =
        metrics[metric].kind == PS_METRIC_TIME ? PS_UNIT_DURATION : PS_UNIT_SIZE;
    if (ps_quantity_parse_in(kind, text, 1, INT64_MAX - 1, out, err) != PS_OK) {
        ps_error_note(err, "%.100s:%u: %s", self->name, (unsigned)self->line, known_names[column]);
        if (err != NULL) {
            err->code = PS_BAD_INPUT;
        }
        return PS_BAD_INPUT;
    }
    return PS_OK;
}

static ps_code read_verdict(const reading *self, ps_truth_row *row, ps_error *err)
{
    bool fits;
    if (!parse_verdict(field_of(self, COLUMN_MEASURED), &fits)) {
        return refuse(self, err, "\"%.40s\" is no verdict: use yes or no",
                      field_of(self, COLUMN_MEASURED));
    }
    if (field_of(self, COLUMN_UNIT)[0] != '\0' || field_of(self, COLUMN_HIGH)[0] != '\0') {
        return refuse(self, err, "%s has no unit and no range", metrics[row->metric].name);
    }
    row->measured = fits ? 1 : 0;
    row->measured_high = row->measured;
    return PS_OK;
}

static ps_code read_measured(const reading *self, ps_truth_row *row, ps_error *err)
{
    if (metrics[row->metric].kind == PS_METRIC_VERDICT) {
        return read_verdict(self, row, err);
    }
    PS_TRY(parse_figure(self, row->metric, COLUMN_MEASURED, &row->measured, err));
    row->measured_high = row->measured;
    if (field_of(self, COLUMN_HIGH)[0] != '\0') {
        PS_TRY(parse_figure(self, row->metric, COLUMN_HIGH, &row->measured_high, err));
    }
    if (row->measured_high < row->measured) {
        return refuse(self, err, "measured_high is less than measured");
    }
    return PS_OK;
}

static ps_code read_metric(const reading *self, ps_truth_row *row, ps_error *err)
{
    const char *name = field_of(self, COLUMN_METRIC);
    if (ps_metric_find(name, strlen(name), &row->metric)) {
        return PS_OK;
    }
    return refuse(self, err,
                  "metric \"%.60s\" is unknown: use peak_allocated_bytes, peak_reserved_bytes, "
                  "peak_device_bytes, peak_nvml_bytes, peak_host_bytes, step_time_ms or fits",
                  name);
}

static ps_code read_names(const reading *self, ps_truth_row *row, ps_error *err)
{
    ps_strings *strings = self->truth->strings;
    const char *calibration = field_of(self, COLUMN_CALIBRATION);
    if (field_of(self, COLUMN_CASE)[0] == '\0' || field_of(self, COLUMN_INPUT)[0] == '\0') {
        return refuse(self, err, "a row needs a case and an input");
    }
    if (calibration[0] != '\0' && !parse_verdict(calibration, &row->is_calibration)) {
        return refuse(self, err, "used_for_calibration is \"%.40s\": use 1 or 0", calibration);
    }
    PS_TRY(ps_strings_put_z(strings, field_of(self, COLUMN_CASE), &row->name, err));
    PS_TRY(ps_strings_put_z(strings, field_of(self, COLUMN_INPUT), &row->input, err));
    return ps_strings_put_z(strings, field_of(self, COLUMN_OPTIONS), &row->options, err);
}

static ps_code keep_cells(reading *self, ps_error *err)
{
    ps_truth *truth = self->truth;
    PS_TRY(ps_grow((void **)&truth->cell, &truth->cell_capacity,
                   truth->cell_count + truth->column_count,
                   PS_TRUTH_MAX_ROWS * PS_TRUTH_MAX_COLUMNS, sizeof *truth->cell, err));
    for (size_t i = 0; i < truth->column_count; i++) {
        PS_TRY(ps_strings_put_z(truth->strings, self->field[i], &truth->cell[truth->cell_count + i],
                                err));
    }
    truth->cell_count += truth->column_count;
    return PS_OK;
}

static ps_code read_row(reading *self, ps_error *err)
{
    ps_truth *truth = self->truth;
    ps_truth_row row = {.line = self->line};
    PS_TRY(read_names(self, &row, err));
    PS_TRY(read_metric(self, &row, err));
    PS_TRY(read_measured(self, &row, err));
    PS_TRY(ps_grow((void **)&truth->row, &truth->row_capacity, truth->row_count + 1,
                   PS_TRUTH_MAX_ROWS, sizeof *truth->row, err));
    PS_TRY(keep_cells(self, err));
    truth->row[truth->row_count++] = row;
    return PS_OK;
}

static ps_code on_row(void *context, const char *const *field, size_t count, uint32_t line,
                      ps_error *err)
{
    reading *self = context;
    self->field = field;
    self->line = line;
    if (self->truth->column_count == 0) {
        return read_header(self, count, err);
    }
    if (count != self->truth->column_count) {
        return refuse(self, err, "%zu fields, but the first line has %zu", count,
                      self->truth->column_count);
    }
    return read_row(self, err);
}

static ps_code read_table(const char *name, const void *bytes, size_t count, ps_truth *truth,
                          ps_error *err)
{
    reading state = {.truth = truth, .name = name};
    if (truth->strings == NULL) {
        return ps_fail_nomem(err);
    }
    PS_TRY(ps_csv_read(name, bytes, count, on_row, &state, err));
    if (truth->row_count == 0) {
        return ps_fail(err, PS_BAD_INPUT, "%.200s has no rows", name);
    }
    return PS_OK;
}

ps_code ps_truth_read_memory(const char *name, const void *bytes, size_t count, ps_truth *out,
                             ps_error *err)
{
    ps_truth made = {.strings = ps_strings_create()};
    const ps_code code = read_table(name, bytes, count, &made, err);
    if (code != PS_OK) {
        ps_truth_fini(&made);
        return code;
    }
    *out = made;
    return PS_OK;
}

/* Reads a source to its end; *bytes is owned by the caller also on failure. */
static ps_code read_all(ps_source *source, char **bytes, size_t *count, ps_error *err)
{
    size_t capacity = 0;
    size_t got = 0;
    do {
        PS_TRY(ps_grow((void **)bytes, &capacity, *count + 65536, MAX_FILE_BYTES + 65536, 1, err));
        PS_TRY(ps_source_read(source, *bytes + *count, capacity - *count, &got, err));
        *count += got;
        if (*count > MAX_FILE_BYTES) {
            return ps_fail(err, PS_LIMIT, "%s is longer than 16 MiB", ps_source_name(source));
        }
    } while (got > 0);
    return PS_OK;
}

ps_code ps_truth_read_file(const char *path, ps_truth *out, ps_error *err)
{
    ps_source *source = NULL;
    char *bytes = NULL;
    size_t count = 0;
    PS_TRY(ps_source_open(path, &source, err));
    ps_code code = read_all(source, &bytes, &count, err);
    ps_source_close(source);
    if (code == PS_OK) {
        code = ps_truth_read_memory(path, bytes, count, out, err);
    }
    ps_free(bytes);
    return code;
}

size_t ps_truth_column(const ps_truth *self, const char *name)
{
    size_t i = 0;
    while (i < self->column_count &&
           strcmp(ps_strings_text(self->strings, self->column[i]), name) != 0) {
        i++;
    }
    return i;
}

bool ps_truth_column_is_known(const ps_truth *self, size_t column)
{
    const char *name = ps_strings_text(self->strings, self->column[column]);
    for (int i = 0; i < COLUMN_KNOWN_COUNT; i++) {
        if (i != COLUMN_SOURCE && i != COLUMN_CALIBRATION && strcmp(name, known_names[i]) == 0) {
            return true;
        }
    }
    return false;
}

const char *ps_truth_cell(const ps_truth *self, size_t row, size_t column)
{
    return ps_strings_text(self->strings, self->cell[row * self->column_count + column]);
}

void ps_truth_fini(ps_truth *self)
{
    ps_strings_destroy(self->strings);
    ps_free(self->row);
    ps_free(self->column);
    ps_free(self->cell);
    *self = (ps_truth){0};
}
