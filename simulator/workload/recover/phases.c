/* SPDX-License-Identifier: MIT
 *
 * Phases of every step.
 *
 * What the marks leave open is closed here: a step begins with its forward;
 * where nothing tells the backward, the step's memory does: what the step makes
 * and frees again rises while it is kept and falls while it is used up, so its
 * highest moment before the optimizer divides the two. A step that keeps more
 * than it frees has no backward.
 */
#include "base/memory.h"
#include "workload/recover/recover_parts.h"

typedef struct step_marks {
    bool has_forward, has_backward, has_optimizer;
    ps_ns optimizer_ns; /* start of the first; the step's end when there is none */
} step_marks;

static step_marks marks_of_step(const ps_structure *out, const ps_structure_step *step)
{
    step_marks marks = {.optimizer_ns = step->end_ns};
    for (size_t i = 0; i < out->phase_count; i++) {
        const ps_ns at = out->phase[i].start_ns;
        if (at < step->start_ns || at >= step->end_ns) {
            continue;
        }
        marks.has_forward = marks.has_forward || out->phase[i].phase == PS_PHASE_FORWARD;
        marks.has_backward = marks.has_backward || out->phase[i].phase == PS_PHASE_BACKWARD;
        if (out->phase[i].phase == PS_PHASE_OPTIMIZER && !marks.has_optimizer) {
            marks.has_optimizer = true;
            marks.optimizer_ns = at;
        }
    }
    return marks;
}

/* What the step keeps and uses up again. */
typedef struct swing {
    uint64_t used_up;    /* highest sum of buffers born in the span that die in it */
    uint64_t kept_bytes; /* born in the span and alive behind it */
    ps_ns peak_ns;       /* just behind the moment of that highest sum */
} swing;

/* A buffer's part in the span, if it is born there. */
static bool is_born(const ps_recovery *self, size_t b, ps_ns start, ps_ns end)
{
    const uint32_t row = self->out->buffer[b].birth_row;
    return row != PS_STRUCTURE_NONE && self->trace->memory.time_ns[row] >= start &&
           self->trace->memory.time_ns[row] < end;
}

static bool dies(const ps_recovery *self, size_t b, ps_ns end)
{
    const uint32_t row = self->out->buffer[b].death_row;
    return row != PS_STRUCTURE_NONE && self->trace->memory.time_ns[row] < end;
}

/* Signed changes by row: the rows' own order is that of the program. */
static void find_peak(const ps_recovery *self, const int64_t *change, swing *out)
{
    const ps_memory_table *memory = &self->trace->memory;
    int64_t live = 0, highest = 0;
    for (size_t row = 0; row < memory->head.count; row++) {
        live += change[row];
        if (live > highest) {
            highest = live;
            out->peak_ns = memory->time_ns[row] + 1;
        }
    }
    out->used_up = (uint64_t)highest;
}

static ps_code find_swing(const ps_recovery *self, ps_ns start, ps_ns end, bool may_build,
                          swing *out, ps_error *err)
{
    int64_t *change = ps_calloc(self->trace->memory.head.count + 1, sizeof *change);
    if (change == NULL) {
        return ps_fail_nomem(err);
    }
    *out = (swing){.peak_ns = end};
    for (size_t b = 0; b < self->out->buffer_count; b++) {
        const ps_structure_buffer *buffer = &self->out->buffer[b];
        const uint64_t bytes = self->plan->buffer.bytes[b];
        if (!is_born(self, b, start, end)) {
            continue;
        }
        if (dies(self, b, end)) {
            change[buffer->birth_row] += (int64_t)bytes;
            change[buffer->death_row] -= (int64_t)bytes;
        } else if (!may_build || buffer->death_row != PS_STRUCTURE_NONE) {
            out->kept_bytes += bytes;
        }
    }
    find_peak(self, change, out);
    ps_free(change);
    return PS_OK;
}

static ps_code insert_mark(ps_structure *out, ps_ns at, ps_phase phase, ps_error *err)
{
    PS_TRY(ps_grow((void **)&out->phase, &out->phase_capacity, out->phase_count + 1,
                   PS_STRUCTURE_MAX, sizeof *out->phase, err));
    size_t row = out->phase_count;
    while (row > 0 && out->phase[row - 1].start_ns > at) {
        out->phase[row] = out->phase[row - 1];
        row--;
    }
    out->phase[row] = (ps_structure_phase){.start_ns = at, .phase = phase};
    out->phase_count++;
    return PS_OK;
}

typedef struct phase_counts {
    size_t by_memory, forward_only, assumed_starts;
} phase_counts;

static ps_code close_step(ps_recovery *self, const ps_structure_step *step, phase_counts *counts,
                          ps_error *err)
{
    const step_marks marks = marks_of_step(self->out, step);
    if (ps_structure_phase_at(self->out, step->start_ns) != PS_PHASE_FORWARD) {
        PS_TRY(insert_mark(self->out, step->start_ns, PS_PHASE_FORWARD, err));
        counts->assumed_starts++;
    }
    if (marks.has_backward || self->tells_backward) {
        counts->forward_only += !marks.has_backward && !marks.has_optimizer;
        return PS_OK;
    }
    /* the model is built in what counts as the first step: what is never freed is of the model */
    const bool may_build =
        step == self->out->step && step->start_ns <= self->first_ns && self->out->step_count > 1;
    swing memory = {0};
    PS_TRY(find_swing(self, step->start_ns, marks.optimizer_ns, may_build, &memory, err));
    if (memory.used_up > 0 && memory.used_up >= memory.kept_bytes) {
        PS_TRY(insert_mark(self->out, memory.peak_ns, PS_PHASE_BACKWARD, err));
        counts->by_memory++;
    } else if (!marks.has_optimizer) {
        counts->forward_only++;
    }
    return PS_OK;
}

ps_code ps__recover_phases(ps_recovery *self, ps_error *err)
{
    phase_counts counts = {0};
    for (size_t i = 0; i < self->out->step_count; i++) {
        PS_TRY(close_step(self, &self->out->step[i], &counts, err));
    }
    if (counts.by_memory > 0) {
        PS_TRY(ps__recover_find(self, "phases", "rise and fall of memory", 400, err,
                                "in %zu steps the highest moment divides forward and backward",
                                counts.by_memory));
    }
    if (counts.forward_only > 0) {
        PS_TRY(ps__recover_find(self, "phases", "nothing ends the forward",
                                self->has_phase_evidence ? 600 : 300, err,
                                "%zu steps have a forward only", counts.forward_only));
    }
    return PS_OK;
}
