/* SPDX-License-Identifier: MIT
 *
 * The grid of ranks that a workload's axes span: who is where, and who is in
 * a group. The first axis varies fastest: with axes of sizes 2 and 4 rank 5
 * is at place 1 of the first and 2 of the second.
 *
 * A group spans some axes, given as a mask of bits: its members differ in
 * their places on these and share all others. Its base is its lowest rank.
 */
#ifndef PS_WORKLOAD_GRID_H
#define PS_WORKLOAD_GRID_H

#include "workload/workload.h"

typedef struct ps_grid {
    uint32_t axis_count;
    uint32_t size[PS_WORKLOAD_MAX_AXES], stride[PS_WORKLOAD_MAX_AXES];
    uint32_t ranks;
} ps_grid;

/** The grid of a checked workload; one rank where it has no axes. */
ps_grid ps_grid_of(const ps_workload *workload);

/** Where a rank is on an axis. */
uint32_t ps_grid_place(const ps_grid *self, uint32_t rank, uint32_t axis);

/** Lowest rank of the group that spans the axes of `mask` and has `rank` in it. */
uint32_t ps_grid_base(const ps_grid *self, uint32_t rank, uint32_t mask);

/** Members of a group, 1 or more. */
uint32_t ps_grid_group_size(const ps_grid *self, uint32_t mask);

/** The index-th member of a group, in ascending order of ranks. */
uint32_t ps_grid_member(const ps_grid *self, uint32_t base, uint32_t mask, uint32_t index);

/** The rank at another place of one axis. */
uint32_t ps_grid_at(const ps_grid *self, uint32_t rank, uint32_t axis, uint32_t place);

/** True when a workload is that of a rank: its places on all axes agree. */
bool ps_grid_covers(const ps_workload *workload, uint32_t rank);

#endif
