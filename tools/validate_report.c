/* SPDX-License-Identifier: MIT
 *
 * What is scored together.
 */
#include "validate_report.h"

#include "base/memory.h"

/* Every part walks all rows, so parts are few. */
#define MAX_PARTS 1000u

static ps_code add_part(const ps_report *report, ps_report_parts *parts, const char *title,
                        ps_row_choice choice, ps_error *err)
{
    PS_TRY(ps_grow((void **)&parts->part, &parts->capacity, parts->count + 1, PS_TRUTH_MAX_ROWS + 2,
                   sizeof *parts->part, err));
    ps_report_part *part = &parts->part[parts->count];
    *part = (ps_report_part){.title = title, .choice = choice};
    for (int i = 0; i < PS_METRIC_COUNT; i++) {
        PS_TRY(ps_score_of(report->validation, choice, (ps_metric)i, &part->score[i], err));
    }
    parts->count++;
    return PS_OK;
}

static bool has_value(const ps_report_parts *parts, ps_str value)
{
    for (size_t i = 0; i < parts->count; i++) {
        if (parts->part[i].choice.has_group && parts->part[i].choice.value == value) {
            return true;
        }
    }
    return false;
}

static ps_code add_groups(const ps_report *report, ps_report_parts *parts, ps_error *err)
{
    const ps_truth *truth = report->validation->truth;
    for (size_t i = 0; i < truth->row_count; i++) {
        const ps_row_choice choice = {
            .has_group = true,
            .column = report->group_column,
            .value = truth->cell[i * truth->column_count + report->group_column]};
        if (!truth->row[i].is_calibration && !has_value(parts, choice.value)) {
            const char *value = ps_strings_text(truth->strings, choice.value);
            PS_TRY(add_part(report, parts, value[0] == '\0' ? "(empty)" : value, choice, err));
        }
    }
    return PS_OK;
}

static bool has_calibration(const ps_truth *truth)
{
    bool has_one = false;
    for (size_t i = 0; i < truth->row_count; i++) {
        has_one = has_one || truth->row[i].is_calibration;
    }
    return has_one;
}

static ps_code add_all(const ps_report *report, ps_report_parts *parts, ps_error *err)
{
    PS_TRY(add_part(report, parts, "all", (ps_row_choice){0}, err));
    if (report->has_group) {
        PS_TRY(add_groups(report, parts, err));
    }
    if (has_calibration(report->validation->truth)) {
        PS_TRY(add_part(report, parts, "used for calibration",
                        (ps_row_choice){.is_calibration = true}, err));
    }
    return PS_OK;
}

ps_code ps_report_parts_of(const ps_report *report, ps_report_parts *out, ps_error *err)
{
    ps_report_parts made = {0};
    const ps_code code = add_all(report, &made, err);
    if (code != PS_OK) {
        ps_report_parts_fini(&made);
        return code;
    }
    *out = made;
    return PS_OK;
}

void ps_report_parts_fini(ps_report_parts *self)
{
    ps_free(self->part);
    *self = (ps_report_parts){0};
}
