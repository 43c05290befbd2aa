/* SPDX-License-Identifier: MIT
 *
 * Recorded peaks of one device.
 *
 * Without totals the only fixed point is the end. Followed backwards, an
 * allocation takes its block away and a free brings it back. How large blocks
 * are is summary_sizes.c's matter; those in use at the end tell themselves.
 */
#include "base/idmap.h"
#include "base/memory.h"
#include "trace/summary.h"
#include "trace/summary_parts.h"

/* A level that is followed backwards. */
typedef struct level {
    uint64_t now, peak;
    bool is_broken; /* fell below zero: events and end state contradict each other */
} level;

static void raise_level(level *self, uint64_t bytes)
{
    self->is_broken = !ps_add_u64(self->now, bytes, &self->now) || self->is_broken;
    self->peak = self->now > self->peak ? self->now : self->peak;
}

static void lower_level(level *self, uint64_t bytes)
{
    self->is_broken = self->is_broken || bytes > self->now;
    self->now -= bytes > self->now ? self->now : bytes;
}

static void raise_known(ps_known_bytes *known, uint64_t total_plus_1)
{
    if (total_plus_1 > 0) {
        known->bytes = total_plus_1 - 1 > known->bytes ? total_plus_1 - 1 : known->bytes;
        known->is_known = true;
    }
}

static void find_totals(const ps_memory_table *memory, uint32_t device, ps_known_bytes *allocated,
                        ps_known_bytes *reserved)
{
    for (size_t i = 0; i < memory->head.count; i++) {
        if (ps_memory_is_of(memory, i, device)) {
            raise_known(allocated, memory->total_allocated[i]);
            raise_known(reserved, memory->total_reserved[i]);
        }
    }
}

/* One device on the way back. */
typedef struct walk {
    const ps_trace *trace;
    uint32_t device;
    const uint32_t *units; /* of the blocks of memory rows */
    ps_idmap held;         /* units of the blocks in use at the end, by address */
    level allocated, reserved;
} walk;

static ps_code start_at_end(walk *self, ps_error *err)
{
    const ps_segment_table *segment = &self->trace->segment;
    const ps_block_table *block = &self->trace->block;
    for (size_t i = 0; i < segment->head.count; i++) {
        if (segment->device[i] == self->device) {
            raise_level(&self->reserved, segment->bytes[i]);
        }
    }
    for (size_t i = 0; i < block->head.count; i++) {
        if (block->device[i] != self->device || block->state[i] == PS_BLOCK_INACTIVE) {
            continue;
        }
        /* the program has let go of a pending block already */
        raise_level(&self->allocated, block->state[i] == PS_BLOCK_ALLOCATED ? block->bytes[i] : 0);
        PS_TRY(ps_idmap_put(&self->held, block->addr[i], ps_block_units(block->bytes[i]), err));
    }
    return PS_OK;
}

static void undo_row(walk *self, size_t row)
{
    const ps_memory_table *memory = &self->trace->memory;
    const uint64_t block_bytes = (uint64_t)self->units[row] * PS_BLOCK_UNIT_BYTES;
    uint32_t held;
    switch ((ps_memory_action)memory->action[row]) {
    case PS_ACTION_ALLOC:
        held = ps_idmap_take(&self->held, memory->addr[row]);
        lower_level(&self->allocated,
                    held == PS_IDMAP_NONE ? block_bytes : (uint64_t)held * PS_BLOCK_UNIT_BYTES);
        break;
    case PS_ACTION_FREE:
    case PS_ACTION_FREE_REQUESTED:
        (void)ps_idmap_take(&self->held, memory->addr[row]);
        raise_level(&self->allocated, block_bytes);
        break;
    case PS_ACTION_SEGMENT_ALLOC:
    case PS_ACTION_SEGMENT_MAP:
        lower_level(&self->reserved, memory->bytes[row]);
        break;
    case PS_ACTION_SEGMENT_FREE:
    case PS_ACTION_SEGMENT_UNMAP:
        raise_level(&self->reserved, memory->bytes[row]);
        break;
    case PS_ACTION_FREE_COMPLETED:
    case PS_ACTION_OOM:
    case PS_ACTION_SNAPSHOT:
        break;
    }
}

static ps_code walk_back(walk *self, ps_error *err)
{
    PS_TRY(start_at_end(self, err));
    for (size_t i = self->trace->memory.head.count; i > 0; i--) {
        if (ps_memory_is_of(&self->trace->memory, i - 1, self->device)) {
            undo_row(self, i - 1);
        }
    }
    return PS_OK;
}

static ps_code find_by_end(const ps_trace *trace, uint32_t device, ps_known_bytes *allocated,
                           ps_known_bytes *reserved, ps_error *err)
{
    uint32_t *units = ps_calloc(trace->memory.head.count, sizeof *units);
    if (units == NULL) {
        return ps_fail_nomem(err);
    }
    walk self = {.trace = trace, .device = device, .units = units};
    ps_idmap_init(&self.held);
    ps_code code = ps_summary_block_sizes(trace, device, units, err);
    code = code == PS_OK ? walk_back(&self, err) : code;
    if (code == PS_OK) {
        *allocated = (ps_known_bytes){!self.allocated.is_broken, self.allocated.peak};
        *reserved = (ps_known_bytes){!self.reserved.is_broken, self.reserved.peak};
    }
    ps_idmap_fini(&self.held);
    ps_free(units);
    return code;
}

ps_code ps_trace_recorded_peaks(const ps_trace *trace, uint32_t device, ps_known_bytes *allocated,
                                ps_known_bytes *reserved, ps_error *err)
{
    *allocated = (ps_known_bytes){0};
    *reserved = (ps_known_bytes){0};
    find_totals(&trace->memory, device, allocated, reserved);
    if (allocated->is_known || reserved->is_known || trace->segment.head.count == 0) {
        return PS_OK;
    }
    return find_by_end(trace, device, allocated, reserved, err);
}
