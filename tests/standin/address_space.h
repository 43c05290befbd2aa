/* SPDX-License-Identifier: MIT
 *
 * Addresses for device memory, as the Linux driver is seen to choose them in
 * public recordings:
 *
 *   |---- 32 MiB ----|---- 32 MiB ----|---- 32 MiB ----|  <- top
 *   [  segment of 40 MiB  ][ 2 ][ 2 ]..[ 20        ].....
 *
 * A request that fits into the rest of an open chunk goes there, the most recently
 * opened chunk first, the lowest fitting place in it. Any other opens whole chunks:
 * the highest run of closed ones that is long enough, at its upper end, so that
 * addresses fall; it begins on a chunk boundary. A chunk without a live page is closed.
 */
#ifndef PS_STANDIN_ADDRESS_SPACE_H
#define PS_STANDIN_ADDRESS_SPACE_H

#include <stddef.h>
#include <stdint.h>

#define STANDIN_PAGE_BYTES (UINT64_C(2) << 20)
#define STANDIN_CHUNK_BYTES (UINT64_C(32) << 20)

typedef struct standin_chunk {
    uint32_t used_pages; /* bit p: page p is live; 0: closed */
    uint32_t opened;     /* order of opening, from 1 */
} standin_chunk;

typedef struct standin_address_space {
    uint64_t base;         /* on a chunk boundary */
    size_t chunk_count;    /* the space ends at base + chunk_count * STANDIN_CHUNK_BYTES */
    standin_chunk *chunks; /* by address; NULL until first used */
    uint32_t openings;
} standin_address_space;

/* A place of `bytes` (a multiple of the page), or 0 when there is none. */
uint64_t standin_place(standin_address_space *space, uint64_t bytes);
void standin_vacate(standin_address_space *space, uint64_t address, uint64_t bytes);
uint64_t standin_round_to_pages(uint64_t bytes);

#endif
