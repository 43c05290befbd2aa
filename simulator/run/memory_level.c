/* SPDX-License-Identifier: MIT
 *
 * How high a device's memory stands: peaks, the chart over time, and phases.
 *
 *   chart    ▁▂▂▅▅▅▇▃▃▁            bins of time, each with its highest level
 *   phases   forward backward step  each with its levels at begin and end, and its peak
 */
#include "run/memory_walk.h"

static uint64_t more(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

void ps__memory_level_move(ps_memory_walk *walk, ps_ns now)
{
    const ps_ns span = walk->times->makespan_ns;
    const ps_ns at = now < walk->chart_ns ? walk->chart_ns : now;
    if (at < walk->chart_end_ns) {
        walk->chart_ns = at;
        return;
    }
    const size_t bin =
        span <= 0 ? 0
                  : (size_t)ps_mul_div_u64((uint64_t)at, PS_RESULT_CHART_BINS, (uint64_t)span + 1);
    /* the level since the last request filled every bin on the way */
    for (; walk->chart_bin < bin && walk->chart_bin + 1 < PS_RESULT_CHART_BINS;) {
        walk->chart_bin++;
        walk->out->chart_allocated[walk->chart_bin] = walk->allocated;
        walk->out->chart_reserved[walk->chart_bin] = walk->reserved;
    }
    walk->chart_ns = at;
    /* not behind the end of this bin, (bin + 1) (span + 1) / bins */
    const uint64_t edge = (uint64_t)(walk->chart_bin + 1);
    walk->chart_end_ns =
        span <= 0 ? 0
                  : (ps_ns)((uint64_t)span / PS_RESULT_CHART_BINS * edge +
                            (uint64_t)span % PS_RESULT_CHART_BINS * edge / PS_RESULT_CHART_BINS);
}

void ps__memory_level_note(ps_memory_walk *walk, size_t memop)
{
    const ps_alloc_stats *stats = ps_allocator_stats(walk->model);
    ps_result_device *out = walk->out;
    walk->reserved = stats->reserved_bytes.current;
    walk->allocated = walk->own_sizes ? walk->live_bytes : stats->allocated_bytes.current;
    out->peak_live_bytes = more(out->peak_live_bytes, walk->live_bytes);
    if (walk->allocated > out->peak_allocated_bytes || !walk->has_peak) {
        out->peak_allocated_bytes = walk->allocated;
        out->peak_time_ns = walk->chart_ns;
        walk->peak_memop = memop;
        walk->has_peak = true;
    }
    uint64_t *allocated = &out->chart_allocated[walk->chart_bin];
    uint64_t *reserved = &out->chart_reserved[walk->chart_bin];
    *allocated = more(*allocated, walk->allocated);
    *reserved = more(*reserved, walk->reserved);
}

static void note_phase(const ps_memory_walk *walk)
{
    ps_result_phase *phase = walk->phase;
    if (phase != NULL) {
        phase->peak_allocated_bytes = more(phase->peak_allocated_bytes, walk->allocated);
        phase->peak_reserved_bytes = more(phase->peak_reserved_bytes, walk->reserved);
        phase->end_allocated_bytes = walk->allocated;
    }
}

void ps__memory_level_begin(ps_memory_walk *walk, size_t row)
{
    ps_result_phase *phase = ps__run_phase_at(walk->plan, walk->out, row, &walk->step);
    if (phase != NULL && phase != walk->phase) {
        phase->begin_allocated_bytes = more(phase->begin_allocated_bytes, walk->allocated);
    }
    walk->phase = phase;
    note_phase(walk);
    ps__memory_level_move(walk, ps__memory_retry_moment(walk, row));
}

/* What is recorded of the level counts sizes of blocks, as a walk by own sizes does. */
static void compare_recorded(ps_memory_walk *walk, size_t row)
{
    const uint64_t expect = walk->plan->memop.expect[row];
    if (expect != 0 && walk->own_sizes) {
        walk->out->allocated_check.compared++;
        walk->out->allocated_check.equal += expect - 1 == walk->allocated;
    }
}

void ps__memory_level_end(ps_memory_walk *walk, size_t row)
{
    ps__memory_level_note(walk, row);
    note_phase(walk);
    compare_recorded(walk, row);
}

void ps__memory_level_forget(ps_memory_walk *walk)
{
    walk->has_peak = false;
    walk->chart_ns = 0;
    walk->chart_bin = 0;
    walk->chart_end_ns = 0;
    walk->step = 0;
    walk->phase = NULL;
    for (size_t step = 0; walk->out->phase != NULL && step < walk->plan->step.head.count; step++) {
        for (size_t i = 0; i < PS_PHASE_OPTIMIZER; i++) {
            ps_result_phase *phase = &walk->out->phase[step][i];
            *phase = (ps_result_phase){.time_ns = phase->time_ns};
        }
    }
}
