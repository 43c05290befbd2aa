/* SPDX-License-Identifier: MIT
 *
 * The side of the recording.
 */
#include <string.h>

#include "accuracy/agreement/side.h"
#include "import/import.h"
#include "lower/lower.h"
#include "trace/file.h"
#include "workload/recover/workload.h"

/* Live bytes of the program before the first request at or after a moment. */
static uint64_t live_at(const ps_trace *trace, ps_ns at)
{
    const ps_memory_table *memory = &trace->memory;
    uint64_t live = 0;
    for (size_t row = 0; row < memory->head.count && memory->time_ns[row] < at; row++) {
        if (memory->action[row] == PS_ACTION_ALLOC) {
            live += (uint64_t)memory->bytes[row];
        } else if (memory->action[row] == PS_ACTION_FREE) {
            live -= (uint64_t)memory->bytes[row];
        }
    }
    return live;
}

/* First range of a phase that begins in a step. */
static bool find_phase(const ps_structure *found, size_t step, ps_phase phase, ps_ns *at)
{
    for (size_t i = 0; i < found->phase_count; i++) {
        if (found->phase[i].phase == phase &&
            found->phase[i].start_ns >= found->step[step].start_ns &&
            found->phase[i].start_ns < found->step[step].end_ns) {
            *at = found->phase[i].start_ns;
            return true;
        }
    }
    return false;
}

static void read_memory(const ps_trace *trace, const ps_structure *found, side *out)
{
    ps_ns at;
    for (size_t step = 0; step < found->step_count && step < STEPS_MAX; step++) {
        uint64_t *live = out->live_bytes[step];
        if (find_phase(found, step, PS_PHASE_BACKWARD, &at)) {
            live[MOMENT_FORWARD] = live_at(trace, at);
        }
        if (find_phase(found, step, PS_PHASE_OPTIMIZER, &at)) {
            live[MOMENT_BACKWARD] = live_at(trace, at);
        }
        live[MOMENT_OPTIMIZER] = live_at(trace, found->step[step].end_ns);
    }
    if (found->step_count > 0) {
        out->live_bytes[0][MOMENT_LOADED] = live_at(trace, found->step[0].start_ns);
    }
}

static ps_code recover(ps_trace *trace, const ps_plan *plan, side *out, ps_error *err)
{
    ps_structure found;
    PS_TRY(ps_structure_recover(trace, plan, NULL, &found, err));
    ps_code code = ps_recover(trace, plan, &found, 0, &out->workload, err);
    if (code == PS_OK) {
        code = side_count(out, err);
        read_memory(trace, &found, out);
    }
    ps_structure_fini(&found);
    return code;
}

/* The project's own recording, or another tool's. */
static ps_code read_trace(const char *path, ps_trace **out, ps_error *err)
{
    ps_trace_builder *builder;
    if (strstr(path, ".pstrace") != NULL) {
        return ps_trace_read(path, out, NULL, err);
    }
    PS_TRY(ps_trace_builder_open_memory(&builder, err));
    const ps_code code = ps_import_file(path, NULL, builder, NULL, err);
    if (code != PS_OK) {
        ps_trace_builder_abandon(builder);
        return code;
    }
    return ps_trace_builder_take(builder, out, err);
}

ps_code side_of_trace(const char *path, side *out, ps_error *err)
{
    ps_trace *trace;
    ps_plan *plan;
    PS_TRY(read_trace(path, &trace, err));
    ps_code code = ps_lower_trace(trace, &plan, err);
    if (code == PS_OK) {
        code = recover(trace, plan, out, err);
        ps_plan_destroy(plan);
    }
    ps_trace_destroy(trace);
    return code;
}
