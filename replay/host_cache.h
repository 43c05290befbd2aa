/* SPDX-License-Identifier: MIT
 *
 * Mapped memory kept for the next buffer of the same size.
 *
 * The allocator a plan was recorded under keeps what the program frees, so a
 * step after the first takes nothing from the driver. Mapping and touching
 * fresh pages for every buffer would charge the replay for what did not
 * happen. Kept memory is given back when the machine needs it.
 */
#ifndef PS_REPLAY_HOST_CACHE_H
#define PS_REPLAY_HOST_CACHE_H

#include <stddef.h>

#include "base/status.h"

typedef struct ps_host_cache ps_host_cache;

/**
 * Starts an empty cache; NULL when out of memory.
 *
 * @param limit_bytes  [bytes] most to keep and hand out together
 * @param page_bytes   [bytes] of a page, every one of which is written
 */
ps_host_cache *ps_host_cache_create(uint64_t limit_bytes, size_t page_bytes) PS_MUST_USE;

/** Gives everything kept back; what is handed out must have been put before. NULL is fine. */
void ps_host_cache_destroy(ps_host_cache *self);

/** Touched memory of `bytes` bytes (> 0), or NULL when the machine has none. Any thread. */
void *ps_host_cache_take(ps_host_cache *self, size_t bytes);

/** Returns what a take gave. Any thread. */
void ps_host_cache_put(ps_host_cache *self, void *block, size_t bytes);

#endif
