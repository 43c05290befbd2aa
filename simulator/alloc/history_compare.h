/* SPDX-License-Identifier: MIT
 *
 * Comparing what a model did with what was recorded.
 */
#ifndef PS_ALLOC_HISTORY_COMPARE_H
#define PS_ALLOC_HISTORY_COMPARE_H

#include "alloc/history.h"

/**
 * Notes the first difference of a replay; later ones are dropped. `row` SIZE_MAX: the
 * final map.
 */
void ps__history_note(ps_history_report *report, size_t row, const char *fmt, ...) PS_PRINTF(3, 4);

/**
 * Compares the model's state with the recorded final segments and blocks; fills block
 * and total.
 */
ps_code ps__history_compare_map(const ps_trace *trace, ps_alloc_device device,
                                const ps_allocator *model, ps_history_report *report,
                                ps_error *err) PS_MUST_USE;

#endif
