/* SPDX-License-Identifier: MIT
 *
 * Workloads as files: every cell comes back, equal workloads give equal
 * bytes, and half a workload is no workload.
 */
#include "unit/workload_file/make_workload.h"

#include <string.h>
#include <unistd.h>

#include "base/memory.h"

static const char *const path = PS_TEST_BINARY_DIR "/test_workload_file.pswork";

/* Any bits in any column: the codec must not care about meaning. */
static void fill_row(ps_workload *workload, ps_workload_table_id id, uint64_t *rng)
{
    const ps_table_spec *spec = &ps_workload_specs()[id];
    const size_t row = workload_row(workload, id);
    for (size_t c = 0; c < spec->column_count; c++) {
        uint64_t value = workload_random(rng) >> (workload_random(rng) % 60);
        if (spec->columns[c].type == PS_COLUMN_I64 && (workload_random(rng) & 1) != 0) {
            value = 0 - value;
        }
        if (spec->columns[c].type == PS_COLUMN_STR) {
            char text[32];
            (void)snprintf(text, sizeof text, "s%u", (unsigned)(value % 50));
            value = workload_text(workload, text);
        }
        ps_table_set(&spec->columns[c], ps_workload_table(workload, id), row, value);
    }
}

static void assert_same(const ps_workload *a, const ps_workload *b)
{
    for (int t = 0; t < PS_WORKLOAD_TABLE_COUNT; t++) {
        const ps_table_spec *spec = &ps_workload_specs()[t];
        const ps_table_head *ta = ps_workload_table_const(a, (ps_workload_table_id)t);
        const ps_table_head *tb = ps_workload_table_const(b, (ps_workload_table_id)t);
        assert_int_equal(ta->count, tb->count);
        for (size_t row = 0; row < ta->count; row++) {
            for (size_t c = 0; c < spec->column_count; c++) {
                const ps_column_spec *column = &spec->columns[c];
                const uint64_t va = ps_table_get(column, ta, row);
                const uint64_t vb = ps_table_get(column, tb, row);
                if (column->type == PS_COLUMN_STR) {
                    assert_string_equal(ps_strings_text(a->strings, (ps_str)va),
                                        ps_strings_text(b->strings, (ps_str)vb));
                } else {
                    assert_true(va == vb);
                }
            }
        }
    }
}

/* Reads the tables alone, without the checks a workload must pass. */
static ps_workload *read_tables(void)
{
    ps_error err = {0};
    ps_workload *workload = workload_new();
    ps_table_head *tables[PS_WORKLOAD_TABLE_COUNT];
    for (int i = 0; i < PS_WORKLOAD_TABLE_COUNT; i++) {
        tables[i] = ps_workload_table(workload, (ps_workload_table_id)i);
    }
    const ps_dataset data = {ps_workload_specs(), PS_WORKLOAD_TABLE_COUNT, tables,
                             workload->strings};
    ps_container_reader *reader;
    assert_ok(&err, ps_container_open(path, PS_ARTEFACT_WORKLOAD, &reader, &err));
    assert_true(ps_container_get_state(reader).is_finished);
    assert_ok(&err, ps_container_read_all(reader, &data, &err));
    assert_int_equal(ps_container_get_state(reader).damaged_chunks, 0);
    ps_container_close(reader);
    return workload;
}

static void every_cell_comes_back(void **state)
{
    (void)state;
    ps_error err = {0};
    const size_t sizes[] = {0, 1, 2, 777, 200000};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        uint64_t rng = i + 5;
        print_message("seed %zu, %zu rows\n", i + 5, sizes[i]);
        ps_workload *workload = workload_new();
        for (size_t row = 0; row < sizes[i]; row++) {
            /* two thirds in one table, so that it spans chunks */
            const uint64_t any = workload_random(&rng) % (3 * PS_WORKLOAD_TABLE_COUNT);
            fill_row(workload,
                     any < PS_WORKLOAD_TABLE_COUNT ? (ps_workload_table_id)any : PS_WORKLOAD_EVENT,
                     &rng);
        }
        assert_ok(&err, ps_workload_write(workload, path, &err));
        ps_workload *got = read_tables();
        assert_same(workload, got);
        ps_workload_destroy(got);
        ps_workload_destroy(workload);
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

static void a_valid_workload_is_read_and_its_bytes_are_stable(void **state)
{
    (void)state;
    ps_error err = {0};
    ps_workload *workload = workload_random_new(200000, 17);
    assert_ok(&err, ps_workload_set_meta(workload, "model", "none", &err));
    assert_ok(&err, ps_workload_set_meta(workload, "model", "gpt2", &err));
    assert_ok(&err, ps_workload_write(workload, path, &err));
    size_t bytes, again_bytes;
    unsigned char *data = load_file(&bytes);
    ps_workload *got;
    assert_ok(&err, ps_workload_read(path, &got, &err));
    assert_same(workload, got);
    assert_string_equal(ps_workload_meta(got, "model"), "gpt2");
    assert_null(ps_workload_meta(got, "absent"));
    assert_ok(&err, ps_workload_write(got, path, &err)); /* strings in another order, same bytes */
    unsigned char *again = load_file(&again_bytes);
    assert_int_equal(bytes, again_bytes);
    assert_memory_equal(data, again, bytes);
    free(data);
    free(again);
    ps_workload_destroy(got);
    ps_workload_destroy(workload);
    (void)unlink(path);
}

static void half_a_workload_is_refused(void **state)
{
    (void)state;
    ps_error err = {0};
    ps_workload *workload = workload_random_new(200, 3);
    assert_ok(&err, ps_workload_write(workload, path, &err));
    size_t bytes;
    unsigned char *data = load_file(&bytes);
    ps_workload *got;
    for (size_t keep = 0; keep < bytes; keep++) {
        const ps_code code = ps_workload_read_memory(data, keep, &got, &err);
        assert_true(code == PS_TRUNCATED || code == PS_BAD_INPUT);
        if (keep > 100) {
            assert_non_null(strstr(err.message, "half a workload is no workload"));
        }
    }
    for (size_t at = 0; at < bytes; at++) {
        data[at] ^= 0x10;
        if (ps_workload_read_memory(data, bytes, &got, &err) == PS_OK) {
            assert_same(workload, got); /* a bit that compression leaves unused */
            ps_workload_destroy(got);
        }
        data[at] ^= 0x10;
    }
    assert_ok(&err, ps_workload_read_memory(data, bytes, &got, &err));
    ps_workload_destroy(got);
    free(data);
    ps_workload_destroy(workload);
    (void)unlink(path);
}

static void what_is_no_workload_is_refused(void **state)
{
    (void)state;
    ps_error err = {0};
    ps_workload *workload = workload_new(), *got;
    (void)workload_event(workload, PS_WORKLOAD_EVENT_OP, 7);
    assert_ok(&err, ps_workload_write(workload, path, &err));
    assert_int_equal(ps_workload_read(path, &got, &err), PS_CHECK_FAILED);
    assert_non_null(strstr(err.frame[0], path));
    assert_int_equal(ps_workload_read("/nowhere/at/all", &got, &err), PS_IO);
    assert_int_equal(ps_workload_write(workload, "/nowhere/at/all", &err), PS_IO);
    ps_workload_destroy(workload);
    ps_workload_destroy(NULL);
    (void)unlink(path);
}

static void out_of_memory_is_a_result(void **state)
{
    (void)state;
    ps_error err = {0};
    ps_workload *workload = workload_random_new(50, 4);
    size_t ok_count = 0;
    for (unsigned long n = 1; n < 300; n++) {
        ps_workload *got = NULL;
        ps_memory_fail_nth(n);
        ps_code code = ps_workload_write(workload, path, &err);
        ps_memory_fail_nth(0);
        assert_true(code == PS_OK || code == PS_NOMEM);
        assert_ok(&err, ps_workload_write(workload, path, &err));
        ps_memory_fail_nth(n);
        code = ps_workload_read(path, &got, &err);
        ps_memory_fail_nth(0);
        assert_true(code == PS_OK || code == PS_NOMEM);
        ok_count += code == PS_OK ? 1 : 0;
        ps_workload_destroy(got);
    }
    assert_true(ok_count > 0 && ok_count < 299); /* both happened */
    ps_workload_destroy(workload);
    (void)unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_cell_comes_back),
        cmocka_unit_test(a_valid_workload_is_read_and_its_bytes_are_stable),
        cmocka_unit_test(half_a_workload_is_refused),
        cmocka_unit_test(what_is_no_workload_is_refused),
        cmocka_unit_test(out_of_memory_is_a_result),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
