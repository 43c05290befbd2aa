/* SPDX-License-Identifier: MIT
 *
 * Rings in a mesh of NVLinks, by search: a cycle takes one link of each pair
 * that it joins; the answer is the largest number of cycles at a time. Meshes
 * have few GPUs and few links, and the search stops at the bound that the GPU
 * with fewest links sets.
 */
#include "cluster/cluster_store.h"

/* Steps after which the search is content with what it has. */
enum { MAX_STEPS = 1 << 20 };

typedef struct ring_search {
    uint32_t free[PS_MESH_MAX_GPUS][PS_MESH_MAX_GPUS]; /* links of a pair, by place in the group */
    uint32_t count;
    bool may_forward;
    uint32_t best, bound;
    uint32_t steps;
} ring_search;

static void next_cycle(ring_search *self, uint32_t found);

static void take(ring_search *self, uint32_t a, uint32_t b, int links)
{
    self->free[a][b] = (uint32_t)((int)self->free[a][b] + links);
    self->free[b][a] = self->free[a][b];
}

/* Goes from `at`, having visited the set `seen`, back to the first GPU. */
static void extend(ring_search *self, uint32_t at, uint32_t seen, uint32_t found)
{
    const bool is_complete = seen == (1u << self->count) - 1;
    self->steps++;
    for (uint32_t to = 0; to < self->count && self->steps < MAX_STEPS; to++) {
        const bool is_allowed = is_complete ? to == 0 : (seen & (1u << to)) == 0;
        if (!is_allowed || to == at) {
            continue;
        }
        if (self->free[at][to] > 0) {
            take(self, at, to, -1);
            is_complete ? next_cycle(self, found + 1) : extend(self, to, seen | 1u << to, found);
            take(self, at, to, 1);
        }
        for (uint32_t by = 0; self->may_forward && by < self->count; by++) {
            if (by == at || by == to || self->free[at][by] == 0 || self->free[by][to] == 0) {
                continue;
            }
            take(self, at, by, -1);
            take(self, by, to, -1);
            is_complete ? next_cycle(self, found + 1) : extend(self, to, seen | 1u << to, found);
            take(self, by, to, 1);
            take(self, at, by, 1);
            if (self->best >= self->bound) {
                return;
            }
        }
        if (self->best >= self->bound) {
            return;
        }
    }
}

static void next_cycle(ring_search *self, uint32_t found)
{
    if (found > self->best) {
        self->best = found;
    }
    if (self->best < self->bound && self->steps < MAX_STEPS) {
        extend(self, 0, 1, found);
    }
}

static uint32_t cycles(ring_search *self, bool may_forward)
{
    self->may_forward = may_forward;
    self->best = 0;
    self->steps = 0;
    self->bound = UINT32_MAX;
    for (uint32_t a = 0; a < self->count; a++) {
        uint32_t links = 0;
        for (uint32_t b = 0; b < self->count; b++) {
            links += self->free[a][b];
        }
        self->bound = links / 2 < self->bound ? links / 2 : self->bound;
    }
    next_cycle(self, 0);
    return self->best;
}

uint32_t ps_mesh_rings(const ps_node_kind *kind, const uint32_t *local, uint32_t count,
                       bool *is_forwarded)
{
    ring_search search = {.count = count};
    *is_forwarded = false;
    if (count < 2 || count > PS_MESH_MAX_GPUS) {
        return 0;
    }
    for (uint32_t a = 0; a < count; a++) {
        for (uint32_t b = 0; b < count; b++) {
            search.free[a][b] = a != b ? kind->links[local[a]][local[b]] : 0;
        }
    }
    if (count == 2) { /* there and back over the two directions of each link */
        return search.free[0][1];
    }
    uint32_t found = cycles(&search, false);
    if (found == 0) {
        found = cycles(&search, true);
        *is_forwarded = found > 0;
    }
    return 2 * found;
}
