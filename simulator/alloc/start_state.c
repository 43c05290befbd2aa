/* SPDX-License-Identifier: MIT
 *
 * From spans and live blocks to the state at the start: the blocks tile their
 * spans, and what the gaps leave open is settled by the events that follow.
 */
#include "alloc/start_state.h"

#include <stdlib.h>
#include <string.h>

#include "alloc/sizes.h"
#include "alloc/start_recovery.h"
#include "base/memory.h"

static int compare_live(const void *a, const void *b)
{
    const ps__live_block *x = a;
    const ps__live_block *y = b;
    return (x->addr > y->addr) - (x->addr < y->addr);
}

/* Keeps what is live at the start, by address. */
static void sort_live(ps__recovery *self)
{
    size_t kept = 0;
    for (size_t i = 0; i < self->live_count; i++) {
        if (self->live[i].state != PS_ALLOC_BLOCK_FREE) {
            self->live[kept++] = self->live[i];
        }
    }
    self->live_count = kept;
    if (kept > 0) {
        qsort(self->live, kept, sizeof *self->live, compare_live);
    }
}

static ps_code put_block(ps__recovery *self, uint64_t addr, uint64_t bytes,
                         const ps__live_block *live, ps_error *err)
{
    void *blocks = self->out.block;
    PS_TRY(ps_grow(&blocks, &self->out_block_capacity, self->out.block_count + 1,
                   PS__RECOVERY_MAX_BLOCKS, sizeof *self->out.block, err));
    self->out.block = blocks;
    ps_alloc_block_info *block = &self->out.block[self->out.block_count++];
    *block = (ps_alloc_block_info){.addr = addr, .bytes = bytes};
    if (live != NULL) {
        block->requested_bytes = live->requested_bytes;
        block->state = (ps_alloc_block_state)live->state;
    }
    return PS_OK;
}

/*
 * [bytes] size of a live block that is known by its request alone and has
 * `gap_bytes` up to the next one. *is_open: slack of up to 1 MiB may follow.
 */
static uint64_t size_in_gap(const ps__recovery *self, const ps__span *where,
                            const ps__live_block *live, uint64_t gap_bytes, bool *is_open)
{
    const uint64_t rounded = ps__alloc_round(self->settings, live->requested_bytes);
    *is_open = false;
    if (where->size_class != PS__SPAN_LARGE || where->is_expandable ||
        self->settings->is_expandable) {
        return rounded; /* splits at 512 bytes: no slack */
    }
    if (rounded >= self->settings->max_split_bytes) {
        return gap_bytes; /* oversize blocks are whole segments */
    }
    if (gap_bytes >= rounded && gap_bytes - rounded <= PS_ALLOC_SMALL_BYTES) {
        return gap_bytes; /* a free block would be larger than that */
    }
    *is_open = true;
    return rounded;
}

static ps_code add_gap(ps__recovery *self, uint64_t addr, uint64_t rounded_end, uint64_t gap_end,
                       ps_error *err)
{
    void *gaps = self->gap;
    PS_TRY(ps_grow(&gaps, &self->gap_capacity, self->gap_count + 1, PS__RECOVERY_MAX_BLOCKS,
                   sizeof *self->gap, err));
    self->gap = gaps;
    self->gap[self->gap_count++] =
        (ps__open_gap){addr, rounded_end, gap_end, self->out.block_count, true};
    return PS_OK;
}

/* Writes the blocks of one span; `*next` walks the live blocks. */
static ps_code tile_span(ps__recovery *self, const ps__span *where, size_t *next, ps_error *err)
{
    const uint64_t end = where->addr + where->bytes;
    uint64_t at = where->addr;
    while (*next < self->live_count && self->live[*next].addr < end) {
        const ps__live_block *live = &self->live[(*next)++];
        const uint64_t limit =
            *next < self->live_count && self->live[*next].addr < end ? self->live[*next].addr : end;
        bool is_open = false;
        const uint64_t bytes = live->bytes != 0
                                   ? live->bytes
                                   : size_in_gap(self, where, live, limit - live->addr, &is_open);
        if (live->addr < at || bytes > limit - live->addr) {
            return ps_fail(err, PS_BAD_INPUT, "blocks overlap at %#llx when the recording begins",
                           (unsigned long long)live->addr);
        }
        if (live->addr > at) {
            PS_TRY(put_block(self, at, live->addr - at, NULL, err));
        }
        if (is_open) {
            PS_TRY(add_gap(self, live->addr, live->addr + bytes, limit, err));
        }
        PS_TRY(put_block(self, live->addr, bytes, live, err));
        at = live->addr + bytes;
    }
    return at < end ? put_block(self, at, end - at, NULL, err) : PS_OK;
}

static bool span_is_large(const ps__recovery *self, const ps__span *where)
{
    return where->size_class == PS__SPAN_LARGE ||
           (where->size_class == PS__SPAN_UNKNOWN &&
            where->bytes % self->settings->large_segment_bytes == 0);
}

static ps_code tile_all(ps__recovery *self, ps_error *err)
{
    size_t next = 0;
    self->out.segment = ps_calloc(self->span_count, sizeof *self->out.segment);
    if (self->out.segment == NULL) {
        return ps_fail_nomem(err);
    }
    for (size_t i = 0; i < self->span_count; i++) {
        const ps__span *where = &self->span[i];
        if (next < self->live_count && self->live[next].addr < where->addr) {
            break;
        }
        ps_start_segment *segment = &self->out.segment[self->out.segment_count++];
        segment->info = (ps_alloc_segment_info){.addr = where->addr,
                                                .bytes = where->bytes,
                                                .stream = where->stream,
                                                .pool = ps__start_pool_of(self, where),
                                                .is_large = span_is_large(self, where),
                                                .is_expandable = where->is_expandable};
        segment->first_block = self->out.block_count;
        PS_TRY(tile_span(self, where, &next, err));
        segment->block_count = self->out.block_count - segment->first_block;
    }
    if (next < self->live_count) {
        return ps_fail(err, PS_BAD_INPUT, "a block in use at %#llx lies outside every segment",
                       (unsigned long long)self->live[next].addr);
    }
    return PS_OK;
}

/* The open gap that `addr` lies in, or NULL. */
static ps__open_gap *gap_around(const ps__recovery *self, uint64_t addr)
{
    size_t low = 0;
    size_t high = self->gap_count;
    while (low < high) {
        const size_t mid = low + (high - low) / 2;
        if (self->gap[mid].addr <= addr) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low > 0 && addr < self->gap[low - 1].gap_end ? &self->gap[low - 1] : NULL;
}

/* Moves bytes from the free block behind a live one, which made the gap, to it. */
static void move_border(ps_start_state *state, size_t block, uint64_t bytes)
{
    ps_alloc_block_info *live = &state->block[block];
    live[0].bytes += bytes;
    live[1].addr += bytes;
    live[1].bytes -= bytes;
}

/* The first allocation in the gap behind a live block starts where that block ends. */
static void settle_gap(ps__recovery *self, size_t row)
{
    const ps_memory_table *memory = &self->trace->memory;
    ps__open_gap *gap = gap_around(self, memory->addr[row]);
    if (gap == NULL || !gap->is_alive) {
        return;
    }
    const uint64_t addr = memory->addr[row];
    const bool is_own = addr == gap->addr;
    gap->is_alive = false;
    if (is_own || memory->action[row] != PS_ACTION_ALLOC || addr < gap->rounded_end ||
        addr - gap->rounded_end > PS_ALLOC_SMALL_BYTES) {
        return; /* the block itself is freed: its slack stays unknown */
    }
    move_border(&self->out, gap->block, addr - gap->rounded_end);
    gap->rounded_end = addr;
    gap->gap_end = addr;
}

/* The nearest range of a stream with pages mapped, of one pool half where that is known. */
static ps__start_range *range_of(const ps__recovery *self, uint64_t stream, uint64_t addr,
                                 ps__span_class size_class)
{
    ps__start_range *best = NULL;
    uint64_t best_distance = UINT64_MAX;
    for (size_t i = 0; i < self->range_count; i++) {
        ps__start_range *candidate = &self->range[i];
        const ps__span_class own = candidate->is_large ? PS__SPAN_LARGE : PS__SPAN_SMALL;
        if (candidate->stream != stream || candidate->mapped_bytes == 0 ||
            (size_class != PS__SPAN_UNKNOWN && size_class != own)) {
            continue;
        }
        const uint64_t distance = addr < candidate->low    ? candidate->low - addr
                                  : addr > candidate->high ? addr - candidate->high
                                                           : 0;
        if (best == NULL || distance < best_distance) {
            best = candidate;
            best_distance = distance;
        }
    }
    return best;
}

/* One range for all runs of a stream and pool that are mapped at the start. */
static ps_code list_ranges(ps__recovery *self, ps_error *err)
{
    for (size_t i = 0; i < self->out.segment_count; i++) {
        const ps_alloc_segment_info *info = &self->out.segment[i].info;
        size_t found = 0;
        if (!info->is_expandable) {
            continue;
        }
        while (found < self->range_count &&
               (self->range[found].stream != info->stream ||
                self->range[found].is_large != info->is_large ||
                !ps_pool_id_is_equal(self->range[found].pool, info->pool))) {
            found++;
        }
        if (found == self->range_count) {
            void *ranges = self->range;
            PS_TRY(ps_grow(&ranges, &self->range_capacity, self->range_count + 1,
                           PS__RECOVERY_MAX_SPANS, sizeof *self->range, err));
            self->range = ranges;
            self->range[self->range_count++] = (ps__start_range){.stream = info->stream,
                                                                 .pool = info->pool,
                                                                 .is_large = info->is_large,
                                                                 .low = info->addr};
        }
        self->range[found].high = info->addr + info->bytes;
        self->range[found].mapped_bytes += info->bytes;
    }
    return PS_OK;
}

/*
 * Pool half of pages mapped at a row: that of the request they were mapped for, which
 * ends the call.
 */
static ps__span_class class_of_map(const ps__recovery *self, size_t row)
{
    const ps_memory_table *memory = &self->trace->memory;
    for (; row < memory->head.count; row++) {
        if (ps__recovery_is_ours(self, row) &&
            (memory->action[row] == PS_ACTION_ALLOC || memory->action[row] == PS_ACTION_OOM)) {
            const uint64_t rounded = ps__alloc_round(self->settings, memory->bytes[row]);
            return ps__alloc_is_large(rounded) ? PS__SPAN_LARGE : PS__SPAN_SMALL;
        }
    }
    return PS__SPAN_UNKNOWN;
}

/* Pages mapped below all others while the range lives show that it begins lower. */
static void widen_range(ps__recovery *self, size_t row)
{
    const ps_memory_table *memory = &self->trace->memory;
    const bool is_map = memory->action[row] == PS_ACTION_SEGMENT_MAP;
    ps__start_range *found = range_of(self, memory->stream[row], memory->addr[row],
                                      is_map ? class_of_map(self, row) : PS__SPAN_UNKNOWN);
    if (found == NULL) {
        return;
    }
    if (!is_map) {
        const uint64_t bytes = memory->bytes[row];
        found->mapped_bytes -= bytes < found->mapped_bytes ? bytes : found->mapped_bytes;
        return;
    }
    const uint64_t addr = memory->addr[row];
    const uint64_t end = addr + memory->bytes[row];
    found->mapped_bytes += memory->bytes[row];
    found->low = addr < found->low ? addr : found->low;
    found->high = end > found->high ? end : found->high;
}

/* What only the events after the start can tell. */
static ps_code look_ahead(ps__recovery *self, ps_error *err)
{
    const ps_memory_table *memory = &self->trace->memory;
    PS_TRY(list_ranges(self, err));
    for (size_t row = 0; row < memory->head.count; row++) {
        const uint8_t action = memory->action[row];
        if (!ps__recovery_is_ours(self, row)) {
            continue;
        }
        if (action == PS_ACTION_ALLOC || action == PS_ACTION_FREE ||
            action == PS_ACTION_FREE_COMPLETED) {
            settle_gap(self, row);
        } else if (action == PS_ACTION_SEGMENT_MAP || action == PS_ACTION_SEGMENT_UNMAP) {
            widen_range(self, row);
        }
    }
    for (size_t i = 0; i < self->out.segment_count; i++) {
        ps_start_segment *segment = &self->out.segment[i];
        for (size_t r = 0; r < self->range_count && segment->info.is_expandable; r++) {
            if (self->range[r].stream == segment->info.stream &&
                self->range[r].is_large == segment->info.is_large &&
                ps_pool_id_is_equal(self->range[r].pool, segment->info.pool)) {
                segment->range_addr = self->range[r].low;
            }
        }
    }
    return PS_OK;
}

/* What no event has settled. */
static ps_code list_doubts(ps__recovery *self, ps_error *err)
{
    ps_start_state *out = &self->out;
    out->doubt = ps_calloc(self->gap_count, sizeof *out->doubt);
    if (out->doubt == NULL) {
        return ps_fail_nomem(err);
    }
    for (size_t i = 0; i < self->gap_count; i++) {
        const ps__open_gap *gap = &self->gap[i];
        if (gap->gap_end > gap->rounded_end) {
            out->doubt[out->doubt_count++] = (ps_start_doubt){gap->block, PS_ALLOC_SMALL_BYTES};
            out->doubtful_bytes += PS_ALLOC_SMALL_BYTES;
        }
    }
    return PS_OK;
}

static void sum_up(ps_start_state *out)
{
    for (size_t i = 0; i < out->segment_count; i++) {
        out->reserved_bytes += out->segment[i].info.bytes;
    }
    for (size_t i = 0; i < out->block_count; i++) {
        if (out->block[i].state != PS_ALLOC_BLOCK_FREE) {
            out->active_bytes += out->block[i].bytes;
            out->requested_bytes += out->block[i].requested_bytes;
        }
    }
}

static ps_code recover(ps__recovery *self, ps_error *err)
{
    PS_TRY(ps__recovery_read_final_map(self, err));
    PS_TRY(ps__recovery_undo(self, err));
    sort_live(self);
    PS_TRY(tile_all(self, err));
    if (self->settings->is_expandable) {
        PS_TRY(ps__recovery_find_pools(self, err));
    }
    PS_TRY(look_ahead(self, err));
    PS_TRY(list_doubts(self, err));
    sum_up(&self->out);
    return PS_OK;
}

ps_code ps_start_state_recover(const ps_trace *trace, ps_alloc_device device,
                               const ps_alloc_settings *settings, ps_start_state *out,
                               ps_error *err)
{
    ps__recovery self = {.trace = trace, .settings = settings, .device = device};
    const char *sizes = ps_trace_meta(trace, PS_META_MEMORY_SIZES);
    if (sizes != NULL && strcmp(sizes, "requested") != 0) {
        return ps_fail(err, PS_UNSUPPORTED,
                       "the recording holds block sizes; its start state needs requested ones");
    }
    ps_idmap_init(&self.by_addr);
    const ps_code code = recover(&self, err);
    ps_idmap_fini(&self.by_addr);
    ps_free(self.span);
    ps_free(self.live);
    ps_free(self.gap);
    ps_free(self.range);
    if (code != PS_OK) {
        ps_start_state_fini(&self.out);
        return code;
    }
    *out = self.out;
    return PS_OK;
}

ps_code ps_start_state_seed(const ps_start_state *self, ps_allocator *model, ps_error *err)
{
    for (size_t i = 0; i < self->segment_count; i++) {
        const ps_start_segment *segment = &self->segment[i];
        const ps_alloc_seed seed = {.segment = segment->info,
                                    .block = &self->block[segment->first_block],
                                    .block_count = segment->block_count,
                                    .range_addr = segment->range_addr};
        PS_TRY(ps_allocator_seed(model, &seed, err));
    }
    return PS_OK;
}

void ps_start_state_widen(ps_start_state *self, size_t doubt, uint64_t bytes)
{
    move_border(self, self->doubt[doubt].block, bytes);
    self->doubt[doubt].most_bytes -= bytes;
    self->doubtful_bytes -= bytes;
    self->active_bytes += bytes;
}

void ps_start_state_fini(ps_start_state *self)
{
    ps_free(self->doubt);
    ps_free(self->segment);
    ps_free(self->block);
    memset(self, 0, sizeof *self);
}
