/* SPDX-License-Identifier: MIT
 *
 * Accesses against accesses: each behind the last write, each write behind
 * all reads since.
 *
 * Accesses are visited in one order that every dependency respects. Where all
 * that must be in order is in order, the last write is behind all earlier
 * ones; where it is not, the first pair that is not has been asked for.
 */
#include "base/memory.h"
#include "plan/hazard_parts.h"

typedef ps_hazard_work work;

/* ---- lives ---- */

static ps_code add_life(work *self, uint32_t buffer, ps_error *err)
{
    PS_TRY(ps_grow((void **)&self->life, &self->life_capacity, self->life_count + 1,
                   PS_HAZARD_MAX_ROWS, sizeof *self->life, err));
    self->life[self->life_count] =
        (ps_hazard_life){.buffer = buffer,
                         .alloc = PS_HAZARD_NONE,
                         .free = PS_HAZARD_NONE,
                         .use = PS_HAZARD_NONE,
                         .last_write = PS_HAZARD_NONE,
                         .pool = PS_HAZARD_NONE,
                         .own_lane = PS_HAZARD_NONE,
                         .taken_by = PS_HAZARD_NONE,
                         .back_at = PS_HAZARD_NONE,
                         .is_at_origin = self->plan->buffer.role[buffer] == PS_ROLE_BEFORE};
    self->life_of[buffer] = (uint32_t)self->life_count++;
    return PS_OK;
}

static void note_memop(work *self, size_t row)
{
    const ps_plan_memop_table *memop = &self->plan->memop;
    const uint8_t op = memop->op[row];
    if (op != PS_MEMOP_ALLOC && op != PS_MEMOP_FREE && op != PS_MEMOP_FREE_REQUEST) {
        return;
    }
    const uint32_t at = self->life_of[memop->buffer[row]];
    if (at != PS_HAZARD_NONE) {
        *(op == PS_MEMOP_ALLOC ? &self->life[at].alloc : &self->life[at].free) = (uint32_t)row;
    }
}

static ps_code find_lives(work *self, ps_error *err)
{
    const ps_plan *plan = self->plan;
    self->life_of = ps_calloc(plan->buffer.head.count, sizeof *self->life_of);
    if (self->life_of == NULL) {
        return ps_fail_nomem(err);
    }
    for (size_t i = 0; i < plan->buffer.head.count; i++) {
        self->life_of[i] = PS_HAZARD_NONE;
    }
    for (size_t i = 0; i < plan->access.head.count; i++) {
        if (self->life_of[plan->access.buffer[i]] == PS_HAZARD_NONE) {
            PS_TRY(add_life(self, plan->access.buffer[i], err));
        }
    }
    for (size_t i = 0; i < plan->block.head.count; i++) {
        const uint32_t buffer = plan->block.buffer[i];
        if (buffer != 0 && self->life_of[buffer - 1] != PS_HAZARD_NONE) {
            self->life[self->life_of[buffer - 1]].is_at_origin = true;
        }
    }
    for (size_t i = 0; i < plan->memop.head.count; i++) {
        note_memop(self, i);
    }
    return PS_OK;
}

/* ---- uses ---- */

static ps_code find_use(work *self, ps_hazard_life *life, uint32_t task, bool is_write,
                        ps_hazard_use **out, ps_error *err)
{
    const uint32_t lane = self->plan->task.lane[task];
    uint32_t at = life->use;
    while (at != PS_HAZARD_NONE && self->use[at].lane != lane) {
        at = self->use[at].next;
    }
    if (at == PS_HAZARD_NONE) {
        PS_TRY(ps_grow((void **)&self->use, &self->use_capacity, self->use_count + 1,
                       PS_HAZARD_MAX_ROWS, sizeof *self->use, err));
        at = (uint32_t)self->use_count++;
        self->use[at] = (ps_hazard_use){.lane = lane,
                                        .first = task,
                                        .first_is_write = is_write,
                                        .open_read = PS_HAZARD_NONE,
                                        .next = life->use};
        life->use = at;
    }
    *out = &self->use[at];
    return PS_OK;
}

/* `task` must be behind `other`, another access of the buffer. */
static ps_code keep_behind(work *self, ps_hazard hazard, ps_error *err)
{
    if (hazard.task == hazard.other || hazard.other == PS_HAZARD_NONE) {
        return PS_OK;
    }
    const ps_hazard_doubt doubt = {.hazard = hazard, .should_hold = true};
    return ps__hazard_ask(self, ps_end_of(hazard.other), ps_start_of(hazard.task), &doubt, err);
}

static ps_code read_or_write(work *self, ps_hazard_life *life, uint32_t task, bool is_write,
                             ps_error *err)
{
    ps_hazard hazard = {.rule = PS_HAZARD_UNORDERED,
                        .buffer = life->buffer,
                        .task = task,
                        .other = life->last_write,
                        .is_write = is_write,
                        .other_is_write = true};
    ps_hazard_use *use;
    PS_TRY(find_use(self, life, task, is_write, &use, err));
    use->last = task;
    use->last_is_write = is_write;
    PS_TRY(keep_behind(self, hazard, err));
    if (!is_write) {
        use->open_read = task;
        return PS_OK;
    }
    hazard.other_is_write = false;
    for (uint32_t i = life->use; i != PS_HAZARD_NONE; i = self->use[i].next) {
        hazard.other = self->use[i].open_read;
        self->use[i].open_read = PS_HAZARD_NONE;
        PS_TRY(keep_behind(self, hazard, err));
    }
    life->last_write = task;
    return PS_OK;
}

/* ---- who has filled what nobody is told to have written ---- */

/* Per lane: the place of its first task of a phase; what hosts do before is loading. */
static uint32_t *find_begins(const ps_plan_order *order)
{
    const ps_plan *plan = order->plan;
    uint32_t *begin = ps_calloc(plan->lane.head.count, sizeof *begin);
    for (size_t i = plan->task.head.count; begin != NULL && i-- > 0;) {
        if (plan->task.phase[i] != PS_PHASE_UNKNOWN) {
            begin[plan->task.lane[i]] = order->position[i];
        }
    }
    return begin;
}

static bool is_loaded(const work *self, const ps_hazard_life *life, const uint32_t *begin)
{
    if (life->is_at_origin || life->alloc == PS_HAZARD_NONE) {
        return life->is_at_origin;
    }
    const uint32_t task = self->plan->memop.task[life->alloc];
    return self->order.position[task] < begin[self->plan->task.lane[task]];
}

/* ---- all ---- */

static ps_code visit(work *self, size_t row, const uint32_t *begin, ps_error *err)
{
    const ps_plan_access_table *access = &self->plan->access;
    ps_hazard_life *life = &self->life[self->life_of[access->buffer[row]]];
    const bool is_write = access->is_write[row] != 0;
    if (!is_write && life->last_write == PS_HAZARD_NONE && !is_loaded(self, life, begin)) {
        ps__hazard_found(self, &(ps_hazard){.rule = PS_HAZARD_UNWRITTEN,
                                            .buffer = life->buffer,
                                            .task = access->task[row],
                                            .other = PS_HAZARD_NONE});
    }
    return read_or_write(self, life, access->task[row], is_write, err);
}

/* Rows of accesses by task: where those of each begin. */
static uint32_t *find_rows(const ps_plan *plan)
{
    uint32_t *row = ps_calloc(plan->task.head.count + 1, sizeof *row);
    size_t at = 0;
    for (size_t i = 0; row != NULL && i <= plan->task.head.count; i++) {
        while (at < plan->access.head.count && plan->access.task[at] < i) {
            at++;
        }
        row[i] = (uint32_t)at;
    }
    return row;
}

ps_code ps__hazard_accesses(ps_hazard_work *self, ps_error *err)
{
    const size_t moments = self->plan->task.head.count * 2;
    PS_TRY(find_lives(self, err));
    uint32_t *row = find_rows(self->plan), *begin = find_begins(&self->order);
    ps_code code = row == NULL || begin == NULL ? ps_fail_nomem(err) : PS_OK;
    for (size_t i = 0; i < moments && code == PS_OK; i++) {
        const ps_plan_moment moment = self->order.sequence[i];
        const uint32_t task = moment / 2;
        for (size_t k = moment % 2 == 0 ? row[task] : row[task + 1];
             k < row[task + 1] && code == PS_OK; k++) {
            code = visit(self, k, begin, err);
        }
    }
    ps_free(row);
    ps_free(begin);
    return code;
}
