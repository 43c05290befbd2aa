/* SPDX-License-Identifier: MIT
 *
 * Which communicators a job has: for every span of axes that an operation of
 * some workload names, one group for each set of ranks.
 */
#include <string.h>

#include "base/memory.h"
#include "job/job_parts.h"

#define MAX_SPANS 1024u
#define MAX_MEMBERS ((size_t)1 << 28)

static bool is_message(const ps_workload *workload, uint32_t op)
{
    const uint8_t collective = workload->op.collective[op];
    return collective == PS_COLLECTIVE_SEND || collective == PS_COLLECTIVE_RECV;
}

static uint32_t axis_of(uint32_t axes)
{
    uint32_t axis = 0;
    while ((axes >> axis & 1u) == 0) {
        axis++;
    }
    return axis;
}

/* A message is sent by one place and received by another; collectives of a span share a lane. */
static ps_job_span span_of(const ps_grid *grid, const ps_workload *workload, uint32_t op,
                           uint32_t rank)
{
    const ps_workload_op_table *table = &workload->op;
    ps_job_span span = {.axes = table->axes[op], .is_message = is_message(workload, op)};
    if (!span.is_message) {
        span.lane = table->lane[op];
        span.is_direct = table->collective[op] == PS_COLLECTIVE_ALL_TO_ALL;
        return span;
    }
    const uint32_t here = ps_grid_place(grid, rank, axis_of(span.axes));
    const bool sends = table->collective[op] == PS_COLLECTIVE_SEND;
    span.from = sends ? here : table->peer[op];
    span.to = sends ? table->peer[op] : here;
    return span;
}

static bool are_equal(const ps_job_span *a, const ps_job_span *b)
{
    return a->axes == b->axes && a->lane == b->lane && a->is_direct == b->is_direct &&
           a->is_message == b->is_message && a->from == b->from && a->to == b->to;
}

/* Alone in a group, or at both ends of a message, a rank has nobody to exchange with. */
static bool is_alone(const ps_grid *grid, const ps_job_span *span)
{
    return span->is_message ? span->from == span->to : ps_grid_group_size(grid, span->axes) < 2;
}

static uint32_t find_span(const ps_job_groups *self, const ps_job_span *span)
{
    for (uint32_t i = 0; i < self->span_count; i++) {
        if (are_equal(&self->span[i], span)) {
            return i;
        }
    }
    return PS_JOB_NONE;
}

uint32_t ps__job_span_of(const ps_job_groups *self, const ps_workload *workload, uint32_t op,
                         uint32_t rank)
{
    const ps_job_span span = span_of(&self->grid, workload, op, rank);
    return is_alone(&self->grid, &span) ? PS_JOB_NONE : find_span(self, &span);
}

static ps_code note_span(ps_job_groups *self, const ps_job_span *span, ps_error *err)
{
    if (is_alone(&self->grid, span) || find_span(self, span) != PS_JOB_NONE) {
        return PS_OK;
    }
    PS_TRY(ps_grow((void **)&self->span, &self->span_capacity, self->span_count + 1, MAX_SPANS,
                   sizeof *self->span, err));
    self->span[self->span_count++] = *span;
    return PS_OK;
}

/* Spans of messages depend on where a rank is: each of a workload's ranks is asked. */
static ps_code note_spans(const ps_job *job, ps_job_groups *self, uint32_t workload, ps_error *err)
{
    const ps_workload *from = job->workload[workload];
    for (uint32_t op = 0; op < from->op.head.count; op++) {
        if (from->op.collective[op] == PS_COLLECTIVE_NONE) {
            continue;
        }
        const bool asks_all = is_message(from, op);
        for (uint32_t rank = 0; rank < self->grid.ranks; rank++) {
            if (job->workload_of[rank] != workload) {
                continue;
            }
            const ps_job_span span = span_of(&self->grid, from, op, rank);
            PS_TRY(note_span(self, &span, err));
            if (!asks_all) {
                break;
            }
        }
    }
    return PS_OK;
}

static ps_code add_member(ps_job_groups *self, uint32_t span, uint32_t group, uint32_t rank,
                          ps_error *err)
{
    PS_TRY(ps_grow((void **)&self->member, &self->member_capacity, self->member_count + 1,
                   MAX_MEMBERS, sizeof *self->member, err));
    self->member[self->member_count++] = rank;
    self->group[group].count++;
    self->group_of[(size_t)span * self->grid.ranks + rank] = group;
    return PS_OK;
}

static ps_code fill_group(ps_job_groups *self, uint32_t group, ps_error *err)
{
    const ps_job_group *of = &self->group[group];
    const ps_job_span *span = &self->span[of->span];
    if (span->is_message) {
        const uint32_t axis = axis_of(span->axes);
        PS_TRY(add_member(self, of->span, group,
                          ps_grid_at(&self->grid, of->base, axis, span->from), err));
        return add_member(self, of->span, group, ps_grid_at(&self->grid, of->base, axis, span->to),
                          err);
    }
    const uint32_t size = ps_grid_group_size(&self->grid, span->axes);
    for (uint32_t i = 0; i < size; i++) {
        PS_TRY(add_member(self, of->span, group,
                          ps_grid_member(&self->grid, of->base, span->axes, i), err));
    }
    return PS_OK;
}

static ps_code make_groups(ps_job_groups *self, uint32_t span, ps_error *err)
{
    for (uint32_t rank = 0; rank < self->grid.ranks; rank++) {
        if (ps_grid_base(&self->grid, rank, self->span[span].axes) != rank) {
            continue;
        }
        const uint32_t group = (uint32_t)self->group_count;
        PS_TRY(ps_grow((void **)&self->group, &self->group_capacity, self->group_count + 1,
                       MAX_MEMBERS, sizeof *self->group, err));
        self->group[self->group_count++] =
            (ps_job_group){.span = span, .base = rank, .first = (uint32_t)self->member_count};
        PS_TRY(fill_group(self, group, err));
    }
    return PS_OK;
}

ps_code ps__job_groups(const ps_job *job, ps_job_groups *out, ps_error *err)
{
    *out = (ps_job_groups){.grid = ps_grid_of(job->workload[0])};
    for (uint32_t i = 0; i < job->workload_count; i++) {
        PS_TRY(note_spans(job, out, i, err));
    }
    const size_t slots = out->span_count * out->grid.ranks;
    out->group_of = ps_calloc(slots, sizeof *out->group_of);
    if (out->group_of == NULL) {
        return ps_fail_nomem(err);
    }
    memset(out->group_of, 0xff, slots * sizeof *out->group_of);
    for (uint32_t i = 0; i < out->span_count; i++) {
        PS_TRY(make_groups(out, i, err));
    }
    return PS_OK;
}

void ps__job_groups_fini(ps_job_groups *self)
{
    ps_free(self->span);
    ps_free(self->group);
    ps_free(self->member);
    ps_free(self->group_of);
    *self = (ps_job_groups){0};
}

ps_exchange ps__job_exchange(const ps_job_groups *self, uint32_t group, const ps_workload *workload,
                             uint32_t op)
{
    const ps_job_group *of = &self->group[group];
    return (ps_exchange){.op = self->span[of->span].is_message
                                   ? PS_COLLECTIVE_SEND
                                   : (ps_collective_op)workload->op.collective[op],
                         .bytes = workload->op.moved_bytes[op],
                         .rank = self->member + of->first,
                         .rank_count = of->count};
}
