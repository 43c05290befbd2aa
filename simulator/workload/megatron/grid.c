/* SPDX-License-Identifier: MIT
 *
 * The grid of ranks.
 */
#include "workload/megatron/grid.h"

#include <inttypes.h>

int64_t ps_megatron_ranks(const ps_megatron_recipe *r)
{
    return r->tensor * r->context * r->data * r->pipeline;
}

#define MAX_DEGREE ((int64_t)1 << 15)

static ps_code check_degree(const char *name, int64_t degree, ps_error *err)
{
    if (degree < 1 || degree > MAX_DEGREE) {
        return ps_fail(err, PS_USAGE, "a %s degree of %" PRId64 ": expected 1 to %" PRId64, name,
                       degree, MAX_DEGREE);
    }
    return PS_OK;
}

ps_code ps__meg_grid_of(const ps_megatron_recipe *r, int64_t rank, ps__meg_grid *out, ps_error *err)
{
    PS_TRY(check_degree("tensor-parallel", r->tensor, err));
    PS_TRY(check_degree("context-parallel", r->context, err));
    PS_TRY(check_degree("expert-parallel", r->expert, err));
    PS_TRY(check_degree("data-parallel", r->data, err));
    PS_TRY(check_degree("pipeline-parallel", r->pipeline, err));
    if (r->data % r->expert != 0) {
        return ps_fail(err, PS_USAGE,
                       "experts over %" PRId64 " of %" PRId64 " replicas: expected a divisor",
                       r->expert, r->data);
    }
    if (r->expert > 1 && r->context > 1) {
        return ps_fail(err, PS_USAGE,
                       "experts over replicas together with context parallelism are not modelled");
    }
    if (ps_megatron_ranks(r) > INT32_MAX || rank < 0 || rank >= ps_megatron_ranks(r)) {
        return ps_fail(err, PS_USAGE, "rank %" PRId64 " of a job of %" PRId64, rank,
                       ps_megatron_ranks(r));
    }
    *out = (ps__meg_grid){
        .size = {r->tensor, r->context, r->expert, r->data / r->expert, r->pipeline}};
    for (int axis = 0; axis < PS__MEG_AXIS_COUNT; axis++) {
        out->place[axis] = rank % out->size[axis];
        rank /= out->size[axis];
    }
    return PS_OK;
}

uint32_t ps__meg_grid_span(const ps__meg_grid *grid, uint32_t axes)
{
    uint32_t span = 0;
    for (int axis = 0; axis < PS__MEG_AXIS_COUNT; axis++) {
        if ((axes >> axis & 1) != 0 && grid->size[axis] > 1) {
            span |= 1u << axis;
        }
    }
    return span;
}

int64_t ps__meg_grid_size(const ps__meg_grid *grid, uint32_t axes)
{
    int64_t size = 1;
    for (int axis = 0; axis < PS__MEG_AXIS_COUNT; axis++) {
        size *= (axes >> axis & 1) != 0 ? grid->size[axis] : 1;
    }
    return size;
}

int64_t ps__meg_grid_place(const ps__meg_grid *grid, uint32_t axes)
{
    int64_t place = 0;
    for (int axis = PS__MEG_AXIS_COUNT - 1; axis >= 0; axis--) {
        if ((axes >> axis & 1) != 0) {
            place = place * grid->size[axis] + grid->place[axis];
        }
    }
    return place;
}
