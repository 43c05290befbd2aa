/* SPDX-License-Identifier: MIT
 *
 * A backend for tests that behaves as a device does: work is queued, runs by
 * itself on a thread a lane, follows events of other lanes, and reports at
 * `wait`. It judges the harness while it runs: work may follow only work that
 * was submitted before. Queues are short, so that BUSY is met.
 */
#ifndef PS_TESTS_ASYNC_BACKEND_H
#define PS_TESTS_ASYNC_BACKEND_H

#include "replay/replay.h"

/** Queues work, orders nothing: the harness submits when everything holds. */
extern const ps_backend_ops async_backend;

/** Queues work and honours events and gaps by itself: the harness submits ahead. */
extern const ps_backend_ops ordered_backend;

/** What happened in the run that was closed last. */
typedef struct async_observed {
    size_t submitted, busy, followed; /* followed: events of other lanes */
    size_t most_queued;               /* in one lane at once */
    size_t live_buffers;              /* allocated and not released */
} async_observed;

async_observed async_backend_observed(void);

/** The task at which runs fail from now on, asynchronously; UINT32_MAX: none. */
void async_backend_fail_at(uint32_t task);

/** While true, no work begins before a queue was full and one lane followed another. */
void async_backend_hold(bool hold);

#endif
