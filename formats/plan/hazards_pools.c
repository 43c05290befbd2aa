/* SPDX-License-Identifier: MIT
 *
 * Memory that goes from one told buffer to the next while its stream has no
 * task in between that could stand for the users of either.
 *
 *   own stream   v ──────────────────────────────────── u
 *   host            ALLOC a, FREE a, ALLOC b
 *   other stream       ├ last of a ┤   ├ first of b ┤
 */
#include "base/memory.h"
#include "plan/hazard_parts.h"

typedef ps_hazard_work work;

/* ---- pools ---- */

/* The stream of a number; the default stream, 0, may have the lowest number in its source. */
static uint32_t lane_of_stream(const ps_plan *plan, const ps_hazard_pool *pool)
{
    const ps_plan_lane_table *lane = &plan->lane;
    uint32_t lowest = PS_HAZARD_NONE;
    for (size_t i = 0; i < lane->head.count; i++) {
        if (lane->kind[i] != PS_LANE_STREAM || lane->device[i] != pool->device + 1) {
            continue;
        }
        if (lane->number[i] == pool->stream) {
            return (uint32_t)i;
        }
        if (lowest == PS_HAZARD_NONE || lane->number[i] < lane->number[lowest]) {
            lowest = (uint32_t)i;
        }
    }
    return pool->stream == 0 ? lowest : PS_HAZARD_NONE;
}

static bool holds(const ps_plan *plan, const ps_hazard_pool *pool, uint32_t buffer)
{
    const ps_plan_buffer_table *of = &plan->buffer;
    return pool->device == of->device[buffer] && pool->stream == of->stream[buffer] &&
           pool->owner == of->pool_owner[buffer] && pool->serial == of->pool_serial[buffer];
}

static ps_code add_pool(work *self, uint32_t buffer, ps_error *err)
{
    const ps_plan_buffer_table *of = &self->plan->buffer;
    PS_TRY(ps_grow((void **)&self->pool, &self->pool_capacity, self->pool_count + 1,
                   PS_HAZARD_MAX_ROWS, sizeof *self->pool, err));
    ps_hazard_pool *pool = &self->pool[self->pool_count++];
    *pool = (ps_hazard_pool){.device = of->device[buffer],
                             .stream = of->stream[buffer],
                             .owner = of->pool_owner[buffer],
                             .serial = of->pool_serial[buffer],
                             .at = PS_HAZARD_NONE,
                             .user = PS_HAZARD_NONE};
    pool->lane = lane_of_stream(self->plan, pool);
    return PS_OK;
}

ps_code ps__hazard_pools(ps_hazard_work *self, ps_error *err)
{
    size_t at = 0;
    for (size_t i = 0; i < self->life_count; i++) {
        ps_hazard_life *life = &self->life[i];
        if (ps_memory_is_host(self->plan->buffer.memory[life->buffer])) {
            continue;
        }
        /* neighbours mostly share a pool */
        if (at >= self->pool_count || !holds(self->plan, &self->pool[at], life->buffer)) {
            for (at = 0; at < self->pool_count; at++) {
                if (holds(self->plan, &self->pool[at], life->buffer)) {
                    break;
                }
            }
        }
        if (at == self->pool_count) {
            PS_TRY(add_pool(self, life->buffer, err));
        }
        life->pool = (uint32_t)at;
        life->own_lane = self->pool[at].lane;
    }
    return PS_OK;
}

/* ---- what is handed on ---- */

static ps_code put_user(work *self, ps_hazard_pool *pool, uint32_t task, ps_error *err)
{
    const uint32_t lane = self->plan->task.lane[task];
    uint32_t at = pool->user;
    while (at != PS_HAZARD_NONE && self->plan->task.lane[self->user[at].task] != lane) {
        at = self->user[at].next;
    }
    if (at == PS_HAZARD_NONE) {
        PS_TRY(ps_grow((void **)&self->user, &self->user_capacity, self->user_count + 1,
                       PS_HAZARD_MAX_ROWS, sizeof *self->user, err));
        at = (uint32_t)self->user_count++;
        self->user[at] = (ps_hazard_user){.task = task, .next = pool->user};
        pool->user = at;
    } else if (self->order.position[task] > self->order.position[self->user[at].task]) {
        self->user[at].task = task;
    }
    return PS_OK;
}

/* Does a task of a pool's lane come behind another? No task comes behind all. */
static bool is_behind(const work *self, uint32_t task, uint32_t other)
{
    return other != PS_HAZARD_NONE &&
           (task == PS_HAZARD_NONE || self->order.position[task] > self->order.position[other]);
}

static ps_code give(work *self, const ps_hazard_life *life, ps_error *err)
{
    ps_hazard_pool *pool = &self->pool[life->pool];
    if (!pool->has_back || is_behind(self, life->back_at, pool->at)) {
        pool->has_back = true;
        pool->at = life->back_at;
        pool->user = PS_HAZARD_NONE;
    }
    for (uint32_t i = life->use; i != PS_HAZARD_NONE; i = self->use[i].next) {
        if (self->use[i].lane != life->own_lane) {
            PS_TRY(put_user(self, pool, self->use[i].last, err));
        }
    }
    return PS_OK;
}

/* Requests of threads that do not wait for one another are in program order all the same: where
 * what came back is due behind the ALLOC, the task before that one stands for earlier users. */
static ps_code take(work *self, const ps_hazard_life *life, ps_error *err)
{
    const ps_hazard_pool *pool = &self->pool[life->pool];
    if (!pool->has_back || is_behind(self, life->taken_by, pool->at)) {
        return PS_OK;
    }
    const uint32_t before = is_behind(self, pool->at, life->taken_by)
                                ? ps__hazard_task_before(self, pool->lane, pool->at)
                                : PS_HAZARD_NONE;
    for (uint32_t i = life->use; i != PS_HAZARD_NONE; i = self->use[i].next) {
        PS_TRY(ps__hazard_ask_taken(self, life, &self->use[i], before, err));
        for (uint32_t k = pool->user; k != PS_HAZARD_NONE; k = self->user[k].next) {
            PS_TRY(ps__hazard_ask_taken(self, life, &self->use[i], self->user[k].task, err));
        }
    }
    return PS_OK;
}

ps_code ps__hazard_handed_on(ps_hazard_work *self, ps_error *err)
{
    const ps_plan_memop_table *memop = &self->plan->memop;
    for (size_t i = 0; i < memop->head.count; i++) {
        if (memop->op[i] != PS_MEMOP_ALLOC && memop->op[i] != PS_MEMOP_FREE) {
            continue;
        }
        const uint32_t at = self->life_of[memop->buffer[i]];
        if (at == PS_HAZARD_NONE || self->life[at].pool == PS_HAZARD_NONE) {
            continue;
        }
        PS_TRY(memop->op[i] == PS_MEMOP_ALLOC ? take(self, &self->life[at], err)
                                              : give(self, &self->life[at], err));
    }
    return PS_OK;
}
