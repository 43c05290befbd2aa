/* SPDX-License-Identifier: MIT
 *
 * How cached memory goes back to the driver: garbage collection before a new
 * segment, oversize blocks after a refusal, everything after another.
 */
#include "alloc/caching.h"

#define NONE PS__BLOCK_NONE

/* A free block that is a whole driver segment. */
static bool is_releasable(const ps__caching *self, uint32_t id)
{
    const ps__block *block = &self->blocks.at[id];
    return !ps__caching_is_split(block) && !self->segment[block->segment].is_range;
}

/* Gives the segment of a releasable block back. */
static void release_segment(ps__caching *self, uint32_t id)
{
    const uint32_t index = self->blocks.at[id].segment;
    const ps__segment segment = self->segment[index];
    ps__free_set_erase(&ps__caching_block_pool(self, id)->free, &self->blocks, id);
    ps__level_sub(&self->base.stats.reserved_bytes, segment.bytes);
    ps__level_sub(&self->base.stats.segment_count, 1);
    self->base.stats.device_free_count++;
    ps__caching_emit(self, PS_ALLOC_SEGMENT_FREE, index, segment.addr, segment.bytes);
    ps_address_space_vacate(&self->space, segment.addr, segment.bytes);
    ps__caching_drop_segment(self, index);
}

/* What a collection looks at: whole cached segments of the default large pool. */
typedef struct census {
    uint64_t age_sum;
    uint64_t count;
} census;

static uint32_t age_of(const ps__pool *pool, const ps__block *block)
{
    return pool->look_ups - block->age_base;
}

static census take_census(const ps__caching *self)
{
    const ps__pool *pool = &self->group[0].large;
    census out = {0, 0};
    for (uint32_t id = ps__free_set_first(&pool->free, &self->blocks); id != NONE;
         id = ps__free_set_next(&self->blocks, id)) {
        if (is_releasable(self, id)) {
            out.age_sum += age_of(pool, &self->blocks.at[id]);
            out.count++;
        }
    }
    return out;
}

bool ps__caching_collect_is_due(const ps__caching *self)
{
    return self->base.stats.reserved_bytes.current > self->gc_bytes && take_census(self).count > 0;
}

/* Releases what is at least as old as the mean that `before` fixes; returns the bytes. */
static uint64_t collect_pass(ps__caching *self, census before, census *left)
{
    const ps__pool *pool = &self->group[0].large;
    uint64_t released = 0;
    uint32_t id = ps__free_set_first(&pool->free, &self->blocks);
    while (id != NONE) {
        const uint32_t next = ps__free_set_next(&self->blocks, id);
        const uint64_t age = age_of(pool, &self->blocks.at[id]);
        if (is_releasable(self, id) && age * before.count >= before.age_sum) {
            released += self->blocks.at[id].bytes;
            left->age_sum -= age;
            left->count--;
            release_segment(self, id);
        }
        id = next;
    }
    return released;
}

void ps__caching_collect(ps__caching *self)
{
    const uint64_t reserved = self->base.stats.reserved_bytes.current;
    if (reserved <= self->gc_bytes) {
        return;
    }
    const uint64_t target = reserved - self->gc_bytes;
    census left = take_census(self);
    uint64_t released = 0;
    while (released < target && left.count > 0) {
        const uint64_t more = collect_pass(self, left, &left);
        if (more == 0) {
            return;
        }
        released += more;
    }
}

bool ps__caching_release_oversize(ps__caching *self, const ps__attempt *attempt)
{
    const uint64_t split_limit = self->config.settings.max_split_bytes;
    if (split_limit == PS_ALLOC_NO_SPLIT_LIMIT) {
        return false;
    }
    const ps__block *at = self->blocks.at;
    const ps__pool *pool = ps__caching_pool(self, attempt->group, attempt->is_large);
    const uint64_t wanted =
        attempt->rounded_bytes > split_limit ? attempt->rounded_bytes : split_limit;
    uint32_t id = ps__free_set_lower_bound(&pool->free, &self->blocks, attempt->stream, wanted);
    if (id != NONE && at[id].stream == attempt->stream) {
        if (!is_releasable(self, id)) {
            return false;
        }
        release_segment(self, id);
        return true;
    }
    /*
     * None is large enough alone: from the largest of the stream downwards, until
     * together they are.
     */
    uint64_t released = 0;
    id = id == NONE ? ps__free_set_last(&pool->free, &self->blocks)
                    : ps__free_set_prev(&self->blocks, id);
    while (id != NONE && released < wanted && at[id].stream == attempt->stream &&
           at[id].bytes >= split_limit) {
        const uint32_t before = ps__free_set_prev(&self->blocks, id);
        if (is_releasable(self, id)) {
            released += at[id].bytes;
            release_segment(self, id);
        }
        id = before;
    }
    return released >= wanted;
}

/* Whole segments first, then page runs, both in the order of the free set. */
static ps_code release_pool(ps__caching *self, uint32_t group, bool is_large, ps_error *err)
{
    const ps__free_set *set = &ps__caching_pool(self, group, is_large)->free;
    uint32_t id = ps__free_set_first(set, &self->blocks);
    bool has_pages = false;
    while (id != NONE) {
        const uint32_t next = ps__free_set_next(&self->blocks, id);
        has_pages |= self->segment[self->blocks.at[id].segment].is_range;
        if (is_releasable(self, id)) {
            release_segment(self, id);
        }
        id = next;
    }
    id = has_pages ? ps__free_set_first(set, &self->blocks) : NONE;
    while (id != NONE) {
        /* What unmapping leaves over is smaller, so it lies before `next` and is not met again. */
        const uint32_t next = ps__free_set_next(&self->blocks, id);
        if (self->segment[self->blocks.at[id].segment].is_range) {
            PS_TRY(ps__caching_unmap(self, id, err));
        }
        id = next;
    }
    return PS_OK;
}

/* The dead pool declared next after `order`, or PS__SEGMENT_NONE. */
static uint32_t next_dead_group(const ps__caching *self, uint64_t order)
{
    uint32_t best = PS__SEGMENT_NONE;
    for (size_t i = 1; i < self->group_count; i++) {
        const ps__pool_group *group = &self->group[i];
        if (group->is_dead && group->death_order > order &&
            (best == PS__SEGMENT_NONE || group->death_order < self->group[best].death_order)) {
            best = (uint32_t)i;
        }
    }
    return best;
}

ps_code ps__caching_release_all(ps__caching *self, ps_error *err)
{
    PS_TRY(release_pool(self, 0, true, err));
    PS_TRY(release_pool(self, 0, false, err));
    uint32_t group = next_dead_group(self, 0);
    while (group != PS__SEGMENT_NONE) {
        PS_TRY(release_pool(self, group, false, err));
        PS_TRY(release_pool(self, group, true, err));
        group = next_dead_group(self, self->group[group].death_order);
    }
    return PS_OK;
}

ps_code ps__caching_release_cache(ps_allocator *base, ps_error *err)
{
    ps__caching *self = ps__caching_of(base);
    ps__caching_finish_pending(self);
    return ps__caching_release_all(self, err);
}
