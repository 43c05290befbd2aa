/* SPDX-License-Identifier: MIT
 *
 * What was live at the peak: buffers by role where known, else by who
 * allocated them; the small rest in one group.
 */
#include <stdlib.h>
#include <string.h>

#include "base/idmap.h"
#include "base/memory.h"
#include "run/memory_walk.h"

typedef struct entry {
    ps_result_group group;
    const char *text; /* of the label: ids depend on the order in which texts were first seen */
} entry;

typedef struct grouping {
    entry *entry;
    size_t count, capacity;
    ps_idmap by_key;
} grouping;

/* The group of a role and label, made at first use. */
static ps_code find_group(grouping *g, const ps_plan *plan, ps_role role, ps_str label,
                          ps_result_group **out, ps_error *err)
{
    const uint64_t key = (uint64_t)role << 32 | label;
    uint32_t at = ps_idmap_get(&g->by_key, key);
    if (at == PS_IDMAP_NONE) {
        at = (uint32_t)g->count;
        PS_TRY(ps_grow((void **)&g->entry, &g->capacity, g->count + 1, PS_TABLE_MAX_ROWS,
                       sizeof *g->entry, err));
        PS_TRY(ps_idmap_put(&g->by_key, key, at, err));
        g->entry[g->count++] = (entry){.group = {.role = role, .label = label},
                                       .text = ps_strings_text(plan->strings, label)};
    }
    *out = &g->entry[at].group;
    return PS_OK;
}

static void add_bytes(ps_result_group *group, uint64_t bytes)
{
    group->bytes += bytes;
    group->buffer_count++;
    group->largest_bytes = bytes > group->largest_bytes ? bytes : group->largest_bytes;
}

static void count_growth(ps_result_device *out, ps_growth growth, uint64_t bytes)
{
    out->is_scaled = out->is_scaled || growth != PS_GROWTH_UNKNOWN;
    out->growth_bytes[growth] += bytes;
    out->growth_count[growth]++;
}

/* Of the model's own tensors there is nothing to say beyond what they are. */
static bool shows_label(ps_role role)
{
    return role == PS_ROLE_UNKNOWN || role == PS_ROLE_ACTIVATION || role == PS_ROLE_TEMPORARY ||
           role == PS_ROLE_WORKSPACE || role == PS_ROLE_INPUT;
}

static ps_code add_to_group(grouping *g, const ps_memory_walk *walk, uint32_t buffer, ps_error *err)
{
    const ps_plan *plan = walk->plan;
    const ps_role role = (ps_role)plan->buffer.role[buffer];
    const ps_str label = shows_label(role) ? plan->buffer.label[buffer] : 0;
    ps_result_group *group = NULL;
    PS_TRY(find_group(g, plan, role, label, &group, err));
    const uint64_t bytes = walk->own_sizes ? plan->buffer.bytes[buffer] : walk->block_bytes[buffer];
    add_bytes(group, bytes);
    count_growth(walk->out, (ps_growth)plan->buffer.growth[buffer], bytes);
    return PS_OK;
}

/* Largest first; equal sizes by role, then by label, so that the order never depends on the sort. */
static int by_bytes(const void *a, const void *b)
{
    const entry *x = a, *y = b;
    if (x->group.bytes != y->group.bytes) {
        return x->group.bytes > y->group.bytes ? -1 : 1;
    }
    if (x->group.role != y->group.role) {
        return x->group.role < y->group.role ? -1 : 1;
    }
    return strcmp(x->text, y->text);
}

static void keep_largest(const grouping *g, ps_result_device *out)
{
    if (g->count > 0) {
        qsort(g->entry, g->count, sizeof *g->entry, by_bytes);
    }
    for (size_t i = 0; i < g->count; i++) {
        const ps_result_group *group = &g->entry[i].group;
        if (i < PS_RESULT_MAX_GROUPS - 1 || g->count == PS_RESULT_MAX_GROUPS) {
            out->group[out->group_count++] = *group;
            continue;
        }
        ps_result_group *rest = &out->group[PS_RESULT_MAX_GROUPS - 1];
        if (!rest->is_rest) {
            *rest = (ps_result_group){.is_rest = true};
            out->group_count = PS_RESULT_MAX_GROUPS;
        }
        rest->bytes += group->bytes;
        rest->buffer_count += group->buffer_count;
        rest->largest_bytes =
            group->largest_bytes > rest->largest_bytes ? group->largest_bytes : rest->largest_bytes;
    }
}

/* Which buffers are live after the peak's request. */
static void find_live(const ps_memory_walk *walk, bool *live)
{
    const ps_plan *plan = walk->plan;
    for (size_t b = 0; b < plan->buffer.head.count; b++) {
        live[b] = plan->buffer.device[b] == walk->device &&
                  plan->buffer.role[b] == PS_ROLE_BEFORE && walk->block_bytes[b] > 0;
    }
    for (size_t i = 0; i < plan->block.head.count; i++) {
        /* waiting for another stream: active, but no longer allocated */
        if (plan->block.buffer[i] != 0 && plan->block.state[i] == PS_BLOCK_PENDING_FREE) {
            live[plan->block.buffer[i] - 1] = false;
        }
    }
    const ps_run_rows rows = ps__run_memops_of(plan, walk->device);
    for (size_t row = rows.first; walk->peak_memop != SIZE_MAX && row <= walk->peak_memop; row++) {
        const ps_memop op = (ps_memop)plan->memop.op[row];
        if (plan->memop.device[row] != walk->device || ps_plan_memop_is_of_host(plan, row)) {
            continue;
        }
        if (op == PS_MEMOP_ALLOC) {
            live[plan->memop.buffer[row]] = true;
        } else if (op == PS_MEMOP_FREE || op == PS_MEMOP_FREE_REQUEST) {
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
    if (walk->base_block_bytes > 0) {
        ps_result_group *group = NULL;
        PS_TRY(find_group(g, plan, PS_ROLE_BEFORE, 0, &group, err));
        add_bytes(group, walk->base_block_bytes);
        if (walk->out->is_scaled) {
            count_growth(walk->out, PS_GROWTH_FIXED, walk->base_block_bytes);
        }
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
    ps_free(g.entry);
    ps_idmap_fini(&g.by_key);
    return result;
}
