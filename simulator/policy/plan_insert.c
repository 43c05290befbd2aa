/* SPDX-License-Identifier: MIT
 *
 * New tasks between those of a plan, and old ones that go.
 */
#include "policy/plan_insert.h"

#include "base/memory.h"
#include "policy/plan_edit.h"

#define MAX_TASKS ((size_t)1 << 31)

void ps__insertion_init(ps_insertion *self, ps_plan *plan)
{
    *self = (ps_insertion){.plan = plan, .old_count = plan->task.head.count};
}

void ps__insertion_fini(ps_insertion *self)
{
    ps_free(self->after);
    ps_free(self->drop);
    ps_free(self->new_row);
    *self = (ps_insertion){0};
}

ps_code ps__insertion_task(ps_insertion *self, uint32_t lane, ps_task_kind kind, uint32_t after,
                           uint32_t *row, ps_error *err)
{
    size_t added;
    const size_t place = self->plan->task.head.count - self->old_count;
    PS_TRY(ps_grow((void **)&self->after, &self->capacity, place + 1, MAX_TASKS,
                   sizeof *self->after, err));
    if (self->plan->task.head.count >= MAX_TASKS) {
        return ps_fail(err, PS_LIMIT, "a plan of more than %zu tasks", MAX_TASKS);
    }
    PS_TRY(ps_plan_add(self->plan, PS_PLAN_TASK, &added, err));
    self->after[place] = after;
    self->plan->task.lane[added] = lane;
    self->plan->task.kind[added] = (uint8_t)kind;
    *row = (uint32_t)added;
    return PS_OK;
}

ps_code ps__insertion_dep(ps_insertion *self, uint32_t task, uint32_t before, ps_dep_kind kind,
                          ps_ns lag_ns, ps_error *err)
{
    size_t row;
    PS_TRY(ps_plan_add(self->plan, PS_PLAN_DEP, &row, err));
    self->plan->dep.task[row] = task;
    self->plan->dep.before[row] = before;
    self->plan->dep.kind[row] = (uint8_t)kind;
    self->plan->dep.lag_ns[row] = lag_ns;
    self->plan->dep.origin[row] = PS_DEP_RULE;
    return PS_OK;
}

ps_code ps__insertion_drop(ps_insertion *self, uint32_t task, ps_error *err)
{
    if (self->drop == NULL) {
        self->drop = ps_calloc(self->old_count, sizeof *self->drop);
        if (self->drop == NULL) {
            return ps_fail_nomem(err);
        }
    }
    self->drop[task] = true;
    return PS_OK;
}

/* A counting sort: `order` receives old rows by new place. */
static void sort_places(const uint32_t *key, size_t count, uint32_t *next, size_t keys,
                        uint32_t *order)
{
    for (size_t i = 0; i < count; i++) {
        next[key[i] + 1]++;
    }
    for (size_t k = 0; k < keys; k++) {
        next[k + 1] += next[k];
    }
    for (size_t i = 0; i < count; i++) {
        order[next[key[i]]++] = (uint32_t)i;
    }
}

static ps_code order_of(const uint32_t *key, size_t count, size_t keys, uint32_t **out,
                        ps_error *err)
{
    uint32_t *next = ps_calloc(keys + 1, sizeof *next);
    uint32_t *order = ps_calloc(count + 1, sizeof *order);
    if (next == NULL || order == NULL) {
        ps_free(next);
        ps_free(order);
        return ps_fail_nomem(err);
    }
    sort_places(key, count, next, keys, order);
    ps_free(next);
    *out = order;
    return PS_OK;
}

/* Old tasks have the place they had; appended ones the place of the task they follow, and as the
 * sort keeps the order of equals, they come behind it. */
static ps_code find_order(const ps_insertion *self, uint32_t **order, ps_error *err)
{
    const size_t count = self->plan->task.head.count;
    uint32_t *place = ps_calloc(count + 1, sizeof *place);
    if (place == NULL) {
        return ps_fail_nomem(err);
    }
    for (size_t i = 0; i < count; i++) {
        const uint32_t after = i < self->old_count ? (uint32_t)i : self->after[i - self->old_count];
        place[i] = after == PS_INSERT_NOWHERE ? (uint32_t)self->old_count + 1
                   : after == PS_INSERT_FIRST ? 0
                                              : after + 1;
    }
    const ps_code code = order_of(place, count, self->old_count + 2, order, err);
    ps_free(place);
    return code;
}

/* What goes, by the rows that tasks have now, and where what stays comes to lie. */
static ps_code drop_rows(ps_insertion *self, bool *drop, uint32_t *row, ps_error *err)
{
    const size_t count = self->plan->task.head.count;
    for (size_t i = 0; i < self->old_count; i++) {
        drop[self->new_row[i]] = self->drop[i];
    }
    PS_TRY(ps__plan_drop_tasks(self->plan, drop, row, err));
    for (size_t i = 0; i < count; i++) {
        self->new_row[i] = row[self->new_row[i]];
    }
    return PS_OK;
}

static ps_code drop_tasks(ps_insertion *self, ps_error *err)
{
    const size_t count = self->plan->task.head.count;
    bool *drop = ps_calloc(count, sizeof *drop);
    uint32_t *row = ps_calloc(count, sizeof *row);
    const ps_code code =
        drop == NULL || row == NULL ? ps_fail_nomem(err) : drop_rows(self, drop, row, err);
    ps_free(drop);
    ps_free(row);
    return code;
}

static ps_code put_in_place(ps_insertion *self, const uint32_t *order, ps_error *err)
{
    ps_plan *plan = self->plan;
    const size_t count = plan->task.head.count;
    self->new_row = ps_calloc(count + 1, sizeof *self->new_row);
    if (self->new_row == NULL) {
        return ps_fail_nomem(err);
    }
    for (size_t i = 0; i < count; i++) {
        self->new_row[order[i]] = (uint32_t)i;
    }
    PS_TRY(ps_table_permute(&ps_plan_specs()[PS_PLAN_TASK], &plan->task.head, order, err));
    ps__plan_rename_tasks(plan, self->new_row);
    PS_TRY(ps_plan_sort_by_task(plan, PS_PLAN_DEP, err));
    PS_TRY(ps_plan_sort_by_task(plan, PS_PLAN_TRANSFER, err));
    return ps_plan_sort_by_task(plan, PS_PLAN_ACCESS, err);
}

ps_code ps__insertion_finish(ps_insertion *self, ps_error *err)
{
    uint32_t *order = NULL;
    PS_TRY(find_order(self, &order, err));
    const ps_code code = put_in_place(self, order, err);
    ps_free(order);
    PS_TRY(code);
    return self->drop == NULL ? PS_OK : drop_tasks(self, err);
}
