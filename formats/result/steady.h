/* SPDX-License-Identifier: MIT
 *
 * Why the steady step takes as long as it does: what its critical path passes
 * through, what every lane and link had to do in it, and which bandwidths
 * would change nothing any more. Part of a result.
 */
#ifndef PS_RESULT_STEADY_H
#define PS_RESULT_STEADY_H

#include "base/checked.h"
#include "base/strings.h"

/* X(symbol, name in files, words) : what a step can wait for */
#define PS_RESOURCES(X)                                 \
    X(COMPUTE, "compute", "computation of the GPU")     \
    X(UPLOAD, "upload", "copies to the GPU")            \
    X(OFFLOAD, "offload", "copies from the GPU")        \
    X(CPU, "cpu", "computation of the host")            \
    X(STORAGE, "storage", "reads and writes of disks")  \
    X(LAUNCH, "launch", "launches and other host work") \
    X(COLLECTIVE, "collective", "exchanges of ranks")

typedef enum ps_resource {
#define PS_RESOURCE_ENUM(sym, name, words) PS_RESOURCE_##sym,
    PS_RESOURCES(PS_RESOURCE_ENUM)
#undef PS_RESOURCE_ENUM
        PS_RESOURCE_COUNT
} ps_resource;

/** A lane in the steady step; what is left of the step it stands idle. */
typedef struct ps_result_lane {
    uint32_t lane;    /* row of the plan */
    uint32_t device;  /* row + 1 of the one it works for; 0: of a group, or unknown */
    ps_ns busy_ns;    /* at work */
    ps_ns waiting_ns; /* of a host: in calls that wait for the device */
} ps_result_lane;

/** A link in the steady step. */
typedef struct ps_result_link {
    uint32_t link;             /* row of the plan */
    uint64_t bytes;            /* that crossed it, as often as they did */
    uint64_t share_millionths; /* of what it could have carried in the step */
} ps_result_link;

/** The last step, which stands for all after the first; of a plan without steps, all of it. */
typedef struct ps_result_steady {
    bool is_known; /* traffic with hosts uses some link; else nothing of this is computed */
    ps_ns begin_ns, end_ns;
    ps_ns path_ns[PS_RESOURCE_COUNT]; /* critical path; sums to the length of the step */
    ps_resource limit;                /* the largest of them; of equals the first */
    ps_result_lane *lane;             /* those that worked in it, in the plan's order */
    size_t lane_count;
    ps_result_link *link; /* likewise */
    size_t link_count;
} ps_result_steady;

/* X(symbol, name in files and on the command line, words) */
#define PS_BREAK_EVENS(X)                               \
    X(PCIE, "pcie", "PCIe in each direction")           \
    X(HOST_MEMORY, "host-memory", "memory of a socket") \
    X(CORES, "cores", "what the threads of a rank stream")

typedef enum ps_break_even_of {
#define PS_BREAK_EVEN_ENUM(sym, name, words) PS_BREAK_EVEN_##sym,
    PS_BREAK_EVENS(PS_BREAK_EVEN_ENUM)
#undef PS_BREAK_EVEN_ENUM
        PS_BREAK_EVEN_COUNT
} ps_break_even_of;

/** The least bandwidth at which more of it shortens the step by no more than 1 %. */
typedef struct ps_result_break_even {
    bool is_known;            /* somebody asked, and the plan uses it */
    uint64_t now_bytes_per_s; /* as planned */
    uint64_t least_bytes_per_s;
    ps_ns endless_ns; /* step with endless bandwidth */
} ps_result_break_even;

/** Names: static storage. */
const char *ps_resource_name(ps_resource resource);
const char *ps_resource_words(ps_resource resource);
const char *ps_break_even_name(ps_break_even_of of);
const char *ps_break_even_words(ps_break_even_of of);

#endif
