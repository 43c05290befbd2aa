/* SPDX-License-Identifier: MIT
 *
 * Container writer: header, chunks as they come, index and trailer at the end.
 */
#include <string.h>

#include <zlib.h>

#include "base/chunk_codec.h"
#include "base/container_layout.h"
#include "base/memory.h"
#include "base/sink.h"
#include "container.pb-c.h"

#define MAX_CHUNKS ((size_t)1 << 24)
#define MAX_TABLES 32

/* Best size for the time on real traces: against 5 it saves 3 % for a tenth of the import time,
 * 12 saves another 1 %, 19 a tenth but at three times the time. */
#define BEST_LEVEL 9

/* Rows of one table in one chunk. */
typedef struct table_rows {
    uint32_t id, rows;
} table_rows;

/* A long recording has many chunks: an entry keeps only the tables that have rows. */
typedef struct chunk_entry {
    uint64_t offset, stored_bytes;
    size_t first_table, table_count; /* of ps_container_writer.tables */
} chunk_entry;

struct ps_container_writer {
    ps_sink *sink;
    ps_chunk_encoder *encoder;
    ps_bytes payload;
    chunk_entry *entries;
    size_t entry_count, entry_capacity;
    table_rows *tables; /* of all entries, back to back */
    size_t table_count, table_capacity;
    bool is_live; /* every chunk goes out at once */
};

uint32_t ps_crc32(const unsigned char *bytes, size_t count)
{
    return (uint32_t)crc32_z(0, bytes, count);
}

const char *ps_artefact_letters(ps_artefact artefact)
{
    static const char *const letters[PS_ARTEFACT_COUNT] = {
        [PS_ARTEFACT_TRACE] = "TRCE", [PS_ARTEFACT_PLAN] = "PLAN", [PS_ARTEFACT_WORKLOAD] = "WORK"};
    return letters[artefact];
}

static ps_code write_header(ps_container_writer *self, ps_artefact artefact, ps_error *err)
{
    unsigned char head[PS_HEADER_BYTES] = {0};
    memcpy(head, PS_FILE_MAGIC, 8);
    memcpy(head + 8, ps_artefact_letters(artefact), 4);
    head[12] = PS_VERSION_MAJOR;
    head[14] = PS_VERSION_MINOR;
    ps_put_u32(head + 28, ps_crc32(head, 28));
    return ps_sink_write(self->sink, head, sizeof head, err);
}

/* A live writer hands its bytes over at once; any other leaves that to the end. */
static ps_code settle(ps_container_writer *self, ps_error *err)
{
    return self->is_live ? ps_sink_flush(self->sink, err) : PS_OK;
}

static ps_code create(const char *path, ps_artefact artefact, bool is_live, int level,
                      ps_container_writer **out, ps_error *err)
{
    ps_container_writer *self = ps_calloc(1, sizeof *self);
    if (self == NULL) {
        return ps_fail_nomem(err);
    }
    self->is_live = is_live;
    self->encoder = ps_chunk_encoder_create(level);
    ps_code code = self->encoder == NULL ? ps_fail_nomem(err) : PS_OK;
    if (code == PS_OK) {
        code = is_live ? ps_sink_create_live(path, &self->sink, err)
                       : ps_sink_create(path, &self->sink, err);
    }
    if (code == PS_OK) {
        code = write_header(self, artefact, err);
    }
    if (code == PS_OK) {
        code = settle(self, err);
    }
    if (code != PS_OK) {
        ps_container_abandon(self);
        return code;
    }
    *out = self;
    return PS_OK;
}

ps_code ps_container_create(const char *path, ps_artefact artefact, ps_container_writer **out,
                            ps_error *err)
{
    return create(path, artefact, false, BEST_LEVEL, out, err);
}

ps_code ps_container_create_live(const char *path, ps_artefact artefact, int level,
                                 ps_container_writer **out, ps_error *err)
{
    return create(path, artefact, true, level, out, err);
}

uint64_t ps_container_written_bytes(const ps_container_writer *self)
{
    return ps_sink_offset(self->sink);
}

static ps_code write_chunk(ps_container_writer *self, uint32_t kind, const unsigned char *payload,
                           uint64_t payload_bytes, uint64_t raw_bytes, ps_error *err)
{
    unsigned char head[PS_CHUNK_HEADER_BYTES] = {0};
    memcpy(head, PS_CHUNK_MAGIC, 4);
    ps_put_u32(head + 4, kind);
    ps_put_u64(head + 8, raw_bytes);
    ps_put_u64(head + 16, payload_bytes);
    ps_put_u32(head + 28, ps_crc32(head, 28));
    PS_TRY(ps_sink_write(self->sink, head, sizeof head, err));
    return ps_sink_write(self->sink, payload, (size_t)payload_bytes, err);
}

static ps_code add_entry(ps_container_writer *self, const ps_dataset *data, ps_error *err)
{
    PS_TRY(ps_grow((void **)&self->entries, &self->entry_capacity, self->entry_count + 1,
                   MAX_CHUNKS, sizeof *self->entries, err));
    PS_TRY(ps_grow((void **)&self->tables, &self->table_capacity, self->table_count + MAX_TABLES,
                   (MAX_CHUNKS + 1) * MAX_TABLES, sizeof *self->tables, err));
    chunk_entry *entry = &self->entries[self->entry_count++];
    *entry = (chunk_entry){.offset = ps_sink_offset(self->sink),
                           .stored_bytes = self->payload.count,
                           .first_table = self->table_count};
    for (size_t t = 0; t < data->table_count && entry->table_count < MAX_TABLES; t++) {
        if (data->tables[t]->count > 0) {
            self->tables[self->table_count++] =
                (table_rows){data->specs[t].id, (uint32_t)data->tables[t]->count};
            entry->table_count++;
        }
    }
    return PS_OK;
}

ps_code ps_container_write(ps_container_writer *self, const ps_dataset *data, ps_error *err)
{
    size_t rows = 0;
    for (size_t t = 0; t < data->table_count; t++) {
        rows += data->tables[t]->count;
    }
    if (rows == 0) {
        return PS_OK;
    }
    uint64_t raw_bytes;
    PS_TRY(ps_chunk_encode(self->encoder, data, &self->payload, &raw_bytes, err));
    PS_TRY(add_entry(self, data, err));
    PS_TRY(
        write_chunk(self, PS_CHUNK_DATA, self->payload.data, self->payload.count, raw_bytes, err));
    return settle(self, err);
}

/* The index is small: stored as plain protobuf bytes, whose checksum stands in the trailer's chain of CRCs. */
static size_t pack_index(const ps_container_writer *self, Peakstep__IndexEntry *entries,
                         Peakstep__IndexEntry **list, Peakstep__TableRows *rows,
                         Peakstep__TableRows **row_list, unsigned char *out)
{
    Peakstep__Index index = PEAKSTEP__INDEX__INIT;
    size_t next_row = 0;
    for (size_t i = 0; i < self->entry_count; i++) {
        const chunk_entry *from = &self->entries[i];
        peakstep__index_entry__init(&entries[i]);
        entries[i].offset = from->offset;
        entries[i].stored_bytes = from->stored_bytes;
        entries[i].n_tables = from->table_count;
        entries[i].tables = &row_list[next_row];
        for (size_t t = 0; t < from->table_count; t++, next_row++) {
            const table_rows *table = &self->tables[from->first_table + t];
            peakstep__table_rows__init(&rows[next_row]);
            rows[next_row].id = table->id;
            rows[next_row].rows = table->rows;
            row_list[next_row] = &rows[next_row];
        }
        list[i] = &entries[i];
    }
    index.n_entries = self->entry_count;
    index.entries = list;
    return out == NULL ? peakstep__index__get_packed_size(&index)
                       : peakstep__index__pack(&index, out);
}

static ps_code write_index(ps_container_writer *self, ps_error *err)
{
    const size_t count = self->entry_count + 1, tables = self->table_count + 1;
    Peakstep__IndexEntry *entries = ps_calloc(count, sizeof *entries);
    Peakstep__IndexEntry **list = ps_calloc(count, sizeof *list);
    Peakstep__TableRows *rows = ps_calloc(tables, sizeof *rows);
    Peakstep__TableRows **row_list = ps_calloc(tables, sizeof *row_list);
    unsigned char *packed = NULL;
    ps_code code = PS_OK;
    if (entries == NULL || list == NULL || rows == NULL || row_list == NULL) {
        code = ps_fail_nomem(err);
    } else {
        const size_t bytes = pack_index(self, entries, list, rows, row_list, NULL);
        packed = ps_calloc(bytes, 1);
        code = packed == NULL ? ps_fail_nomem(err) : PS_OK;
        if (code == PS_OK) {
            (void)pack_index(self, entries, list, rows, row_list, packed);
            code = write_chunk(self, PS_CHUNK_INDEX, packed, bytes, ps_crc32(packed, bytes), err);
        }
    }
    ps_free(packed);
    ps_free(entries);
    ps_free(list);
    ps_free(rows);
    ps_free(row_list);
    return code;
}

static ps_code write_end(ps_container_writer *self, ps_error *err)
{
    unsigned char tail[PS_TRAILER_BYTES] = {0};
    ps_put_u64(tail, ps_sink_offset(self->sink));
    ps_put_u32(tail + 8, (uint32_t)self->entry_count);
    ps_put_u32(tail + 12, ps_crc32(tail, 12));
    memcpy(tail + 16, PS_TRAILER_MAGIC, 8);
    PS_TRY(write_index(self, err));
    return ps_sink_write(self->sink, tail, sizeof tail, err);
}

static void release(ps_container_writer *self)
{
    ps_chunk_encoder_destroy(self->encoder);
    ps_bytes_fini(&self->payload);
    ps_free(self->entries);
    ps_free(self->tables);
    ps_free(self);
}

ps_code ps_container_finish(ps_container_writer *self, ps_error *err)
{
    ps_code code = write_end(self, err);
    if (code == PS_OK) {
        code = ps_sink_finish(self->sink, err);
    } else {
        ps_sink_abandon(self->sink);
    }
    self->sink = NULL;
    release(self);
    return code;
}

void ps_container_abandon(ps_container_writer *self)
{
    if (self == NULL) {
        return;
    }
    ps_sink_abandon(self->sink);
    release(self);
}
