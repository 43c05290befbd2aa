/* SPDX-License-Identifier: MIT
 *
 * Traces for tests, row by row, and what becomes of them.
 */
#include "make_trace.h"

#include <string.h>

#include "engine/engine.h"
#include "lower/lower.h"
#include "run/run.h"
#include "trace/file.h"

/* ---- rows ---- */

ps_trace *trace_new(void)
{
    ps_trace *trace = ps_trace_create();
    assert_non_null(trace);
    return trace;
}

static size_t add(ps_trace *trace, ps_trace_table_id id)
{
    ps_error err = {0};
    size_t row;
    assert_ok(&err, ps_trace_add(trace, id, &row, &err));
    return row;
}

static ps_str text(ps_trace *trace, const char *value)
{
    ps_error err = {0};
    ps_str id;
    assert_ok(&err, ps_strings_put_z(trace->strings, value, &id, &err));
    return id;
}

void put_call(ps_trace *trace, uint64_t tid, span at, const char *name, uint64_t correlation)
{
    const size_t row = add(trace, PS_TABLE_CALL);
    trace->call.start_ns[row] = TRACE_ORIGIN_NS + at.start;
    trace->call.dur_ns[row] = at.end - at.start;
    trace->call.pid[row] = TRACE_PID;
    trace->call.tid[row] = tid;
    trace->call.name[row] = text(trace, name);
    trace->call.correlation[row] = correlation;
}

void put_kernel(ps_trace *trace, place where, span at, const char *name, uint64_t correlation)
{
    const size_t row = add(trace, PS_TABLE_KERNEL);
    trace->kernel.start_ns[row] = TRACE_ORIGIN_NS + at.start;
    trace->kernel.dur_ns[row] = at.end - at.start;
    trace->kernel.device[row] = where.device;
    trace->kernel.stream[row] = where.stream;
    trace->kernel.name[row] = text(trace, name);
    trace->kernel.correlation[row] = correlation;
}

void put_collective(ps_trace *trace, place where, span at, uint64_t correlation)
{
    put_kernel(trace, where, at, "ncclDevKernel_AllReduce", correlation);
    const size_t row = add(trace, PS_TABLE_COLLECTIVE);
    trace->collective.start_ns[row] = TRACE_ORIGIN_NS + at.start;
    trace->collective.dur_ns[row] = at.end - at.start;
    trace->collective.device[row] = where.device;
    trace->collective.stream[row] = where.stream;
    trace->collective.correlation[row] = correlation;
    trace->collective.kind[row] = text(trace, "all-reduce");
}

void put_fill(ps_trace *trace, place where, span at, uint64_t correlation)
{
    const size_t row = add(trace, PS_TABLE_MEMSET);
    trace->memset.start_ns[row] = TRACE_ORIGIN_NS + at.start;
    trace->memset.dur_ns[row] = at.end - at.start;
    trace->memset.device[row] = where.device;
    trace->memset.stream[row] = where.stream;
    trace->memset.correlation[row] = correlation;
}

void put_copy(ps_trace *trace, place where, span at, cargo what, uint64_t correlation)
{
    const size_t row = add(trace, PS_TABLE_MEMCPY);
    const bool to_device = what.kind == PS_COPY_HTOD;
    const bool from_device = what.kind == PS_COPY_DTOH;
    trace->memcpy.start_ns[row] = TRACE_ORIGIN_NS + at.start;
    trace->memcpy.dur_ns[row] = at.end - at.start;
    trace->memcpy.device[row] = where.device;
    trace->memcpy.stream[row] = where.stream;
    trace->memcpy.correlation[row] = correlation;
    trace->memcpy.bytes[row] = what.bytes;
    trace->memcpy.kind[row] = (uint8_t)what.kind;
    trace->memcpy.src[row] = (uint8_t)(to_device ? what.host : PS_MEMORY_DEVICE);
    trace->memcpy.dst[row] = (uint8_t)(from_device ? what.host : PS_MEMORY_DEVICE);
}

void put_launch(ps_trace *trace, span call, place where, span kernel, const char *name,
                uint64_t correlation)
{
    put_call(trace, MAIN_THREAD, call, "cudaLaunchKernel", correlation);
    put_kernel(trace, where, kernel, name, correlation);
}

void put_range(ps_trace *trace, uint64_t tid, span at, ps_range_category category, const char *name)
{
    const size_t row = add(trace, PS_TABLE_RANGE);
    trace->range.start_ns[row] = TRACE_ORIGIN_NS + at.start;
    trace->range.dur_ns[row] = at.end - at.start;
    trace->range.pid[row] = TRACE_PID;
    trace->range.tid[row] = tid;
    trace->range.category[row] = (uint8_t)category;
    trace->range.name[row] = text(trace, name);
}

void put_step(ps_trace *trace, span at, unsigned number)
{
    char name[32];
    (void)snprintf(name, sizeof name, "ProfilerStep#%u", number);
    put_range(trace, MAIN_THREAD, at, PS_RANGE_ANNOTATION, name);
}

void put_stream_wait(ps_trace *trace, place waiting, uint64_t correlation, uint64_t record_stream,
                     uint64_t record)
{
    const size_t row = add(trace, PS_TABLE_SYNC);
    trace->sync.start_ns[row] = TRACE_ORIGIN_NS;
    trace->sync.device[row] = waiting.device;
    trace->sync.stream[row] = waiting.stream;
    trace->sync.correlation[row] = correlation;
    trace->sync.kind[row] = PS_SYNC_STREAM_WAIT;
    trace->sync.record_correlation[row] = record;
    trace->sync.record_stream[row] = record_stream;
}

size_t put_memory(ps_trace *trace, ps_ns at, ps_memory_action action, uint64_t bytes, uint64_t addr)
{
    const size_t row = add(trace, PS_TABLE_MEMORY);
    trace->memory.time_ns[row] = TRACE_ORIGIN_NS + at;
    trace->memory.action[row] = (uint8_t)action;
    trace->memory.device_kind[row] = PS_DEVICE_CUDA;
    trace->memory.bytes[row] = bytes;
    trace->memory.addr[row] = addr;
    trace->memory.tid[row] = MAIN_THREAD;
    return row;
}

size_t put_alloc(ps_trace *trace, ps_ns at, uint64_t bytes, uint64_t addr)
{
    return put_memory(trace, at, PS_ACTION_ALLOC, bytes, addr);
}

size_t put_free(ps_trace *trace, ps_ns at, uint64_t bytes, uint64_t addr)
{
    return put_memory(trace, at, PS_ACTION_FREE, bytes, addr);
}

void put_segment(ps_trace *trace, uint64_t addr, uint64_t bytes)
{
    const size_t row = add(trace, PS_TABLE_SEGMENT);
    trace->segment.addr[row] = addr;
    trace->segment.bytes[row] = bytes;
    trace->segment.is_large[row] = 1;
}

void put_block(ps_trace *trace, uint64_t addr, uint64_t bytes, ps_block_state state)
{
    const size_t row = add(trace, PS_TABLE_BLOCK);
    const size_t segment = trace->segment.head.count - 1;
    const bool is_live = state == PS_BLOCK_ALLOCATED;
    trace->block.addr[row] = addr;
    trace->block.bytes[row] = bytes;
    trace->block.requested_bytes[row] = is_live ? bytes : 0;
    trace->block.state[row] = (uint8_t)state;
    trace->segment.allocated_bytes[segment] += is_live ? bytes : 0;
    trace->segment.active_bytes[segment] += is_live ? bytes : 0;
    trace->segment.requested_bytes[segment] += is_live ? bytes : 0;
}

void put_device(ps_trace *trace, uint32_t ordinal, const char *name, uint64_t memory_bytes)
{
    const size_t row = add(trace, PS_TABLE_DEVICE);
    trace->device.device[row] = ordinal;
    trace->device.kind[row] = PS_DEVICE_CUDA;
    trace->device.name[row] = text(trace, name);
    trace->device.memory_bytes[row] = memory_bytes;
}

void put_fact(ps_trace *trace, const char *key, const char *value)
{
    ps_error err = {0};
    assert_ok(&err, ps_trace_set_meta(trace, key, value, &err));
}

/* ---- plans ---- */

ps_plan *lower(ps_trace *trace)
{
    ps_error err = {0};
    ps_plan *plan;
    assert_ok(&err, ps_trace_sort(trace, &err));
    assert_ok(&err, ps_lower_trace(trace, &plan, &err));
    assert_ok(&err, ps_plan_check(plan, &err));
    ps_trace_destroy(trace);
    return plan;
}

void play_again(play *self)
{
    ps_error err = {0};
    const ps_plan *plan = self->plan;
    const ps_engine_input input = {
        .lane_count = plan->lane.head.count,
        .task_count = plan->task.head.count,
        .lane = plan->task.lane,
        .gap_ns = plan->task.gap_ns,
        .dur_ns = plan->task.dur_ns,
        .bytes = plan->task.bytes,
        .rate_bytes_per_s = plan->task.rate_bytes_per_s,
        .dep_count = plan->dep.head.count,
        .dep_task = plan->dep.task,
        .dep_before = plan->dep.before,
        .dep_kind = plan->dep.kind,
        .dep_lag_ns = plan->dep.lag_ns,
        .link_count = plan->link.head.count,
        .link_bytes_per_s = plan->link.bytes_per_s,
        .transfer_count = plan->transfer.head.count,
        .transfer_task = plan->transfer.task,
        .transfer_link = plan->transfer.link,
    };
    assert_ok(&err, ps_engine_run(&input, NULL, NULL, self->start, self->end, &err));
}

play play_trace(ps_trace *trace)
{
    play self = {.plan = lower(trace)};
    self.start = calloc(self.plan->task.head.count + 1, sizeof *self.start);
    self.end = calloc(self.plan->task.head.count + 1, sizeof *self.end);
    assert_non_null(self.start);
    assert_non_null(self.end);
    play_again(&self);
    return self;
}

void play_end(play *self)
{
    ps_plan_destroy(self->plan);
    free(self->start);
    free(self->end);
}

uint32_t task_named(const ps_plan *plan, const char *name, unsigned nth)
{
    for (uint32_t task = 0; task < plan->task.head.count; task++) {
        if (strcmp(ps_strings_text(plan->strings, plan->task.name[task]), name) == 0 &&
            nth-- == 0) {
            return task;
        }
    }
    fail_msg("the plan has no task \"%s\"", name);
    return 0;
}

void play_is(const play *self, uint32_t task, ps_ns start, ps_ns end)
{
    if (self->start[task] != start || self->end[task] != end) {
        fail_msg("task %u (%s) runs [%lld, %lld], not [%lld, %lld]", task,
                 ps_strings_text(self->plan->strings, self->plan->task.name[task]),
                 (long long)self->start[task], (long long)self->end[task], (long long)start,
                 (long long)end);
    }
}

size_t dep_row(const ps_plan *plan, uint32_t task, uint32_t before)
{
    for (size_t row = 0; row < plan->dep.head.count; row++) {
        if (plan->dep.task[row] == task && plan->dep.before[row] == before) {
            return row;
        }
    }
    return NO_ROW;
}

void dep_is(const ps_plan *plan, uint32_t task, uint32_t before, ps_dep_kind kind, ps_ns lag_ns,
            ps_dep_origin origin)
{
    const size_t row = dep_row(plan, task, before);
    if (row == NO_ROW) {
        fail_msg("task %u does not wait for task %u", task, before);
        return;
    }
    assert_int_equal(plan->dep.kind[row], kind);
    assert_int_equal(plan->dep.lag_ns[row], lag_ns);
    assert_int_equal(plan->dep.origin[row], origin);
}

size_t dep_count(const ps_plan *plan, uint32_t task)
{
    size_t count = 0;
    for (size_t row = 0; row < plan->dep.head.count; row++) {
        count += plan->dep.task[row] == task;
    }
    return count;
}

ps_ns step_time(const play *self, size_t step)
{
    ps_result result = run_plan(self->plan);
    assert_true(step < result.step_count);
    const ps_ns time = result.step[step].time_ns;
    ps_result_fini(&result);
    return time;
}

/* ---- results ---- */

ps_result run_plan(const ps_plan *plan)
{
    ps_error err = {0};
    ps_result result = {0};
    assert_ok(&err, ps_run_plan(plan, &result, &err));
    return result;
}

typedef struct growing_text {
    char *text;
    size_t bytes;
} growing_text;

static ps_code append(void *ctx, const char *more, size_t bytes, ps_error *err)
{
    growing_text *self = ctx;
    (void)err;
    char *grown = realloc(self->text, self->bytes + bytes + 1);
    assert_non_null(grown);
    memcpy(grown + self->bytes, more, bytes);
    self->text = grown;
    self->bytes += bytes;
    self->text[self->bytes] = '\0';
    return PS_OK;
}

char *json_of(const ps_plan *plan)
{
    ps_error err = {0};
    growing_text out = {0};
    ps_result result = run_plan(plan);
    assert_ok(&err, ps_result_write_json(&result, append, &out, &err));
    ps_result_fini(&result);
    return out.text;
}

uint64_t next_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state >> 20;
}
