/* SPDX-License-Identifier: MIT
 *
 * Training steps: the profiler's own marks, or the whole recording as one.
 */
#include <string.h>

#include "lower/lowering.h"

bool ps__lower_is_step_name(const char *name)
{
    return strncmp(name, "ProfilerStep#", 13) == 0 || strncmp(name, "ProfilerStep*", 13) == 0;
}

static ps_code add_step(ps_lowering *self, const char *name, ps_moment begin, ps_moment end,
                        ps_ns recorded, ps_error *err)
{
    size_t row;
    PS_TRY(ps_plan_add(self->plan, PS_PLAN_STEP, &row, err));
    ps_plan_step_table *step = &self->plan->step;
    step->begin_task[row] = begin.task;
    step->begin_offset_ns[row] = begin.offset_ns;
    step->end_task[row] = end.task;
    step->end_offset_ns[row] = end.offset_ns;
    step->recorded_ns[row] = recorded;
    return ps_strings_put_z(self->plan->strings, name, &step->name[row], err);
}

/* The device may go on after the host: the one step of a recording without marks covers both. */
static ps_code add_whole_recording(ps_lowering *self, ps_error *err)
{
    const ps_moment whole = {.task = PS_PLAN_WHOLE};
    ps_ns last = 0;
    for (size_t task = 0; task < self->plan->task.head.count; task++) {
        last = self->rec_end[task] > last ? self->rec_end[task] : last;
    }
    return add_step(self, "recording", whole, whole, last, err);
}

ps_code ps__lower_steps(ps_lowering *self, ps_error *err)
{
    const ps_range_table *range = &self->trace->range;
    for (size_t i = 0; i < range->head.count; i++) {
        const char *name = ps_strings_text(self->trace->strings, range->name[i]);
        if (range->category[i] != PS_RANGE_ANNOTATION || !ps__lower_is_step_name(name)) {
            continue;
        }
        const uint32_t lane = ps__lower_find_lane(self, range->pid[i], range->tid[i]);
        const ps_ns start = range->start_ns[i] - self->origin_ns;
        if (lane != PS_NONE) {
            PS_TRY(add_step(self, name, ps__lower_moment(self, lane, start),
                            ps__lower_moment(self, lane, start + range->dur_ns[i]),
                            range->dur_ns[i], err));
        }
    }
    return self->plan->step.head.count > 0 ? PS_OK : add_whole_recording(self, err);
}
