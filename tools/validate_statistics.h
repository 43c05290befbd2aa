/* SPDX-License-Identifier: MIT
 *
 * How far predictions lie from measurements, in integers, so that the same
 * rows give the same digits everywhere.
 */
#ifndef PS_TOOLS_VALIDATE_STATISTICS_H
#define PS_TOOLS_VALIDATE_STATISTICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** [bytes] enough for every text of ps_percent_text. */
#define PS_PERCENT_TEXT_BYTES 40

/** Absolute errors, [millionths] of what was measured. All 0 when count is 0. */
typedef struct ps_error_statistics {
    size_t count;
    uint64_t median; /* of an even count: the mean of the middle two */
    uint64_t mean;
    uint64_t p90; /* nearest rank: the smallest error that 90 % of the errors do not exceed */
    uint64_t worst;
} ps_error_statistics;

/**
 * (predicted - measured) / measured, rounded to the nearest millionth, halves
 * away from 0. A measurement may be a range: inside it the error is 0,
 * outside it counts from the nearer end, in parts of that end.
 *
 * @param low   > 0
 * @param high  >= low
 * @return [millionths], saturating at INT64_MAX
 */
int64_t ps_prediction_error(uint64_t predicted, uint64_t low, uint64_t high);

/**
 * Statistics of signed errors.
 *
 * @param error    [count] in millionths; sorted by absolute value on return
 */
ps_error_statistics ps_error_statistics_of(int64_t *error, size_t count);

/** Writes "3.05 %", with a sign when `has_sign`; halves are rounded away from 0. Returns out. */
const char *ps_percent_text(int64_t millionths, bool has_sign, char out[PS_PERCENT_TEXT_BYTES]);

#endif
