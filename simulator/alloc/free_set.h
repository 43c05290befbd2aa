/* SPDX-License-Identifier: MIT
 *
 * Ordered sets of blocks: a pool's free blocks by (stream, size, address) and
 * its unmapped blocks by (stream, address).
 *
 * An AVL tree threaded through the block records: a member is erased by its
 * index without a search, and nothing is allocated.
 */
#ifndef PS_ALLOC_FREE_SET_H
#define PS_ALLOC_FREE_SET_H

#include "alloc/block_store.h"

typedef struct ps__free_set {
    uint32_t root;
    uint32_t count;
    bool is_by_address; /* the size is no key */
} ps__free_set;

void ps__free_set_init(ps__free_set *self, bool is_by_address);

/** Adds a block that is in no set. Its keys must not change while it is a member. */
void ps__free_set_insert(ps__free_set *self, ps__block_store *store, uint32_t id);

/** Takes a member out. */
void ps__free_set_erase(ps__free_set *self, ps__block_store *store, uint32_t id);

/**
 * First member not before (stream, bytes, lowest address), or PS__BLOCK_NONE. `bytes`
 * is ignored by address.
 */
uint32_t ps__free_set_lower_bound(const ps__free_set *self, const ps__block_store *store,
                                  uint64_t stream, uint64_t bytes);

/** Smallest member, or PS__BLOCK_NONE. */
uint32_t ps__free_set_first(const ps__free_set *self, const ps__block_store *store);

/** Largest member, or PS__BLOCK_NONE. */
uint32_t ps__free_set_last(const ps__free_set *self, const ps__block_store *store);

/** Successor of a member, or PS__BLOCK_NONE. */
uint32_t ps__free_set_next(const ps__block_store *store, uint32_t id);

/** Predecessor of a member, or PS__BLOCK_NONE. */
uint32_t ps__free_set_prev(const ps__block_store *store, uint32_t id);

#endif
