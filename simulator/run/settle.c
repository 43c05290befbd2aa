/* SPDX-License-Identifier: MIT
 *
 * Times and memory in turn, until both are of the same run.
 */
#include "run/run_parts.h"

static ps_code find_waits(const ps_plan *plan, const ps_run_times *times, ps_run_waits *out,
                          ps_error *err)
{
    for (uint32_t device = 0; device < plan->device.head.count; device++) {
        PS_TRY(ps__run_memory_waits(plan, times, device, out, err));
    }
    ps__run_waits_sort(out);
    return PS_OK;
}

/* Without any wait: those found would keep one another from coming. */
static ps_code run_without(const ps_plan *plan, ps_run_times *times, ps_error *err)
{
    times->is_unsettled = true;
    ps__run_waits_fini(&times->waits);
    return ps__run_times(plan, NULL, times, err);
}

ps_code ps__run_settle(const ps_plan *plan, ps_run_times *times, ps_error *err)
{
    PS_TRY(ps__run_times(plan, NULL, times, err));
    for (int round = 0; plan->hold.head.count > 0 && round < PS_RUN_MAX_ROUNDS; round++) {
        ps_run_waits found = {0};
        const ps_code code = find_waits(plan, times, &found, err);
        if (code != PS_OK || ps__run_waits_equal(&found, &times->waits)) {
            ps__run_waits_fini(&found);
            return code;
        }
        ps__run_waits_fini(&times->waits);
        times->waits = found;
        ps_error ignored = {0};
        const ps_code ran = ps__run_times(plan, NULL, times, &ignored);
        if (ran == PS_DEADLOCK) {
            return run_without(plan, times, err);
        }
        if (ran != PS_OK) {
            if (err != NULL) {
                *err = ignored;
            }
            return ran;
        }
    }
    times->is_unsettled = plan->hold.head.count > 0;
    return PS_OK;
}
