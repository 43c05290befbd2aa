/* SPDX-License-Identifier: MIT
 *
 * What the files of the collective model share.
 */
#ifndef PS_COST_COLLECTIVE_PARTS_H
#define PS_COST_COLLECTIVE_PARTS_H

#include "cluster/builtin.h"
#include "cluster/figure_table.h"
#include "cost/collective.h"

enum {
    PS_NCCL_PROTOCOLS = PS_COLLECTIVE_PROTOCOL_COUNT,
    PS_NCCL_GRAPHS = 2, /* ring, tree */
    PS_NCCL_SPANS = 3,  /* one node, two, more */
    PS_NCCL_CORRECTIONS = 23,
};

/** What a step goes over, in the order of nccl.csv's tables. */
typedef enum ps_nccl_hardware {
    PS_NCCL_NVLINK,
    PS_NCCL_PCI,
    PS_NCCL_NET,
    PS_NCCL_HARDWARE_COUNT
} ps_nccl_hardware;

/** NCCL's constants for one GPU and processor; names as in nccl.csv. Times [ns], shares [millionths],
 * the rest [bytes/s] or [bytes]. */
typedef struct ps_nccl {
    uint64_t base[PS_NCCL_GRAPHS][PS_NCCL_PROTOCOLS];
    uint64_t hop[PS_NCCL_HARDWARE_COUNT][PS_NCCL_GRAPHS][PS_NCCL_PROTOCOLS];
    uint64_t ll_cap[PS_NCCL_SPANS];
    uint64_t ll_share_reduce, ll_share_gather;
    uint64_t ll128_share, ll128_channel;
    uint64_t tree_share, tree_ll_share, tree_ll128_share[2];
    uint64_t tree_channel[PS_NCCL_SPANS], ll128_tree_channel[PS_NCCL_SPANS];
    uint64_t plateau;
    uint64_t bus_cap; /* UINT64_MAX: none */
    uint64_t correction[PS_NCCL_PROTOCOLS][PS_NCCL_CORRECTIONS];
    uint64_t chunk[PS_NCCL_PROTOCOLS], channel_bytes[PS_NCCL_PROTOCOLS];
    uint64_t nvls_share; /* 0: the GPU has no such switch, or the release no such algorithm */
    uint64_t nvls_hop, nvls_net_hop, nvls_tree_net_hop;
    uint64_t nvls_tree_channel[PS_NCCL_SPANS];
} ps_nccl;

/** Figures of a machine; names as in collectives.csv. */
typedef struct ps_collective_machine {
    uint64_t channels, bus_rate; /* of an NVSWITCH or PCIE; of one ring of an NVLINK */
    uint64_t base_latency, simple_hop, ll128_hop;
    uint64_t link_share, ll128_share, forwarded_share, direct_share;
    uint64_t copy_rate;                          /* UINT64_MAX: does not show */
    uint64_t nvls_share, nvls_latency, nvls_hop; /* share 0: no such switch */
    bool is_guessed;                             /* one of them is nobody's measurement */
} ps_collective_machine;

typedef struct ps_measured_row {
    ps_collective_op kind;
    uint32_t ranks, nodes;
    uint64_t bytes;
    ps_ns dur_ns;
} ps_measured_row;

struct ps_collective_model {
    ps_nccl nccl;
    ps_collective_machine machine;
    bool has_ll128;       /* the GPU can */
    uint64_t network_ns;  /* of a message, beside NCCL's own step */
    ps_measured_row *row; /* ascending by kind, ranks, nodes, bytes */
    size_t row_count, row_capacity;
};

/** One way to run a call. */
typedef struct ps_collective_way {
    ps_collective_algorithm algorithm;
    ps_collective_protocol protocol;
} ps_collective_way;

/** Reads the machine and NCCL's constants. See ps_collective_create. */
ps_code ps_collective_read(ps_collective_model *self, const ps_catalogue *catalogue,
                           const ps_cluster *cluster, const ps_collective_options *options,
                           ps_error *err) PS_MUST_USE;

/** Steps of a ring; and those of them between nodes. */
uint64_t ps_collective_steps(ps_collective_op kind, uint64_t ranks);

/** Channels that NCCL has for a place. */
uint64_t ps_collective_channels(const ps_collective_model *self, const ps_group_place *place);

/** What LL is taken to reach of a bus of that rate. */
uint64_t ps_nccl_ll_rate(const ps_nccl *self, ps_collective_op kind, const ps_group_place *place,
                         uint64_t bus);

/** NCCL's factor of a tree's bandwidth [millionths]. */
uint64_t ps_nccl_correction(const ps_nccl *self, ps_collective_protocol protocol, uint64_t bytes);

/**
 * Time that NCCL predicts for one way, which only serves to choose.
 *
 * @return false when it does not offer the way
 */
bool ps_nccl_predict(const ps_collective_model *self, const ps_collective_call *call,
                     ps_collective_way way, uint64_t *ns);

/** Way that NCCL chooses, or the one that the call forces. PS_OK · PS_USAGE none is possible */
ps_code ps_collective_choose(const ps_collective_model *self, const ps_collective_call *call,
                             ps_collective_way *out, ps_error *err) PS_MUST_USE;

/** Fills the result of a call of at least two ranks and a byte. */
void ps_collective_time_of(const ps_collective_model *self, const ps_collective_call *call,
                           ps_collective_way way, ps_collective_result *out);

/** Corrects the result by a measured table of its collective, if there is one. */
void ps_collective_apply_measured(const ps_collective_model *self, const ps_collective_call *call,
                                  ps_collective_result *inout);

/** value x share [millionths] */
static inline uint64_t ps_share_of(uint64_t value, uint64_t share)
{
    return ps_mul_div_u64(value, share, PS_RATIO_ONE);
}

static inline uint64_t ps_least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/** [ns] for bytes at a rate, rounded up; a rate of 0 counts as 1. */
static inline uint64_t ps_ns_at(uint64_t bytes, uint64_t bytes_per_s)
{
    const uint64_t rate = bytes_per_s > 0 ? bytes_per_s : 1;
    const ps_u128 ns = ((ps_u128)bytes * UINT64_C(1000000000) + rate - 1) / rate;
    return ns > UINT64_MAX / 4 ? UINT64_MAX / 4 : (uint64_t)ns;
}

#endif
