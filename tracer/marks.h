/* SPDX-License-Identifier: MIT
 *
 * What the program says of itself, through the start-up hook: ranges, facts
 * and losses. Any thread adds, the writer takes all at once; bounded, and
 * never longer under lock than one row takes.
 */
#ifndef PS_TRACER_MARKS_H
#define PS_TRACER_MARKS_H

#include "trace/trace.h"

/** Rows kept between two visits of the writer; more are counted as dropped. */
#define PS_MARKS_MAX_ROWS 131072u

typedef struct ps_marks ps_marks;

/** @return NULL when out of memory */
ps_marks *ps_marks_create(void) PS_MUST_USE;

void ps_marks_destroy(ps_marks *self);

/** A finished range on thread `tid`; times as rows have them. */
void ps_marks_range(ps_marks *self, const char *name, ps_range_category category, uint32_t tid,
                    ps_ns start_ns, ps_ns end_ns);

/** A memory event of the driver that has no activity record. */
void ps_marks_driver_memory(ps_marks *self, ps_ns time_ns, ps_driver_action action, uint32_t device,
                            uint64_t addr, uint64_t bytes);

void ps_marks_fact(ps_marks *self, const char *key, const char *value);

void ps_marks_loss(ps_marks *self, const char *name, uint64_t count);

/** Exchanges the rows collected so far for an empty trace of the caller's; false when there are none. */
bool ps_marks_swap(ps_marks *self, ps_trace **rows);

#endif
