/* SPDX-License-Identifier: MIT
 *
 * Moments at which a phase is known to begin.
 *
 * Ranges that tell a phase give their start; the end of an optimizer step is
 * the start of the next forward. Allocations whose frames tell a phase give
 * their moment. Both lists are put together in time and equal neighbours
 * become one.
 */
#include <string.h>

#include "base/memory.h"
#include "workload/recover/recover_parts.h"

static ps_code add_mark(ps_recovery *self, ps_ns at, ps_phase phase, ps_error *err)
{
    ps_structure *out = self->out;
    PS_TRY(ps_grow((void **)&out->phase, &out->phase_capacity, out->phase_count + 1,
                   PS_STRUCTURE_MAX, sizeof *out->phase, err));
    out->phase[out->phase_count++] = (ps_structure_phase){.start_ns = at, .phase = phase};
    return PS_OK;
}

static ps_code mark_ranges(ps_recovery *self, size_t *count, ps_error *err)
{
    const ps_range_table *range = &self->trace->range;
    for (size_t i = 0; i < range->head.count; i++) {
        ps_phase phase = PS_PHASE_UNKNOWN;
        if (!ps__recover_range_phase(self, i, &phase)) {
            continue;
        }
        PS_TRY(add_mark(self, range->start_ns[i], phase, err));
        if (phase == PS_PHASE_OPTIMIZER) {
            PS_TRY(add_mark(self, range->start_ns[i] + range->dur_ns[i], PS_PHASE_FORWARD, err));
        }
        (*count)++;
    }
    return PS_OK;
}

static ps_code mark_stacks(ps_recovery *self, size_t *count, ps_error *err)
{
    const ps_memory_table *memory = &self->trace->memory;
    for (size_t row = 0; row < memory->head.count; row++) {
        ps_phase phase = PS_PHASE_UNKNOWN;
        if (memory->action[row] == PS_ACTION_ALLOC && memory->stack[row] != 0 &&
            ps__recover_stack_phase(ps__recover_text(self, memory->stack[row]), &phase)) {
            PS_TRY(add_mark(self, memory->time_ns[row], phase, err));
            (*count)++;
        }
    }
    return PS_OK;
}

/* By time; of equal times the order in which they were found, which is that of their rows. */
static int by_time(const void *a, const void *b)
{
    const ps_structure_phase *x = a, *y = b;
    return (x->start_ns > y->start_ns) - (x->start_ns < y->start_ns);
}

/* A stable sort: qsort of equal moments depends on the C library. */
static ps_code sort_marks(ps_structure *out, ps_error *err)
{
    ps_structure_phase *other = ps_calloc(out->phase_count + 1, sizeof *other);
    if (other == NULL) {
        return ps_fail_nomem(err);
    }
    for (size_t width = 1; width < out->phase_count; width *= 2) {
        for (size_t at = 0; at < out->phase_count; at += 2 * width) {
            const size_t middle = at + width < out->phase_count ? at + width : out->phase_count;
            const size_t end =
                at + 2 * width < out->phase_count ? at + 2 * width : out->phase_count;
            size_t a = at, b = middle;
            for (size_t i = at; i < end; i++) {
                const bool take_a =
                    a < middle && (b >= end || by_time(&out->phase[a], &out->phase[b]) <= 0);
                other[i] = out->phase[take_a ? a++ : b++];
            }
        }
        memcpy(out->phase, other, out->phase_count * sizeof *other);
    }
    ps_free(other);
    return PS_OK;
}

static void join_equal(ps_structure *out)
{
    size_t kept = 0;
    for (size_t i = 0; i < out->phase_count; i++) {
        if (kept == 0 || out->phase[kept - 1].phase != out->phase[i].phase) {
            out->phase[kept++] = out->phase[i];
        }
    }
    out->phase_count = kept;
}

/* One span is of one phase, whatever the marks inside it say. */
static ps_code override_span(ps_recovery *self, const ps_override *row, ps_error *err)
{
    ps_structure *out = self->out;
    const ps_ns start = self->first_ns + row->start_ns, end = self->first_ns + row->end_ns;
    const ps_phase after = ps_structure_phase_at(out, end);
    size_t kept = 0;
    for (size_t i = 0; i < out->phase_count; i++) {
        if (out->phase[i].start_ns < start || out->phase[i].start_ns > end) {
            out->phase[kept++] = out->phase[i];
        }
    }
    out->phase_count = kept;
    PS_TRY(add_mark(self, start, row->phase, err));
    PS_TRY(add_mark(self, end, after, err));
    return sort_marks(out, err);
}

static ps_code override_spans(ps_recovery *self, ps_error *err)
{
    for (size_t i = 0; i < self->overrides->count; i++) {
        const ps_override *row = &self->overrides->row[i];
        if (row->what == PS_OVERRIDE_PHASE && row->by == PS_OVERRIDE_BY_TIME) {
            PS_TRY(override_span(self, row, err));
        }
    }
    join_equal(self->out);
    return PS_OK;
}

/* Profilers that record operators record those of autograd too. */
static bool has_operators(const ps_trace *trace)
{
    for (size_t i = 0; i < trace->range.head.count; i++) {
        if (trace->range.category[i] == PS_RANGE_OPERATOR) {
            return true;
        }
    }
    return false;
}

ps_code ps__recover_marks(ps_recovery *self, ps_error *err)
{
    size_t ranges = 0, stacks = 0;
    PS_TRY(mark_ranges(self, &ranges, err));
    PS_TRY(mark_stacks(self, &stacks, err));
    PS_TRY(sort_marks(self->out, err));
    join_equal(self->out);
    PS_TRY(override_spans(self, err));
    self->has_phase_evidence = ranges + stacks > 0 || self->out->phase_count > 0;
    self->tells_backward = stacks > 0 || has_operators(self->trace);
    if (ranges > 0) {
        PS_TRY(ps__recover_find(self, "phases", "annotations and operators", 950, err,
                                "%zu ranges tell a phase by their name", ranges));
    }
    if (stacks > 0) {
        PS_TRY(ps__recover_find(self, "phases", "stack frames", 850, err,
                                "%zu allocations tell a phase by their frames", stacks));
    }
    return PS_OK;
}
