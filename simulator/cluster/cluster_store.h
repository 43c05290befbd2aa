/* SPDX-License-Identifier: MIT
 *
 * What the files of the cluster share: the node kind as read, and the numbers
 * of its links.
 */
#ifndef PS_CLUSTER_CLUSTER_STORE_H
#define PS_CLUSTER_CLUSTER_STORE_H

#include "cluster/cluster.h"
#include "cluster/figure_table.h"

/** [bytes] longest name of a link, terminator included. */
#define PS_LINK_NAME_BYTES 48

/** [bytes] longest name of a kind, terminator included. */
#define PS_NODE_TEXT_BYTES 96

/** Links of a rank of a mesh are counted in pairs of GPUs. */
#define PS_MESH_MAX_GPUS 16u

/** A kind of node in figures. */
typedef struct ps_node_kind {
    uint32_t gpus;
    ps_fabric fabric;
    uint32_t sockets, gpus_per_switch;
    bool has_peer_access;
    uint64_t fabric_bytes_per_s;               /* of a GPU, all links; 0: PCIe alone */
    uint64_t link_bytes_per_s;                 /* of one link of a mesh */
    uint64_t up_bytes_per_s, down_bytes_per_s; /* of a GPU's slot */
    uint64_t echo_bytes_per_s;                 /* down, of what has just come up */
    uint64_t uplink_bytes_per_s;               /* of a PCIe switch */
    uint64_t both_bytes_per_s;                 /* of a slot, the two directions together */
    uint64_t memory_bytes_per_s;               /* of a socket ... */
    uint64_t pinned_bytes_per_s;               /* ... and of what ranks have pinned there */
    uint64_t lone_bytes_per_s;                 /* of one pinned tensor of a rank; 0: as of any */
    uint64_t memory_bytes;                     /* of a node; 0 unknown */
    uint64_t staged_bytes_per_s;               /* copies of pageable memory ... */
    uint64_t staged_up_bytes_per_s, staged_down_bytes_per_s; /* ... from the GPU and to it */
    uint64_t core_bytes_per_s;                               /* what one core streams */
    uint32_t cores;                                          /* of a socket; 0 unknown */
    uint32_t rank_cores; /* threads bound to a rank; 0: its share */
    ps_basis core_basis;
    uint64_t nic_bytes_per_s;                     /* of one port; 0: none */
    uint64_t read_bytes_per_s, write_bytes_per_s; /* of all disks of a node; 0: none stated */
    uint64_t scatter_share;           /* of a port's rate, of what is summed on its way; 0: all */
    uint64_t rail_change_bytes_per_s; /* of a port, of rings that cannot leave by the one they came
                                         by, or that are far from all; 0: as others */
    uint64_t near_gpus;               /* bit g: GPU g sits beside a port; 0: not stated */
    uint32_t links[PS_MESH_MAX_GPUS][PS_MESH_MAX_GPUS];
} ps_node_kind;

typedef struct ps_link_row {
    char name[PS_LINK_NAME_BYTES];
    uint64_t bytes_per_s;
} ps_link_row;

struct ps_cluster {
    ps_cluster_info info;
    ps_node_kind kind;
    char text[3][PS_NODE_TEXT_BYTES]; /* of the info */
    ps_link_row *link;
    uint32_t link_count, links_per_node;
    bool is_cyclic; /* ranks are dealt over the nodes in turn */
};

/** The links of a node by what they are; a GPU's come first. */
typedef enum ps_link_part {
    PS_LINK_FABRIC_OUT,
    PS_LINK_FABRIC_IN,
    PS_LINK_SLOT_OUT,
    PS_LINK_SLOT_IN,
    PS_LINK_SLOT_BOTH,
    PS_LINK_THREADS, /* the threads of a GPU's rank */
    PS_LINK_SWITCH_UP,
    PS_LINK_SWITCH_DOWN,
    PS_LINK_MEMORY,
    PS_LINK_PINNED,
    PS_LINK_NETWORK_OUT,
    PS_LINK_NETWORK_IN,
    PS_LINK_STORAGE_READ, /* of kinds that state disks */
    PS_LINK_STORAGE_WRITE,
    PS_LINK_RAIL_CHANGE, /* of kinds that state a rate for it */
} ps_link_part;

/** Number of a rank's GPU, counted node by node. */
uint32_t ps_cluster_seat(const ps_cluster *self, uint32_t rank);

/** PCIe switches of a node, 0 when every slot is the processor's own. */
uint32_t ps_node_switches(const ps_node_kind *kind);

/** Socket of a GPU: as many on each, in order. */
uint32_t ps_node_socket(const ps_node_kind *kind, uint32_t local);

/** Whether rings that change the port in a node have a link of their own there. */
bool ps_node_has_rail_change(const ps_node_kind *kind);

/** Disks of a node that something can be offloaded to. */
bool ps_node_has_storage(const ps_node_kind *kind);

/** Makes the links of all nodes. PS_OK · PS_NOMEM · PS_LIMIT */
ps_code ps_cluster_make_links(ps_cluster *self, ps_error *err) PS_MUST_USE;

/** Number of a link; index: GPU, switch or socket of the node. It must exist. */
uint32_t ps_cluster_link_number(const ps_cluster *self, uint32_t node, ps_link_part part,
                                uint32_t index);

/** A kind being read into a cluster. */
typedef struct ps_kind_reader {
    uint32_t gpus; /* that the cluster uses of a node, as far as it has so many */
    bool is_unbound;
    ps_cluster *cluster;
    const ps_catalogue *catalogue;
    const ps_figure_table *table;
    uint32_t thing;
    ps_error *err;
} ps_kind_reader;

/** Sockets, cores and memory as ranks that are not bound have them. PS_OK · PS_USAGE not known */
ps_code ps_kind_unbind(ps_kind_reader *self) PS_MUST_USE;

/** Reads the figures of the reader's thing. PS_OK · PS_NOT_FOUND · PS_BAD_INPUT */
ps_code ps_kind_read_figures(ps_kind_reader *self) PS_MUST_USE;

/** Reads the kind that `name` stands for and what is said of it. See ps_cluster_create. */
ps_code ps_cluster_read_kind(ps_cluster *self, const ps_catalogue *catalogue, const char *name,
                             uint32_t gpus, const ps_cluster_options *options,
                             ps_error *err) PS_MUST_USE;

/**
 * Rings over disjoint links among GPUs of a mesh, each link a direction: NCCL makes two of every
 * cycle. With no cycle over links alone, hops through another GPU count, over the links of both.
 *
 * @param local         places in the node, ascending
 * @param is_forwarded  written: hops through other GPUs were needed
 * @return number of rings; 0 when the links do not join the GPUs
 */
uint32_t ps_mesh_rings(const ps_node_kind *kind, const uint32_t *local, uint32_t count,
                       bool *is_forwarded);

#endif
