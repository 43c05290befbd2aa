/* SPDX-License-Identifier: MIT
 *
 * Blocks by repetition: the longest run of equal pieces of a phase's allocations
 * (kernels, where no allocation was recorded) is cut into its pieces; so is the
 * backward pass of modules, where no operators tell it, if as many pieces come
 * out as modules ran.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "workload/recover/block_parts.h"

/* Pieces shorter than this repeat by chance. */
#define LEAST_PIECE 3u

/* No layer does more than this; bounds the search. */
#define LONGEST_PIECE 2048u

/* ---- by repetition ---- */

/* What one phase of one step did, in order. */
typedef struct piece_list {
    uint64_t *key;
    ps_ns *time;
    size_t count;
} piece_list;

/* How a sequence is read from the trace. */
typedef void (*piece_reader)(const ps_recovery *self, uint32_t step, ps_phase phase,
                             piece_list *out);

/* What a buffer is recognised by: the frames, else the operator that allocated it. */
static uint64_t maker_key(const ps_recovery *self, size_t b, uint32_t row)
{
    const ps_str stack = self->trace->memory.stack[row];
    return stack != 0 ? stack : self->plan->buffer.label[b];
}

static void read_requests(const ps_recovery *self, uint32_t step, ps_phase phase, bool by_size,
                          piece_list *out)
{
    const ps_memory_table *memory = &self->trace->memory;
    for (size_t b = 0; b < self->out->buffer_count; b++) {
        const uint32_t row = self->out->buffer[b].birth_row;
        const bool is_of_model =
            self->out->step_count > 1 && self->out->buffer[b].death_row == PS_STRUCTURE_NONE;
        if (row == PS_STRUCTURE_NONE || is_of_model || self->plan->buffer.device[b] != 0 ||
            ps_structure_step_at(self->out, memory->time_ns[row]) != step ||
            ps_structure_phase_at(self->out, memory->time_ns[row]) != phase) {
            continue;
        }
        out->key[out->count] = by_size ? memory->bytes[row] : maker_key(self, b, row);
        out->time[out->count++] = memory->time_ns[row];
    }
}

static void read_makers(const ps_recovery *self, uint32_t step, ps_phase phase, piece_list *out)
{
    read_requests(self, step, phase, false, out);
}

static void read_sizes(const ps_recovery *self, uint32_t step, ps_phase phase, piece_list *out)
{
    read_requests(self, step, phase, true, out);
}

static void read_kernels(const ps_recovery *self, uint32_t step, ps_phase phase, piece_list *out)
{
    const ps_kernel_table *kernel = &self->trace->kernel;
    for (size_t row = 0; row < kernel->head.count; row++) {
        if (ps_structure_step_at(self->out, kernel->start_ns[row]) == step &&
            ps_structure_phase_at(self->out, kernel->start_ns[row]) == phase) {
            out->key[out->count] = kernel->name[row];
            out->time[out->count++] = kernel->start_ns[row];
        }
    }
}

/* Operators inside no other, in order: rows of the range table. */
typedef struct outer_list {
    uint32_t *row;
    size_t count;
} outer_list;

static ps_code list_outer(const ps_range_table *range, outer_list *out, ps_error *err)
{
    ps_ns covered = INT64_MIN;
    out->row = ps_calloc(range->head.count + 1, sizeof *out->row);
    if (out->row == NULL) {
        return ps_fail_nomem(err);
    }
    for (size_t i = 0; i < range->head.count; i++) {
        const ps_ns end = range->start_ns[i] + range->dur_ns[i];
        if (range->category[i] == PS_RANGE_OPERATOR && range->start_ns[i] >= covered) {
            out->row[out->count++] = (uint32_t)i;
            covered = end;
        }
    }
    return PS_OK;
}

/* A piece begins with the operator that makes its first request, not in the middle of it. */
static ps_ns begin_of(const ps_range_table *range, const outer_list *outer, ps_ns at)
{
    size_t low = 0, high = outer->count;
    while (low < high) {
        const size_t mid = low + (high - low) / 2;
        if (range->start_ns[outer->row[mid]] <= at) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    if (low == 0) {
        return at;
    }
    const uint32_t row = outer->row[low - 1];
    return range->start_ns[row] + range->dur_ns[row] > at ? range->start_ns[row] : at;
}

/* When a piece has begun that this key is the first of, or the sequence has ended. */
static ps_ns cut_at(const ps_range_table *range, const outer_list *outer, const piece_list *list,
                    size_t key)
{
    return key < list->count ? begin_of(range, outer, list->time[key])
                             : list->time[list->count - 1] + 1;
}

static ps_code add_pieces(ps_recovery *self, const outer_list *outer, const piece_list *list,
                          const ps_repeat *repeat, uint32_t step, ps_phase phase, ps_error *err)
{
    const ps_range_table *range = &self->trace->range;
    for (size_t i = 0; i < repeat->count; i++) {
        const size_t first = repeat->start + i * repeat->period;
        const size_t end = first + repeat->period;
        char name[48];
        const ps_structure_block block = {
            .start_ns = begin_of(range, outer, list->time[first]),
            .end_ns = cut_at(range, outer, list, end),
            .may_end_ns = cut_at(range, outer, list, end + repeat->rest),
            .phase = phase,
            .step = step,
        };
        (void)snprintf(name, sizeof name, "block %zu", i);
        PS_TRY(ps__block_add(self, &block, name, PS_STRUCTURE_REPEATED, err));
    }
    return PS_OK;
}

/* What is cut, and into how many pieces; 0: as many as there are. */
typedef struct cutting {
    piece_reader read;
    uint32_t step;
    ps_phase phase;
    size_t wanted;
} cutting;

static ps_repeat find_pieces(const piece_list *list, size_t wanted)
{
    const size_t longest = wanted == 0 ? LONGEST_PIECE : list->count / wanted;
    const ps_repeat repeat = ps__longest_repeat(list->key, list->count, LEAST_PIECE,
                                                longest < LONGEST_PIECE ? longest : LONGEST_PIECE);
    return wanted == 0 || repeat.count == wanted ? repeat : (ps_repeat){0};
}

static ps_code cut_phase(ps_recovery *self, const outer_list *outer, cutting what, size_t *pieces,
                         ps_error *err)
{
    const size_t capacity = self->trace->memory.head.count + self->trace->kernel.head.count;
    piece_list list = {.key = ps_calloc(capacity + 1, sizeof *list.key),
                       .time = ps_calloc(capacity + 1, sizeof *list.time)};
    ps_code code = list.key == NULL || list.time == NULL ? ps_fail_nomem(err) : PS_OK;
    if (code == PS_OK) {
        what.read(self, what.step, what.phase, &list);
        const ps_repeat repeat = find_pieces(&list, what.wanted);
        if (repeat.count > 0) {
            code = add_pieces(self, outer, &list, &repeat, what.step, what.phase, err);
            *pieces += repeat.count;
        }
    }
    ps_free(list.key);
    ps_free(list.time);
    return code;
}

/* Steps beyond these are alike: the search is for the structure, not for a census. */
#define STEPS_CUT 8u

static const struct {
    piece_reader read;
    const char *how;
} ways[] = {
    {read_makers, "repeated allocations"},
    {read_sizes, "repeated sizes of allocations"},
    {read_kernels, "repeated kernels"},
};

static ps_code try_ways(ps_recovery *self, const outer_list *outer, ps_error *err)
{
    const size_t steps = self->out->step_count < STEPS_CUT ? self->out->step_count : STEPS_CUT;
    for (size_t way = 0; way < sizeof ways / sizeof ways[0]; way++) {
        size_t pieces = 0;
        for (uint32_t step = 0; step < steps; step++) {
            cutting what = {.read = ways[way].read, .step = step, .phase = PS_PHASE_FORWARD};
            PS_TRY(cut_phase(self, outer, what, &pieces, err));
            what.phase = PS_PHASE_BACKWARD;
            PS_TRY(cut_phase(self, outer, what, &pieces, err));
        }
        if (pieces > 0) {
            return ps__recover_find(self, "blocks", ways[way].how, 600, err,
                                    "%zu pieces in %zu steps", pieces, steps);
        }
    }
    return ps__recover_find(self, "blocks", "nothing repeats", 200, err, "no blocks");
}

ps_code ps__blocks_of_repetition(ps_recovery *self, ps_error *err)
{
    outer_list outer = {0};
    ps_code code = list_outer(&self->trace->range, &outer, err);
    if (code == PS_OK) {
        code = try_ways(self, &outer, err);
    }
    ps_free(outer.row);
    return code;
}

/* ---- backward of modules ---- */

/* Module ranges are of forward passes. Where autograd's operators tell backward, or modules run
 * again in it, nothing has to be found. */
static bool lacks_backward(const ps_recovery *self)
{
    for (size_t i = 0; i < self->trace->range.head.count; i++) {
        if (self->trace->range.sequence[i] > 0) {
            return false;
        }
    }
    for (size_t i = 0; i < self->out->block_count; i++) {
        if (self->out->block[i].phase == PS_PHASE_BACKWARD) {
            return false;
        }
    }
    return self->out->block_count > 0;
}

static size_t forward_blocks(const ps_structure *of, uint32_t step)
{
    size_t count = 0;
    for (size_t i = 0; i < of->block_count; i++) {
        count += of->block[i].step == step && of->block[i].phase == PS_PHASE_FORWARD;
    }
    return count;
}

static int by_start(const void *a, const void *b)
{
    const ps_structure_block *x = a, *y = b;
    if (x->start_ns != y->start_ns) {
        return x->start_ns < y->start_ns ? -1 : 1;
    }
    return x->end_ns < y->end_ns ? -1 : x->end_ns > y->end_ns ? 1 : 0;
}

/* As many equal pieces as blocks ran forward, in every step, or none at all. */
static ps_code cut_backward(ps_recovery *self, const outer_list *outer, ps_error *err)
{
    ps_structure *out = self->out;
    const size_t modules = out->block_count;
    for (size_t way = 0; way < sizeof ways / sizeof ways[0]; way++) {
        size_t pieces = 0, wanted = 0;
        for (uint32_t step = 0; step < out->step_count && pieces == wanted; step++) {
            const cutting what = {.read = ways[way].read,
                                  .step = step,
                                  .phase = PS_PHASE_BACKWARD,
                                  .wanted = forward_blocks(out, step)};
            wanted += what.wanted;
            PS_TRY(what.wanted < 2 ? PS_OK : cut_phase(self, outer, what, &pieces, err));
        }
        if (pieces > 0 && pieces == wanted) {
            qsort(out->block, out->block_count, sizeof *out->block, by_start);
            return PS_OK;
        }
        out->block_count = modules;
    }
    return PS_OK;
}

ps_code ps__blocks_of_backward(ps_recovery *self, ps_error *err)
{
    outer_list outer = {0};
    if (!lacks_backward(self)) {
        return PS_OK;
    }
    ps_code code = list_outer(&self->trace->range, &outer, err);
    if (code == PS_OK) {
        code = cut_backward(self, &outer, err);
    }
    ps_free(outer.row);
    return code;
}
