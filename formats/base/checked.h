/* SPDX-License-Identifier: MIT
 *
 * Arithmetic that cannot overflow silently. Time saturates at
 * PS_TIME_NEVER; everything else reports failure.
 */
#ifndef PS_BASE_CHECKED_H
#define PS_BASE_CHECKED_H

#include <stdbool.h>
#include <stdint.h>

/** Simulated or recorded time, integer nanoseconds. */
typedef int64_t ps_ns;

#define PS_TIME_NEVER INT64_MAX

/** a + b for times; saturates at PS_TIME_NEVER (and at INT64_MIN). */
static inline ps_ns ps_time_add(ps_ns a, ps_ns b)
{
    ps_ns sum;
    if (a == PS_TIME_NEVER || b == PS_TIME_NEVER) {
        return PS_TIME_NEVER;
    }
    if (__builtin_add_overflow(a, b, &sum)) {
        return b > 0 ? PS_TIME_NEVER : INT64_MIN;
    }
    return sum;
}

/** true and *out = a + b, or false on overflow with *out untouched. */
static inline bool ps_add_u64(uint64_t a, uint64_t b, uint64_t *out)
{
    uint64_t sum;
    if (__builtin_add_overflow(a, b, &sum)) {
        return false;
    }
    *out = sum;
    return true;
}

/** true and *out = a * b, or false on overflow with *out untouched. */
static inline bool ps_mul_u64(uint64_t a, uint64_t b, uint64_t *out)
{
    uint64_t product;
    if (__builtin_mul_overflow(a, b, &product)) {
        return false;
    }
    *out = product;
    return true;
}

/** Intermediate products that 64 bits cannot hold. */
__extension__ typedef unsigned __int128 ps_u128;

/** a * b / divisor (> 0), exact inside, rounded down; saturates at UINT64_MAX. */
static inline uint64_t ps_mul_div_u64(uint64_t a, uint64_t b, uint64_t divisor)
{
    const ps_u128 quotient = (ps_u128)a * b / divisor;
    return quotient > UINT64_MAX ? UINT64_MAX : (uint64_t)quotient;
}

/** Rounds up to a multiple of step (> 0); saturates at the largest multiple. */
static inline uint64_t ps_round_up_u64(uint64_t value, uint64_t step)
{
    const uint64_t rest = value % step;
    if (rest == 0) {
        return value;
    }
    return value > UINT64_MAX - (step - rest) ? UINT64_MAX - UINT64_MAX % step
                                              : value + (step - rest);
}

#endif
