/* SPDX-License-Identifier: MIT
 *
 * Traces as files: the table set of a trace given to the container.
 */
#include "trace/file.h"

static ps_dataset dataset_of(ps_trace *trace, ps_table_head *tables[PS_TRACE_TABLE_COUNT])
{
    for (int i = 0; i < PS_TRACE_TABLE_COUNT; i++) {
        tables[i] = ps_trace_table(trace, (ps_trace_table_id)i);
    }
    return (ps_dataset){
        .specs = ps_trace_specs(),
        .table_count = PS_TRACE_TABLE_COUNT,
        .tables = tables,
        .strings = trace->strings,
    };
}

ps_code ps_trace_write_chunk(ps_container_writer *writer, const ps_trace *trace, ps_error *err)
{
    ps_table_head *tables[PS_TRACE_TABLE_COUNT];
    /* the writer only reads; one dataset type serves both directions */
    union {
        const ps_trace *in;
        ps_trace *out;
    } borrow = {.in = trace};
    const ps_dataset data = dataset_of(borrow.out, tables);
    return ps_container_write(writer, &data, err);
}

static ps_code read_into(ps_container_reader *reader, ps_trace *trace, ps_error *err)
{
    ps_table_head *tables[PS_TRACE_TABLE_COUNT];
    const ps_dataset data = dataset_of(trace, tables);
    PS_TRY(ps_container_read_all(reader, &data, err));
    PS_TRY(ps_trace_sort(trace, err));
    const ps_container_state state = ps_container_get_state(reader);
    PS_TRY(ps_trace_add_loss(trace, "damaged-chunks", state.damaged_chunks, err));
    return ps_trace_add_loss(trace, "cut-bytes", state.cut_bytes, err);
}

static ps_code read_trace(ps_container_reader *reader, ps_trace **out, ps_container_state *state,
                          ps_error *err)
{
    ps_trace *trace = ps_trace_create();
    ps_code code = trace == NULL ? ps_fail_nomem(err) : read_into(reader, trace, err);
    if (state != NULL) {
        *state = ps_container_get_state(reader);
    }
    ps_container_close(reader);
    if (code != PS_OK) {
        ps_trace_destroy(trace);
        return code;
    }
    *out = trace;
    return PS_OK;
}

ps_code ps_trace_read(const char *path, ps_trace **out, ps_container_state *state, ps_error *err)
{
    ps_container_reader *reader;
    PS_TRY(ps_container_open(path, PS_ARTEFACT_TRACE, &reader, err));
    const ps_code code = read_trace(reader, out, state, err);
    if (code != PS_OK) {
        ps_error_note(err, "reading %s", path);
    }
    return code;
}

ps_code ps_trace_read_memory(const void *bytes, size_t count, ps_trace **out,
                             ps_container_state *state, ps_error *err)
{
    ps_container_reader *reader;
    PS_TRY(ps_container_open_memory(bytes, count, PS_ARTEFACT_TRACE, &reader, err));
    return read_trace(reader, out, state, err);
}

ps_code ps_trace_sort(ps_trace *trace, ps_error *err)
{
    for (int i = PS_TABLE_RANGE; i <= PS_TABLE_SYNC; i++) {
        const ps_table_spec *spec = &ps_trace_specs()[i];
        PS_TRY(ps_table_sort(spec, ps_trace_table(trace, (ps_trace_table_id)i), &spec->columns[0],
                             err));
    }
    const ps_table_spec *driver = &ps_trace_specs()[PS_TABLE_DRIVER_MEMORY];
    return ps_table_sort(driver, &trace->driver_memory.head, &driver->columns[0], err);
}

ps_code ps_trace_sort_memory(ps_trace *trace, ps_error *err)
{
    const ps_table_spec *spec = &ps_trace_specs()[PS_TABLE_MEMORY];
    return ps_table_sort(spec, &trace->memory.head, &spec->columns[0], err);
}
