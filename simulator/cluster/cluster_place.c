/* SPDX-License-Identifier: MIT
 *
 * How a group lies in its cluster, and what that lets one rank send.
 */
#include "cluster/cluster_walk.h"

/* What the slots of all nodes leave to one rank of the group. */
static uint64_t slot_rate(ps_walk *self)
{
    uint64_t rate = UINT64_MAX;
    ps_walk_cross(self, PS_TRAFFIC_RING, false);
    for (uint32_t i = 0; i < self->cluster->link_count; i++) {
        if (self->times[i] > 0 && self->cluster->link[i].bytes_per_s / self->times[i] < rate) {
            rate = self->cluster->link[i].bytes_per_s / self->times[i];
        }
    }
    return rate;
}

/* A GPU sends through the ports beside it, at least one; a node never through more than it has. */
static uint64_t network_rate(const ps_cluster *self, uint32_t members)
{
    const uint32_t nics = self->info.nics;
    const uint32_t beside = (nics + self->kind.gpus - 1) / self->kind.gpus;
    const uint32_t used = members * beside < nics ? members * beside : nics;
    return self->kind.nic_bytes_per_s * used;
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
                            .network_bytes_per_s = UINT64_MAX};
    while (ps_walk_next(&at, &part)) {
        place_node(&at, &part, out);
    }
    if (at.nodes > 1) {
        out->network_bytes_per_s = network_rate(self, out->least_per_node);
    }
    if (out->rings == 0) {
        out->fabric = PS_FABRIC_PCIE;
        out->rings = UINT32_MAX;
    }
    if (out->fabric == PS_FABRIC_NVLINK && out->rings != UINT32_MAX) {
        out->fabric_bytes_per_s = kind->link_bytes_per_s * out->rings;
    }
    if (out->fabric == PS_FABRIC_PCIE) {
        out->fabric_bytes_per_s = slot_rate(&at);
    }
    out->rings = out->rings == UINT32_MAX ? 1 : out->rings;
    ps_walk_end(&at);
    return PS_OK;
}
