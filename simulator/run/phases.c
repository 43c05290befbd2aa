/* SPDX-License-Identifier: MIT
 *
 * Steps of one device by phase: how long its host is at each, and what memory
 * there is meanwhile. Plans of models tell the phase of all that the host
 * does; of recorded jobs nobody knows it, and there is no such table.
 */
#include "base/memory.h"
#include "run/memory_walk.h"

/* Lane of the host thread that all requests of the device come from; false: of several, or none. */
static bool find_host(const ps_plan *plan, uint32_t device, uint32_t *lane)
{
    const ps_plan_memop_table *memop = &plan->memop;
    const ps_run_rows rows = ps__run_memops_of(plan, device);
    bool is_found = false;
    for (size_t i = rows.first; i < rows.end; i++) {
        const uint32_t of =
            memop->task[i] < plan->task.head.count ? plan->task.lane[memop->task[i]] : UINT32_MAX;
        if (memop->device[i] != device || (is_found && of == *lane)) {
            continue;
        }
        if (is_found || of == UINT32_MAX) {
            return false;
        }
        *lane = of;
        is_found = true;
    }
    return is_found;
}

/* Steps are those of one rank's host: where others are at that moment, rows do not tell. */
static bool carries_steps(const ps_plan *plan, uint32_t lane)
{
    const uint32_t task = plan->step.begin_task[0];
    return task < plan->task.head.count && plan->task.lane[task] == lane;
}

/* Steps are in order, tasks too. */
static bool advance(const ps_plan *plan, uint32_t task, size_t *step)
{
    const ps_plan_step_table *steps = &plan->step;
    while (*step + 1 < steps->head.count && steps->begin_task[*step + 1] != PS_PLAN_WHOLE &&
           steps->begin_task[*step + 1] <= task) {
        (*step)++;
    }
    return steps->begin_task[*step] == PS_PLAN_WHOLE || steps->begin_task[*step] <= task;
}

static void add_times(const ps_plan *plan, const ps_run_times *times, uint32_t lane,
                      ps_result_device *out)
{
    size_t step = 0;
    uint8_t phase = PS_PHASE_UNKNOWN;
    ps_ns begin_ns = 0, end_ns = 0;
    size_t at = 0;
    for (uint32_t task = 0; task <= plan->task.head.count; task++) {
        const bool is_end = task == plan->task.head.count;
        if (!is_end && plan->task.lane[task] != lane) {
            continue;
        }
        const bool is_in_step = !is_end && advance(plan, task, &step);
        const uint8_t now = is_in_step ? plan->task.phase[task] : PS_PHASE_UNKNOWN;
        if (now != phase || step != at) {
            if (phase != PS_PHASE_UNKNOWN) {
                out->phase[at][phase - 1].time_ns += end_ns - begin_ns;
            }
            phase = now;
            at = step;
            begin_ns = is_end ? 0 : times->start_ns[task];
        }
        end_ns = is_end ? 0 : times->end_ns[task];
    }
}

ps_code ps__run_phases(const ps_plan *plan, const ps_run_times *times, uint32_t device,
                       ps_result_device *out, ps_error *err)
{
    uint32_t lane = 0;
    if (plan->step.head.count == 0 || !find_host(plan, device, &lane) ||
        !carries_steps(plan, lane)) {
        return PS_OK;
    }
    bool is_told = false;
    for (size_t i = 0; i < plan->task.head.count && !is_told; i++) {
        is_told = plan->task.lane[i] == lane && plan->task.phase[i] != PS_PHASE_UNKNOWN;
    }
    if (!is_told) {
        return PS_OK;
    }
    out->phase = ps_calloc(plan->step.head.count, sizeof *out->phase);
    if (out->phase == NULL) {
        return ps_fail_nomem(err);
    }
    add_times(plan, times, lane, out);
    return PS_OK;
}

ps_result_phase *ps__run_phase_at(const ps_plan *plan, const ps_result_device *out, size_t memop,
                                  size_t *step)
{
    const uint32_t task = plan->memop.task[memop];
    const uint8_t phase = plan->task.phase[task];
    if (out->phase == NULL || !advance(plan, task, step) || phase == PS_PHASE_UNKNOWN) {
        return NULL;
    }
    return &out->phase[*step][phase - 1];
}

void ps__run_fill_phases(const ps_plan *plan, ps_result_device *out)
{
    uint64_t level = 0;
    for (size_t step = 0; out->phase != NULL && step < plan->step.head.count; step++) {
        for (size_t i = 0; i < PS_PHASE_OPTIMIZER; i++) {
            ps_result_phase *phase = &out->phase[step][i];
            if (phase->peak_allocated_bytes == 0) {
                phase->begin_allocated_bytes = phase->peak_allocated_bytes =
                    phase->end_allocated_bytes = level;
            }
            level = phase->end_allocated_bytes;
        }
    }
}
