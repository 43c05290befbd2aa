/* SPDX-License-Identifier: MIT
 *
 * What a caching model keeps: pool groups, segments, free blocks; and the
 * addresses of what is new.
 */
#include <string.h>

#include "alloc/caching.h"
#include "base/memory.h"

#define NONE PS__BLOCK_NONE

uint32_t ps__caching_find_group(const ps__caching *self, ps_pool_id id)
{
    for (size_t i = 0; i < self->group_count; i++) {
        if (ps_pool_id_is_equal(self->group[i].id, id)) {
            return (uint32_t)i;
        }
    }
    return PS__SEGMENT_NONE;
}

ps_code ps__caching_get_group(ps__caching *self, ps_pool_id id, uint32_t *out, ps_error *err)
{
    const uint32_t found = ps__caching_find_group(self, id);
    if (found != PS__SEGMENT_NONE) {
        *out = found;
        return PS_OK;
    }
    void *groups = self->group;
    PS_TRY(ps_grow(&groups, &self->group_capacity, self->group_count + 1, PS__GROUP_MAX_COUNT,
                   sizeof *self->group, err));
    self->group = groups;
    ps__pool_group *group = &self->group[self->group_count];
    memset(group, 0, sizeof *group);
    group->id = id;
    ps__free_set_init(&group->large.free, false);
    ps__free_set_init(&group->large.unmapped, true);
    ps__free_set_init(&group->small.free, false);
    ps__free_set_init(&group->small.unmapped, true);
    *out = (uint32_t)self->group_count++;
    return PS_OK;
}

ps_code ps__caching_reserve(ps__caching *self, size_t block_count, ps_error *err)
{
    void *segments = self->segment;
    PS_TRY(ps_grow(&segments, &self->segment_capacity, self->segment_count + 1,
                   PS__SEGMENT_MAX_COUNT, sizeof *self->segment, err));
    self->segment = segments;
    return ps__block_store_reserve(&self->blocks, block_count, err);
}

uint32_t ps__caching_add_segment(ps__caching *self, const ps__segment *segment)
{
    uint32_t index = self->vacant_segment;
    if (index != PS__SEGMENT_NONE) {
        self->vacant_segment = self->segment[index].group;
    } else {
        index = (uint32_t)self->segment_count++;
    }
    const uint32_t head = ps__block_store_take(&self->blocks);
    ps__block *block = &self->blocks.at[head];
    block->addr = segment->addr;
    block->bytes = segment->bytes;
    block->stream = segment->stream;
    block->segment = index;
    block->state = PS__BLOCK_FREE;
    self->segment[index] = *segment;
    self->segment[index].head = head;
    return index;
}

void ps__caching_drop_segment(ps__caching *self, uint32_t segment)
{
    ps__block_store_put(&self->blocks, self->segment[segment].head);
    self->segment[segment].head = NONE;
    self->segment[segment].group = self->vacant_segment;
    self->vacant_segment = segment;
}

uint64_t ps__caching_new_addr(ps__caching *self, ps_alloc_address_kind kind, uint64_t bytes,
                              uint64_t stream)
{
    if (self->config.choose_address != NULL) {
        const uint64_t addr =
            self->config.choose_address(self->config.address_ctx, kind, bytes, stream);
        if (addr != 0) {
            if (kind == PS_ALLOC_ADDRESS_SEGMENT) {
                /* only what is invented later would miss it */
                (void)!ps_address_space_take(&self->space, addr, bytes, NULL);
            }
            return addr;
        }
    }
    const uint64_t placed =
        kind == PS_ALLOC_ADDRESS_SEGMENT ? ps_address_space_place(&self->space, bytes) : 0;
    if (placed != 0) {
        return placed;
    }
    self->next_top -= ps_round_up_u64(bytes, PS_ALLOC_SEGMENT_STEP_BYTES);
    return self->next_top;
}

void ps__caching_emit(const ps__caching *self, ps_alloc_event_kind kind, uint32_t segment,
                      uint64_t addr, uint64_t bytes)
{
    if (self->config.on_event == NULL) {
        return;
    }
    const ps__segment *place = &self->segment[segment];
    const ps_alloc_event event = {.kind = kind,
                                  .addr = addr,
                                  .bytes = bytes,
                                  .stream = place->stream,
                                  .pool = self->group[place->group].id};
    self->config.on_event(self->config.event_ctx, &event);
}

void ps__caching_insert_free(ps__caching *self, uint32_t id)
{
    ps__pool *pool = ps__caching_block_pool(self, id);
    self->blocks.at[id].age_base = pool->look_ups;
    ps__free_set_insert(&pool->free, &self->blocks, id);
}
