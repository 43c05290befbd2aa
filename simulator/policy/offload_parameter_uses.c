/* SPDX-License-Identifier: MIT
 *
 * When blocks' parameters are needed on the device, in the order of the
 * program, and where in the plan that is.
 */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "policy/offload_parameter_parts.h"

/* What launches nothing needs nothing. */
ps_code ps__offload_add_use(ps_parameter_search *self, ps_offload_use use, ps_error *err)
{
    ps_offload_parameters *out = self->out;
    if (ps__offload_launched_by(&self->stream, use.begin_ns) ==
        ps__offload_launched_by(&self->stream, use.end_ns)) {
        return PS_OK;
    }
    PS_TRY(ps_grow((void **)&out->use, &out->use_capacity, out->use_count + 1, PS_TABLE_MAX_ROWS,
                   sizeof *out->use, err));
    out->use[out->use_count++] = use;
    return PS_OK;
}

static bool has_any(const ps_offload_parameters *out, uint32_t block)
{
    for (size_t i = out->block[block].first; i < out->block[block].first + out->block[block].count;
         i++) {
        if (out->parameter[i].goes) {
            return true;
        }
    }
    return false;
}

/* Of a block, or of what it shares with others. */
static bool goes(const ps_offload_parameters *out, uint32_t user)
{
    for (uint32_t block = 0; block < out->block_count; block++) {
        if (ps__offload_block_is_of(out, block, user) && has_any(out, block)) {
            return true;
        }
    }
    return false;
}

/* ---- passes of blocks ---- */

static bool is_piece(const ps_structure *of, uint32_t row)
{
    return strcmp(ps_strings_text(of->strings, of->block[row].kind), PS_STRUCTURE_REPEATED) == 0;
}

/* Backward of a block that runs again in it lasts until the next one does, or backward ends. */
static ps_ns end_of_rerun(const ps_parameter_search *self, size_t run)
{
    const ps_structure *of = self->structure;
    const ps_offload_run *next = run + 1 < self->run_count ? &self->run[run + 1] : NULL;
    ps_ns end_ns = self->run[run].end_ns;
    for (size_t i = 0; i < of->phase_count; i++) {
        if (of->phase[i].start_ns > self->run[run].begin_ns &&
            of->phase[i].phase != PS_PHASE_BACKWARD) {
            end_ns = of->phase[i].start_ns;
            break;
        }
    }
    return next != NULL && next->begin_ns < end_ns ? next->begin_ns : end_ns;
}

/* The piece of backward that belongs to a run, or NONE. */
static uint32_t backward_piece(const ps_parameter_search *self, const ps_offload_run *run)
{
    const ps_structure *of = self->structure;
    for (uint32_t i = run->row + 1; i < of->block_count; i++) {
        if (of->block[i].pair == run->row + 1 && is_piece(of, i)) {
            return i;
        }
    }
    return PS_OFFLOAD_NONE;
}

static ps_code add_passes(ps_parameter_search *self, size_t row, bool by_sequence, ps_error *err)
{
    const ps_offload_run *run = &self->run[row];
    ps_offload_use use = {.block = run->block,
                          .step = run->step,
                          .phase = run->phase,
                          .begin_ns = run->begin_ns,
                          .end_ns = run->phase == PS_PHASE_BACKWARD && !by_sequence
                                        ? end_of_rerun(self, row)
                                        : run->end_ns};
    PS_TRY(ps__offload_add_use(self, use, err));
    use.phase = PS_PHASE_BACKWARD;
    if (by_sequence) {
        use.begin_ns = run->back_ns;
        use.end_ns = run->back_end_ns;
        return run->back_end_ns == 0 ? PS_OK : ps__offload_add_use(self, use, err);
    }
    const uint32_t piece = backward_piece(self, run);
    if (piece == PS_OFFLOAD_NONE) {
        return PS_OK;
    }
    use.begin_ns = self->structure->block[piece].start_ns;
    use.end_ns = self->structure->block[piece].may_end_ns;
    return ps__offload_add_use(self, use, err);
}

static bool runs_again(const ps_parameter_search *self, const ps_offload_run *of)
{
    for (size_t i = 0; i < self->run_count; i++) {
        if (self->run[i].step == of->step && self->run[i].block == of->block &&
            self->run[i].phase == PS_PHASE_BACKWARD) {
            return true;
        }
    }
    return false;
}

static bool has_backward(const ps_structure *of, uint32_t step)
{
    for (size_t i = 0; i < of->phase_count; i++) {
        if (of->phase[i].phase == PS_PHASE_BACKWARD &&
            ps_structure_step_at(of, of->phase[i].start_ns) == step) {
            return true;
        }
    }
    return false;
}

/* Where backward runs, it needs parameters: that of every run must be known, or told by numbers. */
static ps_code check_backward(const ps_parameter_search *self, bool by_sequence, ps_error *err)
{
    size_t runs = 0, unknown = 0;
    for (size_t i = 0; i < self->run_count && !by_sequence; i++) {
        const ps_offload_run *run = &self->run[i];
        if (run->phase == PS_PHASE_FORWARD && has_backward(self->structure, run->step)) {
            runs++;
            unknown += backward_piece(self, run) == PS_OFFLOAD_NONE && !runs_again(self, run);
        }
    }
    return unknown == 0
               ? PS_OK
               : ps_fail(err, PS_USAGE,
                         "of %zu of %zu forward passes of blocks the backward pass is not found: "
                         "neither autograd's sequence numbers nor what repeats tells it",
                         unknown, runs);
}

static ps_code find_passes(ps_parameter_search *self, ps_error *err)
{
    bool by_sequence = false;
    for (size_t i = 0; i < self->run_count; i++) {
        by_sequence = by_sequence || self->run[i].back_end_ns != 0;
    }
    PS_TRY(check_backward(self, by_sequence, err));
    for (size_t i = 0; i < self->run_count; i++) {
        if (goes(self->out, self->run[i].block)) {
            PS_TRY(add_passes(self, i, by_sequence, err));
        }
    }
    return PS_OK;
}

/* ---- the optimizer ---- */

static bool writes_any(const ps_offload_parameters *out)
{
    for (size_t i = 0; i < out->parameter_count; i++) {
        if (out->parameter[i].goes && out->parameter[i].is_trained) {
            return true;
        }
    }
    return false;
}

static ps_code find_updates(ps_parameter_search *self, ps_error *err)
{
    const ps_structure *of = self->structure;
    for (size_t i = 0; i < of->phase_count; i++) {
        const uint32_t step = ps_structure_step_at(of, of->phase[i].start_ns);
        if (of->phase[i].phase != PS_PHASE_OPTIMIZER || step == PS_STRUCTURE_NONE) {
            continue;
        }
        const ps_offload_use use = {.block = PS_OFFLOAD_EVERY_BLOCK,
                                    .step = step,
                                    .phase = PS_PHASE_OPTIMIZER,
                                    .begin_ns = of->phase[i].start_ns,
                                    .end_ns = i + 1 < of->phase_count ? of->phase[i + 1].start_ns
                                                                      : of->step[step].end_ns,
                                    .writes = true};
        PS_TRY(ps__offload_add_use(self, use, err));
    }
    return PS_OK;
}

/* ---- in order, with places ---- */

static int by_begin(const void *a, const void *b)
{
    const ps_offload_use *x = a, *y = b;
    if (x->begin_ns != y->begin_ns) {
        return x->begin_ns < y->begin_ns ? -1 : 1;
    }
    return x->block < y->block ? -1 : x->block > y->block ? 1 : 0;
}

static int by_moment(const void *a, const void *b)
{
    const ps_offload_moment *x = a, *y = b;
    if (x->at_ns != y->at_ns) {
        return x->at_ns < y->at_ns ? -1 : 1;
    }
    if (x->kind != y->kind) {
        return x->kind < y->kind ? -1 : 1;
    }
    return x->use < y->use ? -1 : x->use > y->use ? 1 : 0;
}

static ps_code add_moment(ps_parameter_search *self, ps_offload_moment_kind kind, size_t use,
                          ps_ns at_ns, ps_error *err)
{
    ps_offload_parameters *out = self->out;
    ps_offload_moment moment = {.kind = kind, .use = (uint32_t)use, .at_ns = at_ns};
    if (!ps__offload_any_place(&self->stream, at_ns, &moment.place)) {
        return ps_fail(err, PS_USAGE,
                       "the recording begins within a block: nothing comes before it that its "
                       "parameters could be brought beside");
    }
    PS_TRY(ps_grow((void **)&out->moment, &out->moment_capacity, out->moment_count + 1,
                   PS_TABLE_MAX_ROWS, sizeof *out->moment, err));
    out->moment[out->moment_count++] = moment;
    return PS_OK;
}

/* Parameters are brought ahead when those of the use before have gone: their memory is free then. */
static ps_code find_moments(ps_parameter_search *self, ps_error *err)
{
    const ps_offload_parameters *out = self->out;
    for (size_t i = 0; i < out->use_count; i++) {
        const ps_offload_use *use = &out->use[i];
        const ps_ns earlier_ns = i > 0 ? out->use[i - 1].end_ns : INT64_MIN;
        PS_TRY(add_moment(self, PS_OFFLOAD_USE_BEGINS, i, use->begin_ns, err));
        PS_TRY(add_moment(self, PS_OFFLOAD_USE_ENDS, i, use->end_ns, err));
        PS_TRY(add_moment(self, PS_OFFLOAD_AHEAD, i,
                          earlier_ns > use->begin_ns ? earlier_ns : use->begin_ns, err));
    }
    qsort(out->moment, out->moment_count, sizeof *out->moment, by_moment);
    return PS_OK;
}

/* Uses that were found before it was known what goes. */
static void keep_what_goes(ps_offload_parameters *out)
{
    size_t kept = 0;
    for (size_t i = 0; i < out->use_count; i++) {
        if (goes(out, out->use[i].block)) {
            out->use[kept++] = out->use[i];
        }
    }
    out->use_count = kept;
}

ps_code ps__offload_find_uses(ps_parameter_search *self, ps_error *err)
{
    keep_what_goes(self->out);
    PS_TRY(find_passes(self, err));
    if (writes_any(self->out) && ps__offload_has_phase(self->structure, PS_PHASE_BACKWARD)) {
        PS_TRY(find_updates(self, err));
    }
    qsort(self->out->use, self->out->use_count, sizeof *self->out->use, by_begin);
    return find_moments(self, err);
}
