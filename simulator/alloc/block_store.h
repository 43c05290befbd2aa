/* SPDX-License-Identifier: MIT
 *
 * Blocks of one allocator, in one growable array and named by index.
 *
 *   segment  [ block ]<->[ block ]<->[ block ]      prev/next: neighbours in memory
 *   free set        (left, right, parent)           only while the block is free or unmapped
 *
 * Vacant records form a list through `next`. Growing moves the array, so
 * references are indices; a pointer into it dies at the next reserve. A
 * block's lowest-address part keeps its index when blocks are split or
 * merged, so the first block of a segment never changes its index.
 */
#ifndef PS_ALLOC_BLOCK_STORE_H
#define PS_ALLOC_BLOCK_STORE_H

#include <stddef.h>

#include "base/status.h"

#define PS__BLOCK_NONE UINT32_MAX
#define PS__BLOCK_MAX_COUNT ((size_t)1 << 31)

typedef enum ps__block_state {
    PS__BLOCK_VACANT = 0,
    PS__BLOCK_FREE,      /* in its pool's free set */
    PS__BLOCK_ALLOCATED, /* held by the program */
    PS__BLOCK_PENDING,   /* freed, work on it unfinished; left/right link the pending list */
    PS__BLOCK_UNMAPPED,  /* address space without memory, in its pool's unmapped set */
} ps__block_state;

typedef struct ps__block {
    uint64_t stream; /* the three keys of the free set come first */
    uint64_t bytes;
    uint64_t addr;
    uint32_t left;
    uint32_t right;
    uint32_t parent;
    int8_t balance; /* height of right minus left */
    uint8_t state;
    uint64_t requested_bytes;
    uint32_t prev;
    uint32_t next;
    uint32_t segment;
    uint32_t generation; /* counts the uses of this record; handles carry it */
    uint32_t age_base;   /* look-ups of its pool when it entered the free set */
} ps__block;

typedef struct ps__block_store {
    ps__block *at;
    size_t capacity;
    size_t count;    /* records ever used */
    uint32_t vacant; /* head of the vacant list */
    size_t vacant_count;
} ps__block_store;

void ps__block_store_init(ps__block_store *self);

void ps__block_store_fini(ps__block_store *self);

/** Makes sure that the next `count` takes succeed. Moves the records. */
ps_code ps__block_store_reserve(ps__block_store *self, size_t count, ps_error *err) PS_MUST_USE;

/** Takes a record; only after a reserve. prev and next are PS__BLOCK_NONE. */
uint32_t ps__block_store_take(ps__block_store *self);

/** Returns a record; its handles die. */
void ps__block_store_put(ps__block_store *self, uint32_t id);

/**
 * Cuts a block after `head_bytes`: the head keeps the index, the tail is a new
 * block in the same state behind it. Only after a reserve.
 *
 * @return the tail
 */
uint32_t ps__block_store_split(ps__block_store *self, uint32_t id, uint64_t head_bytes);

/** Appends the block behind `id` to it; the later record is returned to the store. */
void ps__block_store_absorb_next(ps__block_store *self, uint32_t id);

#endif
