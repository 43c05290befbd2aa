/* SPDX-License-Identifier: MIT
 *
 * Going through a group node by node.
 */
#include "cluster/cluster_walk.h"

#include <stdlib.h>

#include "base/memory.h"

static int ascending(const void *a, const void *b)
{
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static uint32_t node_of(const ps_cluster *cluster, uint32_t seat)
{
    return seat / cluster->info.gpus_per_node;
}

static uint32_t rank_at(const ps_cluster *cluster, uint32_t seat)
{
    const uint32_t local = seat % cluster->info.gpus_per_node;
    return cluster->is_cyclic ? local * cluster->info.nodes + node_of(cluster, seat) : seat;
}

static ps_code check_group(ps_walk *self, const ps_group *group, ps_error *err)
{
    const ps_cluster *cluster = self->cluster;
    for (uint32_t i = 0; i < group->count; i++) {
        if (group->rank[i] >= cluster->info.gpus) {
            return ps_fail(err, PS_USAGE, "a group has rank %u, but the cluster has %u GPUs",
                           (unsigned)group->rank[i], (unsigned)cluster->info.gpus);
        }
        self->seat[i] = ps_cluster_seat(cluster, group->rank[i]);
    }
    qsort(self->seat, self->count, sizeof *self->seat, ascending);
    for (uint32_t i = 0; i < self->count; i++) {
        if (i > 0 && self->seat[i] == self->seat[i - 1]) {
            return ps_fail(err, PS_USAGE, "a group has rank %u twice",
                           (unsigned)rank_at(cluster, self->seat[i]));
        }
        const uint32_t node = node_of(cluster, self->seat[i]);
        if (self->nodes == 0 || node != self->node[self->nodes - 1]) {
            self->node[self->nodes] = node;
            self->nodes++;
        }
    }
    self->times = ps_calloc((size_t)self->nodes * cluster->links_per_node, sizeof *self->times);
    return self->times != NULL ? PS_OK : ps_fail_nomem(err);
}

void ps_walk_end(ps_walk *self)
{
    ps_free(self->seat);
    ps_free(self->node);
    ps_free(self->times);
}

ps_code ps_walk_begin(ps_walk *self, const ps_cluster *cluster, const ps_group *group,
                      ps_error *err)
{
    *self = (ps_walk){.cluster = cluster, .count = group->count};
    if (group->count == 0 || group->count > cluster->info.gpus) {
        return ps_fail(err, PS_USAGE, "a group of %u ranks in a cluster of %u GPUs",
                       (unsigned)group->count, (unsigned)cluster->info.gpus);
    }
    self->seat = ps_calloc(group->count, sizeof *self->seat);
    self->node = ps_calloc(group->count, sizeof *self->node);
    const ps_code code = self->seat != NULL && self->node != NULL ? check_group(self, group, err)
                                                                  : ps_fail_nomem(err);
    if (code != PS_OK) {
        ps_walk_end(self);
    }
    return code;
}

bool ps_walk_next_crossing(const ps_walk *self, size_t *at, ps_crossing *out)
{
    const uint32_t links = self->cluster->links_per_node;
    while (*at < (size_t)self->nodes * links) {
        const size_t i = *at;
        (*at)++;
        if (self->times[i] > 0) {
            out->link = self->node[i / links] * links + (uint32_t)(i % links);
            out->times = self->times[i];
            return true;
        }
    }
    return false;
}

/* Steps to the next node with members; begin with a zero share. */
bool ps_walk_next(const ps_walk *self, ps_walk_share *at)
{
    const ps_cluster *cluster = self->cluster;
    at->first += at->count;
    at->count = 0;
    if (at->first == self->count) {
        return false;
    }
    at->node = node_of(cluster, self->seat[at->first]);
    while (at->first + at->count < self->count &&
           node_of(cluster, self->seat[at->first + at->count]) == at->node) {
        at->count++;
    }
    return true;
}

uint32_t ps_walk_member(const ps_walk *self, const ps_walk_share *at, uint32_t i)
{
    return self->seat[at->first + i] % self->cluster->info.gpus_per_node;
}

uint32_t ps_walk_rings(const ps_walk *self, const ps_walk_share *at, bool *is_forwarded)
{
    uint32_t local[PS_MESH_MAX_GPUS];
    if (at->count > PS_MESH_MAX_GPUS) {
        return 0;
    }
    for (uint32_t i = 0; i < at->count; i++) {
        local[i] = ps_walk_member(self, at, i);
    }
    return ps_mesh_rings(&self->cluster->kind, local, at->count, is_forwarded);
}

/* GPUs beside the same ports: those of a PCIe switch, or as many as there are to a port. */
static uint32_t gpus_per_rail(const ps_cluster *self)
{
    const ps_node_kind *kind = &self->kind;
    const uint32_t per_port = (kind->gpus + self->info.nics - 1) / self->info.nics;
    return per_port > kind->gpus_per_switch ? per_port : kind->gpus_per_switch;
}

/* No member sits beside a port of the node. */
static bool is_far(const ps_walk *self, const ps_walk_share *at)
{
    for (uint32_t i = 0; i < at->count; i++) {
        if ((self->cluster->kind.near_gpus >> ps_walk_member(self, at, i) & 1) != 0) {
            return false;
        }
    }
    return true;
}

bool ps_walk_changes_rail(const ps_walk *self, const ps_walk_share *at)
{
    if (self->cluster->kind.near_gpus != 0) {
        return is_far(self, at);
    }
    if (self->cluster->info.nics == 0 || at->count < 2) {
        return false;
    }
    const uint32_t width = gpus_per_rail(self->cluster);
    for (uint32_t i = 1; i < at->count; i++) {
        if (ps_walk_member(self, at, i) / width == ps_walk_member(self, at, i - 1) / width) {
            return false; /* members ascend */
        }
    }
    return true;
}

/* Every member has links to every other. */
static bool is_all_joined(const ps_walk *self, const ps_walk_share *at)
{
    for (uint32_t a = 0; a < at->count; a++) {
        for (uint32_t b = a + 1; b < at->count; b++) {
            if (self->cluster->kind
                    .links[ps_walk_member(self, at, a)][ps_walk_member(self, at, b)] == 0) {
                return false;
            }
        }
    }
    return true;
}

/* What the members of a node talk over. */
ps_fabric ps_walk_fabric(const ps_walk *self, const ps_walk_share *at, ps_traffic traffic)
{
    const ps_fabric fabric = self->cluster->kind.fabric;
    bool is_forwarded;
    if (fabric != PS_FABRIC_NVLINK || at->count < 2) {
        return fabric;
    }
    const bool is_joined = traffic == PS_TRAFFIC_RING ? ps_walk_rings(self, at, &is_forwarded) > 0
                                                      : is_all_joined(self, at);
    return is_joined ? PS_FABRIC_NVLINK : PS_FABRIC_PCIE;
}
