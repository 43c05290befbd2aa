/* SPDX-License-Identifier: MIT
 *
 * segments of a memory snapshot -> rows of the segment and block tables.
 *
 *   now      block {address, size, requested_size, state, frames}
 *   before   block {size, requested_size, state, frames}           address: after the block before
 *   first    block {size, state, history: [{addr, real_size, frames}, ..]}
 *                                                    requested size and stack: first entry
 *
 * Blocks come before the segment that owns them is complete, so they wait in a
 * list until then. A segment whose blocks do not tile it is refused: such a
 * file was not written by an allocator, and no simulation can start from it.
 */
#include <inttypes.h>

#include "base/memory.h"
#include "import/snapshot_parts.h"

/* Blocks of one segment; a block has at least 512 bytes, so a segment of 2 GiB of them. */
#define WAITING_MAX ((size_t)1 << 22)
/* Every block starts and ends on this grid, whatever the settings. */
#define BLOCK_GRID_BYTES 512u

struct ps_snapshot_block {
    uint64_t addr, bytes, requested_bytes;
    uint32_t stack;
    uint8_t state; /* ps_block_state */
    bool has_addr;
};

struct ps_snapshot_history {
    uint64_t requested_bytes;
    uint32_t stack;
};

typedef struct segment {
    uint64_t device, addr, bytes, stream;
    uint64_t allocated_bytes, active_bytes, requested_bytes;
    bool is_large, is_expandable, has_device, has_addr, has_bytes, has_requested;
    uint32_t pool;
    ps_pickle_value blocks; /* None: not given */
} segment;

static ps_code check_room(size_t count, ps_error *err)
{
    return count < WAITING_MAX
               ? PS_OK
               : ps_fail(err, PS_LIMIT, "more than %zu blocks in one segment", WAITING_MAX);
}

ps_code ps_snapshot_history_read(ps_snapshot *self, ps_pickle_value *dict,
                                 const ps_pickle_value *pairs, size_t pair_count, ps_error *err)
{
    ps_snapshot_segments *segments = &self->segments;
    struct ps_snapshot_history entry = {0};
    for (size_t i = 0; i < pair_count; i++) {
        const ps_pickle_value *pair = &pairs[2 * i];
        if (ps_snapshot_key(pair) == PS_WORD_REAL_SIZE) {
            PS_TRY(ps_snapshot_get_u64(self, pair, &entry.requested_bytes, err));
        } else if (ps_snapshot_key(pair) == PS_WORD_FRAMES) {
            PS_TRY(ps_snapshot_get_stack(self, pair, &entry.stack, err));
        }
    }
    PS_TRY(check_room(segments->history_count, err));
    PS_TRY(ps_grow((void **)&segments->history, &segments->history_capacity,
                   segments->history_count + 1, WAITING_MAX, sizeof *segments->history, err));
    segments->history[segments->history_count] = entry;
    dict->tag = PS_TAG_HISTORY;
    dict->as.box.node = (uint32_t)segments->history_count++;
    return PS_OK;
}

static ps_code read_state(const ps_snapshot *self, const ps_pickle_value *pair, uint8_t *state,
                          ps_error *err)
{
    ps_str word;
    PS_TRY(ps_snapshot_get_text(self, pair, &word, err));
    switch (word) {
    case PS_WORD_INACTIVE:
        *state = PS_BLOCK_INACTIVE;
        return PS_OK;
    case PS_WORD_ACTIVE_ALLOCATED:
        *state = PS_BLOCK_ALLOCATED;
        return PS_OK;
    case PS_WORD_ACTIVE_PENDING_FREE:
    case PS_WORD_ACTIVE_AWAITING_FREE:
        *state = PS_BLOCK_PENDING_FREE;
        return PS_OK;
    default:
        return ps_fail(err, PS_BAD_INPUT, "a block is in the state \"%.64s\", which is not known",
                       ps_strings_text(self->texts, word));
    }
}

static ps_code read_history(const ps_snapshot *self, const ps_pickle_value *pair,
                            struct ps_snapshot_block *block, bool *has_requested, ps_error *err)
{
    const ps_pickle_value *list = &pair[1];
    if (list->type != PS_PICKLE_LIST ||
        (list->tag != PS_TAG_NOTHING && list->tag != PS_TAG_HISTORY) ||
        (list->tag == PS_TAG_HISTORY && list->as.box.node >= self->segments.history_count)) {
        return ps_snapshot_fail_key(self, pair, "a list of earlier uses of the block", err);
    }
    if (list->tag == PS_TAG_HISTORY) {
        const struct ps_snapshot_history *first = &self->segments.history[list->as.box.node];
        block->requested_bytes = first->requested_bytes;
        block->stack = first->stack;
        *has_requested = true;
    }
    return PS_OK;
}

static ps_code read_block_field(ps_snapshot *self, const ps_pickle_value *pair,
                                struct ps_snapshot_block *block, bool *has_requested, ps_error *err)
{
    switch (ps_snapshot_key(pair)) {
    case PS_WORD_ADDRESS:
        block->has_addr = pair[1].type != PS_PICKLE_NONE;
        return ps_snapshot_get_addr(self, pair, &block->addr, err);
    case PS_WORD_SIZE:
        return ps_snapshot_get_u64(self, pair, &block->bytes, err);
    case PS_WORD_REQUESTED_SIZE:
        *has_requested = true;
        return ps_snapshot_get_u64(self, pair, &block->requested_bytes, err);
    case PS_WORD_STATE:
        return read_state(self, pair, &block->state, err);
    case PS_WORD_FRAMES:
        return ps_snapshot_get_stack(self, pair, &block->stack, err);
    case PS_WORD_HISTORY:
        return read_history(self, pair, block, has_requested, err);
    default:
        return PS_OK;
    }
}

ps_code ps_snapshot_block_read(ps_snapshot *self, ps_pickle_value *dict,
                               const ps_pickle_value *pairs, size_t pair_count, ps_error *err)
{
    ps_snapshot_segments *segments = &self->segments;
    struct ps_snapshot_block block = {0};
    bool has_requested = false;
    for (size_t i = 0; i < pair_count; i++) {
        PS_TRY(read_block_field(self, &pairs[2 * i], &block, &has_requested, err));
    }
    if (!has_requested) {
        block.requested_bytes = block.bytes;
    }
    if (block.bytes == 0 || block.bytes % BLOCK_GRID_BYTES != 0) {
        return ps_fail(err, PS_BAD_INPUT,
                       "a block has %" PRIu64 " bytes, expected a multiple of %u", block.bytes,
                       BLOCK_GRID_BYTES);
    }
    if (block.state == PS_BLOCK_ALLOCATED && block.requested_bytes > block.bytes) {
        return ps_fail(err, PS_BAD_INPUT,
                       "an allocated block of %" PRIu64 " bytes was requested with %" PRIu64
                       " bytes",
                       block.bytes, block.requested_bytes);
    }
    PS_TRY(check_room(segments->block_count, err));
    PS_TRY(ps_grow((void **)&segments->block, &segments->block_capacity, segments->block_count + 1,
                   WAITING_MAX, sizeof *segments->block, err));
    segments->block[segments->block_count] = block;
    dict->tag = PS_TAG_BLOCK;
    dict->as.box.node = (uint32_t)segments->block_count++;
    return PS_OK;
}

static ps_code read_pool_size(const ps_snapshot *self, const ps_pickle_value *pair, bool *is_large,
                              ps_error *err)
{
    ps_str word;
    PS_TRY(ps_snapshot_get_text(self, pair, &word, err));
    if (word != PS_WORD_SMALL && word != PS_WORD_LARGE) {
        return ps_fail(err, PS_BAD_INPUT,
                       "a segment is of the type \"%.64s\", expected small or large",
                       ps_strings_text(self->texts, word));
    }
    *is_large = word == PS_WORD_LARGE;
    return PS_OK;
}

static ps_code read_segment_field(const ps_snapshot *self, const ps_pickle_value *pair,
                                  segment *read, ps_error *err)
{
    switch (ps_snapshot_key(pair)) {
    case PS_WORD_DEVICE:
        read->has_device = true;
        return ps_snapshot_get_u64(self, pair, &read->device, err);
    case PS_WORD_ADDRESS:
        read->has_addr = true;
        return ps_snapshot_get_u64(self, pair, &read->addr, err);
    case PS_WORD_TOTAL_SIZE:
        read->has_bytes = true;
        return ps_snapshot_get_u64(self, pair, &read->bytes, err);
    case PS_WORD_ALLOCATED_SIZE:
        return ps_snapshot_get_u64(self, pair, &read->allocated_bytes, err);
    case PS_WORD_ACTIVE_SIZE:
        return ps_snapshot_get_u64(self, pair, &read->active_bytes, err);
    case PS_WORD_REQUESTED_SIZE:
        read->has_requested = true;
        return ps_snapshot_get_u64(self, pair, &read->requested_bytes, err);
    case PS_WORD_STREAM:
        return ps_snapshot_get_u64(self, pair, &read->stream, err);
    case PS_WORD_SEGMENT_TYPE:
        return read_pool_size(self, pair, &read->is_large, err);
    case PS_WORD_SEGMENT_POOL_ID:
        return ps_snapshot_get_pool(self, pair, &read->pool, err);
    case PS_WORD_IS_EXPANDABLE:
        return ps_snapshot_get_bool(self, pair, &read->is_expandable, err);
    case PS_WORD_BLOCKS:
        read->blocks = pair[1];
        return PS_OK;
    default:
        return PS_OK;
    }
}

static ps_code check_segment(const ps_snapshot *self, const segment *read, ps_error *err)
{
    uint64_t end;
    if (!read->has_device || !read->has_addr || !read->has_bytes ||
        read->blocks.type == PS_PICKLE_NONE) {
        return ps_fail(err, PS_BAD_INPUT,
                       "a segment lacks one of device, address, total_size and blocks");
    }
    if (read->bytes == 0 || !ps_add_u64(read->addr, read->bytes, &end)) {
        return ps_fail(err, PS_BAD_INPUT,
                       "the segment at 0x%" PRIx64 " has %" PRIu64
                       " bytes, which is none or more than fit above its address",
                       read->addr, read->bytes);
    }
    const ps_pickle_value *list = &read->blocks;
    if (list->type != PS_PICKLE_LIST || list->tag != PS_TAG_BLOCK || list->is_shared ||
        (uint64_t)list->as.box.node + list->as.box.count != self->segments.block_count) {
        return ps_fail(err, PS_BAD_INPUT,
                       "the blocks of the segment at 0x%" PRIx64
                       " are not a list of its own blocks",
                       read->addr);
    }
    return PS_OK;
}

/* Gives blocks without an address theirs and checks that all follow one another to the end. */
static ps_code tile(const segment *read, struct ps_snapshot_block *block, size_t count,
                    ps_error *err)
{
    uint64_t offset = 0;
    for (size_t i = 0; i < count; i++) {
        if (!block[i].has_addr) {
            block[i].addr = read->addr + offset;
        }
        if (block[i].addr != read->addr + offset) {
            return ps_fail(err, PS_BAD_INPUT,
                           "block %zu of the segment at 0x%" PRIx64 " lies at 0x%" PRIx64
                           ", expected 0x%" PRIx64 ", where the block before it ends",
                           i, read->addr, block[i].addr, read->addr + offset);
        }
        if (block[i].bytes > read->bytes - offset) {
            return ps_fail(err, PS_BAD_INPUT,
                           "block %zu of the segment at 0x%" PRIx64 " reaches beyond its end", i,
                           read->addr);
        }
        offset += block[i].bytes;
    }
    if (offset != read->bytes) {
        return ps_fail(err, PS_BAD_INPUT,
                       "the blocks of the segment at 0x%" PRIx64 " cover %" PRIu64
                       " of its %" PRIu64 " bytes",
                       read->addr, offset, read->bytes);
    }
    return PS_OK;
}

static ps_code put_segment(ps_snapshot *self, const segment *read, ps_error *err)
{
    ps_trace *chunk = ps_trace_builder_chunk(self->out);
    size_t row;
    PS_TRY(ps_trace_add(chunk, PS_TABLE_SEGMENT, &row, err));
    ps_segment_table *table = &chunk->segment;
    table->device[row] = (uint32_t)read->device;
    table->addr[row] = read->addr;
    table->bytes[row] = read->bytes;
    table->stream[row] = read->stream;
    table->is_large[row] = read->is_large;
    table->is_expandable[row] = read->is_expandable;
    table->pool_owner[row] = self->pools.pool[read->pool].owner;
    table->pool_serial[row] = self->pools.pool[read->pool].serial;
    table->allocated_bytes[row] = read->allocated_bytes;
    table->active_bytes[row] = read->active_bytes;
    table->requested_bytes[row] = read->requested_bytes;
    return ps_trace_builder_step(self->out, err);
}

static ps_code put_block(ps_snapshot *self, uint32_t device, const struct ps_snapshot_block *block,
                         ps_error *err)
{
    ps_trace *chunk = ps_trace_builder_chunk(self->out);
    size_t row;
    ps_str stack;
    PS_TRY(ps_snapshot_stack_put(self, block->stack, chunk->strings, &stack, err));
    PS_TRY(ps_trace_add(chunk, PS_TABLE_BLOCK, &row, err));
    ps_block_table *table = &chunk->block;
    table->device[row] = device;
    table->addr[row] = block->addr;
    table->bytes[row] = block->bytes;
    table->requested_bytes[row] = block->requested_bytes;
    table->state[row] = block->state;
    table->stack[row] = stack;
    return ps_trace_builder_step(self->out, err);
}

/* Old writers leave out the sum of requested sizes. */
static uint64_t sum_requested(const struct ps_snapshot_block *block, size_t count)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < count; i++) {
        sum += block[i].state != PS_BLOCK_INACTIVE ? block[i].requested_bytes : 0;
    }
    return sum;
}

ps_code ps_snapshot_segment_read(ps_snapshot *self, const ps_pickle_value *pairs, size_t pair_count,
                                 ps_error *err)
{
    ps_snapshot_segments *segments = &self->segments;
    struct ps_snapshot_device *device = NULL;
    segment read = {0};
    for (size_t i = 0; i < pair_count; i++) {
        PS_TRY(read_segment_field(self, &pairs[2 * i], &read, err));
    }
    PS_TRY(check_segment(self, &read, err));
    PS_TRY(ps_snapshot_device_at(self, read.device, &device, err));
    const size_t first = read.blocks.as.box.node;
    const size_t count = segments->block_count - first;
    PS_TRY(tile(&read, segments->block + first, count, err));
    if (!read.has_requested) {
        read.requested_bytes = sum_requested(segments->block + first, count);
    }
    device->has_segment = true;
    PS_TRY(put_segment(self, &read, err));
    for (size_t i = 0; i < count; i++) {
        PS_TRY(put_block(self, (uint32_t)read.device, &segments->block[first + i], err));
    }
    segments->block_count = first;
    segments->history_count = first == 0 ? 0 : segments->history_count;
    segments->segment_count++;
    return PS_OK;
}
