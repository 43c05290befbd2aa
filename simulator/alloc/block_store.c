/* SPDX-License-Identifier: MIT
 *
 * Block records: vacant list, split and merge of neighbours.
 */
#include "alloc/block_store.h"

#include <string.h>

#include "base/memory.h"

void ps__block_store_init(ps__block_store *self)
{
    memset(self, 0, sizeof *self);
    self->vacant = PS__BLOCK_NONE;
}

void ps__block_store_fini(ps__block_store *self)
{
    ps_free(self->at);
    ps__block_store_init(self);
}

ps_code ps__block_store_reserve(ps__block_store *self, size_t count, ps_error *err)
{
    if (self->vacant_count >= count) {
        return PS_OK;
    }
    const size_t need = self->count + (count - self->vacant_count);
    if (need <= self->capacity) {
        return PS_OK;
    }
    void *at = self->at;
    PS_TRY(ps_grow(&at, &self->capacity, need, PS__BLOCK_MAX_COUNT, sizeof *self->at, err));
    self->at = at;
    return PS_OK;
}

uint32_t ps__block_store_take(ps__block_store *self)
{
    uint32_t id = self->vacant;
    uint32_t generation = 1;
    if (id != PS__BLOCK_NONE) {
        self->vacant = self->at[id].next;
        self->vacant_count--;
        generation = self->at[id].generation;
    } else {
        id = (uint32_t)self->count++;
    }
    ps__block *block = &self->at[id];
    memset(block, 0, sizeof *block);
    block->generation = generation;
    block->prev = PS__BLOCK_NONE;
    block->next = PS__BLOCK_NONE;
    return id;
}

void ps__block_store_put(ps__block_store *self, uint32_t id)
{
    ps__block *block = &self->at[id];
    block->state = PS__BLOCK_VACANT;
    block->generation++;
    block->next = self->vacant;
    self->vacant = id;
    self->vacant_count++;
}

uint32_t ps__block_store_split(ps__block_store *self, uint32_t id, uint64_t head_bytes)
{
    const uint32_t tail_id = ps__block_store_take(self);
    ps__block *head = &self->at[id];
    ps__block *tail = &self->at[tail_id];
    tail->stream = head->stream;
    tail->segment = head->segment;
    tail->state = head->state;
    tail->addr = head->addr + head_bytes;
    tail->bytes = head->bytes - head_bytes;
    tail->prev = id;
    tail->next = head->next;
    if (head->next != PS__BLOCK_NONE) {
        self->at[head->next].prev = tail_id;
    }
    head->next = tail_id;
    head->bytes = head_bytes;
    return tail_id;
}

void ps__block_store_absorb_next(ps__block_store *self, uint32_t id)
{
    ps__block *block = &self->at[id];
    const uint32_t gone = block->next;
    block->bytes += self->at[gone].bytes;
    block->next = self->at[gone].next;
    if (block->next != PS__BLOCK_NONE) {
        self->at[block->next].prev = id;
    }
    ps__block_store_put(self, gone);
}
