/* SPDX-License-Identifier: MIT
 *
 * The final map: recorded segments and blocks against the model's, both in
 * address order.
 */
#include "alloc/history_compare.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

#define MAX_ITEMS ((size_t)1 << 30)

void ps__history_note(ps_history_report *report, size_t row, const char *fmt, ...)
{
    if (report->first_difference[0] != '\0') {
        return;
    }
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(report->first_difference, sizeof report->first_difference, fmt, args);
    va_end(args);
    report->first_difference_row = row;
}

/* One segment of either side; its blocks are block[first .. +count). */
typedef struct mapped_segment {
    ps_alloc_segment_info info;
    size_t first;
    size_t count;
    uint64_t allocated_bytes;
    uint64_t active_bytes;
    uint64_t requested_bytes;
} mapped_segment;

typedef struct memory_map {
    mapped_segment *segment;
    size_t segment_count, segment_capacity;
    ps_alloc_block_info *block;
    size_t block_count, block_capacity;
    ps_code code; /* of the walk, whose visitor cannot fail */
    ps_error *err;
} memory_map;

static void map_fini(memory_map *self)
{
    ps_free(self->segment);
    ps_free(self->block);
}

static void add_segment(void *ctx, const ps_alloc_segment_info *info)
{
    memory_map *self = ctx;
    if (self->code == PS_OK) {
        void *segments = self->segment;
        self->code = ps_grow(&segments, &self->segment_capacity, self->segment_count + 1, MAX_ITEMS,
                             sizeof *self->segment, self->err);
        self->segment = segments;
    }
    if (self->code == PS_OK) {
        self->segment[self->segment_count++] =
            (mapped_segment){.info = *info, .first = self->block_count};
    }
}

static void add_block(void *ctx, const ps_alloc_block_info *info)
{
    memory_map *self = ctx;
    if (self->code == PS_OK) {
        void *blocks = self->block;
        self->code = ps_grow(&blocks, &self->block_capacity, self->block_count + 1, MAX_ITEMS,
                             sizeof *self->block, self->err);
        self->block = blocks;
    }
    if (self->code != PS_OK) {
        return;
    }
    mapped_segment *segment = &self->segment[self->segment_count - 1];
    self->block[self->block_count++] = *info;
    segment->count++;
    if (info->state != PS_ALLOC_BLOCK_FREE) {
        segment->active_bytes += info->bytes;
        segment->requested_bytes += info->requested_bytes;
        segment->allocated_bytes += info->state == PS_ALLOC_BLOCK_ALLOCATED ? info->bytes : 0;
    }
}

/*
 * The recorded map. The blocks were found to tile the segments when the start state
 * was recovered.
 */
static ps_code read_recorded(memory_map *self, const ps_trace *trace, ps_alloc_device device)
{
    const ps_segment_table *segments = &trace->segment;
    const ps_block_table *blocks = &trace->block;
    size_t row = 0;
    for (size_t i = 0; i < segments->head.count; i++) {
        if (segments->device[i] != device.ordinal) {
            continue;
        }
        const ps_alloc_segment_info info = {
            .addr = segments->addr[i],
            .bytes = segments->bytes[i],
            .stream = segments->stream[i],
            .pool = {segments->pool_owner[i], segments->pool_serial[i]},
            .is_large = segments->is_large[i] != 0,
            .is_expandable = segments->is_expandable[i] != 0};
        add_segment(self, &info);
        for (; row < blocks->head.count; row++) {
            if (blocks->device[row] != device.ordinal) {
                continue;
            }
            if (blocks->addr[row] - info.addr >= info.bytes) {
                break;
            }
            const ps_alloc_block_info block = {.addr = blocks->addr[row],
                                               .bytes = blocks->bytes[row],
                                               .requested_bytes = blocks->requested_bytes[row],
                                               .state = (ps_alloc_block_state)blocks->state[row]};
            add_block(self, &block);
        }
        if (self->code == PS_OK && self->segment_count > 0) {
            /* The totals as recorded, not as summed up. */
            mapped_segment *last = &self->segment[self->segment_count - 1];
            last->allocated_bytes = segments->allocated_bytes[i];
            last->active_bytes = segments->active_bytes[i];
            last->requested_bytes = segments->requested_bytes[i];
        }
    }
    return self->code;
}

static int compare_segments(const void *a, const void *b)
{
    const mapped_segment *x = a;
    const mapped_segment *y = b;
    return (x->info.addr > y->info.addr) - (x->info.addr < y->info.addr);
}

static bool is_same_block(const ps_alloc_block_info *a, const ps_alloc_block_info *b)
{
    return a->addr == b->addr && a->bytes == b->bytes && a->state == b->state &&
           (a->state == PS_ALLOC_BLOCK_FREE || a->requested_bytes == b->requested_bytes);
}

static void compare_blocks(const memory_map *recorded, const mapped_segment *a,
                           const memory_map *modelled, const mapped_segment *b,
                           ps_history_report *report)
{
    const size_t most = a->count > b->count ? a->count : b->count;
    for (size_t i = 0; i < most; i++) {
        const ps_alloc_block_info *x = i < a->count ? &recorded->block[a->first + i] : NULL;
        const ps_alloc_block_info *y = i < b->count ? &modelled->block[b->first + i] : NULL;
        report->block.compared++;
        if (x != NULL && y != NULL && is_same_block(x, y)) {
            report->block.equal++;
            continue;
        }
        const ps_alloc_block_info none = {0};
        x = x != NULL ? x : &none;
        y = y != NULL ? y : &none;
        ps__history_note(report, SIZE_MAX,
                         "final map, segment %#llx: block %#llx of %llu bytes (state %d, %llu "
                         "requested) recorded, block %#llx of %llu bytes (state %d, %llu "
                         "requested) modelled",
                         (unsigned long long)a->info.addr, (unsigned long long)x->addr,
                         (unsigned long long)x->bytes, (int)x->state,
                         (unsigned long long)x->requested_bytes, (unsigned long long)y->addr,
                         (unsigned long long)y->bytes, (int)y->state,
                         (unsigned long long)y->requested_bytes);
    }
}

static void compare_totals(const mapped_segment *a, const mapped_segment *b,
                           ps_history_report *report)
{
    report->total.compared++;
    if (a->allocated_bytes == b->allocated_bytes && a->active_bytes == b->active_bytes &&
        a->requested_bytes == b->requested_bytes && a->info.stream == b->info.stream &&
        a->info.is_large == b->info.is_large && a->info.bytes == b->info.bytes &&
        ps_pool_id_is_equal(a->info.pool, b->info.pool)) {
        report->total.equal++;
        return;
    }
    ps__history_note(report, SIZE_MAX,
                     "final map, segment %#llx: %llu bytes, %llu allocated, %llu active, %llu "
                     "requested recorded; %llu, %llu, %llu, %llu modelled",
                     (unsigned long long)a->info.addr, (unsigned long long)a->info.bytes,
                     (unsigned long long)a->allocated_bytes, (unsigned long long)a->active_bytes,
                     (unsigned long long)a->requested_bytes, (unsigned long long)b->info.bytes,
                     (unsigned long long)b->allocated_bytes, (unsigned long long)b->active_bytes,
                     (unsigned long long)b->requested_bytes);
}

/* A segment that only one side has. */
static void note_lone(const mapped_segment *lone, bool is_recorded, ps_history_report *report)
{
    report->total.compared++;
    report->block.compared += lone->count;
    ps__history_note(report, SIZE_MAX, "final map: segment %#llx of %llu bytes is only %s",
                     (unsigned long long)lone->info.addr, (unsigned long long)lone->info.bytes,
                     is_recorded ? "recorded" : "modelled");
}

static void compare_maps(const memory_map *recorded, const memory_map *modelled,
                         ps_history_report *report)
{
    size_t a = 0;
    size_t b = 0;
    while (a < recorded->segment_count || b < modelled->segment_count) {
        const mapped_segment *x = &recorded->segment[a];
        const mapped_segment *y = &modelled->segment[b];
        if (b == modelled->segment_count ||
            (a < recorded->segment_count && x->info.addr < y->info.addr)) {
            note_lone(x, true, report);
            a++;
        } else if (a == recorded->segment_count || y->info.addr < x->info.addr) {
            note_lone(y, false, report);
            b++;
        } else {
            compare_totals(x, y, report);
            compare_blocks(recorded, x, modelled, y, report);
            a++;
            b++;
        }
    }
}

ps_code ps__history_compare_map(const ps_trace *trace, ps_alloc_device device,
                                const ps_allocator *model, ps_history_report *report, ps_error *err)
{
    memory_map recorded = {.err = err};
    memory_map modelled = {.err = err};
    const ps_alloc_walker walker = {&modelled, add_segment, add_block};
    ps_code code = read_recorded(&recorded, trace, device);
    if (code == PS_OK) {
        code = ps_allocator_walk(model, PS_ALLOC_WALK_ADDRESS, &walker, err);
    }
    if (code == PS_OK) {
        code = modelled.code;
    }
    if (code == PS_OK) {
        if (recorded.segment_count > 0) {
            qsort(recorded.segment, recorded.segment_count, sizeof *recorded.segment,
                  compare_segments);
        }
        compare_maps(&recorded, &modelled, report);
    }
    map_fini(&recorded);
    map_fini(&modelled);
    return code;
}
