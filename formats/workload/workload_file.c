/* SPDX-License-Identifier: MIT
 *
 * Workloads as files. As a workload, a workload is read whole or not at all.
 */
#include "base/whole.h"
#include "workload/workload.h"

ps_code ps_workload_write(const ps_workload *workload, const char *path, ps_error *err)
{
    const ps_table_head *tables[PS_WORKLOAD_TABLE_COUNT];
    for (int i = 0; i < PS_WORKLOAD_TABLE_COUNT; i++) {
        tables[i] = ps_workload_table_const(workload, (ps_workload_table_id)i);
    }
    const ps_dataset_view data = {ps_workload_specs(), PS_WORKLOAD_TABLE_COUNT, tables,
                                  workload->strings};
    return ps_whole_write(&data, PS_ARTEFACT_WORKLOAD, path, err);
}

static ps_code fill(ps_container_reader *reader, ps_workload *workload, ps_error *err)
{
    ps_table_head *tables[PS_WORKLOAD_TABLE_COUNT];
    for (int i = 0; i < PS_WORKLOAD_TABLE_COUNT; i++) {
        tables[i] = ps_workload_table(workload, (ps_workload_table_id)i);
    }
    const ps_dataset data = {ps_workload_specs(), PS_WORKLOAD_TABLE_COUNT, tables,
                             workload->strings};
    PS_TRY(ps_whole_read(reader, &data, "workload", err));
    return ps_workload_check(workload, err);
}

/* Takes the reader. */
static ps_code read_workload(ps_container_reader *reader, ps_workload **out, ps_error *err)
{
    ps_workload *workload = ps_workload_create();
    const ps_code code = workload == NULL ? ps_fail_nomem(err) : fill(reader, workload, err);
    ps_container_close(reader);
    if (code != PS_OK) {
        ps_workload_destroy(workload);
        return code;
    }
    *out = workload;
    return PS_OK;
}

ps_code ps_workload_read(const char *path, ps_workload **out, ps_error *err)
{
    ps_container_reader *reader;
    PS_TRY(ps_container_open(path, PS_ARTEFACT_WORKLOAD, &reader, err));
    const ps_code code = read_workload(reader, out, err);
    if (code != PS_OK) {
        ps_error_note(err, "reading %s", path);
    }
    return code;
}

ps_code ps_workload_read_memory(const void *bytes, size_t count, ps_workload **out, ps_error *err)
{
    ps_container_reader *reader;
    PS_TRY(ps_container_open_memory(bytes, count, PS_ARTEFACT_WORKLOAD, &reader, err));
    return read_workload(reader, out, err);
}
