/* SPDX-License-Identifier: MIT
 *
 * The container: round trip, salvage of cut and damaged files, hostile bytes.
 */
#include "support/test.h"

#include <string.h>
#include <unistd.h>

#include "base/container_layout.h"
#include "base/memory.h"
#include "trace/builder.h"
#include "trace/file.h"

static const char *const path = PS_TEST_BINARY_DIR "/test_container.pstrace";

static uint64_t next_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state >> 20;
}

/* Any bits in any column: the codec must not care about meaning. Strings stay ids in range. */
static ps_code fill_row(ps_trace *chunk, ps_trace_table_id id, size_t row, uint64_t *rng,
                        ps_error *err)
{
    const ps_table_spec *spec = &ps_trace_specs()[id];
    ps_table_head *table = ps_trace_table(chunk, id);
    for (size_t c = 0; c < spec->column_count; c++) {
        uint64_t value = next_random(rng) >> (next_random(rng) % 60);
        if (spec->columns[c].type == PS_COLUMN_I64 && c > 0 && (next_random(rng) & 1) != 0) {
            value = 0 - value;
        }
        if (spec->columns[c].type == PS_COLUMN_STR) {
            char text[32];
            ps_str text_id;
            (void)snprintf(text, sizeof text, "s%u", (unsigned)(value % 50));
            PS_TRY(ps_strings_put_z(chunk->strings, text, &text_id, err));
            value = text_id;
        }
        ps_table_set(&spec->columns[c], table, row, value);
    }
    return PS_OK;
}

static ps_code write_rows(ps_trace_builder *builder, size_t rows, uint64_t seed, ps_error *err)
{
    uint64_t rng = seed;
    for (size_t i = 0; i < rows; i++) {
        const ps_trace_table_id id = (ps_trace_table_id)(next_random(&rng) % PS_TABLE_META);
        size_t row;
        PS_TRY(ps_trace_add(ps_trace_builder_chunk(builder), id, &row, err));
        PS_TRY(fill_row(ps_trace_builder_chunk(builder), id, row, &rng, err));
        PS_TRY(ps_trace_builder_step(builder, err));
    }
    PS_TRY(ps_trace_builder_meta(builder, "source", "test", err));
    return ps_trace_builder_loss(builder, "malformed-events", 3, err);
}

static void write_file(size_t rows, uint64_t seed)
{
    ps_error err = {0};
    ps_trace_builder *builder;
    assert_ok(&err, ps_trace_builder_open(path, &builder, &err));
    assert_ok(&err, write_rows(builder, rows, seed, &err));
    assert_ok(&err, ps_trace_builder_finish(builder, &err));
}

static void assert_same_cell(const ps_trace *a, const ps_trace *b, const ps_column_spec *column,
                             const ps_table_head *ta, const ps_table_head *tb, size_t row)
{
    const uint64_t va = ps_table_get(column, ta, row), vb = ps_table_get(column, tb, row);
    if (column->type == PS_COLUMN_STR) {
        assert_string_equal(ps_strings_text(a->strings, (ps_str)va),
                            ps_strings_text(b->strings, (ps_str)vb));
    } else {
        assert_true(va == vb);
    }
}

static void assert_same_trace(const ps_trace *a, const ps_trace *b)
{
    for (int t = 0; t < PS_TRACE_TABLE_COUNT; t++) {
        const ps_table_spec *spec = &ps_trace_specs()[t];
        const ps_table_head *ta = ps_trace_table_const(a, (ps_trace_table_id)t);
        const ps_table_head *tb = ps_trace_table_const(b, (ps_trace_table_id)t);
        assert_int_equal(ta->count, tb->count);
        for (size_t row = 0; row < ta->count; row++) {
            for (size_t c = 0; c < spec->column_count; c++) {
                assert_same_cell(a, b, &spec->columns[c], ta, tb, row);
            }
        }
    }
}

static void round_trip_keeps_every_cell(void **state)
{
    (void)state;
    ps_error err = {0};
    const size_t sizes[] = {0, 1, 2, 777, 150000};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        print_message("seed %zu, %zu rows\n", i + 5, sizes[i]);
        write_file(sizes[i], i + 5);
        ps_trace_builder *builder;
        ps_trace *expected, *got;
        ps_container_state found;
        assert_ok(&err, ps_trace_builder_open_memory(&builder, &err));
        assert_ok(&err, write_rows(builder, sizes[i], i + 5, &err));
        assert_ok(&err, ps_trace_builder_take(builder, &expected, &err));
        assert_ok(&err, ps_trace_read(path, &got, &found, &err));
        assert_true(found.is_finished);
        assert_same_trace(expected, got);
        assert_string_equal(ps_trace_meta(got, "source"), "test");
        ps_trace_destroy(expected);
        ps_trace_destroy(got);
    }
    (void)unlink(path);
}

static unsigned char *load_file(size_t *bytes)
{
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    *bytes = (size_t)ftell(file);
    rewind(file);
    unsigned char *data = malloc(*bytes);
    assert_int_equal(fread(data, 1, *bytes, file), *bytes);
    (void)fclose(file);
    return data;
}

static void a_cut_file_yields_all_whole_chunks(void **state)
{
    (void)state;
    ps_error err = {0};
    write_file(120000, 9);
    size_t bytes;
    unsigned char *data = load_file(&bytes);
    uint64_t most = 0, last = 0;
    for (size_t keep = PS_HEADER_BYTES; keep <= bytes;
         keep += keep + 60000 < bytes ? (bytes - keep) / 8 : 7919) {
        ps_trace *trace;
        ps_container_state found;
        assert_ok(&err, ps_trace_read_memory(data, keep, &trace, &found, &err));
        const uint64_t events = ps_trace_event_count(trace);
        assert_true(events >= last); /* more bytes never yield fewer rows */
        assert_true(keep == bytes || !found.is_finished || found.cut_bytes == 0);
        last = events;
        most = events > most ? events : most;
        ps_trace_destroy(trace);
    }
    assert_true(most > 60000);
    free(data);
    (void)unlink(path);
}

static void damage_costs_only_the_chunk_it_hits(void **state)
{
    (void)state;
    ps_error err = {0};
    write_file(120000, 11);
    size_t bytes;
    unsigned char *data = load_file(&bytes);
    ps_trace *whole;
    assert_ok(&err, ps_trace_read_memory(data, bytes, &whole, NULL, &err));
    uint64_t rng = 3;
    for (int i = 0; i < 6; i++) {
        const size_t at = PS_HEADER_BYTES + next_random(&rng) % (bytes - PS_HEADER_BYTES);
        data[at] ^= 0x40;
        ps_trace *trace;
        ps_container_state found;
        assert_ok(&err, ps_trace_read_memory(data, bytes, &trace, &found, &err));
        assert_true(ps_trace_event_count(trace) + 80000 > ps_trace_event_count(whole));
        data[at] ^= 0x40;
        ps_trace_destroy(trace);
    }
    ps_trace_destroy(whole);
    free(data);
    (void)unlink(path);
}

static void foreign_bytes_are_refused_in_words(void **state)
{
    (void)state;
    ps_error err = {0};
    ps_trace *trace = NULL;
    const char text[64] = "{\"traceEvents\": []}";
    assert_int_equal(ps_trace_read_memory(text, sizeof text, &trace, NULL, &err), PS_BAD_INPUT);
    assert_non_null(strstr(err.message, "not a peakstep file"));
    assert_int_equal(ps_trace_read_memory(text, 0, &trace, NULL, &err), PS_BAD_INPUT);
    assert_int_equal(ps_trace_read("/", &trace, NULL, &err), PS_BAD_INPUT);
    assert_int_equal(ps_trace_read("/nowhere/at/all", &trace, NULL, &err), PS_IO);
    ps_container_reader *reader;
    write_file(10, 1);
    assert_int_equal(ps_container_open(path, PS_ARTEFACT_PLAN, &reader, &err), PS_UNSUPPORTED);
    (void)unlink(path);
}

static void a_failed_write_leaves_nothing(void **state)
{
    (void)state;
    ps_error err = {0};
    ps_trace_builder *builder;
    assert_int_equal(ps_trace_builder_open("/nowhere/at/all/x.pstrace", &builder, &err), PS_IO);
    assert_ok(&err, ps_trace_builder_open(path, &builder, &err));
    assert_ok(&err, write_rows(builder, 100, 3, &err));
    ps_trace_builder_abandon(builder);
    assert_int_equal(access(path, F_OK), -1);
    if (access("/dev/full", W_OK) == 0) {
        assert_ok(&err, ps_trace_builder_open("/dev/full", &builder, &err));
        assert_ok(&err, write_rows(builder, 100, 3, &err));
        assert_int_equal(ps_trace_builder_finish(builder, &err), PS_IO);
        assert_non_null(strstr(err.message, "No space left"));
    }
}

static void out_of_memory_is_a_result(void **state)
{
    (void)state;
    ps_error err = {0};
    write_file(500, 2);
    for (unsigned long n = 1; n < 400; n++) {
        ps_trace *trace = NULL;
        ps_memory_fail_nth(n);
        const ps_code code = ps_trace_read(path, &trace, NULL, &err);
        ps_memory_fail_nth(0);
        assert_true(code == PS_OK || code == PS_NOMEM);
        ps_trace_destroy(trace);
    }
    for (unsigned long n = 1; n < 400; n++) {
        ps_trace_builder *builder = NULL;
        ps_memory_fail_nth(n);
        ps_code code = ps_trace_builder_open(path, &builder, &err);
        if (code == PS_OK) {
            code = write_rows(builder, 20, 4, &err);
            if (code == PS_OK) {
                code = ps_trace_builder_finish(builder, &err);
            } else {
                ps_trace_builder_abandon(builder);
            }
        }
        ps_memory_fail_nth(0);
        assert_true(code == PS_OK || code == PS_NOMEM);
    }
    (void)unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_trip_keeps_every_cell),
        cmocka_unit_test(a_cut_file_yields_all_whole_chunks),
        cmocka_unit_test(damage_costs_only_the_chunk_it_hits),
        cmocka_unit_test(foreign_bytes_are_refused_in_words),
        cmocka_unit_test(a_failed_write_leaves_nothing),
        cmocka_unit_test(out_of_memory_is_a_result),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
