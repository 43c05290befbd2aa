/* SPDX-License-Identifier: MIT
 *
 * Where a method keeps optimizer states and parameters: on the GPU, in host
 * memory, on disks. None of these changes what is trained.
 *
 *   faster ◄─────────────────────────────────────────────────────► less memory
 *   GPU, a quarter .. three quarters of the sub-groups on the host, all of them,
 *   parameters too; or states on disks, which need less of the host as well
 */
#ifndef PS_SEARCH_PLACEMENT_H
#define PS_SEARCH_PLACEMENT_H

#include "workload/script/parallel.h"

/** Placements, in the order in which a search tries them. */
typedef enum ps_search_placement {
    PS_SEARCH_ON_GPU = 0,
    PS_SEARCH_OPTIMIZER_ON_HOST,      /* all of ZeRO's optimizer */
    PS_SEARCH_THREE_QUARTERS_ON_HOST, /* of ZeRO-3's sub-groups: TwinFlow */
    PS_SEARCH_HALF_ON_HOST,           /* likewise */
    PS_SEARCH_QUARTER_ON_HOST,        /* likewise */
    PS_SEARCH_STRIDE,             /* each k-th sub-group steps on the GPU: Deep Optimizer States */
    PS_SEARCH_PARAMETERS_ON_HOST, /* ZeRO-3's parameters as well */
    PS_SEARCH_DISKS_BESIDE,       /* optimizer on disks, files read and written beside steps */
    PS_SEARCH_DISKS,              /* ... one after the other: fewer buffers */
    PS_SEARCH_DISKS_AND_HOST,     /* ... and parameters on the host */
    PS_SEARCH_FROZEN_ON_HOST,     /* weights that are not trained, block by block */
    PS_SEARCH_PLACEMENT_COUNT
} ps_search_placement;

/** "optimizer on host": what placements of a family have in common; NULL on the GPU. */
const char *ps_search_placement_family(ps_search_placement self);

/** "offload_ratio=0.25": what tells one from others of its family; NULL of the plainest. */
const char *ps_search_placement_member(ps_search_placement self);

/** True when a family has both. */
bool ps_search_placement_is_family(ps_search_placement a, ps_search_placement b);

/** True when `a` is sure to be faster than `b` at the same micro-batch: it moves less. */
bool ps_search_placement_is_faster(ps_search_placement a, ps_search_placement b);

/** True when `a` is sure to need less memory of a GPU than `b` at the same micro-batch. Told of those
 *  alone that are tried before `b`. */
bool ps_search_placement_is_smaller(ps_search_placement a, ps_search_placement b);

/** Settings of the scheme, in the words of --scheme-option; NULL past the end. */
const char *ps_search_placement_setting(ps_search_placement self, size_t i);

/** True when a scheme has it. */
bool ps_search_placement_is_of(ps_search_placement self, ps_parallel_scheme scheme);

/** True when it needs disks. */
bool ps_search_placement_has_disks(ps_search_placement self);

#endif
