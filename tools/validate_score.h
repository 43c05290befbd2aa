/* SPDX-License-Identifier: MIT
 *
 * How good the predictions of one metric are over some of the rows, and
 * whether that is good enough.
 */
#ifndef PS_TOOLS_VALIDATE_SCORE_H
#define PS_TOOLS_VALIDATE_SCORE_H

#include "validate_run.h"
#include "validate_statistics.h"

/** Which rows. Rows used for calibration and the others are never mixed. */
typedef struct ps_row_choice {
    bool is_calibration;
    bool has_group;
    size_t column; /* with has_group: the rows whose cell of this column is `value` */
    ps_str value;
} ps_row_choice;

/** Of an error metric: `error`. Of a verdict: `right` and the two ways to be wrong. */
typedef struct ps_score {
    ps_metric metric;
    size_t count; /* evaluated rows */
    ps_error_statistics error;
    size_t right;
    size_t wrongly_fits; /* said to fit, and did not */
    size_t wrongly_full; /* said not to fit, and did */
} ps_score;

/** Scores one metric over the chosen rows. PS_NOMEM. */
ps_code ps_score_of(const ps_validation *validation, ps_row_choice choice, ps_metric metric,
                    ps_score *out, ps_error *err) PS_MUST_USE;

/** Share of right verdicts [millionths], rounded down; 0 of no rows. */
uint64_t ps_score_right_share(const ps_score *self);

#endif
