/* SPDX-License-Identifier: MIT
 *
 * Settling what the start of a recording leaves open. The model put a block
 * where the recorded allocator did not. If that is right behind a block of
 * doubtful size, then there was less room than assumed: the best fit would
 * have been there otherwise. The doubtful block owns at least so much that the
 * request did not fit; with that known the replay begins again.
 */
#include "alloc/history_replay.h"
#include "alloc/sizes.h"

/* A walk for the free bytes behind a block. */
typedef struct room_search {
    uint64_t addr;
    uint64_t bytes;
    bool is_behind;
} room_search;

static void enter_segment(void *ctx, const ps_alloc_segment_info *segment)
{
    room_search *search = ctx;
    (void)segment;
    search->is_behind = false;
}

static void look_for_room(void *ctx, const ps_alloc_block_info *block)
{
    room_search *search = ctx;
    if (search->is_behind && block->state == PS_ALLOC_BLOCK_FREE) {
        search->bytes += block->bytes;
    }
    search->is_behind = block->addr == search->addr;
    search->bytes += search->is_behind ? block->bytes : 0;
}

/*
 * The doubtful block, still in use since the start, that ends where the model placed a
 * block; else NULL.
 */
static const ps_start_doubt *doubt_before(const ps__replay *self, uint64_t addr)
{
    for (size_t i = 0; i < self->start.doubt_count; i++) {
        const ps_alloc_block_info *live = &self->start.block[self->start.doubt[i].block];
        const ps_alloc_handle now = ps_allocator_find(self->model, live->addr);
        if (live->addr + live->bytes == addr && now.block == live->handle.block &&
            now.generation == live->handle.generation) {
            return &self->start.doubt[i];
        }
    }
    return NULL;
}

ps_code ps__replay_settle_doubt(ps__replay *self, size_t at, const ps_alloc_block *block)
{
    room_search search = {.addr = block->addr};
    const ps_alloc_walker walker = {&search, enter_segment, look_for_room};
    const ps_start_doubt *doubt = doubt_before(self, block->addr);
    if (doubt == NULL) {
        return PS_OK;
    }
    PS_TRY(ps_allocator_walk(self->model, PS_ALLOC_WALK_ADDRESS, &walker, self->err));
    const uint64_t rounded =
        ps__alloc_round(&self->settings, self->record.memory->bytes[ps__replay_row(self, at)]);
    const uint64_t slack = search.bytes - rounded + PS_ALLOC_GRAIN_BYTES;
    if (slack <= doubt->most_bytes) {
        ps_start_state_widen(&self->start, (size_t)(doubt - self->start.doubt), slack);
        self->must_repeat = true;
    }
    return PS_OK;
}
