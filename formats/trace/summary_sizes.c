/* SPDX-License-Identifier: MIT
 *
 * Block sizes from requested sizes and addresses, for PyTorch's allocator
 * with settings that leave its way of splitting alone. Expandable segments
 * split everything, so there a block is its request rounded up.
 */
#include <string.h>

#include "base/checked.h"
#include "base/idmap.h"
#include "trace/address_set.h"
#include "trace/summary_parts.h"

#define MIB ((uint64_t)1 << 20)
/* Rests up to this stay with the block in the large pool. */
#define LARGE_REST_BYTES MIB
#define SMALL_SEGMENT_BYTES (2 * MIB)

/* Memory of a device while it is followed back. */
typedef struct heap {
    const ps_trace *trace;
    uint32_t device;
    uint32_t *units;
    bool has_rests;        /* blocks can be larger than their requests */
    ps_address_set blocks; /* starts of blocks in use */
    ps_address_set ends;   /* of segments */
    ps_idmap large_ends;   /* ends of segments of the large pool */
    ps_idmap freed;        /* block in use -> row of the free to come */
} heap;

uint32_t ps_block_units(uint64_t bytes)
{
    const uint64_t units = ps_round_up_u64(bytes, PS_BLOCK_UNIT_BYTES) / PS_BLOCK_UNIT_BYTES;
    return units < PS_IDMAP_NONE ? (uint32_t)units : PS_IDMAP_NONE - 1;
}

/* ---- what can be known of the device ---- */

static bool splits_as_usual(const ps_trace *trace, uint32_t device)
{
    const char *conf = ps_trace_meta(trace, PS_META_ALLOCATOR_CONF);
    if (conf != NULL && (strstr(conf, "max_split_size_mb") != NULL ||
                         strstr(conf, "roundup_power2_divisions") != NULL)) {
        return false;
    }
    for (size_t i = 0; i < trace->segment.head.count; i++) {
        if (trace->segment.device[i] == device && trace->segment.is_expandable[i] != 0) {
            return false;
        }
    }
    for (size_t i = 0; i < trace->memory.head.count; i++) {
        if (ps_memory_is_of(&trace->memory, i, device) &&
            (trace->memory.action[i] == PS_ACTION_SEGMENT_MAP ||
             trace->memory.action[i] == PS_ACTION_SEGMENT_UNMAP)) {
            return false;
        }
    }
    return true;
}

static ps_code offer_addresses(heap *self, ps_error *err)
{
    const ps_trace *trace = self->trace;
    for (size_t i = 0; i < trace->block.head.count; i++) {
        if (trace->block.device[i] == self->device) {
            PS_TRY(ps_address_set_offer(&self->blocks, trace->block.addr[i], err));
            PS_TRY(ps_address_set_offer(&self->ends, trace->block.addr[i], err));
        }
    }
    for (size_t i = 0; i < trace->segment.head.count; i++) {
        PS_TRY(ps_address_set_offer(&self->ends, trace->segment.addr[i] + trace->segment.bytes[i],
                                    err));
    }
    for (size_t i = 0; i < trace->memory.head.count; i++) {
        const uint64_t addr = trace->memory.addr[i];
        if (ps_memory_is_of(&trace->memory, i, self->device)) {
            PS_TRY(ps_address_set_offer(&self->blocks, addr, err));
            PS_TRY(ps_address_set_offer(&self->ends, addr, err));
            PS_TRY(ps_address_set_offer(&self->ends, addr + trace->memory.bytes[i], err));
        }
    }
    PS_TRY(ps_address_set_seal(&self->blocks, err));
    return ps_address_set_seal(&self->ends, err);
}

static ps_code add_segment(heap *self, uint64_t addr, uint64_t bytes, bool is_large, ps_error *err)
{
    ps_address_set_put(&self->ends, addr + bytes);
    return is_large ? ps_idmap_put(&self->large_ends, addr + bytes, 1, err) : PS_OK;
}

static ps_code start_at_end(heap *self, ps_error *err)
{
    const ps_segment_table *segment = &self->trace->segment;
    const ps_block_table *block = &self->trace->block;
    for (size_t i = 0; i < segment->head.count; i++) {
        if (segment->device[i] == self->device) {
            PS_TRY(add_segment(self, segment->addr[i], segment->bytes[i], segment->is_large[i] != 0,
                               err));
        }
    }
    for (size_t i = 0; i < block->head.count; i++) {
        if (block->device[i] == self->device && block->state[i] != PS_BLOCK_INACTIVE) {
            ps_address_set_put(&self->blocks, block->addr[i]);
        }
    }
    return PS_OK;
}

/* ---- the way back ---- */

/* Units of a block at this moment: its request, and the rest behind it if that is too small to be free. */
static uint32_t units_now(const heap *self, size_t row)
{
    const uint64_t addr = self->trace->memory.addr[row];
    const uint32_t asked = ps_block_units(self->trace->memory.bytes[row]);
    const uint64_t segment_end = ps_address_set_next(&self->ends, addr);
    const uint64_t next_block = ps_address_set_next(&self->blocks, addr);
    const uint64_t limit = next_block < segment_end ? next_block : segment_end;
    const uint64_t end = addr + (uint64_t)asked * PS_BLOCK_UNIT_BYTES;
    if (!self->has_rests || segment_end == UINT64_MAX || limit < end ||
        limit - end > LARGE_REST_BYTES ||
        ps_idmap_get(&self->large_ends, segment_end) == PS_IDMAP_NONE) {
        return asked;
    }
    return asked + ps_block_units(limit - end);
}

static void undo_alloc(heap *self, size_t row)
{
    const uint64_t addr = self->trace->memory.addr[row];
    const uint32_t freed = ps_idmap_take(&self->freed, addr);
    self->units[row] = units_now(self, row);
    if (freed != PS_IDMAP_NONE) {
        self->units[freed] = self->units[row];
    }
    ps_address_set_take(&self->blocks, addr);
}

/* The allocation that belongs to it, if it was recorded, corrects the size later. */
static ps_code undo_free(heap *self, size_t row, ps_error *err)
{
    const uint64_t addr = self->trace->memory.addr[row];
    ps_address_set_put(&self->blocks, addr);
    self->units[row] = units_now(self, row);
    return ps_idmap_put(&self->freed, addr, (uint32_t)row, err);
}

static ps_code undo_row(heap *self, size_t row, ps_error *err)
{
    const ps_memory_table *memory = &self->trace->memory;
    const uint64_t addr = memory->addr[row], bytes = memory->bytes[row];
    switch ((ps_memory_action)memory->action[row]) {
    case PS_ACTION_ALLOC:
        undo_alloc(self, row);
        return PS_OK;
    case PS_ACTION_FREE:
    case PS_ACTION_FREE_REQUESTED:
        return undo_free(self, row, err);
    case PS_ACTION_FREE_COMPLETED: /* until then nothing else can lie there */
        ps_address_set_put(&self->blocks, addr);
        return PS_OK;
    case PS_ACTION_SEGMENT_FREE:
        return add_segment(self, addr, bytes, bytes > SMALL_SEGMENT_BYTES, err);
    case PS_ACTION_SEGMENT_ALLOC:
        ps_address_set_take(&self->ends, addr + bytes);
        (void)ps_idmap_take(&self->large_ends, addr + bytes);
        return PS_OK;
    case PS_ACTION_SEGMENT_MAP:
    case PS_ACTION_SEGMENT_UNMAP:
    case PS_ACTION_OOM:
    case PS_ACTION_SNAPSHOT:
        break;
    }
    return PS_OK;
}

static ps_code follow_back(heap *self, ps_error *err)
{
    const ps_memory_table *memory = &self->trace->memory;
    PS_TRY(offer_addresses(self, err));
    PS_TRY(start_at_end(self, err));
    for (size_t i = memory->head.count; i > 0; i--) {
        if (ps_memory_is_of(memory, i - 1, self->device)) {
            PS_TRY(undo_row(self, i - 1, err));
        }
    }
    return PS_OK;
}

ps_code ps_summary_block_sizes(const ps_trace *trace, uint32_t device, uint32_t *units,
                               ps_error *err)
{
    heap self = {.trace = trace, .device = device, .units = units};
    self.has_rests = splits_as_usual(trace, device);
    ps_address_set_init(&self.blocks);
    ps_address_set_init(&self.ends);
    ps_idmap_init(&self.large_ends);
    ps_idmap_init(&self.freed);
    const ps_code code = follow_back(&self, err);
    ps_address_set_fini(&self.blocks);
    ps_address_set_fini(&self.ends);
    ps_idmap_fini(&self.large_ends);
    ps_idmap_fini(&self.freed);
    return code;
}
