/* SPDX-License-Identifier: MIT
 *
 * The request sequence of PyTorch's caching allocator, and its frees.
 */
#include "alloc/caching.h"

#include <string.h>

#include "base/memory.h"

#define NONE PS__BLOCK_NONE

/* Far above any address a driver gives, so that invented ones never meet recorded ones. */
#define FIRST_TOP ((uint64_t)1 << 62)
#define FIRST_RANGE_TOP ((uint64_t)1 << 61)

static ps_code set_limits(ps__caching *self, ps_error *err)
{
    const ps_alloc_settings *settings = &self->config.settings;
    self->allowed_bytes = UINT64_MAX;
    self->gc_bytes = UINT64_MAX;
    if (settings->process_fraction <= 0.0) {
        return PS_OK; /* without a process limit there is no collection either */
    }
    if (self->config.device_memory_bytes == 0) {
        return ps_fail(err, PS_USAGE,
                       "a process memory fraction needs the memory size of the device");
    }
    self->allowed_bytes =
        (uint64_t)(settings->process_fraction * (double)self->config.device_memory_bytes);
    if (settings->gc_threshold > 0.0) {
        self->gc_bytes = (uint64_t)(settings->gc_threshold * (double)self->allowed_bytes);
    }
    return PS_OK;
}

ps_code ps__caching_create(const ps_allocator_ops *ops, const ps_alloc_config *config,
                           bool is_expandable, ps_allocator **out, ps_error *err)
{
    ps__caching *self = ps_calloc(1, sizeof *self);
    if (self == NULL) {
        return ps_fail_nomem(err);
    }
    self->base.ops = ops;
    self->config = *config;
    self->is_expandable = is_expandable;
    self->next_top = FIRST_RANGE_TOP;
    ps_address_space_init(&self->space, FIRST_TOP);
    self->vacant_segment = PS__SEGMENT_NONE;
    self->pending_first = NONE;
    self->pending_last = NONE;
    ps__block_store_init(&self->blocks);
    ps_idmap_init(&self->by_addr);
    uint32_t group;
    ps_code code = set_limits(self, err);
    if (code == PS_OK) {
        code = ps__caching_get_group(self, (ps_pool_id){0, 0}, &group, err);
    }
    if (code != PS_OK) {
        ps__caching_destroy(&self->base);
        return code;
    }
    *out = &self->base;
    return PS_OK;
}

void ps__caching_destroy(ps_allocator *base)
{
    ps__caching *self = ps__caching_of(base);
    ps__block_store_fini(&self->blocks);
    ps_idmap_fini(&self->by_addr);
    ps_address_space_fini(&self->space);
    ps_free(self->segment);
    ps_free(self->group);
    ps_free(self);
}

/* Bytes a block could grow to: unmapped space behind it counts. */
static uint64_t reach_of(const ps__block_store *blocks, uint32_t id)
{
    const ps__block *block = &blocks->at[id];
    const bool can_grow =
        block->next != NONE && blocks->at[block->next].state == PS__BLOCK_UNMAPPED;
    return block->bytes + (can_grow ? blocks->at[block->next].bytes : 0);
}

/*
 * With expandable segments the best fit is the block with the least reach,
 * looked for only among directly following free blocks.
 */
static uint32_t prefer_bounded(const ps__caching *self, uint32_t id)
{
    const ps__block *at = self->blocks.at;
    for (;;) {
        const uint32_t next = ps__free_set_next(&self->blocks, id);
        if (!self->segment[at[id].segment].is_range || next == NONE ||
            at[next].stream != at[id].stream ||
            reach_of(&self->blocks, next) >= reach_of(&self->blocks, id)) {
            return id;
        }
        id = next;
    }
}

uint32_t ps__caching_search(const ps__caching *self, const ps__attempt *attempt)
{
    const ps__pool *pool = ps__caching_pool(self, attempt->group, attempt->is_large);
    const uint64_t rounded = attempt->rounded_bytes;
    uint32_t id = ps__free_set_lower_bound(&pool->free, &self->blocks, attempt->stream, rounded);
    if (id == NONE || self->blocks.at[id].stream != attempt->stream) {
        return NONE;
    }
    if (self->is_expandable) {
        id = prefer_bounded(self, id);
    }
    const uint64_t split_limit = self->config.settings.max_split_bytes;
    const uint64_t found = self->blocks.at[id].bytes;
    if (rounded < split_limit
            ? found >= split_limit
            : found - rounded >= self->config.settings.max_non_split_rounding_bytes) {
        /* an oversize block for a small request, or one far too large: no second look */
        return NONE;
    }
    return id;
}

/* A driver segment with one free block in no set; NONE when refused. */
static ps_code grow_segment(ps__caching *self, const ps__attempt *attempt, uint32_t *out,
                            ps_error *err)
{
    ps_alloc_stats *stats = &self->base.stats;
    if (!ps__caching_has_room(self, self->config.limit_bytes, attempt->segment_bytes)) {
        return PS_OK;
    }
    PS_TRY(ps__caching_reserve(self, 2, err));
    const ps__segment segment = {.addr =
                                     ps__caching_new_addr(self, PS_ALLOC_ADDRESS_SEGMENT,
                                                          attempt->segment_bytes, attempt->stream),
                                 .bytes = attempt->segment_bytes,
                                 .stream = attempt->stream,
                                 .group = attempt->group,
                                 .is_large = attempt->is_large};
    const uint32_t index = ps__caching_add_segment(self, &segment);
    *out = self->segment[index].head;
    ps__level_add(&stats->reserved_bytes, segment.bytes);
    ps__level_add(&stats->segment_count, 1);
    stats->device_alloc_count++;
    ps__caching_emit(self, PS_ALLOC_SEGMENT_ALLOC, index, segment.addr, segment.bytes);
    return PS_OK;
}

/* New memory for an attempt; *out is a free block in no set, NONE when refused. */
static ps_code grow(ps__caching *self, const ps__attempt *attempt, uint32_t *out, ps_error *err)
{
    *out = NONE;
    if (!ps__caching_has_room(self, self->allowed_bytes, attempt->segment_bytes)) {
        return PS_OK;
    }
    if (!ps__caching_maps_pages(self, attempt->group)) {
        return grow_segment(self, attempt, out, err);
    }
    PS_TRY(ps__caching_expand(self, attempt, out, err));
    if (*out != NONE) {
        ps__free_set_erase(&ps__caching_block_pool(self, *out)->free, &self->blocks, *out);
    }
    return PS_OK;
}

/* Garbage collection, new memory, and the two rounds of releasing before new memory. */
static ps_code obtain(ps__caching *self, const ps__attempt *attempt, uint32_t *out, ps_error *err)
{
    ps__caching_collect(self);
    PS_TRY(grow(self, attempt, out, err));
    if (*out == NONE && ps__caching_release_oversize(self, attempt)) {
        PS_TRY(grow(self, attempt, out, err));
    }
    if (*out == NONE && !attempt->is_capturing) {
        ps__caching_finish_pending(self);
        PS_TRY(ps__caching_release_all(self, err));
        self->base.stats.retry_count++;
        PS_TRY(grow(self, attempt, out, err));
    }
    return PS_OK;
}

static bool must_split(const ps__caching *self, const ps__attempt *attempt, uint64_t block_bytes)
{
    const uint64_t rest = block_bytes - attempt->rounded_bytes;
    if (!attempt->is_large || self->is_expandable) {
        return rest >= PS_ALLOC_GRAIN_BYTES;
    }
    return attempt->rounded_bytes < self->config.settings.max_split_bytes &&
           rest > PS_ALLOC_SMALL_BYTES;
}

/* Cuts the block to size; the rest goes to the free set. Keeps the account of inactive splits. */
static void cut(ps__caching *self, const ps__attempt *attempt, uint32_t id)
{
    ps_alloc_stats *stats = &self->base.stats;
    const bool was_split = ps__caching_is_split(&self->blocks.at[id]);
    const uint64_t whole = self->blocks.at[id].bytes;
    const bool is_counted = !self->segment[self->blocks.at[id].segment].is_range;
    if (must_split(self, attempt, whole)) {
        const uint32_t rest = ps__block_store_split(&self->blocks, id, attempt->rounded_bytes);
        ps__caching_insert_free(self, rest);
        if (is_counted && was_split) {
            ps__level_sub(&stats->inactive_split_bytes, attempt->rounded_bytes);
        } else if (is_counted) {
            ps__level_add(&stats->inactive_split_bytes, whole - attempt->rounded_bytes);
            ps__level_add(&stats->inactive_split_count, 1);
        }
    } else if (is_counted && was_split) {
        ps__level_sub(&stats->inactive_split_bytes, whole);
        ps__level_sub(&stats->inactive_split_count, 1);
    }
}

/* Gives a free block that is in no set to the program. */
static ps_code hand_out(ps__caching *self, const ps__attempt *attempt, uint32_t id,
                        ps_alloc_block *out, ps_error *err)
{
    const ps_code code = ps_idmap_put(&self->by_addr, self->blocks.at[id].addr, id, err);
    if (code != PS_OK) {
        ps__caching_insert_free(self, id);
        return code;
    }
    cut(self, attempt, id);
    ps__block *block = &self->blocks.at[id];
    ps_alloc_stats *stats = &self->base.stats;
    block->state = PS__BLOCK_ALLOCATED;
    block->requested_bytes = attempt->bytes;
    ps__level_add(&stats->requested_bytes, attempt->bytes);
    ps__level_add(&stats->allocated_bytes, block->bytes);
    ps__level_add(&stats->active_bytes, block->bytes);
    ps__level_add(&stats->allocated_count, 1);
    ps__level_add(&stats->active_count, 1);
    *out = (ps_alloc_block){.handle = {.block = id, .generation = block->generation},
                            .addr = block->addr,
                            .block_bytes = block->bytes};
    return PS_OK;
}

void ps__caching_plan(const ps__caching *self, const ps_alloc_request *request, uint32_t group,
                      ps__attempt *out)
{
    out->bytes = request->bytes;
    out->rounded_bytes = ps__alloc_round(&self->config.settings, request->bytes);
    out->is_large = ps__alloc_is_large(out->rounded_bytes);
    out->segment_bytes = ps__alloc_segment_bytes(&self->config.settings, out->rounded_bytes);
    out->stream = request->stream;
    out->group = group;
    out->is_capturing = request->is_capturing || group != 0;
}

/* Group of a request; the latest one is tried first, for programs live in one pool for long. */
static ps_code group_of_request(ps__caching *self, ps_pool_id id, uint32_t *out, ps_error *err)
{
    if (!ps_pool_id_is_equal(self->group[self->last_group].id, id)) {
        PS_TRY(ps__caching_get_group(self, id, &self->last_group, err));
    }
    self->group[self->last_group].is_dead = false; /* a dead pool that is used again lives again */
    *out = self->last_group;
    return PS_OK;
}

ps_code ps__caching_alloc(ps_allocator *base, const ps_alloc_request *request, ps_alloc_block *out,
                          ps_alloc_shortage *why, ps_error *err)
{
    ps__caching *self = ps__caching_of(base);
    if (request->bytes == 0 || request->bytes > PS_ALLOC_MAX_REQUEST_BYTES) {
        return ps_fail(err, PS_USAGE, "a request of %llu bytes; 1 to 2^62 are possible",
                       (unsigned long long)request->bytes);
    }
    ps__attempt attempt;
    uint32_t group;
    uint32_t id;
    self->has_started = true;
    PS_TRY(group_of_request(self, request->pool, &group, err));
    PS_TRY(ps__block_store_reserve(&self->blocks, 1, err));
    ps__caching_plan(self, request, group, &attempt);
    ps__pool *pool = ps__caching_pool(self, group, attempt.is_large);
    pool->look_ups++;
    id = ps__caching_search(self, &attempt);
    if (id != NONE) {
        ps__free_set_erase(&pool->free, &self->blocks, id);
        return hand_out(self, &attempt, id, out, err);
    }
    PS_TRY(obtain(self, &attempt, &id, err));
    if (id != NONE) {
        return hand_out(self, &attempt, id, out, err);
    }
    base->stats.oom_count++;
    if (why != NULL) {
        ps__caching_explain(self, &attempt, why);
    }
    return ps_fail(err, PS_DEVICE_FULL, "%llu bytes do not fit: %llu reserved, %llu of them in use",
                   (unsigned long long)request->bytes,
                   (unsigned long long)base->stats.reserved_bytes.current,
                   (unsigned long long)base->stats.active_bytes.current);
}

ps_code ps__caching_set_pool_state(ps_allocator *base, ps_pool_id pool, ps_pool_state state,
                                   ps_error *err)
{
    ps__caching *self = ps__caching_of(base);
    const uint32_t group = ps__caching_find_group(self, pool);
    if (group == 0) {
        return ps_fail(err, PS_USAGE, "the default pool has no state");
    }
    if (group != PS__SEGMENT_NONE) {
        self->group[group].is_dead = state == PS_POOL_DEAD;
        self->group[group].death_order = ++self->death_count;
    }
    return PS_OK;
}
