/* SPDX-License-Identifier: MIT
 *
 * Placements as data: names, settings, whose they are, what is faster.
 */
#include "search/placement.h"

#include <string.h>

#define MOST_SETTINGS 5

#define SCHEME_BIT(scheme) (1u << PS_PARALLEL_##scheme)
#define ZERO3 SCHEME_BIT(ZERO3)
#define ZERO (SCHEME_BIT(ZERO1) | SCHEME_BIT(ZERO2) | ZERO3)

#define BIT(placement) (1u << PS_SEARCH_##placement)
#define GPU BIT(ON_GPU)
#define QUARTER (GPU | BIT(QUARTER_ON_HOST))
#define HALF (QUARTER | BIT(HALF_ON_HOST))
#define SHARES (HALF | BIT(THREE_QUARTERS_ON_HOST))
#define HOST (SHARES | BIT(OPTIMIZER_ON_HOST))

#define MOSTLY (BIT(OPTIMIZER_ON_HOST) | BIT(THREE_QUARTERS_ON_HOST))

/* Sub-groups small enough that a share or a stride of them comes out as meant, and that those which
 * visit the GPU take little of it: the size that Deep Optimizer States was published with. */
#define SMALL_GROUPS "sub_group_size=100000000"

/* Three sub-groups at a time, four files of each: one read, one stepped over, one written. */
#define THREE_AT_A_TIME "buffer_count=12"

typedef struct placement {
    const char *family, *member;
    const char *setting[MOST_SETTINGS];
    unsigned schemes; /* that have it, a bit each */
    unsigned faster;  /* placements that are, a bit each */
    unsigned smaller; /* ... of those before it */
    bool has_disks;
} placement;

static const placement placements[PS_SEARCH_PLACEMENT_COUNT] = {
    [PS_SEARCH_ON_GPU] = {.schemes = ~0u},
    [PS_SEARCH_QUARTER_ON_HOST] = {.family = "optimizer on host",
                                   .member = "offload_ratio=0.25",
                                   .setting = {"offload_optimizer=true", "offload_ratio=0.25",
                                               SMALL_GROUPS},
                                   .schemes = ZERO3,
                                   .smaller = MOSTLY | BIT(HALF_ON_HOST),
                                   .faster = GPU},
    [PS_SEARCH_HALF_ON_HOST] = {.family = "optimizer on host",
                                .member = "offload_ratio=0.5",
                                .setting = {"offload_optimizer=true", "offload_ratio=0.5",
                                            SMALL_GROUPS},
                                .schemes = ZERO3,
                                .smaller = MOSTLY,
                                .faster = QUARTER},
    [PS_SEARCH_THREE_QUARTERS_ON_HOST] = {.family = "optimizer on host",
                                          .member = "offload_ratio=0.75",
                                          .setting = {"offload_optimizer=true",
                                                      "offload_ratio=0.75", SMALL_GROUPS},
                                          .schemes = ZERO3,
                                          .smaller = BIT(OPTIMIZER_ON_HOST),
                                          .faster = HALF},
    [PS_SEARCH_STRIDE] = {.family = "optimizer on host",
                          .member = "update_stride=auto",
                          .setting = {"offload_optimizer=true", "update_stride=auto",
                                      "async_gradient_flush=true", SMALL_GROUPS},
                          .schemes = ZERO3,
                          .smaller = BIT(OPTIMIZER_ON_HOST),
                          .faster = GPU},
    [PS_SEARCH_OPTIMIZER_ON_HOST] = {.family = "optimizer on host",
                                     .setting = {"offload_optimizer=true"},
                                     .schemes = ZERO,
                                     .faster = SHARES},
    [PS_SEARCH_PARAMETERS_ON_HOST] = {.family = "optimizer, parameters on host",
                                      .setting = {"offload_optimizer=true", "offload_param=true"},
                                      .schemes = ZERO3,
                                      .faster = HOST},
    [PS_SEARCH_DISKS_BESIDE] = {.family = "optimizer on disks",
                                .member = "pipelined",
                                .setting = {"offload_optimizer=nvme", "pipeline_read=true",
                                            "pipeline_write=true", THREE_AT_A_TIME},
                                .schemes = ZERO3,
                                .faster = HOST,
                                .has_disks = true},
    [PS_SEARCH_DISKS] = {.family = "optimizer on disks",
                         .setting = {"offload_optimizer=nvme"},
                         .schemes = ZERO3,
                         .faster = HOST | BIT(DISKS_BESIDE),
                         .has_disks = true},
    [PS_SEARCH_DISKS_AND_HOST] = {.family = "optimizer on disks, parameters on host",
                                  .setting = {"offload_optimizer=nvme", "offload_param=true"},
                                  .schemes = ZERO3,
                                  .faster = HOST | BIT(PARAMETERS_ON_HOST) | BIT(DISKS_BESIDE) |
                                            BIT(DISKS),
                                  .has_disks = true},
    [PS_SEARCH_FROZEN_ON_HOST] = {.family = "parameters on host",
                                  .schemes = SCHEME_BIT(NONE),
                                  .faster = GPU},
};

const char *ps_search_placement_family(ps_search_placement self)
{
    return placements[self].family;
}

const char *ps_search_placement_member(ps_search_placement self)
{
    return placements[self].member;
}

bool ps_search_placement_is_family(ps_search_placement a, ps_search_placement b)
{
    const char *x = placements[a].family, *y = placements[b].family;
    return x == NULL || y == NULL ? x == y : strcmp(x, y) == 0;
}

bool ps_search_placement_is_faster(ps_search_placement a, ps_search_placement b)
{
    return (placements[b].faster >> a & 1u) != 0;
}

bool ps_search_placement_is_smaller(ps_search_placement a, ps_search_placement b)
{
    return (placements[b].smaller >> a & 1u) != 0;
}

const char *ps_search_placement_setting(ps_search_placement self, size_t i)
{
    return i < MOST_SETTINGS ? placements[self].setting[i] : NULL;
}

bool ps_search_placement_is_of(ps_search_placement self, ps_parallel_scheme scheme)
{
    return (placements[self].schemes >> scheme & 1u) != 0;
}

bool ps_search_placement_has_disks(ps_search_placement self)
{
    return placements[self].has_disks;
}
