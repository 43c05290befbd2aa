/* SPDX-License-Identifier: MIT
 *
 * Accesses against memory requests, and against who had the memory before or
 * has it next.
 *
 *   own stream   ─ v ─┬──────────────── u ─┬─    v, then ALLOC; FREE, then u
 *   host          ALLOC ─ ... ─ FREE ─ launch of u
 *   other stream        ├ first ┤ ├ last ┤       first behind v, last before u
 *
 * What went back to the stream before v is behind by v: its last users are
 * before v. hazards_pools.c has those that went back since.
 */
#include "base/memory.h"
#include "plan/hazard_parts.h"

typedef ps_hazard_work work;

/* ---- moments of requests ---- */

/* Not before it: a request in the course of a task counts at its end. */
static ps_plan_moment late_moment(const ps_plan *plan, uint32_t memop)
{
    const uint32_t task = plan->memop.task[memop];
    return plan->memop.offset_ns[memop] > 0 ? ps_end_of(task) : ps_start_of(task);
}

/* Not after it: a request before a task counts at the end of the lane's task before. */
static ps_plan_moment early_moment(const work *self, uint32_t memop)
{
    const uint32_t task = self->plan->memop.task[memop];
    const uint32_t lane = self->plan->task.lane[task], at = self->order.position[task];
    return self->plan->memop.offset_ns[memop] >= 0 || at == 0
               ? ps_start_of(task)
               : ps_end_of(self->order.lane_task[self->order.lane_begin[lane] + at - 1]);
}

/* A launch from within the task of a request: it begins no earlier than the request. */
static bool is_launched_after(const work *self, uint32_t task, uint32_t memop)
{
    const ps_plan_dep_table *dep = &self->plan->dep;
    for (uint32_t i = self->order.first_dep[task]; i < self->order.first_dep[task + 1]; i++) {
        if (dep->kind[i] == PS_DEP_START_AFTER_START &&
            dep->before[i] == self->plan->memop.task[memop] &&
            dep->lag_ns[i] >= self->plan->memop.offset_ns[memop]) {
            return true;
        }
    }
    return false;
}

/* ---- neighbours on the own stream ---- */

static bool goes_back(const work *self, const ps_hazard_life *life)
{
    return life->free != PS_HAZARD_NONE && self->plan->memop.op[life->free] == PS_MEMOP_FREE;
}

static void put_search(const work *self, uint32_t lane, uint32_t memop, ps_order_search *search,
                       size_t *count)
{
    if (memop != PS_HAZARD_NONE && lane != PS_HAZARD_NONE) {
        search[(*count)++] =
            (ps_order_search){.moment = late_moment(self->plan, memop), .lane = lane};
    }
}

/* The own streams' tasks u behind each ALLOC and FREE. */
static ps_code find_neighbours(work *self, ps_error *err)
{
    ps_order_search *search = ps_calloc(self->life_count * 2, sizeof *search);
    size_t count = 0;
    if (search == NULL) {
        return ps_fail_nomem(err);
    }
    for (size_t i = 0; i < self->life_count; i++) {
        const ps_hazard_life *life = &self->life[i];
        put_search(self, life->own_lane, life->alloc, search, &count);
        put_search(self, life->own_lane, life->free, search, &count);
    }
    const ps_code code = ps_plan_order_search(&self->order, search, count, err);
    count = 0;
    for (size_t i = 0; i < self->life_count && code == PS_OK; i++) {
        ps_hazard_life *life = &self->life[i];
        if (life->own_lane != PS_HAZARD_NONE && life->alloc != PS_HAZARD_NONE) {
            life->taken_by = search[count++].task;
        }
        if (life->own_lane != PS_HAZARD_NONE && life->free != PS_HAZARD_NONE) {
            life->back_at = search[count++].task;
        }
    }
    ps_free(search);
    return code;
}

uint32_t ps__hazard_task_before(const ps_hazard_work *self, uint32_t lane, uint32_t task)
{
    const ps_plan_order *order = &self->order;
    if (lane == PS_HAZARD_NONE) {
        return PS_HAZARD_NONE;
    }
    const uint32_t begin = order->lane_begin[lane];
    const uint32_t end =
        task == PS_HAZARD_NONE ? order->lane_begin[lane + 1] : begin + order->position[task];
    return end > begin ? order->lane_task[end - 1] : PS_HAZARD_NONE;
}

/* ---- questions about one use ---- */

static ps_code ask_alloc(work *self, const ps_hazard_life *life, const ps_hazard_use *use,
                         ps_error *err)
{
    ps_hazard_doubt doubt = {{.rule = PS_HAZARD_UNALLOCATED,
                              .buffer = life->buffer,
                              .task = use->first,
                              .other = PS_HAZARD_NONE,
                              .is_write = use->first_is_write},
                             .should_hold = true};
    if (life->is_at_origin) {
        return PS_OK;
    }
    if (life->alloc == PS_HAZARD_NONE) {
        ps__hazard_found(self, &doubt.hazard);
        return PS_OK;
    }
    doubt.hazard.other = self->plan->memop.task[life->alloc];
    return is_launched_after(self, use->first, life->alloc)
               ? PS_OK
               : ps__hazard_ask(self, late_moment(self->plan, life->alloc), ps_start_of(use->first),
                                &doubt, err);
}

/* What copies use of pinned memory, the cache waits for. */
static bool is_protected(const work *self, const ps_hazard_life *life, const ps_hazard_use *use)
{
    const ps_plan *plan = self->plan;
    return plan->buffer.memory[life->buffer] == PS_MEMORY_PINNED &&
           plan->lane.kind[use->lane] == PS_LANE_STREAM &&
           plan->task.kind[use->last] == PS_TASK_MEMCPY;
}

static ps_code ask_free(work *self, const ps_hazard_life *life, const ps_hazard_use *use,
                        ps_error *err)
{
    ps_hazard_doubt doubt = {{.rule = PS_HAZARD_FREED,
                              .buffer = life->buffer,
                              .task = use->last,
                              .other = PS_HAZARD_NONE,
                              .is_write = use->last_is_write},
                             .should_hold = false};
    if (life->free == PS_HAZARD_NONE) {
        return PS_OK;
    }
    doubt.hazard.other = self->plan->memop.task[life->free];
    PS_TRY(ps__hazard_ask(self, late_moment(self->plan, life->free), ps_start_of(use->last), &doubt,
                          err));
    doubt.hazard.rule = PS_HAZARD_REUSED;
    doubt.should_hold = true;
    if (life->pool == PS_HAZARD_NONE) {
        return is_protected(self, life, use)
                   ? PS_OK
                   : ps__hazard_ask(self, ps_end_of(use->last), early_moment(self, life->free),
                                    &doubt, err);
    }
    if (life->back_at == PS_HAZARD_NONE || use->lane == life->own_lane || !goes_back(self, life)) {
        return PS_OK;
    }
    doubt.hazard.other = life->back_at;
    return ps__hazard_ask(self, ps_end_of(use->last), ps_start_of(life->back_at), &doubt, err);
}

ps_code ps__hazard_ask_taken(ps_hazard_work *self, const ps_hazard_life *life,
                             const ps_hazard_use *use, uint32_t before, ps_error *err)
{
    const ps_hazard_doubt doubt = {{.rule = PS_HAZARD_TAKEN,
                                    .buffer = life->buffer,
                                    .task = use->first,
                                    .other = before,
                                    .is_write = use->first_is_write},
                                   .should_hold = true};
    return before == PS_HAZARD_NONE || use->lane == life->own_lane
               ? PS_OK
               : ps__hazard_ask(self, ps_end_of(before), ps_start_of(use->first), &doubt, err);
}

static ps_code ask_uses(work *self, const ps_hazard_life *life, ps_error *err)
{
    const uint32_t before = life->alloc == PS_HAZARD_NONE
                                ? PS_HAZARD_NONE
                                : ps__hazard_task_before(self, life->own_lane, life->taken_by);
    for (uint32_t i = life->use; i != PS_HAZARD_NONE; i = self->use[i].next) {
        PS_TRY(ask_alloc(self, life, &self->use[i], err));
        PS_TRY(ask_free(self, life, &self->use[i], err));
        PS_TRY(ps__hazard_ask_taken(self, life, &self->use[i], before, err));
    }
    return PS_OK;
}

ps_code ps__hazard_memory(ps_hazard_work *self, ps_error *err)
{
    PS_TRY(ps__hazard_pools(self, err));
    PS_TRY(find_neighbours(self, err));
    for (size_t i = 0; i < self->life_count; i++) {
        PS_TRY(ask_uses(self, &self->life[i], err));
    }
    return ps__hazard_handed_on(self, err);
}
