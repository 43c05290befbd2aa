/* SPDX-License-Identifier: MIT
 *
 * The trace checker: two sound traces, one as the profiler records and one as
 * a memory snapshot, and one violation a rule made by hand in either.
 */
#include "support/test.h"

#include <string.h>

#include "base/memory.h"
#include "trace/check.h"
#include "trace/summary.h"
#include "trace/words.h"

#define MIB ((uint64_t)1 << 20)
#define BASE_ADDR ((uint64_t)0x7f0000000000)

/* ---- sound traces ---- */

static size_t add(ps_trace *trace, ps_trace_table_id table)
{
    ps_error err = {0};
    size_t row = 0;
    assert_ok(&err, ps_trace_add(trace, table, &row, &err));
    return row;
}

static ps_str text(ps_trace *trace, const char *value)
{
    ps_error err = {0};
    ps_str id = 0;
    assert_ok(&err, ps_strings_put_z(trace->strings, value, &id, &err));
    return id;
}

static void fact(ps_trace *trace, const char *key, const char *value)
{
    ps_error err = {0};
    assert_ok(&err, ps_trace_set_meta(trace, key, value, &err));
}

static void add_kernel(ps_trace *trace, ps_ns start, uint64_t stream, uint64_t correlation)
{
    const size_t row = add(trace, PS_TABLE_KERNEL);
    trace->kernel.start_ns[row] = start;
    trace->kernel.dur_ns[row] = 10;
    trace->kernel.stream[row] = stream;
    trace->kernel.correlation[row] = correlation;
}

static void add_total(ps_trace *trace, ps_ns time, ps_memory_action action, uint64_t addr,
                      uint64_t bytes, uint64_t total)
{
    const size_t row = add(trace, PS_TABLE_MEMORY);
    trace->memory.time_ns[row] = time;
    trace->memory.action[row] = (uint8_t)action;
    trace->memory.device_kind[row] = PS_DEVICE_CUDA;
    trace->memory.addr[row] = addr;
    trace->memory.bytes[row] = bytes;
    trace->memory.total_allocated[row] = total + 1;
    trace->memory.total_reserved[row] = 2 * MIB + 1;
}

/* Two launched kernels, one of them a collective; three allocator events with totals. */
static ps_trace *make_profile(void)
{
    ps_trace *trace = ps_trace_create();
    assert_non_null(trace);
    fact(trace, PS_META_SOURCE, "kineto");
    const size_t device = add(trace, PS_TABLE_DEVICE);
    trace->device.kind[device] = PS_DEVICE_CUDA;
    for (uint64_t i = 1; i <= 2; i++) {
        const size_t row = add(trace, PS_TABLE_CALL);
        trace->call.start_ns[row] = (ps_ns)i;
        trace->call.correlation[row] = i;
    }
    add_kernel(trace, 100, 7, 1);
    add_kernel(trace, 200, 20, 2);
    const size_t collective = add(trace, PS_TABLE_COLLECTIVE);
    trace->collective.start_ns[collective] = 200;
    trace->collective.stream[collective] = 20;
    trace->collective.correlation[collective] = 2;
    const size_t sync = add(trace, PS_TABLE_SYNC);
    trace->sync.kind[sync] = PS_SYNC_STREAM;
    trace->sync.stream[sync] = 7;
    add_total(trace, 10, PS_ACTION_ALLOC, 4096, 512, 1024);
    add_total(trace, 20, PS_ACTION_ALLOC, 8192, 1024, 2048);
    add_total(trace, 30, PS_ACTION_FREE, 4096, 512, 1536);
    return trace;
}

static void add_event(ps_trace *trace, ps_memory_action action, uint64_t addr, uint64_t bytes)
{
    const size_t row = add(trace, PS_TABLE_MEMORY);
    trace->memory.time_ns[row] = (ps_ns)row;
    trace->memory.action[row] = (uint8_t)action;
    trace->memory.device_kind[row] = PS_DEVICE_CUDA;
    trace->memory.addr[row] = addr;
    trace->memory.bytes[row] = bytes;
}

static void add_block(ps_trace *trace, uint64_t addr, uint64_t bytes, uint64_t requested,
                      ps_block_state state)
{
    const size_t row = add(trace, PS_TABLE_BLOCK);
    trace->block.addr[row] = addr;
    trace->block.bytes[row] = bytes;
    trace->block.requested_bytes[row] = requested;
    trace->block.state[row] = (uint8_t)state;
}

/* A large segment with a block and a small one with another, and how the blocks came to be. */
static ps_trace *make_snapshot(void)
{
    ps_trace *trace = ps_trace_create();
    assert_non_null(trace);
    fact(trace, PS_META_SOURCE, "memory-snapshot");
    const size_t large = add(trace, PS_TABLE_SEGMENT), small = add(trace, PS_TABLE_SEGMENT);
    ps_segment_table *segment = &trace->segment;
    segment->addr[large] = BASE_ADDR;
    segment->bytes[large] = 20 * MIB;
    segment->is_large[large] = 1;
    segment->allocated_bytes[large] = segment->active_bytes[large] = 4 * MIB;
    segment->requested_bytes[large] = 4 * MIB - 100;
    segment->addr[small] = BASE_ADDR + 32 * MIB;
    segment->bytes[small] = 2 * MIB;
    segment->allocated_bytes[small] = segment->active_bytes[small] = 1024;
    segment->requested_bytes[small] = 1000;
    add_block(trace, BASE_ADDR, 4 * MIB, 4 * MIB - 100, PS_BLOCK_ALLOCATED);
    add_block(trace, BASE_ADDR + 4 * MIB, 16 * MIB, 0, PS_BLOCK_INACTIVE);
    add_block(trace, BASE_ADDR + 32 * MIB, 1024, 1000, PS_BLOCK_ALLOCATED);
    add_block(trace, BASE_ADDR + 32 * MIB + 1024, 2 * MIB - 1024, 0, PS_BLOCK_INACTIVE);
    add_event(trace, PS_ACTION_ALLOC, BASE_ADDR, 4 * MIB - 100);
    add_event(trace, PS_ACTION_ALLOC, BASE_ADDR + 4 * MIB, 2 * MIB);
    add_event(trace, PS_ACTION_FREE, BASE_ADDR + 4 * MIB, 2 * MIB);
    add_event(trace, PS_ACTION_ALLOC, BASE_ADDR + 32 * MIB, 1000);
    return trace;
}

/* ---- what a check found ---- */

typedef struct found {
    ps_finding last;
    unsigned count;
    const char *wanted; /* rule that is looked for */
    bool has_wanted;
} found;

static void note(void *context, const ps_finding *finding)
{
    found *self = context;
    self->count++;
    if (self->wanted != NULL && strcmp(finding->rule, self->wanted) == 0) {
        self->has_wanted = true;
        self->last = *finding;
    }
}

/* Takes the trace. */
static ps_finding expect_rule(ps_trace *trace, const char *rule, ps_finding_severity severity)
{
    ps_error err = {0};
    found seen = {.wanted = rule};
    ps_check_tally tally = {{0}};
    const ps_code code = ps_trace_check(trace, note, &seen, &tally, &err);
    if (!seen.has_wanted) {
        fail_msg("rule %s was not found, %u others were", rule, seen.count);
    }
    assert_int_equal(seen.last.severity, severity);
    assert_true(tally.count[severity] > 0);
    assert_true(strlen(seen.last.text) > 0);
    assert_int_equal(code, tally.count[PS_FINDING_ERROR] > 0 ? PS_CHECK_FAILED : PS_OK);
    if (code != PS_OK) {
        assert_true(strlen(err.message) > 0);
    }
    ps_trace_destroy(trace);
    return seen.last;
}

static void expect_error(ps_trace *trace, const char *rule)
{
    (void)expect_rule(trace, rule, PS_FINDING_ERROR);
}

static void expect_warning(ps_trace *trace, const char *rule)
{
    (void)expect_rule(trace, rule, PS_FINDING_WARNING);
}

static void expect_info(ps_trace *trace, const char *rule)
{
    (void)expect_rule(trace, rule, PS_FINDING_INFO);
}

/* ---- tests ---- */

static void sound_traces_pass(void **state)
{
    (void)state;
    ps_trace *traces[] = {make_profile(), make_snapshot(), ps_trace_create()};
    for (size_t i = 0; i < sizeof traces / sizeof traces[0]; i++) {
        ps_error err = {0};
        found seen = {0};
        ps_check_tally tally;
        assert_ok(&err, ps_trace_check(traces[i], note, &seen, &tally, &err));
        assert_int_equal(seen.count, 0);
        assert_ok(&err, ps_trace_check(traces[i], NULL, NULL, NULL, NULL));
        ps_trace_destroy(traces[i]);
    }
}

static void cells_out_of_range_are_errors(void **state)
{
    (void)state;
    ps_trace *trace = make_profile();
    trace->kernel.name[1] = 1000;
    const ps_finding finding = expect_rule(trace, "unknown-string", PS_FINDING_ERROR);
    assert_string_equal(finding.table, "kernel");
    assert_int_equal(finding.row, 1);
    trace = make_profile();
    trace->call.api[0] = 2;
    expect_error(trace, "unknown-value");
    trace = make_snapshot();
    trace->block.state[0] = 3;
    expect_error(trace, "unknown-value");
    trace = make_snapshot();
    trace->segment.is_large[0] = 2;
    expect_error(trace, "unknown-value");
}

static void every_enumeration_has_its_words(void **state)
{
    (void)state;
    for (size_t t = 0; t < PS_TRACE_TABLE_COUNT; t++) {
        const ps_table_spec *spec = &ps_trace_specs()[t];
        for (size_t c = 0; c < spec->column_count; c++) {
            const ps_column_spec *column = &spec->columns[c];
            const ps_words *words = ps_trace_words(column);
            if (strncmp(column->doc, "ps_", 3) == 0) {
                assert_non_null(words);
                for (size_t i = 0; i < words->count; i++) {
                    assert_non_null(words->word[i]);
                }
            } else {
                assert_null(words);
            }
        }
    }
}

static void times_must_make_sense(void **state)
{
    (void)state;
    ps_trace *trace = make_profile();
    trace->kernel.dur_ns[0] = -1;
    expect_error(trace, "negative-duration");
    trace = make_profile();
    trace->kernel.dur_ns[1] = INT64_MAX - 10;
    expect_error(trace, "endless");
    trace = make_profile();
    trace->call.start_ns[0] = 5;
    expect_error(trace, "unsorted");
}

static void facts_and_losses_are_judged(void **state)
{
    (void)state;
    ps_error err = {0};
    ps_trace *trace = make_profile();
    const size_t row = add(trace, PS_TABLE_META);
    trace->meta.key[row] = text(trace, PS_META_SOURCE);
    expect_error(trace, "fact-twice");
    trace = make_profile();
    assert_ok(&err, ps_trace_add_loss(trace, "duplicate-allocs", 2, &err));
    expect_error(trace, "recorded-contradiction");
    trace = make_profile();
    assert_ok(&err, ps_trace_add_loss(trace, "flow-arrows", 2, &err));
    assert_ok(&err, ps_trace_add_loss(trace, "malformed-events", 3, &err));
    expect_warning(trace, "recorded-loss");
}

static void links_are_followed(void **state)
{
    (void)state;
    ps_trace *trace = make_profile();
    trace->collective.correlation[0] = 1;
    expect_error(trace, "collective-without-kernel");
    trace = make_profile();
    trace->sync.stream[0] = UINT64_MAX;
    expect_warning(trace, "wait-without-stream");
    trace = make_profile();
    trace->kernel.device[0] = 3;
    expect_info(trace, "unlisted-device");
    trace = make_profile();
    trace->call.correlation[0] = 9;
    expect_info(trace, "unlinked-work");
    trace = make_profile();
    add_kernel(trace, 300, 7, 1);
    expect_info(trace, "shared-launch");
    trace = make_profile();
    trace->kernel.stream[1] = 7;
    trace->collective.stream[0] = 7;
    trace->kernel.dur_ns[0] = 101;
    expect_info(trace, "overlapping-work");
}

static void totals_must_follow(void **state)
{
    (void)state;
    ps_trace *trace = make_profile();
    trace->memory.total_allocated[1] += 512;
    expect_error(trace, "totals-jump");
    trace = make_profile();
    trace->memory.total_reserved[2] = 1000;
    expect_error(trace, "allocated-above-reserved");
}

static void rows_of_one_time_may_stand_in_any_order(void **state)
{
    (void)state;
    ps_error err = {0};
    found seen = {0};
    ps_trace *trace = make_profile();
    trace->memory.time_ns[2] = 30;
    add_total(trace, 30, PS_ACTION_ALLOC, 4096, 256, 1024 + 256); /* 4096 is freed below */
    add_total(trace, 30, PS_ACTION_FREE, 8192, 1024, 512);
    add_total(trace, 40, PS_ACTION_FREE, 4096, 256, 512);
    /* as recorded: free 4096 -> 1536, free 8192 -> 512, alloc 4096 -> 768 */
    trace->memory.total_allocated[3] = 768 + 1;
    assert_ok(&err, ps_trace_check(trace, note, &seen, NULL, &err));
    assert_int_equal(seen.count, 0);
    ps_trace_destroy(trace);
}

static void blocks_are_followed_forwards(void **state)
{
    (void)state;
    ps_trace *trace = make_profile();
    trace->memory.addr[1] = 4096;
    expect_error(trace, "duplicate-alloc");
    trace = make_profile();
    trace->memory.bytes[2] = 1024;
    trace->memory.total_allocated[2] = 1024 + 1;
    expect_error(trace, "free-size");
    trace = make_profile();
    trace->memory.addr[2] = 65536;
    expect_info(trace, "older-block");
    trace = make_profile();
    trace->memory.time_ns[0] = 25; /* now between the others, and so are its totals */
    trace->memory.total_allocated[1] = 1536 + 1;
    trace->memory.total_allocated[0] = 2048 + 1;
    expect_info(trace, "memory-out-of-order");
}

static void blocks_must_tile_their_segments(void **state)
{
    (void)state;
    ps_trace *trace = make_snapshot();
    trace->block.addr[1] += 512;
    expect_error(trace, "blocks-do-not-tile");
    trace = make_snapshot();
    trace->block.bytes[3] -= 512;
    expect_error(trace, "blocks-do-not-tile");
    trace = make_snapshot();
    add_block(trace, BASE_ADDR + 64 * MIB, 512, 0, PS_BLOCK_INACTIVE);
    expect_error(trace, "blocks-do-not-tile");
    trace = make_snapshot();
    trace->segment.addr[1] = BASE_ADDR + MIB;
    expect_error(trace, "segments-overlap");
    trace = make_snapshot();
    trace->segment.addr[0] += 8;
    expect_error(trace, "off-grid");
    trace = make_snapshot();
    trace->block.requested_bytes[0] = 4 * MIB + 1;
    expect_error(trace, "request-exceeds-block");
    trace = make_snapshot();
    trace->segment.active_bytes[0] += 512;
    expect_error(trace, "segment-totals");
}

static void default_settings_leave_their_marks(void **state)
{
    (void)state;
    ps_trace *trace = make_snapshot();
    trace->segment.bytes[1] = 4 * MIB;
    trace->block.bytes[3] += 2 * MIB;
    expect_warning(trace, "segment-size");
    trace = make_snapshot();
    trace->block.bytes[1] -= 2 * MIB;
    add_block(trace, 0, 0, 0, PS_BLOCK_INACTIVE);
    for (size_t i = 4; i > 2; i--) {
        trace->block.addr[i] = trace->block.addr[i - 1];
        trace->block.bytes[i] = trace->block.bytes[i - 1];
        trace->block.requested_bytes[i] = trace->block.requested_bytes[i - 1];
        trace->block.state[i] = trace->block.state[i - 1];
    }
    trace->block.addr[2] = BASE_ADDR + 18 * MIB;
    trace->block.bytes[2] = 2 * MIB;
    trace->block.requested_bytes[2] = 0;
    trace->block.state[2] = PS_BLOCK_INACTIVE;
    expect_warning(trace, "free-neighbours");
    trace = make_snapshot();
    trace->block.bytes[0] = 19 * MIB + 512;
    trace->block.addr[1] = BASE_ADDR + 19 * MIB + 512;
    trace->block.bytes[1] = MIB - 512;
    expect_warning(trace, "small-rest");
    trace = make_snapshot();
    trace->block.requested_bytes[2] = 100;
    expect_warning(trace, "slack");
    /* with other settings the same block is nothing to remark */
    ps_error err = {0};
    trace = make_snapshot();
    trace->block.requested_bytes[2] = 100;
    trace->segment.requested_bytes[1] = 100;
    fact(trace, PS_META_ALLOCATOR_CONF, "roundup_power2_divisions:4");
    assert_ok(&err, ps_trace_check(trace, NULL, NULL, NULL, &err));
    ps_trace_destroy(trace);
}

static void events_must_lead_to_the_end(void **state)
{
    (void)state;
    ps_trace *trace = make_snapshot();
    trace->block.state[0] = PS_BLOCK_INACTIVE;
    trace->segment.allocated_bytes[0] = trace->segment.active_bytes[0] = 0;
    trace->segment.requested_bytes[0] = 0;
    expect_error(trace, "history-contradicts-end");
    trace = make_snapshot();
    add_event(trace, PS_ACTION_FREE, BASE_ADDR, 4 * MIB - 100);
    expect_error(trace, "history-contradicts-end");
    trace = make_snapshot();
    trace->memory.addr[1] = trace->memory.addr[2] = BASE_ADDR + 48 * MIB;
    expect_error(trace, "orphan-alloc");
    /* a segment that was given back since is known too */
    ps_error err = {0};
    trace = make_snapshot();
    trace->memory.addr[1] = trace->memory.addr[2] = BASE_ADDR + 48 * MIB;
    add_event(trace, PS_ACTION_SEGMENT_FREE, BASE_ADDR + 48 * MIB, 20 * MIB);
    assert_ok(&err, ps_trace_check(trace, NULL, NULL, NULL, &err));
    ps_trace_destroy(trace);
}

static void a_rule_is_one_finding_however_often(void **state)
{
    (void)state;
    ps_trace *trace = make_profile();
    trace->call.correlation[0] = 8;
    trace->call.correlation[1] = 9;
    const ps_finding finding = expect_rule(trace, "unlinked-work", PS_FINDING_INFO);
    assert_int_equal(finding.count, 2);
    assert_int_equal(finding.row, 0);
    assert_string_equal(ps_finding_severity_name(finding.severity), "info");
}

static uint64_t next_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state >> 20;
}

/* Small and huge numbers, ids in range and not: whatever a damaged or hostile file could hold. */
static void add_random_row(ps_trace *trace, uint64_t *rng)
{
    const size_t table = next_random(rng) % PS_TRACE_TABLE_COUNT;
    const ps_table_spec *spec = &ps_trace_specs()[table];
    const size_t row = add(trace, (ps_trace_table_id)table);
    for (size_t c = 0; c < spec->column_count; c++) {
        const uint64_t bits = next_random(rng) * 0x9e3779b97f4a7c15u;
        const uint64_t value = bits >> next_random(rng) % 64;
        ps_table_set(&spec->columns[c], ps_trace_table(trace, (ps_trace_table_id)table), row,
                     next_random(rng) % 3 == 0 ? value : value % 4);
    }
}

static void any_bits_are_survived(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        ps_error err = {0};
        uint64_t rng = seed;
        ps_trace *trace = ps_trace_create();
        ps_trace_summary summary;
        assert_non_null(trace);
        (void)text(trace, "some text");
        for (size_t i = 0; i < seed * 2; i++) {
            add_random_row(trace, &rng);
        }
        const ps_code code = ps_trace_check(trace, NULL, NULL, NULL, &err);
        assert_true(code == PS_OK || code == PS_CHECK_FAILED);
        const ps_code summed = ps_trace_summarise(trace, &summary, &err);
        assert_true(summed == PS_OK || summed == PS_LIMIT);
        if (summed == PS_OK) {
            ps_trace_summary_fini(&summary);
        }
        ps_trace_destroy(trace);
    }
}

static void out_of_memory_is_a_result(void **state)
{
    (void)state;
    ps_trace *traces[] = {make_profile(), make_snapshot()};
    for (size_t i = 0; i < 2; i++) {
        ps_code code = PS_NOMEM;
        for (unsigned long n = 1; n < 200 && code != PS_OK; n++) {
            ps_memory_fail_nth(n);
            code = ps_trace_check(traces[i], NULL, NULL, NULL, NULL);
            ps_memory_fail_nth(0);
            assert_true(code == PS_OK || code == PS_NOMEM);
        }
        assert_int_equal(code, PS_OK);
        ps_trace_destroy(traces[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sound_traces_pass),
        cmocka_unit_test(cells_out_of_range_are_errors),
        cmocka_unit_test(every_enumeration_has_its_words),
        cmocka_unit_test(times_must_make_sense),
        cmocka_unit_test(facts_and_losses_are_judged),
        cmocka_unit_test(links_are_followed),
        cmocka_unit_test(totals_must_follow),
        cmocka_unit_test(rows_of_one_time_may_stand_in_any_order),
        cmocka_unit_test(blocks_are_followed_forwards),
        cmocka_unit_test(blocks_must_tile_their_segments),
        cmocka_unit_test(default_settings_leave_their_marks),
        cmocka_unit_test(events_must_lead_to_the_end),
        cmocka_unit_test(a_rule_is_one_finding_however_often),
        cmocka_unit_test(any_bits_are_survived),
        cmocka_unit_test(out_of_memory_is_a_result),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
