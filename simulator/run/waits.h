/* SPDX-License-Identifier: MIT
 *
 * What hosts wait for because a request did not fit (private to this folder).
 *
 * A request that the driver refuses makes PyTorch's allocator wait until every
 * freed block that another stream still used is free, and give cached segments
 * back, for which the driver waits until the device has done all it was given.
 * When that happens depends on times, and it changes them:
 *
 *   times ──► memory ──► who waited for what ──► times ──► ... until nothing changes
 */
#ifndef PS_RUN_WAITS_H
#define PS_RUN_WAITS_H

#include "plan/plan.h"

/** A host task whose requests wait: it does not start before the other has ended. */
typedef struct ps_run_wait {
    uint32_t task, before;
} ps_run_wait;

typedef struct ps_run_waits {
    ps_run_wait *row;
    size_t count, capacity;
} ps_run_waits;

void ps__run_waits_fini(ps_run_waits *self);

/**
 * Adds that a host task waits for another one. Of what it waits for on a lane the last one counts.
 *
 * Waits of one host task are added in a row.
 */
ps_code ps__run_waits_add(ps_run_waits *self, const ps_plan *plan, uint32_t task, uint32_t before,
                          ps_error *err) PS_MUST_USE;

/** Orders them by the waiting task, then by the awaited one. */
void ps__run_waits_sort(ps_run_waits *self);

/** Of two in order. */
bool ps__run_waits_equal(const ps_run_waits *a, const ps_run_waits *b);

/** First of a task's, which are in order; count where it has none before the end. */
size_t ps__run_waits_of(const ps_run_waits *self, uint32_t task);

/** True where a task waits. */
bool ps__run_waits_has(const ps_run_waits *self, uint32_t task);

#endif
