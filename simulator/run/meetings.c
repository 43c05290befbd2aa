/* SPDX-License-Identifier: MIT
 *
 * How much of a device's collectives is waiting for other ranks: what lies
 * before the exchange that a rank's part ends with.
 */
#include "run/run_parts.h"

static ps_ns earlier(ps_ns a, ps_ns b)
{
    return a < b ? a : b;
}

void ps__run_meetings(const ps_plan *plan, const ps_run_times *times, uint32_t device,
                      ps_result_time *out)
{
    const ps_plan_dep_table *dep = &plan->dep;
    for (size_t i = 0; i < dep->head.count; i++) {
        const uint32_t part = dep->task[i], exchange = dep->before[i];
        const bool is_meeting = dep->kind[i] == PS_DEP_END_AFTER_END &&
                                plan->task.kind[part] == PS_TASK_COLLECTIVE &&
                                plan->task.kind[exchange] == PS_TASK_EXCHANGE;
        if (is_meeting && plan->lane.device[plan->task.lane[part]] == device + 1) {
            const ps_ns met = earlier(times->start_ns[exchange], times->end_ns[part]);
            out->has_exchanges = true;
            out->collective_wait_ns += met - times->start_ns[part];
            out->collective_transfer_ns += times->end_ns[part] - met;
        }
    }
}
