/* SPDX-License-Identifier: MIT
 *
 * Model "exact": live bytes and nothing else. No rounding, no cache, no
 * fragmentation; what the program holds is what the device gives. It bounds
 * every real allocator from below.
 *
 * A deferred free keeps its bytes until it completes, so reserved equals
 * active, and allocated too where nothing is deferred. Each block is its own
 * segment at an address never used twice.
 */
#include <stdlib.h>
#include <string.h>

#include "alloc/allocator.h"
#include "alloc/block_store.h"
#include "alloc/sizes.h"
#include "base/idmap.h"
#include "base/memory.h"

/* Where addresses begin: not 0, which means "none" everywhere. */
#define FIRST_ADDR ((uint64_t)1 << 30)

typedef struct exact {
    ps_allocator base;
    ps_alloc_config config;
    uint64_t limit_bytes;
    uint64_t next_addr;
    bool has_started;
    ps__block_store blocks;
    ps_idmap by_addr;
} exact;

static ps_code create(const ps_alloc_config *config, ps_allocator **out, ps_error *err);

static exact *exact_of(ps_allocator *base)
{
    return (exact *)(void *)base;
}

static const exact *exact_of_const(const ps_allocator *base)
{
    return (const exact *)(const void *)base;
}

static void destroy(ps_allocator *base)
{
    exact *self = exact_of(base);
    ps__block_store_fini(&self->blocks);
    ps_idmap_fini(&self->by_addr);
    ps_free(self);
}

static void raise_level(ps_alloc_level *level, uint64_t amount)
{
    level->current += amount;
    level->peak = level->current > level->peak ? level->current : level->peak;
}

static void emit(const exact *self, ps_alloc_event_kind kind, const ps__block *block)
{
    if (self->config.on_event != NULL) {
        const ps_alloc_event event = {
            .kind = kind, .addr = block->addr, .bytes = block->bytes, .stream = block->stream};
        self->config.on_event(self->config.event_ctx, &event);
    }
}

/* Adds a live block; its counters are those of a new allocation. */
static ps_code add(exact *self, uint64_t addr, uint64_t bytes, uint64_t requested_bytes,
                   uint64_t stream, uint32_t *out, ps_error *err)
{
    ps_alloc_stats *stats = &self->base.stats;
    PS_TRY(ps__block_store_reserve(&self->blocks, 1, err));
    const uint32_t id = ps__block_store_take(&self->blocks);
    const ps_code code = ps_idmap_put(&self->by_addr, addr, id, err);
    if (code != PS_OK) {
        ps__block_store_put(&self->blocks, id);
        return code;
    }
    ps__block *block = &self->blocks.at[id];
    block->addr = addr;
    block->bytes = bytes;
    block->requested_bytes = requested_bytes;
    block->stream = stream;
    block->state = PS__BLOCK_ALLOCATED;
    raise_level(&stats->requested_bytes, requested_bytes);
    raise_level(&stats->allocated_bytes, bytes);
    raise_level(&stats->active_bytes, bytes);
    raise_level(&stats->reserved_bytes, bytes);
    raise_level(&stats->allocated_count, 1);
    raise_level(&stats->active_count, 1);
    raise_level(&stats->segment_count, 1);
    stats->device_alloc_count++;
    emit(self, PS_ALLOC_SEGMENT_ALLOC, block);
    *out = id;
    return PS_OK;
}

static uint64_t room(const exact *self)
{
    const uint64_t reserved = self->base.stats.reserved_bytes.current;
    return self->limit_bytes > reserved ? self->limit_bytes - reserved : 0;
}

static ps_code refuse(exact *self, const ps_alloc_request *request, ps_alloc_shortage *why,
                      ps_error *err)
{
    ps_alloc_stats *stats = &self->base.stats;
    const uint64_t left = room(self);
    stats->oom_count++;
    if (why != NULL) {
        memset(why, 0, sizeof *why);
        why->requested_bytes = request->bytes;
        why->rounded_bytes = request->bytes;
        why->segment_bytes = request->bytes;
        why->limit_bytes = self->limit_bytes;
        why->reserved_bytes = stats->reserved_bytes.current;
        why->allocated_bytes = stats->allocated_bytes.current;
        why->missing_bytes = request->bytes - left;
        why->would_fit_bytes = left;
    }
    return ps_fail(err, PS_DEVICE_FULL, "%llu bytes do not fit: %llu in use of %llu",
                   (unsigned long long)request->bytes,
                   (unsigned long long)stats->reserved_bytes.current,
                   (unsigned long long)self->limit_bytes);
}

static ps_code alloc(ps_allocator *base, const ps_alloc_request *request, ps_alloc_block *out,
                     ps_alloc_shortage *why, ps_error *err)
{
    exact *self = exact_of(base);
    uint32_t id;
    if (request->bytes == 0 || request->bytes > PS_ALLOC_MAX_REQUEST_BYTES) {
        return ps_fail(err, PS_USAGE, "a request of %llu bytes; 1 to 2^62 are possible",
                       (unsigned long long)request->bytes);
    }
    self->has_started = true;
    if (request->bytes > room(self)) {
        return refuse(self, request, why, err);
    }
    PS_TRY(add(self, self->next_addr, request->bytes, request->bytes, request->stream, &id, err));
    const ps__block *block = &self->blocks.at[id];
    *out = (ps_alloc_block){{id, block->generation}, block->addr, block->bytes};
    self->next_addr += ps_round_up_u64(request->bytes, PS_ALLOC_GRAIN_BYTES);
    return PS_OK;
}

/* Index of the block a handle names when it is in the given state, else PS__BLOCK_NONE. */
static uint32_t resolve(const exact *self, ps_alloc_handle handle, ps__block_state state)
{
    if (handle.block >= self->blocks.count ||
        self->blocks.at[handle.block].generation != handle.generation ||
        self->blocks.at[handle.block].state != state) {
        return PS__BLOCK_NONE;
    }
    return handle.block;
}

static void remove_block(exact *self, uint32_t id)
{
    ps_alloc_stats *stats = &self->base.stats;
    const ps__block *block = &self->blocks.at[id];
    stats->requested_bytes.current -= block->requested_bytes;
    stats->active_bytes.current -= block->bytes;
    stats->reserved_bytes.current -= block->bytes;
    stats->active_count.current--;
    stats->segment_count.current--;
    stats->device_free_count++;
    emit(self, PS_ALLOC_SEGMENT_FREE, block);
    (void)ps_idmap_take(&self->by_addr, block->addr);
    ps__block_store_put(&self->blocks, id);
}

static ps_code free_block(ps_allocator *base, ps_alloc_handle handle, bool is_deferred,
                          ps_error *err)
{
    exact *self = exact_of(base);
    const uint32_t id = resolve(self, handle, PS__BLOCK_ALLOCATED);
    if (id == PS__BLOCK_NONE) {
        return ps_fail(err, PS_USAGE, "free of a block that is not allocated");
    }
    base->stats.allocated_bytes.current -= self->blocks.at[id].bytes;
    base->stats.allocated_count.current--;
    if (is_deferred) {
        self->blocks.at[id].state = PS__BLOCK_PENDING;
    } else {
        remove_block(self, id);
    }
    return PS_OK;
}

static ps_code complete(ps_allocator *base, ps_alloc_handle handle, ps_error *err)
{
    exact *self = exact_of(base);
    const uint32_t id = resolve(self, handle, PS__BLOCK_PENDING);
    if (id == PS__BLOCK_NONE) {
        return ps_fail(err, PS_USAGE, "completion of a free that was not deferred");
    }
    remove_block(self, id);
    return PS_OK;
}

static ps_alloc_handle find(const ps_allocator *base, uint64_t addr)
{
    const exact *self = exact_of_const(base);
    const uint32_t id = ps_idmap_get(&self->by_addr, addr);
    return id == PS_IDMAP_NONE ? (ps_alloc_handle){0, 0}
                               : (ps_alloc_handle){id, self->blocks.at[id].generation};
}

static ps_code release_cache(ps_allocator *base, ps_error *err)
{
    exact *self = exact_of(base);
    (void)err;
    for (size_t id = 0; id < self->blocks.count; id++) {
        if (self->blocks.at[id].state == PS__BLOCK_PENDING) {
            emit(self, PS_ALLOC_FREE_COMPLETED, &self->blocks.at[id]);
            remove_block(self, (uint32_t)id);
        }
    }
    return PS_OK;
}

static ps_code set_pool_state(ps_allocator *base, ps_pool_id pool, ps_pool_state state,
                              ps_error *err)
{
    (void)base;
    (void)state;
    if (ps_pool_id_is_default(pool)) {
        return ps_fail(err, PS_USAGE, "the default pool has no state");
    }
    return PS_OK;
}

static ps_alloc_outlook probe(const ps_allocator *base, const ps_alloc_request *request)
{
    return request->bytes <= room(exact_of_const(base)) ? PS_ALLOC_GROWS : PS_ALLOC_REFUSED;
}

/* Only what is in use counts here; free blocks and slack do not exist. */
static ps_code seed(ps_allocator *base, const ps_alloc_seed *given, ps_error *err)
{
    exact *self = exact_of(base);
    if (self->has_started) {
        return ps_fail(err, PS_USAGE, "memory is seeded after the first request");
    }
    for (size_t i = 0; i < given->block_count; i++) {
        const ps_alloc_block_info *block = &given->block[i];
        uint32_t id;
        if (block->state == PS_ALLOC_BLOCK_FREE) {
            continue;
        }
        PS_TRY(add(self, block->addr, block->requested_bytes, block->requested_bytes,
                   given->segment.stream, &id, err));
        if (block->state == PS_ALLOC_BLOCK_PENDING) {
            base->stats.allocated_bytes.current -= block->requested_bytes;
            base->stats.allocated_count.current--;
            self->blocks.at[id].state = PS__BLOCK_PENDING;
        }
    }
    const uint64_t end = given->segment.addr + given->segment.bytes;
    if (end > self->next_addr) {
        self->next_addr = ps_round_up_u64(end, PS_ALLOC_GRAIN_BYTES);
    }
    return PS_OK;
}

static void show(const ps__block *block, uint32_t id, const ps_alloc_walker *walker)
{
    if (walker->on_segment != NULL) {
        const ps_alloc_segment_info segment = {.addr = block->addr,
                                               .bytes = block->bytes,
                                               .stream = block->stream,
                                               .is_large = ps__alloc_is_large(block->bytes)};
        walker->on_segment(walker->ctx, &segment);
    }
    if (walker->on_block != NULL) {
        const ps_alloc_block_info info = {.addr = block->addr,
                                          .bytes = block->bytes,
                                          .requested_bytes = block->requested_bytes,
                                          .state = block->state == PS__BLOCK_PENDING
                                                       ? PS_ALLOC_BLOCK_PENDING
                                                       : PS_ALLOC_BLOCK_ALLOCATED,
                                          .handle = {id, block->generation}};
        walker->on_block(walker->ctx, &info);
    }
}

/* A live block with its address to sort by. */
typedef struct place {
    uint64_t addr;
    uint32_t id;
} place;

static int compare_places(const void *a, const void *b)
{
    const place *x = a;
    const place *y = b;
    return (x->addr > y->addr) - (x->addr < y->addr);
}

static ps_code walk(const ps_allocator *base, ps_alloc_walk_order order,
                    const ps_alloc_walker *walker, ps_error *err)
{
    const exact *self = exact_of_const(base);
    size_t count = 0;
    if (order == PS_ALLOC_WALK_FREE) {
        return PS_OK;
    }
    place *places = ps_calloc(self->blocks.count, sizeof *places);
    if (places == NULL) {
        return ps_fail_nomem(err);
    }
    for (size_t id = 0; id < self->blocks.count; id++) {
        if (self->blocks.at[id].state != PS__BLOCK_VACANT) {
            places[count++] = (place){self->blocks.at[id].addr, (uint32_t)id};
        }
    }
    qsort(places, count, sizeof *places, compare_places);
    for (size_t i = 0; i < count; i++) {
        show(&self->blocks.at[places[i].id], places[i].id, walker);
    }
    ps_free(places);
    return PS_OK;
}

extern const ps_allocator_ops ps__allocator_exact;

const ps_allocator_ops ps__allocator_exact = {
    .abi = PS_ALLOCATOR_ABI,
    .name = "exact",
    .summary = "live bytes only: no rounding, no cache, no fragmentation",
    .create = create,
    .destroy = destroy,
    .alloc = alloc,
    .free = free_block,
    .complete = complete,
    .find = find,
    .release_cache = release_cache,
    .set_pool_state = set_pool_state,
    .probe = probe,
    .seed = seed,
    .walk = walk,
};

static ps_code create(const ps_alloc_config *config, ps_allocator **out, ps_error *err)
{
    exact *self = ps_calloc(1, sizeof *self);
    if (self == NULL) {
        return ps_fail_nomem(err);
    }
    self->base.ops = &ps__allocator_exact;
    self->config = *config;
    self->next_addr = FIRST_ADDR;
    self->limit_bytes = config->limit_bytes;
    if (config->settings.process_fraction > 0.0 && config->device_memory_bytes > 0) {
        const uint64_t allowed =
            (uint64_t)(config->settings.process_fraction * (double)config->device_memory_bytes);
        self->limit_bytes = allowed < self->limit_bytes ? allowed : self->limit_bytes;
    }
    ps__block_store_init(&self->blocks);
    ps_idmap_init(&self->by_addr);
    *out = &self->base;
    return PS_OK;
}
