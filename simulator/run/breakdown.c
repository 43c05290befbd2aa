/* SPDX-License-Identifier: MIT
 *
 * What was live at the peak: buffers by role where known, else by who
 * allocated them; the small rest in one group.
 */
#include <stdlib.h>

#include "base/idmap.h"
#include "base/memory.h"
#include "run/memory_walk.h"

typedef struct grouping {
    ps_result_group *group;
    size_t count, capacity;
    ps_idmap by_key;
} grouping;

static ps_code add_to_group(grouping *g, const ps_memory_walk *walk, uint32_t buffer,
                            ps_error *err)
{
    const ps_plan *plan = walk->plan;
    const ps_role role = (ps_role)plan->buffer.role[buffer];
    const ps_str label = role == PS_ROLE_UNKNOWN ? plan->buffer.label[buffer] : 0;
    const uint64_t key = (uint64_t)role << 32 | label;
    uint32_t at = ps_idmap_get(&g->by_key, key);
    if (at == PS_IDMAP_NONE) {
        at = (uint32_t)g->count;
        PS_TRY(ps_grow((void **)&g->group, &g->capacity, g->count + 1, PS_TABLE_MAX_ROWS,
                       sizeof *g->group, err));
        PS_TRY(ps_idmap_put(&g->by_key, key, at, err));
        g->group[g->count++] = (ps_result_group){.role = role, .label = label};
    }
    const uint64_t bytes = walk->own_sizes ? plan->buffer.bytes[buffer] : walk->block_bytes[buffer];
    g->group[at].bytes += bytes;
    g->group[at].buffer_count++;
    g->group[at].largest_bytes = bytes > g->group[at].largest_bytes ? bytes
                                                                    : g->group[at].largest_bytes;
    return PS_OK;
}

/* Largest first; equal sizes by role, then by label, so that the order never depends on the sort. */
static int by_bytes(const void *a, const void *b)
{
    const ps_result_group *x = a, *y = b;
    if (x->bytes != y->bytes) {
        return x->bytes > y->bytes ? -1 : 1;
    }
    if (x->role != y->role) {
        return x->role < y->role ? -1 : 1;
    }
    return (x->label > y->label) - (x->label < y->label);
}

static void keep_largest(const grouping *g, ps_result_device *out)
{
    qsort(g->group, g->count, sizeof *g->group, by_bytes);
    for (size_t i = 0; i < g->count; i++) {
        if (i < PS_RESULT_MAX_GROUPS - 1 || g->count == PS_RESULT_MAX_GROUPS) {
            out->group[out->group_count++] = g->group[i];
            continue;
        }
        ps_result_group *rest = &out->group[PS_RESULT_MAX_GROUPS - 1];
        if (!rest->is_rest) {
            *rest = (ps_result_group){.is_rest = true};
            out->group_count = PS_RESULT_MAX_GROUPS;
        }
        rest->bytes += g->group[i].bytes;
        rest->buffer_count += g->group[i].buffer_count;
        rest->largest_bytes = g->group[i].largest_bytes > rest->largest_bytes
                                  ? g->group[i].largest_bytes
                                  : rest->largest_bytes;
    }
}

/* Which buffers are live after the peak's request. */
static void find_live(const ps_memory_walk *walk, bool *live)
{
    const ps_plan *plan = walk->plan;
    for (size_t b = 0; b < plan->buffer.head.count; b++) {
        live[b] = plan->buffer.device[b] == walk->device && plan->buffer.role[b] == PS_ROLE_BEFORE;
    }
    for (size_t i = 0; i < plan->block.head.count; i++) {
        /* waiting for another stream: active, but no longer allocated */
        if (plan->block.buffer[i] != 0 && plan->block.state[i] == PS_BLOCK_PENDING_FREE) {
            live[plan->block.buffer[i] - 1] = false;
        }
    }
    for (size_t row = 0; walk->peak_memop != SIZE_MAX && row <= walk->peak_memop; row++) {
        const ps_memop op = (ps_memop)plan->memop.op[row];
        if (plan->memop.device[row] == walk->device && op == PS_MEMOP_ALLOC) {
            live[plan->memop.buffer[row]] = true;
        } else if (plan->memop.device[row] == walk->device &&
                   (op == PS_MEMOP_FREE || op == PS_MEMOP_FREE_REQUEST)) {
            live[plan->memop.buffer[row]] = false;
        }
    }
}

static ps_code group_live(const ps_memory_walk *walk, const bool *live, grouping *g, ps_error *err)
{
    const ps_plan *plan = walk->plan;
    for (uint32_t b = 0; b < plan->buffer.head.count; b++) {
        if (live[b]) {
            PS_TRY(add_to_group(g, walk, b, err));
        }
    }
    const uint64_t base = plan->device.base_live_bytes[walk->device];
    if (base > 0) {
        ps_result_group *group;
        const uint64_t key = (uint64_t)PS_ROLE_BEFORE << 32;
        const uint32_t at = ps_idmap_get(&g->by_key, key);
        if (at == PS_IDMAP_NONE) {
            PS_TRY(ps_grow((void **)&g->group, &g->capacity, g->count + 1, PS_TABLE_MAX_ROWS,
                           sizeof *g->group, err));
            g->group[g->count++] = (ps_result_group){.role = PS_ROLE_BEFORE};
        }
        group = &g->group[at == PS_IDMAP_NONE ? g->count - 1 : at];
        group->bytes += base;
        group->buffer_count++;
    }
    keep_largest(g, walk->out);
    return PS_OK;
}

ps_code ps__run_breakdown(const ps_memory_walk *walk, ps_error *err)
{
    bool *live = ps_calloc(walk->plan->buffer.head.count, sizeof *live);
    grouping g = {0};
    const ps_code code = live == NULL ? ps_fail_nomem(err) : PS_OK;
    ps_code result = code;
    if (code == PS_OK) {
        find_live(walk, live);
        result = group_live(walk, live, &g, err);
    }
    ps_free(live);
    ps_free(g.group);
    ps_idmap_fini(&g.by_key);
    return result;
}
