/* SPDX-License-Identifier: MIT
 *
 * Host lanes and tasks.
 *
 * One lane a thread that calls the runtime, one task an outermost call. A
 * driver call inside a runtime call belongs to it. Allocations and step marks
 * need a task to hang on: a thread that makes no calls gets a single task over
 * its whole recorded life, the others an empty one behind their last call
 * where something was recorded after it.
 */
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "lower/lowering.h"

static ps_code lane_of_thread(ps_lowering *self, uint32_t pid, uint64_t tid, uint32_t *out,
                              ps_error *err)
{
    *out = ps__lower_find_lane(self, pid, tid);
    if (*out != PS_NONE) {
        return PS_OK;
    }
    char name[48];
    (void)snprintf(name, sizeof name, "thread %llu", (unsigned long long)tid);
    const uint32_t older = ps_idmap_get(&self->host_lane_of_tid, tid);
    PS_TRY(ps__lower_add_lane(self, PS_LANE_HOST, 0, tid, name, out, err));
    self->lane_pid[*out] = pid;
    self->lane_next[*out] = older;
    return ps_idmap_put(&self->host_lane_of_tid, tid, *out, err);
}

static uint32_t last_task(const ps_lowering *self, uint32_t lane)
{
    const lane_queue *queue = &self->queue[lane];
    return queue->count > 0 ? queue->task[queue->count - 1] : PS_NONE;
}

static ps_code lower_call(ps_lowering *self, size_t i, ps_error *err)
{
    const ps_call_table *call = &self->trace->call;
    uint32_t lane;
    PS_TRY(lane_of_thread(self, call->pid[i], call->tid[i], &lane, err));
    ps_ns start = call->start_ns[i] - self->origin_ns;
    const ps_ns end = start + call->dur_ns[i];
    uint32_t owner = last_task(self, lane);
    if (owner == PS_NONE || end > self->rec_end[owner] || start >= self->rec_end[owner]) {
        const ps_ns lane_end = owner == PS_NONE ? 0 : self->rec_end[owner];
        size_t row;
        /* clocks of microsecond resolution let neighbours overlap by their rounding */
        start = start < lane_end ? lane_end : start;
        PS_TRY(ps__lower_add_task(self, lane, start, end, &row, err));
        self->plan->task.kind[row] = PS_TASK_HOST;
        self->plan->task.gap_ns[row] = start - lane_end;
        PS_TRY(ps__lower_text(self, call->name[i], &self->plan->task.name[row], err));
        owner = (uint32_t)row;
    }
    if (call->correlation[i] != 0) {
        return ps_idmap_put(&self->host_of_correlation, call->correlation[i], owner, err);
    }
    return PS_OK;
}

/* When allocations and step marks of a thread were recorded; first > last: never. */
typedef struct thread_life {
    ps_ns first, last;
} thread_life;

typedef struct thread_lives {
    thread_life *life; /* per lane */
    size_t count, capacity;
} thread_lives;

static ps_code touch(ps_lowering *self, thread_lives *lives, uint32_t pid, uint64_t tid,
                     ps_ns first, ps_ns last, ps_error *err)
{
    uint32_t lane;
    PS_TRY(lane_of_thread(self, pid, tid, &lane, err));
    PS_TRY(ps_grow((void **)&lives->life, &lives->capacity, (size_t)lane + 1, PS_TABLE_MAX_ROWS,
                   sizeof *lives->life, err));
    for (; lives->count <= lane; lives->count++) {
        lives->life[lives->count] = (thread_life){PS_TIME_NEVER, -1};
    }
    thread_life *life = &lives->life[lane];
    life->first = first < life->first ? first : life->first;
    life->last = last > life->last ? last : life->last;
    return PS_OK;
}

uint32_t ps__lower_pid_of_thread(const ps_lowering *self, uint64_t tid)
{
    const uint32_t lane = ps_idmap_get(&self->host_lane_of_tid, tid);
    return lane == PS_NONE ? 0 : self->lane_pid[lane];
}

static ps_code find_lives(ps_lowering *self, thread_lives *lives, ps_error *err)
{
    const ps_trace *trace = self->trace;
    for (size_t i = 0; i < trace->range.head.count; i++) {
        const char *name = ps_strings_text(trace->strings, trace->range.name[i]);
        if (trace->range.category[i] == PS_RANGE_ANNOTATION && ps__lower_is_step_name(name)) {
            const ps_ns first = trace->range.start_ns[i] - self->origin_ns;
            PS_TRY(touch(self, lives, trace->range.pid[i], trace->range.tid[i], first,
                         first + trace->range.dur_ns[i], err));
        }
    }
    for (size_t i = 0; i < trace->memory.head.count; i++) {
        if (trace->memory.device_kind[i] != PS_DEVICE_HOST) {
            const ps_ns at = trace->memory.time_ns[i] - self->origin_ns;
            const uint64_t tid = trace->memory.tid[i];
            PS_TRY(touch(self, lives, ps__lower_pid_of_thread(self, tid), tid, at, at, err));
        }
    }
    return PS_OK;
}

/* One long task for a thread without calls; for the others an empty task behind their last call. */
static ps_code close_lane(ps_lowering *self, uint32_t lane, const thread_life *life, ps_error *err)
{
    const uint32_t last = last_task(self, lane);
    const ps_ns lane_end = last == PS_NONE ? 0 : self->rec_end[last];
    const ps_ns begin = last == PS_NONE ? life->first : life->last;
    size_t row;
    if (last != PS_NONE && life->last < lane_end) {
        return PS_OK;
    }
    PS_TRY(ps__lower_add_task(self, lane, begin, life->last, &row, err));
    self->plan->task.gap_ns[row] = begin - lane_end;
    return ps_strings_put_z(self->plan->strings, last == PS_NONE ? "host work" : "last moment",
                            &self->plan->task.name[row], err);
}

static ps_code close_lanes(ps_lowering *self, ps_error *err)
{
    thread_lives lives = {0};
    ps_code code = find_lives(self, &lives, err);
    for (size_t lane = 0; lane < lives.count && code == PS_OK; lane++) {
        if (lives.life[lane].last >= 0) {
            code = close_lane(self, (uint32_t)lane, &lives.life[lane], err);
        }
    }
    ps_free(lives.life);
    return code;
}

static ps_ns last_time(const ps_lowering *self)
{
    const ps_trace *trace = self->trace;
    ps_ns last = self->origin_ns;
    for (int i = PS_TABLE_RANGE; i <= PS_TABLE_SYNC; i++) {
        const ps_table_spec *spec = &ps_trace_specs()[i];
        const ps_table_head *table = ps_trace_table_const(trace, (ps_trace_table_id)i);
        const int64_t *start = ps_table_array(&spec->columns[0], table);
        const int64_t *dur = ps_table_array(&spec->columns[1], table);
        for (size_t row = 0; row < table->count; row++) {
            last = start[row] + dur[row] > last ? start[row] + dur[row] : last;
        }
    }
    return last;
}

/* A trace without calls, allocations and steps still needs a host lane for its one step. */
static ps_code add_lone_thread(ps_lowering *self, ps_error *err)
{
    uint32_t lane;
    size_t row;
    PS_TRY(lane_of_thread(self, 0, 0, &lane, err));
    PS_TRY(ps__lower_add_task(self, lane, 0, last_time(self) - self->origin_ns, &row, err));
    return ps_strings_put_z(self->plan->strings, "host work", &self->plan->task.name[row], err);
}

ps_code ps__lower_host(ps_lowering *self, ps_error *err)
{
    for (size_t i = 0; i < self->trace->call.head.count; i++) {
        PS_TRY(lower_call(self, i, err));
    }
    PS_TRY(close_lanes(self, err));
    if (self->plan->task.head.count == 0) {
        PS_TRY(add_lone_thread(self, err));
    }
    self->host_count = self->plan->task.head.count;
    return PS_OK;
}
