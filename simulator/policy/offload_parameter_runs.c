/* SPDX-License-Identifier: MIT
 *
 * Forward passes of a recorded job's blocks: which of them are of the same
 * block in other steps, in other micro-batches, and recomputed in backward.
 */
#include <string.h>

#include "base/idmap.h"
#include "base/memory.h"
#include "policy/offload_parameter_parts.h"

/* A piece of backward that was cut by itself; modules that run in that phase run forward again. */
static bool is_backward_piece(const ps_structure *of, size_t row)
{
    return of->block[row].phase == PS_PHASE_BACKWARD &&
           strcmp(ps_strings_text(of->strings, of->block[row].kind), PS_STRUCTURE_REPEATED) == 0;
}

static ps_code add_block(ps_parameter_search *self, ps_str name, ps_error *err)
{
    ps_offload_parameters *out = self->out;
    PS_TRY(ps_grow((void **)&out->block, &out->block_capacity, out->block_count + 1,
                   PS_TABLE_MAX_ROWS, sizeof *out->block, err));
    out->block[out->block_count++] = (ps_offload_block){.name = name};
    return PS_OK;
}

static ps_code add_run(ps_parameter_search *self, uint32_t block, uint32_t row, ps_error *err)
{
    const ps_structure_block *from = &self->structure->block[row];
    PS_TRY(ps_grow((void **)&self->run, &self->run_capacity, self->run_count + 1, PS_TABLE_MAX_ROWS,
                   sizeof *self->run, err));
    self->run[self->run_count++] = (ps_offload_run){.block = block,
                                                    .step = from->step,
                                                    .row = row,
                                                    .phase = from->phase,
                                                    .begin_ns = from->start_ns,
                                                    .end_ns = from->may_end_ns};
    return PS_OK;
}

/* Blocks are those of the first step that has any. */
static ps_code list_runs(ps_parameter_search *self, ps_idmap *by_name, ps_error *err)
{
    const ps_structure *of = self->structure;
    uint32_t first_step = PS_STRUCTURE_NONE;
    for (uint32_t i = 0; i < of->block_count; i++) {
        if (is_backward_piece(of, i) ||
            (of->block[i].phase != PS_PHASE_FORWARD && of->block[i].phase != PS_PHASE_BACKWARD)) {
            continue;
        }
        uint32_t block = ps_idmap_get(by_name, of->block[i].name);
        first_step = first_step == PS_STRUCTURE_NONE ? of->block[i].step : first_step;
        if (block == PS_IDMAP_NONE && of->block[i].phase == PS_PHASE_FORWARD) {
            if (of->block[i].step != first_step) {
                return ps_fail(err, PS_USAGE,
                               "\"%s\" runs in step %u and not in step %u: blocks that differ from "
                               "step to step are not streamed",
                               ps_strings_text(of->strings, of->block[i].name), of->block[i].step,
                               first_step);
            }
            block = (uint32_t)self->out->block_count;
            PS_TRY(ps_idmap_put(by_name, of->block[i].name, block, err));
            PS_TRY(add_block(self, of->block[i].name, err));
        }
        if (block != PS_IDMAP_NONE) {
            PS_TRY(add_run(self, block, i, err));
        }
    }
    return PS_OK;
}

/* A step without a forward pass of some block would find nothing on the device. */
static ps_code check_steps(const ps_parameter_search *self, ps_error *err)
{
    const size_t steps = self->structure->step_count;
    size_t *runs = ps_calloc(steps + 1, sizeof *runs);
    ps_code code = runs == NULL ? ps_fail_nomem(err) : PS_OK;
    for (size_t i = 0; i < self->run_count && code == PS_OK; i++) {
        runs[self->run[i].step] += self->run[i].phase == PS_PHASE_FORWARD;
    }
    for (size_t i = 0; i < steps && code == PS_OK; i++) {
        if (runs[i] != runs[0] || runs[i] == 0) {
            code = ps_fail(err, PS_USAGE,
                           "blocks run %zu times forward in step 0 and %zu times in step %zu: "
                           "blocks that differ from step to step are not streamed",
                           runs[0], runs[i], i);
        }
    }
    ps_free(runs);
    return code;
}

ps_code ps__offload_find_runs(ps_parameter_search *self, ps_error *err)
{
    ps_idmap by_name = {0};
    ps_code code = list_runs(self, &by_name, err);
    ps_idmap_fini(&by_name);
    PS_TRY(code);
    if (self->out->block_count < 2) {
        return ps_fail(
            err, PS_USAGE,
            "no unit of the recording repeats within a forward pass: there are no blocks "
            "whose parameters could be streamed");
    }
    self->out->model_blocks = self->out->block_count;
    self->out->step_count = self->structure->step_count;
    return check_steps(self, err);
}
