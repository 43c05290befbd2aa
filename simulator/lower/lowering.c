/* SPDX-License-Identifier: MIT
 *
 * Lowering driver and the helpers its stages share.
 */
#include "lower/lowering.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "trace/file.h"

#define MAX_TASKS ((size_t)1 << 31)
#define MAX_PROCESSES 65536u

ps_code ps__lower_add_dep(ps_lowering *self, uint32_t task, uint32_t before, ps_dep_kind kind,
                          ps_ns lag_ns, ps_dep_origin origin, ps_error *err)
{
    size_t row;
    PS_TRY(ps_plan_add(self->plan, PS_PLAN_DEP, &row, err));
    self->plan->dep.task[row] = task;
    self->plan->dep.before[row] = before;
    self->plan->dep.kind[row] = (uint8_t)kind;
    self->plan->dep.lag_ns[row] = lag_ns < 0 ? 0 : lag_ns;
    self->plan->dep.origin[row] = (uint8_t)origin;
    return PS_OK;
}

ps_code ps__lower_add_loss(ps_lowering *self, const char *name, ps_severity severity,
                           uint64_t count, ps_error *err)
{
    size_t row;
    if (count == 0) {
        return PS_OK;
    }
    PS_TRY(ps_plan_add(self->plan, PS_PLAN_LOSS, &row, err));
    self->plan->loss.severity[row] = (uint8_t)severity;
    self->plan->loss.count[row] = count;
    return ps_strings_put_z(self->plan->strings, name, &self->plan->loss.name[row], err);
}

ps_code ps__lower_text(ps_lowering *self, ps_str id, ps_str *out, ps_error *err)
{
    return ps_strings_put(self->plan->strings, ps_strings_text(self->trace->strings, id),
                          ps_strings_bytes(self->trace->strings, id), out, err);
}

ps_code ps__lower_add_lane(ps_lowering *self, ps_lane_kind kind, uint32_t device, uint64_t number,
                           const char *name, uint32_t *out, ps_error *err)
{
    size_t row;
    const size_t need = self->plan->lane.head.count + 1;
    PS_TRY(ps_grow((void **)&self->lane_pid, &self->lane_pid_capacity, need, MAX_TASKS,
                   sizeof *self->lane_pid, err));
    PS_TRY(ps_grow((void **)&self->lane_next, &self->lane_next_capacity, need, MAX_TASKS,
                   sizeof *self->lane_next, err));
    PS_TRY(ps_grow((void **)&self->queue, &self->queue_capacity, need, MAX_TASKS,
                   sizeof *self->queue, err));
    PS_TRY(ps_plan_add(self->plan, PS_PLAN_LANE, &row, err));
    self->lane_pid[row] = 0;
    self->lane_next[row] = PS_NONE;
    self->queue[row] = (lane_queue){0};
    self->plan->lane.kind[row] = (uint8_t)kind;
    self->plan->lane.device[row] = device;
    self->plan->lane.number[row] = number;
    PS_TRY(ps_strings_put_z(self->plan->strings, name, &self->plan->lane.name[row], err));
    *out = (uint32_t)row;
    return PS_OK;
}

ps_code ps__lower_add_task(ps_lowering *self, uint32_t lane, ps_ns start_ns, ps_ns end_ns,
                           size_t *row, ps_error *err)
{
    const size_t need = self->plan->task.head.count + 1;
    if (need > self->rec_capacity) {
        size_t capacity = self->rec_capacity;
        PS_TRY(ps_grow((void **)&self->rec_start, &capacity, need, MAX_TASKS,
                       sizeof *self->rec_start, err));
        PS_TRY(ps_grow((void **)&self->rec_end, &self->rec_capacity, need, MAX_TASKS,
                       sizeof *self->rec_end, err));
    }
    lane_queue *queue = &self->queue[lane];
    PS_TRY(ps_grow((void **)&queue->task, &queue->capacity, queue->count + 1, MAX_TASKS,
                   sizeof *queue->task, err));
    PS_TRY(ps_plan_add(self->plan, PS_PLAN_TASK, row, err));
    self->plan->task.lane[*row] = lane;
    self->plan->task.dur_ns[*row] = end_ns - start_ns;
    self->rec_start[*row] = start_ns;
    self->rec_end[*row] = end_ns;
    queue->task[queue->count++] = (uint32_t)*row;
    return PS_OK;
}

uint32_t ps__lower_find_lane(const ps_lowering *self, uint32_t pid, uint64_t tid)
{
    uint32_t lane = ps_idmap_get(&self->host_lane_of_tid, tid);
    while (lane != PS_NONE && self->lane_pid[lane] != pid) {
        lane = self->lane_next[lane];
    }
    return lane;
}

uint32_t ps__lower_process(const ps_lowering *self, uint32_t lane)
{
    const ps_plan_lane_table *lanes = &self->plan->lane;
    if (self->process_count <= 1) {
        return 0;
    }
    const uint64_t number = lanes->kind[lane] == PS_LANE_STREAM
                                ? self->plan->device.rank[lanes->device[lane] - 1]
                                : lanes->number[lane] >> PS_TRACE_PROCESS_SHIFT;
    return number < self->process_count ? (uint32_t)number : 0;
}

static ps_moment moment_of(const ps_lowering *self, uint32_t task, ps_ns time_ns)
{
    return (ps_moment){.task = task, .offset_ns = time_ns - self->rec_start[task]};
}

ps_moment ps__lower_moment(const ps_lowering *self, uint32_t lane, ps_ns time_ns)
{
    const lane_queue *queue = &self->queue[lane];
    size_t low = 0, high = queue->count; /* first task that starts after the time */
    while (low < high) {
        const size_t mid = low + (high - low) / 2;
        if (self->rec_start[queue->task[mid]] <= time_ns) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    const uint32_t before = low > 0 ? queue->task[low - 1] : PS_NONE;
    /* The very end of a task belongs to what follows: a call may return later in a what-if. */
    const bool is_inside = before != PS_NONE &&
                           (time_ns < self->rec_end[before] || time_ns == self->rec_start[before]);
    if (low == queue->count || is_inside) {
        return moment_of(self, before, time_ns);
    }
    const uint32_t next = queue->task[low];
    const uint32_t turn = self->turn == NULL ? PS_NONE : self->turn[next];
    if (turn == PS_NONE || time_ns >= self->rec_end[turn]) {
        return moment_of(self, next, time_ns);
    }
    if (before != PS_NONE) {
        /* its end, whenever that is */
        return (ps_moment){.task = before, .offset_ns = PS_TIME_NEVER};
    }
    return moment_of(self, turn, time_ns < self->rec_start[turn] ? self->rec_start[turn] : time_ns);
}

static ps_ns first_time(const ps_trace *trace)
{
    ps_ns first = PS_TIME_NEVER;
    for (int i = PS_TABLE_RANGE; i <= PS_TABLE_MEMORY; i++) {
        const ps_table_head *table = ps_trace_table_const(trace, (ps_trace_table_id)i);
        const int64_t *start = ps_table_array(&ps_trace_specs()[i].columns[0], table);
        if (table->count > 0 && start[0] < first) {
            first = start[0];
        }
    }
    return first;
}

/* Facts that explain a result travel with the plan. */
static ps_code copy_facts(ps_lowering *self, ps_error *err)
{
    const ps_trace *trace = self->trace;
    char text[32];
    (void)snprintf(text, sizeof text, "%lld", (long long)self->origin_ns);
    PS_TRY(ps_plan_set_meta(self->plan, PS_PLAN_META_ORIGIN, text, err));
    static const char *const keys[] = {PS_META_SOURCE, PS_META_CLOCK,      PS_META_TITLE,
                                       PS_META_RANK,   PS_META_WORLD_SIZE, PS_META_MERGED};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        const char *value = ps_trace_meta(trace, keys[i]);
        if (value != NULL) {
            PS_TRY(ps_plan_set_meta(self->plan, keys[i], value, err));
        }
    }
    for (size_t i = 0; i < trace->loss.head.count; i++) {
        size_t row;
        PS_TRY(ps_plan_add(self->plan, PS_PLAN_LOSS, &row, err));
        PS_TRY(ps__lower_text(self, trace->loss.name[i], &self->plan->loss.name[row], err));
        self->plan->loss.severity[row] = trace->loss.severity[i];
        self->plan->loss.count[row] = trace->loss.count[i];
    }
    return PS_OK;
}

/* A number beyond all reason counts as one process. */
static uint32_t count_processes(const ps_trace *trace)
{
    const char *text = ps_trace_meta(trace, PS_META_MERGED);
    const unsigned long count = text == NULL ? 1 : strtoul(text, NULL, 10);
    return count >= 1 && count <= MAX_PROCESSES ? (uint32_t)count : 1;
}

static ps_code run_stages(ps_lowering *self, ps_error *err)
{
    const char *clock = ps_trace_meta(self->trace, PS_META_CLOCK);
    if (clock == NULL || strcmp(clock, "order") != 0) {
        PS_TRY(ps_trace_sort_memory(self->trace, err));
    }
    self->origin_ns = first_time(self->trace);
    if (self->origin_ns == PS_TIME_NEVER && self->trace->segment.head.count > 0) {
        self->origin_ns = 0; /* a snapshot without history: one moment */
    }
    if (self->origin_ns == PS_TIME_NEVER) {
        return ps_fail(err, PS_BAD_INPUT,
                       "the trace holds no events, so there is nothing to simulate");
    }
    PS_TRY(copy_facts(self, err));
    self->process_count = count_processes(self->trace);
    PS_TRY(ps__lower_host(self, err));
    PS_TRY(ps__lower_device(self, err));
    PS_TRY(ps__lower_streams(self, err));
    PS_TRY(ps__lower_lags(self, err));
    PS_TRY(ps__lower_waits(self, err));
    PS_TRY(ps__lower_turns(self, err));
    PS_TRY(ps__lower_exchanges(self, err));
    PS_TRY(ps__lower_memory(self, err));
    PS_TRY(ps__lower_steps(self, err));
    return ps_plan_sort_by_task(self->plan, PS_PLAN_DEP, err);
}

static void release(ps_lowering *self)
{
    for (size_t i = 0; self->plan != NULL && i < self->plan->lane.head.count; i++) {
        ps_free(self->queue[i].task);
    }
    ps_free(self->queue);
    ps_free(self->rec_start);
    ps_free(self->rec_end);
    ps_free(self->launch);
    ps_free(self->turn);
    ps_free(self->cross);
    ps_free(self->cross_origin);
    ps_free(self->collective_task);
    ps_free(self->lane_pid);
    ps_free(self->lane_next);
    ps_idmap_fini(&self->host_of_correlation);
    ps_idmap_fini(&self->host_lane_of_tid);
}

ps_code ps_lower_trace(ps_trace *trace, ps_plan **out, ps_error *err)
{
    ps_lowering self = {.trace = trace, .plan = ps_plan_create()};
    ps_code code = self.plan == NULL ? ps_fail_nomem(err) : run_stages(&self, err);
    release(&self);
    if (code != PS_OK) {
        ps_plan_destroy(self.plan);
        return code;
    }
    *out = self.plan;
    return PS_OK;
}
