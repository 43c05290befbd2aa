/* SPDX-License-Identifier: MIT
 *
 * Simulating a plan: times first, then memory in program order at those times.
 */
#include "run/run.h"

#include <stdlib.h>

#include "base/memory.h"
#include "run/steady.h"

static ps_code run_steps(const ps_plan *plan, const ps_run_times *times, ps_result *out,
                         ps_error *err)
{
    const ps_plan_step_table *step = &plan->step;
    out->step = ps_calloc(step->head.count, sizeof *out->step);
    if (out->step == NULL) {
        return ps_fail_nomem(err);
    }
    out->step_count = step->head.count;
    for (size_t i = 0; i < step->head.count; i++) {
        out->step[i] = (ps_result_step){.name = step->name[i],
                                        .time_ns = ps__run_step_time(plan, times, i),
                                        .recorded_ns = step->recorded_ns[i]};
    }
    return PS_OK;
}

static int by_time(const void *a, const void *b)
{
    const ps_ns x = *(const ps_ns *)a, y = *(const ps_ns *)b;
    return (x > y) - (x < y);
}

/* Median over the steps after the first, which differs (lazy state, autotuning); all when there is one. */
static ps_code find_steady_state(ps_result *out, ps_error *err)
{
    const size_t skip = out->step_count > 1 ? 1 : 0;
    const size_t count = out->step_count - skip;
    if (count == 0) {
        return PS_OK;
    }
    ps_ns *times = ps_calloc(count, sizeof *times);
    if (times == NULL) {
        return ps_fail_nomem(err);
    }
    for (size_t i = 0; i < count; i++) {
        times[i] = out->step[i + skip].time_ns;
    }
    qsort(times, count, sizeof *times, by_time);
    out->step_time_ns = count % 2 == 1
                            ? times[count / 2]
                            : times[count / 2 - 1] + (times[count / 2] - times[count / 2 - 1]) / 2;
    ps_free(times);
    return PS_OK;
}

static ps_code run_devices(const ps_plan *plan, const ps_run_times *times, ps_result *out,
                           ps_error *err)
{
    const size_t count = plan->device.head.count;
    out->device = ps_calloc(count, sizeof *out->device);
    if (out->device == NULL) {
        return ps_fail_nomem(err);
    }
    out->device_count = count;
    for (uint32_t device = 0; device < count; device++) {
        PS_TRY(ps__run_memory(plan, times, device, &out->device[device], err));
    }
    return ps__run_nodes(plan, out, err);
}

/* Where time goes. */
static ps_code explain_times(const ps_plan *plan, const ps_run_times *times, ps_result *out,
                             ps_error *err)
{
    const ps_window whole = {.end_ns = times->makespan_ns, .end_task = PS_PLAN_WHOLE};
    for (uint32_t device = 0; device < out->device_count; device++) {
        PS_TRY(ps__run_occupancy(plan, times, device, &whole, &out->device[device].time, err));
        ps__run_meetings(plan, times, device, &out->device[device].time);
    }
    return ps__run_steady(plan, times, out, err);
}

static ps_code run_figures(const ps_plan *plan, ps_run_times *times, ps_result *out, ps_error *err)
{
    PS_TRY(ps__run_settle(plan, times, err));
    out->makespan_ns = times->makespan_ns;
    out->is_unsettled = times->is_unsettled;
    for (size_t i = 0; i < plan->task.head.count; i++) {
        out->basis_ns[plan->task.basis[i]] += times->end_ns[i] - times->start_ns[i];
    }
    PS_TRY(run_steps(plan, times, out, err));
    PS_TRY(find_steady_state(out, err));
    return run_devices(plan, times, out, err);
}

static ps_code find_step_time(const ps_plan *plan, ps_run_times *times, ps_result *out,
                              ps_error *err)
{
    PS_TRY(ps__run_settle(plan, times, err));
    PS_TRY(run_steps(plan, times, out, err));
    return find_steady_state(out, err);
}

ps_code ps_run_step_time(const ps_plan *plan, ps_ns *out, ps_error *err)
{
    ps_run_times times = {0};
    ps_result result = {.plan = plan};
    const ps_code code = find_step_time(plan, &times, &result, err);
    if (code == PS_OK) {
        *out = result.step_count > 0 ? result.step_time_ns : times.makespan_ns;
    }
    ps__run_times_fini(&times);
    ps_result_fini(&result);
    return code;
}

static ps_code run(const ps_plan *plan, bool explains, ps_result *out, ps_error *err)
{
    ps_run_times times = {0};
    ps_result result = {.plan = plan};
    ps_code code = run_figures(plan, &times, &result, err);
    if (code == PS_OK && explains) {
        code = explain_times(plan, &times, &result, err);
    }
    ps__run_times_fini(&times);
    if (code != PS_OK) {
        ps_result_fini(&result);
        return code;
    }
    *out = result;
    return PS_OK;
}

ps_code ps_run_plan(const ps_plan *plan, ps_result *out, ps_error *err)
{
    return run(plan, true, out, err);
}

ps_code ps_run_figures(const ps_plan *plan, ps_result *out, ps_error *err)
{
    return run(plan, false, out, err);
}
