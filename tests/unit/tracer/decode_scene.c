/* SPDX-License-Identifier: MIT
 *
 * A decoder with the chunk it fills.
 */
#include "decode_scene.h"

#include <string.h>

const char *scene_call_name(void *context, ps_call_api api, uint32_t id)
{
    static char names[2][1024][32];
    (void)context;
    if (id >= 1024) {
        return NULL;
    }
    (void)snprintf(names[api][id], sizeof names[api][id], "%s%u",
                   api == PS_API_RUNTIME ? "cudaCall" : "cuCall", (unsigned)id);
    return names[api][id];
}

void scene_open(scene *self)
{
    self->decoder = ps_decoder_create(SCENE_BASE_NS, scene_call_name, NULL);
    self->chunk = ps_trace_create();
    assert_non_null(self->decoder);
    assert_non_null(self->chunk);
}

void scene_close(scene *self)
{
    ps_decoder_destroy(self->decoder);
    ps_trace_destroy(self->chunk);
}

unsigned char *scene_record(cupti_layout layout, uint32_t kind)
{
    const size_t bytes = cupti_record_bytes(layout, kind);
    unsigned char *record = malloc(bytes);
    assert_non_null(record);
    memset(record, 0xa5, bytes);
    cupti_put_u32(record, 0, kind);
    return record;
}

void scene_decode(scene *self, cupti_layout layout, unsigned char *record)
{
    ps_error err = {0};
    uint32_t kind;
    memcpy(&kind, record, sizeof kind);
    assert_ok(&err, ps_decode_record(self->decoder, self->chunk, record,
                                     cupti_record_bytes(layout, kind), &err));
    free(record);
}

void scene_decode_bytes(scene *self, const unsigned char *record, size_t bytes)
{
    ps_error err = {0};
    unsigned char *copy = malloc(bytes > 0 ? bytes : 1);
    assert_non_null(copy);
    memcpy(copy, record, bytes);
    assert_ok(&err, ps_decode_record(self->decoder, self->chunk, copy, bytes, &err));
    free(copy);
}

uint64_t scene_loss(const scene *self, const char *name)
{
    const ps_loss_table *loss = &self->chunk->loss;
    for (size_t i = 0; i < loss->head.count; i++) {
        if (strcmp(ps_strings_text(self->chunk->strings, loss->name[i]), name) == 0) {
            return loss->count[i];
        }
    }
    return 0;
}

uint64_t scene_rows(const scene *self)
{
    uint64_t rows = 0;
    for (int t = 0; t < PS_TRACE_TABLE_COUNT; t++) {
        if (t != PS_TABLE_META && t != PS_TABLE_LOSS) {
            rows += ps_trace_table_const(self->chunk, (ps_trace_table_id)t)->count;
        }
    }
    return rows;
}

static const cell *find_cell(const cell *cells, size_t count, const char *column)
{
    static const cell empty = {"", 0, ""};
    for (size_t i = 0; i < count; i++) {
        if (strcmp(cells[i].column, column) == 0) {
            return &cells[i];
        }
    }
    return &empty;
}

void assert_row(const scene *self, ps_trace_table_id table, size_t row, const cell *cells,
                size_t count)
{
    const ps_table_spec *spec = &ps_trace_specs()[table];
    const ps_table_head *head = ps_trace_table_const(self->chunk, table);
    size_t used = 0;
    assert_true(row < head->count);
    for (size_t c = 0; c < spec->column_count; c++) {
        const ps_column_spec *column = &spec->columns[c];
        const cell *expected = find_cell(cells, count, column->name);
        const uint64_t value = ps_table_get(column, head, row);
        used += expected->column[0] != '\0';
        if (column->type == PS_COLUMN_STR) {
            assert_string_equal(ps_strings_text(self->chunk->strings, (ps_str)value),
                                expected->text);
        } else if (value != expected->value) {
            fail_msg("%s.%s is %llu, not %llu", spec->name, column->name, (unsigned long long)value,
                     (unsigned long long)expected->value);
        }
    }
    assert_int_equal(used, count); /* no cell is misspelt */
}

uint64_t scene_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state >> 20;
}
