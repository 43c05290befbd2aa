/* SPDX-License-Identifier: MIT
 *
 * The memory snapshot importer on small snapshots written by hand: the whole,
 * the events and their stacks, damage.
 */
#include "base/memory.h"
#include "snapshot_writer.h"

/* Everything a snapshot can hold, small. */
static void write_sample(int protocol, bool memoises)
{
    pw_begin(&w, protocol, memoises);
    (void)pw_dict(&w);
    pw_text(&w, "segments");
    (void)pw_list(&w);
    open_segment(0, 0x200000, 2048);
    block(0x200000, 1024, 1000, "active_allocated");
    block(0x200400, 512, 500, "active_pending_free");
    block(0x200600, 512, 99999, "inactive");
    close_segment();
    pw_list_end(&w);
    pw_text(&w, "device_traces");
    (void)pw_bare_list(&w);
    (void)pw_list(&w);
    event("segment_alloc", 0x200000, 2048, 10);
    open_event("alloc", 0x200000, 1000, 11);
    pw_text(&w, "frames");
    (void)pw_list(&w);
    frame("??", 0, "torch::unwind::unwind()");
    frame("x.cpp", 0, "at::_ops::zeros::call(c10::ArrayRef<long>)");
    frame("/v/site-packages/torch/nn/modules/module.py", 1, "_call_impl");
    frame("/home/me/train.py", 12, "step");
    pw_list_end(&w);
    pw_dict_end(&w);
    event("free_requested", 0x300000, 64, 12);
    event("free_completed", 0x300000, 64, 13);
    pw_list_end(&w);
    pw_append(&w);
    pw_text(&w, "allocator_settings");
    (void)pw_dict(&w);
    pw_text_item(&w, "PYTORCH_CUDA_ALLOC_CONF", "max_split_size_mb:64");
    pw_int_item(&w, "max_split_size", 64 << 20);
    pw_dict_end(&w);
    pw_text(&w, "external_annotations");
    (void)pw_list(&w);
    annotation("START", "step", 0, 10);
    annotation("END", "step", 0, 14);
    pw_list_end(&w);
    pw_dict_end(&w);
    pw_end(&w);
}

static void assert_sample(const ps_trace *trace)
{
    assert_int_equal(trace->memory.head.count, 3);
    assert_row(trace, 0, PS_ACTION_SEGMENT_ALLOC, 10000, 0x200000, 2048);
    assert_row(trace, 1, PS_ACTION_ALLOC, 11000, 0x200000, 1000);
    assert_row(trace, 2, PS_ACTION_FREE, 12000, 0x300000, 64);
    assert_string_equal(text_of(trace, trace->memory.stack[0]), "");
    assert_string_equal(text_of(trace, trace->memory.stack[1]),
                        "at::_ops::zeros::call; /home/me/train.py:12 step");

    assert_int_equal(trace->segment.head.count, 1);
    assert_int_equal(trace->segment.addr[0], 0x200000);
    assert_int_equal(trace->segment.bytes[0], 2048);
    assert_int_equal(trace->segment.stream[0], 9);
    assert_int_equal(trace->segment.is_large[0], 1);
    assert_int_equal(trace->segment.is_expandable[0], 1);
    assert_int_equal(trace->segment.pool_owner[0], 3);
    assert_int_equal(trace->segment.pool_serial[0], 4);
    assert_int_equal(trace->segment.allocated_bytes[0], 1024);
    assert_int_equal(trace->segment.active_bytes[0], 1536);
    assert_int_equal(trace->segment.requested_bytes[0], 1500);

    assert_int_equal(trace->block.head.count, 3);
    assert_int_equal(trace->block.addr[1], 0x200400);
    assert_int_equal(trace->block.bytes[0], 1024);
    assert_int_equal(trace->block.requested_bytes[0], 1000);
    assert_int_equal(trace->block.state[0], PS_BLOCK_ALLOCATED);
    assert_int_equal(trace->block.state[1], PS_BLOCK_PENDING_FREE);
    assert_int_equal(trace->block.state[2], PS_BLOCK_INACTIVE);

    assert_int_equal(trace->range.head.count, 1);
    assert_int_equal(trace->range.start_ns[0], 10000);
    assert_int_equal(trace->range.dur_ns[0], 4000);
    assert_int_equal(trace->range.category[0], PS_RANGE_ANNOTATION);
    assert_string_equal(text_of(trace, trace->range.name[0]), "step");

    assert_int_equal(trace->device.head.count, 1);
    assert_int_equal(trace->device.kind[0], PS_DEVICE_CUDA);
    assert_int_equal(trace->loss.head.count, 0);
    assert_string_equal(ps_trace_meta(trace, PS_META_SOURCE), "memory-snapshot");
    assert_string_equal(ps_trace_meta(trace, PS_META_CLOCK), "unix-ns");
    assert_string_equal(ps_trace_meta(trace, PS_META_MEMORY_SIZES), "requested");
    assert_string_equal(ps_trace_meta(trace, PS_META_ALLOCATOR_CONF), "max_split_size_mb:64");
}

static void every_protocol_gives_the_same_trace(void **state)
{
    (void)state;
    for (int protocol = 1; protocol <= 5; protocol++) {
        for (int memoises = 0; memoises <= 1; memoises++) {
            write_sample(protocol, memoises != 0);
            ps_trace *trace = import_written();
            assert_sample(trace);
            ps_trace_destroy(trace);
        }
    }
}

static void a_cut_file_is_never_a_trace(void **state)
{
    (void)state;
    write_sample(4, true);
    for (size_t cut = 1; cut < w.used; cut++) {
        ps_error err = {0};
        ps_trace *trace = NULL;
        assert_int_equal(import_bytes(w.bytes, cut, &trace, &err), PS_TRUNCATED);
        assert_int_equal(err.offset_bytes, cut);
    }
}

static void running_out_of_memory_leaves_nothing(void **state)
{
    (void)state;
    unsigned long n = 0;
    ps_code code;
    write_sample(4, true);
    do {
        ps_error err = {0};
        ps_trace *trace = NULL;
        ps_memory_fail_nth(++n);
        code = import_bytes(w.bytes, w.used, &trace, &err);
        ps_memory_fail_nth(0);
        assert_true(code == PS_OK || code == PS_NOMEM);
        ps_trace_destroy(trace);
    } while (code != PS_OK);
    assert_true(n > 20);
}

static void frees_merge_only_when_completed_at_once(void **state)
{
    (void)state;
    open_events(4, true);
    event("free_requested", 0x1000, 5, 1); /* merged */
    event("free_completed", 0x1000, 5, 2);
    event("free_requested", 0x2000, 6, 3); /* completed later */
    event("alloc", 0x3000, 7, 4);
    event("free_completed", 0x2000, 6, 5);
    event("free_requested", 0x4000, 8, 6); /* another one follows */
    event("free_completed", 0x5000, 8, 7);
    event("free_requested", 0x6000, 9, 8); /* never completed */
    close_events();
    ps_trace *trace = import_written();
    assert_int_equal(trace->memory.head.count, 7);
    assert_row(trace, 0, PS_ACTION_FREE, 1000, 0x1000, 5);
    assert_row(trace, 1, PS_ACTION_FREE_REQUESTED, 3000, 0x2000, 6);
    assert_row(trace, 2, PS_ACTION_ALLOC, 4000, 0x3000, 7);
    assert_row(trace, 3, PS_ACTION_FREE_COMPLETED, 5000, 0x2000, 6);
    assert_row(trace, 4, PS_ACTION_FREE_REQUESTED, 6000, 0x4000, 8);
    assert_row(trace, 5, PS_ACTION_FREE_COMPLETED, 7000, 0x5000, 8);
    assert_row(trace, 6, PS_ACTION_FREE_REQUESTED, 8000, 0x6000, 9);
    ps_trace_destroy(trace);
}

static void every_action_has_its_row(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        ps_memory_action action;
    } actions[] = {
        {"alloc", PS_ACTION_ALLOC},
        {"segment_alloc", PS_ACTION_SEGMENT_ALLOC},
        {"segment_free", PS_ACTION_SEGMENT_FREE},
        {"segment_map", PS_ACTION_SEGMENT_MAP},
        {"segment_unmap", PS_ACTION_SEGMENT_UNMAP},
        {"snapshot", PS_ACTION_SNAPSHOT},
        {"free_completed", PS_ACTION_FREE_COMPLETED},
    };
    const size_t count = sizeof actions / sizeof actions[0];
    open_events(2, false);
    for (size_t i = 0; i < count; i++) {
        event(actions[i].name, 0x1000, 512, (int64_t)i);
    }
    event("never_heard_of", 0x1000, -1, 50);
    (void)pw_dict(&w); /* an oom has no address */
    pw_text_item(&w, "action", "oom");
    pw_int_item(&w, "size", 4096);
    pw_int_item(&w, "stream", 7);
    pw_int_item(&w, "time_us", 60);
    pw_int_item(&w, "device_free", 0);
    pw_text(&w, "pool_id");
    pw_pair(&w, 0, 2);
    pw_dict_end(&w);
    close_events();
    ps_trace *trace = import_written();
    assert_int_equal(trace->memory.head.count, count + 1);
    for (size_t i = 0; i < count; i++) {
        assert_row(trace, i, actions[i].action, 1000 * (ps_ns)i, 0x1000, 512);
        assert_int_equal(trace->memory.device_free[i], 0);
    }
    assert_row(trace, count, PS_ACTION_OOM, 60000, 0, 4096);
    assert_int_equal(trace->memory.device_free[count], 1);
    assert_int_equal(trace->memory.pool_owner[count], 0);
    assert_int_equal(trace->memory.pool_serial[count], 2);
    assert_int_equal(loss_of(trace, "unknown-categories"), 1);
    ps_trace_destroy(trace);
}

static void without_times_the_position_counts(void **state)
{
    (void)state;
    open_events(4, true);
    event("free_requested", 0x1000, 5, -1);
    event("free_completed", 0x1000, 5, -1);
    event("alloc", 0x1000, 5, -1);
    event("alloc", 0x2000, 5, 77); /* too late to change the clock */
    close_events();
    ps_trace *trace = import_written();
    assert_row(trace, 0, PS_ACTION_FREE, 0, 0x1000, 5);
    assert_row(trace, 1, PS_ACTION_ALLOC, 2, 0x1000, 5);
    assert_row(trace, 2, PS_ACTION_ALLOC, 3, 0x2000, 5);
    assert_string_equal(ps_trace_meta(trace, PS_META_CLOCK), "order");
    assert_null(ps_trace_meta(trace, PS_META_ALLOCATOR_CONF));
    ps_trace_destroy(trace);
}

static void a_missing_time_among_others_is_counted(void **state)
{
    (void)state;
    open_events(4, true);
    event("alloc", 0x1000, 5, 3);
    event("alloc", 0x2000, 5, -1);
    close_events();
    ps_trace *trace = import_written();
    assert_row(trace, 1, PS_ACTION_ALLOC, 3000, 0x2000, 5);
    assert_int_equal(loss_of(trace, "missing-timestamps"), 1);
    ps_trace_destroy(trace);
}

/* Both layouts of list of lists: with a mark over several lists, without for one. */
static void the_device_is_the_place_in_the_list(void **state)
{
    (void)state;
    pw_begin(&w, 4, true);
    (void)pw_dict(&w);
    pw_text(&w, "device_traces");
    (void)pw_list(&w);
    (void)pw_bare_list(&w); /* device 0: nothing */
    (void)pw_bare_list(&w); /* device 1: one event, appended without a mark */
    event("alloc", 0x1000, 1, 1);
    pw_append(&w);
    (void)pw_bare_list(&w); /* device 2: nothing */
    (void)pw_list(&w);      /* device 3: two batches */
    event("alloc", 0x3000, 2, 2);
    event("alloc", 0x4000, 3, 3);
    pw_list_end(&w);
    pw_op(&w, '(');
    event("alloc", 0x5000, 4, 4);
    pw_list_end(&w);
    pw_list_end(&w);
    pw_dict_end(&w);
    pw_end(&w);
    ps_trace *trace = import_written();
    assert_int_equal(trace->memory.head.count, 4);
    assert_int_equal(trace->memory.device[0], 1);
    assert_int_equal(trace->memory.device[1], 3);
    assert_int_equal(trace->memory.device[2], 3);
    assert_int_equal(trace->memory.device[3], 3);
    assert_int_equal(trace->device.head.count, 2);
    assert_int_equal(trace->device.device[0], 1);
    assert_int_equal(trace->device.device[1], 3);
    ps_trace_destroy(trace);
}

static void one_event_of_one_device_needs_no_mark(void **state)
{
    (void)state;
    pw_begin(&w, 4, true);
    (void)pw_dict(&w);
    pw_text(&w, "device_traces");
    (void)pw_bare_list(&w);
    (void)pw_bare_list(&w);
    event("alloc", 0x1000, 1, 1);
    pw_append(&w);
    pw_append(&w);
    pw_text(&w, "segments");
    (void)pw_bare_list(&w);
    pw_dict_end(&w);
    pw_end(&w);
    ps_trace *trace = import_written();
    assert_int_equal(trace->memory.head.count, 1);
    assert_int_equal(trace->memory.device[0], 0);
    ps_trace_destroy(trace);
}

static void events_out_of_place_are_refused(void **state)
{
    (void)state;
    /* a list of events under another key */
    pw_begin(&w, 4, true);
    (void)pw_dict(&w);
    pw_text(&w, "device_traces");
    (void)pw_bare_list(&w);
    pw_text(&w, "more");
    (void)pw_bare_list(&w);
    (void)pw_list(&w);
    event("alloc", 0x1000, 1, 1);
    pw_list_end(&w);
    pw_append(&w);
    pw_dict_end(&w);
    pw_end(&w);
    assert_refused(PS_BAD_INPUT, "\"device_traces\" is a list, expected");

    /* the same list twice */
    pw_begin(&w, 4, true);
    (void)pw_dict(&w);
    pw_text(&w, "device_traces");
    (void)pw_list(&w);
    const uint32_t list = pw_list(&w);
    event("alloc", 0x1000, 1, 1);
    pw_list_end(&w);
    pw_get(&w, list);
    pw_list_end(&w);
    pw_dict_end(&w);
    pw_end(&w);
    assert_refused(PS_BAD_INPUT, "stands in two places");

    /* device_traces a level too flat */
    pw_begin(&w, 4, true);
    (void)pw_dict(&w);
    pw_text(&w, "device_traces");
    (void)pw_list(&w);
    event("alloc", 0x1000, 1, 1);
    pw_list_end(&w);
    pw_dict_end(&w);
    pw_end(&w);
    assert_refused(PS_BAD_INPUT, "\"device_traces\" is a list, expected");
}

static void bad_events_are_refused(void **state)
{
    (void)state;
    open_events(4, true);
    event("alloc", 0x1000, -1, 1);
    close_events();
    assert_refused(PS_BAD_INPUT, "a trace event has no size");

    open_events(4, true);
    event("alloc", -4096, 1, 1);
    close_events();
    assert_refused(PS_BAD_INPUT, "\"addr\" is -4096, expected an integer >= 0");

    open_events(4, true);
    event("alloc", 1, 1, INT64_MAX);
    close_events();
    assert_refused(PS_BAD_INPUT, "expected a time in microseconds");

    open_events(4, true);
    open_event("alloc", 1, 1, 1);
    pw_text_item(&w, "pool_id", "x");
    pw_dict_end(&w);
    close_events();
    assert_refused(PS_BAD_INPUT, "\"pool_id\" is a text, expected a tuple of two integers");
}

static void none_is_an_unknown_address(void **state)
{
    (void)state;
    open_events(4, true);
    (void)pw_dict(&w);
    pw_text_item(&w, "action", "alloc");
    pw_text(&w, "addr");
    pw_op(&w, 'N');
    pw_int_item(&w, "size", 3);
    pw_int_item(&w, "stream", 7);
    pw_dict_end(&w);
    close_events();
    ps_trace *trace = import_written();
    assert_row(trace, 0, PS_ACTION_ALLOC, 0, 0, 3);
    ps_trace_destroy(trace);
}

static void stacks_keep_what_tells_something(void **state)
{
    (void)state;
    open_events(4, true);
    open_event("alloc", 0x1000, 1, 1);
    pw_text(&w, "frames");
    const uint32_t stack = pw_list(&w);
    frame("", 0, "c10::cuda::CUDACachingAllocator::malloc()");
    for (int i = 0; i < 9; i++) {
        frame("x.cpp", 0, "c10d::(anonymous namespace)::all_reduce(int)");
    }
    frame("??", 0, "at::_ops::mm::redispatch(int)");
    frame("??", 0, "torch::autograd::generated::MmBackward0::operator()(int)");
    frame("C:\\v\\site-packages\\torch\\optim\\adam.py", 3, "step");
    frame("??", 0, "at::_ops::add::call(int)"); /* outside a Python frame: dropped */
    frame("<string>", 1, "<module>");
    for (int i = 0; i < 9; i++) {
        frame("/a/m.py", i, "f");
    }
    pw_list_end(&w);
    pw_dict_end(&w);
    open_event("alloc", 0x2000, 1, 2); /* the stack is shared */
    pw_text(&w, "frames");
    pw_get(&w, stack);
    pw_dict_end(&w);
    open_event("alloc", 0x3000, 1, 3);
    pw_text(&w, "frames");
    (void)pw_bare_list(&w);
    pw_dict_end(&w);
    open_event("alloc", 0x4000, 1, 4); /* a form nobody knows */
    pw_int_item(&w, "frames", 5);
    pw_dict_end(&w);
    close_events();
    static const char *const expected =
        "c10d::(anonymous namespace)::all_reduce; c10d::(anonymous namespace)::all_reduce; "
        "c10d::(anonymous namespace)::all_reduce; c10d::(anonymous namespace)::all_reduce; "
        "c10d::(anonymous namespace)::all_reduce; c10d::(anonymous namespace)::all_reduce; "
        "torch\\optim\\adam.py:3 step; <string>:1 <module>; /a/m.py:0 f; /a/m.py:1 f; "
        "/a/m.py:2 f; /a/m.py:3 f; /a/m.py:4 f; /a/m.py:5 f";
    ps_trace *trace = import_written();
    assert_string_equal(text_of(trace, trace->memory.stack[0]), expected);
    assert_string_equal(text_of(trace, trace->memory.stack[1]), expected);
    assert_int_equal(trace->memory.stack[2], 0);
    assert_int_equal(trace->memory.stack[3], 0);
    assert_int_equal(loss_of(trace, "lost-stacks"), 1);
    ps_trace_destroy(trace);
}

static void other_pickles_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t count;
        ps_code code;
        const char *part;
    } cases[] = {
        {"PK\x03\x04rest", 8, PS_UNSUPPORTED, "torch.cuda.memory._dump_snapshot"},
        {"}.", 2, PS_BAD_INPUT, "not a memory snapshot"},
        {"].", 2, PS_BAD_INPUT, "not a memory snapshot"},
        {"N.", 2, PS_BAD_INPUT, "not a memory snapshot"},
        {"}U\x08segments]sU\x08segments]s.", 26, PS_UNSUPPORTED, "written in several steps"},
        {"(dp0\nS'segments'\n", 17, PS_UNSUPPORTED, "text pickles"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ps_error err = {0};
        ps_trace *trace = NULL;
        assert_int_equal(import_bytes(cases[i].bytes, cases[i].count, &trace, &err), cases[i].code);
        assert_non_null(strstr(err.message, cases[i].part));
    }
}

static void unknown_parts_do_no_harm(void **state)
{
    (void)state;
    pw_begin(&w, 5, true);
    (void)pw_dict(&w);
    pw_text(&w, "news");
    (void)pw_list(&w);
    (void)pw_dict(&w);
    pw_int_item(&w, "a", 1);
    pw_dict_end(&w);
    pw_op(&w, '(');
    pw_int(&w, 1);
    pw_text(&w, "action"); /* a key of an event, but only in a tuple */
    pw_op(&w, 't');
    pw_list_end(&w);
    pw_int(&w, 5); /* a key that is no text */
    pw_int(&w, 6);
    pw_text(&w, "segments");
    (void)pw_bare_list(&w);
    pw_dict_end(&w);
    pw_end(&w);
    ps_trace *trace = import_written();
    assert_int_equal(trace->memory.head.count, 0);
    assert_int_equal(trace->loss.head.count, 0);
    ps_trace_destroy(trace);
}

static int probe(const void *bytes, size_t count)
{
    return ps_importer_snapshot.probe(bytes, count);
}

static void the_probe_knows_its_own(void **state)
{
    (void)state;
    write_sample(4, true);
    assert_true(probe(w.bytes, w.used) > 90);
    write_sample(1, true);
    assert_true(probe(w.bytes, w.used) > 50);
    assert_int_equal(probe("", 0), 0);
    assert_int_equal(probe("}", 1), 0);
    assert_int_equal(probe("{\"segments\": 1}", 15), 0);
    assert_int_equal(probe("]}", 2), 0);
    assert_int_equal(probe("\x80\x04N.", 4), 0);
    assert_int_equal(probe("PK\x03\x04 trace.json", 15), 0);
    assert_in_range(probe("PK\x03\x04 archive/data.pkl", 21), 1, 50);
    assert_in_range(probe("(dp0\nVsegments", 14), 1, 90);
    assert_int_equal(probe("\x80\x77segments", 10), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_protocol_gives_the_same_trace),
        cmocka_unit_test(a_cut_file_is_never_a_trace),
        cmocka_unit_test(running_out_of_memory_leaves_nothing),
        cmocka_unit_test(frees_merge_only_when_completed_at_once),
        cmocka_unit_test(every_action_has_its_row),
        cmocka_unit_test(without_times_the_position_counts),
        cmocka_unit_test(a_missing_time_among_others_is_counted),
        cmocka_unit_test(the_device_is_the_place_in_the_list),
        cmocka_unit_test(one_event_of_one_device_needs_no_mark),
        cmocka_unit_test(events_out_of_place_are_refused),
        cmocka_unit_test(bad_events_are_refused),
        cmocka_unit_test(none_is_an_unknown_address),
        cmocka_unit_test(stacks_keep_what_tells_something),
        cmocka_unit_test(other_pickles_are_refused),
        cmocka_unit_test(unknown_parts_do_no_harm),
        cmocka_unit_test(the_probe_knows_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
