/* SPDX-License-Identifier: MIT
 *
 * What results tell of requests that did not fit at first, step by step.
 */
#include "run/memory_walk.h"

/* The step that is on its way at a moment; count: none is. */
static size_t step_at(const ps_memory_walk *walk, ps_ns at)
{
    const ps_plan_step_table *step = &walk->plan->step;
    size_t out = step->head.count;
    for (size_t i = 0; i < step->head.count; i++) {
        const ps_ns begin =
            step->begin_task[i] == PS_PLAN_WHOLE
                ? 0
                : ps__run_moment(walk->times, step->begin_task[i], step->begin_offset_ns[i]);
        out = begin <= at ? i : out;
    }
    return out;
}

/* Where it is told, NULL: nobody asks, or in no step. */
static ps_result_retry *told_at(const ps_memory_walk *walk, ps_ns asked)
{
    const size_t step = walk->out->retry == NULL ? 0 : step_at(walk, asked);
    return walk->out->retry == NULL || step == walk->plan->step.head.count
               ? NULL
               : &walk->out->retry[step];
}

void ps__memory_retry_tell(ps_memory_walk *walk, uint32_t task, bool retried)
{
    const ps_ns asked = ps__run_asked(walk->times, task);
    const bool is_first = walk->retry.in_task != task;
    const ps_ns waited = is_first ? walk->times->start_ns[task] - asked : 0;
    ps_result_retry *told = told_at(walk, asked);
    walk->out->retry_wait_ns += waited;
    if (told != NULL) {
        told->count += retried;
        told->wait_ns += waited;
    }
}

void ps__memory_retry_tell_segments(ps_memory_walk *walk, uint32_t task)
{
    ps_memory_segments *segments = &walk->retry.segments;
    ps__memory_segments_end(segments);
    if (segments->freed > 0 || segments->made_anew > 0) {
        ps_result_retry *told = told_at(walk, ps__run_asked(walk->times, task));
        if (told != NULL) {
            told->segments_freed += segments->freed;
            told->segments_made_anew += segments->made_anew;
        }
    }
}
