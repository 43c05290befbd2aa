/* SPDX-License-Identifier: MIT
 *
 * Ranks one after the other, then what they do together.
 */
#include "job/job.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/memory.h"
#include "job/job_parts.h"
#include "run/run.h"

#define PREFIX_BYTES 32

typedef struct state {
    const ps_job *job;
    const ps_job_target *target;
    ps_plan *plan;
    ps_job_groups groups;
    ps_job_classes classes;
    ps_job_costs costs;
    ps_op_times *times;  /* per workload */
    ps_job_parts *parts; /* per class of ranks */
    ps_job_host *hosts;  /* likewise */
    ps_job_links links;
} state;

static bool has_same_axes(const ps_workload *a, const ps_workload *b)
{
    const ps_grid x = ps_grid_of(a), y = ps_grid_of(b);
    for (uint32_t i = 0; x.axis_count == y.axis_count && i < x.axis_count; i++) {
        if (x.size[i] != y.size[i]) {
            return false;
        }
    }
    return x.axis_count == y.axis_count;
}

static ps_code check(const ps_job *job, const ps_job_target *target, ps_error *err)
{
    const uint32_t ranks = ps_grid_of(job->workload[0]).ranks;
    for (size_t i = 0; i < job->workload_count; i++) {
        if (job->workload[i]->op.head.count == 0) {
            return ps_fail(err, PS_BAD_INPUT, "the workload has no operation");
        }
        if (!has_same_axes(job->workload[0], job->workload[i])) {
            return ps_fail(err, PS_BAD_INPUT, "workloads 0 and %zu are not of the same grid", i);
        }
    }
    for (uint32_t rank = 0; rank < ranks; rank++) {
        if (!ps_grid_covers(job->workload[job->workload_of[rank]], rank)) {
            return ps_fail(err, PS_BAD_INPUT, "workload %" PRIu32 " is not of rank %" PRIu32,
                           job->workload_of[rank], rank);
        }
    }
    if (ranks > 1 && target->network == NULL) {
        return ps_fail(err, PS_USAGE, "%" PRIu32 " ranks need a network", ranks);
    }
    return PS_OK;
}

/* Facts of the first rank's workload are facts of the plan. */
static ps_code pass_facts_on(state *self, ps_error *err)
{
    const ps_workload *from = self->job->workload[self->job->workload_of[0]];
    const ps_workload_meta_table *meta = &from->meta;
    for (size_t i = 0; i < meta->head.count; i++) {
        PS_TRY(ps_plan_set_meta(self->plan, ps_strings_text(from->strings, meta->key[i]),
                                ps_strings_text(from->strings, meta->value[i]), err));
    }
    const char *model = ps_workload_meta(from, PS_WORKLOAD_META_MODEL);
    PS_TRY(model == NULL ? PS_OK : ps_plan_set_meta(self->plan, PS_META_TITLE, model, err));
    return ps_plan_set_meta(self->plan, PS_PLAN_META_CACHE, "empty", err);
}

/* Rows that one rank has at least, nearly all it has: tables that grow by halves are copied and
 * copied again. */
static void add_room(size_t room[PS_PLAN_TABLE_COUNT], const ps_workload *from)
{
    const size_t ops = from->op.head.count, events = from->event.head.count;
    room[PS_PLAN_TASK] += 2 * ops;
    room[PS_PLAN_DEP] += 2 * ops;
    room[PS_PLAN_BUFFER] += from->tensor.head.count;
    room[PS_PLAN_MEMOP] += events > ops ? events - ops : 0;
    room[PS_PLAN_ACCESS] += from->access.head.count;
}

static ps_code make_room(state *self, ps_error *err)
{
    const ps_job_classes *classes = &self->classes;
    size_t room[PS_PLAN_TABLE_COUNT] = {0};
    for (uint32_t i = 0; i < classes->rank_count; i++) {
        const ps_job *job = self->job;
        add_room(room, job->workload[job->workload_of[classes->rank_first[i]]]);
    }
    for (int id = 0; id < PS_PLAN_TABLE_COUNT; id++) {
        PS_TRY(ps_table_reserve(&ps_plan_specs()[id],
                                ps_plan_table(self->plan, (ps_plan_table_id)id), room[id], err));
    }
    return PS_OK;
}

static ps_code lower_ranks(state *self, ps_error *err)
{
    const ps_job_classes *classes = &self->classes;
    const ps_job *job = self->job;
    for (uint32_t i = 0; i < classes->rank_count; i++) {
        const uint32_t rank = classes->rank_first[i];
        const uint32_t workload = job->workload_of[rank];
        char prefix[PREFIX_BYTES] = "";
        if (self->groups.grid.ranks > 1) {
            (void)snprintf(prefix, sizeof prefix, "rank %" PRIu32 " ", rank);
        }
        const ps_job_rank what = {
            .workload = job->workload[workload],
            .target = self->target,
            .groups = &self->groups,
            .costs = &self->costs,
            .times = &self->times[workload],
            .host = &self->hosts[i],
            .prefix = prefix,
            .rank = rank,
            .stands_for = classes->rank_size[i] > 1 ? classes->rank_size[i] : 0,
            .speed_permille =
                job->speed_permille == NULL ? PS_JOB_FULL_SPEED : job->speed_permille[rank],
            .is_alone = self->groups.grid.ranks == 1,
            .marks_steps = i == classes->rank[self->groups.grid.ranks - 1]};
        PS_TRY(ps__job_host(classes, i, &self->links, &self->hosts[i], err));
        PS_TRY(ps__job_rank(&what, self->plan, &self->parts[i], err));
    }
    return PS_OK;
}

/* ---- all ---- */

static ps_code prepare(state *self, ps_error *err)
{
    const ps_job *job = self->job;
    PS_TRY(ps__job_costs(self->target, &self->costs, err));
    PS_TRY(ps__job_groups(job, &self->groups, err));
    PS_TRY(ps__job_classes(job, self->target, &self->groups, &self->classes, err));
    self->times = ps_calloc(job->workload_count, sizeof *self->times);
    self->parts = ps_calloc(self->classes.rank_count, sizeof *self->parts);
    self->hosts = ps_calloc(self->classes.rank_count, sizeof *self->hosts);
    if (self->times == NULL || self->parts == NULL || self->hosts == NULL) {
        return ps_fail_nomem(err);
    }
    PS_TRY(ps__job_links(self->target->network, &self->classes, self->plan, &self->links, err));
    for (size_t i = 0; i < job->workload_count; i++) {
        PS_TRY(ps__job_op_times(job->workload[i], self->target, &self->times[i], err));
    }
    return PS_OK;
}

static ps_code lower(state *self, ps_error *err)
{
    PS_TRY(check(self->job, self->target, err));
    PS_TRY(prepare(self, err));
    PS_TRY(pass_facts_on(self, err));
    PS_TRY(make_room(self, err));
    PS_TRY(lower_ranks(self, err));
    PS_TRY(ps__job_exchanges(self->job, &self->costs, &self->groups, &self->classes, &self->links,
                             self->parts, err));
    PS_TRY(ps_plan_sort_by_task(self->plan, PS_PLAN_TRANSFER, err));
    PS_TRY(ps_plan_sort_by_task(self->plan, PS_PLAN_DEP, err));
    return ps_plan_check(self->plan, err);
}

static void fini(state *self)
{
    for (size_t i = 0; self->times != NULL && i < self->job->workload_count; i++) {
        ps_free(self->times[i].dur_ns);
        ps_free(self->times[i].basis);
    }
    for (size_t i = 0; self->parts != NULL && i < self->classes.rank_count; i++) {
        ps_free(self->parts[i].part);
    }
    for (size_t i = 0; self->hosts != NULL && i < self->classes.rank_count; i++) {
        ps__job_host_fini(&self->hosts[i]);
    }
    ps__job_links_fini(&self->links);
    ps_free(self->hosts);
    ps_free(self->times);
    ps_free(self->parts);
    ps__job_classes_fini(&self->classes, &self->groups);
    ps__job_groups_fini(&self->groups);
}

ps_code ps_job_lower(const ps_job *job, const ps_job_target *target, ps_plan **out, ps_error *err)
{
    state self = {.job = job, .target = target, .plan = ps_plan_create()};
    if (self.plan == NULL) {
        return ps_fail_nomem(err);
    }
    const ps_code code = lower(&self, err);
    fini(&self);
    if (code != PS_OK) {
        ps_plan_destroy(self.plan);
        return code;
    }
    *out = self.plan;
    return PS_OK;
}

ps_code ps_job_lower_one(const ps_workload *workload, const ps_job_target *target, ps_plan **out,
                         ps_error *err)
{
    const uint32_t first = 0;
    const ps_job job = {.workload = &workload, .workload_count = 1, .workload_of = &first};
    return ps_job_lower(&job, target, out, err);
}
