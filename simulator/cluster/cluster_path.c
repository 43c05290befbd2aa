/* SPDX-License-Identifier: MIT
 *
 * Which links a group's traffic crosses. The answer is one flow for the whole
 * group: its ranks move in step.
 */
#include "cluster/cluster_walk.h"

static void cross(ps_walk *self, uint32_t node, ps_link_part part, uint32_t index, uint32_t times)
{
    uint32_t from = 0, to = self->nodes; /* the node is one of these */
    while (to - from > 1) {
        const uint32_t middle = from + (to - from) / 2;
        *(self->node[middle] <= node ? &from : &to) = middle;
    }
    self->times[from * self->cluster->links_per_node +
                ps_cluster_link_number(self->cluster, 0, part, index)] += times;
}

uint32_t ps_walk_leaving(const ps_walk *self, ps_traffic traffic, uint32_t inside)
{
    const uint64_t outside = self->count - inside;
    if (outside == 0) {
        return 0;
    }
    return traffic == PS_TRAFFIC_DIRECT
               ? (uint32_t)((inside * outside + self->count - 2) / (self->count - 1))
               : 1;
}

/* Members over their slots: past switches, and without peer access past the host's memory. */
static void cross_slots(ps_walk *self, const ps_walk_share *at, ps_traffic traffic)
{
    const ps_node_kind *kind = &self->cluster->kind;
    for (uint32_t i = 0; i < at->count; i++) {
        const uint32_t local = ps_walk_member(self, at, i);
        cross(self, at->node, PS_LINK_SLOT_OUT, local, 1);
        cross(self, at->node, PS_LINK_SLOT_IN, local, 1);
        if (!kind->has_peer_access) { /* written by the sender, read by the receiver */
            cross(self, at->node, PS_LINK_MEMORY, ps_node_socket(kind, local), 2);
        }
    }
    for (uint32_t s = 0; s < ps_node_switches(kind); s++) {
        uint32_t inside = 0;
        for (uint32_t i = 0; i < at->count; i++) {
            inside += ps_walk_member(self, at, i) / kind->gpus_per_switch == s;
        }
        const uint32_t times =
            kind->has_peer_access ? ps_walk_leaving(self, traffic, inside) : inside;
        if (inside > 0) {
            cross(self, at->node, PS_LINK_SWITCH_UP, s, times);
            cross(self, at->node, PS_LINK_SWITCH_DOWN, s, times);
        }
    }
}

static void cross_node(ps_walk *self, const ps_walk_share *at, ps_traffic traffic)
{
    if (ps_walk_fabric(self, at, traffic) == PS_FABRIC_PCIE) {
        cross_slots(self, at, traffic);
        return;
    }
    for (uint32_t i = 0; i < at->count; i++) {
        cross(self, at->node, PS_LINK_FABRIC_OUT, ps_walk_member(self, at, i), 1);
        cross(self, at->node, PS_LINK_FABRIC_IN, ps_walk_member(self, at, i), 1);
    }
}

void ps_walk_cross(ps_walk *self, ps_traffic traffic, bool with_network)
{
    ps_walk_share at = {0};
    while (self->count > 1 && ps_walk_next(self, &at)) {
        cross_node(self, &at, traffic);
        if (self->nodes > 1 && with_network) {
            const uint32_t times = ps_walk_leaving(self, traffic, at.count);
            cross(self, at.node, PS_LINK_NETWORK_OUT, 0, times);
            cross(self, at.node, PS_LINK_NETWORK_IN, 0, times);
            if (traffic == PS_TRAFFIC_RING && ps_node_has_rail_change(&self->cluster->kind) &&
                ps_walk_changes_rail(self, &at)) {
                cross(self, at.node, PS_LINK_RAIL_CHANGE, 0, times);
            }
        }
    }
}

/* Up from a GPU's slot to its host, or down. */
static void cross_to_host(ps_walk *self, uint32_t rank, bool is_up, bool with_memory)
{
    const ps_node_kind *kind = &self->cluster->kind;
    const uint32_t node = ps_cluster_node(self->cluster, rank);
    const uint32_t local = ps_cluster_local(self->cluster, rank);
    cross(self, node, is_up ? PS_LINK_SLOT_OUT : PS_LINK_SLOT_IN, local, 1);
    if (ps_node_switches(kind) > 0) {
        cross(self, node, is_up ? PS_LINK_SWITCH_UP : PS_LINK_SWITCH_DOWN,
              local / kind->gpus_per_switch, 1);
    }
    if (with_memory) {
        cross(self, node, PS_LINK_MEMORY, ps_node_socket(kind, local), 1);
    }
}

/* Disks read and write memory without the processor. */
static void cross_storage(ps_walk *self, uint32_t rank, bool is_write)
{
    const ps_node_kind *kind = &self->cluster->kind;
    const uint32_t node = ps_cluster_node(self->cluster, rank);
    if (ps_node_has_storage(kind)) {
        cross(self, node, is_write ? PS_LINK_STORAGE_WRITE : PS_LINK_STORAGE_READ, 0, 1);
        cross(self, node, PS_LINK_MEMORY,
              ps_node_socket(kind, ps_cluster_local(self->cluster, rank)), 1);
    }
}

/* A rank and its host. A staged copy is read, written to the buffer, and read or written there. */
static void cross_host(ps_walk *self, uint32_t rank, ps_traffic traffic)
{
    const bool is_up = traffic == PS_TRAFFIC_OFFLOAD || traffic == PS_TRAFFIC_STAGED_OFFLOAD;
    const bool is_staged =
        traffic == PS_TRAFFIC_STAGED_UPLOAD || traffic == PS_TRAFFIC_STAGED_OFFLOAD;
    const uint32_t node = ps_cluster_node(self->cluster, rank);
    const uint32_t local = ps_cluster_local(self->cluster, rank);
    cross(self, node, PS_LINK_MEMORY, ps_node_socket(&self->cluster->kind, local),
          is_staged ? 3 : 1);
    if (traffic != PS_TRAFFIC_THREADS && !is_staged) {
        cross(self, node, PS_LINK_PINNED, ps_node_socket(&self->cluster->kind, local), 1);
    }
    if (traffic == PS_TRAFFIC_THREADS || traffic == PS_TRAFFIC_PINNED_THREADS) {
        cross(self, node, PS_LINK_THREADS, local, 1);
        return;
    }
    cross_to_host(self, rank, is_up, false);
    cross(self, node, PS_LINK_SLOT_BOTH, local, 1);
}

/* From the group's first rank, as given, to its second. */
static void cross_send(ps_walk *self, uint32_t from, uint32_t to)
{
    const ps_cluster *cluster = self->cluster;
    const ps_node_kind *kind = &cluster->kind;
    const uint32_t a = ps_cluster_local(cluster, from), b = ps_cluster_local(cluster, to);
    const uint32_t node = ps_cluster_node(cluster, from), other = ps_cluster_node(cluster, to);
    ps_walk_share at = {0};
    if (node != other) { /* ports sit beside the GPUs' slots */
        cross(self, node, PS_LINK_SLOT_OUT, a, 1);
        cross(self, node, PS_LINK_NETWORK_OUT, 0, 1);
        cross(self, other, PS_LINK_NETWORK_IN, 0, 1);
        cross(self, other, PS_LINK_SLOT_IN, b, 1);
        return;
    }
    (void)ps_walk_next(self, &at);
    if (ps_walk_fabric(self, &at, PS_TRAFFIC_SEND) != PS_FABRIC_PCIE) {
        cross(self, node, PS_LINK_FABRIC_OUT, a, 1);
        cross(self, node, PS_LINK_FABRIC_IN, b, 1);
        return;
    }
    const bool is_near = kind->has_peer_access && ps_node_switches(kind) > 0 &&
                         a / kind->gpus_per_switch == b / kind->gpus_per_switch;
    if (is_near) {
        cross(self, node, PS_LINK_SLOT_OUT, a, 1);
        cross(self, node, PS_LINK_SLOT_IN, b, 1);
        return;
    }
    cross_to_host(self, from, true, !kind->has_peer_access);
    cross_to_host(self, to, false, !kind->has_peer_access);
}

static uint32_t ranks_wanted(ps_traffic traffic, uint32_t given)
{
    switch (traffic) {
    case PS_TRAFFIC_SEND:
        return 2;
    case PS_TRAFFIC_UPLOAD:
    case PS_TRAFFIC_OFFLOAD:
    case PS_TRAFFIC_STAGED_UPLOAD:
    case PS_TRAFFIC_STAGED_OFFLOAD:
    case PS_TRAFFIC_THREADS:
    case PS_TRAFFIC_PINNED_THREADS:
    case PS_TRAFFIC_STORAGE_READ:
    case PS_TRAFFIC_STORAGE_WRITE:
        return 1;
    case PS_TRAFFIC_RING:
    case PS_TRAFFIC_DIRECT:
    case PS_TRAFFIC_COUNT:
        break;
    }
    return given;
}

static void cross_traffic(ps_walk *self, ps_traffic traffic, const ps_group *group)
{
    switch (traffic) {
    case PS_TRAFFIC_SEND:
        cross_send(self, group->rank[0], group->rank[1]);
        return;
    case PS_TRAFFIC_UPLOAD:
    case PS_TRAFFIC_OFFLOAD:
    case PS_TRAFFIC_STAGED_UPLOAD:
    case PS_TRAFFIC_STAGED_OFFLOAD:
    case PS_TRAFFIC_THREADS:
    case PS_TRAFFIC_PINNED_THREADS:
        cross_host(self, group->rank[0], traffic);
        return;
    case PS_TRAFFIC_STORAGE_READ:
    case PS_TRAFFIC_STORAGE_WRITE:
        cross_storage(self, group->rank[0], traffic == PS_TRAFFIC_STORAGE_WRITE);
        return;
    case PS_TRAFFIC_RING:
    case PS_TRAFFIC_DIRECT:
    case PS_TRAFFIC_COUNT:
        ps_walk_cross(self, traffic, true);
        return;
    }
}

static ps_code write_path(const ps_walk *self, ps_crossing *out, uint32_t capacity, uint32_t *count,
                          ps_error *err)
{
    uint32_t used = 0;
    size_t at = 0;
    ps_crossing crossing;
    while (ps_walk_next_crossing(self, &at, &crossing)) {
        if (used == capacity) {
            return ps_fail(err, PS_USAGE, "a path of more than %u links", (unsigned)capacity);
        }
        out[used] = crossing;
        used++;
    }
    *count = used;
    return PS_OK;
}

ps_code ps_cluster_path(const ps_cluster *self, ps_traffic traffic, const ps_group *group,
                        ps_crossing *out, uint32_t capacity, uint32_t *count, ps_error *err)
{
    ps_walk at;
    if (group->count != ranks_wanted(traffic, group->count)) {
        return ps_fail(err, PS_USAGE, "such a transfer is not among %u ranks",
                       (unsigned)group->count);
    }
    PS_TRY(ps_walk_begin(&at, self, group, err));
    cross_traffic(&at, traffic, group);
    const ps_code code = write_path(&at, out, capacity, count, err);
    ps_walk_end(&at);
    return code;
}

uint64_t ps_cluster_path_rate(const ps_cluster *self, const ps_crossing *path, uint32_t count)
{
    uint64_t rate = UINT64_MAX;
    for (uint32_t i = 0; i < count; i++) {
        const uint64_t own = self->link[path[i].link].bytes_per_s / path[i].times;
        rate = own < rate ? own : rate;
    }
    return rate;
}
