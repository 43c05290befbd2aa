/* SPDX-License-Identifier: MIT
 *
 * How a group lies in its cluster, and what that lets one rank send.
 */
#include <string.h>

#include "cluster/cluster_walk.h"

/* What the slots of all nodes leave to one rank of the group. */
static uint64_t slot_rate(ps_walk *self, ps_traffic traffic)
{
    const ps_cluster *cluster = self->cluster;
    uint64_t rate = UINT64_MAX;
    size_t at = 0;
    ps_crossing crossing;
    memset(self->times, 0, (size_t)self->nodes * cluster->links_per_node * sizeof *self->times);
    ps_walk_cross(self, traffic, false);
    while (ps_walk_next_crossing(self, &at, &crossing)) {
        const uint64_t own = cluster->link[crossing.link].bytes_per_s / crossing.times;
        rate = own < rate ? own : rate;
    }
    return rate;
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* A GPU sends through its slot and the ports beside it, at least one; a node never through more
 * than it has. */
static uint64_t network_rate(const ps_cluster *self, uint32_t members)
{
    const ps_node_kind *kind = &self->kind;
    const uint32_t beside = (self->info.nics + kind->gpus - 1) / kind->gpus;
    const uint64_t slot = least(kind->up_bytes_per_s, kind->down_bytes_per_s);
    return least(members * least(beside * kind->nic_bytes_per_s, slot),
                 self->info.nics * kind->nic_bytes_per_s);
}

/* What a node's members let a ring pass on: less where it leaves by another port than it came. */
static uint64_t ring_network_rate(const ps_walk *self, const ps_walk_share *at)
{
    const ps_cluster *cluster = self->cluster;
    const ps_node_kind *kind = &cluster->kind;
    const uint64_t rate = network_rate(cluster, at->count);
    if (!ps_node_has_rail_change(kind) || !ps_walk_changes_rail(self, at)) {
        return rate;
    }
    return least(rate, least(at->count, cluster->info.nics) * kind->rail_change_bytes_per_s);
}

/* What a member of a mesh can send to all others at a time: the thinnest pair sets it. */
static uint64_t mesh_direct_rate(const ps_walk *self, const ps_walk_share *at)
{
    const ps_node_kind *kind = &self->cluster->kind;
    uint64_t links = UINT64_MAX;
    for (uint32_t a = 0; a < at->count; a++) {
        for (uint32_t b = a + 1; b < at->count; b++) {
            links =
                least(links, kind->links[ps_walk_member(self, at, a)][ps_walk_member(self, at, b)]);
        }
    }
    return least((at->count - 1) * links * kind->link_bytes_per_s, kind->fabric_bytes_per_s);
}

static void place_direct(ps_walk *self, ps_group_place *out)
{
    ps_walk_share at = {0};
    out->direct_bytes_per_s = self->cluster->kind.fabric_bytes_per_s;
    out->direct_network_bytes_per_s = UINT64_MAX;
    bool is_on_slots = self->cluster->kind.fabric == PS_FABRIC_PCIE;
    while (ps_walk_next(self, &at)) {
        if (self->nodes > 1) {
            const uint32_t times = ps_walk_leaving(self, PS_TRAFFIC_DIRECT, at.count);
            out->direct_network_bytes_per_s = least(out->direct_network_bytes_per_s,
                                                    network_rate(self->cluster, at.count) / times);
        }
        if (at.count > 1 && ps_walk_fabric(self, &at, PS_TRAFFIC_DIRECT) == PS_FABRIC_PCIE) {
            is_on_slots = true;
        } else if (at.count > 1 && self->cluster->kind.fabric == PS_FABRIC_NVLINK) {
            out->direct_bytes_per_s = least(out->direct_bytes_per_s, mesh_direct_rate(self, &at));
        }
    }
    if (is_on_slots) {
        out->direct_bytes_per_s =
            least(slot_rate(self, PS_TRAFFIC_DIRECT),
                  out->direct_bytes_per_s > 0 ? out->direct_bytes_per_s : UINT64_MAX);
    }
}

static void place_node(const ps_walk *self, const ps_walk_share *at, ps_group_place *out)
{
    bool is_forwarded = false;
    out->least_per_node = at->count < out->least_per_node ? at->count : out->least_per_node;
    if (self->cluster->kind.fabric == PS_FABRIC_NVLINK && at->count > 1) {
        const uint32_t rings = ps_walk_rings(self, at, &is_forwarded);
        out->rings = rings < out->rings ? rings : out->rings;
        out->is_forwarded = out->is_forwarded || is_forwarded;
    }
}

ps_code ps_cluster_place(const ps_cluster *self, const ps_group *group, ps_group_place *out,
                         ps_error *err)
{
    const ps_node_kind *kind = &self->kind;
    ps_walk at;
    ps_walk_share part = {0};
    PS_TRY(ps_walk_begin(&at, self, group, err));
    *out = (ps_group_place){.ranks = at.count,
                            .nodes = at.nodes,
                            .least_per_node = UINT32_MAX,
                            .fabric = kind->fabric,
                            .rings = UINT32_MAX,
                            .fabric_bytes_per_s = kind->fabric_bytes_per_s,
                            .network_bytes_per_s = UINT64_MAX,
                            .scatter_share = kind->scatter_share};
    while (ps_walk_next(&at, &part)) {
        place_node(&at, &part, out);
        if (at.nodes > 1) {
            out->network_bytes_per_s =
                least(out->network_bytes_per_s, ring_network_rate(&at, &part));
        }
    }
    if (out->rings == 0) {
        out->fabric = PS_FABRIC_PCIE;
        out->rings = UINT32_MAX;
    }
    if (out->fabric == PS_FABRIC_NVLINK && out->rings != UINT32_MAX) {
        out->fabric_bytes_per_s = kind->link_bytes_per_s * out->rings;
    }
    if (out->fabric == PS_FABRIC_PCIE) {
        out->fabric_bytes_per_s = slot_rate(&at, PS_TRAFFIC_RING);
    }
    out->rings = out->rings == UINT32_MAX ? 1 : out->rings;
    place_direct(&at, out);
    ps_walk_end(&at);
    return PS_OK;
}
