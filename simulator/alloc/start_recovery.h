/* SPDX-License-Identifier: MIT
 *
 * State of recovering the start of a history, shared by its three steps:
 *
 *   final map ──undo events, last first──► spans and live blocks    start_undo.c
 *             ──sizes from gaps──► blocks and what stays open       start_tile.c
 *             ──events forwards──► settled sizes and ranges         start_state.c
 *
 * start_spans.c keeps the spans, start_pools.c finds the pools of segments that
 * are gone, start_gaps.c settles blocks whose end is open, start_ranges.c finds
 * where expandable ranges begin. A span is a driver segment or a run of mapped
 * pages. Spans are kept sorted by address
 * in one array: there are few, and they change rarely. Live blocks are found by
 * address; their order only matters at the end.
 */
#ifndef PS_ALLOC_START_RECOVERY_H
#define PS_ALLOC_START_RECOVERY_H

#include "alloc/sizes.h"
#include "alloc/start_state.h"
#include "base/idmap.h"

#define PS__RECOVERY_MAX_SPANS ((size_t)1 << 26)
#define PS__RECOVERY_MAX_BLOCKS ((size_t)1 << 30)

/** Which pool a span of pages belongs to, as far as known. */
typedef enum ps__span_class {
    PS__SPAN_UNKNOWN = 0, /* settled by the first request seen inside */
    PS__SPAN_SMALL,
    PS__SPAN_LARGE,
} ps__span_class;

typedef struct ps__span {
    uint64_t addr;
    uint64_t bytes;
    uint64_t stream;
    ps_pool_id pool;
    ps__span_class size_class;
    bool is_expandable;
    bool is_pool_unknown; /* given back on record, which names no pool */
    int64_t live_count;   /* of a driver segment */
} ps__span;

typedef struct ps__live_block {
    uint64_t addr;
    uint64_t bytes; /* 0: known only by its request */
    uint64_t requested_bytes;
    uint8_t state; /* PS_ALLOC_BLOCK_FREE: undone, no longer live */
} ps__live_block;

/**
 * A block whose end lies somewhere in (addr, gap_end], to be settled by an allocation
 * in its gap.
 */
typedef struct ps__open_gap {
    uint64_t addr;
    uint64_t rounded_end;
    uint64_t gap_end;
    size_t block;
    bool is_alive;
} ps__open_gap;

/**
 * An expandable address range at the start: where its pages lie, and whether any is
 * still mapped.
 */
typedef struct ps__start_range {
    uint64_t stream;
    ps_pool_id pool;
    bool is_large;
    uint64_t low;
    uint64_t high;
    uint64_t mapped_bytes;
} ps__start_range;

typedef struct ps__recovery {
    const ps_trace *trace;
    const ps_alloc_settings *settings;
    ps_alloc_device device;
    ps__span *span;
    size_t span_count, span_capacity;
    ps__live_block *live;
    size_t live_count, live_capacity;
    ps_idmap by_addr; /* live blocks */
    ps__open_gap *gap;
    size_t gap_count, gap_capacity;
    ps__start_range *range;
    size_t range_count, range_capacity;
    ps_start_state out;
    size_t out_block_capacity;
} ps__recovery;

/** true for rows of the device at hand. */
static inline bool ps__recovery_is_ours(const ps__recovery *self, size_t row)
{
    const ps_memory_table *memory = &self->trace->memory;
    return memory->device_kind[row] == self->device.kind &&
           memory->device[row] == self->device.ordinal;
}

/** Pool half that serves a request. */
static inline ps__span_class ps__recovery_class_of(const ps__recovery *self, uint64_t bytes)
{
    return ps__alloc_is_large(ps__alloc_round(self->settings, bytes)) ? PS__SPAN_LARGE
                                                                      : PS__SPAN_SMALL;
}

/** Index of the first span that starts after `addr`. */
size_t ps__spans_after(const ps__recovery *self, uint64_t addr);

/** The span that holds [addr, addr + bytes), or NULL. */
ps__span *ps__spans_holding(const ps__recovery *self, uint64_t addr, uint64_t bytes);

/** Adds a span; PS_BAD_INPUT when it overlaps another or lies off the 512-byte grid. */
ps_code ps__spans_insert(ps__recovery *self, const ps__span *added, ps_error *err) PS_MUST_USE;

void ps__spans_remove(ps__recovery *self, size_t at);

/** Joins the run of pages at an index with touching runs of the same range. */
void ps__spans_join(ps__recovery *self, size_t at);

/** Reads the final segments and blocks. */
ps_code ps__recovery_read_final_map(ps__recovery *self, ps_error *err) PS_MUST_USE;

/** Undoes every event of the device. */
ps_code ps__recovery_undo(ps__recovery *self, ps_error *err) PS_MUST_USE;

/** Makes segments and blocks of the spans and the live blocks, which it sorts. */
ps_code ps__recovery_tile(ps__recovery *self, ps_error *err) PS_MUST_USE;

/**
 * Notes that the block about to be written, at `addr`, ends anywhere from
 * rounded_end to 1 MiB behind it, gap_end at most (start_gaps.c).
 */
ps_code ps__gaps_add(ps__recovery *self, uint64_t addr, uint64_t rounded_end, uint64_t gap_end,
                     ps_error *err) PS_MUST_USE;

/** Lets an allocation or a free settle the gap it lies in: the first allocation in the gap behind a
 * live block starts where that block ends. */
void ps__gaps_settle(ps__recovery *self, size_t row);

/** Writes what no event has settled. */
ps_code ps__gaps_list_doubts(ps__recovery *self, ps_error *err) PS_MUST_USE;

/** One range for all runs of a stream and pool that are mapped at the start (start_ranges.c). */
ps_code ps__ranges_list(ps__recovery *self, ps_error *err) PS_MUST_USE;

/** Follows pages that are mapped or unmapped: those below all others show that the range begins
 * lower. */
void ps__ranges_follow(ps__recovery *self, size_t row);

/** Writes where the range of each segment begins. */
void ps__ranges_tell_segments(ps__recovery *self);

/** Pool of a span: the known one, or one of its own when it must be an unknown private pool. */
ps_pool_id ps__start_pool_of(const ps__recovery *self, const ps__span *where);

/** true for a pool made up by ps__start_pool_of. */
bool ps__start_pool_is_own(ps_pool_id pool);

/**
 * Finds the true pool of segments with one of their own where their release tells
 * (start_pools.c).
 */
ps_code ps__recovery_find_pools(ps__recovery *self, ps_error *err) PS_MUST_USE;

#endif
