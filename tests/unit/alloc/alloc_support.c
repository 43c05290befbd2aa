/* SPDX-License-Identifier: MIT
 *
 * The bench and the rows of alloc_support.h.
 */
#include "alloc_support.h"

#include <string.h>

static void log_event(void *ctx, const ps_alloc_event *event)
{
    bench *self = ctx;
    assert_true(self->event_count < BENCH_MAX_EVENTS);
    self->event[self->event_count++] = *event;
}

static uint64_t choose(void *ctx, ps_alloc_address_kind kind, uint64_t bytes, uint64_t stream)
{
    bench *self = ctx;
    const uint64_t addr = self->next_addr;
    (void)kind;
    (void)bytes;
    (void)stream;
    if (addr != 0) {
        self->next_addr += self->addr_step;
    }
    return addr;
}

void bench_open(bench *self, const char *model, const char *conf, uint64_t limit_bytes,
                uint64_t device_memory_bytes)
{
    ps_error err = {0};
    memset(self, 0, sizeof *self);
    ps_alloc_config_init(&self->config);
    assert_ok(&err, ps_alloc_settings_parse(&self->config.settings, conf, &err));
    self->config.limit_bytes = limit_bytes == 0 ? PS_ALLOC_NO_LIMIT : limit_bytes;
    self->config.device_memory_bytes = device_memory_bytes;
    self->config.choose_address = choose;
    self->config.address_ctx = self;
    self->config.on_event = log_event;
    self->config.event_ctx = self;
    assert_ok(&err, ps_allocator_create(model, &self->config, &self->model, &err));
}

void bench_close(bench *self)
{
    ps_allocator_destroy(self->model);
    self->model = NULL;
}

ps_alloc_block bench_alloc_on(bench *self, uint64_t bytes, uint64_t stream, ps_pool_id pool)
{
    ps_error err = {0};
    ps_alloc_block block = {0};
    const ps_alloc_request request = {.bytes = bytes, .stream = stream, .pool = pool};
    assert_ok(&err, ps_allocator_alloc(self->model, &request, &block, NULL, &err));
    assert_true(block.block_bytes >= bytes);
    return block;
}

ps_alloc_block bench_alloc(bench *self, uint64_t bytes)
{
    return bench_alloc_on(self, bytes, 0, (ps_pool_id){0, 0});
}

ps_alloc_shortage bench_refuse(bench *self, uint64_t bytes)
{
    ps_alloc_block block;
    ps_alloc_shortage why;
    const ps_alloc_request request = {.bytes = bytes};
    assert_int_equal(ps_allocator_alloc(self->model, &request, &block, &why, NULL), PS_DEVICE_FULL);
    return why;
}

void bench_free(bench *self, ps_alloc_block block)
{
    ps_error err = {0};
    assert_ok(&err, ps_allocator_free(self->model, block.handle, false, &err));
}

void bench_free_later(bench *self, ps_alloc_block block)
{
    ps_error err = {0};
    assert_ok(&err, ps_allocator_free(self->model, block.handle, true, &err));
}

void bench_release(bench *self)
{
    ps_error err = {0};
    assert_ok(&err, ps_allocator_release_cache(self->model, &err));
}

const ps_alloc_stats *bench_stats(const bench *self)
{
    return ps_allocator_stats(self->model);
}

size_t bench_count(const bench *self, ps_alloc_event_kind kind)
{
    size_t count = 0;
    for (size_t i = 0; i < self->event_count; i++) {
        count += self->event[i].kind == kind;
    }
    return count;
}

void bench_expect(const bench *self, size_t index, ps_alloc_event_kind kind, uint64_t addr,
                  uint64_t bytes)
{
    assert_true(index < self->event_count);
    assert_int_equal(self->event[index].kind, kind);
    assert_int_equal(self->event[index].addr, addr);
    assert_int_equal(self->event[index].bytes, bytes);
}

ps_trace *rows_create(const char *conf)
{
    ps_error err = {0};
    ps_trace *trace = ps_trace_create();
    assert_non_null(trace);
    assert_ok(&err, ps_trace_set_meta(trace, PS_META_MEMORY_SIZES, "requested", &err));
    assert_ok(&err, ps_trace_set_meta(trace, PS_META_ALLOCATOR_CONF, conf, &err));
    return trace;
}

void rows_add(ps_trace *trace, ps_memory_action action, uint64_t addr, uint64_t bytes,
              uint64_t stream)
{
    ps_error err = {0};
    size_t row;
    assert_ok(&err, ps_trace_add(trace, PS_TABLE_MEMORY, &row, &err));
    trace->memory.time_ns[row] = (int64_t)row;
    trace->memory.action[row] = (uint8_t)action;
    trace->memory.device_kind[row] = PS_DEVICE_CUDA;
    trace->memory.addr[row] = addr;
    trace->memory.bytes[row] = bytes;
    trace->memory.stream[row] = stream;
}

void rows_segment(ps_trace *trace, uint64_t addr, uint64_t bytes, bool is_large, bool is_expandable)
{
    ps_error err = {0};
    size_t row;
    assert_ok(&err, ps_trace_add(trace, PS_TABLE_SEGMENT, &row, &err));
    trace->segment.addr[row] = addr;
    trace->segment.bytes[row] = bytes;
    trace->segment.is_large[row] = is_large;
    trace->segment.is_expandable[row] = is_expandable;
}

void rows_block(ps_trace *trace, uint64_t addr, uint64_t bytes, uint64_t requested_bytes,
                ps_block_state state)
{
    ps_error err = {0};
    size_t row;
    const size_t last = trace->segment.head.count - 1;
    assert_ok(&err, ps_trace_add(trace, PS_TABLE_BLOCK, &row, &err));
    trace->block.addr[row] = addr;
    trace->block.bytes[row] = bytes;
    trace->block.requested_bytes[row] = requested_bytes;
    trace->block.state[row] = (uint8_t)state;
    if (state != PS_BLOCK_INACTIVE) {
        trace->segment.active_bytes[last] += bytes;
        trace->segment.requested_bytes[last] += requested_bytes;
        trace->segment.allocated_bytes[last] += state == PS_BLOCK_ALLOCATED ? bytes : 0;
    }
}
