/* SPDX-License-Identifier: MIT
 *
 * What a rank has before it does anything: its device, its lanes, and a buffer
 * for each tensor.
 */
#include <stdio.h>

#include "job/rank_parts.h"

#define LANE_NAME_BYTES 64

typedef ps_rank_lowering lowering;

static ps_code add_device(lowering *self, ps_error *err)
{
    const ps_job_target *to = self->target;
    ps_plan_device_table *device = &self->plan->device;
    ps_figure memory;
    size_t row;
    PS_TRY(ps_plan_add(self->plan, PS_PLAN_DEVICE, &row, err));
    self->device = (uint32_t)row;
    device->rank[row] = self->what->rank;
    device->stands_for[row] = self->what->stands_for;
    if (self->what->host->is_known) {
        device->node[row] = self->what->host->node + 1;
        device->node_ranks[row] = self->what->host->node_ranks;
    }
    PS_TRY(ps_strings_put_z(self->plan->strings, ps_catalogue_name(to->catalogue, to->gpu),
                            &device->name[row], err));
    PS_TRY(ps_strings_put_z(self->plan->strings, "native", &device->allocator[row], err));
    PS_TRY(ps_catalogue_need(to->catalogue, to->gpu, PS_FIGURE_MEMORY, &memory, err));
    device->capacity_bytes[row] = memory.value;
    return PS_OK;
}

/* ---- lanes ---- */

static ps_code add_lane(lowering *self, ps_lane_kind kind, const char *name, uint32_t *out,
                        ps_error *err)
{
    char full[LANE_NAME_BYTES];
    size_t row;
    (void)snprintf(full, sizeof full, "%s%s", self->what->prefix, name);
    PS_TRY(ps_plan_add(self->plan, PS_PLAN_LANE, &row, err));
    self->plan->lane.kind[row] = (uint8_t)kind;
    self->plan->lane.device[row] = kind == PS_LANE_STREAM ? self->device + 1 : 0;
    *out = (uint32_t)row;
    return ps_strings_put_z(self->plan->strings, full, &self->plan->lane.name[row], err);
}

/* Lanes that an operation runs in. */
static uint32_t used_lanes(const ps_workload_op_table *op)
{
    uint32_t lanes = 0;
    for (size_t i = 0; i < op->head.count; i++) {
        if (op->kind[i] != PS_OP_JOIN && op->kind[i] != PS_OP_MARK) {
            lanes |= PS_RANK_LANE(op->lane[i]);
        }
    }
    return lanes;
}

/* The host thread, the main stream, and lanes beside it where they are used. */
static ps_code add_lanes(lowering *self, ps_error *err)
{
    static const char *const names[PS_WORKLOAD_LANE_COUNT] = {
        "stream",         "upload",         "offload",        "compute",        "communicator 0",
        "communicator 1", "communicator 2", "communicator 3", "communicator 4", "communicator 5",
        "communicator 6", "communicator 7", "worker 0",       "worker 1",       "stream 0",
        "stream 1",       "stream 2",       "stream 3"};
    const uint32_t lanes = used_lanes(&self->from->op) | PS_RANK_LANE(PS_WORKLOAD_MAIN);
    PS_TRY(add_lane(self, PS_LANE_HOST, "host", &self->host_lane, err));
    for (size_t lane = 0; lane < PS_WORKLOAD_LANE_COUNT; lane++) {
        if ((lanes & PS_RANK_LANE(lane)) != 0) {
            const bool is_worker = (PS_RANK_WORKERS & PS_RANK_LANE(lane)) != 0;
            PS_TRY(add_lane(self, is_worker ? PS_LANE_HOST : PS_LANE_STREAM, names[lane],
                            &self->lane[lane], err));
            /* as buffers name the stream that asked for them */
            self->plan->lane.number[self->lane[lane]] = lane;
        }
    }
    return PS_OK;
}

/* ---- buffers ---- */

static ps_code add_buffers(lowering *self, ps_error *err)
{
    const ps_workload_tensor_table *tensor = &self->from->tensor;
    ps_plan_buffer_table *buffer = &self->plan->buffer;
    self->first_buffer = (uint32_t)buffer->head.count;
    if (tensor->head.count > PS_RANK_MAX_TASKS - buffer->head.count) {
        return ps_fail(err, PS_LIMIT, "a job of more than %zu tensors", PS_RANK_MAX_TASKS);
    }
    for (size_t i = 0; i < tensor->head.count; i++) {
        size_t row;
        PS_TRY(ps_plan_add(self->plan, PS_PLAN_BUFFER, &row, err));
        buffer->device[row] = self->device;
        buffer->bytes[row] = tensor->bytes[i];
        buffer->role[row] = tensor->role[i];
        buffer->stream[row] = tensor->lane[i];
        buffer->memory[row] = tensor->memory[i];
        PS_TRY(ps__rank_text(self, tensor->label[i], &buffer->label[row], err));
    }
    return PS_OK;
}

ps_code ps__rank_rows(lowering *self, ps_error *err)
{
    PS_TRY(add_device(self, err));
    PS_TRY(add_lanes(self, err));
    return add_buffers(self, err);
}
