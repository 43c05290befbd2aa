/* SPDX-License-Identifier: MIT
 *
 * zstd -> protobuf -> byte planes -> rows.
 *
 * Everything in the payload is checked before the dataset is touched: sizes,
 * string ids, plane lengths. Unknown tables and columns (a newer minor
 * version) are skipped.
 */
#include <string.h>

#include <zstd.h>

#include "base/checked.h"
#include "base/chunk_codec.h"
#include "base/memory.h"
#include "container.pb-c.h"

struct ps_chunk_decoder {
    ZSTD_DCtx *zstd;
    ps_bytes raw;
    uint64_t *values;
    size_t value_capacity;
    ps_str *string_map; /* local id -> dataset id */
    size_t string_map_capacity;
};

ps_chunk_decoder *ps_chunk_decoder_create(void)
{
    ps_chunk_decoder *self = ps_calloc(1, sizeof *self);
    if (self == NULL) {
        return NULL;
    }
    self->zstd = ZSTD_createDCtx();
    if (self->zstd == NULL) {
        ps_free(self);
        return NULL;
    }
    return self;
}

void ps_chunk_decoder_destroy(ps_chunk_decoder *self)
{
    if (self == NULL) {
        return;
    }
    (void)ZSTD_freeDCtx(self->zstd);
    ps_bytes_fini(&self->raw);
    ps_free(self->values);
    ps_free(self->string_map);
    ps_free(self);
}

static const ps_table_spec *find_table(const ps_dataset *into, uint32_t id, size_t *slot)
{
    for (size_t i = 0; i < into->table_count; i++) {
        if (into->specs[i].id == id) {
            *slot = i;
            return &into->specs[i];
        }
    }
    return NULL;
}

static const ps_column_spec *find_column(const ps_table_spec *table, uint32_t id)
{
    for (size_t i = 0; i < table->column_count; i++) {
        if (table->columns[i].id == id) {
            return &table->columns[i];
        }
    }
    return NULL;
}

static ps_code decompress(ps_chunk_decoder *self, const unsigned char *payload,
                          size_t payload_bytes, uint64_t raw_bytes, ps_error *err)
{
    if (raw_bytes > PS_CHUNK_MAX_BYTES) {
        return ps_fail(err, PS_CORRUPT, "chunk claims %llu bytes, at most %llu are allowed",
                       (unsigned long long)raw_bytes, (unsigned long long)PS_CHUNK_MAX_BYTES);
    }
    PS_TRY(ps_grow((void **)&self->raw.data, &self->raw.capacity, (size_t)raw_bytes, SIZE_MAX / 2,
                   1, err));
    const size_t got =
        ZSTD_decompressDCtx(self->zstd, self->raw.data, (size_t)raw_bytes, payload, payload_bytes);
    if (ZSTD_isError(got)) {
        return ps_fail(err, PS_CORRUPT, "chunk does not decompress: %s", ZSTD_getErrorName(got));
    }
    if (got != raw_bytes) {
        return ps_fail(err, PS_CORRUPT, "chunk has %zu bytes, its header says %llu", got,
                       (unsigned long long)raw_bytes);
    }
    self->raw.count = got;
    return PS_OK;
}

static ps_code check_column(const Peakstep__Column *column, const ps_column_spec *spec,
                            uint32_t rows, ps_error *err)
{
    if (column->width > 8 || column->planes.len != (size_t)rows * column->width) {
        return ps_fail(err, PS_CORRUPT, "column %s has %zu bytes for %u rows of width %u",
                       spec->name, column->planes.len, rows, column->width);
    }
    if (column->coding != PEAKSTEP__CODING__PLAIN && column->coding != PEAKSTEP__CODING__DELTA) {
        return ps_fail(err, PS_CORRUPT, "column %s has unknown coding %d", spec->name,
                       (int)column->coding);
    }
    return PS_OK;
}

static ps_code check_tables(const Peakstep__Chunk *chunk, const ps_dataset *into, uint64_t *bytes,
                            ps_error *err)
{
    uint64_t seen = 0;
    *bytes = 0;
    for (size_t t = 0; t < chunk->n_tables; t++) {
        const Peakstep__Table *table = chunk->tables[t];
        size_t slot;
        const ps_table_spec *spec = find_table(into, table->id, &slot);
        if (spec == NULL) {
            continue;
        }
        if (table->rows == 0 || table->rows > PS_CHUNK_MAX_ROWS || (seen >> slot & 1) != 0) {
            return ps_fail(err, PS_CORRUPT, "table %s: %u rows in one chunk, or twice", spec->name,
                           table->rows);
        }
        seen |= (uint64_t)1 << slot;
        for (size_t c = 0; c < table->n_columns; c++) {
            const ps_column_spec *column = find_column(spec, table->columns[c]->id);
            if (column != NULL) {
                PS_TRY(check_column(table->columns[c], column, table->rows, err));
            }
        }
        *bytes += (uint64_t)table->rows * spec->column_count * 8;
    }
    return PS_OK;
}

static ps_code map_strings(ps_chunk_decoder *self, const Peakstep__StringTable *table,
                           ps_strings *strings, ps_error *err)
{
    const size_t count = table == NULL ? 0 : table->count;
    PS_TRY(ps_grow((void **)&self->string_map, &self->string_map_capacity, count + 1,
                   PS_STRINGS_MAX_COUNT, sizeof *self->string_map, err));
    self->string_map[0] = 0;
    const char *at = count > 0 ? (const char *)table->text.data : NULL;
    size_t left = count > 0 ? table->text.len : 0;
    for (size_t i = 1; i <= count; i++) {
        const char *end = left > 0 ? memchr(at, '\0', left) : NULL;
        if (end == NULL) {
            return ps_fail(err, PS_CORRUPT, "string table ends after %zu of %zu strings", i - 1,
                           count);
        }
        const size_t bytes = (size_t)(end - at);
        PS_TRY(ps_strings_put(strings, at, bytes, &self->string_map[i], err));
        at = end + 1;
        left -= bytes + 1;
    }
    return PS_OK;
}

static void read_planes(const unsigned char *planes, size_t rows, unsigned width, uint64_t *values)
{
    switch (width) {
    case 0:
        memset(values, 0, rows * sizeof *values);
        return;
    case 1:
        for (size_t i = 0; i < rows; i++) {
            values[i] = planes[i];
        }
        return;
    case 2:
        for (size_t i = 0; i < rows; i++) {
            values[i] = (uint64_t)planes[i] | (uint64_t)planes[rows + i] << 8;
        }
        return;
    default:
        break;
    }
    for (size_t i = 0; i < rows; i++) {
        values[i] = (uint64_t)planes[i] | (uint64_t)planes[rows + i] << 8 |
                    (uint64_t)planes[2 * rows + i] << 16;
    }
    for (unsigned byte = 3; byte < width; byte++) {
        const unsigned char *plane = planes + byte * rows;
        for (size_t i = 0; i < rows; i++) {
            values[i] |= (uint64_t)plane[i] << (8 * byte);
        }
    }
}

static uint64_t unzigzag(uint64_t u)
{
    return (u >> 1) ^ (0 - (u & 1));
}

static void decode_values(const Peakstep__Column *column, bool is_signed, size_t rows,
                          uint64_t *values)
{
    if (column->coding == PEAKSTEP__CODING__PLAIN && column->width == 0) {
        for (size_t i = 0; i < rows; i++) {
            values[i] = column->origin;
        }
        return;
    }
    read_planes(column->planes.data, rows, column->width, values);
    if (column->coding == PEAKSTEP__CODING__DELTA) {
        uint64_t last = column->origin;
        for (size_t i = 0; i < rows; i++) {
            last += unzigzag(values[i]);
            values[i] = last;
        }
    } else if (is_signed) {
        for (size_t i = 0; i < rows; i++) {
            values[i] = unzigzag(values[i]);
        }
    }
}

/* Narrows into the table's array behind its current rows; false when a string id is out of range. */
static bool store_values(const ps_chunk_decoder *self, const ps_column_spec *spec,
                         ps_table_head *table, size_t rows, size_t string_count)
{
    const uint64_t *values = self->values;
    char *array =
        (char *)ps_table_array(spec, table) + table->count * ps_column_type_bytes(spec->type);
    switch (spec->type) {
    case PS_COLUMN_U8:
        for (size_t i = 0; i < rows; i++) {
            ((uint8_t *)array)[i] = (uint8_t)values[i];
        }
        break;
    case PS_COLUMN_U32:
        for (size_t i = 0; i < rows; i++) {
            ((uint32_t *)(void *)array)[i] = (uint32_t)values[i];
        }
        break;
    case PS_COLUMN_STR:
        for (size_t i = 0; i < rows; i++) {
            if (values[i] > string_count) {
                return false;
            }
            ((ps_str *)(void *)array)[i] = self->string_map[values[i]];
        }
        break;
    case PS_COLUMN_U64:
    case PS_COLUMN_I64:
        memcpy(array, values, rows * sizeof *values);
        break;
    }
    return true;
}

static const Peakstep__Column *column_of(const Peakstep__Table *table, uint32_t id)
{
    for (size_t c = 0; c < table->n_columns; c++) {
        if (table->columns[c]->id == id) {
            return table->columns[c];
        }
    }
    return NULL;
}

/* Fills the arrays past table->count; the caller raises the count once all tables are in. */
static ps_code fill_table(ps_chunk_decoder *self, const Peakstep__Table *table,
                          const ps_table_spec *spec, ps_table_head *out, size_t string_count,
                          ps_error *err)
{
    const size_t rows = table->rows;
    out->clean_end = 0; /* rows behind the count are written, and may stay behind it */
    /* grow by half so that many chunks do not copy the table many times */
    const size_t wanted = out->capacity + out->capacity / 2;
    if (out->count + rows > out->capacity) {
        PS_TRY(ps_table_reserve(spec, out, wanted > out->count + rows ? wanted : out->count + rows,
                                err));
    }
    PS_TRY(ps_grow((void **)&self->values, &self->value_capacity, rows, PS_CHUNK_MAX_ROWS,
                   sizeof *self->values, err));
    for (size_t i = 0; i < spec->column_count; i++) {
        const ps_column_spec *column = &spec->columns[i];
        const Peakstep__Column *stored = column_of(table, column->id);
        if (stored == NULL) {
            memset(self->values, 0, rows * sizeof *self->values);
        } else {
            decode_values(stored, column->type == PS_COLUMN_I64, rows, self->values);
        }
        if (!store_values(self, column, out, rows, string_count)) {
            return ps_fail(err, PS_CORRUPT, "column %s.%s names a string that is not there",
                           spec->name, column->name);
        }
    }
    return PS_OK;
}

static ps_code append_chunk(ps_chunk_decoder *self, const Peakstep__Chunk *chunk, uint64_t *budget,
                            const ps_dataset *into, ps_error *err)
{
    uint64_t bytes;
    PS_TRY(check_tables(chunk, into, &bytes, err));
    if (bytes > *budget) {
        return ps_fail(err, PS_LIMIT, "the file decodes to far more than its size allows");
    }
    PS_TRY(map_strings(self, chunk->strings, into->strings, err));
    const size_t string_count = chunk->strings == NULL ? 0 : chunk->strings->count;
    for (int commit = 0; commit <= 1; commit++) {
        for (size_t t = 0; t < chunk->n_tables; t++) {
            size_t slot;
            const ps_table_spec *spec = find_table(into, chunk->tables[t]->id, &slot);
            if (spec != NULL && commit == 0) {
                PS_TRY(fill_table(self, chunk->tables[t], spec, into->tables[slot], string_count,
                                  err));
            } else if (spec != NULL) {
                into->tables[slot]->count += chunk->tables[t]->rows;
            }
        }
    }
    *budget -= bytes;
    return PS_OK;
}

ps_code ps_chunk_decode(ps_chunk_decoder *self, const unsigned char *payload, size_t payload_bytes,
                        uint64_t raw_bytes, uint64_t *budget, const ps_dataset *into, ps_error *err)
{
    PS_TRY(decompress(self, payload, payload_bytes, raw_bytes, err));
    Peakstep__Chunk *chunk = peakstep__chunk__unpack(NULL, self->raw.count, self->raw.data);
    if (chunk == NULL) {
        return ps_fail(err, PS_CORRUPT, "chunk is not a protobuf message of container.proto");
    }
    const ps_code code = append_chunk(self, chunk, budget, into, err);
    peakstep__chunk__free_unpacked(chunk, NULL);
    return code;
}
