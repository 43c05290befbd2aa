/* SPDX-License-Identifier: MIT
 *
 * Reading the final map and undoing the events that led there. Every event
 * that cannot have happened is a contradiction and ends the recovery.
 */
#include "alloc/sizes.h"
#include "alloc/start_recovery.h"
#include "base/memory.h"

static ps_code add_live(ps__recovery *self, const ps__live_block *block, ps_error *err)
{
    if (ps_idmap_get(&self->by_addr, block->addr) != PS_IDMAP_NONE) {
        return ps_fail(err, PS_BAD_INPUT, "two blocks in use at %#llx",
                       (unsigned long long)block->addr);
    }
    void *blocks = self->live;
    PS_TRY(ps_grow(&blocks, &self->live_capacity, self->live_count + 1, PS__RECOVERY_MAX_BLOCKS,
                   sizeof *self->live, err));
    self->live = blocks;
    PS_TRY(ps_idmap_put(&self->by_addr, block->addr, (uint32_t)self->live_count, err));
    self->live[self->live_count++] = *block;
    return PS_OK;
}

/* The blocks of one final segment, from row `*row` of the block table on. */
static ps_code read_final_blocks(ps__recovery *self, const ps__span *segment, size_t *row,
                                 int64_t *live, ps_error *err)
{
    const ps_block_table *table = &self->trace->block;
    const uint64_t end = segment->addr + segment->bytes;
    uint64_t at = segment->addr;
    *live = 0;
    while (at < end) {
        while (*row < table->head.count && table->device[*row] != self->device.ordinal) {
            (*row)++;
        }
        if (*row == table->head.count || table->addr[*row] != at || table->bytes[*row] == 0 ||
            table->bytes[*row] > end - at || table->bytes[*row] % PS_ALLOC_GRAIN_BYTES != 0) {
            return ps_fail(err, PS_BAD_INPUT,
                           "blocks do not tile the final segment at %#llx: none fits at %#llx",
                           (unsigned long long)segment->addr, (unsigned long long)at);
        }
        if (table->state[*row] != PS_BLOCK_INACTIVE) {
            const ps__live_block block = {.addr = at,
                                          .bytes = table->bytes[*row],
                                          .requested_bytes = table->requested_bytes[*row],
                                          .state = table->state[*row] == PS_BLOCK_PENDING_FREE
                                                       ? PS_ALLOC_BLOCK_PENDING
                                                       : PS_ALLOC_BLOCK_ALLOCATED};
            PS_TRY(add_live(self, &block, err));
            (*live)++;
        }
        at += table->bytes[(*row)++];
    }
    return PS_OK;
}

ps_code ps__recovery_read_final_map(ps__recovery *self, ps_error *err)
{
    const ps_segment_table *table = &self->trace->segment;
    size_t row = 0;
    for (size_t i = 0; i < table->head.count; i++) {
        if (table->device[i] != self->device.ordinal) {
            continue;
        }
        ps__span added = {.addr = table->addr[i],
                          .bytes = table->bytes[i],
                          .stream = table->stream[i],
                          .pool = {table->pool_owner[i], table->pool_serial[i]},
                          .size_class = table->is_large[i] != 0 ? PS__SPAN_LARGE : PS__SPAN_SMALL,
                          .is_expandable = table->is_expandable[i] != 0};
        if (added.addr > UINT64_MAX - added.bytes) {
            return ps_fail(err, PS_BAD_INPUT, "a final segment ends past the address space");
        }
        PS_TRY(read_final_blocks(self, &added, &row, &added.live_count, err));
        PS_TRY(ps__spans_insert(self, &added, err));
    }
    return PS_OK;
}

/* Notes what a request inside a span tells about it. */
static ps_code learn(ps__recovery *self, ps__span *where, size_t row, ps_error *err)
{
    const ps_memory_table *memory = &self->trace->memory;
    const ps_pool_id pool = {memory->pool_owner[row], memory->pool_serial[row]};
    if (where->size_class == PS__SPAN_UNKNOWN) {
        where->size_class = ps__recovery_class_of(self, memory->bytes[row]);
    }
    if (ps_pool_id_is_default(pool)) {
        return PS_OK; /* recordings of older versions do not tell */
    }
    if (!ps_pool_id_is_default(where->pool) && !ps_pool_id_is_equal(where->pool, pool)) {
        return ps_fail(err, PS_BAD_INPUT, "allocations of two pools in one segment at %#llx",
                       (unsigned long long)where->addr);
    }
    where->pool = pool;
    return PS_OK;
}

static ps_code undo_alloc(ps__recovery *self, size_t row, ps_error *err)
{
    const ps_memory_table *memory = &self->trace->memory;
    const uint64_t addr = memory->addr[row];
    ps__span *where = ps__spans_holding(self, addr, memory->bytes[row]);
    const uint32_t index = ps_idmap_take(&self->by_addr, addr);
    if (where == NULL || memory->bytes[row] == 0) {
        return ps_fail(err, PS_BAD_INPUT, "allocation of %llu bytes at %#llx outside every segment",
                       (unsigned long long)memory->bytes[row], (unsigned long long)addr);
    }
    if (index == PS_IDMAP_NONE || self->live[index].state != PS_ALLOC_BLOCK_ALLOCATED) {
        return ps_fail(err, PS_BAD_INPUT,
                       "the block allocated at %#llx is neither freed later nor in the final map",
                       (unsigned long long)addr);
    }
    if (self->live[index].requested_bytes != memory->bytes[row]) {
        return ps_fail(err, PS_BAD_INPUT,
                       "the block at %#llx was allocated with %llu bytes and is known with %llu",
                       (unsigned long long)addr, (unsigned long long)memory->bytes[row],
                       (unsigned long long)self->live[index].requested_bytes);
    }
    self->live[index].state = PS_ALLOC_BLOCK_FREE;
    where->live_count--;
    return learn(self, where, row, err);
}

static ps_code undo_free(ps__recovery *self, size_t row, uint8_t state, ps_error *err)
{
    const ps_memory_table *memory = &self->trace->memory;
    const ps__live_block block = {
        .addr = memory->addr[row], .requested_bytes = memory->bytes[row], .state = state};
    ps__span *where = ps__spans_holding(self, block.addr, block.requested_bytes);
    if (where == NULL || block.requested_bytes == 0 || block.addr % PS_ALLOC_GRAIN_BYTES != 0) {
        return ps_fail(err, PS_BAD_INPUT, "free of %llu bytes at %#llx outside every segment",
                       (unsigned long long)block.requested_bytes, (unsigned long long)block.addr);
    }
    where->live_count++;
    if (where->size_class == PS__SPAN_UNKNOWN) {
        where->size_class = ps__recovery_class_of(self, block.requested_bytes);
    }
    return add_live(self, &block, err);
}

static ps_code undo_request_of_free(ps__recovery *self, size_t row, ps_error *err)
{
    const uint64_t addr = self->trace->memory.addr[row];
    const uint32_t index = ps_idmap_get(&self->by_addr, addr);
    if (index == PS_IDMAP_NONE || self->live[index].state != PS_ALLOC_BLOCK_PENDING) {
        return ps_fail(
            err, PS_BAD_INPUT,
            "the free requested at %#llx neither completes later nor waits in the final map",
            (unsigned long long)addr);
    }
    self->live[index].state = PS_ALLOC_BLOCK_ALLOCATED;
    return PS_OK;
}

static ps_code undo_segment_alloc(ps__recovery *self, size_t row, ps_error *err)
{
    const ps_memory_table *memory = &self->trace->memory;
    const size_t after = ps__spans_after(self, memory->addr[row]);
    const ps__span *found = after == 0 ? NULL : &self->span[after - 1];
    if (found == NULL || found->addr != memory->addr[row] || found->bytes != memory->bytes[row] ||
        found->is_expandable || found->live_count != 0) {
        return ps_fail(err, PS_BAD_INPUT,
                       "segment of %llu bytes allocated at %#llx contradicts what happens in it",
                       (unsigned long long)memory->bytes[row],
                       (unsigned long long)memory->addr[row]);
    }
    ps__spans_remove(self, after - 1);
    return PS_OK;
}

static ps_code undo_segment_free(ps__recovery *self, size_t row, ps_error *err)
{
    const ps_memory_table *memory = &self->trace->memory;
    const ps__span added = {.addr = memory->addr[row],
                            .bytes = memory->bytes[row],
                            .stream = memory->stream[row],
                            .pool = {memory->pool_owner[row], memory->pool_serial[row]},
                            .size_class = memory->bytes[row] == PS_ALLOC_SMALL_SEGMENT_BYTES
                                              ? PS__SPAN_SMALL
                                              : PS__SPAN_LARGE,
                            .is_pool_unknown = true};
    return ps__spans_insert(self, &added, err);
}

static ps_code undo_map(ps__recovery *self, size_t row, ps_error *err)
{
    const ps_memory_table *memory = &self->trace->memory;
    const uint64_t addr = memory->addr[row];
    const uint64_t bytes = memory->bytes[row];
    ps__span *found = ps__spans_holding(self, addr, bytes);
    if (found == NULL || !found->is_expandable || bytes == 0) {
        return ps_fail(err, PS_BAD_INPUT, "pages mapped at %#llx that nothing says were there",
                       (unsigned long long)addr);
    }
    ps__span tail = *found;
    tail.addr = addr + bytes;
    tail.bytes = found->addr + found->bytes - tail.addr;
    found->bytes = addr - found->addr;
    if (found->bytes == 0) {
        ps__spans_remove(self, (size_t)(found - self->span));
    }
    return tail.bytes == 0 ? PS_OK : ps__spans_insert(self, &tail, err);
}

static ps_code undo_unmap(ps__recovery *self, size_t row, ps_error *err)
{
    const ps_memory_table *memory = &self->trace->memory;
    const bool is_surely_small = memory->bytes[row] % self->settings->large_segment_bytes != 0;
    const ps__span added = {.addr = memory->addr[row],
                            .bytes = memory->bytes[row],
                            .stream = memory->stream[row],
                            .pool = {memory->pool_owner[row], memory->pool_serial[row]},
                            .size_class = is_surely_small ? PS__SPAN_SMALL : PS__SPAN_UNKNOWN,
                            .is_expandable = true};
    PS_TRY(ps__spans_insert(self, &added, err));
    ps__spans_join(self, ps__spans_after(self, added.addr) - 1);
    return PS_OK;
}

static ps_code undo(ps__recovery *self, size_t row, ps_error *err)
{
    switch ((ps_memory_action)self->trace->memory.action[row]) {
    case PS_ACTION_ALLOC:
        return undo_alloc(self, row, err);
    case PS_ACTION_FREE:
        return undo_free(self, row, PS_ALLOC_BLOCK_ALLOCATED, err);
    case PS_ACTION_FREE_COMPLETED:
        return undo_free(self, row, PS_ALLOC_BLOCK_PENDING, err);
    case PS_ACTION_FREE_REQUESTED:
        return undo_request_of_free(self, row, err);
    case PS_ACTION_SEGMENT_ALLOC:
        return undo_segment_alloc(self, row, err);
    case PS_ACTION_SEGMENT_FREE:
        return undo_segment_free(self, row, err);
    case PS_ACTION_SEGMENT_MAP:
        return undo_map(self, row, err);
    case PS_ACTION_SEGMENT_UNMAP:
        return undo_unmap(self, row, err);
    case PS_ACTION_OOM:
    case PS_ACTION_SNAPSHOT:
        break;
    }
    return PS_OK;
}

ps_code ps__recovery_undo(ps__recovery *self, ps_error *err)
{
    for (size_t row = self->trace->memory.head.count; row-- > 0;) {
        if (!ps__recovery_is_ours(self, row)) {
            continue;
        }
        const ps_code code = undo(self, row, err);
        if (code != PS_OK) {
            ps_error_note(err, "the recording contradicts itself at memory event %zu", row);
            return code;
        }
    }
    return PS_OK;
}
