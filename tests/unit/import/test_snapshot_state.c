/* SPDX-License-Identifier: MIT
 *
 * The memory snapshot importer on small snapshots written by hand: segments,
 * settings, annotations.
 */
#include "snapshot_writer.h"

static void old_blocks_follow_their_segment(void **state)
{
    (void)state;
    open_segments();
    open_segment(1, 0x400000, 2048);
    block(-1, 512, -1, "active_allocated");
    (void)pw_dict(&w);
    pw_int_item(&w, "size", 1536);
    pw_text_item(&w, "state", "active_awaiting_free");
    pw_text(&w, "history");
    (void)pw_list(&w);
    for (int i = 0; i < 2; i++) {
        (void)pw_dict(&w);
        pw_int_item(&w, "real_size", 1300 - i);
        pw_text(&w, "frames");
        (void)pw_bare_list(&w);
        frame("a.py", 1 + i, "f");
        pw_append(&w);
        pw_dict_end(&w);
    }
    pw_list_end(&w);
    pw_dict_end(&w);
    close_segment();
    close_segments();
    ps_trace *trace = import_written();
    assert_int_equal(trace->block.head.count, 2);
    assert_int_equal(trace->block.addr[0], 0x400000);
    assert_int_equal(trace->block.requested_bytes[0], 512);
    assert_int_equal(trace->block.addr[1], 0x400200);
    assert_int_equal(trace->block.requested_bytes[1], 1300);
    assert_int_equal(trace->block.state[1], PS_BLOCK_PENDING_FREE);
    assert_string_equal(text_of(trace, trace->block.stack[1]), "a.py:1 f");
    assert_int_equal(trace->segment.requested_bytes[0], 1812);
    assert_int_equal(trace->device.device[0], 1);
    ps_trace_destroy(trace);
}

static void a_bare_list_of_segments_is_a_snapshot(void **state)
{
    (void)state;
    pw_begin(&w, 4, true);
    (void)pw_list(&w);
    open_segment(0, 0x200000, 512);
    block(0x200000, 512, 1, "inactive");
    close_segment();
    open_segment(0, 0x400000, 512);
    block(0x400000, 512, 1, "inactive");
    close_segment();
    pw_list_end(&w);
    pw_end(&w);
    ps_trace *trace = import_written();
    assert_int_equal(trace->segment.head.count, 2);
    assert_int_equal(trace->block.head.count, 2);
    ps_trace_destroy(trace);
}

static void contradictory_segments_are_refused(void **state)
{
    (void)state;
    static const struct {
        int64_t total, addr[2], size[2], requested;
        const char *state, *part;
    } cases[] = {
        /* clang-format off */
        {1024, {0x200000, 0x200400}, {512, 512}, 1, "inactive", "block 1 of the segment at 0x200000"},
        {1536, {0x200000, 0x200200}, {512, 512}, 1, "inactive", "cover 1024 of its 1536 bytes"},
        {1024, {0x200000, 0x200200}, {512, 1024}, 1, "inactive", "reaches beyond its end"},
        {1024, {0x200000, 0x200200}, {512, 500}, 1, "inactive", "multiple of 512"},
        {1024, {0x200000, 0x200200}, {512, 0}, 1, "inactive", "a block has 0 bytes"},
        {1024, {0x200000, 0x200200}, {512, 512}, 513, "active_allocated", "was requested with 513"},
        {1024, {0x200000, 0x200200}, {512, -512}, 1, "inactive", "\"size\" is -512"},
        {1024, {0x200000, 0x200200}, {512, 512}, 1, "gone", "in the state \"gone\""},
        {0, {0x200000, 0x200200}, {512, 512}, 1, "inactive", "has 0 bytes"},
        {-5, {0x200000, 0x200200}, {512, 512}, 1, "inactive", "\"total_size\" is -5"},
        /* clang-format on */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        open_segments();
        open_segment(0, 0x200000, cases[i].total);
        for (size_t b = 0; b < 2; b++) {
            block(cases[i].addr[b], cases[i].size[b], cases[i].requested, cases[i].state);
        }
        close_segment();
        close_segments();
        assert_refused(PS_BAD_INPUT, cases[i].part);
    }
}

static void segments_out_of_shape_are_refused(void **state)
{
    (void)state;
    open_segments();
    (void)pw_dict(&w);
    pw_text(&w, "blocks");
    (void)pw_bare_list(&w);
    pw_dict_end(&w);
    close_segments();
    assert_refused(PS_BAD_INPUT, "lacks one of device, address, total_size and blocks");

    open_segments();
    open_segment(0, 0x200000, 512);
    pw_int(&w, 5);
    close_segment();
    close_segments();
    assert_refused(PS_BAD_INPUT, "not a list of its own blocks");

    open_segments();
    open_segment(2000, 0x200000, 512);
    block(0x200000, 512, 1, "inactive");
    close_segment();
    close_segments();
    assert_refused(PS_LIMIT, "device 2000");

    /* a segment that is not in the list of segments */
    pw_begin(&w, 4, true);
    (void)pw_dict(&w);
    pw_text(&w, "segments");
    (void)pw_bare_list(&w);
    pw_text(&w, "spare");
    open_segment(0, 0x200000, 512);
    block(0x200000, 512, 1, "inactive");
    close_segment();
    pw_dict_end(&w);
    pw_end(&w);
    assert_refused(PS_BAD_INPUT, "\"segments\" does not hold all");
}

/* allocator_settings of these effective values, without the setting text. */
static void write_settings(int64_t max_split, double threshold, bool expandable, const char *sizes,
                           int64_t last_division)
{
    pw_begin(&w, 4, true);
    (void)pw_dict(&w);
    pw_text(&w, "segments");
    (void)pw_bare_list(&w);
    pw_text(&w, "allocator_settings");
    (void)pw_dict(&w);
    pw_int_item(&w, "max_split_size", max_split);
    pw_text(&w, "garbage_collection_threshold");
    pw_float(&w, threshold);
    pw_text(&w, "expandable_segments");
    pw_bool(&w, expandable);
    pw_text(&w, "roundup_power2_divisions");
    (void)pw_dict(&w);
    for (unsigned i = 0; i < 16; i++) {
        char size[16];
        (void)snprintf(size, sizeof size, "%s%u", sizes, 1u << i);
        pw_int_item(&w, size, i == 15 ? last_division : 4);
    }
    pw_dict_end(&w);
    pw_dict_end(&w);
    pw_dict_end(&w);
    pw_end(&w);
}

static void assert_conf(const char *expected)
{
    ps_trace *trace = import_written();
    assert_string_equal(ps_trace_meta(trace, PS_META_ALLOCATOR_CONF), expected);
    ps_trace_destroy(trace);
}

static void settings_in_force_are_spelled_out(void **state)
{
    (void)state;
    write_settings(-1, 0, false, "x", 4);
    assert_conf("");
    write_settings(INT64_C(200) << 20, 0.8, true, "", 4);
    assert_conf("max_split_size_mb:200,garbage_collection_threshold:0.8,expandable_segments:True,"
                "roundup_power2_divisions:4");
    write_settings(-1, 1.0, false, "", 8);
    assert_conf("garbage_collection_threshold:1.0,roundup_power2_divisions:[1:4,2:4,4:4,8:4,16:4,"
                "32:4,64:4,128:4,256:4,512:4,1024:4,2048:4,4096:4,8192:4,16384:4,32768:8]");
    write_settings(-2, 0, false, "", 4);
    assert_refused(PS_BAD_INPUT, "\"max_split_size\" is -2");
    write_settings(-1, 1.5, false, "", 4);
    assert_refused(PS_BAD_INPUT, "expected a share from 0 to 1");
}

static void annotations_pair_by_name_and_device(void **state)
{
    (void)state;
    pw_begin(&w, 4, true);
    (void)pw_dict(&w);
    pw_text(&w, "external_annotations"); /* before everything else: order must not matter */
    (void)pw_list(&w);
    annotation("END", "early", 0, 1);
    annotation("START", "a", 0, 2);
    annotation("START", "a", 1, 3);
    annotation("START", "a", 0, 4);
    annotation("END", "a", 0, 5);
    annotation("START", "open", 0, 6);
    annotation("END", "a", 0, 7);
    annotation("END", "a", 1, 9);
    annotation("END", "a", 1, -1);
    annotation("HALF", "a", 1, 9);
    pw_list_end(&w);
    pw_text(&w, "segments");
    (void)pw_bare_list(&w);
    pw_dict_end(&w);
    pw_end(&w);
    static const ps_ns expected[4][2] = {{4, 1}, {2, 5}, {3, 6}, {6, 3}};
    ps_trace *trace = import_written();
    assert_int_equal(trace->range.head.count, 4);
    for (size_t i = 0; i < 4; i++) {
        size_t row = 0;
        while (row < 4 && trace->range.start_ns[row] != expected[i][0] * 1000) {
            row++;
        }
        assert_true(row < 4);
        assert_int_equal(trace->range.dur_ns[row], expected[i][1] * 1000);
    }
    assert_int_equal(loss_of(trace, "cut-ranges"), 2);
    assert_int_equal(loss_of(trace, "missing-timestamps"), 1);
    assert_int_equal(loss_of(trace, "unknown-categories"), 1);
    ps_trace_destroy(trace);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(old_blocks_follow_their_segment),
        cmocka_unit_test(a_bare_list_of_segments_is_a_snapshot),
        cmocka_unit_test(contradictory_segments_are_refused),
        cmocka_unit_test(segments_out_of_shape_are_refused),
        cmocka_unit_test(settings_in_force_are_spelled_out),
        cmocka_unit_test(annotations_pair_by_name_and_device),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
