/* SPDX-License-Identifier: MIT
 *
 * Devices of the plan: those that any event of the trace is of, by ordinal.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lower/device_parts.h"

#define MAX_ORDINAL 1024u

/* The device column of one table; rows of kind PS_DEVICE_HOST are of none. */
typedef struct device_column {
    const uint32_t *ordinal;
    const uint8_t *kind; /* NULL: no row is of the host */
    size_t count;
} device_column;

static bool is_of_host(const device_column *column, size_t row)
{
    return column->kind != NULL && column->kind[row] == PS_DEVICE_HOST;
}

/* The one device of a column; false when there is none or several. */
static bool only_device(const device_column *column, uint32_t *out)
{
    bool found = false;
    for (size_t i = 0; i < column->count; i++) {
        if (is_of_host(column, i)) {
            continue;
        }
        if (found && column->ordinal[i] != *out) {
            return false;
        }
        *out = column->ordinal[i];
        found = true;
    }
    return found;
}

/* Some recorders number kernels by the physical device and allocations by the one the process sees
 * as its first. One device each: they are the same. */
static ps_code unify_ordinals(ps_lowering *self, ps_error *err)
{
    ps_trace *trace = self->trace;
    const device_column kernels = {trace->kernel.device, NULL, trace->kernel.head.count};
    const device_column memory = {trace->memory.device, trace->memory.device_kind,
                                  trace->memory.head.count};
    uint32_t of_kernels, of_memory;
    if (!only_device(&kernels, &of_kernels) || !only_device(&memory, &of_memory) ||
        of_kernels == of_memory) {
        return PS_OK;
    }
    char text[96];
    (void)snprintf(text, sizeof text, "allocations of device %u are those of device %u", of_memory,
                   of_kernels);
    for (size_t i = 0; i < memory.count; i++) {
        if (!is_of_host(&memory, i)) {
            trace->memory.device[i] = of_kernels;
        }
    }
    return ps_plan_set_meta(self->plan, "device-ordinals", text, err);
}

/* Marks the ordinals below MAX_ORDINAL of device events; returns the highest of any event. */
static uint32_t mark_used(const ps_trace *trace, bool used[MAX_ORDINAL])
{
    const device_column columns[] = {
        {trace->kernel.device, NULL, trace->kernel.head.count},
        {trace->memcpy.device, NULL, trace->memcpy.head.count},
        {trace->memset.device, NULL, trace->memset.head.count},
        {trace->memory.device, trace->memory.device_kind, trace->memory.head.count},
        {trace->segment.device, NULL, trace->segment.head.count}};
    uint32_t highest = 0;
    for (size_t c = 0; c < sizeof columns / sizeof columns[0]; c++) {
        for (size_t i = 0; i < columns[c].count; i++) {
            const uint32_t ordinal = columns[c].ordinal[i];
            highest = ordinal > highest ? ordinal : highest;
            if (ordinal < MAX_ORDINAL && !is_of_host(&columns[c], i)) {
                used[ordinal] = true;
            }
        }
    }
    return highest;
}

/* Rank of the process that uses a device: of merged traces a fact a device. */
static uint32_t rank_of(const ps_trace *trace, uint32_t ordinal)
{
    char own_rank[32];
    (void)snprintf(own_rank, sizeof own_rank, "device-%" PRIu32 "-rank", ordinal);
    const char *rank = ps_trace_meta(trace, own_rank);
    rank = rank != NULL ? rank : ps_trace_meta(trace, PS_META_RANK);
    return rank == NULL ? 0 : (uint32_t)strtoul(rank, NULL, 10);
}

static ps_code add_device(ps_lowering *self, uint32_t ordinal, ps_error *err)
{
    const ps_trace *trace = self->trace;
    const char *sizes = ps_trace_meta(trace, PS_META_MEMORY_SIZES);
    const char *conf = ps_trace_meta(trace, PS_META_ALLOCATOR_CONF);
    ps_plan *plan = self->plan;
    size_t row;
    PS_TRY(ps_plan_add(plan, PS_PLAN_DEVICE, &row, err));
    plan->device.ordinal[row] = ordinal;
    plan->device.rank[row] = rank_of(trace, ordinal);
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

ps_code ps__lower_devices(ps_lowering *self, ps_error *err)
{
    bool used[MAX_ORDINAL] = {false};
    PS_TRY(unify_ordinals(self, err));
    const uint32_t highest = mark_used(self->trace, used);
    if (highest >= MAX_ORDINAL) {
        return ps_fail(err, PS_LIMIT, "device ordinal %u is not below %u", highest, MAX_ORDINAL);
    }
    for (uint32_t ordinal = 0; ordinal <= highest; ordinal++) {
        if (used[ordinal]) {
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
