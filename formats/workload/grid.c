/* SPDX-License-Identifier: MIT
 *
 * Arithmetic of places.
 */
#include "workload/grid.h"

ps_grid ps_grid_of(const ps_workload *workload)
{
    ps_grid grid = {.axis_count = (uint32_t)workload->axis.head.count, .ranks = 1};
    for (uint32_t i = 0; i < grid.axis_count; i++) {
        grid.size[i] = workload->axis.size[i];
        grid.stride[i] = grid.ranks;
        grid.ranks *= grid.size[i];
    }
    return grid;
}

uint32_t ps_grid_place(const ps_grid *self, uint32_t rank, uint32_t axis)
{
    return rank / self->stride[axis] % self->size[axis];
}

uint32_t ps_grid_base(const ps_grid *self, uint32_t rank, uint32_t mask)
{
    uint32_t base = rank;
    for (uint32_t i = 0; i < self->axis_count; i++) {
        if ((mask >> i & 1u) != 0) {
            base -= ps_grid_place(self, rank, i) * self->stride[i];
        }
    }
    return base;
}

uint32_t ps_grid_group_size(const ps_grid *self, uint32_t mask)
{
    uint32_t size = 1;
    for (uint32_t i = 0; i < self->axis_count; i++) {
        size *= (mask >> i & 1u) != 0 ? self->size[i] : 1u;
    }
    return size;
}

uint32_t ps_grid_member(const ps_grid *self, uint32_t base, uint32_t mask, uint32_t index)
{
    uint32_t rank = base;
    for (uint32_t i = 0; i < self->axis_count; i++) {
        if ((mask >> i & 1u) != 0) {
            rank += index % self->size[i] * self->stride[i];
            index /= self->size[i];
        }
    }
    return rank;
}

uint32_t ps_grid_at(const ps_grid *self, uint32_t rank, uint32_t axis, uint32_t place)
{
    return rank - ps_grid_place(self, rank, axis) * self->stride[axis] + place * self->stride[axis];
}

bool ps_grid_covers(const ps_workload *workload, uint32_t rank)
{
    const ps_grid grid = ps_grid_of(workload);
    if (rank >= grid.ranks) {
        return false;
    }
    for (uint32_t i = 0; i < grid.axis_count; i++) {
        const uint32_t place = workload->axis.place[i];
        if (place != PS_WORKLOAD_ANYWHERE && place != ps_grid_place(&grid, rank, i)) {
            return false;
        }
    }
    return true;
}
