/* SPDX-License-Identifier: MIT
 *
 * Device lanes and tasks: kernels, copies and fills of every stream in order.
 *
 * A stream is in order, so recorded overlaps on one stream are either clock
 * noise (the earlier task is cut to where the later begins) or parallel
 * branches of a graph that the recorder shows under one stream (the later
 * task goes to an extra lane of that stream).
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "lower/lowering.h"

/* Overlap up to this is taken for clock noise: files with microsecond stamps show 1-2 us. */
#define NOISE_NS 5000

/* Host and device clocks are matched to within microseconds; work that begins earlier than this
 * before its own launch was not launched by that call. */
#define SKEW_NS 10000

typedef enum source_kind { SOURCE_KERNEL, SOURCE_MEMCPY, SOURCE_MEMSET } source_kind;

/* One row of the three tables, seen alike. */
typedef struct device_row {
    source_kind kind;
    size_t row;
    ps_ns start, dur;
    uint32_t device;
    uint64_t stream, correlation;
} device_row;

static bool at_row(const ps_trace *trace, source_kind kind, size_t row, device_row *out)
{
    out->kind = kind;
    out->row = row;
    switch (kind) {
    case SOURCE_KERNEL:
        if (row >= trace->kernel.head.count) {
            return false;
        }
        out->start = trace->kernel.start_ns[row];
        out->dur = trace->kernel.dur_ns[row];
        out->device = trace->kernel.device[row];
        out->stream = trace->kernel.stream[row];
        out->correlation = trace->kernel.correlation[row];
        return true;
    case SOURCE_MEMCPY:
        if (row >= trace->memcpy.head.count) {
            return false;
        }
        out->start = trace->memcpy.start_ns[row];
        out->dur = trace->memcpy.dur_ns[row];
        out->device = trace->memcpy.device[row];
        out->stream = trace->memcpy.stream[row];
        out->correlation = trace->memcpy.correlation[row];
        return true;
    case SOURCE_MEMSET:
        break;
    }
    if (row >= trace->memset.head.count) {
        return false;
    }
    out->start = trace->memset.start_ns[row];
    out->dur = trace->memset.dur_ns[row];
    out->device = trace->memset.device[row];
    out->stream = trace->memset.stream[row];
    out->correlation = trace->memset.correlation[row];
    return true;
}

/* ---- devices ---- */

/* The one value of a column over rows that count; false when there are none or several. */
static bool only_value(const uint32_t *value, const uint8_t *kind, size_t count, uint32_t *out)
{
    bool found = false;
    for (size_t i = 0; i < count; i++) {
        if (kind != NULL && kind[i] == PS_DEVICE_HOST) {
            continue;
        }
        if (found && value[i] != *out) {
            return false;
        }
        *out = value[i];
        found = true;
    }
    return found;
}

/* Some recorders number kernels by the physical device and allocations by the one the process sees
 * as its first. One device each: they are the same. */
static ps_code unify_ordinals(ps_lowering *self, ps_error *err)
{
    ps_trace *trace = self->trace;
    uint32_t of_kernels, of_memory;
    if (!only_value(trace->kernel.device, NULL, trace->kernel.head.count, &of_kernels) ||
        !only_value(trace->memory.device, trace->memory.device_kind, trace->memory.head.count,
                    &of_memory) ||
        of_kernels == of_memory) {
        return PS_OK;
    }
    char text[96];
    (void)snprintf(text, sizeof text, "allocations of device %u are those of device %u", of_memory,
                   of_kernels);
    for (size_t i = 0; i < trace->memory.head.count; i++) {
        if (trace->memory.device_kind[i] != PS_DEVICE_HOST) {
            trace->memory.device[i] = of_kernels;
        }
    }
    return ps_plan_set_meta(self->plan, "device-ordinals", text, err);
}

static bool is_device_used(const ps_trace *trace, uint32_t ordinal)
{
    for (size_t i = 0; i < trace->kernel.head.count; i++) {
        if (trace->kernel.device[i] == ordinal) {
            return true;
        }
    }
    for (size_t i = 0; i < trace->memcpy.head.count; i++) {
        if (trace->memcpy.device[i] == ordinal) {
            return true;
        }
    }
    for (size_t i = 0; i < trace->memset.head.count; i++) {
        if (trace->memset.device[i] == ordinal) {
            return true;
        }
    }
    for (size_t i = 0; i < trace->memory.head.count; i++) {
        if (trace->memory.device_kind[i] != PS_DEVICE_HOST && trace->memory.device[i] == ordinal) {
            return true;
        }
    }
    for (size_t i = 0; i < trace->segment.head.count; i++) {
        if (trace->segment.device[i] == ordinal) {
            return true;
        }
    }
    return false;
}

static ps_code add_device(ps_lowering *self, uint32_t ordinal, ps_error *err)
{
    const ps_trace *trace = self->trace;
    char own_rank[32]; /* of merged traces, a fact a device */
    (void)snprintf(own_rank, sizeof own_rank, "device-%" PRIu32 "-rank", ordinal);
    const char *rank = ps_trace_meta(trace, own_rank);
    rank = rank != NULL ? rank : ps_trace_meta(trace, PS_META_RANK);
    const char *sizes = ps_trace_meta(trace, PS_META_MEMORY_SIZES);
    const char *conf = ps_trace_meta(trace, PS_META_ALLOCATOR_CONF);
    ps_plan *plan = self->plan;
    size_t row;
    PS_TRY(ps_plan_add(plan, PS_PLAN_DEVICE, &row, err));
    plan->device.ordinal[row] = ordinal;
    plan->device.rank[row] = rank == NULL ? 0 : (uint32_t)strtoul(rank, NULL, 10);
    plan->device.sizes_are_blocks[row] = sizes != NULL && strcmp(sizes, "block") == 0;
    PS_TRY(ps_strings_put_z(plan->strings, conf == NULL ? "" : conf,
                            &plan->device.allocator_conf[row], err));
    for (size_t i = 0; i < trace->device.head.count; i++) {
        /* the only device listed is the one in use, whatever number it carries */
        if ((trace->device.device[i] == ordinal || trace->device.head.count == 1) &&
            trace->device.kind[i] != PS_DEVICE_HOST) {
            plan->device.capacity_bytes[row] = trace->device.memory_bytes[i];
            PS_TRY(ps__lower_text(self, trace->device.name[i], &plan->device.name[row], err));
        }
    }
    return PS_OK;
}

#define MAX_ORDINAL 1024u

static ps_code add_devices(ps_lowering *self, ps_error *err)
{
    const ps_trace *trace = self->trace;
    uint32_t highest = 0;
    const struct {
        const uint32_t *ordinal;
        size_t count;
    } columns[] = {{trace->kernel.device, trace->kernel.head.count},
                   {trace->memcpy.device, trace->memcpy.head.count},
                   {trace->memset.device, trace->memset.head.count},
                   {trace->memory.device, trace->memory.head.count},
                   {trace->segment.device, trace->segment.head.count}};
    for (size_t c = 0; c < sizeof columns / sizeof columns[0]; c++) {
        for (size_t i = 0; i < columns[c].count; i++) {
            highest = columns[c].ordinal[i] > highest ? columns[c].ordinal[i] : highest;
        }
    }
    if (highest >= MAX_ORDINAL) {
        return ps_fail(err, PS_LIMIT, "device ordinal %u is not below %u", highest, MAX_ORDINAL);
    }
    for (uint32_t ordinal = 0; ordinal <= highest; ordinal++) {
        if (is_device_used(trace, ordinal)) {
            PS_TRY(add_device(self, ordinal, err));
        }
    }
    return PS_OK;
}

uint32_t ps__lower_device_row(const ps_lowering *self, uint32_t ordinal)
{
    for (uint32_t row = 0; row < self->plan->device.head.count; row++) {
        if (self->plan->device.ordinal[row] == ordinal) {
            return row;
        }
    }
    return PS_NONE;
}

/* ---- lanes ---- */

static bool has_room(const ps_lowering *self, uint32_t lane, ps_ns start)
{
    const lane_queue *queue = &self->queue[lane];
    if (queue->count == 0) {
        return true;
    }
    const uint32_t last = queue->task[queue->count - 1];
    const ps_ns overlap = self->rec_end[last] - start;
    const ps_ns quarter = (self->rec_end[last] - self->rec_start[last]) / 4;
    return overlap <= NOISE_NS || overlap <= quarter;
}

/* The first lane of the stream whose last task has ended; a new one when all are busy. */
static ps_code lane_of_stream(ps_lowering *self, uint32_t *first, uint32_t device,
                              const device_row *from, ps_ns start, uint32_t *out, ps_error *err)
{
    uint32_t branch = 1;
    uint32_t lane = *first;
    uint32_t last = PS_NONE;
    for (; lane != PS_NONE; lane = self->lane_next[lane], branch++) {
        if (has_room(self, lane, start)) {
            *out = lane;
            return PS_OK;
        }
        last = lane;
    }
    char name[64];
    (void)snprintf(name, sizeof name, branch > 1 ? "stream %llu branch %u" : "stream %llu",
                   (unsigned long long)from->stream, branch);
    PS_TRY(ps__lower_add_lane(self, PS_LANE_STREAM, device + 1, from->stream, name, out, err));
    if (last == PS_NONE) {
        *first = *out;
    } else {
        self->lane_next[last] = *out;
    }
    return PS_OK;
}

/* Lanes of a (device, stream): few, so a list searched in order of first use, last hit first. */
typedef struct stream_list {
    struct {
        uint32_t device;
        uint64_t stream;
        uint32_t first_lane;
    } * entry;
    size_t count, capacity, hit;
} stream_list;

#define MAX_STREAMS 65536u

static ps_code find_stream(stream_list *list, uint32_t device, uint64_t stream, size_t *out,
                           ps_error *err)
{
    if (list->hit < list->count && list->entry[list->hit].device == device &&
        list->entry[list->hit].stream == stream) {
        *out = list->hit;
        return PS_OK;
    }
    for (size_t i = 0; i < list->count; i++) {
        if (list->entry[i].device == device && list->entry[i].stream == stream) {
            *out = list->hit = i;
            return PS_OK;
        }
    }
    PS_TRY(ps_grow((void **)&list->entry, &list->capacity, list->count + 1, MAX_STREAMS,
                   sizeof *list->entry, err));
    list->entry[list->count].device = device;
    list->entry[list->count].stream = stream;
    list->entry[list->count].first_lane = PS_NONE;
    *out = list->hit = list->count++;
    return PS_OK;
}

/* ---- tasks ---- */

/* The collective's row of a kernel, or PS_NONE. */
static uint32_t find_collective(const ps_trace *trace, size_t kernel, size_t *cursor)
{
    const ps_collective_table *collective = &trace->collective;
    while (*cursor < collective->head.count &&
           collective->start_ns[*cursor] < trace->kernel.start_ns[kernel]) {
        (*cursor)++;
    }
    for (size_t i = *cursor;
         i < collective->head.count && collective->start_ns[i] == trace->kernel.start_ns[kernel];
         i++) {
        if (collective->stream[i] == trace->kernel.stream[kernel] &&
            collective->device[i] == trace->kernel.device[kernel] &&
            collective->correlation[i] == trace->kernel.correlation[kernel]) {
            return (uint32_t)i;
        }
    }
    return PS_NONE;
}

static ps_code describe_task(ps_lowering *self, const device_row *from, size_t task,
                             size_t *collective, ps_error *err)
{
    ps_plan_task_table *out = &self->plan->task;
    const ps_trace *trace = self->trace;
    switch (from->kind) {
    case SOURCE_KERNEL: {
        const uint32_t row = find_collective(trace, from->row, collective);
        out->kind[task] = row != PS_NONE ? PS_TASK_COLLECTIVE : PS_TASK_KERNEL;
        if (row != PS_NONE) {
            self->collective_task[row] = (uint32_t)task;
        }
        return ps__lower_text(self, trace->kernel.name[from->row], &out->name[task], err);
    }
    case SOURCE_MEMCPY: {
        const uint8_t src = trace->memcpy.src[from->row], dst = trace->memcpy.dst[from->row];
        out->kind[task] = PS_TASK_MEMCPY;
        out->bytes[task] = trace->memcpy.bytes[from->row];
        out->copy_kind[task] = trace->memcpy.kind[from->row];
        out->memory_kind[task] = src == PS_MEMORY_PAGEABLE || src == PS_MEMORY_PINNED ? src : dst;
        return ps_strings_put_z(self->plan->strings, "copy", &out->name[task], err);
    }
    case SOURCE_MEMSET:
        break;
    }
    out->kind[task] = PS_TASK_MEMSET;
    out->bytes[task] = trace->memset.bytes[from->row];
    return ps_strings_put_z(self->plan->strings, "fill", &out->name[task], err);
}

static ps_code add_device_task(ps_lowering *self, stream_list *streams, const device_row *from,
                               size_t *collective, ps_error *err)
{
    size_t slot, task;
    uint32_t lane;
    const uint32_t device = ps__lower_device_row(self, from->device);
    const ps_ns start = from->start - self->origin_ns;
    PS_TRY(find_stream(streams, device, from->stream, &slot, err));
    PS_TRY(lane_of_stream(self, &streams->entry[slot].first_lane, device, from, start, &lane, err));
    lane_queue *queue = &self->queue[lane];
    if (queue->count > 0) {
        const uint32_t last = queue->task[queue->count - 1];
        if (self->rec_end[last] > start) {
            self->rec_end[last] = start;
            self->plan->task.dur_ns[last] = start - self->rec_start[last];
        }
    }
    PS_TRY(ps__lower_add_task(self, lane, start, start + from->dur, &task, err));
    PS_TRY(describe_task(self, from, task, collective, err));
    const size_t i = task - self->host_count;
    PS_TRY(ps_grow((void **)&self->launch, &self->launch_capacity, i + 1, PS_TABLE_MAX_ROWS,
                   sizeof *self->launch, err));
    self->launch[i] = from->correlation == 0
                          ? PS_NONE
                          : ps_idmap_get(&self->host_of_correlation, from->correlation);
    if (self->launch[i] != PS_NONE && self->rec_start[self->launch[i]] > start + SKEW_NS) {
        self->launch[i] = PS_NONE;
        self->contradictions++;
    }
    return PS_OK;
}

/* What has no length comes before what starts with it; else the order is kernel, copy, fill. */
static bool comes_before(const device_row *a, const device_row *b)
{
    return a->start != b->start ? a->start < b->start : a->dur == 0 && b->dur > 0;
}

/* Merges the three tables by start. */
static ps_code add_device_tasks(ps_lowering *self, stream_list *streams, ps_error *err)
{
    size_t next[3] = {0, 0, 0};
    size_t collective = 0;
    for (;;) {
        device_row best = {0};
        bool found = false;
        for (int kind = SOURCE_KERNEL; kind <= SOURCE_MEMSET; kind++) {
            device_row row;
            if (at_row(self->trace, (source_kind)kind, next[kind], &row) &&
                (!found || comes_before(&row, &best))) {
                best = row;
                found = true;
            }
        }
        if (!found) {
            return PS_OK;
        }
        next[best.kind]++;
        PS_TRY(add_device_task(self, streams, &best, &collective, err));
    }
}

ps_code ps__lower_device(ps_lowering *self, ps_error *err)
{
    PS_TRY(unify_ordinals(self, err));
    PS_TRY(add_devices(self, err));
    const size_t collectives = self->trace->collective.head.count;
    PS_TRY(ps_grow((void **)&self->collective_task, &self->collective_task_capacity,
                   collectives + 1, PS_TABLE_MAX_ROWS, sizeof *self->collective_task, err));
    memset(self->collective_task, 0xff, collectives * sizeof *self->collective_task);
    stream_list streams = {0};
    const ps_code code = add_device_tasks(self, &streams, err);
    ps_free(streams.entry);
    PS_TRY(code);
    return ps__lower_add_loss(self, "contradicting-links", PS_SEVERITY_LOSS, self->contradictions,
                              err);
}
