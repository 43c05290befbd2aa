/* SPDX-License-Identifier: MIT
 *
 * The fixed set of buffers that CUPTI fills and the writer empties.
 *
 *   free ──lend──► CUPTI ──hand in──► full ──take──► writer ──give back──► free
 *
 * When all are in use the lender gets a small spare buffer, whose records are
 * counted when it comes back, and thrown away: the observed program never waits and memory never
 * grows. (CUPTI before CUDA 12.9 may crash when it is given none.)
 */
#ifndef PS_TRACER_BUFFERS_H
#define PS_TRACER_BUFFERS_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/** [bytes] of one buffer: what CUPTI's own clients use. */
#define PS_BUFFER_BYTES ((size_t)4 << 20)

/** [bytes] of a spare buffer: room for a few hundred records. */
#define PS_SPARE_BYTES ((size_t)64 << 10)

typedef struct ps_buffers ps_buffers;

/** One filled buffer. */
typedef struct ps_full_buffer {
    unsigned char *data; /* NULL: none */
    size_t valid_bytes;
} ps_full_buffer;

/**
 * @param budget_bytes  all buffers together stay below it; at least two exist
 * @return NULL when out of memory
 */
ps_buffers *ps_buffers_create(uint64_t budget_bytes) PS_MUST_USE;

/** No buffer may be lent any more. NULL is fine. */
void ps_buffers_destroy(ps_buffers *self);

/** Lends a buffer, aligned to 8 bytes. Any thread; waits for no I/O. NULL when even spares are out of memory. */
unsigned char *ps_buffers_lend(ps_buffers *self, size_t *bytes);

/**
 * A lent buffer comes back with `valid_bytes` of records. Any thread.
 *
 * @return false when it is a spare: count its records and call ps_buffers_drop
 */
bool ps_buffers_hand_in(ps_buffers *self, unsigned char *data, size_t valid_bytes);

/** A spare comes back; its records are lost. Any thread. */
void ps_buffers_drop(ps_buffers *self, unsigned char *data, uint64_t record_count);

/** Records lost with spares since the last call. */
uint64_t ps_buffers_take_dropped(ps_buffers *self);

/** Oldest full buffer, waiting at most `wait_ns` for one. */
ps_full_buffer ps_buffers_take(ps_buffers *self, int64_t wait_ns);

/** How many exist, spares apart: no more than these can be full at once. */
size_t ps_buffers_count(const ps_buffers *self);

/** A taken buffer is empty again. */
void ps_buffers_give_back(ps_buffers *self, ps_full_buffer buffer);

/** From now on what is handed in is not queued; the source may go on for a while, nobody takes any more. */
void ps_buffers_close(ps_buffers *self);

/** Wakes a waiting take. */
void ps_buffers_wake(ps_buffers *self);

#endif
