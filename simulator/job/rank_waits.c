/* SPDX-License-Identifier: MIT
 *
 * What a rank's host waits for: lanes, one task, the device.
 *
 *   host   launch ── launch ── wait ·······┐ launch
 *   lane      └► task   └► task ───────────┘ ends
 */
#include "job/rank_parts.h"

typedef ps_rank_lowering lowering;

static ps_code begin_wait(lowering *self, size_t event, uint32_t *wait, ps_error *err)
{
    PS_TRY(ps__rank_task(self, self->host_lane, PS_TASK_WAIT, wait, err));
    self->plan->task.name[*wait] = self->wait_name;
    return ps__rank_requests(self, event, *wait, err);
}

static ps_code end_after(lowering *self, uint32_t wait, uint32_t task, ps_error *err)
{
    return task == PS_JOB_NONE ? PS_OK
                               : ps__rank_dep(self, wait, task, PS_DEP_END_AFTER_END, 0, err);
}

/* For what has been launched into the lanes, and for what they themselves wait for. */
static ps_code wait_for_lanes(lowering *self, uint32_t wait, uint32_t lanes, ps_error *err)
{
    for (size_t lane = 0; lane < PS_WORKLOAD_LANE_COUNT; lane++) {
        if ((lanes & PS_RANK_LANE(lane)) == 0) {
            continue;
        }
        PS_TRY(end_after(self, wait, self->last_task[lane], err));
        for (size_t awaited = 0; awaited < PS_WORKLOAD_LANE_COUNT; awaited++) {
            PS_TRY(end_after(self, wait, self->joined[lane][awaited], err));
        }
    }
    return PS_OK;
}

ps_code ps__rank_wait(lowering *self, size_t event, uint32_t lanes, ps_error *err)
{
    uint32_t wait;
    PS_TRY(begin_wait(self, event, &wait, err));
    return wait_for_lanes(self, wait, lanes, err);
}

ps_code ps__rank_wait_for_task(lowering *self, size_t event, uint32_t task, ps_error *err)
{
    uint32_t wait;
    PS_TRY(begin_wait(self, event, &wait, err));
    return end_after(self, wait, task, err);
}

/* Copies to and from the host and its own threads may go on beside the next step. */
ps_code ps__rank_wait_between_steps(lowering *self, size_t event, ps_error *err)
{
    const uint32_t go_on =
        PS_RANK_WORKERS | PS_RANK_LANE(PS_WORKLOAD_UPLOAD) | PS_RANK_LANE(PS_WORKLOAD_OFFLOAD);
    self->phase = PS_PHASE_UNKNOWN;
    return ps__rank_wait(self, event, PS_RANK_ALL_LANES & ~go_on, err);
}

/*
 * The driver waits until the device is idle: of what the host's other threads have yet to hand over
 * it does not know.
 */
ps_code ps__rank_release_cache(lowering *self, size_t event, ps_error *err)
{
    const uint32_t unknown = PS_RANK_WORKERS | self->behind_workers;
    uint32_t wait;
    self->phase = PS_PHASE_UNKNOWN;
    PS_TRY(begin_wait(self, event, &wait, err));
    PS_TRY(wait_for_lanes(self, wait, PS_RANK_ALL_LANES & ~unknown, err));
    return ps__rank_requests(self, event + 1, wait, err);
}
