/* SPDX-License-Identifier: MIT
 *
 * Whose was a driver segment that is given back on record? With expandable
 * segments it was some private pool's, and records name no pool when a segment
 * goes. Dead pools are released one after the other, so a segment that goes
 * between two of the same pool belongs to that pool. Any other one keeps a
 * pool of its own: no request comes for it, and it dies when it is given back.
 */
#include "alloc/start_recovery.h"

bool ps__start_pool_is_own(ps_pool_id pool)
{
    return pool.owner == UINT64_MAX;
}

ps_pool_id ps__start_pool_of(const ps__recovery *self, const ps__span *where)
{
    const bool is_some_private = where->is_pool_unknown && !where->is_expandable &&
                                 self->settings->is_expandable &&
                                 ps_pool_id_is_default(where->pool);
    return is_some_private ? (ps_pool_id){UINT64_MAX, where->addr} : where->pool;
}

static ps_start_segment *segment_at(const ps__recovery *self, uint64_t addr)
{
    size_t low = 0;
    size_t high = self->out.segment_count;
    while (low < high) {
        const size_t mid = low + (high - low) / 2;
        if (self->out.segment[mid].info.addr < addr) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low < self->out.segment_count && self->out.segment[low].info.addr == addr
               ? &self->out.segment[low]
               : NULL;
}

/* Where the pool of a segment given back at a row is written. */
typedef struct origin {
    size_t alloc_row;        /* SIZE_MAX: it was there at the start */
    ps_start_segment *start; /* then this one */
} origin;

static ps_pool_id pool_at(const ps__recovery *self, origin from)
{
    const ps_memory_table *memory = &self->trace->memory;
    if (from.start != NULL) {
        return from.start->info.pool;
    }
    return (ps_pool_id){memory->pool_owner[from.alloc_row], memory->pool_serial[from.alloc_row]};
}

/* State of the scan: the last known pool of the run of releases, and those without one since. */
typedef struct scan {
    ps_idmap alloc_row; /* segment address -> row of its latest allocation */
    bool has_known;
    ps_pool_id known;
    size_t unknown_first_row;
} scan;

static origin origin_of(const ps__recovery *self, const scan *at, uint64_t addr)
{
    const uint32_t row = ps_idmap_get(&at->alloc_row, addr);
    return row != PS_IDMAP_NONE ? (origin){row, NULL} : (origin){SIZE_MAX, segment_at(self, addr)};
}

/* The segments given back in the rows first .. end belong to a pool. */
static void assign(ps__recovery *self, size_t first, size_t end, ps_pool_id pool)
{
    for (size_t row = first; row < end; row++) {
        ps_start_segment *segment = segment_at(self, self->trace->memory.addr[row]);
        if (segment != NULL && ps__start_pool_is_own(segment->info.pool)) {
            segment->info.pool = pool;
        }
    }
}

static void see_release(ps__recovery *self, scan *at, size_t row)
{
    const origin from = origin_of(self, at, self->trace->memory.addr[row]);
    if (from.start == NULL && from.alloc_row == SIZE_MAX) {
        at->has_known = false;
        return;
    }
    const ps_pool_id pool = pool_at(self, from);
    if (ps__start_pool_is_own(pool)) {
        return;
    }
    if (at->has_known && ps_pool_id_is_equal(at->known, pool)) {
        assign(self, at->unknown_first_row, row, pool);
    }
    at->has_known = true;
    at->known = pool;
    at->unknown_first_row = row + 1;
}

ps_code ps__recovery_find_pools(ps__recovery *self, ps_error *err)
{
    const ps_memory_table *memory = &self->trace->memory;
    scan at = {.has_known = false};
    ps_code code = PS_OK;
    ps_idmap_init(&at.alloc_row);
    for (size_t row = 0; row < memory->head.count && code == PS_OK; row++) {
        if (!ps__recovery_is_ours(self, row)) {
            continue;
        }
        if (memory->action[row] == PS_ACTION_SEGMENT_FREE) {
            see_release(self, &at, row);
            (void)ps_idmap_take(&at.alloc_row, memory->addr[row]);
            continue;
        }
        at.has_known = false;
        if (memory->action[row] == PS_ACTION_SEGMENT_ALLOC) {
            code = ps_idmap_put(&at.alloc_row, memory->addr[row], (uint32_t)row, err);
        }
    }
    ps_idmap_fini(&at.alloc_row);
    return code;
}
