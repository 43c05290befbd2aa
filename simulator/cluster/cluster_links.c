/* SPDX-License-Identifier: MIT
 *
 * The links of a cluster and their numbers: for every node its GPUs (fabric
 * out and in where there is one, slot out, in and both, the threads of its rank),
 * its PCIe switches, its sockets' memory, its network, its disks.
 */
#include <stdio.h>

#include "base/memory.h"
#include "cluster/cluster_store.h"

uint32_t ps_node_switches(const ps_node_kind *kind)
{
    return kind->gpus_per_switch > 1
               ? (kind->gpus + kind->gpus_per_switch - 1) / kind->gpus_per_switch
               : 0;
}

uint32_t ps_node_socket(const ps_node_kind *kind, uint32_t local)
{
    const uint32_t per_socket = (kind->gpus + kind->sockets - 1) / kind->sockets;
    return local / per_socket;
}

bool ps_node_has_rail_change(const ps_node_kind *kind)
{
    return kind->rail_change_bytes_per_s > 0 && kind->nic_bytes_per_s > 0;
}

bool ps_node_has_storage(const ps_node_kind *kind)
{
    return kind->read_bytes_per_s > 0 && kind->write_bytes_per_s > 0;
}

static uint32_t links_per_gpu(const ps_node_kind *kind)
{
    return kind->fabric == PS_FABRIC_PCIE ? 4 : 6;
}

uint32_t ps_cluster_link_number(const ps_cluster *self, uint32_t node, ps_link_part part,
                                uint32_t index)
{
    const ps_node_kind *kind = &self->kind;
    const uint32_t per_gpu = links_per_gpu(kind);
    const uint32_t first = node * self->links_per_node;
    const uint32_t switches = first + self->info.gpus_per_node * per_gpu;
    const uint32_t sockets = switches + 2 * ps_node_switches(kind);
    const uint32_t storage = sockets + 2 * kind->sockets;
    const uint32_t network = storage + (ps_node_has_storage(kind) ? 2 : 0);
    switch (part) {
    case PS_LINK_FABRIC_OUT:
    case PS_LINK_FABRIC_IN:
        return first + index * per_gpu + (part == PS_LINK_FABRIC_IN);
    case PS_LINK_SLOT_OUT:
    case PS_LINK_SLOT_IN:
    case PS_LINK_SLOT_BOTH:
    case PS_LINK_THREADS:
        return first + index * per_gpu + per_gpu - 4 + (uint32_t)(part - PS_LINK_SLOT_OUT);
    case PS_LINK_SWITCH_UP:
    case PS_LINK_SWITCH_DOWN:
        return switches + 2 * index + (part == PS_LINK_SWITCH_DOWN);
    case PS_LINK_MEMORY:
    case PS_LINK_PINNED:
        return sockets + 2 * index + (part == PS_LINK_PINNED);
    case PS_LINK_STORAGE_READ:
    case PS_LINK_STORAGE_WRITE:
        return storage + (part == PS_LINK_STORAGE_WRITE);
    case PS_LINK_NETWORK_OUT:
    case PS_LINK_NETWORK_IN:
        return network + (part == PS_LINK_NETWORK_IN);
    case PS_LINK_RAIL_CHANGE:
        break;
    }
    return network + 2;
}

static void put(ps_cluster *self, uint32_t node, ps_link_part part, uint32_t index,
                uint64_t bytes_per_s)
{
    static const char *const what[] = {"gpu",     "gpu",     "gpu",     "gpu",     "gpu",
                                       "gpu",     "switch",  "switch",  "memory",  "memory",
                                       "network", "network", "storage", "storage", "rail-change"};
    static const char *const direction[] = {
        ".fabric.out", ".fabric.in", ".slot.out", ".slot.in", ".slot.both",
        ".threads",    ".up",        ".down",     "",         ".pinned",
        ".out",        ".in",        ".read",     ".write",   ""};
    ps_link_row *row = &self->link[ps_cluster_link_number(self, node, part, index)];
    char number[12] = "";
    if (part < PS_LINK_NETWORK_OUT) {
        (void)snprintf(number, sizeof number, "%u", (unsigned)index);
    }
    (void)snprintf(row->name, sizeof row->name, "node%u.%s%s%s", (unsigned)node, what[part], number,
                   direction[part]);
    row->bytes_per_s = bytes_per_s;
}

/* GPUs of the cluster on the socket of one of them. */
static uint32_t gpus_on_socket(const ps_cluster *self, uint32_t socket)
{
    uint32_t count = 0;
    for (uint32_t gpu = 0; gpu < self->info.gpus_per_node; gpu++) {
        count += ps_node_socket(&self->kind, gpu) == socket;
    }
    return count > 0 ? count : 1; /* a GPU asks: never none */
}

/* What the threads of a rank stream together, were memory endless: its share of the cores. */
static uint64_t cores_rate(const ps_cluster *self, uint32_t local)
{
    const ps_node_kind *kind = &self->kind;
    const uint32_t socket = ps_node_socket(kind, local);
    const uint64_t cores =
        kind->rank_cores > 0 ? kind->core_bytes_per_s * kind->rank_cores
                             : kind->core_bytes_per_s * kind->cores / gpus_on_socket(self, socket);
    return cores > 0 ? cores : kind->memory_bytes_per_s;
}

static void make_node(ps_cluster *self, uint32_t node)
{
    const ps_node_kind *kind = &self->kind;
    for (uint32_t gpu = 0; gpu < self->info.gpus_per_node; gpu++) {
        if (kind->fabric != PS_FABRIC_PCIE) {
            put(self, node, PS_LINK_FABRIC_OUT, gpu, kind->fabric_bytes_per_s);
            put(self, node, PS_LINK_FABRIC_IN, gpu, kind->fabric_bytes_per_s);
        }
        put(self, node, PS_LINK_SLOT_OUT, gpu, kind->up_bytes_per_s);
        put(self, node, PS_LINK_SLOT_IN, gpu, kind->down_bytes_per_s);
        put(self, node, PS_LINK_SLOT_BOTH, gpu, kind->both_bytes_per_s);
        put(self, node, PS_LINK_THREADS, gpu, cores_rate(self, gpu));
    }
    for (uint32_t i = 0; i < ps_node_switches(kind); i++) {
        put(self, node, PS_LINK_SWITCH_UP, i, kind->uplink_bytes_per_s);
        put(self, node, PS_LINK_SWITCH_DOWN, i, kind->uplink_bytes_per_s);
    }
    for (uint32_t i = 0; i < kind->sockets; i++) {
        put(self, node, PS_LINK_MEMORY, i, kind->memory_bytes_per_s);
        put(self, node, PS_LINK_PINNED, i, kind->pinned_bytes_per_s);
    }
    if (ps_node_has_storage(kind)) {
        put(self, node, PS_LINK_STORAGE_READ, 0, kind->read_bytes_per_s);
        put(self, node, PS_LINK_STORAGE_WRITE, 0, kind->write_bytes_per_s);
    }
    if (kind->nic_bytes_per_s > 0) {
        const uint64_t rate = kind->nic_bytes_per_s * self->info.nics;
        put(self, node, PS_LINK_NETWORK_OUT, 0, rate);
        put(self, node, PS_LINK_NETWORK_IN, 0, rate);
    }
    if (ps_node_has_rail_change(kind)) {
        put(self, node, PS_LINK_RAIL_CHANGE, 0, kind->rail_change_bytes_per_s * self->info.nics);
    }
}

ps_code ps_cluster_make_links(ps_cluster *self, ps_error *err)
{
    const ps_node_kind *kind = &self->kind;
    size_t capacity = 0;
    self->links_per_node =
        self->info.gpus_per_node * links_per_gpu(kind) + 2 * ps_node_switches(kind) +
        2 * kind->sockets + (ps_node_has_storage(kind) ? 2 : 0) +
        (kind->nic_bytes_per_s > 0 ? 2 : 0) + (ps_node_has_rail_change(kind) ? 1 : 0);
    self->link_count = self->links_per_node * self->info.nodes;
    PS_TRY(ps_grow((void **)&self->link, &capacity, self->link_count, (size_t)1 << 24,
                   sizeof *self->link, err));
    for (uint32_t node = 0; node < self->info.nodes; node++) {
        make_node(self, node);
    }
    return PS_OK;
}

ps_rank_host ps_cluster_host(const ps_cluster *self, uint32_t rank)
{
    const ps_node_kind *kind = &self->kind;
    const uint64_t threads = cores_rate(self, ps_cluster_local(self, rank));
    const bool is_slower = kind->lone_bytes_per_s > 0 && kind->lone_bytes_per_s < threads;
    return (ps_rank_host){.node_bytes = kind->memory_bytes,
                          .up_bytes_per_s = kind->up_bytes_per_s,
                          .down_bytes_per_s = kind->down_bytes_per_s,
                          .echo_bytes_per_s = kind->echo_bytes_per_s,
                          .staged_up_bytes_per_s = kind->staged_up_bytes_per_s,
                          .staged_down_bytes_per_s = kind->staged_down_bytes_per_s,
                          .read_bytes_per_s = kind->read_bytes_per_s,
                          .write_bytes_per_s = kind->write_bytes_per_s,
                          .threads_bytes_per_s = threads,
                          .lone_bytes_per_s = is_slower ? kind->lone_bytes_per_s : threads,
                          .threads_basis = kind->core_bytes_per_s > 0 && kind->cores > 0
                                               ? kind->core_basis
                                               : PS_BASIS_GUESSED};
}
