/* SPDX-License-Identifier: MIT
 *
 * Driver of the recovery, and questions about what was found.
 */
#include "workload/recover/structure.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "workload/recover/recover_parts.h"

const char *ps_phase_name(ps_phase phase)
{
    switch (phase) {
    case PS_PHASE_FORWARD:
        return "forward";
    case PS_PHASE_BACKWARD:
        return "backward";
    case PS_PHASE_OPTIMIZER:
        return "optimizer";
    case PS_PHASE_UNKNOWN:
        break;
    }
    return "unknown";
}

const char *ps__recover_text(const ps_recovery *self, ps_str id)
{
    return ps_strings_text(self->trace->strings, id);
}

ps_code ps__recover_find(ps_recovery *self, const char *what, const char *how,
                         ps_permille confidence, ps_error *err, const char *detail, ...)
{
    ps_structure *out = self->out;
    char text[256];
    va_list arguments;
    va_start(arguments, detail);
    (void)vsnprintf(text, sizeof text, detail, arguments);
    va_end(arguments);
    PS_TRY(ps_grow((void **)&out->finding, &out->finding_capacity, out->finding_count + 1,
                   PS_STRUCTURE_MAX, sizeof *out->finding, err));
    ps_finding *found = &out->finding[out->finding_count];
    *found = (ps_finding){.what = what, .how = how, .confidence = confidence};
    PS_TRY(ps_strings_put_z(out->strings, text, &found->detail, err));
    out->finding_count++;
    return PS_OK;
}

static void widen(ps_recovery *self, ps_ns start, ps_ns end)
{
    self->first_ns = start < self->first_ns ? start : self->first_ns;
    self->last_ns = end > self->last_ns ? end : self->last_ns;
}

static void find_extent(ps_recovery *self)
{
    const ps_trace *trace = self->trace;
    self->first_ns = PS_TIME_NEVER;
    self->last_ns = INT64_MIN;
    for (size_t i = 0; i < trace->range.head.count; i++) {
        widen(self, trace->range.start_ns[i], trace->range.start_ns[i] + trace->range.dur_ns[i]);
    }
    for (size_t i = 0; i < trace->call.head.count; i++) {
        widen(self, trace->call.start_ns[i], trace->call.start_ns[i] + trace->call.dur_ns[i]);
    }
    for (size_t i = 0; i < trace->kernel.head.count; i++) {
        widen(self, trace->kernel.start_ns[i], trace->kernel.start_ns[i] + trace->kernel.dur_ns[i]);
    }
    for (size_t i = 0; i < trace->memory.head.count; i++) {
        widen(self, trace->memory.time_ns[i], trace->memory.time_ns[i] + 1);
    }
    if (self->first_ns > self->last_ns) {
        self->first_ns = self->last_ns = 0;
    }
}

static ps_code run_stages(ps_recovery *self, ps_error *err)
{
    find_extent(self);
    PS_TRY(ps__recover_rows(self, err));
    PS_TRY(ps__recover_marks(self, err));
    PS_TRY(ps__recover_steps(self, err));
    PS_TRY(ps__recover_phases(self, err));
    PS_TRY(ps__recover_blocks(self, err));
    return ps__recover_roles(self, err);
}

ps_code ps_structure_recover(const ps_trace *trace, const ps_plan *plan,
                             const struct ps_overrides *overrides, ps_structure *out, ps_error *err)
{
    static const ps_overrides none = {0};
    ps_structure found = {.strings = ps_strings_create()};
    ps_recovery self = {.trace = trace,
                        .plan = plan,
                        .overrides = overrides == NULL ? &none : overrides,
                        .out = &found};
    const ps_code code = found.strings == NULL ? ps_fail_nomem(err) : run_stages(&self, err);
    if (code != PS_OK) {
        ps_structure_fini(&found);
        return code;
    }
    *out = found;
    return PS_OK;
}

void ps_structure_fini(ps_structure *self)
{
    ps_strings_destroy(self->strings);
    ps_free(self->step);
    ps_free(self->phase);
    ps_free(self->block);
    ps_free(self->buffer);
    ps_free(self->finding);
    *self = (ps_structure){0};
}

ps_phase ps_structure_phase_at(const ps_structure *self, ps_ns time_ns)
{
    size_t low = 0, high = self->phase_count; /* first phase that begins later */
    while (low < high) {
        const size_t mid = low + (high - low) / 2;
        if (self->phase[mid].start_ns <= time_ns) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low == 0 ? PS_PHASE_UNKNOWN : self->phase[low - 1].phase;
}

uint32_t ps_structure_step_at(const ps_structure *self, ps_ns time_ns)
{
    size_t low = 0, high = self->step_count;
    while (low < high) {
        const size_t mid = low + (high - low) / 2;
        if (self->step[mid].start_ns <= time_ns) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low == 0 || time_ns >= self->step[low - 1].end_ns ? PS_STRUCTURE_NONE
                                                             : (uint32_t)(low - 1);
}
