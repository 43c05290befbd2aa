/* SPDX-License-Identifier: MIT
 *
 * Pending events in the order in which they happen: a binary heap that also
 * knows where each event stands, so that an event can be moved.
 *
 * An event is (time, rank, id); the three compare in that order, ids are
 * unique, so the order is total. At most one event an id is pending.
 */
#ifndef PS_ENGINE_EVENT_QUEUE_H
#define PS_ENGINE_EVENT_QUEUE_H

#include <stddef.h>
#include <stdint.h>

#include "base/checked.h"
#include "base/status.h"

/** What happens first among simultaneous events. */
typedef enum ps_event_rank {
    PS_EVENT_TRANSFER_ENDS = 0,
    PS_EVENT_TRANSFER_STARTS = 1,
} ps_event_rank;

typedef struct ps_event {
    ps_ns time;
    ps_event_rank rank;
    uint32_t id;
} ps_event;

typedef struct ps_event_queue {
    ps_event *heap;
    uint32_t *place; /* per id: index in heap + 1, 0 not pending */
    size_t count;
} ps_event_queue;

/** Empty queue for ids 0 .. id_count - 1; nothing is allocated later. PS_OK · PS_NOMEM */
ps_code ps_event_queue_init(ps_event_queue *self, size_t id_count, ps_error *err) PS_MUST_USE;

void ps_event_queue_fini(ps_event_queue *self);

/** Adds the event or moves the pending one of the same id. O(log count) */
void ps_event_queue_put(ps_event_queue *self, ps_event event);

/** The first event; only when count > 0. */
static inline ps_event ps_event_queue_first(const ps_event_queue *self)
{
    return self->heap[0];
}

/** Removes the first event; only when count > 0. O(log count) */
void ps_event_queue_drop_first(ps_event_queue *self);

#endif
