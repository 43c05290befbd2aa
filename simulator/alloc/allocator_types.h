/* SPDX-License-Identifier: MIT
 *
 * What goes into an allocator model and comes out of it: requests, blocks,
 * refusals, statistics, events, configuration, and views of its state.
 */
#ifndef PS_ALLOC_ALLOCATOR_TYPES_H
#define PS_ALLOC_ALLOCATOR_TYPES_H

#include <stddef.h>

#include "alloc/settings.h"

/** No limit, see ps_alloc_config.limit_bytes. */
#define PS_ALLOC_NO_LIMIT UINT64_MAX

/** Identity of a private pool (CUDA graph, MemPool); 0,0 is the default pool. */
typedef struct ps_pool_id {
    uint64_t owner;
    uint64_t serial;
} ps_pool_id;

static inline bool ps_pool_id_is_default(ps_pool_id id)
{
    return id.owner == 0 && id.serial == 0;
}

static inline bool ps_pool_id_is_equal(ps_pool_id a, ps_pool_id b)
{
    return a.owner == b.owner && a.serial == b.serial;
}

/** Names a block handed out; all zero names none. Dies when the block is completely free. */
typedef struct ps_alloc_handle {
    uint32_t block;
    uint32_t generation;
} ps_alloc_handle;

/** What the program asks for. */
typedef struct ps_alloc_request {
    uint64_t bytes;  /* [bytes] 1 .. 2^62 */
    uint64_t stream; /* stream handle; 0 the default stream */
    ps_pool_id pool; /* private pool, or 0,0 */
    /* a graph capture is under way: nothing cached may be released. Implied by a private pool */
    bool is_capturing;
} ps_alloc_request;

/** What it got. */
typedef struct ps_alloc_block {
    ps_alloc_handle handle;
    uint64_t addr;
    uint64_t block_bytes; /* [bytes] >= requested: rounding and slack included */
} ps_alloc_block;

/** Why a request failed. All sizes as they stand after the failed attempt. */
typedef struct ps_alloc_shortage {
    uint64_t requested_bytes;
    uint64_t rounded_bytes; /* request after rounding */
    uint64_t segment_bytes; /* what the driver was asked for in the last attempt */
    uint64_t limit_bytes;   /* the limit that refused */
    uint64_t reserved_bytes;
    uint64_t allocated_bytes; /* block bytes the program holds */
    /* reserved and not in use: other streams, pools and split segments included */
    uint64_t cached_bytes;
    uint64_t largest_free_bytes; /* largest free block of the request's pool and stream */
    /* short even if every cached byte could serve the request; 0: fragmentation alone */
    uint64_t missing_bytes;
    /* not in use (cached or still at the driver), enough in total, yet no help; 0 on a true
     * shortage */
    uint64_t unusable_bytes;
    /* largest request of this pool and stream that would have been served; 0 none */
    uint64_t would_fit_bytes;
} ps_alloc_shortage;

/** A current value and its highest so far. */
typedef struct ps_alloc_level {
    uint64_t current;
    uint64_t peak;
} ps_alloc_level;

/**
 * PyTorch's statistics. requested <= allocated <= active <= reserved, but for frees
 * that still wait.
 */
typedef struct ps_alloc_stats {
    ps_alloc_level requested_bytes; /* original sizes; falls when a free completes */
    ps_alloc_level allocated_bytes; /* block sizes; falls when a free is requested */
    ps_alloc_level active_bytes;    /* allocated, and blocks whose free still waits */
    ps_alloc_level reserved_bytes;  /* obtained from the driver */
    /* free parts of partly used segments; expandable ones excluded */
    ps_alloc_level inactive_split_bytes;
    ps_alloc_level allocated_count;
    ps_alloc_level active_count;
    ps_alloc_level segment_count; /* driver segments; mapped pages do not count */
    ps_alloc_level inactive_split_count;
    uint64_t retry_count; /* attempts after the whole cache was released */
    uint64_t oom_count;
    uint64_t device_alloc_count; /* segments and page runs obtained */
    uint64_t device_free_count;  /* segments and page runs given back */
} ps_alloc_stats;

typedef enum ps_alloc_event_kind {
    PS_ALLOC_SEGMENT_ALLOC = 0,
    PS_ALLOC_SEGMENT_FREE = 1,
    PS_ALLOC_SEGMENT_MAP = 2,
    PS_ALLOC_SEGMENT_UNMAP = 3,
    /* a waiting free completed by the model itself, before it releases its cache */
    PS_ALLOC_FREE_COMPLETED = 4,
} ps_alloc_event_kind;

/** Something the model did besides handing out a block. */
typedef struct ps_alloc_event {
    ps_alloc_event_kind kind;
    uint64_t addr;
    uint64_t bytes;
    uint64_t stream;
    ps_pool_id pool;
    ps_alloc_handle handle; /* FREE_COMPLETED only */
} ps_alloc_event;

/** Called during a request, in the allocator's order. Must not call back into the model. */
typedef void (*ps_alloc_event_fn)(void *ctx, const ps_alloc_event *event);

typedef enum ps_alloc_address_kind {
    PS_ALLOC_ADDRESS_SEGMENT = 0, /* a driver segment of `bytes` */
    PS_ALLOC_ADDRESS_RANGE = 1,   /* an address range of `bytes` for an expandable segment */
} ps_alloc_address_kind;

/**
 * Chooses the address of something new. Return 0 to let the model invent one.
 * An address must be a multiple of 512 and should not overlap anything held.
 */
typedef uint64_t (*ps_alloc_address_fn)(void *ctx, ps_alloc_address_kind kind, uint64_t bytes,
                                        uint64_t stream);

/** How a model behaves; see ps_alloc_config_init for the defaults. */
typedef struct ps_alloc_config {
    ps_alloc_settings settings;
    /* [bytes] the driver refuses what would exceed this in total; PS_ALLOC_NO_LIMIT */
    uint64_t limit_bytes;
    /* [bytes] of the device: length of expandable ranges, base of process_fraction; 0 unknown */
    uint64_t device_memory_bytes;
    /* private pools map pages too (PyTorch 2.9); older ones take driver segments */
    bool private_pools_expand;
    ps_alloc_address_fn choose_address; /* NULL: invented, see address_space.h */
    void *address_ctx;
    ps_alloc_event_fn on_event; /* NULL: nobody listens */
    void *event_ctx;
} ps_alloc_config;

typedef enum ps_alloc_block_state {
    PS_ALLOC_BLOCK_FREE = 0,
    PS_ALLOC_BLOCK_ALLOCATED = 1,
    PS_ALLOC_BLOCK_PENDING = 2, /* freed by the program, work on it not known to be finished */
} ps_alloc_block_state;

/** One contiguous piece of reserved memory: a driver segment, or a run of mapped pages. */
typedef struct ps_alloc_segment_info {
    uint64_t addr;
    uint64_t bytes;
    uint64_t stream;
    ps_pool_id pool;
    bool is_large;
    bool is_expandable;
} ps_alloc_segment_info;

typedef struct ps_alloc_block_info {
    uint64_t addr;
    uint64_t bytes;
    uint64_t requested_bytes; /* 0 when free */
    ps_alloc_block_state state;
    ps_alloc_handle handle; /* zero when free */
} ps_alloc_block_info;

/** Visitor of a walk. The two functions may be NULL. Must not call back into the model. */
typedef struct ps_alloc_walker {
    void *ctx;
    void (*on_segment)(void *ctx, const ps_alloc_segment_info *segment);
    /** Blocks of the segment announced last (address order), or free blocks alone (free order). */
    void (*on_block)(void *ctx, const ps_alloc_block_info *block);
} ps_alloc_walker;

typedef enum ps_alloc_walk_order {
    PS_ALLOC_WALK_ADDRESS = 0, /* segments by address, their blocks by address */
    /* free blocks as searched and released: pool (large first), stream, size, address */
    PS_ALLOC_WALK_FREE = 1,
} ps_alloc_walk_order;

/** A segment to start with. For expandable memory: one run of mapped pages. */
typedef struct ps_alloc_seed {
    ps_alloc_segment_info segment;
    /* borrowed; tiles the segment in address order; handles ignored */
    const ps_alloc_block_info *block;
    size_t block_count;
    /* expandable: lowest known address of its range; runs with equal ones share a range */
    uint64_t range_addr;
} ps_alloc_seed;

/** How a request would be served now; see ps_allocator_probe. */
typedef enum ps_alloc_outlook {
    PS_ALLOC_FROM_CACHE = 0, /* a free block serves it */
    PS_ALLOC_GROWS = 1,      /* the driver grants new memory */
    PS_ALLOC_COLLECTS = 2,   /* garbage collection releases memory first */
    /* the driver refuses at first; cached memory is released, or it fails */
    PS_ALLOC_REFUSED = 3,
} ps_alloc_outlook;

typedef enum ps_pool_state {
    PS_POOL_IN_USE = 0,
    PS_POOL_DEAD = 1, /* its last graph is gone: cached segments may be released */
} ps_pool_state;

#endif
