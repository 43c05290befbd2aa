/* SPDX-License-Identifier: MIT
 *
 * Parameters of blocks by what operators were given.
 *
 * A weight belongs to the block in whose forward pass an operator takes it as
 * such (linear, addmm, convolutions, normalisations, embeddings). Its sizes are
 * the recorded ones. Backward uses it where operators of backward carry the
 * autograd sequence number of that operator, or of what it calls.
 */
#include <inttypes.h>

#include "base/memory.h"
#include "policy/offload_parameter_parts.h"
#include "policy/shapes.h"

size_t ps__offload_first_range(const ps_trace *trace, ps_ns at_ns)
{
    size_t low = 0, high = trace->range.head.count;
    while (low < high) {
        const size_t mid = low + (high - low) / 2;
        if (trace->range.start_ns[mid] < at_ns) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low;
}

static ps_ns end_of(const ps_trace *trace, size_t range)
{
    return trace->range.start_ns[range] + trace->range.dur_ns[range];
}

/* ---- one operator ---- */

typedef struct weights {
    uint64_t bytes[PS_SHAPE_TENSORS], matrix[PS_SHAPE_TENSORS];
    size_t count;
} weights;

static void read_weights(const ps_trace *trace, size_t range, weights *out)
{
    ps_shapes shapes;
    out->count = 0;
    if (trace->range.category[range] != PS_RANGE_OPERATOR || trace->range.shapes[range] == 0) {
        return;
    }
    const char *name = ps_strings_text(trace->strings, trace->range.name[range]);
    ps__shapes_read(ps_strings_text(trace->strings, trace->range.shapes[range]), &shapes);
    for (uint32_t i = 0; i < shapes.count; i++) {
        const ps_shape *tensor = &shapes.tensor[i];
        uint64_t bytes;
        if (ps__is_weight(name, tensor->argument) &&
            ps_mul_u64(ps__shape_elements(tensor), tensor->element_bytes, &bytes) && bytes > 0) {
            out->matrix[out->count] = tensor->dim_count > 1 ? ps__shape_hash(tensor) : 0;
            out->bytes[out->count++] = bytes;
        }
    }
}

/* ---- one run ---- */

typedef struct reader {
    ps_parameter_search *search;
    uint32_t run;  /* being read */
    bool is_first; /* of its block */
    size_t seen;   /* weights of it */
} reader;

static ps_code check_weight(const reader *self, uint64_t bytes, ps_error *err)
{
    const ps_parameter_search *search = self->search;
    const ps_offload_run *run = &search->run[self->run];
    const ps_offload_block *block = &search->out->block[run->block];
    if (self->seen < block->count &&
        search->out->parameter[block->first + self->seen].bytes == bytes) {
        return PS_OK;
    }
    return ps_fail(
        err, PS_USAGE,
        "\"%s\" works in step %u on other parameters than in step 0 (the %zuth has %" PRIu64
        " bytes): blocks that change are not streamed",
        ps_strings_text(search->structure->strings, block->name), run->step, self->seen + 1, bytes);
}

static ps_code note_weights(reader *self, const weights *found, ps_error *err)
{
    ps_parameter_search *search = self->search;
    const ps_offload_run *run = &search->run[self->run];
    for (size_t i = 0; i < found->count; i++) {
        if (self->is_first) {
            const ps_block_parameter what = {
                .bytes = found->bytes[i], .matrix = found->matrix[i], .buffer = PS_OFFLOAD_NONE};
            PS_TRY(ps__offload_add_parameter(search, run->block, what, err));
        } else if (run->phase == PS_PHASE_FORWARD) {
            PS_TRY(check_weight(self, found->bytes[i], err));
        }
        self->seen++;
    }
    return PS_OK;
}

/* Sequence numbers of an operator and of what it calls. */
static ps_code note_sequences(reader *self, size_t range, ps_error *err)
{
    const ps_trace *trace = self->search->trace;
    const ps_ns end = end_of(trace, range);
    for (size_t i = range; i < trace->range.head.count && trace->range.start_ns[i] < end; i++) {
        if (trace->range.category[i] == PS_RANGE_OPERATOR && trace->range.sequence[i] > 0) {
            PS_TRY(ps_idmap_put(&self->search->run_of_sequence, (uint64_t)trace->range.sequence[i],
                                self->run, err));
        }
    }
    return PS_OK;
}

/* Operators inside others that have been read have the same weights again. */
static ps_code read_run(reader *self, ps_error *err)
{
    const ps_trace *trace = self->search->trace;
    ps_offload_run *run = &self->search->run[self->run];
    const ps_structure_block *of = &self->search->structure->block[run->row];
    ps_ns covered = of->start_ns;
    self->seen = 0;
    self->is_first = self->search->out->block[run->block].count == 0;
    for (size_t i = ps__offload_first_range(trace, of->start_ns);
         i < trace->range.head.count && trace->range.start_ns[i] < of->end_ns; i++) {
        weights found;
        if (trace->range.start_ns[i] < covered) {
            continue;
        }
        read_weights(trace, i, &found);
        if (found.count > 0) {
            run->begin_ns = self->seen == 0 ? trace->range.start_ns[i] : run->begin_ns;
            covered = end_of(trace, i);
            run->end_ns = covered;
            PS_TRY(note_weights(self, &found, err));
            PS_TRY(note_sequences(self, i, err));
        }
    }
    return PS_OK;
}

/* ---- backward ---- */

/* What a sequence number joins to a run, and begins behind it. */
static void note_backward(reader *self)
{
    const ps_trace *trace = self->search->trace;
    for (size_t i = 0; i < trace->range.head.count; i++) {
        const uint32_t at =
            trace->range.sequence[i] > 0
                ? ps_idmap_get(&self->search->run_of_sequence, (uint64_t)trace->range.sequence[i])
                : PS_IDMAP_NONE;
        if (at == PS_IDMAP_NONE || trace->range.category[i] != PS_RANGE_OPERATOR) {
            continue;
        }
        ps_offload_run *run = &self->search->run[at];
        const ps_ns start = trace->range.start_ns[i], end = end_of(trace, i);
        if (start < run->end_ns ||
            ps_structure_step_at(self->search->structure, start) != run->step ||
            ps_structure_phase_at(self->search->structure, start) != PS_PHASE_BACKWARD) {
            continue;
        }
        run->back_ns = run->back_end_ns == 0 ? start : run->back_ns;
        run->back_end_ns = end > run->back_end_ns ? end : run->back_end_ns;
    }
}

/* ---- all ---- */

static ps_code read_runs(reader *self, ps_error *err)
{
    ps_parameter_search *search = self->search;
    for (uint32_t i = 0; i < search->run_count; i++) {
        self->run = i;
        PS_TRY(read_run(self, err));
        const ps_offload_block *block = &search->out->block[search->run[i].block];
        if (search->run[i].phase == PS_PHASE_FORWARD && self->seen != block->count) {
            return ps_fail(
                err, PS_USAGE,
                "\"%s\" works in step %u on %zu parameters, and in step 0 on %zu: blocks "
                "that change are not streamed",
                ps_strings_text(search->structure->strings, block->name), search->run[i].step,
                self->seen, block->count);
        }
    }
    note_backward(self);
    return PS_OK;
}

ps_code ps__offload_weights_of_shapes(ps_parameter_search *self, bool *has_any, ps_error *err)
{
    reader all = {.search = self};
    const ps_code code = read_runs(&all, err);
    *has_any = self->out->parameter_count > 0;
    self->out->how = "shapes of operators";
    return code;
}
