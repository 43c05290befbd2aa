/* SPDX-License-Identifier: MIT
 *
 * The network as lowering a job sees it: what an exchange between ranks costs
 * and which shared links it loads. The clusters of cluster/ are one such
 * network; tests have their own.
 */
#ifndef PS_JOB_NETWORK_H
#define PS_JOB_NETWORK_H

#include "workload/workload.h"

/** Ranks that exchange something. */
typedef struct ps_exchange {
    ps_collective_op op; /* SEND stands for a message from rank[0] to rank[1] */
    uint64_t bytes;      /* the whole message: see ps_collective_op */
    const uint32_t *rank;
    size_t rank_count; /* two or more */
} ps_exchange;

/**
 * What it costs: latency, then `wire_bytes` over all its links at once, never
 * faster than `rate_bytes_per_s`.
 */
typedef struct ps_exchange_cost {
    ps_ns latency_ns;
    uint64_t wire_bytes;
    uint64_t rate_bytes_per_s; /* > 0 where wire_bytes > 0 */
    ps_basis basis;
} ps_exchange_cost;

/** Rows of links that an exchange crosses; a link that stands twice is crossed twice. */
typedef struct ps_network_path {
    uint32_t *link; /* owned by whoever made the path: ps_free */
    size_t count, capacity;
} ps_network_path;

/** What a rank does with its host. */
typedef enum ps_host_traffic {
    PS_HOST_UPLOAD = 0,    /* from pinned memory */
    PS_HOST_OFFLOAD,       /* to pinned memory */
    PS_HOST_ECHO,          /* from pinned memory that an offload has just written */
    PS_HOST_STAGED_UPLOAD, /* from pageable memory, by way of a pinned buffer */
    PS_HOST_STAGED_OFFLOAD,
    PS_HOST_COMPUTE,        /* its threads read and write memory */
    PS_HOST_PINNED_COMPUTE, /* ... that is pinned */
    PS_HOST_LONE_COMPUTE,   /* ... that is one pinned tensor */
    PS_HOST_STORAGE_READ,   /* disks of the node to memory */
    PS_HOST_STORAGE_WRITE,
    PS_HOST_TRAFFIC_COUNT
} ps_host_traffic;

/** The host of a rank. */
typedef struct ps_network_host {
    uint32_t node;
    uint64_t node_bytes;                              /* memory of the node; 0 unknown */
    uint64_t rate_bytes_per_s[PS_HOST_TRAFFIC_COUNT]; /* the most that one transfer, or the threads
                                                         of the rank together, can have; 0 for
                                                         storage that no node has */
    ps_basis basis[PS_HOST_TRAFFIC_COUNT];
} ps_network_host;

typedef struct ps_network {
    void *context;
    uint32_t link_count;
    const char *(*link_name)(const void *context, uint32_t link);
    uint64_t (*link_bytes_per_s)(const void *context, uint32_t link); /* > 0 */
    /** Sets the path's links. PS_OK · PS_NOMEM */
    ps_code (*path)(void *context, const ps_exchange *what, ps_network_path *out, ps_error *err);
    /** The same for groups of ranks (of messages: for pairs) all of whose exchanges cost the same. */
    uint32_t (*shape)(void *context, const uint32_t *rank, size_t rank_count);
    /** PS_OK · PS_NOT_FOUND a figure the network lacks */
    ps_code (*cost)(void *context, const ps_exchange *what, ps_exchange_cost *out, ps_error *err);
    /** The host of a rank. NULL: hosts are not described. PS_OK · PS_NOT_FOUND */
    ps_code (*host)(void *context, uint32_t rank, ps_network_host *out, ps_error *err);
    /** Sets the links that a rank's traffic with its host crosses. PS_OK · PS_NOMEM */
    ps_code (*host_path)(void *context, uint32_t rank, ps_host_traffic traffic,
                         ps_network_path *out, ps_error *err);
} ps_network;

#endif
