/* SPDX-License-Identifier: MIT
 *
 * Allocator events. Recordings of two kinds say two things:
 *
 *   running totals (Kineto)   each total follows from the one before, in order of time
 *   the end state (snapshot)  followed backwards from the last event, every
 *                             allocation finds its block and every free a gap
 *
 * The way back decides everything, since the end is known; forwards, a free
 * without its allocation is just a block older than the recording.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/idmap.h"
#include "base/memory.h"
#include "trace/check_parts.h"

/* ---- order ---- */

/* A row and where it stands: rows of one place lie together, in order of time. */
typedef struct moment {
    uint64_t place; /* device and its kind */
    ps_ns time_ns;
    uint32_t row;
} moment;

static int compare_moments(const void *left, const void *right)
{
    const moment *a = left, *b = right;
    if (a->place != b->place) {
        return a->place < b->place ? -1 : 1;
    }
    if (a->time_ns != b->time_ns) {
        return a->time_ns < b->time_ns ? -1 : 1;
    }
    return a->row < b->row ? -1 : 1;
}

/* Owned by the caller; NULL without memory. Where the order of rows is the truth, it is taken for time. */
static moment *sort_rows(const ps_memory_table *memory, bool rows_are_ordered)
{
    moment *order = ps_calloc(memory->head.count, sizeof *order);
    for (size_t i = 0; order != NULL && i < memory->head.count; i++) {
        order[i] = (moment){(uint64_t)memory->device[i] << 8 | memory->device_kind[i],
                            rows_are_ordered ? (ps_ns)i : memory->time_ns[i], (uint32_t)i};
    }
    if (order != NULL) {
        qsort(order, memory->head.count, sizeof *order, compare_moments);
    }
    return order;
}

/* A stretch of moments: one place, or one time of a place. */
typedef struct stretch {
    const moment *moment;
    size_t count;
} stretch;

static void check_order(ps_checker *self, const stretch *place)
{
    const ps_memory_table *memory = &self->trace->memory;
    for (size_t i = 1; i < place->count; i++) {
        const uint32_t row = place->moment[i].row, before = place->moment[i - 1].row;
        if (row < before || memory->time_ns[row] < memory->time_ns[before]) {
            ps_checker_note(self, PS_RULE_MEMORY_ORDER, PS_TABLE_MEMORY, row,
                            "row %" PRIu32 " is of %" PRId64 " ns", before,
                            memory->time_ns[before]);
        }
    }
}

static bool is_alloc(uint8_t action)
{
    return action == PS_ACTION_ALLOC;
}

static bool is_free(uint8_t action)
{
    return action == PS_ACTION_FREE || action == PS_ACTION_FREE_REQUESTED;
}

/* ---- running totals ---- */

/*
 * Rows of one time may stand in any order, since clocks tick slower than the
 * allocator works. So what they sum up to must be the total of one of them.
 * `total` is the total before (+ 1, 0 unknown) and becomes the one after.
 */
static void check_totals_of_time(ps_checker *self, const stretch *now, uint64_t *total)
{
    const ps_memory_table *memory = &self->trace->memory;
    uint64_t expected = *total, last = 0;
    bool is_found = false;
    for (size_t i = 0; i < now->count; i++) {
        const uint32_t row = now->moment[i].row;
        const uint64_t bytes = memory->bytes[row];
        expected += is_alloc(memory->action[row])  ? bytes
                    : is_free(memory->action[row]) ? 0 - bytes
                                                   : 0;
    }
    for (size_t i = 0; i < now->count; i++) {
        const uint32_t row = now->moment[i].row;
        last = memory->total_allocated[row] != 0 ? memory->total_allocated[row] : last;
        is_found = is_found || memory->total_allocated[row] == expected;
    }
    if (last == 0) {
        return; /* no totals here */
    }
    if (*total != 0 && !is_found) {
        ps_checker_note(self, PS_RULE_TOTALS, PS_TABLE_MEMORY, now->moment[0].row,
                        "%" PRIu64 " bytes are allocated afterwards, expected %" PRIu64, last - 1,
                        expected - 1);
    }
    *total = *total != 0 && is_found ? expected : last;
}

static void check_totals(ps_checker *self, const stretch *place)
{
    const ps_memory_table *memory = &self->trace->memory;
    uint64_t total = 0;
    for (size_t i = 0; i < place->count;) {
        stretch now = {&place->moment[i], 1};
        while (i + now.count < place->count &&
               now.moment[now.count].time_ns == now.moment[0].time_ns) {
            now.count++;
        }
        check_totals_of_time(self, &now, &total);
        i += now.count;
    }
    for (size_t i = 0; i < place->count; i++) {
        const uint32_t row = place->moment[i].row;
        if (memory->total_reserved[row] != 0 &&
            memory->total_allocated[row] > memory->total_reserved[row]) {
            ps_checker_note(self, PS_RULE_ABOVE_RESERVED, PS_TABLE_MEMORY, row,
                            "%" PRIu64 " bytes allocated, %" PRIu64 " reserved",
                            memory->total_allocated[row] - 1, memory->total_reserved[row] - 1);
        }
    }
}

/* ---- forwards: blocks that are live ---- */

/* Rows of one time that are looked through for the free that belongs before an allocation. */
#define SAME_TIME_ROWS 64u

static bool is_freed_at_once(const ps_memory_table *memory, const stretch *place, size_t at)
{
    const moment *now = &place->moment[at];
    for (size_t i = at + 1;
         i < place->count && i < at + SAME_TIME_ROWS && place->moment[i].time_ns == now->time_ns;
         i++) {
        const uint32_t row = place->moment[i].row;
        if (is_free(memory->action[row]) && memory->addr[row] == memory->addr[now->row]) {
            return true;
        }
    }
    return false;
}

static ps_code follow_alloc(ps_checker *self, const stretch *place, size_t at, ps_idmap *live,
                            ps_error *err)
{
    const ps_memory_table *memory = &self->trace->memory;
    const uint32_t row = place->moment[at].row;
    const uint32_t owner = ps_idmap_get(live, memory->addr[row]);
    if (owner != PS_IDMAP_NONE && !is_freed_at_once(memory, place, at)) {
        ps_checker_note(self, PS_RULE_DUPLICATE_ALLOC, PS_TABLE_MEMORY, row,
                        "0x%" PRIx64 " was allocated by row %" PRIu32 " and not freed",
                        memory->addr[row], owner);
    }
    return ps_idmap_put(live, memory->addr[row], row, err);
}

static void follow_free(ps_checker *self, uint32_t row, ps_idmap *live)
{
    const ps_memory_table *memory = &self->trace->memory;
    const uint32_t owner = ps_idmap_take(live, memory->addr[row]);
    if (owner == PS_IDMAP_NONE) {
        ps_checker_note(self, PS_RULE_OLDER_BLOCK, PS_TABLE_MEMORY, row,
                        "0x%" PRIx64 " was not allocated in the recording", memory->addr[row]);
    } else if (memory->bytes[owner] != memory->bytes[row]) {
        ps_checker_note(self, PS_RULE_FREE_SIZE, PS_TABLE_MEMORY, row,
                        "frees %" PRIu64 " bytes, row %" PRIu32 " allocated %" PRIu64,
                        memory->bytes[row], owner, memory->bytes[owner]);
    }
}

static ps_code follow_blocks(ps_checker *self, const stretch *place, ps_idmap *live, ps_error *err)
{
    const ps_memory_table *memory = &self->trace->memory;
    for (size_t i = 0; i < place->count; i++) {
        const uint32_t row = place->moment[i].row;
        if (memory->addr[row] == 0) {
            continue;
        }
        if (is_alloc(memory->action[row])) {
            PS_TRY(follow_alloc(self, place, i, live, err));
        } else if (is_free(memory->action[row])) {
            follow_free(self, row, live);
        }
    }
    return PS_OK;
}

static ps_code check_place(ps_checker *self, const stretch *place, ps_error *err)
{
    ps_idmap live;
    check_order(self, place);
    /* the host's totals are those of single requests */
    if (self->trace->memory.device_kind[place->moment[0].row] != PS_DEVICE_HOST) {
        check_totals(self, place);
    }
    ps_idmap_init(&live);
    const ps_code code = follow_blocks(self, place, &live, err);
    ps_idmap_fini(&live);
    return code;
}

static ps_code check_forwards(ps_checker *self, bool rows_are_ordered, ps_error *err)
{
    const size_t count = self->trace->memory.head.count;
    ps_code code = PS_OK;
    moment *order = sort_rows(&self->trace->memory, rows_are_ordered);
    if (order == NULL) {
        return ps_fail_nomem(err);
    }
    for (size_t i = 0; i < count && code == PS_OK;) {
        stretch place = {&order[i], 1};
        while (i + place.count < count && order[i + place.count].place == order[i].place) {
            place.count++;
        }
        code = check_place(self, &place, err);
        i += place.count;
    }
    ps_free(order);
    return code;
}

/* ---- backwards from the end ---- */

/* Blocks in use at a moment, by device and address. */
static ps_code hold_end(const ps_trace *trace, ps_idmap *held, ps_error *err)
{
    const ps_block_table *block = &trace->block;
    for (size_t i = 0; i < block->head.count; i++) {
        if (block->state[i] != PS_BLOCK_INACTIVE) {
            PS_TRY(ps_idmap_put(held,
                                ps_check_key(block->device[i], PS_DEVICE_CUDA, block->addr[i]),
                                (uint32_t)i, err));
        }
    }
    return PS_OK;
}

static ps_code undo_event(ps_checker *self, size_t row, ps_idmap *held, ps_error *err)
{
    const ps_memory_table *memory = &self->trace->memory;
    const uint64_t key = ps_check_key(memory->device[row], PS_DEVICE_CUDA, memory->addr[row]);
    const bool is_held = ps_idmap_get(held, key) != PS_IDMAP_NONE;
    const uint8_t action = memory->action[row];
    if (memory->device_kind[row] == PS_DEVICE_HOST || memory->addr[row] == 0) {
        return PS_OK;
    }
    if (action == PS_ACTION_ALLOC || action == PS_ACTION_FREE_REQUESTED) {
        if (!is_held) {
            ps_checker_note(self, PS_RULE_HISTORY, PS_TABLE_MEMORY, row,
                            "0x%" PRIx64 " is %s here, yet neither freed later nor held at the end",
                            memory->addr[row],
                            action == PS_ACTION_ALLOC ? "allocated" : "about to be freed");
        }
        if (action == PS_ACTION_ALLOC) {
            (void)ps_idmap_take(held, key);
        }
        return PS_OK;
    }
    if (action == PS_ACTION_FREE || action == PS_ACTION_FREE_COMPLETED) {
        if (is_held) {
            ps_checker_note(self, PS_RULE_HISTORY, PS_TABLE_MEMORY, row,
                            "0x%" PRIx64 " is freed here, yet freed again or held later without an "
                            "allocation",
                            memory->addr[row]);
        }
        return ps_idmap_put(held, key, (uint32_t)row, err);
    }
    return PS_OK;
}

static ps_code check_backwards(ps_checker *self, ps_error *err)
{
    ps_idmap held;
    ps_idmap_init(&held);
    ps_code code = hold_end(self->trace, &held, err);
    for (size_t i = self->trace->memory.head.count; i > 0 && code == PS_OK; i--) {
        code = undo_event(self, i - 1, &held, err);
    }
    ps_idmap_fini(&held);
    return code;
}

/* ---- segments the trace knows ---- */

typedef struct extent {
    uint32_t device;
    uint64_t addr, end;
} extent;

static int compare_extents(const void *left, const void *right)
{
    const extent *a = left, *b = right;
    if (a->device != b->device) {
        return a->device < b->device ? -1 : 1;
    }
    return a->addr < b->addr ? -1 : a->addr > b->addr ? 1 : 0;
}

static bool is_segment_event(uint8_t action)
{
    return action >= PS_ACTION_SEGMENT_ALLOC && action <= PS_ACTION_SEGMENT_UNMAP;
}

/* All address ranges that were reserved at some time, in order, touching ones joined. */
static size_t join_extents(const ps_trace *trace, extent *out)
{
    const ps_segment_table *segment = &trace->segment;
    const ps_memory_table *memory = &trace->memory;
    size_t count = 0;
    for (size_t i = 0; i < segment->head.count; i++) {
        out[count++] =
            (extent){segment->device[i], segment->addr[i], segment->addr[i] + segment->bytes[i]};
    }
    for (size_t i = 0; i < memory->head.count; i++) {
        if (is_segment_event(memory->action[i])) {
            out[count++] =
                (extent){memory->device[i], memory->addr[i], memory->addr[i] + memory->bytes[i]};
        }
    }
    qsort(out, count, sizeof *out, compare_extents);
    size_t joined = 0;
    for (size_t i = 0; i < count; i++) {
        extent *last = joined == 0 ? NULL : &out[joined - 1];
        if (last != NULL && last->device == out[i].device && out[i].addr <= last->end) {
            last->end = out[i].end > last->end ? out[i].end : last->end;
        } else {
            out[joined++] = out[i];
        }
    }
    return joined;
}

static bool is_reserved(const extent *extents, size_t count, uint32_t device, uint64_t addr)
{
    size_t low = 0, high = count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const extent *e = &extents[middle];
        if (e->device < device || (e->device == device && e->end <= addr)) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < count && extents[low].device == device && extents[low].addr <= addr;
}

static ps_code check_orphans(ps_checker *self, ps_error *err)
{
    const ps_memory_table *memory = &self->trace->memory;
    extent *extents =
        ps_calloc(self->trace->segment.head.count + memory->head.count, sizeof *extents);
    if (extents == NULL) {
        return ps_fail_nomem(err);
    }
    const size_t count = join_extents(self->trace, extents);
    for (size_t i = 0; i < memory->head.count; i++) {
        if (is_alloc(memory->action[i]) && memory->device_kind[i] != PS_DEVICE_HOST &&
            !is_reserved(extents, count, memory->device[i], memory->addr[i])) {
            ps_checker_note(self, PS_RULE_ORPHAN, PS_TABLE_MEMORY, i,
                            "0x%" PRIx64 " lies in no segment", memory->addr[i]);
        }
    }
    ps_free(extents);
    return PS_OK;
}

ps_code ps_check_memory(ps_checker *self, ps_error *err)
{
    const char *source = ps_trace_meta(self->trace, PS_META_SOURCE);
    const bool has_end = self->trace->segment.head.count > 0 ||
                         (source != NULL && strcmp(source, "memory-snapshot") == 0);
    PS_TRY(check_forwards(self, has_end, err));
    if (has_end) {
        PS_TRY(check_backwards(self, err));
        PS_TRY(check_orphans(self, err));
    }
    return PS_OK;
}
