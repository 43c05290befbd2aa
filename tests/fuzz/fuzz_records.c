/* SPDX-License-Identifier: MIT
 *
 * Activity records of CUPTI. The input is a row of records, each behind one
 * byte with its length; a length of 0 begins a new chunk. The addresses of
 * texts, which CUPTI vouches for, are made to point at texts here. What must
 * hold: rows and losses together are no more than records, cells are in range.
 */
#include "fuzz.h"

#include <string.h>

#include "cupti_records.h"
#include "decode.h"

#define BASE_NS INT64_C(1760000000000000000)

static const char *name_of(void *context, ps_call_api api, uint32_t id)
{
    (void)context;
    return id % 2 == 0 ? NULL : api == PS_API_RUNTIME ? "cudaCall" : "cuCall";
}

/* The text that an address stands for. */
static void put_text(uint8_t *record, size_t bytes, size_t at)
{
    static const char *const texts[] = {"", "kernel", "a kernel<with, arguments>(...)", NULL};
    if (at > 0 && bytes >= at + sizeof texts[0]) {
        const char *text = texts[record[at] % 4];
        memcpy(record + at, &text, sizeof text);
    }
}

static size_t text_at(uint32_t kind)
{
    return kind == PS_CUPTI_CONCURRENT_KERNEL ? 104
           : kind == PS_CUPTI_MARKER          ? 40
           : kind == PS_CUPTI_DEVICE          ? 136
                                              : 0;
}

/* Decodes a copy of exactly its size, so that a sanitizer sees one byte too far. */
static void decode(ps_decoder *decoder, ps_trace *chunk, const uint8_t *data, size_t bytes)
{
    ps_error err = {0};
    uint32_t kind = 0;
    uint8_t *record = malloc(bytes);
    fuzz_require(record != NULL);
    memcpy(record, data, bytes);
    memcpy(&kind, record, bytes < sizeof kind ? bytes : sizeof kind);
    put_text(record, bytes, text_at(kind));
    fuzz_require(ps_decode_record(decoder, chunk, record, bytes, &err) == PS_OK);
    free(record);
}

static uint64_t count_losses(const ps_trace *chunk)
{
    uint64_t count = 0;
    for (size_t i = 0; i < chunk->loss.head.count; i++) {
        count += chunk->loss.count[i];
    }
    return count;
}

static void check_table(const ps_trace *chunk, ps_trace_table_id table)
{
    const ps_table_spec *spec = &ps_trace_specs()[table];
    const ps_table_head *head = ps_trace_table_const(chunk, table);
    for (size_t c = 0; c < spec->column_count; c++) {
        const ps_column_spec *column = &spec->columns[c];
        const bool is_length = strcmp(column->name, "dur_ns") == 0;
        for (size_t row = 0; row < head->count; row++) {
            const uint64_t value = ps_table_get(column, head, row);
            fuzz_require(!is_length || value <= INT64_MAX);
            fuzz_require(column->type != PS_COLUMN_STR || value < ps_strings_count(chunk->strings));
        }
    }
}

/* Empties the chunk after a look at it; returns its rows. */
static uint64_t end_chunk(ps_decoder *decoder, ps_trace *chunk)
{
    uint64_t rows = count_losses(chunk);
    ps_error err = {0};
    fuzz_require(ps_decoder_settle(decoder, chunk, &err) == PS_OK);
    for (int t = 0; t < PS_TRACE_TABLE_COUNT; t++) {
        ps_table_head *head = ps_trace_table(chunk, (ps_trace_table_id)t);
        rows += t == PS_TABLE_META || t == PS_TABLE_LOSS ? 0 : head->count;
        check_table(chunk, (ps_trace_table_id)t);
        ps_table_clear(head);
    }
    ps_strings_clear(chunk->strings);
    ps_decoder_new_chunk(decoder);
    return rows;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    ps_decoder *decoder = ps_decoder_create(BASE_NS, name_of, NULL);
    ps_trace *chunk = ps_trace_create();
    fuzz_require(decoder != NULL && chunk != NULL);
    uint64_t records = 0, rows = 0;
    for (size_t at = 0; at < size;) {
        const size_t left = size - at - 1, length = data[at];
        const size_t bytes = length < left ? length : left;
        if (length == 0) {
            rows += end_chunk(decoder, chunk);
        } else {
            decode(decoder, chunk, data + at + 1, bytes);
            records++;
        }
        at += 1 + bytes;
    }
    rows += end_chunk(decoder, chunk);
    fuzz_require(rows <= records);
    ps_decoder_destroy(decoder);
    ps_trace_destroy(chunk);
    return 0;
}
