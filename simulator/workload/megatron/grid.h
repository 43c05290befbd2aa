/* SPDX-License-Identifier: MIT
 *
 * The grid of ranks: where one stands, and which axes a communicator spans.
 */
#ifndef PS_WORKLOAD_MEGATRON_GRID_H
#define PS_WORKLOAD_MEGATRON_GRID_H

#include "workload/megatron/megatron.h"

/** Axes in the order of ranks, the fastest first; rows of the axis table. */
typedef enum ps__meg_axis {
    PS__MEG_TENSOR = 0,
    PS__MEG_CONTEXT = 1,
    PS__MEG_EXPERT = 2, /* replicas that divide the experts among them */
    PS__MEG_DATA = 3,   /* replicas beyond them */
    PS__MEG_PIPELINE = 4,
    PS__MEG_AXIS_COUNT
} ps__meg_axis;

typedef struct ps__meg_grid {
    int64_t size[PS__MEG_AXIS_COUNT], place[PS__MEG_AXIS_COUNT];
} ps__meg_grid;

/** Axes along which the optimizer's states are divided, and gradients added up. */
#define PS__MEG_REPLICAS (1u << PS__MEG_CONTEXT | 1u << PS__MEG_EXPERT | 1u << PS__MEG_DATA)

/** ... for parameters of experts. */
#define PS__MEG_EXPERT_REPLICAS (1u << PS__MEG_DATA)

/** PS_USAGE: degrees that cannot be, a rank that is not there. */
ps_code ps__meg_grid_of(const ps_megatron_recipe *recipe, int64_t rank, ps__meg_grid *out,
                        ps_error *err) PS_MUST_USE;

/** Those axes of the mask that have more than one rank. */
uint32_t ps__meg_grid_span(const ps__meg_grid *grid, uint32_t axes);

/** Ranks in a group that spans these axes, and this rank's number in it. */
int64_t ps__meg_grid_size(const ps__meg_grid *grid, uint32_t axes);
int64_t ps__meg_grid_place(const ps__meg_grid *grid, uint32_t axes);

#endif
