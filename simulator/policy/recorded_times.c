/* SPDX-License-Identifier: MIT
 *
 * Times of an identity plan: a run gives them again.
 */
#include "policy/recorded_times.h"

#include <stdlib.h>

#include "base/memory.h"
#include "engine/engine.h"
#include "lower/lower.h"

static ps_code run(const ps_plan *plan, ps_recorded_times *times, ps_error *err)
{
    const ps_engine_input input = {
        .lane_count = plan->lane.head.count,
        .task_count = plan->task.head.count,
        .lane = plan->task.lane,
        .gap_ns = plan->task.gap_ns,
        .dur_ns = plan->task.dur_ns,
        .bytes = plan->task.bytes,
        .rate_bytes_per_s = plan->task.rate_bytes_per_s,
        .dep_count = plan->dep.head.count,
        .dep_task = plan->dep.task,
        .dep_before = plan->dep.before,
        .dep_kind = plan->dep.kind,
        .dep_lag_ns = plan->dep.lag_ns,
        .link_count = plan->link.head.count,
        .link_bytes_per_s = plan->link.bytes_per_s,
        .transfer_count = plan->transfer.head.count,
        .transfer_task = plan->transfer.task,
        .transfer_link = plan->transfer.link,
    };
    PS_TRY(ps_engine_run(&input, NULL, NULL, times->start_ns, times->end_ns, err));
    const char *text = ps_plan_meta(plan, PS_PLAN_META_ORIGIN);
    const ps_ns origin = text == NULL ? 0 : strtoll(text, NULL, 10);
    for (size_t i = 0; i < plan->task.head.count; i++) {
        times->start_ns[i] = ps_time_add(times->start_ns[i], origin);
        times->end_ns[i] = ps_time_add(times->end_ns[i], origin);
    }
    return PS_OK;
}

ps_code ps__recorded_times(const ps_plan *plan, ps_recorded_times *out, ps_error *err)
{
    const size_t count = plan->task.head.count;
    ps_recorded_times times = {ps_calloc(count, sizeof *times.start_ns),
                               ps_calloc(count, sizeof *times.end_ns)};
    const ps_code code = times.start_ns == NULL || times.end_ns == NULL ? ps_fail_nomem(err)
                                                                        : run(plan, &times, err);
    if (code != PS_OK) {
        ps__recorded_times_fini(&times);
        return code;
    }
    *out = times;
    return PS_OK;
}

void ps__recorded_times_fini(ps_recorded_times *self)
{
    ps_free(self->start_ns);
    ps_free(self->end_ns);
    *self = (ps_recorded_times){0};
}

uint32_t ps__find_host_lane(const ps_plan *plan, uint64_t number)
{
    for (uint32_t lane = 0; lane < plan->lane.head.count; lane++) {
        if (plan->lane.kind[lane] == PS_LANE_HOST && plan->lane.number[lane] == number) {
            return lane;
        }
    }
    return UINT32_MAX;
}

uint32_t ps__last_begun(const ps_recorded_times *times, const uint32_t *rows, size_t count,
                        ps_ns at_ns)
{
    size_t low = 0, high = count;
    while (low < high) {
        const size_t mid = low + (high - low) / 2;
        if (times->start_ns[rows[mid]] <= at_ns) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return count == 0 ? UINT32_MAX : rows[low == 0 ? 0 : low - 1];
}
