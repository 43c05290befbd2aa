/* SPDX-License-Identifier: MIT
 *
 * Telling a validation: rows, scores, gates; as text, as Markdown, as JSON.
 */
#ifndef PS_TOOLS_VALIDATE_REPORT_H
#define PS_TOOLS_VALIDATE_REPORT_H

#include "cli/output.h"
#include "validate_gate.h"

/** What is told. Everything is borrowed. */
typedef struct ps_report {
    const ps_validation *validation;
    const char *path; /* of the table */
    const ps_gate *gate;
    size_t gate_count;
    bool has_rows;    /* false: scores alone */
    bool is_markdown; /* of the text */
    bool has_group;   /* scores for each value of a column, too */
    size_t group_column;
} ps_report;

/** Rows that are scored together. */
typedef struct ps_report_part {
    const char *title; /* "all", a value of the group's column, "used for calibration" */
    ps_row_choice choice;
    ps_score score[PS_METRIC_COUNT];
} ps_report_part;

/** All parts: first all rows, then the groups in order of appearance, then calibration. */
typedef struct ps_report_parts {
    ps_report_part *part;
    size_t count, capacity;
} ps_report_parts;

/** Scores all parts. PS_NOMEM, PS_LIMIT more than about a thousand groups. Release with ps_report_parts_fini. */
ps_code ps_report_parts_of(const ps_report *report, ps_report_parts *out,
                           ps_error *err) PS_MUST_USE;

void ps_report_parts_fini(ps_report_parts *self);

ps_code ps_report_text(const ps_report *self, const ps_report_parts *parts, ps_output *out,
                       ps_error *err) PS_MUST_USE;

ps_code ps_report_json(const ps_report *self, const ps_report_parts *parts, ps_output *out,
                       ps_error *err) PS_MUST_USE;

#endif
