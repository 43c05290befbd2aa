/* SPDX-License-Identifier: MIT
 *
 * Repetition in sequences of keys.
 */
#ifndef PS_RECOVER_REPEAT_H
#define PS_RECOVER_REPEAT_H

#include <stddef.h>
#include <stdint.h>

/**
 * A run of equal pieces in a sequence of keys. Where the run goes on for some keys behind its last
 * whole piece, it could as well be cut so much later.
 */
typedef struct ps_repeat {
    size_t start, period, count; /* count pieces of `period` keys from `start`; count 0: none */
    size_t rest;                 /* keys behind them that repeat too, fewer than a period */
} ps_repeat;

/**
 * Longest run of at least two equal neighbouring pieces of min_period keys or more; of equally
 * long ones that with the shortest piece, then the first. Pieces of a single key do not count.
 *
 * Cost: O(n * max_period).
 */
ps_repeat ps__longest_repeat(const uint64_t *key, size_t n, size_t min_period, size_t max_period);

#endif
