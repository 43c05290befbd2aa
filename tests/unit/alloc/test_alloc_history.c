/* SPDX-License-Identifier: MIT
 *
 * Replaying histories: a model is recorded as PyTorch would record itself,
 * and the record is replayed. What is true must be found exact from any
 * beginning, and what is not must be found out.
 */
#include <string.h>

#include "alloc_support.h"

#include "alloc/history.h"
#include "base/memory.h"

#define LIVE 120u
#define NAME_OF_EMPTY_CACHE "memory.py:170 empty_cache"

/* A model that writes its history into a trace. */
typedef struct recorder {
    ps_allocator *model;
    ps_trace *trace;
    uint64_t random;
    uint64_t next_addr;
    ps_alloc_block live[LIVE];
    ps_alloc_request request[LIVE];
    size_t live_count;
    size_t pending_count; /* live[LIVE - pending_count ..] wait for their completion */
    bool has_stacks;
    bool is_emptying;
} recorder;

static uint64_t below(recorder *self, uint64_t limit)
{
    self->random ^= self->random << 13;
    self->random ^= self->random >> 7;
    self->random ^= self->random << 17;
    return self->random % limit;
}

static void name_last_row(recorder *self, const char *stack)
{
    ps_error err = {0};
    const size_t row = self->trace->memory.head.count - 1;
    assert_ok(&err,
              ps_strings_put_z(self->trace->strings, stack, &self->trace->memory.stack[row], &err));
}

static size_t pending_at(const recorder *self, uint64_t addr)
{
    for (size_t i = LIVE - self->pending_count; i < LIVE; i++) {
        if (self->live[i].addr == addr) {
            return i;
        }
    }
    fail_msg("no deferred free at %#llx", (unsigned long long)addr);
    return LIVE;
}

static void write_completion(recorder *self, size_t i)
{
    rows_add(self->trace, PS_ACTION_FREE_COMPLETED, self->live[i].addr, self->request[i].bytes,
             self->request[i].stream);
    const size_t first = LIVE - self->pending_count;
    self->live[i] = self->live[first];
    self->request[i] = self->request[first];
    self->pending_count--;
}

static void write_event(void *ctx, const ps_alloc_event *event)
{
    static const ps_memory_action actions[] = {PS_ACTION_SEGMENT_ALLOC, PS_ACTION_SEGMENT_FREE,
                                               PS_ACTION_SEGMENT_MAP, PS_ACTION_SEGMENT_UNMAP};
    recorder *self = ctx;
    if (event->kind == PS_ALLOC_FREE_COMPLETED) {
        write_completion(self, pending_at(self, event->addr));
        return;
    }
    rows_add(self->trace, actions[event->kind], event->addr, event->bytes, event->stream);
    if (event->kind == PS_ALLOC_SEGMENT_ALLOC) {
        const size_t row = self->trace->memory.head.count - 1;
        self->trace->memory.pool_owner[row] = event->pool.owner;
        self->trace->memory.pool_serial[row] = event->pool.serial;
    }
    if (self->is_emptying && self->has_stacks) {
        name_last_row(self, NAME_OF_EMPTY_CACHE);
    }
}

/* Scattered addresses: ties are then decided in no simple order. */
static uint64_t scatter(void *ctx, ps_alloc_address_kind kind, uint64_t bytes, uint64_t stream)
{
    recorder *self = ctx;
    (void)bytes;
    (void)stream;
    self->next_addr = (self->next_addr * 5 + 3) % 4096;
    return ((uint64_t)1 << 45) + (self->next_addr << (kind == PS_ALLOC_ADDRESS_RANGE ? 36 : 30));
}

static void recorder_open(recorder *self, const char *conf, uint64_t limit, uint64_t memory,
                          uint64_t seed)
{
    ps_error err = {0};
    ps_alloc_config config;
    memset(self, 0, sizeof *self);
    self->random = seed;
    self->trace = rows_create(conf);
    ps_alloc_config_init(&config);
    assert_ok(&err, ps_alloc_settings_parse(&config.settings, conf, &err));
    config.limit_bytes = limit == 0 ? PS_ALLOC_NO_LIMIT : limit;
    config.device_memory_bytes = memory;
    config.choose_address = scatter;
    config.address_ctx = self;
    config.on_event = write_event;
    config.event_ctx = self;
    assert_ok(&err, ps_allocator_create(ps_allocators_default_name(&config.settings), &config,
                                        &self->model, &err));
}

static void record_alloc(recorder *self, uint64_t limit)
{
    static const uint64_t sizes[] = {700,      40000,        MIB,          MIB + 1,
                                     3 * MIB,  5 * MIB,      7 * MIB + 99, 10 * MIB,
                                     12 * MIB, 13 * MIB + 5, 22 * MIB,     31 * MIB};
    ps_alloc_block block;
    ps_alloc_shortage why;
    const ps_alloc_request request = {.bytes = sizes[below(self, 12)] + 64 * below(self, 3),
                                      .stream = 16 * below(self, 2)};
    const ps_code code = ps_allocator_alloc(self->model, &request, &block, &why, NULL);
    if (code == PS_DEVICE_FULL) {
        rows_add(self->trace, PS_ACTION_OOM, 0, why.rounded_bytes, request.stream);
        self->trace->memory.device_free[self->trace->memory.head.count - 1] =
            limit - why.reserved_bytes + 1;
        return;
    }
    assert_int_equal(code, PS_OK);
    rows_add(self->trace, PS_ACTION_ALLOC, block.addr, request.bytes, request.stream);
    self->live[self->live_count] = block;
    self->request[self->live_count++] = request;
}

static void record_free(recorder *self, bool is_deferred)
{
    ps_error err = {0};
    const size_t i = below(self, self->live_count);
    const ps_alloc_block block = self->live[i];
    const ps_alloc_request request = self->request[i];
    assert_ok(&err, ps_allocator_free(self->model, block.handle, is_deferred, &err));
    rows_add(self->trace, is_deferred ? PS_ACTION_FREE_REQUESTED : PS_ACTION_FREE, block.addr,
             request.bytes, request.stream);
    self->live_count--;
    self->live[i] = self->live[self->live_count];
    self->request[i] = self->request[self->live_count];
    if (is_deferred) {
        self->pending_count++;
        self->live[LIVE - self->pending_count] = block;
        self->request[LIVE - self->pending_count] = request;
    }
}

static void record_completion(recorder *self)
{
    ps_error err = {0};
    const size_t i = LIVE - 1 - below(self, self->pending_count);
    assert_ok(&err, ps_allocator_complete(self->model, self->live[i].handle, &err));
    write_completion(self, i);
}

static void record_step(recorder *self, uint64_t limit, bool has_deferred)
{
    ps_error err = {0};
    const uint64_t choice = below(self, 100);
    const bool has_room = self->live_count + self->pending_count < LIVE;
    if (choice < 50 && has_room) {
        /* Completions are noticed when a request comes, as PyTorch does. */
        while (self->pending_count > 0 && below(self, 2) == 0) {
            record_completion(self);
        }
        record_alloc(self, limit);
    } else if (choice == 99) {
        self->is_emptying = true;
        assert_ok(&err, ps_allocator_release_cache(self->model, &err));
        self->is_emptying = false;
    } else if (self->live_count > 0) {
        record_free(self, has_deferred && below(self, 4) == 0);
    }
}

static void write_segment(void *ctx, const ps_alloc_segment_info *segment)
{
    ps_trace *trace = ctx;
    rows_segment(trace, segment->addr, segment->bytes, segment->is_large, segment->is_expandable);
    const size_t row = trace->segment.head.count - 1;
    trace->segment.stream[row] = segment->stream;
    trace->segment.pool_owner[row] = segment->pool.owner;
    trace->segment.pool_serial[row] = segment->pool.serial;
}

static void write_block(void *ctx, const ps_alloc_block_info *block)
{
    rows_block(ctx, block->addr, block->bytes, block->requested_bytes,
               (ps_block_state)block->state);
}

/* Ends the recording: the final map, and the peak for comparison. */
static ps_trace *recorder_finish(recorder *self, ps_alloc_stats *stats)
{
    ps_error err = {0};
    const ps_alloc_walker walker = {self->trace, write_segment, write_block};
    assert_ok(&err, ps_allocator_walk(self->model, PS_ALLOC_WALK_ADDRESS, &walker, &err));
    *stats = *ps_allocator_stats(self->model);
    ps_allocator_destroy(self->model);
    return self->trace;
}

static void drop_first_rows(ps_trace *trace, size_t rows)
{
    const ps_table_spec *spec = &ps_trace_specs()[PS_TABLE_MEMORY];
    ps_table_head *head = &trace->memory.head;
    for (size_t i = 0; i < spec->column_count; i++) {
        for (size_t row = rows; row < head->count; row++) {
            ps_table_set(&spec->columns[i], head, row - rows,
                         ps_table_get(&spec->columns[i], head, row));
        }
    }
    head->count -= rows;
}

/* A recorder starts between calls, never inside one. */
static size_t next_start(const ps_trace *trace, size_t row)
{
    while (row < trace->memory.head.count && row > 0 &&
           trace->memory.action[row - 1] != PS_ACTION_ALLOC &&
           trace->memory.action[row - 1] != PS_ACTION_FREE &&
           trace->memory.action[row - 1] != PS_ACTION_FREE_REQUESTED) {
        row++;
    }
    return row;
}

static ps_history_report replay(const ps_trace *trace, const ps_history_options *options)
{
    ps_error err = {0};
    ps_history_report report;
    assert_ok(&err, ps_history_replay(trace, options, &report, &err));
    return report;
}

static void expect_exact(const ps_trace *trace, const ps_history_options *options, uint64_t seed)
{
    const ps_history_report report = replay(trace, options);
    if (!report.is_exact) {
        fail_msg("seed %llu, %zu events: row %zu: %s", (unsigned long long)seed,
                 trace->memory.head.count, report.first_difference_row, report.first_difference);
    }
}

typedef struct scenario {
    const char *conf;
    uint64_t limit, memory;
    bool has_deferred, has_stacks;
} scenario;

static const scenario scenarios[] = {
    {"", 0, 0, false, true},
    {"", 0, 0, true, true},
    {"", 350 * MIB, 350 * MIB, false, true},
    {"", 350 * MIB, 350 * MIB, false, false},
    {"", 350 * MIB, 350 * MIB, true, true},
    {"max_split_size_mb:21", 400 * MIB, 400 * MIB, false, true},
    {"roundup_power2_divisions:4", 0, 0, false, true},
    {"expandable_segments:True", 0, 8 * GIB, false, true},
    {"expandable_segments:True", 350 * MIB, 350 * MIB, false, true},
    {"expandable_segments:True", 0, 8 * GIB, true, true},
};

static ps_trace *record(const scenario *how, uint64_t seed, unsigned steps, ps_alloc_stats *stats)
{
    recorder recording;
    recorder_open(&recording, how->conf, how->limit, how->memory, seed);
    recording.has_stacks = how->has_stacks;
    for (unsigned i = 0; i < steps; i++) {
        record_step(&recording, how->limit, how->has_deferred);
    }
    return recorder_finish(&recording, stats);
}

static void recorded_models_are_exact_from_any_start(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof scenarios / sizeof scenarios[0]; i++) {
        for (uint64_t seed = 101; seed < 104; seed++) {
            ps_alloc_stats stats;
            ps_history_options options;
            print_message("conf \"%s\", seed %llu\n", scenarios[i].conf, (unsigned long long)seed);
            ps_trace *trace = record(&scenarios[i], seed, 1500, &stats);
            ps_history_options_init(&options);
            options.device_memory_bytes = scenarios[i].memory;
            expect_exact(trace, &options, seed);
            const ps_history_report report = replay(trace, &options);
            assert_int_equal(report.stats.reserved_bytes.peak, stats.reserved_bytes.peak);
            assert_int_equal(report.stats.active_bytes.peak, stats.active_bytes.peak);
            assert_int_equal(report.stats.oom_count, stats.oom_count);
            assert_true(report.address.compared > 500);
            for (unsigned cut = 0; cut < 5; cut++) {
                drop_first_rows(trace, next_start(trace, trace->memory.head.count / 5));
                expect_exact(trace, &options, seed);
            }
            ps_trace_destroy(trace);
        }
    }
}

static void private_pools_are_followed(void **state)
{
    const ps_pool_id graph = {0, 7};
    recorder recording;
    ps_error err = {0};
    ps_alloc_stats stats;
    ps_alloc_block block[6];
    (void)state;
    recorder_open(&recording, "", 0, 0, 1);
    for (unsigned i = 0; i < 6; i++) {
        const ps_alloc_request request = {.bytes = (11 + i) * MIB,
                                          .pool = i % 2 == 0 ? graph : (ps_pool_id){0, 0}};
        assert_ok(&err, ps_allocator_alloc(recording.model, &request, &block[i], NULL, &err));
        rows_add(recording.trace, PS_ACTION_ALLOC, block[i].addr, request.bytes, 0);
        recording.trace->memory.pool_serial[recording.trace->memory.head.count - 1] =
            request.pool.serial;
    }
    for (unsigned i = 0; i < 6; i++) {
        assert_ok(&err, ps_allocator_free(recording.model, block[i].handle, false, &err));
        rows_add(recording.trace, PS_ACTION_FREE, block[i].addr, (11 + i) * MIB, 0);
    }
    assert_ok(&err, ps_allocator_release_cache(recording.model, &err));
    assert_ok(&err, ps_allocator_set_pool_state(recording.model, graph, PS_POOL_DEAD, &err));
    assert_ok(&err, ps_allocator_release_cache(recording.model, &err));
    ps_trace *trace = recorder_finish(&recording, &stats);
    ps_history_options options;
    ps_history_options_init(&options);
    expect_exact(trace, &options, 0);
    ps_trace_destroy(trace);
}

/* What the recorder of an older version leaves: pools only in the final segments. */
static void untold_pools_come_from_the_final_segments(void **state)
{
    recorder recording;
    ps_error err = {0};
    ps_alloc_stats stats;
    (void)state;
    recorder_open(&recording, "", 0, 0, 1);
    for (unsigned i = 0; i < 4; i++) {
        const ps_alloc_request request = {.bytes = 4 * MIB, .pool = {0, i % 2}};
        ps_alloc_block block;
        assert_ok(&err, ps_allocator_alloc(recording.model, &request, &block, NULL, &err));
        rows_add(recording.trace, PS_ACTION_ALLOC, block.addr, request.bytes, 0);
    }
    ps_trace *trace = recorder_finish(&recording, &stats);
    for (size_t row = 0; row < trace->memory.head.count; row++) {
        trace->memory.pool_serial[row] = 0;
    }
    ps_history_options options;
    ps_history_options_init(&options);
    expect_exact(trace, &options, 0);
    ps_trace_destroy(trace);
}

typedef struct input_log {
    ps_history_input input[64];
    size_t count;
} input_log;

static void log_input(void *ctx, const ps_history_input *input)
{
    input_log *self = ctx;
    assert_true(self->count < 64);
    assert_true(self->count == 0 || self->input[self->count - 1].row <= input->row);
    self->input[self->count++] = *input;
}

static void inputs_from_outside_are_told(void **state)
{
    const uint64_t a = 0x100000000;
    ps_trace *trace = rows_create("");
    input_log log = {.count = 0};
    (void)state;
    rows_add(trace, PS_ACTION_SEGMENT_ALLOC, a, 12 * MIB, 0);
    rows_add(trace, PS_ACTION_ALLOC, a, 12 * MIB, 0);
    rows_add(trace, PS_ACTION_FREE_REQUESTED, a, 12 * MIB, 0);
    rows_add(trace, PS_ACTION_FREE_COMPLETED, a, 12 * MIB, 0); /* waited for: */
    rows_add(trace, PS_ACTION_SEGMENT_FREE, a, 12 * MIB, 0);
    rows_add(trace, PS_ACTION_SEGMENT_ALLOC, a, 14 * MIB, 0);
    rows_add(trace, PS_ACTION_ALLOC, a, 14 * MIB, 0);
    rows_add(trace, PS_ACTION_FREE, a, 14 * MIB, 0);
    rows_add(trace, PS_ACTION_SEGMENT_FREE, a, 14 * MIB, 0); /* nothing asked for it: emptied */
    ps_history_options options;
    ps_history_options_init(&options);
    options.on_input = log_input;
    options.input_ctx = &log;
    expect_exact(trace, &options, 0);
    assert_int_equal(log.count, 2);
    assert_int_equal(log.input[0].kind, PS_HISTORY_INPUT_LATE_FREE);
    assert_int_equal(log.input[0].row, 3);
    assert_int_equal(log.input[1].kind, PS_HISTORY_INPUT_EMPTY_CACHE);
    assert_int_equal(log.input[1].row, 8);
    ps_trace_destroy(trace);
}

static void a_completion_at_once_may_have_been_waited_for(void **state)
{
    const uint64_t a = 0x100000000;
    const uint64_t b = 0x200000000;
    const uint64_t c = 0x300000000;
    ps_trace *trace = rows_create("");
    (void)state;
    rows_add(trace, PS_ACTION_SEGMENT_ALLOC, a, 20 * MIB, 0);
    rows_add(trace, PS_ACTION_ALLOC, a, 9 * MIB, 0);
    rows_add(trace, PS_ACTION_ALLOC, a + 9 * MIB, 9 * MIB, 0); /* and 2 MiB left */
    rows_add(trace, PS_ACTION_SEGMENT_ALLOC, b, 12 * MIB, 1);
    rows_add(trace, PS_ACTION_ALLOC, b, 12 * MIB, 1);
    rows_add(trace, PS_ACTION_FREE_REQUESTED, b, 12 * MIB, 1);
    rows_add(trace, PS_ACTION_FREE_COMPLETED, b, 12 * MIB, 1);
    rows_add(trace, PS_ACTION_ALLOC, a + 18 * MIB, 2 * MIB, 0);
    /* Completed before the search, it would have served the request that follows. */
    rows_add(trace, PS_ACTION_FREE, a + 9 * MIB, 9 * MIB, 0);
    rows_add(trace, PS_ACTION_SEGMENT_FREE, b, 12 * MIB, 1);
    rows_add(trace, PS_ACTION_SEGMENT_ALLOC, c, 20 * MIB, 0);
    rows_add(trace, PS_ACTION_ALLOC, c, 9 * MIB, 0);
    rows_segment(trace, a, 20 * MIB, true, false);
    rows_block(trace, a, 9 * MIB, 9 * MIB, PS_BLOCK_ALLOCATED);
    rows_block(trace, a + 9 * MIB, 9 * MIB, 0, PS_BLOCK_INACTIVE);
    rows_block(trace, a + 18 * MIB, 2 * MIB, 2 * MIB, PS_BLOCK_ALLOCATED);
    rows_segment(trace, c, 20 * MIB, true, false);
    rows_block(trace, c, 9 * MIB, 9 * MIB, PS_BLOCK_ALLOCATED);
    rows_block(trace, c + 9 * MIB, 11 * MIB, 0, PS_BLOCK_INACTIVE);
    ps_history_options options;
    ps_history_options_init(&options);
    expect_exact(trace, &options, 0);
    ps_trace_destroy(trace);
}

static void doubts_are_settled_by_later_placements(void **state)
{
    const uint64_t a = 0x100000000;
    const uint64_t b = 0x200000000;
    ps_trace *trace = rows_create("");
    ps_error err = {0};
    ps_history_report report;
    ps_start_state start;
    (void)state;
    /*
     * A block of 9 MiB with a hidden slack of 512 KiB, then 10.5 MiB free. A
     * request of 11 MiB would fit behind 9 MiB, and yet went elsewhere.
     */
    rows_add(trace, PS_ACTION_SEGMENT_ALLOC, b, 12 * MIB, 0);
    rows_add(trace, PS_ACTION_ALLOC, b, 11 * MIB, 0);
    rows_add(trace, PS_ACTION_FREE, a, 9 * MIB, 0);
    rows_segment(trace, a, 20 * MIB, true, false);
    rows_block(trace, a, 20 * MIB, 0, PS_BLOCK_INACTIVE);
    rows_segment(trace, b, 12 * MIB, true, false);
    rows_block(trace, b, 12 * MIB, 11 * MIB, PS_BLOCK_ALLOCATED);
    ps_history_options options;
    ps_history_options_init(&options);
    assert_ok(&err, ps_history_replay_from(trace, &options, &report, &start, &err));
    assert_true(report.is_exact);
    assert_int_equal(start.block[0].bytes, 9 * MIB + 512); /* the least that explains it */
    ps_start_state_fini(&start);
    ps_trace_destroy(trace);
}

/* A recording with one thing changed must not pass. */
static void expect_difference(void (*damage)(ps_trace *trace, size_t row), ps_memory_action action,
                              const char *part)
{
    ps_alloc_stats stats;
    ps_history_options options;
    ps_trace *trace = record(&scenarios[2], 5, 800, &stats);
    size_t row = trace->memory.head.count / 2;
    while (trace->memory.action[row] != action) {
        row++;
    }
    damage(trace, row);
    ps_history_options_init(&options);
    const ps_history_report report = replay(trace, &options);
    assert_false(report.is_exact);
    if (strstr(report.first_difference, part) == NULL) {
        fail_msg("\"%s\" lacks \"%s\"", report.first_difference, part);
    }
    ps_trace_destroy(trace);
}

/* Moves a whole life of a block, and of its segment's neighbours nothing. */
static void swap_releases(ps_trace *trace, size_t row)
{
    const uint64_t addr = trace->memory.addr[row];
    const uint64_t bytes = trace->memory.bytes[row];
    while (trace->memory.action[row + 1] != PS_ACTION_SEGMENT_FREE) {
        row++;
        assert_true(row + 1 < trace->memory.head.count);
        if (trace->memory.action[row] == PS_ACTION_SEGMENT_FREE) {
            swap_releases(trace, row);
            return;
        }
    }
    trace->memory.addr[row] = trace->memory.addr[row + 1];
    trace->memory.bytes[row] = trace->memory.bytes[row + 1];
    trace->memory.addr[row + 1] = addr;
    trace->memory.bytes[row + 1] = bytes;
}

static void change_final_total(ps_trace *trace, size_t row)
{
    (void)row;
    trace->segment.active_bytes[0] += 512;
}

static void hide_refusal(ps_trace *trace, size_t row)
{
    trace->memory.bytes[row] = 512;
}

static void differences_are_found(void **state)
{
    (void)state;
    expect_difference(swap_releases, PS_ACTION_SEGMENT_FREE, "segment_free");
    expect_difference(change_final_total, PS_ACTION_ALLOC, "final map");
    expect_difference(hide_refusal, PS_ACTION_OOM, "a refusal of 512 bytes recorded");
}

static void the_wrong_model_is_found_out(void **state)
{
    ps_alloc_stats stats;
    ps_history_options options;
    ps_alloc_settings other;
    ps_trace *trace = record(&scenarios[0], 9, 600, &stats);
    (void)state;
    ps_alloc_settings_init(&other);
    other.max_split_bytes = 21 * MIB;
    ps_history_options_init(&options);
    options.settings = &other;
    assert_false(replay(trace, &options).is_exact);
    options.settings = NULL;
    options.model = "expandable";
    assert_false(replay(trace, &options).is_exact);
    ps_trace_destroy(trace);
}

static void what_ifs_follow_the_program(void **state)
{
    ps_alloc_stats stats;
    ps_history_options options;
    ps_alloc_settings expandable;
    ps_trace *trace = record(&scenarios[0], 11, 1200, &stats);
    (void)state;
    drop_first_rows(trace, next_start(trace, 400));
    ps_history_options_init(&options);
    options.mode = PS_HISTORY_COLD;
    options.model = "exact";
    const ps_history_report exact = replay(trace, &options);
    assert_int_equal(exact.stats.reserved_bytes.peak, exact.stats.requested_bytes.peak);
    assert_int_equal(exact.unmatched_free_count, 0);
    ps_alloc_settings_init(&expandable);
    expandable.is_expandable = true;
    options.model = NULL;
    options.settings = &expandable;
    const ps_history_report pages = replay(trace, &options);
    assert_true(pages.stats.reserved_bytes.peak >= exact.stats.reserved_bytes.peak);
    options.settings = NULL;
    options.mode = PS_HISTORY_RECOVERED;
    const ps_history_report recovered = replay(trace, &options);
    assert_int_equal(recovered.refused_count, 0);
    assert_int_equal(recovered.stats.requested_bytes.peak, exact.stats.requested_bytes.peak);
    options.limit_bytes = exact.stats.reserved_bytes.peak - 20 * MIB;
    const ps_history_report tight = replay(trace, &options);
    assert_true(tight.refused_count > 0);
    assert_int_equal(tight.first_shortage.limit_bytes, options.limit_bytes);
    ps_trace_destroy(trace);
}

static void what_ifs_do_without_final_segments(void **state)
{
    ps_error err = {0};
    ps_trace *trace = rows_create("");
    ps_history_options options;
    (void)state;
    assert_ok(&err, ps_trace_set_meta(trace, PS_META_MEMORY_SIZES, "block", &err));
    rows_add(trace, PS_ACTION_FREE, 0x1000, 512, 0); /* from before */
    rows_add(trace, PS_ACTION_ALLOC, 0x2000, 512, 0);
    rows_add(trace, PS_ACTION_ALLOC, 0x3000, 512, 0);
    ps_history_options_init(&options);
    options.mode = PS_HISTORY_COLD;
    const ps_history_report report = replay(trace, &options);
    assert_int_equal(report.unmatched_free_count, 1);
    assert_int_equal(report.stats.allocated_bytes.peak, 1024);
    options.mode = PS_HISTORY_RECORDED;
    assert_int_equal(ps_history_replay(trace, &options, &(ps_history_report){0}, NULL),
                     PS_UNSUPPORTED);
    ps_trace_destroy(trace);
}

static void bad_options_are_refused(void **state)
{
    ps_error err = {0};
    ps_trace *trace = rows_create("warp_speed:9");
    ps_history_options options;
    ps_history_report report;
    (void)state;
    ps_history_options_init(&options);
    assert_int_equal(ps_history_replay(trace, &options, &report, &err), PS_USAGE);
    ps_trace_destroy(trace);
    trace = rows_create("");
    options.model = "best";
    assert_int_equal(ps_history_replay(trace, &options, &report, &err), PS_NOT_FOUND);
    ps_trace_destroy(trace);
}

static void memory_may_run_out(void **state)
{
    ps_alloc_stats stats;
    ps_history_options options;
    ps_history_report report;
    ps_trace *trace = record(&scenarios[4], 3, 120, &stats);
    (void)state;
    ps_history_options_init(&options);
    for (unsigned mode = 0; mode < 3; mode++) {
        ps_code code = PS_NOMEM;
        options.mode = (ps_history_mode)mode;
        for (unsigned long nth = 1; code == PS_NOMEM; nth++) {
            ps_memory_fail_nth(nth);
            code = ps_history_replay(trace, &options, &report, NULL);
            ps_memory_fail_nth(0);
        }
        assert_int_equal(code, PS_OK);
    }
    ps_trace_destroy(trace);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recorded_models_are_exact_from_any_start),
        cmocka_unit_test(private_pools_are_followed),
        cmocka_unit_test(untold_pools_come_from_the_final_segments),
        cmocka_unit_test(inputs_from_outside_are_told),
        cmocka_unit_test(a_completion_at_once_may_have_been_waited_for),
        cmocka_unit_test(doubts_are_settled_by_later_placements),
        cmocka_unit_test(differences_are_found),
        cmocka_unit_test(the_wrong_model_is_found_out),
        cmocka_unit_test(what_ifs_follow_the_program),
        cmocka_unit_test(what_ifs_do_without_final_segments),
        cmocka_unit_test(bad_options_are_refused),
        cmocka_unit_test(memory_may_run_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
