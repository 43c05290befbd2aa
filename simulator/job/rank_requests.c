/* SPDX-License-Identifier: MIT
 *
 * Requests for memory of one rank, and what freed memory still waits for.
 *
 *   other lane   ──┤ task handed over before the free ├────────
 *   host         ─── FREE_REQUEST ──────── ALLOC ─────── ALLOC
 *                                            not yet       from here on
 */
#include "job/rank_parts.h"

typedef ps_rank_lowering lowering;

static ps_code add_hold(lowering *self, uint32_t buffer, uint32_t task, bool *waits, ps_error *err)
{
    size_t row;
    if (task == PS_JOB_NONE) {
        return PS_OK;
    }
    PS_TRY(ps_plan_add(self->plan, PS_PLAN_HOLD, &row, err));
    self->plan->hold.buffer[row] = buffer;
    self->plan->hold.task[row] = task;
    *waits = true;
    return PS_OK;
}

/* An event at the end of a lane: behind its newest task, and what its next one would wait for. */
static ps_code hold_by_lane(lowering *self, uint32_t buffer, size_t lane, bool *waits,
                            ps_error *err)
{
    PS_TRY(add_hold(self, buffer, self->last_task[lane], waits, err));
    for (size_t awaited = 0; awaited < PS_WORKLOAD_LANE_COUNT; awaited++) {
        PS_TRY(add_hold(self, buffer, self->joined[lane][awaited], waits, err));
    }
    return PS_OK;
}

static ps_code hold_freed(lowering *self, uint32_t tensor, bool *waits, ps_error *err)
{
    const ps_workload_tensor_table *table = &self->from->tensor;
    const uint32_t buffer = self->first_buffer + tensor, mark = table->user_mark[tensor];
    for (size_t lane = 0; lane < PS_WORKLOAD_LANE_COUNT; lane++) {
        if ((table->users[tensor] >> lane & 1) != 0) {
            PS_TRY(hold_by_lane(self, buffer, lane, waits, err));
        }
    }
    return mark == 0 || mark >= self->mark_count
               ? PS_OK
               : add_hold(self, buffer, self->marked[mark], waits, err);
}

static ps_code add_request(lowering *self, size_t event, uint32_t host_task, ps_error *err)
{
    const uint32_t ref = self->from->event.ref[event];
    bool waits = false;
    size_t row;
    PS_TRY(ps_plan_add(self->plan, PS_PLAN_MEMOP, &row, err));
    self->plan->memop.device[row] = self->device;
    self->plan->memop.task[row] = host_task;
    switch ((ps_workload_event)self->from->event.kind[event]) {
    case PS_WORKLOAD_EVENT_RELEASE_CACHE:
        self->plan->memop.op[row] = (uint8_t)PS_MEMOP_RELEASE_CACHE;
        return PS_OK;
    case PS_WORKLOAD_EVENT_FREE:
        PS_TRY(hold_freed(self, ref, &waits, err));
        self->plan->memop.op[row] = (uint8_t)(waits ? PS_MEMOP_FREE_REQUEST : PS_MEMOP_FREE);
        break;
    case PS_WORKLOAD_EVENT_ALLOC:
    case PS_WORKLOAD_EVENT_OP:
    case PS_WORKLOAD_EVENT_KIND_COUNT:
        self->plan->memop.op[row] = (uint8_t)PS_MEMOP_ALLOC;
        break;
    }
    self->plan->memop.buffer[row] = self->first_buffer + ref;
    return PS_OK;
}

ps_code ps__rank_requests(lowering *self, size_t end, uint32_t host_task, ps_error *err)
{
    for (; self->waiting < end; self->waiting++) {
        if (self->from->event.kind[self->waiting] != PS_WORKLOAD_EVENT_OP) {
            PS_TRY(add_request(self, self->waiting, host_task, err));
        }
    }
    return PS_OK;
}
