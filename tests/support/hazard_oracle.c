/* SPDX-License-Identifier: MIT
 *
 * Brute force over a small plan.
 */
#include "support/hazard_oracle.h"

#include "support/test.h"

#define NONE UINT32_MAX

/* ---- order ---- */

static uint64_t *bits_of(const hazard_oracle *self, uint32_t moment)
{
    return self->before + (size_t)moment * self->words;
}

static bool learn(hazard_oracle *self, uint32_t moment, uint32_t from)
{
    bool is_new = false;
    for (size_t i = 0; i < self->words; i++) {
        const uint64_t more = bits_of(self, from)[i] & ~bits_of(self, moment)[i];
        bits_of(self, moment)[i] |= more;
        is_new = is_new || more != 0;
    }
    return is_new;
}

/* One pass over all edges; false when nothing is new any more. */
static bool pass(hazard_oracle *self, uint32_t *last)
{
    const ps_plan *plan = self->plan;
    bool is_new = false;
    size_t dep = 0;
    for (size_t i = 0; i < plan->lane.head.count; i++) {
        last[i] = NONE;
    }
    for (uint32_t task = 0; task < plan->task.head.count; task++) {
        const uint32_t lane = plan->task.lane[task];
        const uint32_t start = task * 2, end = task * 2 + 1;
        if (last[lane] != NONE) {
            is_new = learn(self, start, last[lane] * 2 + 1) || is_new;
        }
        last[lane] = task;
        for (; dep < plan->dep.head.count && plan->dep.task[dep] == task; dep++) {
            const uint32_t before = plan->dep.before[dep];
            switch (plan->dep.kind[dep]) {
            case PS_DEP_START_AFTER_END:
                is_new = learn(self, start, before * 2 + 1) || is_new;
                break;
            case PS_DEP_START_AFTER_START:
                is_new = learn(self, start, before * 2) || is_new;
                break;
            case PS_DEP_END_AFTER_END:
                is_new = learn(self, end, before * 2 + 1) || is_new;
                break;
            default:
                is_new = learn(self, end, before * 2) || is_new;
                break;
            }
        }
        is_new = learn(self, end, start) || is_new;
    }
    return is_new;
}

bool hazard_oracle_orders(const hazard_oracle *self, uint32_t before, uint32_t after)
{
    return (bits_of(self, after)[before / 64] >> (before % 64) & 1) != 0;
}

/* ---- one buffer ---- */

typedef hazard_oracle_life life;

/* Stream 0 is the default one, which has the lowest number where none has 0. */
static uint32_t lane_of(const hazard_oracle *self, uint32_t buffer)
{
    const ps_plan *plan = self->plan;
    uint32_t lowest = NONE;
    for (uint32_t i = 0; i < plan->lane.head.count; i++) {
        if (plan->lane.device[i] != plan->buffer.device[buffer] + 1) {
            continue;
        }
        if (plan->lane.number[i] == plan->buffer.stream[buffer]) {
            return i;
        }
        if (lowest == NONE || plan->lane.number[i] < plan->lane.number[lowest]) {
            lowest = i;
        }
    }
    return plan->buffer.stream[buffer] == 0 ? lowest : NONE;
}

static void find_lives(hazard_oracle *self)
{
    const ps_plan *plan = self->plan;
    for (uint32_t i = 0; i < plan->buffer.head.count; i++) {
        const uint8_t memory = plan->buffer.memory[i];
        const bool is_host = memory == PS_MEMORY_PINNED || memory == PS_MEMORY_PAGEABLE;
        self->life[i] = (life){.alloc = NONE,
                               .free = NONE,
                               .is_host = is_host,
                               .is_at_origin = plan->buffer.role[i] == PS_ROLE_BEFORE,
                               .own_lane = is_host ? NONE : lane_of(self, i)};
    }
    for (uint32_t i = 0; i < plan->memop.head.count; i++) {
        const uint8_t op = plan->memop.op[i];
        life *of = &self->life[plan->memop.buffer[i]];
        if (op == PS_MEMOP_ALLOC) {
            of->alloc = i;
        } else if (op == PS_MEMOP_FREE || op == PS_MEMOP_FREE_REQUEST) {
            of->free = i;
        }
    }
    for (size_t i = 0; i < plan->block.head.count; i++) {
        if (plan->block.buffer[i] != 0) {
            self->life[plan->block.buffer[i] - 1].is_at_origin = true;
        }
    }
}

hazard_oracle hazard_oracle_of(const ps_plan *plan)
{
    hazard_oracle self = {.plan = plan, .moments = plan->task.head.count * 2};
    self.words = (self.moments + 63) / 64;
    self.before = calloc(self.moments * self.words + 1, sizeof *self.before);
    uint32_t *last = calloc(plan->lane.head.count + 1, sizeof *last);
    assert_non_null(self.before);
    assert_non_null(last);
    for (uint32_t i = 0; i < self.moments; i++) {
        bits_of(&self, i)[i / 64] |= UINT64_C(1) << (i % 64);
    }
    while (pass(&self, last)) {
    }
    free(last);
    self.life = calloc(plan->buffer.head.count + 1, sizeof *self.life);
    assert_non_null(self.life);
    find_lives(&self);
    return self;
}

void hazard_oracle_fini(hazard_oracle *self)
{
    free(self->before);
    free(self->life);
    *self = (hazard_oracle){0};
}

static uint32_t late(const ps_plan *plan, uint32_t memop)
{
    return plan->memop.task[memop] * 2 + (plan->memop.offset_ns[memop] > 0 ? 1 : 0);
}

/* First task of a lane behind a moment, or one past the last task. */
static uint32_t next_of(const hazard_oracle *self, uint32_t lane, uint32_t moment)
{
    const ps_plan *plan = self->plan;
    uint32_t task = 0;
    for (; task < plan->task.head.count; task++) {
        if (plan->task.lane[task] == lane && hazard_oracle_orders(self, moment, task * 2)) {
            break;
        }
    }
    return task;
}

/* ---- rules ---- */

static bool is_after_alloc(const hazard_oracle *self, const life *of, uint32_t task)
{
    if (of->is_at_origin) {
        return true;
    }
    return of->alloc != NONE && hazard_oracle_orders(self, late(self->plan, of->alloc), task * 2);
}

static bool is_after_free(const hazard_oracle *self, const life *of, uint32_t task)
{
    return of->free != NONE && hazard_oracle_orders(self, late(self->plan, of->free), task * 2);
}

static bool is_loaded(const ps_plan *plan, const life *of)
{
    if (of->is_at_origin || of->alloc == NONE) {
        return of->is_at_origin;
    }
    const uint32_t by = plan->memop.task[of->alloc];
    bool before_phase = false;
    for (uint32_t i = 0; i < plan->task.head.count; i++) {
        if (plan->task.lane[i] == plan->task.lane[by] && plan->task.phase[i] != 0) {
            before_phase = by < i;
            break;
        }
    }
    return before_phase;
}

static bool is_unwritten(const hazard_oracle *self, const life *of, size_t row)
{
    const ps_plan_access_table *access = &self->plan->access;
    if (access->is_write[row] != 0 || is_loaded(self->plan, of)) {
        return false;
    }
    for (size_t i = 0; i < access->head.count; i++) {
        const bool is_own = access->task[i] == access->task[row];
        if (access->buffer[i] == access->buffer[row] && access->is_write[i] != 0 &&
            (is_own ? i < row
                    : hazard_oracle_orders(self, access->task[i] * 2 + 1, access->task[row] * 2))) {
            return false;
        }
    }
    return true;
}

static bool is_unordered(const hazard_oracle *self, size_t a)
{
    const ps_plan_access_table *access = &self->plan->access;
    for (size_t b = 0; b < a; b++) {
        if (access->buffer[a] == access->buffer[b] && access->task[a] != access->task[b] &&
            (access->is_write[a] != 0 || access->is_write[b] != 0) &&
            !hazard_oracle_orders(self, access->task[a] * 2 + 1, access->task[b] * 2) &&
            !hazard_oracle_orders(self, access->task[b] * 2 + 1, access->task[a] * 2)) {
            return true;
        }
    }
    return false;
}

static bool is_done_at_free(const hazard_oracle *self, const life *of, uint32_t task)
{
    const ps_plan *plan = self->plan;
    const uint32_t by = plan->memop.task[of->free];
    uint32_t moment = by * 2;
    if (plan->memop.offset_ns[of->free] < 0) {
        for (uint32_t i = 0; i < by; i++) {
            moment = plan->task.lane[i] == plan->task.lane[by] ? i * 2 + 1 : moment;
        }
    }
    return hazard_oracle_orders(self, task * 2 + 1, moment);
}

/* A copy that uses pinned memory leaves an event behind, which stands for its stream so far. */
static bool is_behind_a_copy(const ps_plan *plan, size_t row)
{
    const ps_plan_access_table *access = &plan->access;
    const uint32_t lane = plan->task.lane[access->task[row]];
    if (plan->buffer.memory[access->buffer[row]] != PS_MEMORY_PINNED ||
        plan->lane.kind[lane] != PS_LANE_STREAM) {
        return false;
    }
    for (size_t i = 0; i < access->head.count; i++) {
        if (access->buffer[i] == access->buffer[row] && plan->task.lane[access->task[i]] == lane &&
            access->task[i] >= access->task[row] &&
            plan->task.kind[access->task[i]] == PS_TASK_MEMCPY) {
            return true;
        }
    }
    return false;
}

static bool is_reused(const hazard_oracle *self, const life *of, size_t row)
{
    const ps_plan *plan = self->plan;
    const uint32_t task = plan->access.task[row], lane = plan->task.lane[task];
    if (of->free == NONE) {
        return false;
    }
    if (of->is_host) {
        return !is_behind_a_copy(plan, row) && !is_done_at_free(self, of, task);
    }
    if (of->own_lane == NONE || lane == of->own_lane || plan->memop.op[of->free] != PS_MEMOP_FREE) {
        return false;
    }
    const uint32_t next = next_of(self, of->own_lane, late(plan, of->free));
    return next < plan->task.head.count && !hazard_oracle_orders(self, task * 2 + 1, next * 2);
}

/* Everything the own stream was given before the ALLOC, and all users of what came back to it. */
static bool is_taken(const hazard_oracle *self, const life *of, size_t row)
{
    const ps_plan *plan = self->plan;
    const uint32_t task = plan->access.task[row], buffer = plan->access.buffer[row];
    if (of->is_host || of->alloc == NONE || plan->task.lane[task] == of->own_lane) {
        return false;
    }
    const uint32_t next =
        of->own_lane == NONE ? 0 : next_of(self, of->own_lane, late(plan, of->alloc));
    for (uint32_t i = 0; i < next; i++) {
        if (plan->task.lane[i] == of->own_lane &&
            !hazard_oracle_orders(self, i * 2 + 1, task * 2)) {
            return true;
        }
    }
    for (size_t i = 0; i < plan->access.head.count; i++) {
        const uint32_t other = plan->access.buffer[i];
        const life theirs = self->life[other];
        if (other != buffer && !theirs.is_host && theirs.free != NONE && theirs.free < of->alloc &&
            plan->memop.op[theirs.free] == PS_MEMOP_FREE &&
            plan->buffer.device[other] == plan->buffer.device[buffer] &&
            plan->buffer.stream[other] == plan->buffer.stream[buffer] &&
            !hazard_oracle_orders(self, plan->access.task[i] * 2 + 1, task * 2)) {
            return true;
        }
    }
    return false;
}

bool hazard_oracle_breaks(const hazard_oracle *self, ps_hazard_rule rule)
{
    const ps_plan_access_table *access = &self->plan->access;
    for (size_t i = 0; i < access->head.count; i++) {
        const life of = self->life[access->buffer[i]];
        bool breaks = false;
        switch (rule) {
        case PS_HAZARD_UNALLOCATED:
            breaks = !is_after_alloc(self, &of, access->task[i]);
            break;
        case PS_HAZARD_FREED:
            breaks = is_after_free(self, &of, access->task[i]);
            break;
        case PS_HAZARD_UNWRITTEN:
            breaks = is_unwritten(self, &of, i);
            break;
        case PS_HAZARD_UNORDERED:
            breaks = is_unordered(self, i);
            break;
        case PS_HAZARD_REUSED:
            breaks = is_reused(self, &of, i);
            break;
        case PS_HAZARD_TAKEN:
            breaks = is_taken(self, &of, i);
            break;
        case PS_HAZARD_RULE_COUNT:
            break;
        }
        if (breaks) {
            return true;
        }
    }
    return false;
}
