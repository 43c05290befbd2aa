/* SPDX-License-Identifier: MIT
 *
 * How long a collective of NCCL takes when its ranks have met, and what it
 * loads meanwhile.
 *
 *   choice  as NCCL makes it: the algorithm and protocol of least time by
 *           NCCL's own constants (cluster/nccl.csv)             collective_nccl.c
 *   time    of the chosen one, by a few figures of the machine
 *           (cluster/collectives.csv):                          collective_time.c
 *
 *             latency + wire bytes / rate
 *
 *   tables  measured by the user win over both                  collective_measured.c
 *
 * docs/MODEL.md has the equations and their errors. All arithmetic is on
 * integers, so the same collective costs the same everywhere.
 */
#ifndef PS_COST_COLLECTIVE_H
#define PS_COST_COLLECTIVE_H

#include "base/checked.h"
#include "cluster/cluster.h"
#include "plan/plan.h"
#include "workload/workload.h"

/* X(symbol, name in files, doc) */
#define PS_COLLECTIVE_ALGORITHMS(X)                                                    \
    X(RING, "ring", "around all ranks")                                                \
    X(TREE, "tree", "chains inside nodes, two binary trees between them: all-reduces") \
    X(NVLS, "nvls", "sums in the switch: all-reduces on one node")                     \
    X(NVLS_TREE, "nvls-tree", "sums in the switch, trees between nodes: all-reduces")  \
    X(DIRECT, "direct", "every rank to every other, or one to one: all-to-all, send")

typedef enum ps_collective_algorithm {
#define PS_COLLECTIVE_ALGORITHM_ENUM(sym, name, doc) PS_COLLECTIVE_BY_##sym,
    PS_COLLECTIVE_ALGORITHMS(PS_COLLECTIVE_ALGORITHM_ENUM)
#undef PS_COLLECTIVE_ALGORITHM_ENUM
        PS_COLLECTIVE_ALGORITHM_COUNT,
    PS_COLLECTIVE_ANY_ALGORITHM = PS_COLLECTIVE_ALGORITHM_COUNT
} ps_collective_algorithm;

/* X(symbol, name in files) */
#define PS_COLLECTIVE_PROTOCOLS(X) \
    X(LL, "ll")                    \
    X(LL128, "ll128")              \
    X(SIMPLE, "simple")

/** How a receiver learns that data has come; NVLS and direct have SIMPLE alone. */
typedef enum ps_collective_protocol {
#define PS_COLLECTIVE_PROTOCOL_ENUM(sym, name) PS_COLLECTIVE_##sym,
    PS_COLLECTIVE_PROTOCOLS(PS_COLLECTIVE_PROTOCOL_ENUM)
#undef PS_COLLECTIVE_PROTOCOL_ENUM
        PS_COLLECTIVE_PROTOCOL_COUNT,
    PS_COLLECTIVE_ANY_PROTOCOL = PS_COLLECTIVE_PROTOCOL_COUNT
} ps_collective_protocol;

/** One collective. `place` is what ps_cluster_place says of its group. */
typedef struct ps_collective_call {
    ps_collective_op kind; /* SEND and RECV are the two sides of one transfer */
    uint64_t bytes;        /* whole buffer of a rank: of all ranks' parts for gather, scatter and
                              all-to-all, as nccl-tests counts */
    ps_group_place place;
    ps_collective_algorithm algorithm; /* or ANY_ALGORITHM */
    ps_collective_protocol protocol;   /* or ANY_PROTOCOL */
} ps_collective_call;

typedef struct ps_collective_result {
    ps_ns dur_ns;              /* latency_ns + wire_bytes / rate_bytes_per_s, rounded up */
    ps_ns latency_ns;          /* start, steps, and what chunks add */
    uint64_t wire_bytes;       /* what each rank sends; what a flow over ps_cluster_path carries */
    uint64_t rate_bytes_per_s; /* the flow's own cap; 0 when nothing is sent */
    ps_traffic traffic;        /* of its path */
    ps_collective_algorithm algorithm;
    ps_collective_protocol protocol;
    uint32_t channels; /* multiprocessors that it occupies on each GPU */
    ps_basis basis; /* measured: inside a table; scaled: beyond its sizes; analytic; guessed: on a
                          figure that nobody measured */
} ps_collective_result;

typedef struct ps_collective_model ps_collective_model;

typedef struct ps_collective_options {
    const char *csv; /* rows in the form of collectives.csv, which add and override; NULL: none */
    size_t csv_bytes;
    const char *csv_name; /* for messages */
    const char *machine;  /* row of that table; NULL: the one that the cluster names */
    const char *nccl;     /* release of nccl.csv; NULL: the one that the machine names */
} ps_collective_options;

/**
 * Model of the collectives of a cluster.
 *
 * @param catalogue  read during the call alone
 * @param cluster    read during the call alone
 * @param options    NULL: all zero; read during the call alone
 * @param out        to be given to ps_collective_destroy; untouched on failure
 * @return PS_OK · PS_NOMEM · PS_NOT_FOUND no such machine or release, or a figure missing ·
 *         PS_BAD_INPUT rows that do not parse, with name and line
 */
ps_code ps_collective_create(const ps_catalogue *catalogue, const ps_cluster *cluster,
                             const ps_collective_options *options, ps_collective_model **out,
                             ps_error *err) PS_MUST_USE;

void ps_collective_destroy(ps_collective_model *self);

/**
 * Takes a measured table in; it wins over the formulas for its collective, ranks and nodes.
 *
 *   CSV    collective,ranks,nodes,bytes,time     "all-reduce,8,1,1048576,93us"
 *   text   what nccl-tests prints: ranks and nodes are those of its "Rank" lines, the out-of-place
 *          time counts; `kind` says which test it was
 *
 * @param name  what messages call the text
 * @param kind  of a text of nccl-tests; PS_COLLECTIVE_NONE: CSV
 * @return PS_OK · PS_NOMEM · PS_LIMIT · PS_BAD_INPUT with name and line, or a text without a row
 * After a failure the model is as before.
 */
ps_code ps_collective_add_measured(ps_collective_model *self, const char *name, const char *text,
                                   size_t bytes, ps_collective_op kind, ps_error *err) PS_MUST_USE;

/**
 * Device time of one collective from the moment its last rank has come. One rank or no byte takes
 * no time.
 *
 * @return PS_OK · PS_USAGE no kind, no rank, a send among other than two, more than 2^56 bytes, an
 *         algorithm or protocol that the kind or the place has not
 */
ps_code ps_collective_time(const ps_collective_model *self, const ps_collective_call *call,
                           ps_collective_result *out, ps_error *err) PS_MUST_USE;

/** Bytes that each rank sends, in the accounting of nccl-tests' bus bandwidth. */
uint64_t ps_collective_bus_bytes(ps_collective_op kind, uint64_t bytes, uint32_t ranks);

/** Names in files. Static storage. */
const char *ps_collective_kind_name(ps_collective_op kind);
const char *ps_collective_algorithm_name(ps_collective_algorithm algorithm);
const char *ps_collective_protocol_name(ps_collective_protocol protocol);

#endif
