/* SPDX-License-Identifier: MIT
 *
 * How busy lanes were, and which device each works for: a stream for its own,
 * a host lane for the device whose streams wait for it, or whose host lane it
 * waits for.
 */
#include "base/memory.h"
#include "run/steady.h"

/* The device of lanes of hosts, from what waits for what. */
static void find_owners(const ps_plan *plan, uint32_t *owner)
{
    const ps_plan_dep_table *dep = &plan->dep;
    for (size_t lane = 0; lane < plan->lane.head.count; lane++) {
        owner[lane] = plan->lane.device[lane];
    }
    for (int pass = 0; pass < 2; pass++) { /* first whoever launches, then who is launched by it */
        for (size_t i = 0; i < dep->head.count; i++) {
            const uint32_t lane = plan->task.lane[dep->task[i]];
            const uint32_t before = plan->task.lane[dep->before[i]];
            const bool is_launch = dep->kind[i] == PS_DEP_START_AFTER_START;
            uint32_t *mine = pass == 0 ? &owner[before] : &owner[lane];
            const uint32_t other = pass == 0 ? plan->lane.device[lane] : owner[before];
            const uint32_t row = pass == 0 ? before : lane;
            if (is_launch && *mine == 0 && plan->lane.kind[row] == PS_LANE_HOST) {
                *mine = other;
            }
        }
    }
}

static void measure(const ps_plan *plan, const ps_run_times *times, const ps_window *window,
                    ps_result_lane *lanes)
{
    for (size_t i = 0; i < plan->task.head.count; i++) {
        ps_result_lane *lane = &lanes[plan->task.lane[i]];
        const ps_ns time = ps__window_share(window, times->start_ns[i], times->end_ns[i]);
        if (plan->task.kind[i] == PS_TASK_WAIT) {
            lane->waiting_ns += time;
        } else {
            lane->busy_ns += time;
        }
    }
}

ps_code ps__lane_use(const ps_plan *plan, const ps_run_times *times, const ps_window *window,
                     ps_result_steady *out, ps_error *err)
{
    const size_t lanes = plan->lane.head.count;
    uint32_t *owner = ps_calloc(lanes + 1, sizeof *owner);
    out->lane = ps_calloc(lanes + 1, sizeof *out->lane);
    if (owner == NULL || out->lane == NULL) {
        ps_free(owner);
        return ps_fail_nomem(err);
    }
    find_owners(plan, owner);
    measure(plan, times, window, out->lane);
    for (uint32_t i = 0; i < lanes; i++) {
        ps_result_lane lane = out->lane[i];
        lane.lane = i;
        lane.device = owner[i];
        if (lane.busy_ns + lane.waiting_ns > 0) {
            out->lane[out->lane_count++] = lane; /* moves down, never up */
        }
    }
    ps_free(owner);
    return PS_OK;
}
