/* SPDX-License-Identifier: MIT
 *
 * What lanes of a rank wait for of one another.
 *
 *   awaited   a ── b ── c
 *   lane            join │──► next task: behind b, and behind what b's lane waits for
 *                   mark a    ... or behind a alone
 */
#include "base/memory.h"
#include "job/rank_parts.h"

typedef ps_rank_lowering lowering;

ps_code ps__rank_make_marks(lowering *self, ps_error *err)
{
    const ps_workload_op_table *op = &self->from->op;
    for (size_t i = 0; i < op->head.count; i++) {
        self->mark_count =
            op->mark[i] >= self->mark_count ? (size_t)op->mark[i] + 1 : self->mark_count;
    }
    self->marked = ps_calloc(self->mark_count + 1, sizeof *self->marked);
    if (self->marked == NULL) {
        return ps_fail_nomem(err);
    }
    for (size_t i = 0; i <= self->mark_count; i++) {
        self->marked[i] = PS_JOB_NONE;
    }
    return PS_OK;
}

/* Rows of a lane ascend: the later one is behind the other. */
static void join_later(uint32_t *before, uint32_t task)
{
    *before = *before == PS_JOB_NONE || task > *before ? task : *before;
}

void ps__rank_join(lowering *self, uint8_t lane, uint8_t awaited)
{
    if (self->last_task[awaited] != PS_JOB_NONE) {
        self->joined[lane][awaited] = self->last_task[awaited];
    }
    if (lane == PS_WORKLOAD_MAIN) {
        self->beside_ns[awaited] = 0;
        self->owed_ns[awaited] = 0;
    }
    for (size_t i = 0; i < PS_WORKLOAD_LANE_COUNT; i++) {
        if (i != lane && self->joined[awaited][i] != PS_JOB_NONE) {
            join_later(&self->joined[lane][i], self->joined[awaited][i]);
        }
    }
}

/* The lane that a task is of; what the host computes in its own thread is the main lane's. */
static size_t lane_of(const lowering *self, uint32_t task)
{
    for (size_t lane = 0; lane < PS_WORKLOAD_LANE_COUNT; lane++) {
        if (self->lane[lane] == self->plan->task.lane[task]) {
            return lane;
        }
    }
    return PS_WORKLOAD_MAIN;
}

void ps__rank_join_task(lowering *self, uint8_t lane, uint32_t task)
{
    if (self->plan->task.lane[task] != self->lane[lane]) {
        join_later(&self->joined[lane][lane_of(self, task)], task);
    }
}
