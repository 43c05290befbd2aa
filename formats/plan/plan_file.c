/* SPDX-License-Identifier: MIT
 *
 * Plans as files.
 *
 * A plan is cut into chunks of at most CHUNK_ROWS rows a table: chunk k holds
 * rows k * CHUNK_ROWS and on of every table that has them, with the strings
 * those rows use. The cut depends on nothing else, so equal plans give equal
 * bytes. Unlike a trace, a plan is read whole or not at all.
 */
#include "base/container.h"
#include "plan/plan.h"

#define CHUNK_ROWS ((size_t)65536)

static ps_dataset dataset_of(ps_plan *plan, ps_table_head *tables[PS_PLAN_TABLE_COUNT])
{
    for (int i = 0; i < PS_PLAN_TABLE_COUNT; i++) {
        tables[i] = ps_plan_table(plan, (ps_plan_table_id)i);
    }
    return (ps_dataset){
        .specs = ps_plan_specs(),
        .table_count = PS_PLAN_TABLE_COUNT,
        .tables = tables,
        .strings = plan->strings,
    };
}

/* Appends one cell's value; a string is interned anew, since every chunk carries its own. */
static ps_code copy_cell(const ps_plan *from, const ps_column_spec *column,
                         const ps_table_head *source, size_t row, ps_plan *to,
                         ps_table_head *target, ps_error *err)
{
    uint64_t value = ps_table_get(column, source, row);
    if (column->type == PS_COLUMN_STR) {
        ps_str id;
        PS_TRY(ps_strings_put(to->strings, ps_strings_text(from->strings, (ps_str)value),
                              ps_strings_bytes(from->strings, (ps_str)value), &id, err));
        value = id;
    }
    ps_table_set(column, target, target->count - 1, value);
    return PS_OK;
}

static ps_code copy_rows(const ps_plan *from, ps_plan_table_id id, size_t begin, ps_plan *to,
                         ps_error *err)
{
    const ps_table_spec *spec = &ps_plan_specs()[id];
    const ps_table_head *source = ps_plan_table_const(from, id);
    ps_table_head *target = ps_plan_table(to, id);
    const size_t end = source->count - begin < CHUNK_ROWS ? source->count : begin + CHUNK_ROWS;
    for (size_t row = begin; row < end; row++) {
        size_t added;
        PS_TRY(ps_table_add(spec, target, &added, err));
        for (size_t c = 0; c < spec->column_count; c++) {
            PS_TRY(copy_cell(from, &spec->columns[c], source, row, to, target, err));
        }
    }
    return PS_OK;
}

static ps_code write_chunk(ps_container_writer *writer, const ps_plan *plan, size_t begin,
                           ps_plan *chunk, ps_error *err)
{
    ps_table_head *tables[PS_PLAN_TABLE_COUNT];
    ps_strings_clear(chunk->strings);
    for (int i = 0; i < PS_PLAN_TABLE_COUNT; i++) {
        const ps_plan_table_id id = (ps_plan_table_id)i;
        ps_table_clear(ps_plan_table(chunk, id));
        if (begin < ps_plan_table_const(plan, id)->count) {
            PS_TRY(copy_rows(plan, id, begin, chunk, err));
        }
    }
    const ps_dataset data = dataset_of(chunk, tables);
    return ps_container_write(writer, &data, err);
}

static ps_code write_chunks(ps_container_writer *writer, const ps_plan *plan, ps_error *err)
{
    size_t rows = 0;
    for (int i = 0; i < PS_PLAN_TABLE_COUNT; i++) {
        const size_t count = ps_plan_table_const(plan, (ps_plan_table_id)i)->count;
        rows = count > rows ? count : rows;
    }
    ps_plan *chunk = ps_plan_create();
    if (chunk == NULL) {
        return ps_fail_nomem(err);
    }
    ps_code code = PS_OK;
    for (size_t begin = 0; begin < rows && code == PS_OK; begin += CHUNK_ROWS) {
        code = write_chunk(writer, plan, begin, chunk, err);
    }
    ps_plan_destroy(chunk);
    return code;
}

ps_code ps_plan_write(const ps_plan *plan, const char *path, ps_error *err)
{
    ps_container_writer *writer;
    ps_code code = ps_container_create(path, PS_ARTEFACT_PLAN, &writer, err);
    if (code == PS_OK) {
        code = write_chunks(writer, plan, err);
        if (code == PS_OK) {
            code = ps_container_finish(writer, err);
        } else {
            ps_container_abandon(writer);
        }
    }
    if (code != PS_OK) {
        ps_error_note(err, "writing %s", path);
    }
    return code;
}

static ps_code read_chunks(ps_container_reader *reader, ps_plan *plan, ps_error *err)
{
    ps_table_head *tables[PS_PLAN_TABLE_COUNT];
    const ps_dataset data = dataset_of(plan, tables);
    const ps_container_state state = ps_container_get_state(reader);
    if (!state.is_finished) {
        return ps_fail_at(err, PS_TRUNCATED, state.file_bytes,
                          "the plan was cut or never finished; half a plan is no plan");
    }
    for (size_t i = 0; i < ps_container_chunk_count(reader); i++) {
        PS_TRY(ps_container_read(reader, i, &data, err));
    }
    return ps_plan_check(plan, err);
}

/* Takes the reader. */
static ps_code read_plan(ps_container_reader *reader, ps_plan **out, ps_error *err)
{
    ps_plan *plan = ps_plan_create();
    const ps_code code = plan == NULL ? ps_fail_nomem(err) : read_chunks(reader, plan, err);
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
