/* SPDX-License-Identifier: MIT
 *
 * Rows -> columns of byte planes -> protobuf -> zstd.
 *
 * Byte planes put the noisy low bytes of all values side by side and the
 * quiet high bytes side by side, which lets zstd's entropy stage do on plain
 * integers what a hand-made bit packing would do, and decode at memory speed.
 */
#include <string.h>

#include <zstd.h>

#include "base/chunk_codec.h"
#include "base/memory.h"
#include "container.pb-c.h"

#define MAX_COLUMNS 32
#define MAX_TABLES 32

struct ps_chunk_encoder {
    ZSTD_CCtx *zstd;
    uint64_t *values; /* one column, widened */
    size_t value_capacity;
    ps_bytes planes; /* all columns of the chunk, back to back */
    ps_bytes packed; /* protobuf bytes */
    ps_bytes text;
};

void ps_bytes_fini(ps_bytes *self)
{
    ps_free(self->data);
    memset(self, 0, sizeof *self);
}

static ps_code bytes_reserve(ps_bytes *self, size_t count, ps_error *err)
{
    return ps_grow((void **)&self->data, &self->capacity, count, SIZE_MAX / 2, 1, err);
}

ps_chunk_encoder *ps_chunk_encoder_create(int level)
{
    ps_chunk_encoder *self = ps_calloc(1, sizeof *self);
    if (self == NULL) {
        return NULL;
    }
    self->zstd = ZSTD_createCCtx();
    if (self->zstd == NULL) {
        ps_free(self);
        return NULL;
    }
    (void)ZSTD_CCtx_setParameter(self->zstd, ZSTD_c_compressionLevel, level);
    (void)ZSTD_CCtx_setParameter(self->zstd, ZSTD_c_checksumFlag, 1);
    return self;
}

void ps_chunk_encoder_destroy(ps_chunk_encoder *self)
{
    if (self == NULL) {
        return;
    }
    (void)ZSTD_freeCCtx(self->zstd);
    ps_free(self->values);
    ps_bytes_fini(&self->planes);
    ps_bytes_fini(&self->packed);
    ps_bytes_fini(&self->text);
    ps_free(self);
}

static uint64_t zigzag(uint64_t v)
{
    return (v << 1) ^ (0 - (v >> 63));
}

static void widen(const ps_column_spec *column, const ps_table_head *table, uint64_t *values)
{
    const void *array = ps_table_array(column, table);
    const size_t count = table->count;
    switch (ps_column_type_bytes(column->type)) {
    case 1:
        for (size_t i = 0; i < count; i++) {
            values[i] = ((const uint8_t *)array)[i];
        }
        break;
    case 4:
        for (size_t i = 0; i < count; i++) {
            values[i] = ((const uint32_t *)array)[i];
        }
        break;
    default:
        memcpy(values, array, count * sizeof *values);
        break;
    }
}

static bool is_constant(const uint64_t *values, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        if (values[i] != values[0]) {
            return false;
        }
    }
    return true;
}

/* Turns values into the u of container.proto and returns the bytes the largest one needs. */
static unsigned transform(uint64_t *values, size_t count, bool delta, bool is_signed, uint64_t base)
{
    uint64_t all = 0;
    if (delta) {
        uint64_t last = base;
        for (size_t i = 0; i < count; i++) {
            const uint64_t v = values[i];
            values[i] = zigzag(v - last);
            last = v;
            all |= values[i];
        }
    } else {
        for (size_t i = 0; i < count; i++) {
            values[i] = is_signed ? zigzag(values[i]) : values[i];
            all |= values[i];
        }
    }
    unsigned width = 0;
    for (; all != 0; all >>= 8) {
        width++;
    }
    return width;
}

static void write_planes(const uint64_t *values, size_t count, unsigned width, unsigned char *out)
{
    for (unsigned byte = 0; byte < width; byte++) {
        unsigned char *plane = out + byte * count;
        for (size_t i = 0; i < count; i++) {
            plane[i] = (unsigned char)(values[i] >> (8 * byte));
        }
    }
}

/* One column; `planes.data` holds an offset until all planes are written, because the buffer moves. */
static ps_code encode_column(ps_chunk_encoder *self, const ps_column_spec *spec,
                             const ps_table_head *table, Peakstep__Column *out, bool *is_zero,
                             ps_error *err)
{
    const size_t count = table->count;
    PS_TRY(ps_grow((void **)&self->values, &self->value_capacity, count, PS_CHUNK_MAX_ROWS,
                   sizeof *self->values, err));
    widen(spec, table, self->values);
    peakstep__column__init(out);
    out->id = spec->id;
    *is_zero = false;
    if (is_constant(self->values, count)) {
        out->origin = self->values[0];
        *is_zero = out->origin == 0;
        return PS_OK;
    }
    const bool delta = spec->coding == PS_CODING_DELTA;
    out->coding = delta ? PEAKSTEP__CODING__DELTA : PEAKSTEP__CODING__PLAIN;
    out->origin = delta ? self->values[0] : 0;
    out->width = transform(self->values, count, delta, spec->type == PS_COLUMN_I64, out->origin);
    out->planes.len = count * out->width;
    PS_TRY(bytes_reserve(&self->planes, self->planes.count + out->planes.len, err));
    write_planes(self->values, count, out->width, self->planes.data + self->planes.count);
    self->planes.count += out->planes.len;
    return PS_OK;
}

/* Storage of one message tree; the arrays are large, so the encoder's caller keeps it off the stack. */
typedef struct chunk_message {
    Peakstep__Chunk chunk;
    Peakstep__StringTable strings;
    Peakstep__Table tables[MAX_TABLES];
    Peakstep__Table *table_list[MAX_TABLES];
    Peakstep__Column columns[MAX_TABLES][MAX_COLUMNS];
    Peakstep__Column *column_list[MAX_TABLES][MAX_COLUMNS];
} chunk_message;

static ps_code encode_table(ps_chunk_encoder *self, const ps_table_spec *spec,
                            const ps_table_head *table, chunk_message *m, ps_error *err)
{
    const size_t slot = m->chunk.n_tables;
    if (slot >= MAX_TABLES || spec->column_count > MAX_COLUMNS ||
        table->count > PS_CHUNK_MAX_ROWS) {
        return ps_fail(err, PS_LIMIT, "table %s is too large for one chunk", spec->name);
    }
    Peakstep__Table *out = &m->tables[slot];
    peakstep__table__init(out);
    out->id = spec->id;
    out->rows = (uint32_t)table->count;
    out->columns = m->column_list[slot];
    for (size_t i = 0; i < spec->column_count; i++) {
        bool is_zero;
        Peakstep__Column *column = &m->columns[slot][out->n_columns];
        PS_TRY(encode_column(self, &spec->columns[i], table, column, &is_zero, err));
        if (!is_zero) {
            m->column_list[slot][out->n_columns++] = column;
        }
    }
    m->table_list[slot] = out;
    m->chunk.n_tables++;
    return PS_OK;
}

static ps_code encode_strings(ps_chunk_encoder *self, const ps_strings *strings, chunk_message *m,
                              ps_error *err)
{
    const uint32_t count = ps_strings_count(strings);
    PS_TRY(bytes_reserve(&self->text, ps_strings_total_bytes(strings), err));
    self->text.count = 0;
    for (ps_str id = 1; id < count; id++) {
        const size_t bytes = ps_strings_bytes(strings, id) + 1;
        memcpy(self->text.data + self->text.count, ps_strings_text(strings, id), bytes);
        self->text.count += bytes;
    }
    peakstep__string_table__init(&m->strings);
    m->strings.count = count - 1;
    m->strings.text.data = self->text.data;
    m->strings.text.len = self->text.count;
    m->chunk.strings = &m->strings;
    return PS_OK;
}

static void point_at_planes(const ps_chunk_encoder *self, chunk_message *m)
{
    unsigned char *at = self->planes.data;
    for (size_t t = 0; t < m->chunk.n_tables; t++) {
        for (size_t c = 0; c < m->tables[t].n_columns; c++) {
            ProtobufCBinaryData *planes = &m->column_list[t][c]->planes;
            if (planes->len > 0) { /* when every column is constant there is no buffer */
                planes->data = at;
                at += planes->len;
            }
        }
    }
}

static ps_code compress_chunk(ps_chunk_encoder *self, const Peakstep__Chunk *chunk,
                              ps_bytes *payload, uint64_t *raw_bytes, ps_error *err)
{
    const size_t packed = peakstep__chunk__get_packed_size(chunk);
    if (packed > PS_CHUNK_MAX_BYTES) {
        return ps_fail(err, PS_LIMIT, "a chunk of %zu bytes is too large", packed);
    }
    PS_TRY(bytes_reserve(&self->packed, packed, err));
    (void)peakstep__chunk__pack(chunk, self->packed.data);
    PS_TRY(bytes_reserve(payload, ZSTD_compressBound(packed), err));
    const size_t stored =
        ZSTD_compress2(self->zstd, payload->data, payload->capacity, self->packed.data, packed);
    if (ZSTD_isError(stored)) {
        return ps_fail(err, PS_INTERNAL, "zstd: %s", ZSTD_getErrorName(stored));
    }
    payload->count = stored;
    *raw_bytes = packed;
    return PS_OK;
}

ps_code ps_chunk_encode(ps_chunk_encoder *self, const ps_dataset *data, ps_bytes *payload,
                        uint64_t *raw_bytes, ps_error *err)
{
    chunk_message *m = ps_calloc(1, sizeof *m);
    if (m == NULL) {
        return ps_fail_nomem(err);
    }
    peakstep__chunk__init(&m->chunk);
    m->chunk.tables = m->table_list;
    self->planes.count = 0;
    ps_code code = encode_strings(self, data->strings, m, err);
    for (size_t t = 0; t < data->table_count && code == PS_OK; t++) {
        if (data->tables[t]->count > 0) {
            code = encode_table(self, &data->specs[t], data->tables[t], m, err);
        }
    }
    if (code == PS_OK) {
        point_at_planes(self, m);
        code = compress_chunk(self, &m->chunk, payload, raw_bytes, err);
    }
    ps_free(m);
    return code;
}
