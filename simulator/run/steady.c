/* SPDX-License-Identifier: MIT
 *
 * The steady step, explained.
 */
#include "run/steady.h"
#include "base/memory.h"

/* [millionths] of a link: traffic that uses none of them so much is not worth a word. */
#define LEAST_USE 1000

ps_ns ps__window_share(const ps_window *self, ps_ns begin_ns, ps_ns end_ns)
{
    const ps_ns from = begin_ns > self->begin_ns ? begin_ns : self->begin_ns;
    const ps_ns to = end_ns < self->end_ns ? end_ns : self->end_ns;
    return to > from ? to - from : 0;
}

bool ps__run_has_host_traffic(const ps_plan *plan)
{
    for (size_t i = 0; i < plan->transfer.head.count; i++) {
        const uint8_t kind = plan->task.kind[plan->transfer.task[i]];
        if (kind == PS_TASK_MEMCPY || kind == PS_TASK_CPU) {
            return true;
        }
    }
    return false;
}

static ps_window last_step(const ps_plan *plan, const ps_run_times *times)
{
    const ps_plan_step_table *step = &plan->step;
    ps_window out = {.end_ns = times->makespan_ns, .end_task = PS_PLAN_WHOLE};
    if (step->head.count == 0) {
        return out;
    }
    const size_t last = step->head.count - 1;
    if (step->begin_task[last] != PS_PLAN_WHOLE) {
        out.begin_ns = ps__run_moment(times, step->begin_task[last], step->begin_offset_ns[last]);
    }
    if (step->end_task[last] != PS_PLAN_WHOLE) {
        out.end_task = step->end_task[last];
        out.end_ns = ps__run_moment(times, out.end_task, step->end_offset_ns[last]);
    }
    return out;
}

static ps_code explain(const ps_plan *plan, const ps_run_times *times, const ps_window *window,
                       ps_result *out, ps_error *err)
{
    ps_result_steady *steady = &out->steady;
    PS_TRY(ps__critical_path(plan, times, window, steady->path_ns, err));
    for (int i = 0; i < PS_RESOURCE_COUNT; i++) {
        if (steady->path_ns[i] > steady->path_ns[steady->limit]) {
            steady->limit = (ps_resource)i;
        }
    }
    PS_TRY(ps__lane_use(plan, times, window, steady, err));
    for (uint32_t device = 0; device < out->device_count; device++) {
        PS_TRY(ps__run_occupancy(plan, times, device, window, &out->device[device].steady, err));
    }
    return PS_OK;
}

static bool is_worth_telling(const ps_result_steady *steady)
{
    for (size_t i = 0; i < steady->link_count; i++) {
        if (steady->link[i].share_millionths >= LEAST_USE) {
            return true;
        }
    }
    return false;
}

ps_code ps__run_steady(const ps_plan *plan, const ps_run_times *times, ps_result *out,
                       ps_error *err)
{
    const ps_window window = last_step(plan, times);
    if (!ps__run_has_host_traffic(plan) || window.end_ns <= window.begin_ns) {
        return PS_OK;
    }
    out->steady = (ps_result_steady){.begin_ns = window.begin_ns, .end_ns = window.end_ns};
    PS_TRY(ps__link_use(plan, times, &window, &out->steady, err));
    if (!is_worth_telling(&out->steady)) {
        ps_free(out->steady.link);
        out->steady = (ps_result_steady){0};
        return PS_OK;
    }
    out->steady.is_known = true;
    return explain(plan, times, &window, out, err);
}
