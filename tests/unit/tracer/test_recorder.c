/* SPDX-License-Identifier: MIT
 *
 * What goes into a recorder is in its file: at the end all of it, at any
 * moment before a prefix, and nothing older than a second is missing.
 */
#include "recorder_scene.h"

#include <pthread.h>
#include <string.h>
#include <unistd.h>

static int remove_file(void **state)
{
    (void)state;
    return unlink(feed_path());
}

static ps_trace *read_finished(void)
{
    ps_error err = {0};
    ps_trace *trace;
    ps_container_state found;
    assert_ok(&err, ps_trace_read(feed_path(), &trace, &found, &err));
    assert_true(found.is_finished);
    assert_int_equal(found.damaged_chunks, 0);
    return trace;
}

static void rows_in_are_rows_out_over_many_chunks(void **state)
{
    (void)state;
    enum { KERNELS = 400000 };
    feed self;
    const ps_recorder_options options = feed_options();
    feed_open(&self, &options);
    ps_marks *marks = ps_recorder_marks(self.recorder);
    ps_marks_fact(marks, "source", "tracer");
    for (uint32_t i = 0; i < 8; i++) {
        feed_kernels(&self, KERNELS / 8);
        ps_marks_range(marks, "between", PS_RANGE_ANNOTATION, i, i, i + 1);
        ps_marks_driver_memory(marks, i, PS_DRIVER_MAP, 0, i, 4096);
    }
    atomic_store(&self.source_drops, 17);
    feed_close(&self);
    ps_trace *trace = read_finished();
    assert_int_equal(feed_check_kernels(&self, trace), KERNELS);
    assert_int_equal(trace->range.head.count, 8);
    assert_int_equal(trace->driver_memory.head.count, 8);
    assert_string_equal(ps_trace_meta(trace, "source"), "tracer");
    assert_int_equal(feed_loss(trace, "dropped-records"), 17);
    assert_int_equal(trace->loss.head.count, 1);
    ps_trace_destroy(trace);
}

static void without_a_source_marks_are_written(void **state)
{
    (void)state;
    ps_error err = {0};
    ps_recorder *recorder;
    const ps_recorder_options options = feed_options();
    assert_ok(&err, ps_recorder_start(&options, &recorder, &err));
    ps_marks_range(ps_recorder_marks(recorder), "alone", PS_RANGE_OTHER, 1, 2, 3);
    ps_recorder_stop(recorder);
    ps_marks_range(ps_recorder_marks(recorder), "late", PS_RANGE_OTHER, 1, 2, 3);
    size_t bytes;
    unsigned char *data = ps_buffers_lend(ps_recorder_buffers(recorder), &bytes);
    assert_true(ps_buffers_hand_in(ps_recorder_buffers(recorder), data, 8)); /* still usable */
    ps_recorder_destroy(recorder);
    ps_recorder_destroy(NULL);
    ps_trace *trace = read_finished();
    assert_int_equal(trace->range.head.count, 1);
    assert_string_equal(ps_strings_text(trace->strings, trace->range.name[0]), "alone");
    ps_trace_destroy(trace);
}

static void one_bad_record_costs_no_other(void **state)
{
    (void)state;
    feed self;
    char *text = malloc(PS_STRING_MAX_BYTES + 2);
    assert_non_null(text);
    memset(text, 't', PS_STRING_MAX_BYTES + 1);
    text[PS_STRING_MAX_BYTES + 1] = '\0';
    const ps_recorder_options options = feed_options();
    feed_open(&self, &options);
    ps_buffers *buffers = ps_recorder_buffers(self.recorder);
    size_t bytes;
    unsigned char *data = ps_buffers_lend(buffers, &bytes);
    size_t at = feed_fill(&self, data, bytes, 100);
    assert_non_null(cupti_add_kernel(self.layout, data, bytes, &at, text, FEED_BASE_NS + 5,
                                     FEED_BASE_NS + 6, 1000000)); /* a name too long for a trace */
    at += feed_fill(&self, data + at, bytes - at, 100);
    assert_true(ps_buffers_hand_in(buffers, data, at));
    feed_close(&self);
    free(text);
    ps_trace *trace = read_finished();
    assert_int_equal(feed_check_kernels(&self, trace), 200);
    assert_int_equal(feed_loss(trace, "dropped-records"), 1);
    ps_trace_destroy(trace);
}

/* ---- at any moment ---- */

static void *feed_for_a_while(void *argument)
{
    feed *self = argument;
    for (int i = 0; i < 60; i++) {
        feed_kernels(self, 1 + (uint32_t)(i * 977 % 6000));
        ps_marks_range(ps_recorder_marks(self->recorder), "m", PS_RANGE_OTHER, (uint32_t)i, i, i);
        feed_sleep_ms(i % 5 * 10);
    }
    return NULL;
}

static void a_copy_of_the_growing_file_is_a_prefix(void **state)
{
    (void)state;
    feed self;
    pthread_t thread;
    uint64_t rng = 20;
    uint32_t seen = 0, distinct = 0;
    print_message("seed %llu\n", (unsigned long long)rng);
    const ps_recorder_options options = feed_options();
    feed_open(&self, &options);
    const int64_t end_ns = feed_now_ns() + INT64_C(2500000000);
    assert_int_equal(pthread_create(&thread, NULL, feed_for_a_while, &self), 0);
    while (feed_now_ns() < end_ns) {
        ps_container_state found;
        ps_trace *trace = feed_read_copy(feed_path(), &found);
        const feed unbounded = {.correlation = UINT32_MAX}; /* the thread counts on */
        const uint32_t rows = feed_check_kernels(&unbounded, trace);
        assert_false(found.is_finished);
        assert_int_equal(found.damaged_chunks, 0);
        assert_true(rows >= seen);
        for (size_t i = 0; i < trace->range.head.count; i++) {
            assert_int_equal(trace->range.tid[i], i);
        }
        distinct += rows > seen;
        seen = rows;
        ps_trace_destroy(trace);
        rng = rng * 6364136223846793005u + 1442695040888963407u;
        feed_sleep_ms((long)((rng >> 33) % 40));
    }
    (void)pthread_join(thread, NULL);
    feed_close(&self);
    assert_true(distinct >= 3);
    ps_trace *trace = read_finished();
    assert_int_equal(feed_check_kernels(&self, trace), self.correlation - 1);
    assert_int_equal(trace->range.head.count, 60);
    ps_trace_destroy(trace);
}

#define TRICKLE 40
#define SECOND_NS INT64_C(1000000000)

static void every_row_is_on_disk_within_a_second(void **state)
{
    (void)state;
    feed self;
    int64_t given_ns[TRICKLE];
    const ps_recorder_options options = feed_options();
    feed_open(&self, &options);
    for (uint32_t i = 0; i < TRICKLE; i++) {
        feed_kernels(&self, 1);
        ps_marks_range(ps_recorder_marks(self.recorder), "m", PS_RANGE_OTHER, i, i, i);
        given_ns[i] = feed_now_ns();
        feed_sleep_ms(60);
        const int64_t now_ns = feed_now_ns();
        ps_container_state found;
        ps_trace *trace = feed_read_copy(feed_path(), &found);
        uint32_t due = 0;
        while (due <= i && given_ns[due] + SECOND_NS <= now_ns) {
            due++;
        }
        assert_true(feed_check_kernels(&self, trace) >= due);
        assert_true(trace->range.head.count >= due);
        ps_trace_destroy(trace);
    }
    assert_true(atomic_load(&self.flushes) >= 3); /* the source is asked all the while */
    feed_close(&self);
}

/* ---- a source that does not rest ---- */

#define QUIET_CALL 17 /* cudaGetDevice, which makes no row */

typedef struct hurry {
    feed feed;
    atomic_bool is_over;
    _Atomic uint64_t queued, lost;
} hurry;

/* A kernel and many calls without a row. */
static size_t fill_quietly(cupti_layout layout, unsigned char *data, size_t bytes)
{
    size_t at = 0;
    assert_non_null(cupti_add_kernel(layout, data, bytes, &at, feed_name(1), FEED_BASE_NS,
                                     FEED_BASE_NS + 1, 1));
    while (cupti_add_call(layout, data, bytes, &at, QUIET_CALL, 1, 2, 3) != NULL) {
    }
    return at;
}

/* Hands in what the buffers hold from the last time: faster than anyone can decode it. */
static void *hurry_on(void *argument)
{
    hurry *self = argument;
    ps_buffers *buffers = ps_recorder_buffers(self->feed.recorder);
    size_t used = 0;
    while (!atomic_load(&self->is_over)) {
        size_t bytes;
        unsigned char *data = ps_buffers_lend(buffers, &bytes);
        const bool is_whole = bytes == PS_BUFFER_BYTES;
        if (is_whole && data[0] == 0) {
            used = fill_quietly(self->feed.layout, data, bytes);
        }
        if (ps_buffers_hand_in(buffers, data, is_whole ? used : 0)) {
            atomic_fetch_add(&self->queued, 1);
        } else {
            ps_buffers_drop(buffers, data, 1);
            atomic_fetch_add(&self->lost, 1);
        }
    }
    return NULL;
}

static void a_source_in_a_hurry_stops_neither_marks_nor_the_end(void **state)
{
    (void)state;
    static hurry self;
    pthread_t thread;
    const ps_recorder_options options = feed_options();
    feed_open(&self.feed, &options);
    assert_int_equal(pthread_create(&thread, NULL, hurry_on, &self), 0);
    feed_sleep_ms(500);
    ps_marks_range(ps_recorder_marks(self.feed.recorder), "m", PS_RANGE_OTHER, 1, 2, 3);
    feed_sleep_ms(1500);
    ps_container_state found;
    ps_trace *trace = feed_read_copy(feed_path(), &found);
    assert_int_equal(trace->range.head.count, 1);
    ps_trace_destroy(trace);
    ps_recorder_stop(self.feed.recorder); /* while records still come */
    atomic_store(&self.is_over, true);
    (void)pthread_join(thread, NULL);
    ps_recorder_destroy(self.feed.recorder);
    trace = read_finished();
    assert_true(trace->kernel.head.count > 0 &&
                trace->kernel.head.count <= atomic_load(&self.queued));
    assert_true(feed_loss(trace, "dropped-records") <= atomic_load(&self.lost));
    ps_trace_destroy(trace);
}

/* ---- several threads ---- */

#define FEEDERS 3
#define EACH 20000

typedef struct feeder {
    feed own; /* of the same recorder */
    pthread_t thread;
} feeder;

static void *feed_own(void *argument)
{
    feeder *self = argument;
    for (uint32_t i = 0; i < EACH; i += 500) {
        feed_kernels(&self->own, 500);
        ps_marks_range(ps_recorder_marks(self->own.recorder), "m", PS_RANGE_OTHER, 1, i, i);
    }
    return NULL;
}

static void several_threads_lose_nothing(void **state)
{
    (void)state;
    feed self;
    feeder feeders[FEEDERS];
    const ps_recorder_options options = feed_options();
    feed_open(&self, &options);
    for (uint32_t i = 0; i < FEEDERS; i++) {
        feeders[i].own = (feed){
            .recorder = self.recorder, .layout = CUPTI_13, .correlation = 1 + i * EACH, .rng = i};
        assert_int_equal(pthread_create(&feeders[i].thread, NULL, feed_own, &feeders[i]), 0);
    }
    for (int i = 0; i < FEEDERS; i++) {
        (void)pthread_join(feeders[i].thread, NULL);
    }
    feed_close(&self);
    ps_trace *trace = read_finished();
    static bool is_there[1 + FEEDERS * EACH];
    assert_int_equal(trace->kernel.head.count, FEEDERS * EACH);
    for (size_t i = 0; i < trace->kernel.head.count; i++) {
        const uint64_t correlation = trace->kernel.correlation[i];
        assert_true(correlation <= FEEDERS * EACH && !is_there[correlation]);
        is_there[correlation] = true;
        assert_string_equal(ps_strings_text(trace->strings, trace->kernel.name[i]),
                            feed_name((uint32_t)correlation));
    }
    assert_int_equal(trace->range.head.count, FEEDERS * EACH / 500);
    assert_int_equal(trace->loss.head.count, 0);
    ps_trace_destroy(trace);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(rows_in_are_rows_out_over_many_chunks, remove_file),
        cmocka_unit_test_teardown(without_a_source_marks_are_written, remove_file),
        cmocka_unit_test_teardown(one_bad_record_costs_no_other, remove_file),
        cmocka_unit_test_teardown(a_copy_of_the_growing_file_is_a_prefix, remove_file),
        cmocka_unit_test_teardown(every_row_is_on_disk_within_a_second, remove_file),
        cmocka_unit_test_teardown(a_source_in_a_hurry_stops_neither_marks_nor_the_end, remove_file),
        cmocka_unit_test_teardown(several_threads_lose_nothing, remove_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
