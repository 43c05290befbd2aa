/* SPDX-License-Identifier: MIT
 *
 * Workloads shared among ranks.
 */
#include "job/ranks.h"

#include <inttypes.h>

#include "base/memory.h"
#include "workload/grid.h"

static ps_code keep(ps_ranks *self, ps_workload *workload, ps_error *err)
{
    const ps_code code =
        ps_grow((void **)&self->workload, &self->workload_capacity, self->workload_count + 1,
                (size_t)self->rank_count + 1, sizeof(ps_workload *), err);
    if (code != PS_OK) {
        ps_workload_destroy(workload);
        return code;
    }
    self->workload[self->workload_count++] = workload;
    return PS_OK;
}

static bool find(const ps_ranks *self, uint32_t rank, uint32_t *out)
{
    for (uint32_t i = 0; i < self->workload_count; i++) {
        if (ps_grid_covers(self->workload[i], rank)) {
            *out = i;
            return true;
        }
    }
    return false;
}

static ps_code add(ps_ranks *self, uint32_t rank, ps_rank_builder build, void *context,
                   ps_error *err)
{
    ps_workload *workload;
    PS_TRY(build(context, rank, &workload, err));
    PS_TRY(keep(self, workload, err));
    if (ps_grid_of(workload).ranks != self->rank_count) {
        return ps_fail(err, PS_BAD_INPUT,
                       "the workload is one of %" PRIu32 " ranks, not of %" PRIu32,
                       ps_grid_of(workload).ranks, self->rank_count);
    }
    if (!ps_grid_covers(workload, rank)) {
        return ps_fail(err, PS_BAD_INPUT, "the workload is not that of rank %" PRIu32, rank);
    }
    self->workload_of[rank] = (uint32_t)self->workload_count - 1;
    return PS_OK;
}

static ps_code build_all(ps_ranks *self, ps_rank_builder build, void *context, ps_error *err)
{
    self->workload_of = ps_calloc(self->rank_count, sizeof *self->workload_of);
    if (self->workload_of == NULL) {
        return ps_fail_nomem(err);
    }
    for (uint32_t rank = 0; rank < self->rank_count; rank++) {
        if (!find(self, rank, &self->workload_of[rank])) {
            PS_TRY(add(self, rank, build, context, err));
        }
    }
    return PS_OK;
}

ps_code ps_ranks_build(uint32_t rank_count, ps_rank_builder build, void *context, ps_ranks *out,
                       ps_error *err)
{
    *out = (ps_ranks){.rank_count = rank_count};
    const ps_code code = build_all(out, build, context, err);
    if (code != PS_OK) {
        ps_ranks_fini(out);
    }
    return code;
}

void ps_ranks_fini(ps_ranks *self)
{
    for (size_t i = 0; i < self->workload_count; i++) {
        ps_workload_destroy(self->workload[i]);
    }
    ps_free(self->workload);
    ps_free(self->workload_of);
    *self = (ps_ranks){0};
}

ps_job ps_ranks_job(const ps_ranks *self)
{
    return (ps_job){.workload = (const ps_workload *const *)self->workload,
                    .workload_count = self->workload_count,
                    .workload_of = self->workload_of};
}
