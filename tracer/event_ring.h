/* SPDX-License-Identifier: MIT
 *
 * The latest recordings of CUDA events, so that a wait can name the call and
 * the stream it waits for. Bounded: the oldest are forgotten.
 */
#ifndef PS_TRACER_EVENT_RING_H
#define PS_TRACER_EVENT_RING_H

#include "base/idmap.h"

#define PS_EVENT_RING_SIZE 65536u

/** One cudaEventRecord. */
typedef struct ps_event_record {
    uint64_t key;         /* ps_event_key of what was recorded */
    uint64_t correlation; /* of the recording call */
    uint64_t stream;
} ps_event_record;

typedef struct ps_event_ring {
    ps_event_record *record; /* PS_EVENT_RING_SIZE */
    ps_idmap by_key;
    uint32_t next;
} ps_event_ring;

/** Sync ids name one recording of an event; event ids, for older CUPTI, the event itself. */
static inline uint64_t ps_event_key(uint64_t sync_id, uint32_t event_id)
{
    return sync_id != 0 ? sync_id << 1 | 1 : (uint64_t)event_id << 1;
}

ps_code ps_event_ring_init(ps_event_ring *self, ps_error *err) PS_MUST_USE;

void ps_event_ring_fini(ps_event_ring *self);

ps_code ps_event_ring_put(ps_event_ring *self, ps_event_record record, ps_error *err) PS_MUST_USE;

/** Latest recording of a key, or NULL. Borrowed until the next put. */
const ps_event_record *ps_event_ring_get(const ps_event_ring *self, uint64_t key);

#endif
