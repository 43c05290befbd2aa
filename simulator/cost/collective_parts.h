/* SPDX-License-Identifier: MIT
 *
 * What the files of the collectives share: a machine's figures in base units.
 */
#ifndef PS_COST_COLLECTIVE_PARTS_H
#define PS_COST_COLLECTIVE_PARTS_H

#include "cost/collective.h"

/** Largest group with a number of rings of its own. */
#define PS_COLLECTIVE_MOST_RANKS 16u

/* X(member, name after the protocol, unit): for ring and tree */
#define PS_COLLECTIVE_PATH_FIGURES(X)      \
    X(floor_ns, "floor", DURATION)         \
    X(floor_hop_ns, "floor-hop", DURATION) \
    X(start_ns, "start", DURATION)         \
    X(start_hop_ns, "start-hop", DURATION) \
    X(ring_share, "ring-share", RATIO)     \
    X(tree_share, "tree-share", RATIO)     \
    X(pass_rate, "pass-rate", BANDWIDTH)

typedef struct ps_collective_path {
#define PS_COLLECTIVE_PATH_MEMBER(member, name, unit) uint64_t member;
    PS_COLLECTIVE_PATH_FIGURES(PS_COLLECTIVE_PATH_MEMBER)
#undef PS_COLLECTIVE_PATH_MEMBER
} ps_collective_path;

/* X(member, name, unit): of a machine; NVLS figures are absent where the switch does not sum */
#define PS_COLLECTIVE_MACHINE_FIGURES(X)     \
    X(ranks, "ranks", COUNT)                 \
    X(link_rate, "link-rate", BANDWIDTH)     \
    X(nvls_rate, "nvls-rate", BANDWIDTH)     \
    X(nvls_floor_ns, "nvls-floor", DURATION) \
    X(nvls_start_ns, "nvls-start", DURATION)

/** Durations in [ns], rates in [bytes/s], shares and rings in [millionths]; 0 where not given. */
typedef struct ps_collective_machine {
#define PS_COLLECTIVE_MACHINE_MEMBER(member, name, unit) uint64_t member;
    PS_COLLECTIVE_MACHINE_FIGURES(PS_COLLECTIVE_MACHINE_MEMBER)
#undef PS_COLLECTIVE_MACHINE_MEMBER
    uint64_t rings[PS_COLLECTIVE_MOST_RANKS + 1]; /* by ranks */
    ps_collective_path path[PS_COLLECTIVE_PROTOCOL_COUNT];
    bool is_given, is_guessed;
} ps_collective_machine;

struct ps_collective_model {
    ps_collective_machine machine[PS_COLLECTIVE_TOPOLOGY_COUNT];
};

/** Reads the rows of a GPU: the built-in ones, then those of the options. */
ps_code ps_collective_read(const char *gpu, const ps_collective_options *options,
                           ps_collective_model *out, ps_error *err) PS_MUST_USE;

#endif
