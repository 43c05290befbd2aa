/* SPDX-License-Identifier: MIT
 *
 * What ranks do together: the parts of a collective meet in one exchange on
 * the lane of their communicator.
 *
 *   part of rank a   ├── waits ──┤├─ exchange ─┤
 *   part of rank b        ├─ w. ─┤├─ exchange ─┤
 *   part of rank c               ├├─ exchange ─┤
 */
#include <inttypes.h>
#include <stdio.h>

#include "base/memory.h"
#include "job/job_parts.h"

#define LANE_NAME_BYTES 64
#define MAX_ITEMS ((size_t)1 << 31)

/* An exchange under way: made by the first class of ranks that comes to it. */
typedef struct meeting {
    uint32_t task;
    uint32_t op, rank; /* of the part that made it: the others must agree */
    uint32_t parts;    /* that have come */
} meeting;

/* Exchanges of one class of groups, in order. */
typedef struct communicator {
    uint32_t lane;
    meeting *meeting;
    size_t count, capacity;
    uint32_t *link; /* rows of the plan that each exchange crosses, as often as they stand here */
    size_t link_count, link_capacity;
    uint32_t parts; /* classes of ranks in it */
} communicator;

typedef struct exchanges {
    const ps_job *job;
    const ps_job_costs *costs;
    const ps_job_groups *groups;
    const ps_job_classes *classes;
    ps_plan *plan;
    communicator *of; /* per class of groups */
    size_t *next;     /* per span: how many the rank at work has had */
    ps_job_links *links;
    uint32_t *seen_in; /* per class of ranks: 1 + the class of groups it was last counted in */
} exchanges;

/* ---- links ---- */

static ps_code cross(exchanges *self, communicator *of, uint32_t class_of_link, ps_error *err)
{
    uint32_t row;
    PS_TRY(ps__job_link_row(self->links, class_of_link, &row, err));
    PS_TRY(ps_grow((void **)&of->link, &of->link_capacity, of->link_count + 1, MAX_ITEMS,
                   sizeof *of->link, err));
    of->link[of->link_count++] = row;
    return PS_OK;
}

/* One exchange stands for those of all groups of its class. As each of them goes at its rate, it
 * crosses the one link of a class that is left as often as they do together. */
static ps_code find_links(exchanges *self, ps_error *err)
{
    const ps_job_classes *c = self->classes;
    for (size_t group = 0; group < self->groups->group_count; group++) {
        for (size_t i = 0; i < c->path[group].count; i++) {
            const uint32_t link = c->path[group].link[i], class_of_link = c->link[link];
            if (link == c->link_first[class_of_link]) {
                PS_TRY(cross(self, &self->of[c->group[group]], class_of_link, err));
            }
        }
    }
    return PS_OK;
}

static ps_code add_transfers(exchanges *self, const communicator *of, uint32_t task, ps_error *err)
{
    for (size_t i = 0; i < of->link_count; i++) {
        size_t row;
        PS_TRY(ps_plan_add(self->plan, PS_PLAN_TRANSFER, &row, err));
        self->plan->transfer.task[row] = task;
        self->plan->transfer.link[row] = of->link[i];
    }
    return PS_OK;
}

/* ---- one exchange ---- */

static ps_code add_dep(exchanges *self, uint32_t task, uint32_t before, ps_dep_kind kind,
                       ps_error *err)
{
    size_t row;
    PS_TRY(ps_plan_add(self->plan, PS_PLAN_DEP, &row, err));
    self->plan->dep.task[row] = task;
    self->plan->dep.before[row] = before;
    self->plan->dep.kind[row] = (uint8_t)kind;
    self->plan->dep.origin[row] = (uint8_t)PS_DEP_RULE;
    return PS_OK;
}

static ps_code add_exchange(exchanges *self, uint32_t group_class, const ps_workload *from,
                            const ps_job_part *part, uint32_t *out, ps_error *err)
{
    const uint32_t group = self->classes->group_first[group_class];
    const ps_exchange exchange = ps__job_exchange(self->groups, group, from, part->op);
    ps_plan_task_table *task = &self->plan->task;
    ps_exchange_cost cost;
    size_t row;
    if (task->head.count >= MAX_ITEMS) {
        return ps_fail(err, PS_LIMIT, "a job of more than %zu operations", MAX_ITEMS);
    }
    PS_TRY(ps__job_exchange_cost(self->costs, &exchange, &cost, err));
    PS_TRY(ps_plan_add(self->plan, PS_PLAN_TASK, &row, err));
    task->lane[row] = self->of[group_class].lane;
    task->kind[row] = (uint8_t)PS_TASK_EXCHANGE;
    task->name[row] = task->name[part->task];
    task->phase[row] = task->phase[part->task];
    task->dur_ns[row] = cost.latency_ns;
    task->bytes[row] = cost.wire_bytes;
    task->rate_bytes_per_s[row] = cost.rate_bytes_per_s;
    task->basis[row] = (uint8_t)cost.basis;
    *out = (uint32_t)row;
    return cost.wire_bytes == 0 ? PS_OK : add_transfers(self, &self->of[group_class], *out, err);
}

static ps_code check_agreement(const exchanges *self, const meeting *with, uint32_t rank,
                               uint32_t op, size_t number, ps_error *err)
{
    const ps_workload *mine = self->job->workload[self->job->workload_of[rank]];
    const ps_workload *theirs = self->job->workload[self->job->workload_of[with->rank]];
    const uint8_t a = mine->op.collective[op], b = theirs->op.collective[with->op];
    const bool is_message = a == PS_COLLECTIVE_SEND || a == PS_COLLECTIVE_RECV;
    if ((is_message || a == b) && mine->op.moved_bytes[op] == theirs->op.moved_bytes[with->op]) {
        return PS_OK;
    }
    return ps_fail(err, PS_BAD_INPUT,
                   "ranks %" PRIu32 " and %" PRIu32
                   " do not agree on number %zu of what they do together: %s of %" PRIu64
                   " bytes, %s of %" PRIu64 " bytes",
                   with->rank, rank, number + 1,
                   ps_strings_text(theirs->strings, theirs->op.name[with->op]),
                   theirs->op.moved_bytes[with->op],
                   ps_strings_text(mine->strings, mine->op.name[op]), mine->op.moved_bytes[op]);
}

/* A part comes to the number-th meeting of its group's class. */
static ps_code join_meeting(exchanges *self, uint32_t rank, uint32_t group_class, size_t number,
                            const ps_job_part *part, ps_error *err)
{
    communicator *of = &self->of[group_class];
    const ps_workload *from = self->job->workload[self->job->workload_of[rank]];
    if (number == of->count) {
        PS_TRY(ps_grow((void **)&of->meeting, &of->capacity, of->count + 1, MAX_ITEMS,
                       sizeof *of->meeting, err));
        meeting *made = &of->meeting[of->count];
        *made = (meeting){.op = part->op, .rank = rank};
        PS_TRY(add_exchange(self, group_class, from, part, &made->task, err));
        of->count++;
    }
    meeting *with = &of->meeting[number];
    with->parts++;
    PS_TRY(check_agreement(self, with, rank, part->op, number, err));
    PS_TRY(add_dep(self, with->task, part->task, PS_DEP_START_AFTER_START, err));
    return add_dep(self, part->task, with->task, PS_DEP_END_AFTER_END, err);
}

/* ---- all ---- */

static ps_code add_lane(exchanges *self, uint32_t group_class, ps_error *err)
{
    const ps_job_group *of = &self->groups->group[self->classes->group_first[group_class]];
    char name[LANE_NAME_BYTES];
    size_t row;
    (void)snprintf(name, sizeof name, "group of %" PRIu32 " ranks from %" PRIu32, of->count,
                   self->groups->member[of->first]);
    PS_TRY(ps_plan_add(self->plan, PS_PLAN_LANE, &row, err));
    self->plan->lane.kind[row] = (uint8_t)PS_LANE_GROUP;
    self->of[group_class].lane = (uint32_t)row;
    return ps_strings_put_z(self->plan->strings, name, &self->plan->lane.name[row], err);
}

/* Parts of one class of ranks, in its order. */
static ps_code join_all(exchanges *self, uint32_t class_of_rank, const ps_job_parts *parts,
                        ps_error *err)
{
    const uint32_t rank = self->classes->rank_first[class_of_rank];
    const ps_workload *from = self->job->workload[self->job->workload_of[rank]];
    for (size_t i = 0; i < self->groups->span_count; i++) {
        self->next[i] = 0;
    }
    for (size_t i = 0; i < parts->count; i++) {
        const uint32_t span = ps__job_span_of(self->groups, from, parts->part[i].op, rank);
        if (span == PS_JOB_NONE) {
            continue;
        }
        const uint32_t group =
            self->groups->group_of[(size_t)span * self->groups->grid.ranks + rank];
        PS_TRY(join_meeting(self, rank, self->classes->group[group], self->next[span]++,
                            &parts->part[i], err));
    }
    return PS_OK;
}

/* Classes of ranks that a class of groups brings together. */
static void count_parts(exchanges *self, uint32_t group_class)
{
    const ps_job_group *of = &self->groups->group[self->classes->group_first[group_class]];
    for (uint32_t i = 0; i < of->count; i++) {
        uint32_t *seen = &self->seen_in[self->classes->rank[self->groups->member[of->first + i]]];
        self->of[group_class].parts += *seen == group_class + 1 ? 0 : 1;
        *seen = group_class + 1;
    }
}

static ps_code check_complete(const exchanges *self, uint32_t group_class, ps_error *err)
{
    const communicator *of = &self->of[group_class];
    for (size_t i = 0; i < of->count; i++) {
        if (of->meeting[i].parts != of->parts) {
            const meeting *with = &of->meeting[i];
            const ps_workload *theirs = self->job->workload[self->job->workload_of[with->rank]];
            return ps_fail(err, PS_BAD_INPUT,
                           "rank %" PRIu32
                           " waits for others in %s, number %zu of what its group does together, "
                           "and not all of them come",
                           with->rank, ps_strings_text(theirs->strings, theirs->op.name[with->op]),
                           i + 1);
        }
    }
    return PS_OK;
}

static ps_code make(exchanges *self, const ps_job_parts *parts, ps_error *err)
{
    const ps_job_classes *c = self->classes;
    for (uint32_t i = 0; i < c->group_count; i++) {
        PS_TRY(add_lane(self, i, err));
        count_parts(self, i);
    }
    PS_TRY(find_links(self, err));
    for (uint32_t i = 0; i < c->rank_count; i++) {
        PS_TRY(join_all(self, i, &parts[i], err));
    }
    for (uint32_t i = 0; i < c->group_count; i++) {
        PS_TRY(check_complete(self, i, err));
    }
    return PS_OK;
}

ps_code ps__job_exchanges(const ps_job *job, const ps_job_costs *costs, const ps_job_groups *groups,
                          const ps_job_classes *classes, ps_job_links *links,
                          const ps_job_parts *parts, ps_error *err)
{
    exchanges self = {.job = job,
                      .costs = costs,
                      .groups = groups,
                      .classes = classes,
                      .plan = links->plan,
                      .links = links,
                      .of = ps_calloc(classes->group_count, sizeof *self.of),
                      .next = ps_calloc(groups->span_count, sizeof *self.next),
                      .seen_in = ps_calloc(classes->rank_count, sizeof *self.seen_in)};
    ps_code code = PS_OK;
    if (self.of == NULL || self.next == NULL || self.seen_in == NULL) {
        code = ps_fail_nomem(err);
    } else {
        code = make(&self, parts, err);
    }
    for (uint32_t i = 0; self.of != NULL && i < classes->group_count; i++) {
        ps_free(self.of[i].meeting);
        ps_free(self.of[i].link);
    }
    ps_free(self.of);
    ps_free(self.next);
    ps_free(self.seen_in);
    return code;
}
