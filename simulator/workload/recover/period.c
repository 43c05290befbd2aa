/* SPDX-License-Identifier: MIT
 *
 * Repetition in sequences of keys.
 */
#include <string.h>

#include "base/memory.h"
#include "workload/recover/recover_parts.h"

/* Pieces of one key over and over say nothing of where they begin. */
static bool is_monotone(const uint64_t *key, size_t period)
{
    for (size_t i = 1; i < period; i++) {
        if (key[i] != key[0]) {
            return false;
        }
    }
    return true;
}

ps_repeat ps__longest_repeat(const uint64_t *key, size_t n, size_t min_period, size_t max_period)
{
    ps_repeat best = {0};
    size_t best_covered = 0;
    for (size_t p = min_period; p <= max_period && p <= n / 2; p++) {
        size_t run = 0; /* keys in a row that equal the one a period before */
        for (size_t i = p; i <= n; i++) {
            if (i < n && key[i] == key[i - p]) {
                run++;
                continue;
            }
            const size_t count = run / p + 1;
            if (count >= 2 && count * p > best_covered && !is_monotone(&key[i - run - p], p)) {
                best_covered = count * p;
                best =
                    (ps_repeat){.start = i - run - p, .period = p, .count = count, .rest = run % p};
            }
            run = 0;
        }
    }
    return best;
}

/* A period must cover at least this share of the sequence, so that it is not that of a layer. */
#define COVERED_PERCENT 60u

/* Fewer events than this are no step. */
#define LEAST_PERIOD 8u

size_t ps__tail_period(const uint64_t *key, size_t n, ps_error *err, ps_code *code)
{
    size_t *border = ps_calloc(n + 1, sizeof *border);
    *code = PS_OK;
    if (border == NULL) {
        *code = ps_fail_nomem(err);
        return 0;
    }
    /* z[i]: how many keys from the end equal those i further from the end */
    size_t left = 0, right = 0, found = 0;
    for (size_t i = 1; i < n; i++) {
        size_t same = i < right ? border[i - left] : 0;
        same = i < right && same > right - i ? right - i : same;
        while (i + same < n && key[n - 1 - same] == key[n - 1 - i - same]) {
            same++;
        }
        border[i] = same;
        if (i + same > right) {
            left = i;
            right = i + same;
        }
        if (i >= LEAST_PERIOD && same >= i && (i + same) * 100 >= n * COVERED_PERCENT) {
            found = i;
            break;
        }
    }
    ps_free(border);
    return found;
}
