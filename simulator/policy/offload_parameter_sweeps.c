/* SPDX-License-Identifier: MIT
 *
 * Changes of parameters in a job that has no backward pass (MeZO): sweeps over
 * all blocks before, between and behind forward passes.
 *
 *   add_  w0 b0 n0  w1 b1 n1  w2 b2 n2        w matrices, b and n vectors
 *   block 0: ------------>                    to the first matrix of the next block
 *   block 1:      ------------------->        from the last one of the block before
 *
 * Operators that change their first tensor ("aten::add_") tell its shape and not
 * which tensor it is. Matrices of a block's shapes, block after block, each
 * once, are a sweep; vectors are changed beside the matrices of their block, so
 * each block's use reaches to its neighbours' matrices, and over the vectors
 * before the first and behind the last of them. Any other order is refused: what
 * would be changed then is not known.
 */
#include <string.h>

#include "base/idmap.h"
#include "base/memory.h"
#include "policy/offload_parameter_parts.h"
#include "policy/shapes.h"

#define BEGINS_NOWHERE INT64_MIN

typedef struct sweep {
    ps_parameter_search *search;
    ps_idmap shapes;           /* of matrices of blocks */
    bool *is_done;             /* per parameter, in the sweep that is being read */
    ps_ns *first_ns, *last_ns; /* per block: first change of a matrix begins, last one ends */
    uint32_t block;            /* whose changes come now */
    size_t left;               /* of its matrices */
    size_t count;              /* sweeps found */
    ps_ns begin_ns;            /* of the first change since something else ran, or BEGINS_NOWHERE */
    size_t run;                /* the next forward pass */
    ps_ns next_run_ns;         /* when it begins */
} sweep;

/* ---- operators ---- */

static bool is_in_place(const char *name)
{
    const size_t bytes = strlen(name);
    return strncmp(name, "aten::", 6) == 0 && bytes > 7 && name[bytes - 1] == '_' &&
           name[bytes - 2] != '_';
}

/* What an operator changes: true where it changes its first tensor; *matrix is of that, or 0. */
static bool reads_change(const ps_trace *trace, size_t range, uint64_t *matrix)
{
    ps_shapes shapes;
    if (trace->range.category[range] != PS_RANGE_OPERATOR || trace->range.shapes[range] == 0 ||
        !is_in_place(ps_strings_text(trace->strings, trace->range.name[range]))) {
        return false;
    }
    ps__shapes_read(ps_strings_text(trace->strings, trace->range.shapes[range]), &shapes);
    *matrix =
        shapes.count > 0 && shapes.tensor[0].dim_count > 1 ? ps__shape_hash(&shapes.tensor[0]) : 0;
    return shapes.count > 0 && shapes.tensor[0].argument == 0;
}

/* ---- blocks ---- */

static size_t count_matrices(const ps_parameter_search *search, uint32_t block)
{
    const ps_offload_block *of = &search->out->block[block];
    size_t count = 0;
    for (size_t i = of->first; i < of->first + of->count; i++) {
        count += search->out->parameter[i].matrix != 0;
    }
    return count;
}

static ps_code note_shapes(sweep *self, ps_error *err)
{
    const ps_offload_parameters *out = self->search->out;
    for (size_t i = 0; i < out->parameter_count; i++) {
        if (out->parameter[i].matrix != 0) {
            PS_TRY(ps_idmap_put(&self->shapes, out->parameter[i].matrix, 1, err));
        }
    }
    return PS_OK;
}

static void enter_block(sweep *self, uint32_t block)
{
    self->block = block;
    while (self->block < self->search->out->block_count &&
           (self->left = count_matrices(self->search, self->block)) == 0) {
        self->block++;
    }
}

static void restart(sweep *self)
{
    self->begin_ns = BEGINS_NOWHERE;
    memset(self->is_done, 0, self->search->out->parameter_count * sizeof *self->is_done);
    enter_block(self, 0);
}

static bool has_begun(const sweep *self)
{
    return self->block > 0 || self->left != count_matrices(self->search, 0);
}

/* ---- a sweep that is complete ---- */

static ps_code add_uses(sweep *self, ps_ns end_ns, ps_error *err)
{
    ps_parameter_search *search = self->search;
    const uint32_t blocks = (uint32_t)search->out->block_count;
    for (uint32_t i = 0; i < blocks; i++) {
        const ps_offload_use use = {.block = i,
                                    .step =
                                        ps_structure_step_at(search->structure, self->first_ns[i]),
                                    .phase = PS_PHASE_FORWARD,
                                    .begin_ns = i > 0 ? self->last_ns[i - 1] : self->begin_ns,
                                    .end_ns = i + 1 < blocks ? self->first_ns[i + 1] : end_ns,
                                    .writes = true};
        PS_TRY(ps__offload_add_use(search, use, err));
    }
    self->count++;
    return PS_OK;
}

/* Vectors of the last block: the last ones before a forward pass, or before a matrix. */
static ps_ns end_of_vectors(const sweep *self, size_t range)
{
    const ps_trace *trace = self->search->trace;
    const ps_ns from_ns = trace->range.start_ns[range] + trace->range.dur_ns[range];
    ps_ns end_ns = from_ns;
    for (size_t i = range + 1;
         i < trace->range.head.count && trace->range.start_ns[i] < self->next_run_ns; i++) {
        uint64_t matrix;
        if (trace->range.start_ns[i] < end_ns || !reads_change(trace, i, &matrix)) {
            continue;
        }
        if (matrix != 0) {
            break;
        }
        end_ns = trace->range.start_ns[i] + trace->range.dur_ns[i];
    }
    return end_ns;
}

/* ---- all ---- */

static ps_code refuse(const sweep *self, size_t range, ps_error *err)
{
    const ps_trace *trace = self->search->trace;
    return ps_fail(err, PS_USAGE,
                   "%s changes a tensor of a parameter's shape outside of blocks, in an order that "
                   "is not that of blocks: nothing says which parameter it is",
                   ps_strings_text(trace->strings, trace->range.name[range]));
}

/* One change, of the sweep that is being read. */
static ps_code take(sweep *self, size_t range, uint64_t matrix, ps_error *err)
{
    const ps_trace *trace = self->search->trace;
    const ps_offload_parameters *out = self->search->out;
    const ps_offload_block *of = &out->block[self->block];
    const ps_ns start_ns = trace->range.start_ns[range];
    const ps_ns end_ns = start_ns + trace->range.dur_ns[range];
    for (size_t i = of->first; i < of->first + of->count; i++) {
        if (self->is_done[i] || out->parameter[i].matrix != matrix) {
            continue;
        }
        self->is_done[i] = true;
        if (self->left == count_matrices(self->search, self->block)) {
            self->first_ns[self->block] = start_ns;
        }
        self->last_ns[self->block] = end_ns;
        if (--self->left == 0) {
            enter_block(self, self->block + 1);
        }
        if (self->block == out->block_count) {
            PS_TRY(add_uses(self, end_of_vectors(self, range), err));
            restart(self);
        }
        return PS_OK;
    }
    return refuse(self, range, err);
}

/* Steps over forward passes that a moment is not before; true inside one. */
static bool skip_runs(sweep *self, ps_ns at_ns)
{
    const ps_parameter_search *search = self->search;
    const ps_structure_block *of = search->structure->block;
    while (self->run < search->run_count && of[search->run[self->run].row].end_ns <= at_ns) {
        self->run++;
        self->begin_ns = BEGINS_NOWHERE;
    }
    self->next_run_ns =
        self->run < search->run_count ? of[search->run[self->run].row].start_ns : INT64_MAX;
    return self->next_run_ns <= at_ns;
}

static ps_code read_operator(sweep *self, size_t range, ps_error *err)
{
    uint64_t matrix;
    if (!reads_change(self->search->trace, range, &matrix)) {
        return PS_OK;
    }
    if (self->begin_ns == BEGINS_NOWHERE) {
        self->begin_ns = self->search->trace->range.start_ns[range];
    }
    if (matrix == 0) {
        return PS_OK;
    }
    if (ps_idmap_get(&self->shapes, matrix) != PS_IDMAP_NONE) {
        return take(self, range, matrix, err);
    }
    if (!has_begun(self)) {
        self->begin_ns = BEGINS_NOWHERE; /* no block has it: those come behind it */
    }
    return PS_OK;
}

/* Outermost operators between runs, in order. */
static ps_code read_operators(sweep *self, ps_error *err)
{
    const ps_parameter_search *search = self->search;
    const ps_range_table *range = &search->trace->range;
    ps_ns covered_ns = INT64_MIN;
    for (size_t i = 0; i < range->head.count; i++) {
        const ps_ns start_ns = range->start_ns[i];
        if (range->category[i] == PS_RANGE_OPERATOR && start_ns >= covered_ns &&
            ps_structure_step_at(search->structure, start_ns) != PS_STRUCTURE_NONE &&
            !skip_runs(self, start_ns)) {
            covered_ns = start_ns + range->dur_ns[i];
            PS_TRY(read_operator(self, i, err));
        }
    }
    return has_begun(self)
               ? ps_fail(err, PS_USAGE,
                         "parameters of %u of %zu blocks are changed in place at the end of the "
                         "recording: a sweep over them is not complete",
                         self->block, search->out->block_count)
               : PS_OK;
}

static ps_code find(sweep *self, ps_error *err)
{
    ps_offload_parameters *out = self->search->out;
    if (self->is_done == NULL || self->first_ns == NULL || self->last_ns == NULL) {
        return ps_fail_nomem(err);
    }
    PS_TRY(note_shapes(self, err));
    restart(self);
    if (self->block == out->block_count) {
        return PS_OK; /* vectors alone: what changes them cannot be told from anything else */
    }
    PS_TRY(read_operators(self, err));
    for (size_t i = 0; i < out->parameter_count && self->count > 0; i++) {
        out->parameter[i].is_trained = true;
    }
    return PS_OK;
}

ps_code ps__offload_find_sweeps(ps_parameter_search *self, ps_error *err)
{
    const size_t blocks = self->out->block_count;
    sweep all = {.search = self,
                 .is_done = ps_calloc(self->out->parameter_count, sizeof *all.is_done),
                 .first_ns = ps_calloc(blocks, sizeof *all.first_ns),
                 .last_ns = ps_calloc(blocks, sizeof *all.last_ns)};
    ps_idmap_init(&all.shapes);
    const ps_code code = find(&all, err);
    ps_idmap_fini(&all.shapes);
    ps_free(all.is_done);
    ps_free(all.first_ns);
    ps_free(all.last_ns);
    return code;
}
