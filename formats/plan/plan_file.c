/* SPDX-License-Identifier: MIT
 *
 * Plans as files. Unlike a trace, a plan is read whole or not at all.
 */
#include "base/whole.h"
#include "plan/plan.h"

ps_code ps_plan_write(const ps_plan *plan, const char *path, ps_error *err)
{
    const ps_table_head *tables[PS_PLAN_TABLE_COUNT];
    for (int i = 0; i < PS_PLAN_TABLE_COUNT; i++) {
        tables[i] = ps_plan_table_const(plan, (ps_plan_table_id)i);
    }
    const ps_dataset_view data = {ps_plan_specs(), PS_PLAN_TABLE_COUNT, tables, plan->strings};
    return ps_whole_write(&data, PS_ARTEFACT_PLAN, path, err);
}

static ps_code fill(ps_container_reader *reader, ps_plan *plan, ps_error *err)
{
    ps_table_head *tables[PS_PLAN_TABLE_COUNT];
    for (int i = 0; i < PS_PLAN_TABLE_COUNT; i++) {
        tables[i] = ps_plan_table(plan, (ps_plan_table_id)i);
    }
    const ps_dataset data = {ps_plan_specs(), PS_PLAN_TABLE_COUNT, tables, plan->strings};
    PS_TRY(ps_whole_read(reader, &data, "plan", err));
    return ps_plan_check(plan, err);
}

/* Takes the reader. */
static ps_code read_plan(ps_container_reader *reader, ps_plan **out, ps_error *err)
{
    ps_plan *plan = ps_plan_create();
    const ps_code code = plan == NULL ? ps_fail_nomem(err) : fill(reader, plan, err);
    ps_container_close(reader);
    if (code != PS_OK) {
        ps_plan_destroy(plan);
        return code;
    }
    *out = plan;
    return PS_OK;
}

ps_code ps_plan_read(const char *path, ps_plan **out, ps_error *err)
{
    ps_container_reader *reader;
    PS_TRY(ps_container_open(path, PS_ARTEFACT_PLAN, &reader, err));
    const ps_code code = read_plan(reader, out, err);
    if (code != PS_OK) {
        ps_error_note(err, "reading %s", path);
    }
    return code;
}

ps_code ps_plan_read_memory(const void *bytes, size_t count, ps_plan **out, ps_error *err)
{
    ps_container_reader *reader;
    PS_TRY(ps_container_open_memory(bytes, count, PS_ARTEFACT_PLAN, &reader, err));
    return read_plan(reader, out, err);
}
