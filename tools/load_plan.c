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
    ps_trace_destroy(trace);
    if (code != PS_OK) {
        ps_error_note(err, "cannot simulate %s", path);
    }
    return code;
}

ps_code ps_load_plan(const char *path, ps_plan **out, ps_error *err)
{
    ps_artefact artefact;
    ps_trace *trace;
    if (!sniff(path, &artefact)) {
        PS_TRY(import_trace(path, &trace, err));
        return lower(path, trace, out, err);
    }
    if (artefact == PS_ARTEFACT_PLAN) {
        return ps_plan_read(path, out, err);
    }
    PS_TRY(ps_trace_read(path, &trace, NULL, err));
    return lower(path, trace, out, err);
}
