/* SPDX-License-Identifier: MIT
 *
 * What is printed of the comparison.
 */
#ifndef PS_ACCURACY_REPORT_H
#define PS_ACCURACY_REPORT_H

#include "accuracy/agreement/side.h"

enum { PAIRS_MAX = 64 };

/** One training, described and recorded. */
typedef struct pair {
    char name[96];
    side model, recorded;
    bool events_agree;
    size_t events_equal;
    uint64_t
        allowed; /* launches by which the steps' counts differ, as stated; all kinds added up */
} pair;

/** Markdown tables; figures are "model / recorded" where they differ. */
void report_memory(const pair *pairs, size_t count);
void report_attribution(const pair *pairs, size_t count);
void report_kernels(const pair *pairs, size_t count);

/** Prints a line a difference; false when one is more than allowed. */
bool report_differences(const pair *p);

/** Lists the operations of the last step, model before recording. */
void report_ops(const pair *p);

#endif
