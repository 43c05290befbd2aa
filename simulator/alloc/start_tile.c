/* SPDX-License-Identifier: MIT
 *
 * Blocks at the start: live ones and what is free between them tile each span.
 * Where a live block is known by its request alone, the gap up to the next one
 * may tell its size; where it does not, the gap stays open.
 */
#include <stdlib.h>

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
            PS_TRY(ps__gaps_add(self, live->addr, live->addr + bytes, limit, err));
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

ps_code ps__recovery_tile(ps__recovery *self, ps_error *err)
{
    size_t next = 0;
    sort_live(self);
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
