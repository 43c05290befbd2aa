/* SPDX-License-Identifier: MIT
 *
 * Expandable segments: an address range per stream and pool whose pages are
 * mapped when a request finds no free block, and unmapped on release.
 *
 *   range  | used | free | unmapped | used | unmapped ................ |
 *                   ^ a request may start here: free and unmapped blocks
 *                     in a row, each unmapped one (a hole) mapped in turn
 *
 * The range is finite, 9/8 of the device memory, and its length matters: the
 * unmapped tail counts as room and as reach. Page borders are counted from
 * the start of the range.
 */
#include "alloc/caching.h"

#define NONE PS__BLOCK_NONE

/* [bytes] range of a device of unknown size: more than any device holds. */
#define UNKNOWN_RANGE_BYTES ((uint64_t)1 << 42)

static bool is_usable(const ps__block *block)
{
    return block->state == PS__BLOCK_FREE || block->state == PS__BLOCK_UNMAPPED;
}

/* true when free and unmapped blocks in a row from `id` on hold `bytes`. */
static bool has_address_space(const ps__caching *self, uint32_t id, uint64_t bytes)
{
    const ps__block *at = self->blocks.at;
    uint64_t found = 0;
    for (; id != NONE && is_usable(&at[id]) && found < bytes; id = at[id].next) {
        found += at[id].bytes;
    }
    return found >= bytes;
}

/*
 * Where a request would start: at the lowest hole, or the free block before it, with
 * room behind.
 */
static uint32_t find_start(const ps__caching *self, const ps__attempt *attempt)
{
    const ps__pool *pool = ps__caching_pool(self, attempt->group, attempt->is_large);
    const ps__block *at = self->blocks.at;
    uint32_t hole = ps__free_set_lower_bound(&pool->unmapped, &self->blocks, attempt->stream, 0);
    for (; hole != NONE && at[hole].stream == attempt->stream;
         hole = ps__free_set_next(&self->blocks, hole)) {
        const uint32_t before = at[hole].prev;
        if (before != NONE && at[before].state == PS__BLOCK_FREE &&
            has_address_space(self, before, attempt->rounded_bytes)) {
            return before;
        }
        if (has_address_space(self, hole, attempt->rounded_bytes)) {
            return hole;
        }
    }
    return NONE;
}

uint64_t ps__caching_range_bytes(const ps__caching *self, bool is_large)
{
    const uint64_t device = self->config.device_memory_bytes;
    const uint64_t page = ps__alloc_page_bytes(&self->config.settings, is_large);
    return ps_round_up_u64(device == 0 ? UNKNOWN_RANGE_BYTES : device + device / 8, page);
}

/* A new range, all of it unmapped; NONE when even that could not hold the request. */
static ps_code add_range(ps__caching *self, const ps__attempt *attempt, uint32_t *out,
                         ps_error *err)
{
    const uint64_t bytes = ps__caching_range_bytes(self, attempt->is_large);
    *out = NONE;
    if (bytes < attempt->rounded_bytes) {
        return PS_OK;
    }
    PS_TRY(ps__caching_reserve(self, 1, err));
    const ps__segment range = {
        .addr = ps__caching_new_addr(self, PS_ALLOC_ADDRESS_RANGE, bytes, attempt->stream),
        .bytes = bytes,
        .stream = attempt->stream,
        .group = attempt->group,
        .is_large = attempt->is_large,
        .is_range = true};
    const uint32_t head = self->segment[ps__caching_add_segment(self, &range)].head;
    self->blocks.at[head].state = PS__BLOCK_UNMAPPED;
    ps__free_set_insert(&ps__caching_block_pool(self, head)->unmapped, &self->blocks, head);
    *out = head;
    return PS_OK;
}

/*
 * Joins a mapped block, in no set, with its free neighbours and puts the result into
 * the free set.
 */
static uint32_t join_free(ps__caching *self, uint32_t id)
{
    ps__block *at = self->blocks.at;
    ps__pool *pool = ps__caching_block_pool(self, id);
    if (at[id].next != NONE && at[at[id].next].state == PS__BLOCK_FREE) {
        ps__free_set_erase(&pool->free, &self->blocks, at[id].next);
        ps__block_store_absorb_next(&self->blocks, id);
    }
    if (at[id].prev != NONE && at[at[id].prev].state == PS__BLOCK_FREE) {
        id = at[id].prev;
        ps__free_set_erase(&pool->free, &self->blocks, id);
        ps__block_store_absorb_next(&self->blocks, id);
    }
    ps__caching_insert_free(self, id);
    return id;
}

/*
 * Maps the first `bytes` of a hole, in whole pages. *out is the free block
 * that results, or NONE when the driver refuses: then nothing has changed,
 * for pages already made for the hole are undone.
 */
static ps_code map_hole(ps__caching *self, uint32_t id, uint64_t bytes, uint32_t *out,
                        ps_error *err)
{
    ps_alloc_stats *stats = &self->base.stats;
    const uint32_t segment = self->blocks.at[id].segment;
    const bool is_large = self->segment[segment].is_large;
    const uint64_t page = ps__alloc_page_bytes(&self->config.settings, is_large);
    uint64_t mapped = ps_round_up_u64(bytes, page);
    *out = NONE;
    if (mapped > self->blocks.at[id].bytes) {
        mapped = self->blocks.at[id].bytes;
    }
    if (!ps__caching_has_room(self, self->config.limit_bytes, mapped)) {
        return PS_OK;
    }
    PS_TRY(ps__block_store_reserve(&self->blocks, 1, err));
    ps__pool *pool = ps__caching_block_pool(self, id);
    ps__free_set_erase(&pool->unmapped, &self->blocks, id);
    if (self->blocks.at[id].bytes > mapped) {
        const uint32_t rest = ps__block_store_split(&self->blocks, id, mapped);
        ps__free_set_insert(&pool->unmapped, &self->blocks, rest);
    }
    const uint64_t addr = self->blocks.at[id].addr;
    self->blocks.at[id].state = PS__BLOCK_FREE;
    *out = join_free(self, id);
    ps__level_add(&stats->reserved_bytes, mapped);
    stats->device_alloc_count++;
    ps__caching_emit(self, PS_ALLOC_SEGMENT_MAP, segment, addr, mapped);
    return PS_OK;
}

ps_code ps__caching_expand(ps__caching *self, const ps__attempt *attempt, uint32_t *out,
                           ps_error *err)
{
    const uint64_t wanted = attempt->rounded_bytes;
    uint32_t id = find_start(self, attempt);
    *out = NONE;
    if (id == NONE) {
        PS_TRY(add_range(self, attempt, &id, err));
    }
    if (id == NONE) {
        return PS_OK;
    }
    if (self->blocks.at[id].state == PS__BLOCK_UNMAPPED) {
        const uint64_t hole = self->blocks.at[id].bytes;
        PS_TRY(map_hole(self, id, wanted < hole ? wanted : hole, &id, err));
    }
    while (id != NONE && self->blocks.at[id].bytes < wanted) {
        const uint32_t next = self->blocks.at[id].next;
        const uint64_t missing = wanted - self->blocks.at[id].bytes;
        const uint64_t hole = self->blocks.at[next].bytes;
        PS_TRY(map_hole(self, next, missing < hole ? missing : hole, &id, err));
    }
    PS_TRY(ps__block_store_reserve(&self->blocks, 1, err));
    *out = id;
    return PS_OK;
}

uint64_t ps__caching_expand_cost(const ps__caching *self, const ps__attempt *attempt)
{
    const uint64_t page = ps__alloc_page_bytes(&self->config.settings, attempt->is_large);
    const ps__block *at = self->blocks.at;
    uint32_t id = find_start(self, attempt);
    uint64_t covered = 0;
    uint64_t cost = 0;
    if (id == NONE) {
        return ps__caching_range_bytes(self, attempt->is_large) < attempt->rounded_bytes
                   ? UINT64_MAX
                   : ps_round_up_u64(attempt->rounded_bytes, page);
    }
    for (; id != NONE && covered < attempt->rounded_bytes; id = at[id].next) {
        const uint64_t missing = attempt->rounded_bytes - covered;
        uint64_t taken = at[id].bytes;
        if (at[id].state == PS__BLOCK_UNMAPPED) {
            const uint64_t needed = ps_round_up_u64(missing, page);
            taken = needed < taken ? needed : taken;
            cost += taken;
        }
        covered += taken;
    }
    return cost;
}

/* Bytes in a row from `id` on when at most `page_bytes_left` of holes can be mapped. */
static uint64_t reach_from(const ps__block *at, uint32_t id, uint64_t page_bytes_left)
{
    uint64_t reach = 0;
    for (; id != NONE && is_usable(&at[id]); id = at[id].next) {
        if (at[id].state == PS__BLOCK_FREE) {
            reach += at[id].bytes;
        } else if (at[id].bytes <= page_bytes_left) {
            reach += at[id].bytes;
            page_bytes_left -= at[id].bytes;
        } else {
            return reach + page_bytes_left;
        }
    }
    return reach;
}

uint64_t ps__caching_expand_reach(const ps__caching *self, const ps__attempt *attempt,
                                  uint64_t page_bytes_left)
{
    const ps__pool *pool = ps__caching_pool(self, attempt->group, attempt->is_large);
    const ps__block *at = self->blocks.at;
    const uint64_t range = ps__caching_range_bytes(self, attempt->is_large);
    uint64_t best = page_bytes_left < range ? page_bytes_left : range;
    uint32_t hole = ps__free_set_lower_bound(&pool->unmapped, &self->blocks, attempt->stream, 0);
    for (; hole != NONE && at[hole].stream == attempt->stream;
         hole = ps__free_set_next(&self->blocks, hole)) {
        const uint32_t before = at[hole].prev;
        const bool starts_before = before != NONE && at[before].state == PS__BLOCK_FREE;
        const uint64_t reach = reach_from(at, starts_before ? before : hole, page_bytes_left);
        best = reach > best ? reach : best;
    }
    return best;
}

/*
 * Joins an unmapped block, in no set, with unmapped neighbours; drops a range that
 * holds nothing.
 */
static void join_unmapped(ps__caching *self, uint32_t id)
{
    ps__block *at = self->blocks.at;
    ps__pool *pool = ps__caching_block_pool(self, id);
    if (at[id].next != NONE && at[at[id].next].state == PS__BLOCK_UNMAPPED) {
        ps__free_set_erase(&pool->unmapped, &self->blocks, at[id].next);
        ps__block_store_absorb_next(&self->blocks, id);
    }
    if (at[id].prev != NONE && at[at[id].prev].state == PS__BLOCK_UNMAPPED) {
        id = at[id].prev;
        ps__free_set_erase(&pool->unmapped, &self->blocks, id);
        ps__block_store_absorb_next(&self->blocks, id);
    }
    if (!ps__caching_is_split(&at[id])) {
        ps__caching_drop_segment(self, at[id].segment);
        return;
    }
    ps__free_set_insert(&pool->unmapped, &self->blocks, id);
}

ps_code ps__caching_unmap(ps__caching *self, uint32_t id, ps_error *err)
{
    const uint32_t segment = self->blocks.at[id].segment;
    const uint64_t origin = self->segment[segment].addr;
    const uint64_t page =
        ps__alloc_page_bytes(&self->config.settings, self->segment[segment].is_large);
    const uint64_t begin = self->blocks.at[id].addr - origin;
    const uint64_t end = begin + self->blocks.at[id].bytes;
    const uint64_t first = ps_round_up_u64(begin, page);
    const uint64_t last = end - end % page;
    if (first >= last) {
        return PS_OK;
    }
    PS_TRY(ps__block_store_reserve(&self->blocks, 2, err));
    ps__free_set_erase(&ps__caching_block_pool(self, id)->free, &self->blocks, id);
    if (first > begin) {
        const uint32_t head = id;
        id = ps__block_store_split(&self->blocks, head, first - begin);
        ps__caching_insert_free(self, head);
    }
    if (end > last) {
        const uint32_t tail = ps__block_store_split(&self->blocks, id, last - first);
        ps__caching_insert_free(self, tail);
    }
    self->blocks.at[id].state = PS__BLOCK_UNMAPPED;
    ps__level_sub(&self->base.stats.reserved_bytes, last - first);
    self->base.stats.device_free_count++;
    ps__caching_emit(self, PS_ALLOC_SEGMENT_UNMAP, segment, origin + first, last - first);
    join_unmapped(self, id);
    return PS_OK;
}
