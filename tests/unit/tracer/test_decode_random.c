/* SPDX-License-Identifier: MIT
 *
 * Random streams: well-formed ones give as many rows as they hold, with the
 * texts that went in; garbage of every kind and size never harms.
 */
#include "decode_scene.h"

#include <string.h>

#define NAMES 9000 /* more than the text cache has slots */
#define RECORDS 30000

static char names[NAMES][24];

static int make_names(void **state)
{
    (void)state;
    for (int i = 0; i < NAMES; i++) {
        (void)snprintf(names[i], sizeof names[i], "name %d", i / 2); /* two addresses a text */
    }
    return 0;
}

/* ---- well-formed streams ---- */

/* What the chunk must hold. */
typedef struct expectation {
    uint64_t rows[PS_TRACE_TABLE_COUNT];
    const char *kernel_name[RECORDS];
    const char *range_name[RECORDS];
    uint32_t kernel_grid[RECORDS];
} expectation;

typedef struct stream {
    scene scene;
    cupti_layout layout;
    uint64_t rng, clock;
    uint32_t correlation, marker;
    expectation *expected;
} stream;

static const char *any_name(stream *self)
{
    return names[scene_random(&self->rng) % NAMES];
}

static void put_span(stream *self, unsigned char *record, unsigned at)
{
    self->clock += scene_random(&self->rng) % 5000;
    cupti_put_u64(record, at, SCENE_AT(self->clock));
    cupti_put_u64(record, at + 8, SCENE_AT(self->clock + scene_random(&self->rng) % 3000));
}

static void add_kernel(stream *self)
{
    unsigned char *record = scene_record(self->layout, PS_CUPTI_CONCURRENT_KERNEL);
    const char *name = any_name(self);
    const uint32_t grid = (uint32_t)(scene_random(&self->rng) % 7000);
    put_span(self, record, 16);
    cupti_put_u32(record, 52, grid);
    cupti_put_text(record, 104, name);
    const uint64_t row = self->expected->rows[PS_TABLE_KERNEL]++;
    self->expected->kernel_name[row] = name;
    self->expected->kernel_grid[row] = grid;
    scene_decode(&self->scene, self->layout, record);
}

static void add_marker(stream *self, uint32_t flags, uint32_t id, const char *name)
{
    unsigned char *record = scene_record(self->layout, PS_CUPTI_MARKER);
    cupti_put_u32(record, 4, flags);
    cupti_put_u64(record, 8, SCENE_AT(++self->clock));
    cupti_put_u32(record, 16, id);
    cupti_put_text(record, 40, name);
    scene_decode(&self->scene, self->layout, record);
}

static void add_range(stream *self)
{
    const char *name = any_name(self);
    const uint32_t id = ++self->marker;
    add_marker(self, PS_CUPTI_MARKER_START, id, name);
    if (scene_random(&self->rng) % 2 == 0) {
        add_kernel(self);
    }
    self->expected->range_name[self->expected->rows[PS_TABLE_RANGE]++] = name;
    add_marker(self, PS_CUPTI_MARKER_END, id, NULL);
}

static void add_plain(stream *self, uint32_t kind, unsigned times_at, ps_trace_table_id table)
{
    unsigned char *record = scene_record(self->layout, kind);
    put_span(self, record, times_at);
    if (table == PS_TABLE_CALL) {
        cupti_put_u32(record, 4, 211);
    } else if (table == PS_TABLE_SYNC) {
        cupti_put_u32(record, 4, (uint32_t)(scene_random(&self->rng) % 5));
        cupti_put_u32(record, 36, (uint32_t)(scene_random(&self->rng) % 50));
    }
    self->expected->rows[table]++;
    scene_decode(&self->scene, self->layout, record);
}

static void add_any(stream *self)
{
    switch (scene_random(&self->rng) % 9) {
    case 0:
        add_plain(self, PS_CUPTI_RUNTIME, 8, PS_TABLE_CALL);
        break;
    case 1:
        add_plain(self, PS_CUPTI_MEMCPY, 16, PS_TABLE_MEMCPY);
        break;
    case 2:
        add_plain(self, PS_CUPTI_MEMCPY2, 16, PS_TABLE_MEMCPY);
        break;
    case 3:
        add_plain(self, PS_CUPTI_MEMSET, 16, PS_TABLE_MEMSET);
        break;
    case 4:
        add_plain(self, PS_CUPTI_SYNCHRONIZATION, 8, PS_TABLE_SYNC);
        break;
    case 5: {
        unsigned char *record = scene_record(self->layout, PS_CUPTI_CUDA_EVENT);
        cupti_put_u32(record, 16, (uint32_t)(scene_random(&self->rng) % 50));
        scene_decode(&self->scene, self->layout, record);
        break;
    }
    case 6:
        add_range(self);
        break;
    default:
        add_kernel(self);
        break;
    }
}

/* Empties the chunk after holding it against what went in. */
static void check_chunk(stream *self)
{
    ps_error err = {0};
    const ps_trace *chunk = self->scene.chunk;
    expectation *expected = self->expected;
    char grid[16];
    assert_ok(&err, ps_decoder_settle(self->scene.decoder, self->scene.chunk, &err));
    for (int t = 0; t < PS_TRACE_TABLE_COUNT; t++) {
        assert_int_equal(ps_trace_table_const(chunk, (ps_trace_table_id)t)->count,
                         expected->rows[t]);
    }
    for (size_t i = 0; i < chunk->kernel.head.count; i++) {
        assert_string_equal(ps_strings_text(chunk->strings, chunk->kernel.name[i]),
                            expected->kernel_name[i]);
        const int length = snprintf(grid, sizeof grid, "%u,", (unsigned)expected->kernel_grid[i]);
        assert_memory_equal(ps_strings_text(chunk->strings, chunk->kernel.launch[i]), grid,
                            (size_t)length);
    }
    for (size_t i = 0; i < chunk->range.head.count; i++) {
        assert_string_equal(ps_strings_text(chunk->strings, chunk->range.name[i]),
                            expected->range_name[i]);
    }
    memset(expected->rows, 0, sizeof expected->rows);
    for (int t = 0; t < PS_TRACE_TABLE_COUNT; t++) {
        ps_table_clear(ps_trace_table(self->scene.chunk, (ps_trace_table_id)t));
    }
    ps_strings_clear(self->scene.chunk->strings);
    ps_decoder_new_chunk(self->scene.decoder);
}

static void well_formed_streams_give_every_row_and_text(void **state)
{
    (void)state;
    static expectation expected;
    for (uint64_t seed = 1; seed <= 6; seed++) {
        stream self = {.layout = (cupti_layout)(seed % 3), .rng = seed, .expected = &expected};
        print_message("seed %llu, layout %d\n", (unsigned long long)seed, (int)self.layout);
        scene_open(&self.scene);
        for (int i = 0; i < RECORDS / 2; i++) {
            add_any(&self);
            if (scene_random(&self.rng) % 4000 == 0) {
                check_chunk(&self);
            }
        }
        check_chunk(&self);
        scene_close(&self.scene);
    }
}

/* ---- garbage ---- */

/* The addresses of texts are CUPTI's word, which the decoder must take. */
static void put_sane_text(unsigned char *record, size_t bytes, unsigned at, uint64_t *rng)
{
    if (bytes >= at + sizeof(char *)) {
        const uint64_t any = scene_random(rng) % NAMES;
        cupti_put_text(record, at, any == 0 ? NULL : names[any]);
    }
}

static void fill_garbage(unsigned char *record, size_t bytes, uint32_t kind, uint64_t *rng)
{
    const unsigned style = (unsigned)(scene_random(rng) % 3);
    for (size_t i = 0; i < bytes; i++) {
        const uint64_t any = scene_random(rng);
        record[i] = (unsigned char)(style == 0 ? any : any % 8 == 0 ? any >> 8 : 0);
    }
    for (size_t i = 7; style == 2 && i < bytes; i += 8) {
        record[i] = 0; /* times that can be */
    }
    if (bytes >= 4) {
        cupti_put_u32(record, 0, kind);
    }
    if (kind == PS_CUPTI_CONCURRENT_KERNEL) {
        put_sane_text(record, bytes, 104, rng);
    } else if (kind == PS_CUPTI_MARKER) {
        put_sane_text(record, bytes, 40, rng);
    } else if (kind == PS_CUPTI_DEVICE) {
        put_sane_text(record, bytes, 136, rng);
    }
}

static void assert_sane(const scene *self)
{
    const uint32_t strings = ps_strings_count(self->chunk->strings);
    for (int t = 0; t < PS_TRACE_TABLE_COUNT; t++) {
        const ps_table_spec *spec = &ps_trace_specs()[t];
        const ps_table_head *head = ps_trace_table_const(self->chunk, (ps_trace_table_id)t);
        for (size_t c = 0; c < spec->column_count; c++) {
            const ps_column_spec *column = &spec->columns[c];
            const bool is_length = strcmp(column->name, "dur_ns") == 0;
            for (size_t row = 0; row < head->count; row++) {
                const uint64_t value = ps_table_get(column, head, row);
                assert_true(column->type != PS_COLUMN_STR || value < strings);
                assert_true(!is_length || value <= INT64_MAX);
            }
        }
    }
}

static void garbage_never_harms(void **state)
{
    (void)state;
    for (uint64_t seed = 101; seed <= 104; seed++) {
        uint64_t rng = seed, given = 0, lost = 0;
        ps_error err = {0};
        scene self;
        print_message("seed %llu\n", (unsigned long long)seed);
        scene_open(&self);
        for (uint32_t kind = 0; kind < 64; kind++) {
            for (size_t bytes = 0; bytes <= 256; bytes++, given++) {
                unsigned char record[256];
                fill_garbage(record, bytes, kind, &rng);
                scene_decode_bytes(&self, record, bytes);
            }
        }
        assert_ok(&err, ps_decoder_settle(self.decoder, self.chunk, &err));
        for (size_t i = 0; i < self.chunk->loss.head.count; i++) {
            lost += self.chunk->loss.count[i];
        }
        assert_true(scene_rows(&self) > 0);
        assert_true(scene_rows(&self) + lost <= given);
        assert_sane(&self);
        scene_close(&self);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(well_formed_streams_give_every_row_and_text),
        cmocka_unit_test(garbage_never_harms),
    };
    return cmocka_run_group_tests(tests, make_names, NULL);
}
