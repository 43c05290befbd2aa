/* SPDX-License-Identifier: MIT
 *
 * Device tasks: kernels, copies and fills of every stream in order, each with
 * the host task that launched it.
 */
#include <string.h>

#include "base/memory.h"
#include "lower/device_parts.h"

/* Host and device clocks are matched to within microseconds; work that begins earlier than this
 * before its own launch was not launched by that call. */
#define SKEW_NS 10000

typedef struct device_stage {
    ps_lowering *lowering;
    ps_stream_lanes lanes;
    size_t collective; /* rows of collectives that lie behind */
} device_stage;

/* The collective's row of a kernel, or PS_NONE. */
static uint32_t find_collective(device_stage *self, size_t kernel)
{
    const ps_trace *trace = self->lowering->trace;
    const ps_collective_table *collective = &trace->collective;
    const ps_ns start_ns = trace->kernel.start_ns[kernel];
    while (self->collective < collective->head.count &&
           collective->start_ns[self->collective] < start_ns) {
        self->collective++;
    }
    for (size_t i = self->collective;
         i < collective->head.count && collective->start_ns[i] == start_ns; i++) {
        if (collective->stream[i] == trace->kernel.stream[kernel] &&
            collective->device[i] == trace->kernel.device[kernel] &&
            collective->correlation[i] == trace->kernel.correlation[kernel]) {
            return (uint32_t)i;
        }
    }
    return PS_NONE;
}

static ps_code describe_kernel(device_stage *self, size_t row, size_t task, ps_error *err)
{
    ps_lowering *lowering = self->lowering;
    ps_plan_task_table *out = &lowering->plan->task;
    const uint32_t collective = find_collective(self, row);
    out->kind[task] = collective != PS_NONE ? PS_TASK_COLLECTIVE : PS_TASK_KERNEL;
    if (collective != PS_NONE) {
        lowering->collective_task[collective] = (uint32_t)task;
    }
    return ps__lower_text(lowering, lowering->trace->kernel.name[row], &out->name[task], err);
}

static ps_code describe_copy(ps_lowering *lowering, size_t row, size_t task, ps_error *err)
{
    const ps_memcpy_table *copy = &lowering->trace->memcpy;
    ps_plan_task_table *out = &lowering->plan->task;
    const uint8_t src = copy->src[row], dst = copy->dst[row];
    out->kind[task] = PS_TASK_MEMCPY;
    out->bytes[task] = copy->bytes[row];
    out->copy_kind[task] = copy->kind[row];
    out->memory_kind[task] = src == PS_MEMORY_PAGEABLE || src == PS_MEMORY_PINNED ? src : dst;
    return ps_strings_put_z(lowering->plan->strings, "copy", &out->name[task], err);
}

static ps_code describe_fill(ps_lowering *lowering, size_t row, size_t task, ps_error *err)
{
    ps_plan_task_table *out = &lowering->plan->task;
    out->kind[task] = PS_TASK_MEMSET;
    out->bytes[task] = lowering->trace->memset.bytes[row];
    return ps_strings_put_z(lowering->plan->strings, "fill", &out->name[task], err);
}

static ps_code describe_task(device_stage *self, const ps_device_row *from, size_t task,
                             ps_error *err)
{
    switch (from->source) {
    case PS_SOURCE_KERNEL:
        return describe_kernel(self, from->row, task, err);
    case PS_SOURCE_MEMCPY:
        return describe_copy(self->lowering, from->row, task, err);
    case PS_SOURCE_MEMSET:
    case PS_SOURCE_COUNT:
        break;
    }
    return describe_fill(self->lowering, from->row, task, err);
}

/* A stream is in order: what a clock shows beyond the next start is noise. */
static void cut_last(ps_lowering *lowering, uint32_t lane, ps_ns start_ns)
{
    const lane_queue *queue = &lowering->queue[lane];
    if (queue->count == 0) {
        return;
    }
    const uint32_t last = queue->task[queue->count - 1];
    if (lowering->rec_end[last] > start_ns) {
        lowering->rec_end[last] = start_ns;
        lowering->plan->task.dur_ns[last] = start_ns - lowering->rec_start[last];
    }
}

/* The host task that launched a device task. */
static ps_code note_launch(ps_lowering *lowering, size_t task, uint64_t correlation, ps_error *err)
{
    const size_t i = task - lowering->host_count;
    PS_TRY(ps_grow((void **)&lowering->launch, &lowering->launch_capacity, i + 1, PS_TABLE_MAX_ROWS,
                   sizeof *lowering->launch, err));
    uint32_t launch =
        correlation == 0 ? PS_NONE : ps_idmap_get(&lowering->host_of_correlation, correlation);
    if (launch != PS_NONE && lowering->rec_start[launch] > lowering->rec_start[task] + SKEW_NS) {
        launch = PS_NONE;
        lowering->contradictions++;
    }
    lowering->launch[i] = launch;
    return PS_OK;
}

static ps_code add_device_task(device_stage *self, const ps_device_row *from, ps_error *err)
{
    ps_lowering *lowering = self->lowering;
    const uint32_t device = ps__lower_device_row(lowering, from->device);
    const ps_ns start_ns = from->start_ns - lowering->origin_ns;
    uint32_t lane;
    size_t task;
    PS_TRY(
        ps__stream_lanes_take(&self->lanes, lowering, device, from->stream, start_ns, &lane, err));
    cut_last(lowering, lane, start_ns);
    PS_TRY(ps__lower_add_task(lowering, lane, start_ns, start_ns + from->dur_ns, &task, err));
    PS_TRY(describe_task(self, from, task, err));
    return note_launch(lowering, task, from->correlation, err);
}

static ps_code add_device_tasks(device_stage *self, ps_error *err)
{
    ps_device_rows rows = {.trace = self->lowering->trace};
    ps_device_row row;
    while (ps__device_rows_next(&rows, &row)) {
        PS_TRY(add_device_task(self, &row, err));
    }
    return PS_OK;
}

ps_code ps__lower_device(ps_lowering *self, ps_error *err)
{
    PS_TRY(ps__lower_devices(self, err));
    const size_t collectives = self->trace->collective.head.count;
    PS_TRY(ps_grow((void **)&self->collective_task, &self->collective_task_capacity,
                   collectives + 1, PS_TABLE_MAX_ROWS, sizeof *self->collective_task, err));
    memset(self->collective_task, 0xff, collectives * sizeof *self->collective_task);
    device_stage stage = {.lowering = self};
    const ps_code code = add_device_tasks(&stage, err);
    ps__stream_lanes_fini(&stage.lanes);
    PS_TRY(code);
    return ps__lower_add_loss(self, "contradicting-links", PS_SEVERITY_LOSS, self->contradictions,
                              err);
}
