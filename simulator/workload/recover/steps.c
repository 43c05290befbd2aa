/* SPDX-License-Identifier: MIT
 *
 * Training steps, by the best evidence there is.
 */
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "workload/recover/recover_parts.h"

static ps_code add_step(ps_recovery *self, const char *name, ps_ns start, ps_ns end, ps_error *err)
{
    ps_structure *out = self->out;
    if (end <= start) {
        return PS_OK;
    }
    PS_TRY(ps_grow((void **)&out->step, &out->step_capacity, out->step_count + 1, PS_STRUCTURE_MAX,
                   sizeof *out->step, err));
    ps_structure_step *step = &out->step[out->step_count];
    *step = (ps_structure_step){.start_ns = start, .end_ns = end};
    PS_TRY(ps_strings_put_z(out->strings, name, &step->name, err));
    out->step_count++;
    return PS_OK;
}

static ps_code add_numbered(ps_recovery *self, ps_ns start, ps_ns end, ps_error *err)
{
    char name[32];
    (void)snprintf(name, sizeof name, "step %zu", self->out->step_count);
    return add_step(self, name, start, end, err);
}

/* ---- by ranges ---- */

static const char *override_pattern(const ps_recovery *self)
{
    const char *pattern = NULL;
    for (size_t i = 0; i < self->overrides->count; i++) {
        if (self->overrides->row[i].what == PS_OVERRIDE_STEP) {
            pattern = self->overrides->row[i].pattern;
        }
    }
    return pattern;
}

static bool is_step(const ps_recovery *self, size_t range, const char *pattern)
{
    const char *name = ps__recover_text(self, self->trace->range.name[range]);
    if (self->trace->range.category[range] == PS_RANGE_GPU_ANNOTATION) {
        return false;
    }
    if (pattern != NULL) {
        return ps_pattern_matches(pattern, name);
    }
    return self->trace->range.category[range] == PS_RANGE_ANNOTATION &&
           (strncmp(name, "ProfilerStep#", 13) == 0 || strncmp(name, "ProfilerStep*", 13) == 0);
}

static ps_code steps_of_ranges(ps_recovery *self, const char *pattern, ps_error *err)
{
    const ps_range_table *range = &self->trace->range;
    const char *source = ps_trace_meta(self->trace, PS_META_SOURCE);
    for (size_t i = 0; i < range->head.count; i++) {
        ps_structure *out = self->out;
        const ps_ns start = range->start_ns[i], end = start + range->dur_ns[i];
        if (is_step(self, i, pattern) &&
            (out->step_count == 0 || out->step[out->step_count - 1].end_ns <= start)) {
            PS_TRY(add_step(self, ps__recover_text(self, range->name[i]), start, end, err));
        }
    }
    if (self->out->step_count == 0) {
        return pattern == NULL ? PS_OK
                               : ps_fail(err, PS_USAGE,
                                         "no range of the trace is called \"%s\", which the "
                                         "structure file names as the step",
                                         pattern);
    }
    const bool is_own = source != NULL && strcmp(source, "tracer") == 0;
    return ps__recover_find(self, "steps",
                            pattern != NULL ? "structure file"
                            : is_own        ? "marks of the recorder"
                                            : "annotations of the profiler",
                            pattern != NULL || is_own ? 1000 : 950, err, "%zu steps",
                            self->out->step_count);
}

/* ---- by optimizer steps ---- */

static ps_ns first_forward(const ps_recovery *self)
{
    for (size_t i = 0; i < self->out->phase_count; i++) {
        if (self->out->phase[i].phase == PS_PHASE_OPTIMIZER) {
            break;
        }
        if (self->out->phase[i].phase == PS_PHASE_FORWARD) {
            return self->out->phase[i].start_ns;
        }
    }
    return self->first_ns;
}

static ps_code steps_of_optimizer(ps_recovery *self, ps_error *err)
{
    const ps_structure *out = self->out;
    ps_ns start = first_forward(self);
    for (size_t i = 0; i < out->phase_count; i++) {
        if (out->phase[i].phase != PS_PHASE_OPTIMIZER) {
            continue;
        }
        const ps_ns end = i + 1 < out->phase_count ? out->phase[i + 1].start_ns : self->last_ns;
        PS_TRY(add_numbered(self, start, end, err));
        start = end;
    }
    if (out->step_count == 0) {
        return PS_OK;
    }
    return ps__recover_find(self, "steps", "ends of optimizer steps", 850, err, "%zu steps",
                            out->step_count);
}

/* ---- by period ---- */

/* Keys of a sequence and when each of them was. */
typedef struct sequence {
    uint64_t *key;
    ps_ns *time;
    size_t count;
} sequence;

static ps_code make_sequence(size_t capacity, sequence *out, ps_error *err)
{
    *out = (sequence){.key = ps_calloc(capacity + 1, sizeof *out->key),
                      .time = ps_calloc(capacity + 1, sizeof *out->time)};
    return out->key == NULL || out->time == NULL ? ps_fail_nomem(err) : PS_OK;
}

static void read_allocations(const ps_trace *trace, sequence *out)
{
    for (size_t row = 0; row < trace->memory.head.count; row++) {
        if (trace->memory.action[row] == PS_ACTION_ALLOC &&
            trace->memory.device_kind[row] != PS_DEVICE_HOST) {
            out->key[out->count] = trace->memory.bytes[row];
            out->time[out->count++] = trace->memory.time_ns[row];
        }
    }
}

static void read_kernels(const ps_trace *trace, sequence *out)
{
    for (size_t row = 0; row < trace->kernel.head.count; row++) {
        out->key[out->count] = trace->kernel.name[row];
        out->time[out->count++] = trace->kernel.start_ns[row];
    }
}

/* A step frees most of what it makes; layers of one forward pile up. Looks at what was born before
 * the last period, whose end may be missing. */
static bool frees_most(const ps_recovery *self, ps_ns before)
{
    const ps_memory_table *memory = &self->trace->memory;
    uint64_t born = 0, freed = 0; /* in units small enough to add up */
    for (size_t b = 0; b < self->out->buffer_count; b++) {
        const ps_structure_buffer *buffer = &self->out->buffer[b];
        if (buffer->birth_row != PS_STRUCTURE_NONE && memory->time_ns[buffer->birth_row] < before) {
            const uint64_t size = self->plan->buffer.bytes[b] / 512 + 1;
            born += size;
            freed += buffer->death_row == PS_STRUCTURE_NONE ? 0 : size;
        }
    }
    return freed >= born - freed;
}

static ps_code cut_by_period(ps_recovery *self, const sequence *what, const char *how,
                             ps_error *err)
{
    ps_code code;
    const size_t period = ps__tail_period(what->key, what->count, err, &code);
    if (code != PS_OK || period == 0) {
        return code;
    }
    if (self->out->buffer_count > 0 && !frees_most(self, what->time[what->count - period])) {
        return PS_OK;
    }
    for (size_t at = what->count % period; at < what->count; at += period) {
        const bool is_last = at + period >= what->count;
        PS_TRY(add_numbered(self, what->time[at], is_last ? self->last_ns : what->time[at + period],
                            err));
    }
    return ps__recover_find(self, "steps", how, 600, err, "%zu steps of %zu events each",
                            self->out->step_count, period);
}

/* Phases are told, and there is but one forward: what repeats in it are layers. */
static bool has_one_forward(const ps_recovery *self)
{
    size_t forwards = 0;
    for (size_t i = 0; i < self->out->phase_count; i++) {
        forwards += self->out->phase[i].phase == PS_PHASE_FORWARD;
    }
    return self->has_phase_evidence && forwards < 2;
}

static ps_code steps_of_period(ps_recovery *self, ps_error *err)
{
    const ps_trace *trace = self->trace;
    if (has_one_forward(self)) {
        return PS_OK;
    }
    sequence what;
    ps_code code = make_sequence(trace->memory.head.count, &what, err);
    if (code == PS_OK) {
        read_allocations(trace, &what);
        code = cut_by_period(self, &what, "period of the allocations", err);
    }
    ps_free(what.key);
    ps_free(what.time);
    PS_TRY(code);
    if (self->out->step_count > 0) {
        return PS_OK;
    }
    code = make_sequence(trace->kernel.head.count, &what, err);
    if (code == PS_OK) {
        read_kernels(trace, &what);
        code = cut_by_period(self, &what, "period of the kernels", err);
    }
    ps_free(what.key);
    ps_free(what.time);
    return code;
}

ps_code ps__recover_steps(ps_recovery *self, ps_error *err)
{
    PS_TRY(steps_of_ranges(self, override_pattern(self), err));
    if (self->out->step_count == 0) {
        PS_TRY(steps_of_optimizer(self, err));
    }
    if (self->out->step_count == 0) {
        PS_TRY(steps_of_period(self, err));
    }
    if (self->out->step_count > 0) {
        return PS_OK;
    }
    /* what comes before the first forward that is known builds the model */
    PS_TRY(add_step(self, "recording", first_forward(self), self->last_ns, err));
    return ps__recover_find(self, "steps", "nothing tells them", 200, err,
                            "the whole recording is one step");
}
