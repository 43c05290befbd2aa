/* SPDX-License-Identifier: MIT
 *
 * Runs the scenarios of a table of measured runs: each distinct pair of input
 * and options once, several at a time, and puts what they predict beside what
 * was measured. The outcome does not depend on how many run at a time.
 */
#ifndef PS_TOOLS_VALIDATE_RUN_H
#define PS_TOOLS_VALIDATE_RUN_H

#include "cli/progress.h"
#include "validate_input.h"
#include "validate_truth.h"

typedef enum ps_row_state {
    PS_ROW_EVALUATED,
    PS_ROW_FAILED,  /* the scenario, or this figure of it, could not be computed */
    PS_ROW_SKIPPED, /* its file is not there */
} ps_row_state;

/** What became of a row of the table. */
typedef struct ps_row_outcome {
    ps_row_state state;
    uint64_t predicted; /* of an evaluated row, in base units of its metric */
    int64_t error;      /* [millionths], see ps_prediction_error; 0 of verdicts */
    const char *why;    /* of a failed or skipped row: one sentence. Lives with the validation */
} ps_row_outcome;

/** One scenario, internal but for its texts. */
typedef struct ps_scenario ps_scenario;

typedef struct ps_validation {
    const ps_truth *truth; /* borrowed */
    ps_row_outcome *row;   /* [truth->row_count] */
    ps_scenario *scenario;
    size_t scenario_count;
    size_t failed_count, skipped_count; /* rows */
} ps_validation;

/** How scenarios are run. */
typedef struct ps_validate_settings {
    ps_input_folders folders;
    size_t jobs; /* scenarios at a time, at least 1 */
    bool skips_missing;
} ps_validate_settings;

/**
 * Runs every scenario of a table.
 *
 * @param truth  borrowed; must outlive *out
 * @param args   of the verb, for the progress bar
 * @param out    release with ps_validation_fini; written only on PS_OK
 * @return PS_OK, also when scenarios fail · PS_NOMEM · PS_IO no thread can be started
 */
ps_code ps_validate_run(const ps_truth *truth, const ps_validate_settings *settings,
                        const ps_args *args, ps_validation *out, ps_error *err) PS_MUST_USE;

void ps_validation_fini(ps_validation *self);

#endif
