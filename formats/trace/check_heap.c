/* SPDX-License-Identifier: MIT
 *
 * What the allocator held at the end: segments apart from one another, blocks
 * that tile them, and the marks PyTorch's rules leave with default settings:
 *
 *   segments  small pool 2 MiB; large pool a multiple of 2 MiB, at least 10 MiB
 *   blocks    free in the large pool: more than 1 MiB; never two free neighbours
 *   slack     none in the small pool; at most 1 MiB in the large one
 *
 * Pages of expandable segments follow other rules and are exempt.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "trace/check_parts.h"

#define GRID_BYTES 512u
#define MIB ((uint64_t)1 << 20)
#define SMALL_SEGMENT_BYTES (2 * MIB)
#define SEGMENT_STEP_BYTES (2 * MIB)
#define LEAST_LARGE_SEGMENT_BYTES (10 * MIB)
#define LARGE_REST_BYTES MIB

/* Settings that move the marks. Anything else PyTorch can be told leaves them alone. */
static bool has_default_settings(const ps_trace *trace)
{
    static const char *const other[] = {"max_split_size_mb", "roundup_power2_divisions",
                                        "backend:cudaMallocAsync", "segment_size_mb",
                                        "max_non_split_rounding_mb"};
    const char *conf = ps_trace_meta(trace, PS_META_ALLOCATOR_CONF);
    for (size_t i = 0; conf != NULL && i < sizeof other / sizeof other[0]; i++) {
        if (strstr(conf, other[i]) != NULL) {
            return false;
        }
    }
    return true;
}

/* ---- segments ---- */

typedef struct extent {
    uint32_t device, row;
    uint64_t addr;
} extent;

static int compare_extents(const void *left, const void *right)
{
    const extent *a = left, *b = right;
    if (a->device != b->device) {
        return a->device < b->device ? -1 : 1;
    }
    if (a->addr != b->addr) {
        return a->addr < b->addr ? -1 : 1;
    }
    return a->row < b->row ? -1 : 1;
}

static ps_code check_overlaps(ps_checker *self, ps_error *err)
{
    const ps_segment_table *segment = &self->trace->segment;
    const size_t count = segment->head.count;
    extent *sorted = ps_calloc(count, sizeof *sorted);
    if (sorted == NULL) {
        return ps_fail_nomem(err);
    }
    for (size_t i = 0; i < count; i++) {
        sorted[i] = (extent){segment->device[i], (uint32_t)i, segment->addr[i]};
    }
    qsort(sorted, count, sizeof *sorted, compare_extents);
    for (size_t i = 1; i < count; i++) {
        const extent *before = &sorted[i - 1], *now = &sorted[i];
        if (before->device == now->device &&
            now->addr - before->addr < segment->bytes[before->row]) {
            ps_checker_note(self, PS_RULE_OVERLAP, PS_TABLE_SEGMENT, now->row,
                            "0x%" PRIx64 " lies inside segment row %" PRIu32, now->addr,
                            before->row);
        }
    }
    ps_free(sorted);
    return PS_OK;
}

static void check_segment(ps_checker *self, size_t row, bool is_default)
{
    const ps_segment_table *segment = &self->trace->segment;
    const uint64_t addr = segment->addr[row], bytes = segment->bytes[row];
    if (addr % GRID_BYTES != 0 || bytes % GRID_BYTES != 0 || bytes == 0) {
        ps_checker_note(self, PS_RULE_GRID, PS_TABLE_SEGMENT, row,
                        "%" PRIu64 " bytes at 0x%" PRIx64, bytes, addr);
    }
    if (segment->is_expandable[row] != 0 || !is_default) {
        return;
    }
    const bool is_usual = segment->is_large[row] != 0 ? bytes % SEGMENT_STEP_BYTES == 0 &&
                                                            bytes >= LEAST_LARGE_SEGMENT_BYTES
                                                      : bytes == SMALL_SEGMENT_BYTES;
    if (!is_usual) {
        ps_checker_note(self, PS_RULE_SEGMENT_SIZE, PS_TABLE_SEGMENT, row,
                        "a segment of the %s pool has %" PRIu64 " bytes",
                        segment->is_large[row] != 0 ? "large" : "small", bytes);
    }
}

/* ---- blocks ---- */

/* What a segment's blocks add up to. */
typedef struct block_sum {
    uint64_t covered, allocated, active, requested;
} block_sum;

static void check_slack(ps_checker *self, size_t segment, size_t row)
{
    const ps_block_table *block = &self->trace->block;
    const bool is_large = self->trace->segment.is_large[segment] != 0;
    const uint64_t needed = ps_round_up_u64(block->requested_bytes[row], GRID_BYTES);
    const uint64_t slack =
        block->bytes[row] - (needed < block->bytes[row] ? needed : block->bytes[row]);
    if (slack > (is_large ? LARGE_REST_BYTES : 0)) {
        ps_checker_note(self, PS_RULE_SLACK, PS_TABLE_BLOCK, row,
                        "%" PRIu64 " bytes for a request of %" PRIu64 " in the %s pool",
                        block->bytes[row], block->requested_bytes[row],
                        is_large ? "large" : "small");
    }
}

static void check_block(ps_checker *self, size_t segment, size_t row, bool is_first,
                        bool is_default)
{
    const ps_block_table *block = &self->trace->block;
    const bool is_free = block->state[row] == PS_BLOCK_INACTIVE;
    const bool has_marks = is_default && self->trace->segment.is_expandable[segment] == 0;
    if (block->addr[row] % GRID_BYTES != 0 || block->bytes[row] % GRID_BYTES != 0) {
        ps_checker_note(self, PS_RULE_GRID, PS_TABLE_BLOCK, row, "%" PRIu64 " bytes at 0x%" PRIx64,
                        block->bytes[row], block->addr[row]);
    }
    if (block->state[row] == PS_BLOCK_ALLOCATED &&
        block->requested_bytes[row] > block->bytes[row]) {
        ps_checker_note(self, PS_RULE_REQUEST, PS_TABLE_BLOCK, row,
                        "%" PRIu64 " bytes for a request of %" PRIu64, block->bytes[row],
                        block->requested_bytes[row]);
    }
    if (is_free && !is_first && block->state[row - 1] == PS_BLOCK_INACTIVE) {
        ps_checker_note(self, PS_RULE_FREE_NEIGHBOURS, PS_TABLE_BLOCK, row,
                        "is free like the block below it, 0x%" PRIx64, block->addr[row - 1]);
    }
    if (has_marks && is_free && self->trace->segment.is_large[segment] != 0 &&
        block->bytes[row] <= LARGE_REST_BYTES) {
        ps_checker_note(self, PS_RULE_SMALL_REST, PS_TABLE_BLOCK, row,
                        "a free block of the large pool has %" PRIu64 " bytes", block->bytes[row]);
    }
    if (has_marks && block->state[row] == PS_BLOCK_ALLOCATED) {
        check_slack(self, segment, row);
    }
}

static void add_block(const ps_block_table *block, size_t row, block_sum *sum)
{
    sum->covered += block->bytes[row];
    if (block->state[row] == PS_BLOCK_ALLOCATED) {
        sum->allocated += block->bytes[row];
    }
    if (block->state[row] != PS_BLOCK_INACTIVE) {
        sum->active += block->bytes[row];
        sum->requested += block->requested_bytes[row];
    }
}

static void check_total(ps_checker *self, size_t segment, const char *what, uint64_t recorded,
                        uint64_t sum)
{
    if (recorded != sum) {
        ps_checker_note(self, PS_RULE_SEGMENT_TOTALS, PS_TABLE_SEGMENT, segment,
                        "%" PRIu64 " bytes are %s as recorded, %" PRIu64 " by its blocks", recorded,
                        what, sum);
    }
}

/* Consumes the blocks of one segment; false when they do not tile it. */
static bool check_tiles(ps_checker *self, size_t segment, size_t *next, bool is_default)
{
    const ps_segment_table *segments = &self->trace->segment;
    const ps_block_table *block = &self->trace->block;
    const uint64_t addr = segments->addr[segment], bytes = segments->bytes[segment];
    const size_t first = *next;
    block_sum sum = {0};
    while (sum.covered < bytes && *next < block->head.count) {
        const size_t row = (*next)++;
        if (block->device[row] != segments->device[segment] ||
            block->addr[row] != addr + sum.covered || block->bytes[row] == 0 ||
            block->bytes[row] > bytes - sum.covered) {
            ps_checker_note(self, PS_RULE_TILES, PS_TABLE_BLOCK, row,
                            "%" PRIu64 " bytes at 0x%" PRIx64 ", expected at 0x%" PRIx64
                            " and within segment row %zu",
                            block->bytes[row], block->addr[row], addr + sum.covered, segment);
            return false;
        }
        check_block(self, segment, row, row == first, is_default);
        add_block(block, row, &sum);
    }
    if (sum.covered != bytes) {
        ps_checker_note(self, PS_RULE_TILES, PS_TABLE_SEGMENT, segment,
                        "its blocks cover %" PRIu64 " of %" PRIu64 " bytes", sum.covered, bytes);
        return false;
    }
    check_total(self, segment, "allocated", segments->allocated_bytes[segment], sum.allocated);
    check_total(self, segment, "active", segments->active_bytes[segment], sum.active);
    check_total(self, segment, "requested", segments->requested_bytes[segment], sum.requested);
    return true;
}

ps_code ps_check_heap(ps_checker *self, ps_error *err)
{
    const bool is_default = has_default_settings(self->trace);
    const size_t count = self->trace->segment.head.count;
    size_t next = 0;
    bool tiles = true;
    for (size_t i = 0; i < count; i++) {
        check_segment(self, i, is_default);
        /* behind the first hole everything would seem displaced */
        tiles = tiles && check_tiles(self, i, &next, is_default);
    }
    if (tiles && next < self->trace->block.head.count) {
        ps_checker_note(self, PS_RULE_TILES, PS_TABLE_BLOCK, next, "belongs to no segment");
    }
    return check_overlaps(self, err);
}
