/* SPDX-License-Identifier: MIT
 *
 * The workload of one rank: start-up, steps, and what the rank stands for.
 */
#include <inttypes.h>
#include <stdio.h>

#include "base/memory.h"
#include "workload/megatron/parts.h"
#include "workload/script/build.h"
#include "workload/script/record.h"

#define NUMBER_BYTES 24

ps_megatron_recipe ps_megatron_recipe_default(void)
{
    return (ps_megatron_recipe){.micro_batch = 1,
                                .micro_batches = 1,
                                .sequence = 4096,
                                .steps = 2,
                                .tensor = 1,
                                .context = 1,
                                .expert = 1,
                                .data = 1,
                                .pipeline = 1,
                                .dtype = PS_DTYPE_BF16,
                                .is_sequence_parallel = true,
                                .shards_optimizer = true,
                                .checks_gradients = true,
                                .clips = true};
}

ps_megatron_recipe ps_megatron_recipe_for(const ps_megatron_shape *shape)
{
    ps_megatron_recipe recipe = ps_megatron_recipe_default();
    if (shape->dialect == PS_MEGATRON_GPT) {
        recipe.dtype = PS_DTYPE_F16;
        recipe.is_sequence_parallel = false;
        recipe.shards_optimizer = false;
        recipe.recomputes = true;
    }
    return recipe;
}

/* ---- the axes ---- */

static bool differs_along(const ps__meg *self, int axis)
{
    return axis == PS__MEG_PIPELINE ||
           (self->recipe->shards_optimizer && (PS__MEG_REPLICAS >> axis & 1) != 0);
}

static ps_code write_axes(const ps__meg *self, ps_workload *out, ps_error *err)
{
    static const char *const names[] = {"tensor", "context", "expert", "data", "pipeline"};
    for (int axis = 0; axis < PS__MEG_AXIS_COUNT; axis++) {
        size_t row;
        PS_TRY(ps_workload_add(out, PS_WORKLOAD_AXIS, &row, err));
        PS_TRY(ps_strings_put_z(out->strings, names[axis], &out->axis.name[row], err));
        out->axis.size[row] = (uint32_t)self->grid.size[axis];
        out->axis.place[row] =
            differs_along(self, axis) ? (uint32_t)self->grid.place[axis] : PS_WORKLOAD_ANYWHERE;
    }
    return PS_OK;
}

/* ---- facts ---- */

static ps_code set_number(ps_workload *out, const char *key, int64_t value, ps_error *err)
{
    char text[NUMBER_BYTES];
    (void)snprintf(text, sizeof text, "%" PRId64, value);
    return ps_workload_set_meta(out, key, text, err);
}

static ps_code describe(const ps__meg *self, const ps_megatron_job *job, ps_workload *out,
                        ps_error *err)
{
    const ps_megatron_recipe *r = job->recipe;
    int64_t parameters = 0;
    for (size_t i = 0; i < self->parameter_count; i++) {
        parameters += self->parameter[i].elements;
    }
    PS_TRY(ps_workload_set_meta(out, PS_WORKLOAD_META_SOURCE, "model", err));
    PS_TRY(ps_workload_set_meta(out, PS_WORKLOAD_META_MODEL, job->name, err));
    PS_TRY(set_number(out, PS_WORKLOAD_META_PARAMETERS, parameters, err));
    PS_TRY(set_number(out, PS_WORKLOAD_META_TRAINED, parameters, err));
    PS_TRY(set_number(out, PS_WORKLOAD_META_TOKENS,
                      r->micro_batch * r->sequence * r->micro_batches * r->data, err));
    PS_TRY(ps_workload_add_finding(out, "steps", "description", 1000, "the recipe says how many",
                                   err));
    return ps_workload_add_finding(out, "roles", "description", 1000,
                                   "every tensor is made by a module of the program in model", err);
}

/* ---- building ---- */

static ps_code prepare(ps__meg *self, const ps_train_device *device, ps_error *err)
{
    PS_TRY(ps__meg_figures(self, err));
    ps_eager_set_workspace(self->e, device->workspace_bytes);
    ps_eager_set_device(self->e, device->sm_count, device->threads_per_sm);
    if (device->capability > 0) {
        ps_eager_set_capability(self->e, device->capability);
    }
    if (device->release > 0) {
        ps_eager_set_release(self->e, device->release);
    }
    self->micro = ps_calloc((size_t)self->in_flight, sizeof *self->micro);
    self->probabilities = ps_calloc((size_t)self->layers, sizeof *self->probabilities);
    if (self->micro == NULL || self->probabilities == NULL) {
        return ps_fail_nomem(err);
    }
    for (int64_t i = 0; i < self->in_flight; i++) {
        ps__meg_micro *micro = &self->micro[i];
        micro->layer = ps_calloc((size_t)self->layers, sizeof *micro->layer);
        micro->checkpoint = ps_calloc((size_t)self->layers, sizeof *micro->checkpoint);
        if (micro->layer == NULL || micro->checkpoint == NULL) {
            return ps_fail_nomem(err);
        }
    }
    return PS_OK;
}

static ps_code train(ps__meg *self, ps_recorder *recorder, ps_error *err)
{
    ps__meg_make_parameters(self);
    ps__meg_make_buffers(self);
    ps__meg_make_optimizer(self);
    PS_TRY(ps_eager_code(self->e, err));
    PS_TRY(ps_recorder_label(recorder, "load", err));
    for (int64_t step = 0; step < self->recipe->steps; step++) {
        PS_TRY(ps_recorder_step(recorder, step, false, err));
        ps_eager_set_phase(self->e, PS_EAGER_ZERO);
        ps__meg_begin_step(self);
        ps__meg_run_micro_batches(self);
        ps__meg_end_step(self);
        PS_TRY(ps_eager_code(self->e, err));
        PS_TRY(ps_recorder_step(recorder, step, true, err));
    }
    return PS_OK;
}

static void fini(ps__meg *self)
{
    for (int64_t i = 0; self->micro != NULL && i < self->in_flight; i++) {
        ps_free(self->micro[i].layer);
        ps_free(self->micro[i].checkpoint);
    }
    ps_free(self->micro);
    ps_free(self->probabilities);
    ps_free(self->dummy);
    ps_free(self->parameter);
    ps_free(self->piece);
    ps_eager_destroy(self->e);
}

static ps_code build(const ps_megatron_job *job, int64_t rank, ps_workload *out, ps_error *err)
{
    ps__meg self = {.shape = job->shape, .recipe = job->recipe};
    ps_recorder recorder = {.out = out};
    const ps_eager_sink sink = ps_recorder_sink(&recorder);
    PS_TRY(ps__meg_grid_of(job->recipe, rank, &self.grid, err));
    self.e = ps_eager_create(&sink);
    if (self.e == NULL) {
        return ps_fail_nomem(err);
    }
    recorder.e = self.e;
    ps_code code = prepare(&self, &job->device, err);
    if (code == PS_OK) {
        code = write_axes(&self, out, err);
    }
    if (code == PS_OK) {
        code = train(&self, &recorder, err);
    }
    if (code == PS_OK) {
        code = describe(&self, job, out, err);
    }
    fini(&self);
    return code;
}

ps_code ps_megatron_build(const ps_megatron_job *job, int64_t rank, ps_workload **out,
                          ps_error *err)
{
    ps_workload *made = ps_workload_create();
    if (made == NULL) {
        return ps_fail_nomem(err);
    }
    const ps_code code = build(job, rank, made, err);
    if (code != PS_OK) {
        ps_workload_destroy(made);
        return code;
    }
    *out = made;
    return PS_OK;
}
