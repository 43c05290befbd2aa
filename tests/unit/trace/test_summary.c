/* SPDX-License-Identifier: MIT
 *
 * Summaries of traces made by hand, and of the real recordings where they are
 * there.
 */
#include "support/test.h"

#include <string.h>

#include "base/memory.h"
#include "import/import.h"
#include "trace/address_set.h"
#include "trace/check.h"
#include "trace/summary.h"

#define MIB ((uint64_t)1 << 20)

static size_t add(ps_trace *trace, ps_trace_table_id table)
{
    ps_error err = {0};
    size_t row = 0;
    assert_ok(&err, ps_trace_add(trace, table, &row, &err));
    return row;
}

static void add_kernel(ps_trace *trace, ps_ns start, ps_ns duration, uint32_t device,
                       uint64_t stream)
{
    const size_t row = add(trace, PS_TABLE_KERNEL);
    trace->kernel.start_ns[row] = start;
    trace->kernel.dur_ns[row] = duration;
    trace->kernel.device[row] = device;
    trace->kernel.stream[row] = stream;
}

static void add_range(ps_trace *trace, ps_ns start, ps_range_category category, const char *name)
{
    ps_error err = {0};
    const size_t row = add(trace, PS_TABLE_RANGE);
    trace->range.start_ns[row] = start;
    trace->range.dur_ns[row] = 40;
    trace->range.category[row] = (uint8_t)category;
    assert_ok(&err, ps_strings_put_z(trace->strings, name, &trace->range.name[row], &err));
}

static void busy_time_counts_overlaps_once(void **state)
{
    (void)state;
    ps_error err = {0};
    ps_trace *trace = ps_trace_create();
    ps_trace_summary summary;
    add_kernel(trace, 100, 50, 1, 7);
    add_kernel(trace, 120, 10, 1, 8); /* inside the first */
    add_kernel(trace, 140, 40, 1, 7);
    add_kernel(trace, 500, 5, 0, 7);
    const size_t copy = add(trace, PS_TABLE_MEMCPY);
    trace->memcpy.start_ns[copy] = 170;
    trace->memcpy.dur_ns[copy] = 30;
    trace->memcpy.device[copy] = 1;
    trace->memcpy.stream[copy] = 9;
    const size_t fill = add(trace, PS_TABLE_MEMSET);
    trace->memset.start_ns[fill] = 300;
    trace->memset.dur_ns[fill] = 1;
    trace->memset.device[fill] = 1;
    trace->memset.stream[fill] = 7;
    assert_ok(&err, ps_trace_summarise(trace, &summary, &err));
    assert_int_equal(summary.device_count, 2);
    assert_int_equal(summary.device[0].ordinal, 0);
    assert_int_equal(summary.device[0].busy_ns, 5);
    assert_int_equal(summary.device[1].busy_ns, 100 + 1);
    assert_int_equal(summary.device[1].stream_count, 3);
    assert_int_equal(summary.device[1].kernel_count, 3);
    assert_int_equal(summary.device[1].memcpy_count, 1);
    assert_int_equal(summary.device[1].memset_count, 1);
    assert_int_equal(summary.start_ns, 100);
    assert_int_equal(summary.duration_ns, 405);
    assert_false(summary.peak_allocated.is_known);
    ps_trace_summary_fini(&summary);
    ps_trace_destroy(trace);
}

static void steps_are_host_annotations_of_that_name(void **state)
{
    (void)state;
    ps_error err = {0};
    ps_trace *trace = ps_trace_create();
    ps_trace_summary summary;
    add_range(trace, 0, PS_RANGE_ANNOTATION, "ProfilerStep#7");
    add_range(trace, 10, PS_RANGE_GPU_ANNOTATION, "ProfilerStep#7");
    add_range(trace, 20, PS_RANGE_OPERATOR, "aten::add");
    add_range(trace, 30, PS_RANGE_ANNOTATION, "ProfilerStep#");
    add_range(trace, 40, PS_RANGE_ANNOTATION, "ProfilerStep#8 of 9");
    add_range(trace, 50, PS_RANGE_ANNOTATION, "ProfilerStep#8");
    assert_ok(&err, ps_trace_summarise(trace, &summary, &err));
    assert_int_equal(summary.step_count, 2);
    assert_string_equal(ps_strings_text(trace->strings, summary.step[1].name), "ProfilerStep#8");
    assert_int_equal(summary.step[1].dur_ns, 40);
    assert_int_equal(summary.count.range, 6);
    assert_int_equal(summary.count.range_by_category[PS_RANGE_ANNOTATION], 4);
    ps_trace_summary_fini(&summary);
    ps_trace_destroy(trace);
}

static void add_event(ps_trace *trace, ps_device_kind kind, ps_memory_action action, uint64_t addr,
                      uint64_t bytes)
{
    const size_t row = add(trace, PS_TABLE_MEMORY);
    trace->memory.time_ns[row] = (ps_ns)row;
    trace->memory.device_kind[row] = (uint8_t)kind;
    trace->memory.action[row] = (uint8_t)action;
    trace->memory.addr[row] = addr;
    trace->memory.bytes[row] = bytes;
}

static void peaks_follow_the_end_state_back(void **state)
{
    (void)state;
    ps_error err = {0};
    ps_trace *trace = ps_trace_create();
    ps_trace_summary summary;
    /* 2 MiB live from before; + 1000 B, + 3 MiB, - 3 MiB, then a cached segment goes */
    const size_t segment = add(trace, PS_TABLE_SEGMENT);
    trace->segment.bytes[segment] = 20 * MIB;
    const size_t old = add(trace, PS_TABLE_BLOCK), young = add(trace, PS_TABLE_BLOCK);
    trace->block.addr[old] = 4096;
    trace->block.bytes[old] = 2 * MIB;
    trace->block.state[old] = PS_BLOCK_ALLOCATED;
    trace->block.addr[young] = 8192;
    trace->block.bytes[young] = 1024;
    trace->block.state[young] = PS_BLOCK_ALLOCATED;
    add_event(trace, PS_DEVICE_CUDA, PS_ACTION_ALLOC, 8192, 1000);
    add_event(trace, PS_DEVICE_CUDA, PS_ACTION_ALLOC, 65536, 3 * MIB - 100);
    add_event(trace, PS_DEVICE_HOST, PS_ACTION_ALLOC, 1, 1000 * MIB);
    add_event(trace, PS_DEVICE_CUDA, PS_ACTION_FREE, 65536, 3 * MIB - 100);
    add_event(trace, PS_DEVICE_CUDA, PS_ACTION_SEGMENT_FREE, 65536, 10 * MIB);
    assert_ok(&err, ps_trace_summarise(trace, &summary, &err));
    assert_true(summary.peak_allocated.is_known);
    assert_int_equal(summary.peak_allocated.bytes, 5 * MIB + 1024);
    assert_int_equal(summary.peak_reserved.bytes, 30 * MIB);
    assert_int_equal(summary.count.device_memory.alloc, 2);
    assert_int_equal(summary.count.host_memory.alloc, 1);
    assert_int_equal(summary.count.segment_events, 1);
    ps_trace_summary_fini(&summary);
    ps_trace_destroy(trace);
}

static void rests_too_small_to_be_free_belong_to_their_blocks(void **state)
{
    (void)state;
    ps_error err = {0};
    ps_trace *trace = ps_trace_create();
    ps_trace_summary summary;
    const size_t segment = add(trace, PS_TABLE_SEGMENT);
    trace->segment.addr[segment] = 64 * MIB;
    trace->segment.bytes[segment] = 20 * MIB;
    trace->segment.is_large[segment] = 1;
    /* 12 MiB, then 8 MiB less 1000 bytes up to the end, both gone; the first alone again */
    const size_t block = add(trace, PS_TABLE_BLOCK), rest = add(trace, PS_TABLE_BLOCK);
    trace->block.addr[block] = 64 * MIB;
    trace->block.bytes[block] = 12 * MIB;
    trace->block.state[block] = PS_BLOCK_ALLOCATED;
    trace->block.addr[rest] = 76 * MIB;
    trace->block.bytes[rest] = 8 * MIB;
    add_event(trace, PS_DEVICE_CUDA, PS_ACTION_ALLOC, 64 * MIB, 12 * MIB);
    add_event(trace, PS_DEVICE_CUDA, PS_ACTION_ALLOC, 76 * MIB, 8 * MIB - MIB / 2);
    add_event(trace, PS_DEVICE_CUDA, PS_ACTION_FREE, 64 * MIB, 12 * MIB);
    add_event(trace, PS_DEVICE_CUDA, PS_ACTION_FREE, 76 * MIB, 8 * MIB - MIB / 2);
    add_event(trace, PS_DEVICE_CUDA, PS_ACTION_ALLOC, 64 * MIB, 12 * MIB);
    assert_ok(&err, ps_trace_summarise(trace, &summary, &err));
    assert_int_equal(summary.peak_allocated.bytes, 20 * MIB);
    ps_trace_summary_fini(&summary);
    ps_trace_destroy(trace);
}

static void address_sets_find_the_next_member(void **state)
{
    (void)state;
    ps_error err = {0};
    ps_address_set set;
    enum { COUNT = 70000 };
    ps_address_set_init(&set);
    for (uint64_t i = COUNT; i > 0; i--) {
        assert_ok(&err, ps_address_set_offer(&set, i * 512, &err));
    }
    assert_ok(&err, ps_address_set_seal(&set, &err));
    assert_true(ps_address_set_next(&set, 512) == UINT64_MAX);
    ps_address_set_put(&set, 3 * 512);
    ps_address_set_put(&set, 65 * 512);
    ps_address_set_put(&set, (uint64_t)COUNT * 512);
    ps_address_set_put(&set, 100); /* was not offered */
    assert_int_equal(ps_address_set_next(&set, 512), 3 * 512);
    assert_int_equal(ps_address_set_next(&set, 3 * 512), 65 * 512);
    assert_int_equal(ps_address_set_next(&set, 65 * 512), (uint64_t)COUNT * 512);
    ps_address_set_take(&set, 65 * 512);
    assert_int_equal(ps_address_set_next(&set, 3 * 512), (uint64_t)COUNT * 512);
    ps_address_set_take(&set, (uint64_t)COUNT * 512);
    assert_true(ps_address_set_next(&set, 3 * 512) == UINT64_MAX);
    ps_address_set_fini(&set);
}

static void totals_tell_peaks_where_recorded(void **state)
{
    (void)state;
    ps_error err = {0};
    ps_trace *trace = ps_trace_create();
    ps_trace_summary summary;
    const uint64_t totals[] = {3 * MIB, 9 * MIB, 4 * MIB};
    for (size_t i = 0; i < 3; i++) {
        add_event(trace, PS_DEVICE_CUDA, PS_ACTION_ALLOC, 4096 * (i + 1), MIB);
        trace->memory.total_allocated[i] = totals[i] + 1;
    }
    assert_ok(&err, ps_trace_summarise(trace, &summary, &err));
    assert_true(summary.peak_allocated.is_known);
    assert_int_equal(summary.peak_allocated.bytes, 9 * MIB);
    assert_false(summary.peak_reserved.is_known);
    ps_trace_summary_fini(&summary);
    ps_trace_destroy(trace);
}

static void contradicting_events_give_no_peak(void **state)
{
    (void)state;
    ps_error err = {0};
    ps_trace *trace = ps_trace_create();
    ps_trace_summary summary;
    const size_t segment = add(trace, PS_TABLE_SEGMENT);
    trace->segment.bytes[segment] = 2 * MIB;
    add_event(trace, PS_DEVICE_CUDA, PS_ACTION_SEGMENT_ALLOC, 4096, 4 * MIB);
    assert_ok(&err, ps_trace_summarise(trace, &summary, &err));
    assert_false(summary.peak_reserved.is_known);
    ps_trace_summary_fini(&summary);
    ps_trace_destroy(trace);
}

/* ---- real recordings ---- */

typedef struct expectation {
    const char *file; /* below traces/real */
    uint64_t kernels, steps;
    uint64_t allocated_bytes, reserved_bytes; /* peaks; 0 unknown */
} expectation;

static void check_recording(const char *folder, const expectation *wanted)
{
    char path[1400];
    ps_error err = {0};
    ps_trace_builder *builder;
    ps_trace *trace;
    ps_trace_summary summary;
    (void)snprintf(path, sizeof path, "%s/traces/real/%s", folder, wanted->file);
    print_message("%s\n", wanted->file);
    assert_ok(&err, ps_trace_builder_open_memory(&builder, &err));
    assert_ok(&err, ps_import_file(path, NULL, builder, NULL, &err));
    assert_ok(&err, ps_trace_builder_take(builder, &trace, &err));
    assert_ok(&err, ps_trace_check(trace, NULL, NULL, NULL, &err));
    assert_ok(&err, ps_trace_summarise(trace, &summary, &err));
    assert_int_equal(summary.count.kernel, wanted->kernels);
    assert_int_equal(summary.step_count, wanted->steps);
    assert_int_equal(summary.peak_allocated.is_known, wanted->allocated_bytes > 0);
    assert_int_equal(summary.peak_allocated.bytes, wanted->allocated_bytes);
    assert_int_equal(summary.peak_reserved.bytes, wanted->reserved_bytes);
    ps_trace_summary_fini(&summary);
    ps_trace_destroy(trace);
}

/* Peaks of snapshots are those that the allocator model reaches when it repeats the history. */
static void real_recordings_come_out_exactly(void **state)
{
    (void)state;
    static const expectation wanted[] = {
        {"facebookresearch+HolisticTraceAnalysis/tests/data/df_index_resolver/"
         "df_index_resolver.json.gz",
         19370, 5, 6629508096, 12782141440},
        {"AMD-AGI+TraceLens/tests/traces/h100/"
         "Qwen_Qwen1.5-0.5B-Chat__1016005.json.gz",
         1465, 1, 2088508416, 2629828608},
        {"deepseek-ai+profile-data/train.json", 963, 1, 0, 0},
        {"HugePandaCoder+octree-nca-groupeq/mem_snapshots/"
         "traditional_single_step.pickle",
         0, 0, 62515712, 98566144},
        {"MAGMA27+assignment2-systems/memory_snapshot.pickle", 0, 0, 13927832064, 14180941824},
        {"Maphsge4+select_n/snapshot.pickle", 0, 0, 20802387456, 22519218176},
        {"NiuHuangxiaozi+assignment2-systems/cs336_systems/profile_memory/"
         "forward_and_backward_memory_snapshot_100.pickle",
         0, 0, 695675904, 786432000},
        {"NiuHuangxiaozi+assignment2-systems/cs336_systems/profile_memory/"
         "forward_and_backward_memory_snapshot_200.pickle",
         0, 0, 1234635264, 1390411776},
        {"Wedsonlin+assignment2-systems/results/"
         "medium_128_training_memory_snapshot.pickle",
         0, 0, 7026606592, 7235174400},
        {"bolongcheng+assignment2-systems/benchmarks/"
         "memory_snapshot_xl_fwd_cl512_dtypetorch.float32.pickle",
         0, 0, 42537453568, 43132125184},
        {"cornell-sysphotonics+ccl-bench/trace_collection/"
         "llama3-8b-torchtitan-fsdp-perlmutter-16/traces/memory_snapshot/"
         "iteration_0_exit/rank0_memory_snapshot.pickle",
         0, 0, 36227704832, 40907046912},
    };
    const char *folder = ps_test_shared();
    if (folder == NULL) {
        skip();
    }
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        check_recording(folder, &wanted[i]);
    }
}

static void out_of_memory_is_a_result(void **state)
{
    (void)state;
    ps_trace *trace = ps_trace_create();
    add_kernel(trace, 1, 1, 0, 7);
    add_kernel(trace, 1, 1, 1, 8);
    add_range(trace, 0, PS_RANGE_ANNOTATION, "ProfilerStep#7");
    ps_code code = PS_NOMEM;
    for (unsigned long n = 1; n < 100 && code != PS_OK; n++) {
        ps_trace_summary summary;
        ps_memory_fail_nth(n);
        code = ps_trace_summarise(trace, &summary, NULL);
        ps_memory_fail_nth(0);
        assert_true(code == PS_OK || code == PS_NOMEM);
        if (code == PS_OK) {
            ps_trace_summary_fini(&summary);
        }
    }
    assert_int_equal(code, PS_OK);
    ps_trace_destroy(trace);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(busy_time_counts_overlaps_once),
        cmocka_unit_test(steps_are_host_annotations_of_that_name),
        cmocka_unit_test(peaks_follow_the_end_state_back),
        cmocka_unit_test(rests_too_small_to_be_free_belong_to_their_blocks),
        cmocka_unit_test(address_sets_find_the_next_member),
        cmocka_unit_test(totals_tell_peaks_where_recorded),
        cmocka_unit_test(contradicting_events_give_no_peak),
        cmocka_unit_test(real_recordings_come_out_exactly),
        cmocka_unit_test(out_of_memory_is_a_result),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
