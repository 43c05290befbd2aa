/* SPDX-License-Identifier: MIT
 *
 * Starting with memory already reserved: a recovered cache, segment by segment.
 */
#include "alloc/caching.h"

#define NONE PS__BLOCK_NONE

/* Below this lowest address the driver hands out upwards, or soon has no room to go down. */
#define ROOM_BELOW_BYTES ((uint64_t)1 << 40)

static ps_code check(const ps_alloc_seed *seed, ps_error *err)
{
    const ps_alloc_segment_info *info = &seed->segment;
    uint64_t addr = info->addr;
    bool is_bad = info->addr == 0 || info->addr % PS_ALLOC_GRAIN_BYTES != 0 ||
                  info->bytes > PS_ALLOC_MAX_REQUEST_BYTES || info->addr > UINT64_MAX - info->bytes;
    for (size_t i = 0; i < seed->block_count && !is_bad; i++) {
        const ps_alloc_block_info *block = &seed->block[i];
        is_bad = block->addr != addr || block->bytes == 0 ||
                 block->bytes % PS_ALLOC_GRAIN_BYTES != 0 ||
                 block->bytes > info->addr + info->bytes - addr;
        addr += block->bytes;
    }
    if (is_bad || addr != info->addr + info->bytes) {
        return ps_fail(err, PS_BAD_INPUT,
                       "blocks do not tile the segment at %#llx on the 512-byte grid",
                       (unsigned long long)info->addr);
    }
    return PS_OK;
}

/* Unmapped tail of the range a run belongs to, NONE when it has no range yet or none with room. */
static uint32_t find_tail(const ps__caching *self, const ps_alloc_seed *seed, uint32_t group)
{
    const ps__pool *pool = ps__caching_pool(self, group, seed->segment.is_large);
    const ps__block *at = self->blocks.at;
    uint32_t id = ps__free_set_lower_bound(&pool->unmapped, &self->blocks, seed->segment.stream, 0);
    for (; id != NONE && at[id].stream == seed->segment.stream;
         id = ps__free_set_next(&self->blocks, id)) {
        const uint64_t end = at[id].addr + at[id].bytes;
        if (at[id].next == NONE && self->segment[at[id].segment].addr == seed->range_addr &&
            at[id].addr <= seed->segment.addr && seed->segment.addr + seed->segment.bytes <= end) {
            return id;
        }
    }
    return NONE;
}

/* [bytes] range long enough for the device and for this run. */
static uint64_t range_bytes(const ps__caching *self, const ps_alloc_seed *seed, uint64_t range_addr)
{
    const uint64_t own = ps__caching_range_bytes(self, seed->segment.is_large);
    const uint64_t page = ps__alloc_page_bytes(&self->config.settings, seed->segment.is_large);
    const uint64_t run =
        ps_round_up_u64(seed->segment.addr + seed->segment.bytes - range_addr, page);
    return own > run ? own : run;
}

/*
 * One mapped block over the run, in no set, with its holes before and behind in the
 * unmapped set.
 */
static uint32_t place_run(ps__caching *self, const ps_alloc_seed *seed, uint32_t group)
{
    ps__pool *pool = ps__caching_pool(self, group, seed->segment.is_large);
    uint32_t id = find_tail(self, seed, group);
    if (id != NONE) {
        ps__free_set_erase(&pool->unmapped, &self->blocks, id);
    } else {
        const bool has_origin = seed->range_addr != 0 && seed->range_addr <= seed->segment.addr;
        const uint64_t origin = has_origin ? seed->range_addr : seed->segment.addr;
        const ps__segment range = {.addr = origin,
                                   .bytes = range_bytes(self, seed, origin),
                                   .stream = seed->segment.stream,
                                   .group = group,
                                   .is_large = seed->segment.is_large,
                                   .is_range = true};
        id = self->segment[ps__caching_add_segment(self, &range)].head;
        self->blocks.at[id].state = PS__BLOCK_UNMAPPED;
    }
    if (self->blocks.at[id].addr < seed->segment.addr) {
        const uint32_t hole = id;
        id = ps__block_store_split(&self->blocks, hole,
                                   seed->segment.addr - self->blocks.at[hole].addr);
        ps__free_set_insert(&pool->unmapped, &self->blocks, hole);
    }
    if (self->blocks.at[id].bytes > seed->segment.bytes) {
        const uint32_t tail = ps__block_store_split(&self->blocks, id, seed->segment.bytes);
        ps__free_set_insert(&pool->unmapped, &self->blocks, tail);
    }
    self->blocks.at[id].state = PS__BLOCK_FREE;
    return id;
}

/* Accounts for one block in use. */
static ps_code occupy(ps__caching *self, uint32_t id, const ps_alloc_block_info *info,
                      ps_error *err)
{
    ps_alloc_stats *stats = &self->base.stats;
    PS_TRY(ps_idmap_put(&self->by_addr, info->addr, id, err));
    self->blocks.at[id].requested_bytes = info->requested_bytes;
    ps__level_add(&stats->requested_bytes, info->requested_bytes);
    ps__level_add(&stats->active_bytes, info->bytes);
    ps__level_add(&stats->active_count, 1);
    if (info->state == PS_ALLOC_BLOCK_PENDING) {
        ps__caching_add_pending(self, id);
        return PS_OK;
    }
    self->blocks.at[id].state = PS__BLOCK_ALLOCATED;
    ps__level_add(&stats->allocated_bytes, info->bytes);
    ps__level_add(&stats->allocated_count, 1);
    return PS_OK;
}

/* Cuts the segment's single block into the given ones. */
static ps_code fill(ps__caching *self, uint32_t id, const ps_alloc_seed *seed, ps_error *err)
{
    ps_alloc_stats *stats = &self->base.stats;
    for (size_t i = 0; i < seed->block_count; i++) {
        const ps_alloc_block_info *info = &seed->block[i];
        uint32_t rest = NONE;
        if (i + 1 < seed->block_count) {
            rest = ps__block_store_split(&self->blocks, id, info->bytes);
        }
        if (info->state != PS_ALLOC_BLOCK_FREE) {
            PS_TRY(occupy(self, id, info, err));
        } else {
            ps__caching_insert_free(self, id);
            if (seed->block_count > 1 && !self->segment[self->blocks.at[id].segment].is_range) {
                ps__level_add(&stats->inactive_split_bytes, info->bytes);
                ps__level_add(&stats->inactive_split_count, 1);
            }
        }
        id = rest;
    }
    return PS_OK;
}

ps_code ps__caching_seed(ps_allocator *base, const ps_alloc_seed *seed, ps_error *err)
{
    ps__caching *self = ps__caching_of(base);
    const ps_alloc_segment_info *info = &seed->segment;
    uint32_t group;
    uint32_t id;
    if (self->has_started) {
        return ps_fail(err, PS_USAGE, "memory is seeded after the first request");
    }
    PS_TRY(check(seed, err));
    PS_TRY(ps__caching_get_group(self, info->pool, &group, err));
    PS_TRY(ps__caching_reserve(self, seed->block_count + 2, err));
    if (info->is_expandable && self->is_expandable) {
        id = place_run(self, seed, group);
    } else {
        const ps__segment segment = {.addr = info->addr,
                                     .bytes = info->bytes,
                                     .stream = info->stream,
                                     .group = group,
                                     .is_large = info->is_large};
        id = self->segment[ps__caching_add_segment(self, &segment)].head;
        ps__level_add(&base->stats.segment_count, 1);
    }
    ps__level_add(&base->stats.reserved_bytes, info->bytes);
    if (info->addr >= ROOM_BELOW_BYTES) {
        self->space.openings = 0; /* what was there before is of one age */
        PS_TRY(ps_address_space_take(&self->space, info->addr, info->bytes, err));
    }
    return fill(self, id, seed, err);
}
