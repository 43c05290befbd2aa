/* SPDX-License-Identifier: MIT
 *
 * Which parameters of blocks the recorded optimizer writes.
 *
 * A parameter is trained when gradients of its size are made and an optimizer
 * runs; a size that both a frozen and a trained one have counts as trained.
 * Where most bytes of blocks are frozen (adapters), what is trained stays on
 * the device: it is small, and the optimizer works on it there.
 */
#include <inttypes.h>
#include <string.h>

#include "base/idmap.h"
#include "base/memory.h"
#include "policy/gradients.h"
#include "policy/offload_optimizer.h"
#include "policy/offload_parameter_parts.h"

bool ps__offload_has_phase(const ps_structure *of, ps_phase phase)
{
    for (size_t i = 0; i < of->phase_count; i++) {
        if (of->phase[i].phase == phase) {
            return true;
        }
    }
    return false;
}

/* How many gradients of each size the first backward pass makes. */
static ps_code count_gradients(const ps_gradients *gradients, ps_idmap *of_size, ps_error *err)
{
    const ps_backward *pass = &gradients->backward[0];
    for (size_t i = pass->first; i < pass->first + pass->count; i++) {
        const uint64_t bytes = gradients->gradient[i].bytes;
        const uint32_t before = ps_idmap_get(of_size, bytes);
        PS_TRY(ps_idmap_put(of_size, bytes, before == PS_IDMAP_NONE ? 1 : before + 1, err));
    }
    return PS_OK;
}

/* Pieces of several micro-batches would bring the same parameters again under other names. */
static ps_code check_count(const ps_parameter_search *self, uint64_t bytes, uint32_t parameters,
                           uint32_t gradients, ps_error *err)
{
    const ps_structure *of = self->structure;
    const ps_str kind = of->block[self->run[0].row].kind;
    if (parameters <= gradients ||
        strcmp(ps_strings_text(of->strings, kind), PS_STRUCTURE_REPEATED) != 0) {
        return PS_OK;
    }
    return ps_fail(err, PS_USAGE,
                   "blocks seem to have %u or more parameters of %" PRIu64
                   " bytes, and a backward pass makes %u gradients of that size: what repeats are "
                   "not blocks (module ranges would tell them)",
                   parameters, bytes, gradients);
}

static ps_code mark_trained(ps_parameter_search *self, const ps_idmap *of_size, ps_error *err)
{
    ps_offload_parameters *out = self->out;
    ps_idmap seen;
    ps_code code = PS_OK;
    ps_idmap_init(&seen);
    for (size_t i = 0; i < out->parameter_count && code == PS_OK; i++) {
        const uint64_t bytes = out->parameter[i].bytes;
        const uint32_t gradients = ps_idmap_get(of_size, bytes);
        const uint32_t before = ps_idmap_get(&seen, bytes);
        const uint32_t count = before == PS_IDMAP_NONE ? 1 : before + 1;
        out->parameter[i].is_trained = gradients != PS_IDMAP_NONE;
        code = ps_idmap_put(&seen, bytes, count, err);
        if (code == PS_OK && out->parameter[i].is_trained) {
            code = check_count(self, bytes, count, gradients, err);
        }
    }
    ps_idmap_fini(&seen);
    return code;
}

static ps_code find_trained(ps_parameter_search *self, ps_error *err)
{
    ps_gradients gradients;
    ps_idmap of_size;
    if (!ps__offload_has_phase(self->structure, PS_PHASE_BACKWARD) ||
        !ps__offload_has_phase(self->structure, PS_PHASE_OPTIMIZER)) {
        return PS_OK; /* no recorded kernel writes parameters */
    }
    PS_TRY(ps_gradients_find(self->trace, self->structure, self->plan, &gradients, err));
    ps_idmap_init(&of_size);
    ps_code code = count_gradients(&gradients, &of_size, err);
    if (code == PS_OK) {
        code = mark_trained(self, &of_size, err);
    }
    if (code == PS_OK) {
        code = ps__offload_find_shared(self, &gradients, err);
    }
    ps_idmap_fini(&of_size);
    ps_gradients_fini(&gradients);
    return code;
}

/* ---- what goes ---- */

/* What blocks share stays where one of them does. */
static bool is_kept(const ps_offload *change, const ps_offload_parameters *out, size_t block)
{
    for (size_t b = 0; b < out->model_blocks; b++) {
        if ((b < change->keep_first || b + change->keep_last >= out->model_blocks) &&
            ps__offload_block_is_of(out, (uint32_t)block, (uint32_t)b)) {
            return true;
        }
    }
    return false;
}

static void choose(ps_parameter_search *self)
{
    ps_offload_parameters *out = self->out;
    uint64_t trained = 0, frozen = 0;
    for (size_t i = 0; i < out->parameter_count; i++) {
        *(out->parameter[i].is_trained ? &trained : &frozen) += out->parameter[i].bytes;
    }
    for (size_t b = 0; b < out->block_count; b++) {
        for (size_t i = out->block[b].first; i < out->block[b].first + out->block[b].count; i++) {
            out->parameter[i].goes = !is_kept(self->change, out, b) && !out->parameter[i].stays &&
                                     (trained > frozen || !out->parameter[i].is_trained);
        }
    }
}

ps_code ps__offload_find_trained(ps_parameter_search *self, ps_error *err)
{
    PS_TRY(find_trained(self, err));
    choose(self);
    for (size_t i = 0; i < self->out->parameter_count && self->change->optimizer; i++) {
        ps_block_parameter *parameter = &self->out->parameter[i];
        parameter->is_updated = parameter->is_trained;
        parameter->is_trained = false;
    }
    for (size_t i = 0; i < self->out->parameter_count; i++) {
        if (self->out->parameter[i].goes) {
            return PS_OK;
        }
    }
    return ps_fail(err, PS_USAGE, "all %zu blocks are kept on the device: nothing to stream",
                   self->out->model_blocks);
}

/* ---- with the optimizer on the host ---- */

static bool take_one(const ps_block_parameter *parameter, ps_offload_optimizer *optimizer)
{
    for (size_t i = 0; i < optimizer->parameter_count; i++) {
        ps_offload_parameter *of = &optimizer->parameter[i];
        if (!of->streams && of->bytes == parameter->bytes && of->buffer == parameter->buffer) {
            of->streams = true;
            return true;
        }
    }
    return false;
}

ps_code ps__offload_parameters_join(ps_offload_parameters *self, ps_offload_optimizer *optimizer,
                                    ps_error *err)
{
    for (size_t i = 0; i < self->parameter_count; i++) {
        const ps_block_parameter *parameter = &self->parameter[i];
        if (parameter->goes && parameter->is_updated && !take_one(parameter, optimizer)) {
            return ps_fail(err, PS_USAGE,
                           "a parameter of blocks of %" PRIu64
                           " bytes has no gradient of its own: the host's optimizer would not "
                           "write it",
                           parameter->bytes);
        }
    }
    return PS_OK;
}
