/* SPDX-License-Identifier: MIT
 *
 * The allocator seam: where would this block live, and what would the device
 * have to give?
 *
 * A model is one const table of functions (allocators.def lists them) and one
 * state per simulated device. It answers requests in program order, has no
 * clock and never talks to a device: what the driver would do (grant, refuse,
 * choose an address) is decided from the configuration.
 *
 *     ps_alloc_config config;
 *     ps_alloc_config_init(&config);
 *     ps_allocator_create("native", &config, &model, err)
 *     ps_allocator_alloc(model, &request, &block, &shortage, err)
 *     ps_allocator_free(model, block.handle, false, err)
 *     ps_allocator_stats(model)->reserved_bytes.peak
 *
 * Not modelled: host (pinned) memory, cudaMallocAsync, memory outside the
 * framework's allocator.
 */
#ifndef PS_ALLOC_ALLOCATOR_H
#define PS_ALLOC_ALLOCATOR_H

#include <stddef.h>

#include "alloc/settings.h"

#define PS_ALLOCATOR_ABI 1u

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
    ps_alloc_address_fn choose_address; /* NULL: addresses are invented, each below the last */
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

/** One model instance; the first member of every model's own state. */
typedef struct ps_allocator ps_allocator;

/** The seam. All functions are mandatory; the wrappers below document them. */
typedef struct ps_allocator_ops {
    uint32_t abi;        /* PS_ALLOCATOR_ABI */
    const char *name;    /* unique, kebab-case */
    const char *summary; /* one line, no full stop */
    ps_code (*create)(const ps_alloc_config *config, ps_allocator **out, ps_error *err);
    void (*destroy)(ps_allocator *self);
    ps_code (*alloc)(ps_allocator *self, const ps_alloc_request *request, ps_alloc_block *out,
                     ps_alloc_shortage *why, ps_error *err);
    ps_code (*free)(ps_allocator *self, ps_alloc_handle handle, bool is_deferred, ps_error *err);
    ps_code (*complete)(ps_allocator *self, ps_alloc_handle handle, ps_error *err);
    ps_alloc_handle (*find)(const ps_allocator *self, uint64_t addr);
    ps_code (*release_cache)(ps_allocator *self, ps_error *err);
    ps_code (*set_pool_state)(ps_allocator *self, ps_pool_id pool, ps_pool_state state,
                              ps_error *err);
    ps_alloc_outlook (*probe)(const ps_allocator *self, const ps_alloc_request *request);
    ps_code (*seed)(ps_allocator *self, const ps_alloc_seed *seed, ps_error *err);
    ps_code (*walk)(const ps_allocator *self, ps_alloc_walk_order order,
                    const ps_alloc_walker *walker, ps_error *err);
} ps_allocator_ops;

struct ps_allocator {
    const ps_allocator_ops *ops;
    ps_alloc_stats stats;
};

/** All models, ended by NULL. Static storage. */
const ps_allocator_ops *const *ps_allocators(void);

/** The model of a name, or NULL. */
const ps_allocator_ops *ps_allocators_find(const char *name);

/** Model that PyTorch would run with these settings: "expandable" or "native". Static storage. */
const char *ps_allocators_default_name(const ps_alloc_settings *settings);

/** PyTorch's default settings, no limit, unknown device, invented addresses, no listener. */
void ps_alloc_config_init(ps_alloc_config *config);

/**
 * Creates an empty model.
 *
 * @param config  copied. "native" ignores settings.is_expandable, "expandable" assumes it
 * @return PS_OK · PS_NOT_FOUND no such model · PS_USAGE contradictory configuration · PS_NOMEM
 * Lifetime: *out is owned until ps_allocator_destroy.
 * Threads:  one caller at a time per model.
 */
ps_code ps_allocator_create(const char *name, const ps_alloc_config *config, ps_allocator **out,
                            ps_error *err) PS_MUST_USE;

/** NULL is fine. */
void ps_allocator_destroy(ps_allocator *self);

/**
 * Places one block.
 *
 * @param out  written only on PS_OK
 * @param why  filled only on PS_DEVICE_FULL; may be NULL
 * @return PS_OK · PS_DEVICE_FULL: the model is as PyTorch's would be after the failed attempt
 *         (cache released), and usable · PS_USAGE zero or absurd size · PS_NOMEM, PS_LIMIT
 *         nothing handed out, though the cache may have been released
 * Cost: O(log blocks).
 */
ps_code ps_allocator_alloc(ps_allocator *self, const ps_alloc_request *request, ps_alloc_block *out,
                           ps_alloc_shortage *why, ps_error *err) PS_MUST_USE;

/**
 * The program frees a block.
 *
 * @param is_deferred  another stream still uses it (record_stream): the block
 *                     stays out of reach until ps_allocator_complete, or until
 *                     the model has to wait for everything itself
 * @return PS_OK · PS_USAGE not a handle of an allocated block
 */
ps_code ps_allocator_free(ps_allocator *self, ps_alloc_handle handle, bool is_deferred,
                          ps_error *err) PS_MUST_USE;

/** Ends a deferred free. PS_USAGE when the handle has none. */
ps_code ps_allocator_complete(ps_allocator *self, ps_alloc_handle handle,
                              ps_error *err) PS_MUST_USE;

/** Handle of the allocated or pending block that starts at an address; zero when there is none. */
ps_alloc_handle ps_allocator_find(const ps_allocator *self, uint64_t addr);

/**
 * torch.cuda.empty_cache(): ends all deferred frees, then gives unused
 * segments back. PS_NOMEM leaves a part of the cache unreleased.
 */
ps_code ps_allocator_release_cache(ps_allocator *self, ps_error *err) PS_MUST_USE;

/**
 * Declares that the last user of a private pool is gone (or that it is in use
 * again). Dead pools are released in the order of their latest declaration;
 * PyTorch's own order among them is that of a hash table.
 *
 * @return PS_OK, also for a pool without memory · PS_USAGE the default pool
 */
ps_code ps_allocator_set_pool_state(ps_allocator *self, ps_pool_id pool, ps_pool_state state,
                                    ps_error *err) PS_MUST_USE;

/** Says how a request would be served, without serving it. */
ps_alloc_outlook ps_allocator_probe(const ps_allocator *self, const ps_alloc_request *request);

/**
 * Puts a segment into the model before the first request (a recovered cache).
 * Seeds come in ascending address order. Allocated blocks are found by
 * ps_allocator_find. Counts and peaks include what was seeded.
 *
 * @return PS_OK · PS_BAD_INPUT unaligned, or blocks that do not tile the segment ·
 *         PS_USAGE after the first request · PS_NOMEM, PS_LIMIT: the model is good for
 *         nothing but ps_allocator_destroy
 */
ps_code ps_allocator_seed(ps_allocator *self, const ps_alloc_seed *seed, ps_error *err) PS_MUST_USE;

/** Shows the present state to a visitor. PS_NOMEM when the order cannot be established. */
ps_code ps_allocator_walk(const ps_allocator *self, ps_alloc_walk_order order,
                          const ps_alloc_walker *walker, ps_error *err) PS_MUST_USE;

/** Present statistics; borrowed, live. */
const ps_alloc_stats *ps_allocator_stats(const ps_allocator *self);

/** Sets every peak to the current value, as torch.cuda.reset_peak_memory_stats does. */
void ps_allocator_reset_peaks(ps_allocator *self);

#endif
