/* SPDX-License-Identifier: MIT
 *
 * Waits find the recording of their event whichever comes first, markers
 * become ranges, overhead is named.
 */
#include "decode_scene.h"

#include <string.h>

#define RING 65536u /* recordings that are remembered */

/* ---- events and waits ---- */

static void record_event(scene *self, cupti_layout layout, uint32_t event, uint64_t sync,
                         uint32_t stream, uint32_t correlation)
{
    unsigned char *record = scene_record(layout, PS_CUPTI_CUDA_EVENT);
    cupti_put_u32(record, 4, correlation);
    cupti_put_u32(record, 12, stream);
    cupti_put_u32(record, 16, event);
    if (layout == CUPTI_13) {
        cupti_put_u64(record, 48, sync);
    }
    scene_decode(self, layout, record);
}

static void wait_for(scene *self, cupti_layout layout, uint32_t type, uint32_t event, uint64_t sync)
{
    unsigned char *record = scene_record(layout, PS_CUPTI_SYNCHRONIZATION);
    cupti_put_u32(record, 4, type);
    cupti_put_u64(record, 8, SCENE_AT(50));
    cupti_put_u64(record, 16, SCENE_AT(80));
    cupti_put_u32(record, 24, 600);
    cupti_put_u32(record, 32, type == 2 ? 9 : PS_CUPTI_NO_ID);
    cupti_put_u32(record, 36, event);
    if (layout == CUPTI_13) {
        cupti_put_u64(record, 40, sync);
    }
    scene_decode(self, layout, record);
}

static void settle(scene *self)
{
    ps_error err = {0};
    assert_ok(&err, ps_decoder_settle(self->decoder, self->chunk, &err));
}

static size_t waits(const scene *self)
{
    return self->chunk->sync.head.count;
}

static void assert_wait(const scene *self, size_t row, uint8_t kind, uint64_t event,
                        uint64_t correlation, uint64_t stream)
{
    assert_cells(self, PS_TABLE_SYNC, row, {"start_ns", 50, ""}, {"dur_ns", 30, ""},
                 {"stream", kind == PS_SYNC_STREAM_WAIT ? 9 : UINT64_MAX, ""},
                 {"correlation", 600, ""}, {"kind", kind, ""}, {"event_id", event, ""},
                 {"record_correlation", correlation, ""}, {"record_stream", stream, ""});
}

static void a_wait_after_its_event(void **state)
{
    (void)state;
    for (cupti_layout layout = CUPTI_11; layout <= CUPTI_13; layout++) {
        scene self;
        scene_open(&self);
        record_event(&self, layout, 21, 1001, 7, 500);
        record_event(&self, layout, 22, 1002, 8, 501);
        wait_for(&self, layout, 1, 21, 1001);
        wait_for(&self, layout, 2, 22, 1002);
        assert_int_equal(waits(&self), 2); /* at once */
        assert_wait(&self, 0, PS_SYNC_EVENT, 21, 500, 7);
        assert_wait(&self, 1, PS_SYNC_STREAM_WAIT, 22, 501, 8);
        settle(&self);
        assert_int_equal(scene_rows(&self), 2);
        scene_close(&self);
    }
}

static void a_wait_before_its_event_is_held_until_the_chunk_ends(void **state)
{
    (void)state;
    for (cupti_layout layout = CUPTI_11; layout <= CUPTI_13; layout++) {
        scene self;
        scene_open(&self);
        wait_for(&self, layout, 2, 21, 1001);
        wait_for(&self, layout, 1, 22, 1002); /* whose recording never comes */
        assert_int_equal(waits(&self), 0);
        record_event(&self, layout, 21, 1001, 7, 500);
        settle(&self);
        assert_int_equal(waits(&self), 2);
        assert_wait(&self, 0, PS_SYNC_STREAM_WAIT, 21, 500, 7);
        assert_wait(&self, 1, PS_SYNC_EVENT, 22, 0, UINT64_MAX);
        settle(&self);
        assert_int_equal(waits(&self), 2); /* once only */
        scene_close(&self);
    }
}

static void without_sync_ids_the_latest_recording_of_the_event_counts(void **state)
{
    (void)state;
    scene self;
    scene_open(&self);
    record_event(&self, CUPTI_12, 21, 0, 7, 500);
    record_event(&self, CUPTI_12, 21, 0, 8, 501);
    wait_for(&self, CUPTI_12, 2, 21, 0);
    assert_wait(&self, 0, PS_SYNC_STREAM_WAIT, 21, 501, 8);
    /* the newest layout with sync ids of 0 names the event itself, too */
    record_event(&self, CUPTI_13, 21, 0, 3, 502);
    wait_for(&self, CUPTI_13, 2, 21, 0);
    assert_wait(&self, 1, PS_SYNC_STREAM_WAIT, 21, 502, 3);
    scene_close(&self);
}

static void sync_ids_tell_recordings_of_one_event_apart(void **state)
{
    (void)state;
    scene self;
    scene_open(&self);
    record_event(&self, CUPTI_13, 21, 1001, 7, 500);
    record_event(&self, CUPTI_13, 21, 1002, 8, 501);
    wait_for(&self, CUPTI_13, 2, 21, 1001);
    wait_for(&self, CUPTI_13, 2, 21, 1002);
    assert_wait(&self, 0, PS_SYNC_STREAM_WAIT, 21, 500, 7);
    assert_wait(&self, 1, PS_SYNC_STREAM_WAIT, 21, 501, 8);
    scene_close(&self);
}

static void waits_for_streams_and_devices_name_no_event(void **state)
{
    (void)state;
    for (cupti_layout layout = CUPTI_11; layout <= CUPTI_13; layout++) {
        static const uint8_t kinds[] = {PS_SYNC_UNKNOWN, PS_SYNC_STREAM, PS_SYNC_DEVICE,
                                        PS_SYNC_UNKNOWN};
        static const uint32_t types[] = {0, 3, 4, 5};
        scene self;
        scene_open(&self);
        record_event(&self, layout, PS_CUPTI_NO_ID, 0, 7, 500);
        for (size_t i = 0; i < 4; i++) {
            wait_for(&self, layout, types[i], PS_CUPTI_NO_ID, 0);
            assert_int_equal(waits(&self), i + 1);
            assert_wait(&self, i, kinds[i], 0, 0, UINT64_MAX);
        }
        scene_close(&self);
    }
}

static void forgotten_recordings_are_unknown_not_mixed_up(void **state)
{
    (void)state;
    for (uint32_t correlation = 0; correlation < 2; correlation++) {
        scene self;
        scene_open(&self);
        for (uint32_t i = 1; i <= RING + 100; i++) {
            record_event(&self, CUPTI_13, i, i, i, correlation);
        }
        wait_for(&self, CUPTI_13, 1, 50, 50);
        settle(&self);
        assert_wait(&self, 0, PS_SYNC_EVENT, 50, 0, UINT64_MAX);
        wait_for(&self, CUPTI_13, 1, 101, 101);
        assert_wait(&self, 1, PS_SYNC_EVENT, 101, correlation, 101);
        wait_for(&self, CUPTI_13, 1, RING + 100, RING + 100);
        assert_wait(&self, 2, PS_SYNC_EVENT, RING + 100, correlation, RING + 100);
        scene_close(&self);
    }
}

static void held_waits_are_bounded(void **state)
{
    (void)state;
    scene self;
    scene_open(&self);
    for (uint32_t i = 0; i < RING + 10; i++) {
        wait_for(&self, CUPTI_13, 1, 5, 1000 + i);
    }
    assert_int_equal(waits(&self), 10);
    settle(&self);
    assert_int_equal(waits(&self), RING + 10);
    assert_int_equal(self.chunk->loss.head.count, 0);
    scene_close(&self);
}

/* ---- markers ---- */

static void mark(scene *self, uint32_t flags, uint32_t id, uint64_t at, const char *name)
{
    unsigned char *record = scene_record(CUPTI_13, PS_CUPTI_MARKER);
    cupti_put_u32(record, 4, flags);
    cupti_put_u64(record, 8, SCENE_AT(at));
    cupti_put_u32(record, 16, id);
    cupti_put_u32(record, 20, 2);
    cupti_put_u32(record, 28, 4712);
    cupti_put_text(record, 40, name);
    scene_decode(self, CUPTI_13, record);
}

#define START(self, id, at, name) mark((self), PS_CUPTI_MARKER_START, (id), (at), (name))
#define END(self, id, at) mark((self), PS_CUPTI_MARKER_END, (id), (at), NULL)

static void assert_range(const scene *self, size_t row, const char *name, uint64_t start,
                         uint64_t length)
{
    assert_cells(self, PS_TABLE_RANGE, row, {"start_ns", start, ""}, {"dur_ns", length, ""},
                 {"tid", 4712, ""}, {"category", PS_RANGE_ANNOTATION, ""}, {"name", 0, name});
}

static void markers_nest_and_overlap(void **state)
{
    (void)state;
    scene self;
    scene_open(&self);
    START(&self, 1, 10, "outer");
    START(&self, 2, 20, "inner");
    START(&self, 3, 25, NULL);
    assert_int_equal(scene_rows(&self), 0);
    END(&self, 2, 30);
    END(&self, 1, 40);
    END(&self, 3, 40);
    START(&self, 2, 50, "inner"); /* an id again, in a freed slot */
    END(&self, 2, 50);
    assert_int_equal(scene_rows(&self), 4);
    assert_range(&self, 0, "inner", 20, 10);
    assert_range(&self, 1, "outer", 10, 30);
    assert_range(&self, 2, "", 25, 15);
    assert_range(&self, 3, "inner", 50, 0);
    assert_int_equal(self.chunk->loss.head.count, 0);
    scene_close(&self);
}

static void a_marker_spans_chunks(void **state)
{
    (void)state;
    scene self;
    scene_open(&self);
    START(&self, 1, 10, "long");
    ps_strings_clear(self.chunk->strings);
    ps_decoder_new_chunk(self.decoder);
    END(&self, 1, 40);
    assert_range(&self, 0, "long", 10, 30);
    scene_close(&self);
}

static void instants_and_other_objects(void **state)
{
    (void)state;
    scene self;
    scene_open(&self);
    mark(&self, PS_CUPTI_MARKER_INSTANT, 1, 10, "instant");
    assert_range(&self, 0, "instant", 10, 0);
    unsigned char *record = scene_record(CUPTI_13, PS_CUPTI_MARKER);
    cupti_put_u32(record, 4, PS_CUPTI_MARKER_INSTANT);
    cupti_put_u64(record, 8, SCENE_AT(11));
    cupti_put_u32(record, 20, 1); /* a process: its union holds no thread */
    cupti_put_text(record, 40, "of all");
    scene_decode(&self, CUPTI_13, record);
    assert_cells(&self, PS_TABLE_RANGE, 1, {"start_ns", 11, ""},
                 {"category", PS_RANGE_ANNOTATION, ""}, {"name", 0, "of all"});
    scene_close(&self);
}

static void unmatched_markers_are_counted(void **state)
{
    (void)state;
    scene self;
    scene_open(&self);
    END(&self, 9, 40);
    assert_int_equal(scene_loss(&self, "cut-ranges"), 1);
    START(&self, 1, 10, "once");
    END(&self, 1, 20);
    END(&self, 1, 30);
    assert_int_equal(scene_loss(&self, "cut-ranges"), 2);
    START(&self, 1, 50, "reversed");
    END(&self, 1, 40);
    assert_range(&self, 1, "reversed", 50, 0);
    assert_int_equal(scene_rows(&self), 2);
    scene_close(&self);
}

static void an_id_begun_twice_cuts_the_first(void **state)
{
    (void)state;
    scene self;
    scene_open(&self);
    for (uint64_t i = 0; i < 10000; i++) {
        START(&self, 1, i, "again");
    }
    assert_int_equal(scene_loss(&self, "cut-ranges"), 9999);
    END(&self, 1, 20000);
    START(&self, 2, 20000, "other"); /* there is room for others */
    END(&self, 2, 20001);
    assert_range(&self, 0, "again", 9999, 10001);
    assert_range(&self, 1, "other", 20000, 1);
    assert_int_equal(scene_loss(&self, "cut-ranges"), 9999);
    scene_close(&self);
}

static void open_markers_are_bounded(void **state)
{
    (void)state;
    enum { BOUND = 4096, MORE = 50 };
    scene self;
    scene_open(&self);
    for (uint32_t i = 0; i < BOUND + MORE; i++) {
        START(&self, i, i, "many");
    }
    assert_int_equal(scene_loss(&self, "cut-ranges"), MORE);
    for (uint32_t i = 0; i < BOUND + MORE; i++) {
        END(&self, i, 10000);
    }
    assert_int_equal(scene_rows(&self), BOUND);
    assert_int_equal(scene_loss(&self, "cut-ranges"), 2 * MORE);
    START(&self, 1, 20000, "after");
    END(&self, 1, 20001);
    assert_range(&self, BOUND, "after", 20000, 1);
    scene_close(&self);
}

/* ---- overhead ---- */

static void overhead_is_named(void **state)
{
    (void)state;
    static const struct {
        uint32_t kind;
        const char *name;
    } kinds[] = {
        {1, "driver compiler"},
        {1u << 16, "tracer: buffer flush"},
        {0, "other overhead"},
        {2u << 16, "tracer: instrumentation"},
        {3u << 16, "tracer: resource"},
        {4u << 16, "module load"},
        {9u << 16, "other overhead"},
        {5u << 16, "lazy function load"},
        {8u << 16, "managed memory start"},
        {6u << 16, "command buffer full"},
        {7u << 16, "tracer: buffer request"},
    };
    for (cupti_layout layout = CUPTI_11; layout <= CUPTI_13; layout++) {
        scene self;
        scene_open(&self);
        for (uint32_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
            unsigned char *record = scene_record(layout, PS_CUPTI_OVERHEAD);
            cupti_put_u32(record, 4, kinds[i].kind);
            cupti_put_u32(record, 8, i % 2 == 0 ? 2 : 1);
            cupti_put_u32(record, 16, 4713);
            cupti_put_u64(record, 24, SCENE_AT(60));
            cupti_put_u64(record, 32, SCENE_AT(65));
            scene_decode(&self, layout, record);
            assert_cells(&self, PS_TABLE_RANGE, i, {"start_ns", 60, ""}, {"dur_ns", 5, ""},
                         {"tid", i % 2 == 0 ? 4713 : 0, ""}, {"category", PS_RANGE_OVERHEAD, ""},
                         {"name", 0, kinds[i].name});
        }
        assert_int_equal(self.chunk->loss.head.count, 0);
        scene_close(&self);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_wait_after_its_event),
        cmocka_unit_test(a_wait_before_its_event_is_held_until_the_chunk_ends),
        cmocka_unit_test(without_sync_ids_the_latest_recording_of_the_event_counts),
        cmocka_unit_test(sync_ids_tell_recordings_of_one_event_apart),
        cmocka_unit_test(waits_for_streams_and_devices_name_no_event),
        cmocka_unit_test(forgotten_recordings_are_unknown_not_mixed_up),
        cmocka_unit_test(held_waits_are_bounded),
        cmocka_unit_test(markers_nest_and_overlap),
        cmocka_unit_test(a_marker_spans_chunks),
        cmocka_unit_test(instants_and_other_objects),
        cmocka_unit_test(unmatched_markers_are_counted),
        cmocka_unit_test(an_id_begun_twice_cuts_the_first),
        cmocka_unit_test(open_markers_are_bounded),
        cmocka_unit_test(overhead_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
