/* SPDX-License-Identifier: MIT
 *
 * Quantities as people write them ("24GiB", "200Gb/s", "59.9us") and as the
 * program keeps them: integers in one base unit a kind.
 *
 * Decimal text becomes an integer by integer arithmetic alone, so the result
 * is the same everywhere. What the base unit cannot hold is rounded to the
 * nearest integer, halves up; what would become 0 without being 0 is refused.
 *
 *   number   digits [ "." digits ], no sign, no exponent, no thousands mark
 *   unit     directly after the number or after blanks; letter case counts,
 *            because Gb and GB differ
 */
#ifndef PS_BASE_UNITS_H
#define PS_BASE_UNITS_H

#include <stddef.h>
#include <stdint.h>

#include "base/checked.h"
#include "base/status.h"

/** What a quantity measures, and with it the base unit of its integer. */
typedef enum ps_unit_kind {
    PS_UNIT_SIZE,      /* [bytes] */
    PS_UNIT_BANDWIDTH, /* [bytes/s] */
    PS_UNIT_DURATION,  /* [ns] */
    PS_UNIT_FLOP_RATE, /* [flop/s] */
    PS_UNIT_COUNT,     /* [1] */
    PS_UNIT_RATIO,     /* [millionths]: "0.8" and "80%" are 800000 */
    PS_UNIT_KIND_COUNT
} ps_unit_kind;

/** Millionths in a ratio of one. */
#define PS_RATIO_ONE 1000000u

/** [bytes] enough for every text a format function here writes. */
#define PS_QUANTITY_TEXT_BYTES 48

/** "a size", "a bandwidth"... for messages. Static storage. */
const char *ps_unit_kind_name(ps_unit_kind kind);

/**
 * Reads a quantity that must lie in min .. max.
 *
 * @param text   borrowed for the call; blanks around it are ignored
 * @param min    least allowed value, in the kind's base unit
 * @param max    greatest allowed value, in the kind's base unit
 * @param value  in the kind's base unit; written only on PS_OK
 * @return PS_OK · PS_USAGE with one sentence that quotes the text
 */
ps_code ps_quantity_parse_in(ps_unit_kind kind, const char *text, uint64_t min, uint64_t max,
                             uint64_t *value, ps_error *err) PS_MUST_USE;

/** Reads a quantity of any value its kind can have (durations: below PS_TIME_NEVER). */
ps_code ps_quantity_parse(ps_unit_kind kind, const char *text, uint64_t *value,
                          ps_error *err) PS_MUST_USE;

/** Reads "24GiB", "141GB", "1.5 GB", "4096"; without a unit: bytes. */
ps_code ps_size_parse(const char *text, uint64_t *bytes, ps_error *err) PS_MUST_USE;

/** Reads "25GB/s", "200Gb/s" (bits), "1.2 TB/s"; the unit is needed. */
ps_code ps_bandwidth_parse(const char *text, uint64_t *bytes_per_s, ps_error *err) PS_MUST_USE;

/** Reads "5ms", "59.9us", "2 s"; the unit is needed. *ns >= 0. */
ps_code ps_duration_parse(const char *text, ps_ns *ns, ps_error *err) PS_MUST_USE;

/** Reads "989 TFLOP/s"; the unit is needed. */
ps_code ps_flop_rate_parse(const char *text, uint64_t *flop_per_s, ps_error *err) PS_MUST_USE;

/**
 * Writes a quantity for people, four significant digits: "79.18 GiB",
 * "25.00 GB/s", "59.90 us", "989.0 TFLOP/s", "0.800". Whole amounts of the
 * base unit ("512 B", "17 ns", counts) are written exactly.
 *
 * @param out  receives the text, terminated
 * @return out, to be used as an argument
 */
const char *ps_quantity_format(ps_unit_kind kind, uint64_t value, char out[PS_QUANTITY_TEXT_BYTES]);

/** ps_quantity_format for times, which can be negative; PS_TIME_NEVER is "never". */
const char *ps_time_format(ps_ns ns, char out[PS_QUANTITY_TEXT_BYTES]);

#endif
