/* SPDX-License-Identifier: MIT
 *
 * A validation for programs.
 */
#include "cli/json.h"
#include "validate_report.h"

static void put_figure(ps_json *json, const char *key, ps_metric metric, uint64_t value)
{
    if (ps_metric_kind_of(metric) == PS_METRIC_VERDICT) {
        ps_json_bool(json, key, value != 0);
    } else {
        ps_json_u64(json, key, value);
    }
}

static const char *unit_of(ps_metric metric)
{
    switch (ps_metric_kind_of(metric)) {
    case PS_METRIC_SIZE:
        return "B";
    case PS_METRIC_TIME:
        return "ns";
    case PS_METRIC_VERDICT:
        break;
    }
    return NULL;
}

static void put_outcome(ps_json *json, const ps_truth_row *row, const ps_row_outcome *outcome)
{
    static const char *const states[] = {
        [PS_ROW_EVALUATED] = "evaluated", [PS_ROW_FAILED] = "failed", [PS_ROW_SKIPPED] = "skipped"};
    ps_json_text(json, "state", states[outcome->state]);
    if (outcome->state != PS_ROW_EVALUATED) {
        ps_json_text(json, "why", outcome->why);
        return;
    }
    put_figure(json, "predicted", row->metric, outcome->predicted);
    if (ps_metric_kind_of(row->metric) != PS_METRIC_VERDICT) {
        ps_json_i64(json, "error_millionths", outcome->error);
    }
}

static void put_row(ps_json *json, const ps_validation *validation, size_t i)
{
    const ps_truth *truth = validation->truth;
    const ps_truth_row *row = &truth->row[i];
    ps_json_object(json, NULL);
    ps_json_u64(json, "line", row->line);
    ps_json_text(json, "case", ps_strings_text(truth->strings, row->name));
    ps_json_text(json, "input", ps_strings_text(truth->strings, row->input));
    ps_json_text(json, "options", ps_strings_text(truth->strings, row->options));
    ps_json_text(json, "metric", ps_metric_name(row->metric));
    ps_json_text(json, "unit", unit_of(row->metric));
    put_figure(json, "measured", row->metric, row->measured);
    put_figure(json, "measured_high", row->metric, row->measured_high);
    ps_json_bool(json, "used_for_calibration", row->is_calibration);
    put_outcome(json, row, &validation->row[i]);
    ps_json_object(json, "columns");
    for (size_t c = 0; c < truth->column_count; c++) {
        if (!ps_truth_column_is_known(truth, c)) {
            ps_json_text(json, ps_strings_text(truth->strings, truth->column[c]),
                         ps_truth_cell(truth, i, c));
        }
    }
    ps_json_end(json);
    ps_json_end(json);
}

static void put_score(ps_json *json, const ps_report_part *part, const ps_score *score)
{
    ps_json_object(json, NULL);
    ps_json_text(json, "rows", part->title);
    ps_json_bool(json, "is_group", part->choice.has_group);
    ps_json_bool(json, "used_for_calibration", part->choice.is_calibration);
    ps_json_text(json, "metric", ps_metric_name(score->metric));
    ps_json_u64(json, "count", score->count);
    if (ps_metric_kind_of(score->metric) == PS_METRIC_VERDICT) {
        ps_json_u64(json, "right", score->right);
        ps_json_u64(json, "wrongly_fits", score->wrongly_fits);
        ps_json_u64(json, "wrongly_full", score->wrongly_full);
        ps_json_u64(json, "right_millionths", ps_score_right_share(score));
    } else {
        ps_json_u64(json, "median_millionths", score->error.median);
        ps_json_u64(json, "mean_millionths", score->error.mean);
        ps_json_u64(json, "p90_millionths", score->error.p90);
        ps_json_u64(json, "worst_millionths", score->error.worst);
    }
    ps_json_end(json);
}

static void put_gate(ps_json *json, const ps_gate *gate, const ps_score *score)
{
    ps_error why = {0};
    ps_json_object(json, NULL);
    ps_json_text(json, "option", ps_gate_option(gate->kind));
    ps_json_text(json, "metric", gate->has_metric ? ps_metric_name(gate->metric) : NULL);
    ps_json_u64(json, "bound_millionths", gate->bound);
    const bool is_met = ps_gate_check(gate, score, &why) == PS_OK;
    ps_json_bool(json, "is_met", is_met);
    if (!is_met) {
        ps_json_text(json, "why", why.message);
    }
    ps_json_end(json);
}

static void put_counts(ps_json *json, const ps_validation *validation)
{
    const size_t count = validation->truth->row_count;
    ps_json_object(json, "counts");
    ps_json_u64(json, "rows", count);
    ps_json_u64(json, "scenarios", validation->scenario_count);
    ps_json_u64(json, "evaluated", count - validation->failed_count - validation->skipped_count);
    ps_json_u64(json, "failed", validation->failed_count);
    ps_json_u64(json, "skipped", validation->skipped_count);
    ps_json_end(json);
}

static void put_rows(const ps_report *self, ps_json *json, const ps_output *out)
{
    ps_json_array(json, "rows");
    for (size_t i = 0; i < self->validation->truth->row_count && !ps_output_failed(out); i++) {
        put_row(json, self->validation, i);
    }
    ps_json_end(json);
}

static void put_scores(const ps_report_parts *parts, ps_json *json)
{
    ps_json_array(json, "scores");
    for (size_t i = 0; i < parts->count; i++) {
        for (int m = 0; m < PS_METRIC_COUNT; m++) {
            if (parts->part[i].score[m].count > 0) {
                put_score(json, &parts->part[i], &parts->part[i].score[m]);
            }
        }
    }
    ps_json_end(json);
}

ps_code ps_report_json(const ps_report *self, const ps_report_parts *parts, ps_output *out,
                       ps_error *err)
{
    ps_json json;
    ps_json_open(&json, out, PS_JSON_LINES);
    ps_json_object(&json, NULL);
    ps_json_text(&json, "schema", "peakstep.validate/1");
    ps_json_text(&json, "table", self->path);
    if (self->has_rows) {
        put_rows(self, &json, out);
    }
    put_scores(parts, &json);
    ps_json_array(&json, "gates");
    for (size_t i = 0; i < self->gate_count; i++) {
        put_gate(&json, &self->gate[i], parts->part[0].score);
    }
    ps_json_end(&json);
    put_counts(&json, self->validation);
    ps_json_end(&json);
    return ps_json_close(&json, err);
}
