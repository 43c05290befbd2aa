/* SPDX-License-Identifier: MIT
 *
 * Loading plans from any artefact.
 */
#include "load_plan.h"

#include <stdio.h>

#include "base/container.h"
#include "import/import.h"
#include "lower/lower.h"
#include "trace/file.h"

static ps_code import_trace(const char *path, ps_trace **out, ps_error *err)
{
    ps_trace_builder *builder;
    PS_TRY(ps_trace_builder_open_memory(&builder, err));
    const ps_code code = ps_import_file(path, NULL, builder, NULL, err);
    if (code != PS_OK) {
        ps_trace_builder_abandon(builder);
        return code;
    }
    return ps_trace_builder_take(builder, out, err);
}

static bool sniff(const char *path, ps_artefact *out)
{
    unsigned char head[64];
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        return false;
    }
    const size_t got = fread(head, 1, sizeof head, file);
    (void)fclose(file);
    return ps_container_sniff(head, got, out);
}

static ps_code lower(const char *path, ps_trace *trace, ps_plan **out, ps_error *err)
{
    const ps_code code = ps_lower_trace(trace, out, err);
    if (code != PS_OK) {
        ps_error_note(err, "cannot simulate %s", path);
    }
    return code;
}

/* Either a plan, or a trace and the plan it is lowered to. */
static ps_code load(const char *path, ps_trace **trace, ps_plan **plan, ps_error *err)
{
    ps_artefact artefact;
    const bool is_own = sniff(path, &artefact);
    *trace = NULL;
    if (is_own && artefact == PS_ARTEFACT_PLAN) {
        return ps_plan_read(path, plan, err);
    }
    PS_TRY(is_own ? ps_trace_read(path, trace, NULL, err) : import_trace(path, trace, err));
    const ps_code code = lower(path, *trace, plan, err);
    if (code != PS_OK) {
        ps_trace_destroy(*trace);
    }
    return code;
}

ps_code ps_load_plan(const char *path, ps_plan **out, ps_error *err)
{
    ps_trace *trace;
    PS_TRY(load(path, &trace, out, err));
    ps_trace_destroy(trace);
    return PS_OK;
}

/* Roles less sure than this are not shown as if they were known. */
#define LEAST_ROLE_CONFIDENCE 500u

static ps_code add_structure(const char *path, const char *structure_file, ps_loaded *self,
                             ps_error *err)
{
    if (self->trace == NULL) {
        return structure_file == NULL
                   ? PS_OK
                   : ps_fail(err, PS_USAGE,
                             "%s is a plan; a structure file tells about the trace a plan is made "
                             "from",
                             path);
    }
    if (structure_file != NULL) {
        PS_TRY(ps_overrides_read_file(structure_file, &self->overrides, err));
    }
    PS_TRY(ps_structure_recover(self->trace, self->plan, &self->overrides, &self->kept, err));
    ps_structure_label_plan(&self->kept, LEAST_ROLE_CONFIDENCE, self->plan);
    return PS_OK;
}

ps_code ps_load_with_structure(const char *path, const char *structure_file, ps_loaded *out,
                               ps_error *err)
{
    ps_loaded loaded = {0};
    PS_TRY(load(path, &loaded.trace, &loaded.plan, err));
    const ps_code code = add_structure(path, structure_file, &loaded, err);
    if (code != PS_OK) {
        ps_loaded_fini(&loaded);
        return code;
    }
    *out = loaded;
    out->structure = out->trace == NULL ? NULL : &out->kept;
    return PS_OK;
}

void ps_loaded_fini(ps_loaded *self)
{
    ps_plan_destroy(self->plan);
    ps_trace_destroy(self->trace);
    ps_structure_fini(&self->kept);
    ps_overrides_fini(&self->overrides);
    *self = (ps_loaded){0};
}
