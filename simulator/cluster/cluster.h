/* SPDX-License-Identifier: MIT
 *
 * A cluster: nodes of one kind, so many of them, and the links between GPUs,
 * hosts and nodes that transfers share.
 *
 *   node kind   GPUs, what joins them (an NVSwitch, NVLinks of a mesh, PCIe
 *               with its switches), sockets with host memory, network ports
 *   rank        node by node: rank r is GPU r % G of node r / G; or dealt over the N nodes in turn:
 *               GPU r / N of node r % N
 *   links       one direction each, with the rate that all transfers on it
 *               share; a path says how often each byte crosses which of them
 *
 * Kinds are rows of clusters.csv and of a user's file in the same form.
 */
#ifndef PS_CLUSTER_CLUSTER_H
#define PS_CLUSTER_CLUSTER_H

#include "cluster/catalogue.h"
#include "plan/plan.h"

/* X(symbol, name in files, doc) */
#define PS_FABRICS(X)                                             \
    X(NVSWITCH, "nvswitch", "every pair of GPUs at full rate")    \
    X(NVLINK, "nvlink", "links between certain pairs: links-A-B") \
    X(PCIE, "pcie", "the slots of the host alone")

/** What joins the GPUs of a node. */
typedef enum ps_fabric {
#define PS_FABRIC_ENUM(sym, name, doc) PS_FABRIC_##sym,
    PS_FABRICS(PS_FABRIC_ENUM)
#undef PS_FABRIC_ENUM
        PS_FABRIC_COUNT
} ps_fabric;

/** Most GPUs of a node, and of a cluster. */
#define PS_NODE_MAX_GPUS 64u
#define PS_CLUSTER_MAX_GPUS 65536u

typedef struct ps_cluster ps_cluster;

typedef struct ps_cluster_options {
    const char *csv; /* rows in the form of clusters.csv, which add and override; NULL: none */
    size_t csv_bytes;
    const char *csv_name; /* for messages; NULL: "user's clusters" */
    uint32_t rank_cores;  /* threads bound to each rank; 0: its share of the socket's cores */
    bool is_unbound;      /* ranks' threads run on all cores of the node, memory lies where it was
                             first touched; else on the socket of the rank's GPU */
    bool is_cyclic;       /* ranks are dealt over the nodes in turn, not node by node */
} ps_cluster_options;

/** Texts are borrowed until the cluster is destroyed. */
typedef struct ps_cluster_info {
    const char *kind;        /* of the nodes: "dgx-a100-80" */
    const char *collectives; /* its machine in collectives.csv */
    const char *cpu;         /* "intel" or "amd": NCCL's tables ask */
    ps_hardware_id gpu;      /* in the catalogue */
    uint32_t gpus, nodes, gpus_per_node;
    ps_fabric fabric;
    bool has_peer_access;     /* GPUs reach one another over PCIe without the host's memory */
    uint32_t nics;            /* network ports of a node */
    ps_ns network_latency_ns; /* of one message between nodes; 0 without network */
    ps_basis basis;           /* analytic: a named kind; guessed: chosen for a GPU's name */
} ps_cluster_info;

/** The host of a rank. */
typedef struct ps_rank_host {
    uint64_t node_bytes;              /* memory of its node; 0 unknown */
    uint64_t up_bytes_per_s;          /* large pinned copies from the GPU, alone */
    uint64_t down_bytes_per_s;        /* ... and to it */
    uint64_t echo_bytes_per_s;        /* pinned copies to it of what a copy from it just wrote */
    uint64_t staged_up_bytes_per_s;   /* copies of pageable memory from the GPU */
    uint64_t staged_down_bytes_per_s; /* ... and to it */
    uint64_t threads_bytes_per_s; /* what its share of the socket's cores could stream, were memory
                                     endless; the socket's memory where cores are not known */
    uint64_t lone_bytes_per_s;    /* the same of one pinned tensor: less where no thread is bound */
    ps_basis threads_basis;
    uint64_t read_bytes_per_s;  /* large reads from all disks of the node; 0: none stated */
    uint64_t write_bytes_per_s; /* ... and writes */
} ps_rank_host;

/** One direction of something that transfers share. */
typedef struct ps_cluster_link {
    const char *name; /* "node0.gpu3.fabric.out"; borrowed until the cluster is destroyed */
    uint64_t bytes_per_s;
} ps_cluster_link;

/** How often each byte of a transfer crosses a link. */
typedef struct ps_crossing {
    uint32_t link;
    uint32_t times;
} ps_crossing;

/* X(symbol, name, doc) */
#define PS_TRAFFICS(X)                                                              \
    X(RING, "ring", "each rank sends to the next; bytes are one rank's")            \
    X(DIRECT, "direct", "each rank sends to every other; bytes likewise")           \
    X(SEND, "send", "the first rank sends to the second")                           \
    X(UPLOAD, "upload", "host memory of its socket to the one rank")                \
    X(OFFLOAD, "offload", "the one rank to host memory of its socket")              \
    X(STAGED_UPLOAD, "staged-upload",                                               \
      "upload of pageable memory: copied to a pinned buffer first")                 \
    X(STAGED_OFFLOAD, "staged-offload",                                             \
      "offload to pageable memory: copied out of a pinned buffer")                  \
    X(THREADS, "threads", "threads of the one rank on host memory of their socket") \
    X(PINNED_THREADS, "pinned-threads", "the same on memory that is pinned")        \
    X(STORAGE_READ, "storage-read", "disks of its node to the one rank's socket")   \
    X(STORAGE_WRITE, "storage-write", "the one rank's socket to disks of its node")

/** Who sends to whom. */
typedef enum ps_traffic {
#define PS_TRAFFIC_ENUM(sym, name, doc) PS_TRAFFIC_##sym,
    PS_TRAFFICS(PS_TRAFFIC_ENUM)
#undef PS_TRAFFIC_ENUM
        PS_TRAFFIC_COUNT
} ps_traffic;

/** Ranks that take part, in any order. */
typedef struct ps_group {
    const uint32_t *rank;
    uint32_t count;
} ps_group;

/** How a group lies in the cluster. */
typedef struct ps_group_place {
    uint32_t ranks, nodes;
    uint32_t least_per_node;      /* ranks in the node that has fewest */
    ps_fabric fabric;             /* over which ranks of a node talk: PCIE also in a mesh that does
                                    not join them */
    uint32_t rings;               /* NVLINK: rings over disjoint links; else 1 */
    bool is_forwarded;            /* NVLINK: a ring passes through a GPU on its way to another */
    uint64_t fabric_bytes_per_s;  /* what one rank can send inside its node: all rings together */
    uint64_t network_bytes_per_s; /* what its ports let a node of the group send; UINT64_MAX when
                                     it lies in one node */
    uint64_t scatter_share;       /* of that, of what is summed on its way [millionths]; 0: all */
    uint64_t direct_bytes_per_s;  /* what one rank can send to all others at a time inside
                                            its node */
    uint64_t direct_network_bytes_per_s; /* the same as the ports allow; UINT64_MAX in one node */
} ps_group_place;

/**
 * Builds a cluster.
 *
 * @param name     a node kind, or a GPU of the catalogue: then the default kind of that GPU, or
 *                 the generic PCIe machine with it
 * @param gpus     1 .. PS_CLUSTER_MAX_GPUS; up to a node's: the first of one node; else a multiple
 *                 of a node's
 * @param options  NULL: all zero; read during the call alone
 * @param out      to be given to ps_cluster_destroy; untouched on failure
 * @return PS_OK · PS_NOMEM · PS_NOT_FOUND a name that is neither, with near names; a kind with a
 *         figure missing, or with a part that the catalogue has not · PS_USAGE no GPU, too many,
 *         not a multiple, several nodes without network, more threads for the ranks of a socket
 *         than it has cores, or of a kind that does not say what a core streams, ranks that are not
 *         bound of a kind that does not say what they reach · PS_BAD_INPUT rows that do not parse,
 *         with name and line
 */
ps_code ps_cluster_create(const ps_catalogue *catalogue, const char *name, uint32_t gpus,
                          const ps_cluster_options *options, ps_cluster **out,
                          ps_error *err) PS_MUST_USE;

void ps_cluster_destroy(ps_cluster *self);

/** Borrowed until the cluster is destroyed. */
const ps_cluster_info *ps_cluster_about(const ps_cluster *self);

/** Node of a rank below gpus, and its place in the node. */
uint32_t ps_cluster_node(const ps_cluster *self, uint32_t rank);
uint32_t ps_cluster_local(const ps_cluster *self, uint32_t rank);

/**
 * The host of a rank below gpus. The GPUs of a socket that the cluster uses share its cores evenly;
 * a kind that does not state its cores is taken to have enough of them for its memory. Threads
 * bound to a rank take the place of its share.
 */
ps_rank_host ps_cluster_host(const ps_cluster *self, uint32_t rank);

/** Links are numbered 0 .. count - 1, node by node. */
uint32_t ps_cluster_link_count(const ps_cluster *self);
ps_cluster_link ps_cluster_link_at(const ps_cluster *self, uint32_t link);

/** PS_OK · PS_USAGE no rank, a rank that the cluster has not, one named twice. */
ps_code ps_cluster_place(const ps_cluster *self, const ps_group *group, ps_group_place *out,
                         ps_error *err) PS_MUST_USE;

/**
 * Which links a transfer of the group loads, as one flow: every crossed link carries `times` bytes
 * for each byte that one rank sends (RING, DIRECT), or for each byte of the transfer. A flow at
 * rate r fits when r x times <= bytes_per_s of every link; a lone collective's rate is below that.
 *
 * @param out       room for `capacity` crossings, ascending by link, each link once
 * @param capacity  ps_cluster_link_count suffices always
 * @param count     crossings written
 * @return PS_OK · PS_USAGE as ps_cluster_place; another number of ranks than the traffic has; too
 *         little room
 */
ps_code ps_cluster_path(const ps_cluster *self, ps_traffic traffic, const ps_group *group,
                        ps_crossing *out, uint32_t capacity, uint32_t *count,
                        ps_error *err) PS_MUST_USE;

/** Largest rate of one flow over a path; UINT64_MAX for none. */
uint64_t ps_cluster_path_rate(const ps_cluster *self, const ps_crossing *path, uint32_t count);

/** Names in files. Static storage. */
const char *ps_fabric_name(ps_fabric fabric);

#endif
