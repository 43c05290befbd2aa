/* SPDX-License-Identifier: MIT
 *
 * Looking at a caching model without changing it: the outlook of a request,
 * and the walks.
 */
#include "alloc/caching.h"

#include <stdlib.h>

#include "base/memory.h"

#define NONE PS__BLOCK_NONE

/* true when new memory for the attempt is within the limits. */
static bool can_grow(const ps__caching *self, const ps__attempt *attempt)
{
    if (!ps__caching_has_room(self, self->allowed_bytes, attempt->segment_bytes)) {
        return false;
    }
    const bool maps_pages = ps__caching_maps_pages(self, attempt->group);
    const uint64_t cost =
        maps_pages ? ps__caching_expand_cost(self, attempt) : attempt->segment_bytes;
    return ps__caching_has_room(self, self->config.limit_bytes, cost);
}

ps_alloc_outlook ps__caching_outlook(const ps__caching *self, const ps__attempt *attempt)
{
    if (ps__caching_search(self, attempt) != NONE) {
        return PS_ALLOC_FROM_CACHE;
    }
    if (ps__caching_collect_is_due(self)) {
        return PS_ALLOC_COLLECTS;
    }
    return can_grow(self, attempt) ? PS_ALLOC_GROWS : PS_ALLOC_REFUSED;
}

ps_alloc_outlook ps__caching_probe(const ps_allocator *base, const ps_alloc_request *request)
{
    const ps__caching *self = ps__caching_of_const(base);
    const uint32_t group = ps__caching_find_group(self, request->pool);
    ps__attempt attempt;
    if (request->bytes == 0 || request->bytes > PS_ALLOC_MAX_REQUEST_BYTES) {
        return PS_ALLOC_REFUSED;
    }
    ps__caching_plan(self, request, group, &attempt);
    if (group == PS__SEGMENT_NONE) {
        /* A pool that has no memory yet: only new memory can serve. */
        if (ps__caching_collect_is_due(self)) {
            return PS_ALLOC_COLLECTS;
        }
        return ps__caching_has_room(self, ps__caching_limit(self), attempt.segment_bytes)
                   ? PS_ALLOC_GROWS
                   : PS_ALLOC_REFUSED;
    }
    return ps__caching_outlook(self, &attempt);
}

static ps_alloc_block_info describe(const ps__block *block, uint32_t id)
{
    ps_alloc_block_info info = {.addr = block->addr, .bytes = block->bytes};
    if (block->state != PS__BLOCK_FREE) {
        info.requested_bytes = block->requested_bytes;
        info.state =
            block->state == PS__BLOCK_PENDING ? PS_ALLOC_BLOCK_PENDING : PS_ALLOC_BLOCK_ALLOCATED;
        info.handle = (ps_alloc_handle){id, block->generation};
    }
    return info;
}

/* First block of every contiguous piece of reserved memory, with its address to sort by. */
typedef struct piece {
    uint64_t addr;
    uint32_t first;
} piece;

static bool starts_piece(const ps__block *at, uint32_t id)
{
    return at[id].state != PS__BLOCK_UNMAPPED &&
           (at[id].prev == NONE || at[at[id].prev].state == PS__BLOCK_UNMAPPED);
}

/* Counts the pieces, and lists them when `out` is given. */
static size_t list_pieces(const ps__caching *self, piece *out)
{
    const ps__block *at = self->blocks.at;
    size_t count = 0;
    for (size_t i = 0; i < self->segment_count; i++) {
        const bool is_range = self->segment[i].is_range;
        for (uint32_t id = self->segment[i].head; id != NONE; id = is_range ? at[id].next : NONE) {
            if (!starts_piece(at, id)) {
                continue;
            }
            if (out != NULL) {
                out[count] = (piece){at[id].addr, id};
            }
            count++;
        }
    }
    return count;
}

static int compare_pieces(const void *a, const void *b)
{
    const piece *x = a;
    const piece *y = b;
    if (x->addr != y->addr) {
        return x->addr < y->addr ? -1 : 1;
    }
    return (x->first > y->first) - (x->first < y->first);
}

static void show_piece(const ps__caching *self, uint32_t first, const ps_alloc_walker *walker)
{
    const ps__block *at = self->blocks.at;
    const ps__segment *segment = &self->segment[at[first].segment];
    ps_alloc_segment_info info = {.addr = at[first].addr,
                                  .stream = segment->stream,
                                  .pool = self->group[segment->group].id,
                                  .is_large = segment->is_large,
                                  .is_expandable = segment->is_range};
    uint32_t end = first;
    for (; end != NONE && at[end].state != PS__BLOCK_UNMAPPED; end = at[end].next) {
        info.bytes += at[end].bytes;
    }
    if (walker->on_segment != NULL) {
        walker->on_segment(walker->ctx, &info);
    }
    for (uint32_t id = first; id != end && walker->on_block != NULL; id = at[id].next) {
        const ps_alloc_block_info block = describe(&at[id], id);
        walker->on_block(walker->ctx, &block);
    }
}

static ps_code walk_by_address(const ps__caching *self, const ps_alloc_walker *walker,
                               ps_error *err)
{
    const size_t count = list_pieces(self, NULL);
    piece *pieces = ps_calloc(count, sizeof *pieces);
    if (pieces == NULL) {
        return ps_fail_nomem(err);
    }
    (void)list_pieces(self, pieces);
    qsort(pieces, count, sizeof *pieces, compare_pieces);
    for (size_t i = 0; i < count; i++) {
        show_piece(self, pieces[i].first, walker);
    }
    ps_free(pieces);
    return PS_OK;
}

static void show_free(const ps__caching *self, uint32_t group, bool is_large,
                      const ps_alloc_walker *walker)
{
    const ps__pool *pool = ps__caching_pool(self, group, is_large);
    for (uint32_t id = ps__free_set_first(&pool->free, &self->blocks); id != NONE;
         id = ps__free_set_next(&self->blocks, id)) {
        const ps_alloc_block_info block = describe(&self->blocks.at[id], id);
        walker->on_block(walker->ctx, &block);
    }
}

ps_code ps__caching_walk(const ps_allocator *base, ps_alloc_walk_order order,
                         const ps_alloc_walker *walker, ps_error *err)
{
    const ps__caching *self = ps__caching_of_const(base);
    if (order == PS_ALLOC_WALK_ADDRESS) {
        return walk_by_address(self, walker, err);
    }
    for (size_t i = 0; i < self->group_count && walker->on_block != NULL; i++) {
        show_free(self, (uint32_t)i, true, walker);
        show_free(self, (uint32_t)i, false, walker);
    }
    return PS_OK;
}
