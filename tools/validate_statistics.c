/* SPDX-License-Identifier: MIT
 *
 * Error statistics in integer arithmetic.
 */
#include "validate_statistics.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/checked.h"
#include "base/units.h"

static uint64_t magnitude(int64_t error)
{
    return error < 0 ? 0 - (uint64_t)error : (uint64_t)error;
}

/* part / whole in millionths, halves up, saturating. */
static int64_t millionths(uint64_t part, uint64_t whole)
{
    const ps_u128 scaled = ((ps_u128)part * PS_RATIO_ONE * 2 + whole) / ((ps_u128)whole * 2);
    return scaled > INT64_MAX ? INT64_MAX : (int64_t)scaled;
}

int64_t ps_prediction_error(uint64_t predicted, uint64_t low, uint64_t high)
{
    if (predicted < low) {
        return -millionths(low - predicted, low);
    }
    return predicted > high ? millionths(predicted - high, high) : 0;
}

static int by_magnitude(const void *a, const void *b)
{
    const uint64_t x = magnitude(*(const int64_t *)a);
    const uint64_t y = magnitude(*(const int64_t *)b);
    return x < y ? -1 : x > y;
}

static uint64_t mean_of(const int64_t *error, size_t count)
{
    ps_u128 sum = count / 2; /* halves up */
    for (size_t i = 0; i < count; i++) {
        sum += magnitude(error[i]);
    }
    return (uint64_t)(sum / count);
}

/* Smallest rank (from 1) that at least nine tenths of `count` do not exceed. */
static size_t rank_of_p90(size_t count)
{
    return count - count / 10;
}

ps_error_statistics ps_error_statistics_of(int64_t *error, size_t count)
{
    if (count == 0) {
        return (ps_error_statistics){0};
    }
    qsort(error, count, sizeof *error, by_magnitude);
    const size_t middle[2] = {(count - 1) / 2, count / 2};
    const int64_t around_middle[2] = {error[middle[0]], error[middle[1]]};
    return (ps_error_statistics){
        .count = count,
        .median = mean_of(around_middle, 2),
        .mean = mean_of(error, count),
        .p90 = magnitude(error[rank_of_p90(count) - 1]),
        .worst = magnitude(error[count - 1]),
    };
}

const char *ps_percent_text(int64_t millionths_of_one, bool has_sign,
                            char out[PS_PERCENT_TEXT_BYTES])
{
    const uint64_t hundredths =
        magnitude(millionths_of_one) / 100 + (magnitude(millionths_of_one) % 100 >= 50 ? 1 : 0);
    const char *sign = "";
    if (hundredths > 0 && millionths_of_one < 0) {
        sign = "-";
    } else if (has_sign && hundredths > 0) {
        sign = "+";
    }
    (void)snprintf(out, PS_PERCENT_TEXT_BYTES, "%s%" PRIu64 ".%02u %%", sign, hundredths / 100,
                   (unsigned)(hundredths % 100));
    return out;
}
