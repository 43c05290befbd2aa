/* SPDX-License-Identifier: MIT
 *
 * State shared by the two caching models, "native" and "expandable":
 * PyTorch's caching allocator with driver segments alone, or with address
 * ranges whose pages are mapped on demand.
 *
 *   group (default, or a private pool) ── large pool ── free set, unmapped set
 *                                     └── small pool ── free set, unmapped set
 *   segment: a driver segment, or the address range of an expandable one
 *     └── chain of blocks (block_store.h), the first one never changes
 *
 * One request runs through: search the free set, collect garbage, grow,
 * release oversize blocks and grow, release everything and grow, refuse.
 * caching.c holds that sequence, the other caching_*.c files one step each.
 */
#ifndef PS_ALLOC_CACHING_H
#define PS_ALLOC_CACHING_H

#include "alloc/address_space.h"
#include "alloc/allocator.h"
#include "alloc/free_set.h"
#include "alloc/sizes.h"
#include "base/idmap.h"

#define PS__SEGMENT_NONE UINT32_MAX
#define PS__SEGMENT_MAX_COUNT ((size_t)1 << 28)
#define PS__GROUP_MAX_COUNT ((size_t)1 << 20)

/** Large or small half of a pool group. */
typedef struct ps__pool {
    ps__free_set free;
    ps__free_set unmapped;
    uint32_t look_ups; /* searches so far, modulo 2^32: the clock of cache ages */
} ps__pool;

/** The default pool (index 0) or one private pool. */
typedef struct ps__pool_group {
    ps_pool_id id;
    ps__pool large;
    ps__pool small;
    bool is_dead;
    uint64_t death_order;
} ps__pool_group;

typedef struct ps__segment {
    uint64_t addr;
    uint64_t bytes; /* of the address range when is_range */
    uint64_t stream;
    uint32_t head; /* first block; PS__BLOCK_NONE: vacant record */
    uint32_t group;
    bool is_large;
    bool is_range; /* an expandable address range */
} ps__segment;

typedef struct ps__caching {
    ps_allocator base;
    ps_alloc_config config;
    bool is_expandable;     /* this model maps pages; settings.is_expandable is not asked */
    uint64_t allowed_bytes; /* [bytes] the process's own limit; UINT64_MAX none */
    /* [bytes] reserved memory above which garbage is collected; UINT64_MAX off */
    uint64_t gc_bytes;
    ps_address_space space; /* invented addresses of segments */
    uint64_t next_top;      /* those of ranges lie below, each below the last */
    uint64_t death_count;
    bool has_started; /* a request was made: no more seeding */
    ps__block_store blocks;
    ps__segment *segment;
    size_t segment_capacity;
    size_t segment_count;    /* records in use or vacant */
    uint32_t vacant_segment; /* list through `group` of vacant records */
    ps__pool_group *group;
    size_t group_capacity;
    size_t group_count;
    uint32_t last_group;    /* of the latest request */
    uint32_t pending_first; /* blocks whose free waits, in order of request */
    uint32_t pending_last;
    ps_idmap by_addr; /* blocks in use */
} ps__caching;

/** A request on its way. */
typedef struct ps__attempt {
    uint64_t bytes;
    uint64_t rounded_bytes;
    uint64_t segment_bytes;
    uint64_t stream;
    uint32_t group;
    bool is_large;
    bool is_capturing;
} ps__attempt;

static inline ps__pool *ps__caching_pool(const ps__caching *self, uint32_t group, bool is_large)
{
    return is_large ? &self->group[group].large : &self->group[group].small;
}

/** Pool that a block belongs to. */
static inline ps__pool *ps__caching_block_pool(const ps__caching *self, uint32_t id)
{
    const ps__segment *segment = &self->segment[self->blocks.at[id].segment];
    return ps__caching_pool(self, segment->group, segment->is_large);
}

static inline bool ps__caching_is_split(const ps__block *block)
{
    return block->prev != PS__BLOCK_NONE || block->next != PS__BLOCK_NONE;
}

static inline void ps__level_add(ps_alloc_level *level, uint64_t amount)
{
    level->current += amount;
    if (level->current > level->peak) {
        level->peak = level->current;
    }
}

static inline void ps__level_sub(ps_alloc_level *level, uint64_t amount)
{
    level->current -= amount;
}

/** true when the pools of a group grow by mapping pages. */
static inline bool ps__caching_maps_pages(const ps__caching *self, uint32_t group)
{
    return self->is_expandable && (group == 0 || self->config.private_pools_expand);
}

/** [bytes] the smaller of the driver's and the process's limit. */
static inline uint64_t ps__caching_limit(const ps__caching *self)
{
    return self->config.limit_bytes < self->allowed_bytes ? self->config.limit_bytes
                                                          : self->allowed_bytes;
}

/** true when `bytes` more stay within a limit. */
static inline bool ps__caching_has_room(const ps__caching *self, uint64_t limit, uint64_t bytes)
{
    const uint64_t reserved = self->base.stats.reserved_bytes.current;
    return bytes <= limit && reserved <= limit - bytes;
}

static inline const ps__caching *ps__caching_of_const(const ps_allocator *base)
{
    return (const ps__caching *)(const void *)base;
}

static inline ps__caching *ps__caching_of(ps_allocator *base)
{
    return (ps__caching *)(void *)base;
}

/* caching.c and caching_free.c: the functions of the two ops tables that change state. */
ps_code ps__caching_create(const ps_allocator_ops *ops, const ps_alloc_config *config,
                           bool is_expandable, ps_allocator **out, ps_error *err) PS_MUST_USE;
void ps__caching_destroy(ps_allocator *base);
ps_code ps__caching_alloc(ps_allocator *base, const ps_alloc_request *request, ps_alloc_block *out,
                          ps_alloc_shortage *why, ps_error *err) PS_MUST_USE;
ps_code ps__caching_free(ps_allocator *base, ps_alloc_handle handle, bool is_deferred,
                         ps_error *err) PS_MUST_USE;
ps_code ps__caching_complete(ps_allocator *base, ps_alloc_handle handle, ps_error *err) PS_MUST_USE;
ps_alloc_handle ps__caching_find(const ps_allocator *base, uint64_t addr);
ps_code ps__caching_set_pool_state(ps_allocator *base, ps_pool_id pool, ps_pool_state state,
                                   ps_error *err) PS_MUST_USE;

/* caching_release.c, caching_inspect.c, caching_seed.c: the rest of the tables. */
ps_code ps__caching_release_cache(ps_allocator *base, ps_error *err) PS_MUST_USE;
ps_alloc_outlook ps__caching_probe(const ps_allocator *base, const ps_alloc_request *request);
ps_code ps__caching_walk(const ps_allocator *base, ps_alloc_walk_order order,
                         const ps_alloc_walker *walker, ps_error *err) PS_MUST_USE;
ps_code ps__caching_seed(ps_allocator *base, const ps_alloc_seed *seed, ps_error *err) PS_MUST_USE;

/* Steps shared between the files. */

/** Free block that serves a rounded request, or PS__BLOCK_NONE. It stays in the free set. */
uint32_t ps__caching_search(const ps__caching *self, const ps__attempt *attempt);

/** Group of a pool id, or PS__SEGMENT_NONE. */
uint32_t ps__caching_find_group(const ps__caching *self, ps_pool_id id);

/** Group of a pool id, made when it is new. */
ps_code ps__caching_get_group(ps__caching *self, ps_pool_id id, uint32_t *out,
                              ps_error *err) PS_MUST_USE;

/** A new segment record with one block over all of it, in no set. Only after a reserve. */
uint32_t ps__caching_add_segment(ps__caching *self, const ps__segment *segment);

/** Makes sure that one ps__caching_add_segment and `block_count` blocks succeed. */
ps_code ps__caching_reserve(ps__caching *self, size_t block_count, ps_error *err) PS_MUST_USE;

/** Drops a segment of a single block that is in no set. */
void ps__caching_drop_segment(ps__caching *self, uint32_t segment);

/** Address for something new: the caller's choice, else an invented one. */
uint64_t ps__caching_new_addr(ps__caching *self, ps_alloc_address_kind kind, uint64_t bytes,
                              uint64_t stream);

/** Puts a free block into its pool's free set and starts its age. */
void ps__caching_insert_free(ps__caching *self, uint32_t id);

/** Tells the listener. */
void ps__caching_emit(const ps__caching *self, ps_alloc_event_kind kind, uint32_t segment,
                      uint64_t addr, uint64_t bytes);

/** Ends a free: the block merges with its free neighbours and enters the free set. */
void ps__caching_finish_free(ps__caching *self, uint32_t id);

/** Ends all deferred frees, telling the listener. */
void ps__caching_finish_pending(ps__caching *self);

/** Adds an in-use block to the list of deferred frees. */
void ps__caching_add_pending(ps__caching *self, uint32_t id);

/**
 * Maps pages until one free block covers the request (caching_expand.c).
 * @param out  the block, still in the free set; PS__BLOCK_NONE: the driver refused
 */
ps_code ps__caching_expand(ps__caching *self, const ps__attempt *attempt, uint32_t *out,
                           ps_error *err) PS_MUST_USE;

/** [bytes] new pages ps__caching_expand would map; UINT64_MAX: no address range suffices. */
uint64_t ps__caching_expand_cost(const ps__caching *self, const ps__attempt *attempt);

/**
 * [bytes] largest block that `page_bytes_left` of new pages could make for this pool
 * and stream.
 */
uint64_t ps__caching_expand_reach(const ps__caching *self, const ps__attempt *attempt,
                                  uint64_t page_bytes_left);

/** [bytes] length of a new address range. */
uint64_t ps__caching_range_bytes(const ps__caching *self, bool is_large);

/** Unmaps the whole pages inside a free block (caching_expand.c). */
ps_code ps__caching_unmap(ps__caching *self, uint32_t id, ps_error *err) PS_MUST_USE;

/** One pass of garbage collection, when it is due. */
void ps__caching_collect(ps__caching *self);

/** true when ps__caching_collect would release something. */
bool ps__caching_collect_is_due(const ps__caching *self);

/** Gives oversize blocks back for this request; true when that was enough to try again. */
bool ps__caching_release_oversize(ps__caching *self, const ps__attempt *attempt);

/** Gives back everything unused of the default pools and of dead private ones. */
ps_code ps__caching_release_all(ps__caching *self, ps_error *err) PS_MUST_USE;

/** Fills the explanation of a refusal. */
void ps__caching_explain(const ps__caching *self, const ps__attempt *attempt,
                         ps_alloc_shortage *why);

/** How an attempt would be served. */
ps_alloc_outlook ps__caching_outlook(const ps__caching *self, const ps__attempt *attempt);

/** Fills an attempt from sizes; the group is taken as given. */
void ps__caching_plan(const ps__caching *self, const ps_alloc_request *request, uint32_t group,
                      ps__attempt *out);

#endif
