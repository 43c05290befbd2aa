/* SPDX-License-Identifier: MIT
 *
 * A validation for people.
 */
#include "cli/sheet.h"
#include "validate_report.h"

/* Columns of the table of rows that are not taken from the file. */
#define OWN_COLUMNS 5u

typedef char figure_text[2 * PS_QUANTITY_TEXT_BYTES + 4];

static const char *format_figure(ps_metric metric, uint64_t value, char *out)
{
    switch (ps_metric_kind_of(metric)) {
    case PS_METRIC_TIME:
        return ps_time_format((ps_ns)value, out);
    case PS_METRIC_VERDICT:
        return value != 0 ? "yes" : "no";
    case PS_METRIC_SIZE:
        break;
    }
    return ps_quantity_format(PS_UNIT_SIZE, value, out);
}

static const char *format_measured(const ps_truth_row *row, figure_text out)
{
    char low[PS_QUANTITY_TEXT_BYTES], high[PS_QUANTITY_TEXT_BYTES];
    if (row->measured == row->measured_high) {
        return format_figure(row->metric, row->measured, out);
    }
    (void)snprintf(out, sizeof(figure_text), "%s to %s",
                   format_figure(row->metric, row->measured, low),
                   format_figure(row->metric, row->measured_high, high));
    return out;
}

static const char *format_error(const ps_truth_row *row, const ps_row_outcome *outcome,
                                char out[PS_PERCENT_TEXT_BYTES])
{
    if (ps_metric_kind_of(row->metric) == PS_METRIC_VERDICT) {
        return outcome->predicted == row->measured ? "right" : "wrong";
    }
    return ps_percent_text(outcome->error, true, out);
}

static void put_row(const ps_validation *validation, size_t i, ps_sheet *sheet)
{
    const ps_truth *truth = validation->truth;
    const ps_truth_row *row = &truth->row[i];
    const ps_row_outcome *outcome = &validation->row[i];
    figure_text measured;
    char predicted[PS_QUANTITY_TEXT_BYTES], error[PS_PERCENT_TEXT_BYTES];
    ps_sheet_cell(sheet, "%s", ps_strings_text(truth->strings, row->name));
    ps_sheet_cell(sheet, "%s", ps_metric_name(row->metric));
    if (outcome->state == PS_ROW_EVALUATED) {
        ps_sheet_cell(sheet, "%s", format_figure(row->metric, outcome->predicted, predicted));
    } else {
        ps_sheet_cell(sheet, "%s", outcome->state == PS_ROW_FAILED ? "failed" : "skipped");
    }
    ps_sheet_cell(sheet, "%s", format_measured(row, measured));
    ps_sheet_cell(sheet, "%s",
                  outcome->state == PS_ROW_EVALUATED ? format_error(row, outcome, error) : "");
}

static ps_code print_rows(const ps_report *self, ps_output *out, ps_error *err)
{
    const ps_truth *truth = self->validation->truth;
    ps_grid_column column[PS_GRID_MAX_COLUMNS] = {{"case", false},
                                                  {"metric", false},
                                                  {"predicted", true},
                                                  {"measured", true},
                                                  {"error", true}};
    size_t kept[PS_GRID_MAX_COLUMNS];
    size_t count = OWN_COLUMNS;
    ps_sheet sheet;
    for (size_t i = 0; i < truth->column_count && count < PS_GRID_MAX_COLUMNS; i++) {
        if (!ps_truth_column_is_known(truth, i)) {
            kept[count] = i;
            column[count++] =
                (ps_grid_column){ps_strings_text(truth->strings, truth->column[i]), false};
        }
    }
    ps_sheet_begin(&sheet, out, self->is_markdown, column, count);
    for (size_t i = 0; i < truth->row_count && !ps_output_failed(out); i++) {
        put_row(self->validation, i, &sheet);
        for (size_t k = OWN_COLUMNS; k < count; k++) {
            ps_sheet_cell(&sheet, "%s", ps_truth_cell(truth, i, kept[k]));
        }
    }
    PS_TRY(ps_sheet_end(&sheet, err));
    ps_output_print(out, "\n");
    return PS_OK;
}

static void print_failure(const ps_report *self, size_t i, ps_output *out)
{
    const ps_validation *validation = self->validation;
    const ps_truth_row *row = &validation->truth->row[i];
    ps_output_print(
        out, "%s%s line %u, ", self->is_markdown ? "- " : "  ",
        validation->row[i].state == PS_ROW_FAILED ? "failed:" : "skipped:", (unsigned)row->line);
    ps_output_quote(out, ps_strings_text(validation->truth->strings, row->name));
    ps_output_print(out, ": ");
    ps_output_quote(out, validation->row[i].why);
    ps_output_print(out, "\n");
}

/* Failures are always told; what was passed over on request only beside its row. */
static void print_failures(const ps_report *self, ps_output *out)
{
    size_t printed = 0;
    for (size_t i = 0; i < self->validation->truth->row_count; i++) {
        const ps_row_state state = self->validation->row[i].state;
        if (state == PS_ROW_FAILED || (state == PS_ROW_SKIPPED && self->has_rows)) {
            print_failure(self, i, out);
            printed++;
        }
    }
    ps_output_print(out, "%s", printed > 0 ? "\n" : "");
}

static void put_score(ps_sheet *sheet, const char *title, const ps_score *score)
{
    char text[PS_PERCENT_TEXT_BYTES];
    const uint64_t value[] = {score->error.median, score->error.mean, score->error.p90,
                              score->error.worst};
    ps_sheet_cell(sheet, "%s", title);
    ps_sheet_cell(sheet, "%s", ps_metric_name(score->metric));
    ps_sheet_cell(sheet, "%zu", score->count);
    for (size_t i = 0; i < sizeof value / sizeof value[0]; i++) {
        ps_sheet_cell(sheet, "%s", ps_percent_text((int64_t)value[i], false, text));
    }
}

static void put_verdicts(ps_sheet *sheet, const char *title, const ps_score *score)
{
    char text[PS_PERCENT_TEXT_BYTES];
    ps_sheet_cell(sheet, "%s", title);
    ps_sheet_cell(sheet, "%s", ps_metric_name(score->metric));
    ps_sheet_cell(sheet, "%zu", score->count);
    ps_sheet_cell(sheet, "%s", ps_percent_text((int64_t)ps_score_right_share(score), false, text));
    ps_sheet_cell(sheet, "%zu", score->wrongly_fits);
    ps_sheet_cell(sheet, "%zu", score->wrongly_full);
}

/* Scores of metrics of one sort, verdicts or errors; nothing when there are none. */
static ps_code print_scores(const ps_report *self, const ps_report_parts *parts, bool of_verdicts,
                            ps_output *out, ps_error *err)
{
    static const ps_grid_column error_columns[] = {
        {"rows", false}, {"metric", false}, {"n", true},    {"median", true},
        {"mean", true},  {"p90", true},     {"worst", true}};
    static const ps_grid_column verdict_columns[] = {
        {"rows", false}, {"metric", false},      {"n", true},
        {"right", true}, {"wrongly fits", true}, {"wrongly does not fit", true}};
    ps_sheet sheet;
    size_t printed = 0;
    for (size_t i = 0; i < parts->count; i++) {
        for (int m = 0; m < PS_METRIC_COUNT; m++) {
            const ps_score *score = &parts->part[i].score[m];
            if (score->count == 0 ||
                (ps_metric_kind_of(score->metric) == PS_METRIC_VERDICT) != of_verdicts) {
                continue;
            }
            if (printed++ == 0) {
                ps_sheet_begin(&sheet, out, self->is_markdown,
                               of_verdicts ? verdict_columns : error_columns, of_verdicts ? 6 : 7);
            }
            (of_verdicts ? put_verdicts : put_score)(&sheet, parts->part[i].title, score);
        }
    }
    if (printed > 0) {
        PS_TRY(ps_sheet_end(&sheet, err));
        ps_output_print(out, "\n");
    }
    return PS_OK;
}

static void print_gates(const ps_report *self, const ps_report_parts *parts, ps_output *out)
{
    for (size_t i = 0; i < self->gate_count; i++) {
        char bound[PS_PERCENT_TEXT_BYTES];
        const ps_gate *gate = &self->gate[i];
        const ps_code code = ps_gate_check(gate, parts->part[0].score, NULL);
        const bool is_named = gate->has_metric && gate->kind != PS_GATE_FITS;
        ps_output_print(out, "%s--%s %s%s%s: %s\n", self->is_markdown ? "- " : "  ",
                        ps_gate_option(gate->kind), is_named ? ps_metric_name(gate->metric) : "",
                        is_named ? "=" : "", ps_percent_text((int64_t)gate->bound, false, bound),
                        code == PS_OK ? "met" : "NOT met");
    }
    if (self->gate_count > 0) {
        ps_output_print(out, "\n");
    }
}

static void print_counts(const ps_validation *validation, ps_output *out)
{
    const size_t count = validation->truth->row_count;
    ps_output_print(out, "%zu row%s of %zu scenario%s: %zu evaluated, %zu failed, %zu skipped\n",
                    count, count == 1 ? "" : "s", validation->scenario_count,
                    validation->scenario_count == 1 ? "" : "s",
                    count - validation->failed_count - validation->skipped_count,
                    validation->failed_count, validation->skipped_count);
}

ps_code ps_report_text(const ps_report *self, const ps_report_parts *parts, ps_output *out,
                       ps_error *err)
{
    if (self->has_rows) {
        PS_TRY(print_rows(self, out, err));
    }
    print_failures(self, out);
    PS_TRY(print_scores(self, parts, false, out, err));
    PS_TRY(print_scores(self, parts, true, out, err));
    print_gates(self, parts, out);
    print_counts(self->validation, out);
    return PS_OK;
}
