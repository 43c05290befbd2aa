/* SPDX-License-Identifier: MIT
 *
 * Cutting tables into chunks, and refusing what is not whole.
 */
#include "base/whole.h"

#include "base/memory.h"

#define CHUNK_ROWS ((size_t)65536)

/* Tables of the same types as those of a view, for the rows of one chunk. */
typedef struct scratch {
    const ps_table_spec *specs;
    size_t table_count;
    ps_table_head **tables;
    ps_strings *strings;
} scratch;

static void scratch_fini(scratch *self)
{
    for (size_t i = 0; self->tables != NULL && i < self->table_count; i++) {
        if (self->tables[i] != NULL) {
            ps_table_fini(&self->specs[i], self->tables[i]);
            ps_free(self->tables[i]);
        }
    }
    ps_free((void *)self->tables);
    ps_strings_destroy(self->strings);
}

/* [bytes] a table struct of this type: the head, then one pointer a column. */
static size_t struct_bytes(const ps_table_spec *spec)
{
    size_t bytes = sizeof(ps_table_head);
    for (size_t c = 0; c < spec->column_count; c++) {
        const size_t end = spec->columns[c].offset + sizeof(void *);
        bytes = end > bytes ? end : bytes;
    }
    return bytes;
}

static ps_code scratch_init(scratch *self, const ps_dataset_view *like, ps_error *err)
{
    *self = (scratch){.specs = like->specs, .table_count = like->table_count};
    self->strings = ps_strings_create();
    self->tables = ps_calloc(like->table_count, sizeof *self->tables);
    if (self->strings == NULL || self->tables == NULL) {
        return ps_fail_nomem(err);
    }
    for (size_t i = 0; i < like->table_count; i++) {
        self->tables[i] = ps_calloc(1, struct_bytes(&like->specs[i]));
        if (self->tables[i] == NULL) {
            return ps_fail_nomem(err);
        }
    }
    return PS_OK;
}

/* Appends one cell's value; a string is interned anew, since every chunk carries its own. */
static ps_code copy_cell(const ps_dataset_view *from, size_t table, const ps_column_spec *column,
                         size_t row, scratch *to, ps_error *err)
{
    ps_table_head *target = to->tables[table];
    uint64_t value = ps_table_get(column, from->tables[table], row);
    if (column->type == PS_COLUMN_STR) {
        ps_str id;
        PS_TRY(ps_strings_put(to->strings, ps_strings_text(from->strings, (ps_str)value),
                              ps_strings_bytes(from->strings, (ps_str)value), &id, err));
        value = id;
    }
    ps_table_set(column, target, target->count - 1, value);
    return PS_OK;
}

static ps_code copy_rows(const ps_dataset_view *from, size_t table, size_t begin, scratch *to,
                         ps_error *err)
{
    const ps_table_spec *spec = &from->specs[table];
    const size_t count = from->tables[table]->count;
    const size_t end = count - begin < CHUNK_ROWS ? count : begin + CHUNK_ROWS;
    for (size_t row = begin; row < end; row++) {
        size_t added;
        PS_TRY(ps_table_add(spec, to->tables[table], &added, err));
        for (size_t c = 0; c < spec->column_count; c++) {
            PS_TRY(copy_cell(from, table, &spec->columns[c], row, to, err));
        }
    }
    return PS_OK;
}

static ps_code write_chunk(ps_container_writer *writer, const ps_dataset_view *data, size_t begin,
                           scratch *chunk, ps_error *err)
{
    ps_strings_clear(chunk->strings);
    for (size_t i = 0; i < data->table_count; i++) {
        ps_table_clear(chunk->tables[i]);
        if (begin < data->tables[i]->count) {
            PS_TRY(copy_rows(data, i, begin, chunk, err));
        }
    }
    const ps_dataset rows = {chunk->specs, chunk->table_count, chunk->tables, chunk->strings};
    return ps_container_write(writer, &rows, err);
}

static ps_code write_chunks(ps_container_writer *writer, const ps_dataset_view *data, ps_error *err)
{
    size_t rows = 0;
    for (size_t i = 0; i < data->table_count; i++) {
        rows = data->tables[i]->count > rows ? data->tables[i]->count : rows;
    }
    scratch chunk;
    ps_code code = scratch_init(&chunk, data, err);
    for (size_t begin = 0; begin < rows && code == PS_OK; begin += CHUNK_ROWS) {
        code = write_chunk(writer, data, begin, &chunk, err);
    }
    scratch_fini(&chunk);
    return code;
}

ps_code ps_whole_write(const ps_dataset_view *data, ps_artefact artefact, const char *path,
                       ps_error *err)
{
    ps_container_writer *writer;
    ps_code code = ps_container_create(path, artefact, &writer, err);
    if (code == PS_OK) {
        code = write_chunks(writer, data, err);
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

ps_code ps_whole_read(ps_container_reader *reader, const ps_dataset *into, const char *noun,
                      ps_error *err)
{
    const ps_container_state state = ps_container_get_state(reader);
    if (!state.is_finished) {
        return ps_fail_at(err, PS_TRUNCATED, state.file_bytes,
                          "the %s was cut or never finished; half a %s is no %s", noun, noun, noun);
    }
    for (size_t i = 0; i < ps_container_chunk_count(reader); i++) {
        PS_TRY(ps_container_read(reader, i, into, err));
    }
    return PS_OK;
}
