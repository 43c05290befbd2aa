/* SPDX-License-Identifier: MIT
 *
 * Addresses for new segments, as the Linux driver is seen to choose them.
 *
 *   low                                                              high
 *   ....[        ]  [ 2 ][ 2 ][ 20      ]  [      40       ][ 2 ]....
 *       | 32 MiB |  |      32 MiB       |  | 32 MiB |  32 MiB   |
 *
 * A request below 32 MiB goes into the rest of a chunk that is in use: the one
 * opened last that has room, the lowest place in it. Any other takes whole
 * chunks: the highest run of chunks given back before that is long enough, else
 * below everything. Of the segments in public recordings this rule places 445
 * of 584, 30 of 64, 35 of 82 and 154 of 164 exactly; "each below the last"
 * places 95, 0, 0 and 153 (tests/accuracy/addresses.py). Which of two equal free blocks the allocator takes
 * depends on the order of their addresses, and with it what must be reserved.
 */
#ifndef PS_ALLOC_ADDRESS_SPACE_H
#define PS_ALLOC_ADDRESS_SPACE_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/** Part of the address space that is opened and closed as one. */
typedef struct ps_address_chunk {
    uint64_t number;     /* address / PS_ADDRESS_CHUNK_BYTES */
    uint32_t used_pages; /* bit p: page p is live; 0: given back */
    uint32_t opened;     /* order of opening */
} ps_address_chunk;

#define PS_ADDRESS_CHUNK_BYTES ((uint64_t)32 << 20)
#define PS_ADDRESS_PAGE_BYTES ((uint64_t)2 << 20)

typedef struct ps_address_space {
    ps_address_chunk *chunk; /* highest first */
    size_t count, capacity;
    uint32_t openings;
    uint64_t top; /* chunk number below which the first one is placed */
} ps_address_space;

/** Starts an empty space; allocates nothing. @param top_bytes first address beyond it */
void ps_address_space_init(ps_address_space *self, uint64_t top_bytes);

void ps_address_space_fini(ps_address_space *self);

/** A place for a segment of `bytes`, marked as taken; 0 when there is no room below or no memory. */
uint64_t ps_address_space_place(ps_address_space *self, uint64_t bytes);

/** Marks a place that somebody else chose. PS_NOMEM · PS_LIMIT larger than any device. */
ps_code ps_address_space_take(ps_address_space *self, uint64_t addr, uint64_t bytes,
                              ps_error *err) PS_MUST_USE;

/** A place is free again; one that was never taken is ignored. */
void ps_address_space_vacate(ps_address_space *self, uint64_t addr, uint64_t bytes);

#endif
