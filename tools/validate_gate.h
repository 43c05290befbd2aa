/* SPDX-License-Identifier: MIT
 *
 * Gates: bounds on scores that decide the exit status.
 */
#ifndef PS_TOOLS_VALIDATE_GATE_H
#define PS_TOOLS_VALIDATE_GATE_H

#include "validate_score.h"

typedef enum ps_gate_kind {
    PS_GATE_MEDIAN,
    PS_GATE_MEAN,
    PS_GATE_P90,
    PS_GATE_WORST,
    PS_GATE_FITS, /* from below; the others from above */
    PS_GATE_KIND_COUNT
} ps_gate_kind;

/** One bound. Without a metric of its own it holds for every error metric of the table. */
typedef struct ps_gate {
    ps_gate_kind kind;
    bool has_metric;
    ps_metric metric;
    uint64_t bound; /* [millionths] */
} ps_gate;

/** The option of a kind: "max-median"... Static storage. */
const char *ps_gate_option(ps_gate_kind kind);

/**
 * Reads "3%" or "peak_reserved_bytes=3%".
 *
 * @return PS_OK · PS_USAGE with one sentence
 */
ps_code ps_gate_parse(ps_gate_kind kind, const char *text, ps_gate *out, ps_error *err) PS_MUST_USE;

/**
 * Holds a gate against the scores of the rows not used for calibration.
 *
 * A gate that no evaluated row meets is not met: nothing was shown.
 *
 * @param score  [PS_METRIC_COUNT], by metric
 * @return PS_OK · PS_CHECK_FAILED with one sentence about the first score out of bounds
 */
ps_code ps_gate_check(const ps_gate *self, const ps_score *score, ps_error *err) PS_MUST_USE;

#endif
