/* SPDX-License-Identifier: MIT
 *
 * Plans as files: every cell comes back, equal plans give equal bytes, and
 * half a plan is no plan.
 */
#include "unit/plan/make_plan.h"

#include <string.h>
#include <unistd.h>

#include "base/memory.h"

static const char *const path = PS_TEST_BINARY_DIR "/test_plan_file.psplan";

/* Any bits in any column: the codec must not care about meaning. */
static void fill_row(ps_plan *plan, ps_plan_table_id id, uint64_t *rng)
{
    const ps_table_spec *spec = &ps_plan_specs()[id];
    const size_t row = plan_row(plan, id);
    for (size_t c = 0; c < spec->column_count; c++) {
        uint64_t value = plan_random(rng) >> (plan_random(rng) % 60);
        if (spec->columns[c].type == PS_COLUMN_I64 && (plan_random(rng) & 1) != 0) {
            value = 0 - value;
        }
        if (spec->columns[c].type == PS_COLUMN_STR) {
            char text[32];
            (void)snprintf(text, sizeof text, "s%u", (unsigned)(value % 50));
            value = plan_text(plan, text);
        }
        ps_table_set(&spec->columns[c], ps_plan_table(plan, id), row, value);
    }
}

static void assert_same_plan(const ps_plan *a, const ps_plan *b)
{
    for (int t = 0; t < PS_PLAN_TABLE_COUNT; t++) {
        const ps_table_spec *spec = &ps_plan_specs()[t];
        const ps_table_head *ta = ps_plan_table_const(a, (ps_plan_table_id)t);
        const ps_table_head *tb = ps_plan_table_const(b, (ps_plan_table_id)t);
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

/* Reads the tables alone, without the checks a plan must pass. */
static ps_plan *read_tables(void)
{
    ps_error err = {0};
    ps_plan *plan = plan_new();
    ps_table_head *tables[PS_PLAN_TABLE_COUNT];
    for (int i = 0; i < PS_PLAN_TABLE_COUNT; i++) {
        tables[i] = ps_plan_table(plan, (ps_plan_table_id)i);
    }
    const ps_dataset data = {ps_plan_specs(), PS_PLAN_TABLE_COUNT, tables, plan->strings};
    ps_container_reader *reader;
    assert_ok(&err, ps_container_open(path, PS_ARTEFACT_PLAN, &reader, &err));
    assert_true(ps_container_get_state(reader).is_finished);
    assert_ok(&err, ps_container_read_all(reader, &data, &err));
    assert_int_equal(ps_container_get_state(reader).damaged_chunks, 0);
    ps_container_close(reader);
    return plan;
}

static void every_cell_comes_back(void **state)
{
    (void)state;
    ps_error err = {0};
    const size_t sizes[] = {0, 1, 2, 777, 200000};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        uint64_t rng = i + 5;
        print_message("seed %zu, %zu rows\n", i + 5, sizes[i]);
        ps_plan *plan = plan_new();
        for (size_t row = 0; row < sizes[i]; row++) {
            /* two thirds in one table, so that it spans chunks */
            const uint64_t any = plan_random(&rng) % (3 * PS_PLAN_TABLE_COUNT);
            fill_row(plan, any < PS_PLAN_TABLE_COUNT ? (ps_plan_table_id)any : PS_PLAN_TASK, &rng);
        }
        assert_ok(&err, ps_plan_write(plan, path, &err));
        ps_plan *got = read_tables();
        assert_same_plan(plan, got);
        ps_plan_destroy(got);
        ps_plan_destroy(plan);
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

static void a_valid_plan_is_read_and_its_bytes_are_stable(void **state)
{
    (void)state;
    ps_error err = {0};
    ps_plan *plan = plan_random_new(&(plan_shape){100000, 5000, 1 << 20}, 17);
    assert_ok(&err, ps_plan_set_meta(plan, "policy", "none", &err));
    assert_ok(&err, ps_plan_set_meta(plan, "policy", "zero3", &err));
    assert_ok(&err, ps_plan_write(plan, path, &err));
    size_t bytes, again_bytes;
    unsigned char *data = load_file(&bytes);
    ps_plan *got;
    assert_ok(&err, ps_plan_read(path, &got, &err));
    assert_same_plan(plan, got);
    assert_string_equal(ps_plan_meta(got, "policy"), "zero3");
    assert_null(ps_plan_meta(got, "absent"));
    assert_ok(&err, ps_plan_write(got, path, &err)); /* strings in another order, same bytes */
    unsigned char *again = load_file(&again_bytes);
    assert_int_equal(bytes, again_bytes);
    assert_memory_equal(data, again, bytes);
    free(data);
    free(again);
    ps_plan_destroy(got);
    ps_plan_destroy(plan);
    (void)unlink(path);
}

static void half_a_plan_is_refused(void **state)
{
    (void)state;
    ps_error err = {0};
    ps_plan *plan = plan_random_new(&(plan_shape){200, 5000, 1 << 20}, 3);
    assert_ok(&err, ps_plan_write(plan, path, &err));
    size_t bytes;
    unsigned char *data = load_file(&bytes);
    ps_plan *got;
    for (size_t keep = 0; keep < bytes; keep++) {
        const ps_code code = ps_plan_read_memory(data, keep, &got, &err);
        assert_true(code == PS_TRUNCATED || code == PS_BAD_INPUT);
        if (keep > 100) {
            assert_non_null(strstr(err.message, "half a plan is no plan"));
        }
    }
    for (size_t at = 0; at < bytes; at++) {
        data[at] ^= 0x10;
        if (ps_plan_read_memory(data, bytes, &got, &err) == PS_OK) {
            assert_same_plan(plan, got); /* a bit that compression leaves unused */
            ps_plan_destroy(got);
        }
        data[at] ^= 0x10;
    }
    assert_ok(&err, ps_plan_read_memory(data, bytes, &got, &err));
    ps_plan_destroy(got);
    free(data);
    ps_plan_destroy(plan);
    (void)unlink(path);
}

static void what_is_no_plan_is_refused(void **state)
{
    (void)state;
    ps_error err = {0};
    ps_plan *plan = plan_new(), *got;
    const size_t task = plan_row(plan, PS_PLAN_TASK);
    plan->task.lane[task] = 7;
    assert_ok(&err, ps_plan_write(plan, path, &err));
    assert_int_equal(ps_plan_read(path, &got, &err), PS_CHECK_FAILED);
    assert_non_null(strstr(err.frame[0], path));
    assert_int_equal(ps_plan_read("/nowhere/at/all", &got, &err), PS_IO);
    assert_int_equal(ps_plan_write(plan, "/nowhere/at/all", &err), PS_IO);
    ps_plan_destroy(plan);
    ps_plan_destroy(NULL);
    (void)unlink(path);
}

static void out_of_memory_is_a_result(void **state)
{
    (void)state;
    ps_error err = {0};
    ps_plan *plan = plan_random_new(&(plan_shape){50, 5000, 1 << 20}, 4);
    size_t ok_count = 0;
    for (unsigned long n = 1; n < 300; n++) {
        ps_plan *got = NULL;
        ps_memory_fail_nth(n);
        ps_code code = ps_plan_write(plan, path, &err);
        ps_memory_fail_nth(0);
        assert_true(code == PS_OK || code == PS_NOMEM);
        assert_ok(&err, ps_plan_write(plan, path, &err));
        ps_memory_fail_nth(n);
        code = ps_plan_read(path, &got, &err);
        ps_memory_fail_nth(0);
        assert_true(code == PS_OK || code == PS_NOMEM);
        ok_count += code == PS_OK ? 1 : 0;
        ps_plan_destroy(got);
    }
    assert_true(ok_count > 0 && ok_count < 299); /* both happened */
    ps_plan_destroy(plan);
    (void)unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_cell_comes_back),
        cmocka_unit_test(a_valid_plan_is_read_and_its_bytes_are_stable),
        cmocka_unit_test(half_a_plan_is_refused),
        cmocka_unit_test(what_is_no_plan_is_refused),
        cmocka_unit_test(out_of_memory_is_a_result),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
