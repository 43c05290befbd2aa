/* SPDX-License-Identifier: MIT
 *
 * Frees: at once, or deferred until other streams have finished with a block.
 */
#include "alloc/caching.h"

#define NONE PS__BLOCK_NONE

void ps__caching_finish_free(ps__caching *self, uint32_t id)
{
    ps_alloc_stats *stats = &self->base.stats;
    ps__block *at = self->blocks.at;
    const bool is_counted = !self->segment[at[id].segment].is_range;
    ps__pool *pool = ps__caching_block_pool(self, id);
    uint64_t merged_bytes = 0;
    uint64_t merged_count = 0;
    ps__level_sub(&stats->requested_bytes, at[id].requested_bytes);
    ps__level_sub(&stats->active_bytes, at[id].bytes);
    ps__level_sub(&stats->active_count, 1);
    at[id].requested_bytes = 0;
    at[id].state = PS__BLOCK_FREE;
    at[id].generation++; /* the program's handle dies, whatever becomes of the record */
    if (at[id].next != NONE && at[at[id].next].state == PS__BLOCK_FREE) {
        merged_bytes += at[at[id].next].bytes;
        merged_count++;
        ps__free_set_erase(&pool->free, &self->blocks, at[id].next);
        ps__block_store_absorb_next(&self->blocks, id);
    }
    if (at[id].prev != NONE && at[at[id].prev].state == PS__BLOCK_FREE) {
        id = at[id].prev;
        merged_bytes += at[id].bytes;
        merged_count++;
        ps__free_set_erase(&pool->free, &self->blocks, id);
        ps__block_store_absorb_next(&self->blocks, id);
    }
    ps__caching_insert_free(self, id);
    if (is_counted) {
        const bool is_split = ps__caching_is_split(&at[id]);
        ps__level_sub(&stats->inactive_split_bytes, merged_bytes);
        ps__level_sub(&stats->inactive_split_count, merged_count);
        ps__level_add(&stats->inactive_split_bytes, is_split ? at[id].bytes : 0);
        ps__level_add(&stats->inactive_split_count, is_split ? 1 : 0);
    }
}

void ps__caching_add_pending(ps__caching *self, uint32_t id)
{
    ps__block *at = self->blocks.at;
    at[id].state = PS__BLOCK_PENDING;
    at[id].left = self->pending_last;
    at[id].right = NONE;
    if (self->pending_last != NONE) {
        at[self->pending_last].right = id;
    } else {
        self->pending_first = id;
    }
    self->pending_last = id;
}

static void finish_pending(ps__caching *self, uint32_t id)
{
    ps__block *at = self->blocks.at;
    const uint32_t before = at[id].left;
    const uint32_t after = at[id].right;
    if (before != NONE) {
        at[before].right = after;
    } else {
        self->pending_first = after;
    }
    if (after != NONE) {
        at[after].left = before;
    } else {
        self->pending_last = before;
    }
    (void)ps_idmap_take(&self->by_addr, at[id].addr);
    ps__caching_finish_free(self, id);
}

void ps__caching_finish_pending(ps__caching *self)
{
    while (self->pending_first != NONE) {
        const uint32_t id = self->pending_first;
        const ps__block *block = &self->blocks.at[id];
        if (self->config.on_event != NULL) {
            const ps__segment *segment = &self->segment[block->segment];
            const ps_alloc_event event = {.kind = PS_ALLOC_FREE_COMPLETED,
                                          .addr = block->addr,
                                          .bytes = block->bytes,
                                          .stream = block->stream,
                                          .pool = self->group[segment->group].id,
                                          .handle = {id, block->generation}};
            self->config.on_event(self->config.event_ctx, &event);
        }
        finish_pending(self, id);
    }
}

/* Index of the block a handle names when it is in the given state, else NONE. */
static uint32_t resolve(const ps__caching *self, ps_alloc_handle handle, ps__block_state state)
{
    if (handle.block >= self->blocks.count ||
        self->blocks.at[handle.block].generation != handle.generation ||
        self->blocks.at[handle.block].state != state) {
        return NONE;
    }
    return handle.block;
}

ps_code ps__caching_free(ps_allocator *base, ps_alloc_handle handle, bool is_deferred,
                         ps_error *err)
{
    ps__caching *self = ps__caching_of(base);
    const uint32_t id = resolve(self, handle, PS__BLOCK_ALLOCATED);
    if (id == NONE) {
        return ps_fail(err, PS_USAGE, "free of a block that is not allocated");
    }
    ps__level_sub(&base->stats.allocated_bytes, self->blocks.at[id].bytes);
    ps__level_sub(&base->stats.allocated_count, 1);
    if (is_deferred) {
        ps__caching_add_pending(self, id);
        return PS_OK;
    }
    (void)ps_idmap_take(&self->by_addr, self->blocks.at[id].addr);
    ps__caching_finish_free(self, id);
    return PS_OK;
}

ps_code ps__caching_complete(ps_allocator *base, ps_alloc_handle handle, ps_error *err)
{
    ps__caching *self = ps__caching_of(base);
    const uint32_t id = resolve(self, handle, PS__BLOCK_PENDING);
    if (id == NONE) {
        return ps_fail(err, PS_USAGE, "completion of a free that was not deferred");
    }
    finish_pending(self, id);
    return PS_OK;
}

ps_alloc_handle ps__caching_find(const ps_allocator *base, uint64_t addr)
{
    const ps__caching *self = ps__caching_of_const(base);
    const uint32_t id = ps_idmap_get(&self->by_addr, addr);
    if (id == PS_IDMAP_NONE) {
        return (ps_alloc_handle){0, 0};
    }
    return (ps_alloc_handle){id, self->blocks.at[id].generation};
}
