/* SPDX-License-Identifier: MIT
 *
 * What the eager model tells becomes the rows of a workload.
 */
#include "workload/script/build.h"

#include <inttypes.h>
#include <stdio.h>

#include "workload/script/record.h"

#define NUMBER_BYTES 24

/* ---- marks ---- */

static ps_code set_number(ps_workload *out, const char *key, uint64_t value, ps_error *err)
{
    char text[NUMBER_BYTES];
    (void)snprintf(text, sizeof text, "%" PRIu64, value);
    return ps_workload_set_meta(out, key, text, err);
}

static void on_begun(void *context, const ps_eager *e)
{
    ((ps_recorder *)context)->e = e;
}

static ps_code on_loaded(void *context, const ps_model *m, ps_error *err)
{
    ps_recorder *self = context;
    const ps_recipe *r = m->recipe;
    PS_TRY(ps_recorder_label(self, "load", err));
    PS_TRY(set_number(self->out, PS_WORKLOAD_META_PARAMETERS, m->parameter_elements, err));
    PS_TRY(set_number(self->out, PS_WORKLOAD_META_TRAINED, m->trained_elements, err));
    return set_number(self->out, PS_WORKLOAD_META_TOKENS,
                      (uint64_t)r->batch * (uint64_t)r->length * (uint64_t)r->accumulate, err);
}

static ps_code on_step(void *context, int64_t number, bool is_end, ps_error *err)
{
    return ps_recorder_step(context, number, is_end, err);
}

static ps_code on_ranks(void *context, const ps_scheme_axis *axis, size_t count, ps_error *err)
{
    ps_workload *out = ((ps_recorder *)context)->out;
    for (size_t i = 0; i < count; i++) {
        size_t row;
        PS_TRY(ps_workload_add(out, PS_WORKLOAD_AXIS, &row, err));
        PS_TRY(ps_strings_put_z(out->strings, axis[i].name, &out->axis.name[row], err));
        out->axis.size[row] = axis[i].size;
        out->axis.place[row] = axis[i].place;
    }
    return PS_OK;
}

/* ---- building ---- */

static ps_code describe(const ps_build *what, ps_workload *out, ps_error *err)
{
    PS_TRY(ps_workload_set_meta(out, PS_WORKLOAD_META_SOURCE, "model", err));
    PS_TRY(ps_workload_set_meta(out, PS_WORKLOAD_META_MODEL, what->name, err));
    PS_TRY(ps_workload_add_finding(out, "steps", "description", 1000, "the recipe says how many",
                                   err));
    return ps_workload_add_finding(out, "roles", "description", 1000,
                                   "every tensor is made by an operation of the framework in model",
                                   err);
}

static ps_code run(const ps_build *what, const ps_family *family, ps_workload *out, ps_error *err)
{
    ps_recorder self = {.out = out};
    const ps_training training = {
        .family = family,
        .config = what->config,
        .recipe = what->recipe,
        .device = what->device,
        .sink = ps_recorder_sink(&self),
        .marks = {&self, on_begun, on_loaded, on_step, on_ranks},
    };
    PS_TRY(describe(what, out, err));
    return ps_train(&training, err);
}

ps_code ps_build_workload(const ps_build *what, ps_workload **out, ps_error *err)
{
    const ps_family *family;
    PS_TRY(ps_family_of(what->config, &family, err));
    ps_workload *made = ps_workload_create();
    if (made == NULL) {
        return ps_fail_nomem(err);
    }
    const ps_code code = run(what, family, made, err);
    if (code != PS_OK) {
        ps_workload_destroy(made);
        return code;
    }
    *out = made;
    return PS_OK;
}
