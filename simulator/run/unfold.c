/* SPDX-License-Identifier: MIT
 *
 * Ranks that one device stands for, made several devices again.
 *
 * The first part keeps all rows as they are. Every further part gets a copy of
 * the rows that are the device's own, in which references to such rows point
 * into the same copy and references to the group's rows stay.
 */
#include "run/unfold.h"

#include <string.h>

#include "base/memory.h"

#define NOT_OWN UINT32_MAX

/* Rows of one table that are copied for each part. */
typedef struct own_rows {
    uint32_t *place; /* per row: its place among those that are, or NOT_OWN */
    size_t count, all;
} own_rows;

typedef struct unfolding {
    const ps_plan *from;
    ps_plan *to;
    own_rows lane, task, link;
    size_t part; /* at hand; from 1 */
} unfolding;

/* ---- which rows are the device's own ---- */

static ps_code mark_rows(own_rows *rows, size_t count, ps_error *err)
{
    rows->all = count;
    rows->place = ps_calloc(count + 1, sizeof *rows->place);
    if (rows->place == NULL) {
        return ps_fail_nomem(err);
    }
    memset(rows->place, 0xff, (count + 1) * sizeof *rows->place);
    return PS_OK;
}

static void own(own_rows *rows, size_t row)
{
    if (rows->place[row] == NOT_OWN) {
        rows->place[row] = (uint32_t)rows->count++;
    }
}

/* Links that the device's own tasks cross; the group's are shared. */
static ps_code find_own(unfolding *self, ps_error *err)
{
    const ps_plan *from = self->from;
    PS_TRY(mark_rows(&self->lane, from->lane.head.count, err));
    PS_TRY(mark_rows(&self->task, from->task.head.count, err));
    PS_TRY(mark_rows(&self->link, from->link.head.count, err));
    for (size_t i = 0; i < from->lane.head.count; i++) {
        if (from->lane.kind[i] != PS_LANE_GROUP) {
            own(&self->lane, i);
        }
    }
    for (size_t i = 0; i < from->task.head.count; i++) {
        if (self->lane.place[from->task.lane[i]] != NOT_OWN) {
            own(&self->task, i);
        }
    }
    for (size_t i = 0; i < from->transfer.head.count; i++) {
        if (self->task.place[from->transfer.task[i]] != NOT_OWN) {
            own(&self->link, from->transfer.link[i]);
        }
    }
    return PS_OK;
}

/* Where the copy of a row stands; what is not the device's own stands where it stood. */
static uint32_t moved(const unfolding *self, const own_rows *rows, uint32_t row)
{
    return rows->place[row] == NOT_OWN
               ? row
               : (uint32_t)(rows->all + (self->part - 1) * rows->count + rows->place[row]);
}

/* ---- copying ---- */

static ps_code copy_row(unfolding *self, ps_plan_table_id id, size_t from, size_t *to,
                        ps_error *err)
{
    const ps_table_spec *spec = &ps_plan_specs()[id];
    PS_TRY(ps_plan_add(self->to, id, to, err));
    for (size_t c = 0; c < spec->column_count; c++) {
        ps_table_set(&spec->columns[c], ps_plan_table(self->to, id), *to,
                     ps_table_get(&spec->columns[c], ps_plan_table_const(self->from, id), from));
    }
    return PS_OK;
}

static ps_code copy_table(unfolding *self, ps_plan_table_id id, ps_error *err)
{
    const size_t count = ps_plan_table_const(self->from, id)->count;
    for (size_t i = 0; i < count; i++) {
        size_t row;
        PS_TRY(copy_row(self, id, i, &row, err));
    }
    return PS_OK;
}

/* Texts keep their ids: they are put in the same order. */
static ps_code copy_texts(unfolding *self, ps_error *err)
{
    const ps_strings *from = self->from->strings;
    for (ps_str id = 1; id < ps_strings_count(from); id++) {
        ps_str same;
        PS_TRY(ps_strings_put(self->to->strings, ps_strings_text(from, id),
                              ps_strings_bytes(from, id), &same, err));
    }
    return PS_OK;
}

static ps_code copy_first(unfolding *self, bool with_memory, ps_error *err)
{
    static const ps_plan_table_id of_time[] = {PS_PLAN_DEVICE, PS_PLAN_LANE, PS_PLAN_TASK,
                                               PS_PLAN_DEP,    PS_PLAN_LINK, PS_PLAN_TRANSFER,
                                               PS_PLAN_STEP,   PS_PLAN_NODE};
    static const ps_plan_table_id of_memory[] = {PS_PLAN_BUFFER, PS_PLAN_MEMOP, PS_PLAN_SEGMENT,
                                                 PS_PLAN_BLOCK,  PS_PLAN_META,  PS_PLAN_LOSS,
                                                 PS_PLAN_ACCESS, PS_PLAN_HOLD};
    for (size_t i = 0; i < sizeof of_time / sizeof of_time[0]; i++) {
        PS_TRY(copy_table(self, of_time[i], err));
    }
    for (size_t i = 0; with_memory && i < sizeof of_memory / sizeof of_memory[0]; i++) {
        PS_TRY(copy_table(self, of_memory[i], err));
    }
    return with_memory ? copy_texts(self, err) : PS_OK;
}

/* ---- one more part ---- */

static ps_code add_lanes(unfolding *self, ps_error *err)
{
    for (uint32_t i = 0; i < self->lane.all; i++) {
        size_t row;
        if (self->lane.place[i] != NOT_OWN) {
            PS_TRY(copy_row(self, PS_PLAN_LANE, i, &row, err));
            if (self->to->lane.device[row] != 0) {
                self->to->lane.device[row] = (uint32_t)self->part + 1;
            }
        }
    }
    return PS_OK;
}

static ps_code add_tasks(unfolding *self, ps_error *err)
{
    for (uint32_t i = 0; i < self->task.all; i++) {
        size_t row;
        if (self->task.place[i] != NOT_OWN) {
            PS_TRY(copy_row(self, PS_PLAN_TASK, i, &row, err));
            self->to->task.lane[row] = moved(self, &self->lane, self->from->task.lane[i]);
        }
    }
    return PS_OK;
}

/* What a task of the device waits for, and what waits for one: the group's exchanges too. */
static ps_code add_deps(unfolding *self, ps_error *err)
{
    const ps_plan_dep_table *dep = &self->from->dep;
    for (size_t i = 0; i < dep->head.count; i++) {
        size_t row;
        if (self->task.place[dep->task[i]] != NOT_OWN ||
            self->task.place[dep->before[i]] != NOT_OWN) {
            PS_TRY(copy_row(self, PS_PLAN_DEP, i, &row, err));
            self->to->dep.task[row] = moved(self, &self->task, dep->task[i]);
            self->to->dep.before[row] = moved(self, &self->task, dep->before[i]);
        }
    }
    return PS_OK;
}

static ps_code add_links(unfolding *self, ps_error *err)
{
    const ps_plan_transfer_table *transfer = &self->from->transfer;
    for (uint32_t i = 0; i < self->link.all; i++) {
        size_t row;
        if (self->link.place[i] != NOT_OWN) {
            PS_TRY(copy_row(self, PS_PLAN_LINK, i, &row, err));
        }
    }
    for (size_t i = 0; i < transfer->head.count; i++) {
        size_t row;
        if (self->task.place[transfer->task[i]] != NOT_OWN) {
            PS_TRY(copy_row(self, PS_PLAN_TRANSFER, i, &row, err));
            self->to->transfer.task[row] = moved(self, &self->task, transfer->task[i]);
            self->to->transfer.link[row] = moved(self, &self->link, transfer->link[i]);
        }
    }
    return PS_OK;
}

static ps_code add_memory(unfolding *self, ps_error *err)
{
    const ps_plan *from = self->from;
    ps_plan *to = self->to;
    const uint32_t device = (uint32_t)self->part;
    const uint32_t buffers = (uint32_t)(self->part * from->buffer.head.count);
    size_t row;
    for (size_t i = 0; i < from->buffer.head.count; i++) {
        PS_TRY(copy_row(self, PS_PLAN_BUFFER, i, &row, err));
        to->buffer.device[row] = device;
    }
    for (size_t i = 0; i < from->memop.head.count; i++) {
        PS_TRY(copy_row(self, PS_PLAN_MEMOP, i, &row, err));
        to->memop.device[row] = device;
        to->memop.task[row] = moved(self, &self->task, from->memop.task[i]);
        to->memop.buffer[row] +=
            from->memop.op[i] <= PS_MEMOP_FREE_COMPLETE || from->memop.op[i] == PS_MEMOP_OOM
                ? buffers
                : 0;
    }
    for (size_t i = 0; i < from->access.head.count; i++) {
        PS_TRY(copy_row(self, PS_PLAN_ACCESS, i, &row, err));
        to->access.task[row] = moved(self, &self->task, from->access.task[i]);
        to->access.buffer[row] += buffers;
    }
    for (size_t i = 0; i < from->hold.head.count; i++) {
        PS_TRY(copy_row(self, PS_PLAN_HOLD, i, &row, err));
        to->hold.task[row] = moved(self, &self->task, from->hold.task[i]);
        to->hold.buffer[row] += buffers;
    }
    for (size_t i = 0; i < from->segment.head.count; i++) {
        PS_TRY(copy_row(self, PS_PLAN_SEGMENT, i, &row, err));
        to->segment.device[row] = device;
    }
    for (size_t i = 0; i < from->block.head.count; i++) {
        PS_TRY(copy_row(self, PS_PLAN_BLOCK, i, &row, err));
        to->block.device[row] = device;
        to->block.buffer[row] += from->block.buffer[i] != 0 ? buffers : 0;
    }
    return PS_OK;
}

static ps_code add_part(unfolding *self, bool with_memory, ps_error *err)
{
    size_t row;
    PS_TRY(copy_row(self, PS_PLAN_DEVICE, 0, &row, err));
    PS_TRY(add_lanes(self, err));
    PS_TRY(add_tasks(self, err));
    PS_TRY(add_deps(self, err));
    PS_TRY(add_links(self, err));
    return with_memory ? add_memory(self, err) : PS_OK;
}

/* ---- all ---- */

static ps_code check_shape(const ps_plan *plan, size_t part_count, ps_error *err)
{
    size_t groups = 0;
    for (size_t i = 0; i < plan->lane.head.count; i++) {
        groups += plan->lane.kind[i] == PS_LANE_GROUP;
    }
    if (plan->device.head.count != 1 || groups > 1) {
        return ps_fail(err, PS_USAGE,
                       "ranks that differ: %zu devices and %zu groups stand for all ranks of this "
                       "job, and which rank meets which is not told any more: simulate each rank "
                       "(--every-rank)",
                       plan->device.head.count, groups);
    }
    if (plan->task.head.count > PS_UNFOLD_MAX_TASKS / part_count) {
        return ps_fail(err, PS_LIMIT,
                       "%zu ranks of %zu tasks each, which is more than %zu tasks one by one",
                       part_count, plan->task.head.count, PS_UNFOLD_MAX_TASKS);
    }
    return PS_OK;
}

static ps_code unfold(unfolding *self, const ps_unfold_part *part, size_t part_count,
                      bool with_memory, ps_error *err)
{
    ps_plan *to = self->to;
    PS_TRY(find_own(self, err));
    PS_TRY(copy_first(self, with_memory, err));
    for (self->part = 1; self->part < part_count; self->part++) {
        PS_TRY(add_part(self, with_memory, err));
    }
    for (size_t i = 0; i < part_count; i++) {
        to->device.rank[i] = part[i].first_rank;
        to->device.ordinal[i] = part[i].first_rank;
        to->device.stands_for[i] = part[i].ranks;
    }
    PS_TRY(ps_plan_sort_by_task(to, PS_PLAN_DEP, err));
    PS_TRY(ps_plan_sort_by_task(to, PS_PLAN_ACCESS, err));
    return ps_plan_sort_by_task(to, PS_PLAN_TRANSFER, err);
}

ps_code ps_plan_unfold(const ps_plan *plan, const ps_unfold_part *part, size_t part_count,
                       bool with_memory, ps_plan **out, ps_error *err)
{
    PS_TRY(check_shape(plan, part_count, err));
    unfolding self = {.from = plan, .to = ps_plan_create()};
    const ps_code code =
        self.to == NULL ? ps_fail_nomem(err) : unfold(&self, part, part_count, with_memory, err);
    ps_free(self.lane.place);
    ps_free(self.task.place);
    ps_free(self.link.place);
    if (code != PS_OK) {
        ps_plan_destroy(self.to);
        return code;
    }
    *out = self.to;
    return PS_OK;
}
