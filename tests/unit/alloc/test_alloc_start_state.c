/* SPDX-License-Identifier: MIT
 *
 * Walking back to the start of a recording: block sizes from gaps, ranges of
 * expandable segments, and recordings that contradict themselves.
 */
#include <string.h>

#include "alloc_support.h"

#include "alloc/start_state.h"
#include "base/memory.h"

#define A ((uint64_t)0x100000000)
#define CUDA_0 ((ps_alloc_device){PS_DEVICE_CUDA, 0})

static ps_start_state recover(const ps_trace *trace)
{
    ps_error err = {0};
    ps_alloc_settings settings;
    ps_start_state start;
    ps_alloc_settings_init(&settings);
    assert_ok(&err, ps_alloc_settings_parse(&settings, ps_trace_meta(trace, PS_META_ALLOCATOR_CONF),
                                            &err));
    assert_ok(&err, ps_start_state_recover(trace, CUDA_0, &settings, &start, &err));
    return start;
}

static void check_block(const ps_start_state *start, size_t index, uint64_t addr, uint64_t bytes,
                        ps_alloc_block_state state)
{
    assert_true(index < start->block_count);
    assert_int_equal(start->block[index].addr, addr);
    assert_int_equal(start->block[index].bytes, bytes);
    assert_int_equal(start->block[index].state, state);
}

static void the_end_is_the_start_without_events(void **state)
{
    ps_trace *trace = rows_create("");
    (void)state;
    rows_segment(trace, A, 20 * MIB, true, false);
    rows_block(trace, A, 4 * MIB, 4 * MIB - 1, PS_BLOCK_ALLOCATED);
    rows_block(trace, A + 4 * MIB, 10 * MIB, 0, PS_BLOCK_INACTIVE);
    rows_block(trace, A + 14 * MIB, 6 * MIB, 6 * MIB, PS_BLOCK_PENDING_FREE);
    ps_start_state start = recover(trace);
    assert_int_equal(start.segment_count, 1);
    assert_int_equal(start.block_count, 3);
    check_block(&start, 2, A + 14 * MIB, 6 * MIB, PS_ALLOC_BLOCK_PENDING);
    assert_int_equal(start.reserved_bytes, 20 * MIB);
    assert_int_equal(start.active_bytes, 10 * MIB);
    assert_int_equal(start.requested_bytes, 10 * MIB - 1);
    ps_start_state_fini(&start);
    ps_trace_destroy(trace);
}

static void a_gap_up_to_one_mib_belongs_to_the_block_before(void **state)
{
    ps_trace *trace = rows_create("");
    (void)state;
    /*
     * At the start: 4 MiB - 100 requested, then a gap of 1 MiB + 512 less 512, then a
     * live block.
     */
    rows_add(trace, PS_ACTION_FREE, A, 4 * MIB - 100, 0);
    rows_segment(trace, A, 20 * MIB, true, false);
    rows_block(trace, A, 5 * MIB, 0, PS_BLOCK_INACTIVE);
    rows_block(trace, A + 5 * MIB, 15 * MIB, 15 * MIB, PS_BLOCK_ALLOCATED);
    ps_start_state start = recover(trace);
    check_block(&start, 0, A, 5 * MIB, PS_ALLOC_BLOCK_ALLOCATED);
    assert_int_equal(start.doubt_count, 0);
    ps_start_state_fini(&start);
    ps_trace_destroy(trace);
}

static void a_larger_gap_is_settled_by_the_first_allocation_in_it(void **state)
{
    ps_trace *trace = rows_create("");
    (void)state;
    rows_add(trace, PS_ACTION_ALLOC, A + 4 * MIB + 512 * KIB, 2 * MIB, 0);
    rows_add(trace, PS_ACTION_FREE, A, 4 * MIB, 0);
    rows_segment(trace, A, 20 * MIB, true, false);
    rows_block(trace, A, 4 * MIB + 512 * KIB, 0, PS_BLOCK_INACTIVE);
    rows_block(trace, A + 4 * MIB + 512 * KIB, 2 * MIB, 2 * MIB, PS_BLOCK_ALLOCATED);
    rows_block(trace, A + 6 * MIB + 512 * KIB, 13 * MIB + 512 * KIB, 0, PS_BLOCK_INACTIVE);
    ps_start_state start = recover(trace);
    check_block(&start, 0, A, 4 * MIB + 512 * KIB, PS_ALLOC_BLOCK_ALLOCATED);
    check_block(&start, 1, A + 4 * MIB + 512 * KIB, 15 * MIB + 512 * KIB, PS_ALLOC_BLOCK_FREE);
    assert_int_equal(start.doubt_count, 0);
    ps_start_state_fini(&start);
    ps_trace_destroy(trace);
}

static void what_stays_open_is_told(void **state)
{
    ps_trace *trace = rows_create("");
    (void)state;
    rows_add(trace, PS_ACTION_FREE, A, 4 * MIB, 0);
    rows_segment(trace, A, 20 * MIB, true, false);
    rows_block(trace, A, 20 * MIB, 0, PS_BLOCK_INACTIVE);
    ps_start_state start = recover(trace);
    assert_int_equal(start.doubt_count, 1);
    assert_int_equal(start.doubtful_bytes, MIB);
    check_block(&start, 0, A, 4 * MIB, PS_ALLOC_BLOCK_ALLOCATED);
    ps_start_state_widen(&start, 0, 512);
    check_block(&start, 0, A, 4 * MIB + 512, PS_ALLOC_BLOCK_ALLOCATED);
    check_block(&start, 1, A + 4 * MIB + 512, 16 * MIB - 512, PS_ALLOC_BLOCK_FREE);
    assert_int_equal(start.active_bytes, 4 * MIB + 512);
    assert_int_equal(start.doubtful_bytes, MIB - 512);
    ps_start_state_fini(&start);
    ps_trace_destroy(trace);
}

static void no_slack_where_blocks_split_at_512(void **state)
{
    static const struct {
        const char *conf;
        uint64_t segment_bytes, requested_bytes;
        bool is_large, is_expandable;
    } cases[] = {{"", 2 * MIB, MIB - 512, false, false},
                 {"expandable_segments:True", 20 * MIB, 19 * MIB, true, true}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ps_trace *trace = rows_create(cases[i].conf);
        rows_add(trace, PS_ACTION_FREE, A, cases[i].requested_bytes, 0);
        rows_segment(trace, A, cases[i].segment_bytes, cases[i].is_large, cases[i].is_expandable);
        rows_block(trace, A, cases[i].segment_bytes, 0, PS_BLOCK_INACTIVE);
        ps_start_state start = recover(trace);
        check_block(&start, 0, A, cases[i].requested_bytes, PS_ALLOC_BLOCK_ALLOCATED);
        assert_int_equal(start.doubt_count, 0);
        ps_start_state_fini(&start);
        ps_trace_destroy(trace);
    }
}

static void oversize_blocks_own_their_segment(void **state)
{
    ps_trace *trace = rows_create("max_split_size_mb:32");
    (void)state;
    rows_add(trace, PS_ACTION_FREE, A, 40 * MIB, 0);
    rows_segment(trace, A, 50 * MIB, true, false);
    rows_block(trace, A, 50 * MIB, 0, PS_BLOCK_INACTIVE);
    ps_start_state start = recover(trace);
    check_block(&start, 0, A, 50 * MIB, PS_ALLOC_BLOCK_ALLOCATED);
    ps_start_state_fini(&start);
    ps_trace_destroy(trace);
}

static void segments_come_and_go(void **state)
{
    ps_trace *trace = rows_create("");
    (void)state;
    rows_add(trace, PS_ACTION_FREE_COMPLETED, A, 12 * MIB, 3);
    rows_add(trace, PS_ACTION_SEGMENT_FREE, A, 12 * MIB, 3);
    rows_add(trace, PS_ACTION_SEGMENT_FREE, A + 64 * MIB, 2 * MIB, 3);
    rows_add(trace, PS_ACTION_SEGMENT_ALLOC, A, 20 * MIB, 0);
    rows_add(trace, PS_ACTION_ALLOC, A, 3 * MIB, 0);
    rows_add(trace, PS_ACTION_SNAPSHOT, 0, 3 * MIB, 0);
    rows_segment(trace, A, 20 * MIB, true, false);
    rows_block(trace, A, 3 * MIB, 3 * MIB, PS_BLOCK_ALLOCATED);
    rows_block(trace, A + 3 * MIB, 17 * MIB, 0, PS_BLOCK_INACTIVE);
    ps_start_state start = recover(trace);
    assert_int_equal(start.segment_count, 2);
    check_block(&start, 0, A, 12 * MIB, PS_ALLOC_BLOCK_PENDING);
    check_block(&start, 1, A + 64 * MIB, 2 * MIB, PS_ALLOC_BLOCK_FREE);
    assert_true(start.segment[0].info.is_large);
    assert_false(start.segment[1].info.is_large);
    assert_int_equal(start.segment[0].info.stream, 3);
    ps_start_state_fini(&start);
    ps_trace_destroy(trace);
}

static void pages_come_and_go(void **state)
{
    ps_trace *trace = rows_create("expandable_segments:True");
    (void)state;
    /* At the start: pages 1 and 2 of a range; page 2 goes, pages 0 and 3 come. */
    rows_add(trace, PS_ACTION_FREE, A + 40 * MIB, 20 * MIB, 0);
    rows_add(trace, PS_ACTION_SEGMENT_UNMAP, A + 40 * MIB, 20 * MIB, 0);
    rows_add(trace, PS_ACTION_SEGMENT_MAP, A, 20 * MIB, 0);
    rows_add(trace, PS_ACTION_ALLOC, A, 20 * MIB, 0);
    rows_add(trace, PS_ACTION_SEGMENT_MAP, A + 60 * MIB, 20 * MIB, 0);
    rows_segment(trace, A, 40 * MIB, true, true);
    rows_block(trace, A, 20 * MIB, 20 * MIB, PS_BLOCK_ALLOCATED);
    rows_block(trace, A + 20 * MIB, 20 * MIB, 20 * MIB, PS_BLOCK_ALLOCATED);
    rows_segment(trace, A + 60 * MIB, 20 * MIB, true, true);
    rows_block(trace, A + 60 * MIB, 20 * MIB, 0, PS_BLOCK_INACTIVE);
    ps_start_state start = recover(trace);
    assert_int_equal(start.segment_count, 1);
    assert_int_equal(start.segment[0].info.addr, A + 20 * MIB);
    assert_int_equal(start.segment[0].info.bytes, 40 * MIB);
    assert_int_equal(start.segment[0].range_addr, A); /* shown by the page mapped below */
    ps_start_state_fini(&start);
    ps_trace_destroy(trace);
}

static void unmapped_runs_find_their_pool(void **state)
{
    ps_trace *trace = rows_create("expandable_segments:True");
    (void)state;
    rows_add(trace, PS_ACTION_SEGMENT_UNMAP, A, 22 * MIB, 0); /* no multiple of 20 MiB */
    rows_add(trace, PS_ACTION_FREE, A + GIB, 600, 0);         /* a small request inside */
    rows_add(trace, PS_ACTION_SEGMENT_UNMAP, A + GIB, 20 * MIB, 0);
    rows_add(trace, PS_ACTION_SEGMENT_UNMAP, A + 2 * GIB, 40 * MIB, 0);
    ps_start_state start = recover(trace);
    assert_int_equal(start.segment_count, 3);
    assert_false(start.segment[0].info.is_large);
    assert_false(start.segment[1].info.is_large);
    assert_true(start.segment[2].info.is_large);
    ps_start_state_fini(&start);
    ps_trace_destroy(trace);
}

static void other_devices_do_not_matter(void **state)
{
    ps_trace *trace = rows_create("");
    (void)state;
    rows_add(trace, PS_ACTION_ALLOC, A, 512, 0);
    trace->memory.device[0] = 1;
    rows_segment(trace, A, 2 * MIB, false, false);
    rows_block(trace, A, 512, 512, PS_BLOCK_ALLOCATED);
    rows_block(trace, A + 512, 2 * MIB - 512, 0, PS_BLOCK_INACTIVE);
    trace->segment.device[0] = 1;
    trace->block.device[0] = 1;
    trace->block.device[1] = 1;
    ps_start_state start = recover(trace);
    assert_int_equal(start.segment_count, 0);
    ps_start_state_fini(&start);
    ps_trace_destroy(trace);
}

/* A sound recording that each case damages in one place. */
static ps_trace *sound_recording(void)
{
    ps_trace *trace = rows_create("");
    rows_add(trace, PS_ACTION_SEGMENT_ALLOC, A, 20 * MIB, 0);
    rows_add(trace, PS_ACTION_ALLOC, A, 3 * MIB, 0);
    rows_add(trace, PS_ACTION_ALLOC, A + 3 * MIB, 2 * MIB, 0);
    rows_add(trace, PS_ACTION_FREE, A, 3 * MIB, 0);
    rows_add(trace, PS_ACTION_FREE_REQUESTED, A + 3 * MIB, 2 * MIB, 0);
    rows_segment(trace, A, 20 * MIB, true, false);
    rows_block(trace, A, 3 * MIB, 0, PS_BLOCK_INACTIVE);
    rows_block(trace, A + 3 * MIB, 2 * MIB, 2 * MIB, PS_BLOCK_PENDING_FREE);
    rows_block(trace, A + 5 * MIB, 15 * MIB, 0, PS_BLOCK_INACTIVE);
    return trace;
}

static void contradiction(ps_trace *trace, const char *part)
{
    ps_error err = {0};
    ps_alloc_settings settings;
    ps_start_state start;
    char text[1024];
    ps_alloc_settings_init(&settings);
    assert_int_equal(ps_start_state_recover(trace, CUDA_0, &settings, &start, &err), PS_BAD_INPUT);
    ps_error_format(&err, text, sizeof text);
    if (strstr(text, part) == NULL) {
        fail_msg("\"%s\" lacks \"%s\"", text, part);
    }
    ps_trace_destroy(trace);
}

static void contradictions_are_refused(void **state)
{
    ps_trace *trace = sound_recording();
    (void)state;
    ps_start_state start = recover(trace);
    assert_int_equal(start.segment_count, 0);
    ps_start_state_fini(&start);
    trace->memory.addr[1] = A + 64 * MIB;
    contradiction(trace, "outside every segment");
    trace = sound_recording();
    trace->memory.addr[3] = A + 64 * MIB;
    contradiction(trace, "outside every segment");
    trace = sound_recording();
    trace->memory.addr[1] = A + 7 * MIB;
    contradiction(trace, "neither freed later nor in the final map");
    trace = sound_recording();
    trace->memory.bytes[1] = 4 * MIB;
    contradiction(trace, "allocated with 4194304 bytes and is known with 3145728");
    trace = sound_recording();
    trace->memory.addr[0] = A + 2 * MIB;
    contradiction(trace, "contradicts what happens in it");
    trace = sound_recording();
    trace->memory.action[1] = PS_ACTION_SEGMENT_ALLOC;
    contradiction(trace, "contradicts what happens in it");
    trace = sound_recording();
    trace->memory.action[0] = PS_ACTION_SEGMENT_FREE;
    contradiction(trace, "segments overlap");
    trace = sound_recording();
    trace->memory.action[0] = PS_ACTION_SEGMENT_MAP;
    contradiction(trace, "nothing says were there");
    trace = sound_recording();
    trace->memory.action[1] = PS_ACTION_FREE;
    contradiction(trace, "two blocks in use");
    trace = sound_recording();
    trace->memory.action[3] = PS_ACTION_FREE_REQUESTED;
    contradiction(trace, "neither completes later nor waits");
    trace = sound_recording();
    trace->memory.addr[3] = A + 1;
    contradiction(trace, "outside every segment");
}

static void impossible_final_maps_are_refused(void **state)
{
    ps_trace *trace = sound_recording();
    (void)state;
    trace->block.addr[1] += 512;
    contradiction(trace, "do not tile");
    trace = sound_recording();
    trace->block.bytes[2] -= 512;
    contradiction(trace, "do not tile");
    trace = sound_recording();
    trace->block.bytes[0] = 100;
    contradiction(trace, "do not tile");
    trace = sound_recording();
    trace->segment.addr[0] += 8;
    trace->block.addr[0] += 8;
    trace->block.addr[1] += 8;
    trace->block.addr[2] += 8;
    contradiction(trace, "512-byte grid");
    trace = sound_recording();
    trace->segment.addr[0] = UINT64_MAX - 512;
    contradiction(trace, "address space");
    trace = rows_create("");
    rows_segment(trace, A, 2 * MIB, false, false);
    rows_block(trace, A, 2 * MIB, 0, PS_BLOCK_INACTIVE);
    rows_segment(trace, A + MIB, 2 * MIB, false, false);
    rows_block(trace, A + MIB, 2 * MIB, 0, PS_BLOCK_INACTIVE);
    contradiction(trace, "segments overlap");
}

static void impossible_starts_are_refused(void **state)
{
    ps_trace *trace = rows_create("");
    (void)state;
    /* Two blocks live at the start overlap. */
    rows_add(trace, PS_ACTION_FREE, A, 3 * MIB, 0);
    rows_add(trace, PS_ACTION_FREE, A + MIB, 3 * MIB, 0);
    rows_segment(trace, A, 20 * MIB, true, false);
    rows_block(trace, A, 20 * MIB, 0, PS_BLOCK_INACTIVE);
    contradiction(trace, "overlap");
    trace = rows_create("");
    /* Pages vanish under a block in use. */
    rows_add(trace, PS_ACTION_SEGMENT_MAP, A, 20 * MIB, 0);
    rows_add(trace, PS_ACTION_FREE, A, 3 * MIB, 0);
    rows_segment(trace, A, 20 * MIB, true, true);
    rows_block(trace, A, 20 * MIB, 0, PS_BLOCK_INACTIVE);
    contradiction(trace, "outside every segment");
    trace = sound_recording();
    trace->memory.pool_owner[1] = 1;
    trace->memory.pool_owner[2] = 2;
    contradiction(trace, "two pools");
}

static void block_sizes_do_not_do(void **state)
{
    ps_error err = {0};
    ps_alloc_settings settings;
    ps_start_state start;
    ps_trace *trace = sound_recording();
    (void)state;
    ps_alloc_settings_init(&settings);
    assert_ok(&err, ps_trace_set_meta(trace, PS_META_MEMORY_SIZES, "block", &err));
    assert_int_equal(ps_start_state_recover(trace, CUDA_0, &settings, &start, NULL),
                     PS_UNSUPPORTED);
    ps_trace_destroy(trace);
}

static void memory_may_run_out(void **state)
{
    ps_trace *trace = rows_create("expandable_segments:True");
    ps_alloc_settings settings;
    ps_start_state start;
    ps_code code = PS_NOMEM;
    (void)state;
    rows_add(trace, PS_ACTION_FREE, A, 20 * MIB, 0);
    rows_add(trace, PS_ACTION_SEGMENT_UNMAP, A, 20 * MIB, 0);
    rows_add(trace, PS_ACTION_SEGMENT_FREE, A + GIB, 12 * MIB, 0);
    rows_segment(trace, A + 2 * GIB, 20 * MIB, true, false);
    rows_block(trace, A + 2 * GIB, 20 * MIB, 1, PS_BLOCK_ALLOCATED);
    ps_alloc_settings_init(&settings);
    settings.is_expandable = true;
    for (unsigned long nth = 1; code == PS_NOMEM; nth++) {
        ps_memory_fail_nth(nth);
        code = ps_start_state_recover(trace, CUDA_0, &settings, &start, NULL);
        ps_memory_fail_nth(0);
    }
    assert_int_equal(code, PS_OK);
    assert_int_equal(start.segment_count, 3);
    /* Of some private pool: the default pools map pages. */
    assert_false(ps_pool_id_is_default(start.segment[1].info.pool));
    ps_start_state_fini(&start);
    ps_trace_destroy(trace);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_end_is_the_start_without_events),
        cmocka_unit_test(a_gap_up_to_one_mib_belongs_to_the_block_before),
        cmocka_unit_test(a_larger_gap_is_settled_by_the_first_allocation_in_it),
        cmocka_unit_test(what_stays_open_is_told),
        cmocka_unit_test(no_slack_where_blocks_split_at_512),
        cmocka_unit_test(oversize_blocks_own_their_segment),
        cmocka_unit_test(segments_come_and_go),
        cmocka_unit_test(pages_come_and_go),
        cmocka_unit_test(unmapped_runs_find_their_pool),
        cmocka_unit_test(other_devices_do_not_matter),
        cmocka_unit_test(contradictions_are_refused),
        cmocka_unit_test(impossible_final_maps_are_refused),
        cmocka_unit_test(impossible_starts_are_refused),
        cmocka_unit_test(block_sizes_do_not_do),
        cmocka_unit_test(memory_may_run_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
