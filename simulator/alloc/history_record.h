/* SPDX-License-Identifier: MIT
 *
 * The recorded side of a replay: the events of one device, cut into calls.
 *
 * Events inside one malloc are written in a fixed order: late completions of
 * frees, what garbage collection releases, pages mapped in vain, completions
 * the call waited for, releases, the new segment, and last the allocation or
 * the refusal. So a run of completions and segment events up to the next
 * allocation is one malloc, but for an emptied cache at its front.
 */
#ifndef PS_ALLOC_HISTORY_RECORD_H
#define PS_ALLOC_HISTORY_RECORD_H

#include "alloc/start_state.h"

/** Events of one device, by row number in the memory table. */
typedef struct ps__record {
    const ps_memory_table *memory;
    const ps_strings *strings;
    uint32_t *row;
    size_t count;
    uint64_t start_reserved_bytes;
    uint64_t peak_reserved_bytes;
    bool has_limit;
    uint64_t limit_bytes;
    bool has_deferred_frees;
    bool has_private_pools;
    bool has_private_pages;          /* expandable memory in a private pool */
    bool tells_pools;                /* rows carry pool ids; else only the final segments do */
    struct ps__pool_span *pool_span; /* final segments of private pools, by address */
    size_t pool_span_count;
} ps__record;

/** Collects the events and derives the capacity; see ps__record_fini. */
ps_code ps__record_init(ps__record *self, const ps_trace *trace, ps_alloc_device device,
                        const ps_alloc_settings *settings, uint64_t start_reserved_bytes,
                        ps_error *err) PS_MUST_USE;

void ps__record_fini(ps__record *self);

/** One malloc, or the events of another call. Positions in ps__record.row. */
typedef struct ps__record_call {
    size_t begin;
    size_t end; /* exclusive; the allocation or refusal is at end - 1 when is_malloc */
    bool is_malloc;
    size_t completions_end; /* completions at the front: begin .. here */
    bool has_release;       /* a segment or page run is given back somewhere in it */
    bool is_refused;        /* ends in a refusal */
} ps__record_call;

/**
 * The call that starts at a position holding a completion, segment event, allocation
 * or refusal.
 */
ps__record_call ps__record_call_at(const ps__record *self, size_t begin);

/** Position behind the completions and releases at the front of a range. */
size_t ps__record_release_end(const ps__record *self, size_t begin, size_t end);

/** true when the recorded call stack says that the program emptied the cache. */
bool ps__record_is_empty_cache(const ps__record *self, size_t at);

/** The request of an allocation or refusal. */
ps_alloc_request ps__record_request(const ps__record *self, size_t at);

static inline ps_memory_action ps__record_action(const ps__record *self, size_t at)
{
    return (ps_memory_action)self->memory->action[self->row[at]];
}

static inline bool ps__record_is_release(const ps__record *self, size_t at)
{
    const ps_memory_action action = ps__record_action(self, at);
    return action == PS_ACTION_SEGMENT_FREE || action == PS_ACTION_SEGMENT_UNMAP;
}

static inline bool ps__record_is_growth(const ps__record *self, size_t at)
{
    const ps_memory_action action = ps__record_action(self, at);
    return action == PS_ACTION_SEGMENT_ALLOC || action == PS_ACTION_SEGMENT_MAP;
}

static inline bool ps__record_is_segment(const ps__record *self, size_t at)
{
    return ps__record_is_release(self, at) || ps__record_is_growth(self, at);
}

#endif
