/* SPDX-License-Identifier: MIT
 *
 * Marks of any thread are taken whole, bounded, and counted when they are not
 * kept.
 */
#include "support/test.h"

#include <pthread.h>
#include <string.h>

#include "marks.h"

typedef struct pair {
    ps_marks *marks;
    ps_trace *rows;
} pair;

static int open_pair(void **state)
{
    static pair self;
    self.marks = ps_marks_create();
    self.rows = ps_trace_create();
    *state = &self;
    return self.marks != NULL && self.rows != NULL ? 0 : -1;
}

static int close_pair(void **state)
{
    pair *self = *state;
    ps_marks_destroy(self->marks);
    ps_trace_destroy(self->rows);
    return 0;
}

static void empty(ps_trace *rows)
{
    for (int t = 0; t < PS_TRACE_TABLE_COUNT; t++) {
        ps_table_clear(ps_trace_table(rows, (ps_trace_table_id)t));
    }
    ps_strings_clear(rows->strings);
}

static uint64_t loss(const ps_trace *rows, const char *name)
{
    for (size_t i = 0; i < rows->loss.head.count; i++) {
        if (strcmp(ps_strings_text(rows->strings, rows->loss.name[i]), name) == 0) {
            return rows->loss.count[i];
        }
    }
    return 0;
}

static void every_kind_of_mark_is_kept(void **state)
{
    pair *self = *state;
    const ps_trace *before = self->rows;
    assert_false(ps_marks_swap(self->marks, &self->rows));
    assert_ptr_equal(self->rows, before);
    ps_marks_range(self->marks, "forward", PS_RANGE_PYTHON, 12, 100, 150);
    ps_marks_range(self->marks, "reversed", PS_RANGE_ANNOTATION, 13, 100, 90);
    ps_marks_driver_memory(self->marks, 7, PS_DRIVER_MAP, 3, 0x1000, 4096);
    ps_marks_fact(self->marks, "rank", "0");
    ps_marks_fact(self->marks, "rank", "5");
    ps_marks_loss(self->marks, "lost-stacks", 4);
    ps_marks_loss(self->marks, "lost-stacks", 3);
    ps_marks_loss(self->marks, "nothing", 0);
    assert_true(ps_marks_swap(self->marks, &self->rows));
    const ps_trace *rows = self->rows;
    assert_int_equal(rows->range.head.count, 2);
    assert_string_equal(ps_strings_text(rows->strings, rows->range.name[0]), "forward");
    assert_int_equal(rows->range.start_ns[0], 100);
    assert_int_equal(rows->range.dur_ns[0], 50);
    assert_int_equal(rows->range.tid[0], 12);
    assert_int_equal(rows->range.category[0], PS_RANGE_PYTHON);
    assert_int_equal(rows->range.dur_ns[1], 0);
    assert_int_equal(rows->driver_memory.head.count, 1);
    assert_int_equal(rows->driver_memory.action[0], PS_DRIVER_MAP);
    assert_int_equal(rows->driver_memory.kind[0], PS_MEMORY_DEVICE);
    assert_int_equal(rows->driver_memory.addr[0], 0x1000);
    assert_int_equal(rows->driver_memory.bytes[0], 4096);
    assert_int_equal(rows->driver_memory.device[0], 3);
    assert_true(rows->driver_memory.stream[0] == UINT64_MAX);
    assert_string_equal(ps_trace_meta(rows, "rank"), "5");
    assert_int_equal(rows->meta.head.count, 1);
    assert_int_equal(loss(rows, "lost-stacks"), 7);
    assert_int_equal(rows->loss.head.count, 1);
    empty(self->rows);
    assert_false(ps_marks_swap(self->marks, &self->rows));
}

static void each_alone_is_worth_a_swap(void **state)
{
    pair *self = *state;
    for (int i = 0; i < 4; i++) {
        if (i == 0) {
            ps_marks_range(self->marks, "r", PS_RANGE_OTHER, 1, 0, 1);
        } else if (i == 1) {
            ps_marks_driver_memory(self->marks, 7, PS_DRIVER_MAP, 3, 0x1000, 4096);
        } else if (i == 2) {
            ps_marks_fact(self->marks, "k", "v");
        } else {
            ps_marks_loss(self->marks, "cut-ranges", 1);
        }
        assert_true(ps_marks_swap(self->marks, &self->rows));
        empty(self->rows);
        assert_false(ps_marks_swap(self->marks, &self->rows));
    }
}

static void more_than_the_bound_is_counted(void **state)
{
    pair *self = *state;
    for (uint32_t i = 0; i < PS_MARKS_MAX_ROWS + 11; i++) {
        ps_marks_range(self->marks, "r", PS_RANGE_OTHER, i, i, i + 1);
        ps_marks_driver_memory(self->marks, i, PS_DRIVER_MAP, 0, i, 1);
    }
    ps_marks_fact(self->marks, "still", "kept");
    assert_true(ps_marks_swap(self->marks, &self->rows));
    assert_int_equal(self->rows->range.head.count, PS_MARKS_MAX_ROWS);
    assert_int_equal(self->rows->driver_memory.head.count, PS_MARKS_MAX_ROWS);
    assert_int_equal(self->rows->range.tid[PS_MARKS_MAX_ROWS - 1], PS_MARKS_MAX_ROWS - 1);
    assert_int_equal(loss(self->rows, "dropped-marks"), 22);
    assert_string_equal(ps_trace_meta(self->rows, "still"), "kept");
    empty(self->rows);
    ps_marks_range(self->marks, "r", PS_RANGE_OTHER, 1, 0, 1); /* room again */
    assert_true(ps_marks_swap(self->marks, &self->rows));
    assert_int_equal(self->rows->range.head.count, 1);
    assert_int_equal(loss(self->rows, "dropped-marks"), 0);
}

static void a_text_too_long_is_counted(void **state)
{
    pair *self = *state;
    char *text = malloc(PS_STRING_MAX_BYTES + 2);
    assert_non_null(text);
    memset(text, 't', PS_STRING_MAX_BYTES + 1);
    text[PS_STRING_MAX_BYTES + 1] = '\0';
    ps_marks_range(self->marks, text, PS_RANGE_OTHER, 1, 0, 1);
    ps_marks_fact(self->marks, "key", text);
    ps_marks_loss(self->marks, text, 1);
    free(text);
    assert_true(ps_marks_swap(self->marks, &self->rows));
    assert_int_equal(loss(self->rows, "dropped-marks"), 3);
    assert_int_equal(ps_trace_event_count(self->rows), 0);
}

/* ---- threads ---- */

#define WRITERS 4
#define MARKS 5000

typedef struct writer {
    pthread_t thread;
    ps_marks *marks;
    uint32_t number;
} writer;

static void *write_marks(void *argument)
{
    const writer *self = argument;
    char name[24];
    for (int i = 0; i < MARKS; i++) {
        (void)snprintf(name, sizeof name, "w%u %d", (unsigned)self->number, i % 50);
        ps_marks_range(self->marks, name, PS_RANGE_OTHER, self->number, i, i + 1);
        ps_marks_driver_memory(self->marks, i, PS_DRIVER_MAP, self->number, (uint64_t)i, 1);
        ps_marks_loss(self->marks, "cut-ranges", 1);
        ps_marks_fact(self->marks, name, name);
    }
    return NULL;
}

/* Rows of each writer come in its order, with its names. */
static void check_rows(const ps_trace *rows, int64_t next[WRITERS], uint64_t *memory,
                       uint64_t *losses)
{
    char name[24];
    for (size_t i = 0; i < rows->range.head.count; i++) {
        const uint64_t tid = rows->range.tid[i];
        assert_true(tid < WRITERS);
        assert_int_equal(rows->range.start_ns[i], next[tid]);
        (void)snprintf(name, sizeof name, "w%u %d", (unsigned)tid, (int)(next[tid] % 50));
        assert_string_equal(ps_strings_text(rows->strings, rows->range.name[i]), name);
        next[tid]++;
    }
    *memory += rows->driver_memory.head.count;
    *losses += loss(rows, "cut-ranges");
    assert_int_equal(loss(rows, "dropped-marks"), 0);
}

static void threads_lose_and_mix_nothing(void **state)
{
    pair *self = *state;
    writer writers[WRITERS];
    int64_t next[WRITERS] = {0};
    uint64_t memory = 0, losses = 0;
    for (uint32_t i = 0; i < WRITERS; i++) {
        writers[i] = (writer){.marks = self->marks, .number = i};
        assert_int_equal(pthread_create(&writers[i].thread, NULL, write_marks, &writers[i]), 0);
    }
    for (int i = 0; i < 300; i++) {
        if (ps_marks_swap(self->marks, &self->rows)) {
            check_rows(self->rows, next, &memory, &losses);
            empty(self->rows);
        }
    }
    for (int i = 0; i < WRITERS; i++) {
        (void)pthread_join(writers[i].thread, NULL);
    }
    if (ps_marks_swap(self->marks, &self->rows)) {
        check_rows(self->rows, next, &memory, &losses);
    }
    for (int i = 0; i < WRITERS; i++) {
        assert_int_equal(next[i], MARKS);
    }
    assert_int_equal(memory, WRITERS * MARKS);
    assert_int_equal(losses, WRITERS * MARKS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_kind_of_mark_is_kept, open_pair, close_pair),
        cmocka_unit_test_setup_teardown(each_alone_is_worth_a_swap, open_pair, close_pair),
        cmocka_unit_test_setup_teardown(more_than_the_bound_is_counted, open_pair, close_pair),
        cmocka_unit_test_setup_teardown(a_text_too_long_is_counted, open_pair, close_pair),
        cmocka_unit_test_setup_teardown(threads_lose_and_mix_nothing, open_pair, close_pair),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
