/* SPDX-License-Identifier: MIT
 *
 * How long a collective of NCCL takes among the GPUs of one machine, from the
 * machine's figures in cluster/collectives.csv.
 *
 *   time = max(floor + steps x floor hop,
 *              start + steps x start hop + bus bytes / rate + bytes / pass rate)
 *
 * for each algorithm and protocol; the least is what NCCL is taken to choose.
 * docs/MODEL.md section 13 has the equations and what they miss. All arithmetic
 * is on integers. No command uses it yet.
 */
#ifndef PS_COST_COLLECTIVE_H
#define PS_COST_COLLECTIVE_H

#include "base/checked.h"
#include "plan/plan.h"

/* X(symbol, name in files) */
#define PS_COLLECTIVE_KINDS(X)          \
    X(ALL_REDUCE, "all-reduce")         \
    X(REDUCE_SCATTER, "reduce-scatter") \
    X(ALL_GATHER, "all-gather")         \
    X(BROADCAST, "broadcast")           \
    X(ALL_TO_ALL, "all-to-all")         \
    X(SEND_RECV, "send-recv")

typedef enum ps_collective_kind {
#define PS_COLLECTIVE_KIND_ENUM(sym, name) PS_COLLECTIVE_##sym,
    PS_COLLECTIVE_KINDS(PS_COLLECTIVE_KIND_ENUM)
#undef PS_COLLECTIVE_KIND_ENUM
        PS_COLLECTIVE_KIND_COUNT
} ps_collective_kind;

/* X(symbol, name in files) */
#define PS_COLLECTIVE_TOPOLOGIES(X) \
    X(NVSWITCH, "nvswitch")         \
    X(NVLINK, "nvlink")             \
    X(PCIE, "pcie")

/** What the GPUs talk over: every pair at full rate; rings of links; the host's bus. */
typedef enum ps_collective_topology {
#define PS_COLLECTIVE_TOPOLOGY_ENUM(sym, name) PS_COLLECTIVE_##sym,
    PS_COLLECTIVE_TOPOLOGIES(PS_COLLECTIVE_TOPOLOGY_ENUM)
#undef PS_COLLECTIVE_TOPOLOGY_ENUM
        PS_COLLECTIVE_TOPOLOGY_COUNT
} ps_collective_topology;

/* X(symbol, name in files) */
#define PS_COLLECTIVE_ALGORITHMS(X) \
    X(RING, "ring")                 \
    X(TREE, "tree")                 \
    X(NVLS, "nvls")

/** NVLS sums in the switch. All-to-all and send-recv are direct and count as RING. */
typedef enum ps_collective_algorithm {
#define PS_COLLECTIVE_ALGORITHM_ENUM(sym, name) PS_COLLECTIVE_##sym,
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

/** How a receiver learns that data has come; NVLS has SIMPLE alone. */
typedef enum ps_collective_protocol {
#define PS_COLLECTIVE_PROTOCOL_ENUM(sym, name) PS_COLLECTIVE_##sym,
    PS_COLLECTIVE_PROTOCOLS(PS_COLLECTIVE_PROTOCOL_ENUM)
#undef PS_COLLECTIVE_PROTOCOL_ENUM
        PS_COLLECTIVE_PROTOCOL_COUNT,
    PS_COLLECTIVE_ANY_PROTOCOL = PS_COLLECTIVE_PROTOCOL_COUNT
} ps_collective_protocol;

/** One collective among the first GPUs of a machine. */
typedef struct ps_collective_call {
    ps_collective_kind kind;
    ps_collective_topology topology;
    ps_collective_algorithm algorithm; /* or ANY_ALGORITHM */
    ps_collective_protocol protocol;   /* or ANY_PROTOCOL */
    uint32_t ranks;                    /* at least 1 */
    uint64_t
        bytes; /* whole buffer of a rank: of all ranks' parts for gather, scatter, all-to-all */
} ps_collective_call;

typedef struct ps_collective_result {
    ps_ns dur_ns;
    ps_collective_algorithm algorithm;
    ps_collective_protocol protocol;
    uint64_t bus_bytes;       /* what passes each GPU's busiest direction */
    uint64_t bus_bytes_per_s; /* of them; as nccl-tests prints it. 0 when nothing is sent */
    ps_basis basis;           /* guessed where a figure of the machine is, else analytic */
} ps_collective_result;

typedef struct ps_collective_model ps_collective_model;

typedef struct ps_collective_options {
    const char *csv; /* rows in the form of collectives.csv, which replace its own; NULL: none */
    size_t csv_bytes;
} ps_collective_options;

/**
 * Model of the machines of one GPU.
 *
 * @param gpu      as the rows of collectives.csv name it
 * @param options  NULL: all zero; read during the call alone
 * @param out      to be given to ps_collective_destroy; untouched on failure
 * @return PS_OK · PS_NOMEM · PS_NOT_FOUND no row of that GPU, or a figure missing ·
 *         PS_BAD_INPUT rows that do not parse, with name and line
 */
ps_code ps_collective_create(const char *gpu, const ps_collective_options *options,
                             ps_collective_model **out, ps_error *err) PS_MUST_USE;

void ps_collective_destroy(ps_collective_model *self);

/**
 * Device time of one collective, all ranks arriving together. One rank or no
 * byte takes no time.
 *
 * @return PS_OK · PS_USAGE no rank, more than the machine has, send-recv among other than two,
 *         more than 2^62 bytes, an algorithm that the kind or machine has not ·
 *         PS_NOT_FOUND a topology without figures
 */
ps_code ps_collective_time(const ps_collective_model *self, const ps_collective_call *call,
                           ps_collective_result *out, ps_error *err) PS_MUST_USE;

/** Names in files. Static storage. */
const char *ps_collective_kind_name(ps_collective_kind kind);
const char *ps_collective_topology_name(ps_collective_topology topology);
const char *ps_collective_algorithm_name(ps_collective_algorithm algorithm);
const char *ps_collective_protocol_name(ps_collective_protocol protocol);

#endif
