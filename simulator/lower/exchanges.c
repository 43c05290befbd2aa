/* SPDX-License-Identifier: MIT
 *
 * Collectives over their ranks, in a recording of several.
 *
 *   rank 0   ----[ waits ......... | moves ]---     a collective as recorded
 *   rank 1   ----------------------[ moves ]---
 *   group                          [exchange]       from the last begin to the first end
 *
 * A rank's part begins when the rank comes and ends with the exchange, which
 * begins when the last rank has come. What lies before it is waiting, which
 * goes away when the others come earlier; what lies in it is transfer.
 *
 * Which parts belong together: those of one communicator (group and ranks as
 * recorded), in order on each rank, alike in kind, size and sequence number,
 * that all ran at one moment. Where the next parts of the ranks do not belong
 * together the one that ended first has no partners: it stays as recorded.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "lower/lowering.h"
#include "trace/collective.h"

/* One rank's part of a collective. */
typedef struct part {
    uint32_t group;  /* communicator, numbered in order of first use */
    uint32_t device; /* plan row */
    uint32_t row;    /* of the trace's collectives */
    uint32_t task;
} part;

/* Parts of one rank that wait for partners. */
typedef struct line {
    const part *next, *end;
} line;

typedef struct matching {
    part *part;
    size_t count;
    line *line; /* of the communicator at hand, one a rank */
    size_t line_count;
    uint64_t unmatched, half_seen;
} matching;

/* What an all-to-all of sends looks like; so does a message between two, which need not end together. */
#define SENDS "send-recv"

/* Parts of one all-to-all end within that of each other: what clocks of ranks may be off. */
#define ENDS_TOGETHER_NS 10000

/* A send or a receive is no meeting of all; of an unknown kind nothing can be said. */
static bool meets_all(const char *kind)
{
    static const char *const kinds[] = {"all-reduce", "all-gather", "reduce-scatter", "all-to-all",
                                        "broadcast",  "reduce",     "gather",         "scatter",
                                        "barrier",    SENDS};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (strcmp(kind, kinds[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* Ranks may hand over different amounts in these. */
static bool may_be_uneven(const char *kind)
{
    return strcmp(kind, "all-to-all") == 0 || strcmp(kind, "gather") == 0 ||
           strcmp(kind, "scatter") == 0 || strcmp(kind, SENDS) == 0;
}

static const char *kind_of(const ps_lowering *self, uint32_t row)
{
    return ps_strings_text(self->trace->strings, self->trace->collective.kind[row]);
}

static uint64_t elements_of(const ps_collective_table *table, uint32_t row)
{
    return table->elements_in[row] > table->elements_out[row] ? table->elements_in[row]
                                                              : table->elements_out[row];
}

/* [bytes] of one element; 0 unknown. */
static uint64_t dtype_bytes(const ps_lowering *self, uint32_t row)
{
    const ps_str dtype = self->trace->collective.dtype[row];
    return ps_collective_dtype_bytes(ps_strings_text(self->trace->strings, dtype),
                                     ps_strings_bytes(self->trace->strings, dtype));
}

static int by_group(const void *a, const void *b)
{
    const part *x = a, *y = b;
    if (x->group != y->group) {
        return x->group < y->group ? -1 : 1;
    }
    if (x->device != y->device) {
        return x->device < y->device ? -1 : 1;
    }
    return (x->row > y->row) - (x->row < y->row);
}

/* Communicators in order of first use, by the texts that name them. */
static ps_code find_group(const ps_lowering *self, ps_idmap *groups, uint32_t *count, uint32_t row,
                          uint32_t *out, ps_error *err)
{
    const ps_collective_table *table = &self->trace->collective;
    const uint64_t key = (uint64_t)table->group[row] << 32 | table->ranks[row];
    *out = ps_idmap_get(groups, key);
    if (*out != PS_IDMAP_NONE) {
        return PS_OK;
    }
    *out = (*count)++;
    return ps_idmap_put(groups, key, *out, err);
}

static ps_code collect_parts(const ps_lowering *self, matching *all, ps_error *err)
{
    const ps_collective_table *table = &self->trace->collective;
    uint32_t groups_found = 0;
    ps_idmap groups;
    ps_idmap_init(&groups);
    ps_code code = PS_OK;
    for (uint32_t row = 0; row < table->head.count && code == PS_OK; row++) {
        const uint32_t task = self->collective_task[row];
        if (task == PS_NONE) {
            continue;
        }
        if (!meets_all(kind_of(self, row))) {
            all->unmatched++;
            continue;
        }
        part *const one = &all->part[all->count++];
        *one = (part){.row = row,
                      .task = task,
                      .device = self->plan->lane.device[self->plan->task.lane[task]] - 1};
        code = find_group(self, &groups, &groups_found, row, &one->group, err);
    }
    ps_idmap_fini(&groups);
    if (all->count > 1) {
        qsort(all->part, all->count, sizeof *all->part, by_group);
    }
    return code;
}

/* ---- one meeting ---- */

static bool are_alike(const ps_lowering *self, uint32_t a, uint32_t b)
{
    const ps_collective_table *table = &self->trace->collective;
    if (table->kind[a] != table->kind[b]) {
        return false;
    }
    if (table->sequence[a] != 0 && table->sequence[b] != 0 &&
        table->sequence[a] != table->sequence[b]) {
        return false;
    }
    return may_be_uneven(kind_of(self, a)) || elements_of(table, a) == elements_of(table, b);
}

/* The next parts of all ranks. */
typedef struct view {
    ps_ns last_start, first_end, last_end;
    size_t earliest; /* line whose part ended first */
} view;

static view look(const ps_lowering *self, const matching *all)
{
    view seen = {.first_end = PS_TIME_NEVER};
    for (size_t i = 0; i < all->line_count; i++) {
        const ps_ns start = self->rec_start[all->line[i].next->task];
        const ps_ns end = self->rec_end[all->line[i].next->task];
        seen.last_start = start > seen.last_start ? start : seen.last_start;
        seen.last_end = end > seen.last_end ? end : seen.last_end;
        if (end < seen.first_end) {
            seen.first_end = end;
            seen.earliest = i;
        }
    }
    return seen;
}

static bool belong_together(const ps_lowering *self, const matching *all, const view *seen)
{
    if (seen->first_end < seen->last_start) {
        return false; /* one had ended before another began */
    }
    if (strcmp(kind_of(self, all->line[0].next->row), SENDS) == 0 &&
        seen->last_end - seen->first_end > ENDS_TOGETHER_NS) {
        return false;
    }
    for (size_t i = 1; i < all->line_count; i++) {
        if (!are_alike(self, all->line[0].next->row, all->line[i].next->row)) {
            return false;
        }
    }
    return true;
}

/* The part no longer has a length of its own: it ends with the exchange. */
static ps_code tie(ps_lowering *self, uint32_t exchange, const part *member, ps_error *err)
{
    const ps_dep_origin origin =
        self->trace->collective.group[member->row] != 0 ? PS_DEP_RULE : PS_DEP_INFERRED;
    self->plan->task.dur_ns[member->task] = 0;
    PS_TRY(
        ps__lower_add_dep(self, exchange, member->task, PS_DEP_START_AFTER_START, 0, origin, err));
    return ps__lower_add_dep(self, member->task, exchange, PS_DEP_END_AFTER_END,
                             self->rec_end[member->task] - self->rec_end[exchange], origin, err);
}

static ps_code add_exchange(ps_lowering *self, const matching *all, uint32_t lane, const view *seen,
                            ps_error *err)
{
    const ps_collective_table *table = &self->trace->collective;
    const uint32_t first = all->line[0].next->row;
    size_t task;
    PS_TRY(ps__lower_add_task(self, lane, seen->last_start, seen->first_end, &task, err));
    ps_plan_task_table *tasks = &self->plan->task;
    tasks->kind[task] = PS_TASK_EXCHANGE;
    tasks->bytes[task] = ps_mul_div_u64(elements_of(table, first), dtype_bytes(self, first), 1);
    PS_TRY(ps__lower_text(self, table->kind[first], &tasks->name[task], err));
    for (size_t i = 0; i < all->line_count; i++) {
        PS_TRY(tie(self, (uint32_t)task, all->line[i].next, err));
    }
    return PS_OK;
}

/* ---- one communicator ---- */

static ps_code add_lane(ps_lowering *self, uint32_t row, uint32_t number, uint32_t *out,
                        ps_error *err)
{
    const ps_collective_table *table = &self->trace->collective;
    const char *group = ps_strings_text(self->trace->strings, table->group[row]);
    const char *ranks = ps_strings_text(self->trace->strings, table->ranks[row]);
    char name[192];
    (void)snprintf(name, sizeof name, "group%s%.48s%s%.96s", group[0] == '\0' ? "" : " ", group,
                   ranks[0] == '\0' ? "" : " of ranks ", ranks);
    return ps__lower_add_lane(self, PS_LANE_GROUP, 0, number, name, out, err);
}

static bool all_have_next(const matching *all)
{
    for (size_t i = 0; i < all->line_count; i++) {
        if (all->line[i].next == all->line[i].end) {
            return false;
        }
    }
    return true;
}

/* Matches the next parts of all ranks, or drops the one that has no partners. */
static ps_code meet(ps_lowering *self, matching *all, uint32_t *lane, ps_error *err)
{
    const view seen = look(self, all);
    const part *const first = all->line[seen.earliest].next;
    const lane_queue *queue = *lane == PS_NONE ? NULL : &self->queue[*lane];
    const ps_ns idle_since = queue == NULL ? 0 : self->rec_end[queue->task[queue->count - 1]];
    if (seen.last_start < idle_since || !belong_together(self, all, &seen)) {
        all->unmatched++;
        all->line[seen.earliest].next++;
        return PS_OK;
    }
    if (*lane == PS_NONE) {
        PS_TRY(add_lane(self, first->row, first->group, lane, err));
    }
    PS_TRY(add_exchange(self, all, *lane, &seen, err));
    all->half_seen += self->trace->collective.group_size[first->row] > all->line_count;
    for (size_t i = 0; i < all->line_count; i++) {
        all->line[i].next++;
    }
    return PS_OK;
}

/* Parts [first, end) are of one communicator. */
static ps_code match_group(ps_lowering *self, matching *all, size_t first, size_t end,
                           ps_error *err)
{
    uint32_t lane = PS_NONE;
    all->line_count = 0;
    for (size_t i = first; i < end; i++) {
        if (i == first || all->part[i].device != all->part[i - 1].device) {
            all->line[all->line_count++].next = &all->part[i];
        }
        all->line[all->line_count - 1].end = &all->part[i] + 1;
    }
    while (all->line_count > 1 && all_have_next(all)) {
        PS_TRY(meet(self, all, &lane, err));
    }
    for (size_t i = 0; i < all->line_count; i++) {
        all->unmatched += (uint64_t)(all->line[i].end - all->line[i].next);
    }
    return PS_OK;
}

static ps_code match_all(ps_lowering *self, matching *all, ps_error *err)
{
    PS_TRY(collect_parts(self, all, err));
    for (size_t first = 0; first < all->count;) {
        size_t end = first + 1;
        while (end < all->count && all->part[end].group == all->part[first].group) {
            end++;
        }
        PS_TRY(match_group(self, all, first, end, err));
        first = end;
    }
    PS_TRY(
        ps__lower_add_loss(self, "unmatched-collectives", PS_SEVERITY_INFO, all->unmatched, err));
    return ps__lower_add_loss(self, "half-seen-collectives", PS_SEVERITY_INFO, all->half_seen, err);
}

ps_code ps__lower_exchanges(ps_lowering *self, ps_error *err)
{
    if (self->plan->device.head.count < 2 || self->trace->collective.head.count == 0) {
        return PS_OK; /* of one rank nobody can tell what was waiting */
    }
    matching all = {
        .part = ps_calloc(self->trace->collective.head.count, sizeof *all.part),
        .line = ps_calloc(self->plan->device.head.count, sizeof *all.line),
    };
    const ps_code code =
        all.part == NULL || all.line == NULL ? ps_fail_nomem(err) : match_all(self, &all, err);
    ps_free(all.part);
    ps_free(all.line);
    return code;
}
