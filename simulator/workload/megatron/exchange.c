/* SPDX-License-Identifier: MIT
 *
 * Exchanges with other ranks.
 */
#include "workload/eager/ops_collective.h"
#include "workload/eager/ops_host.h"
#include "workload/megatron/parts.h"

void ps__meg_start(ps__meg *self, const char *name, ps_collective_op op, ps_eager_lane lane,
                   uint32_t axes, uint64_t bytes)
{
    const ps_collective what = {.name = name,
                                .op = op,
                                .lane = lane,
                                .axes = ps__meg_grid_span(&self->grid, axes),
                                .dtype = self->dtype,
                                .bytes = bytes};
    if (what.axes != 0) {
        ps_op_collective(self->e, &what);
    }
}

void ps__meg_await(ps__meg *self, ps_eager_lane lane)
{
    ps_op_join(self->e, PS_EAGER_MAIN, lane);
}

static uint64_t row_bytes(const ps__meg *self, int64_t width)
{
    return (uint64_t)(self->tokens * width) * ps_dtype_bytes(self->dtype);
}

/* ---- tensor parallelism ---- */

ps_tensor ps__meg_start_gather(ps__meg *self, ps_tensor part, int64_t width)
{
    if (!self->is_sequence_parallel) {
        return ps_eager_hold(self->e, part);
    }
    const ps_tensor whole = ps__meg_make(self, self->tokens * width);
    ps__meg_start(self, "all_gather", PS_COLLECTIVE_ALL_GATHER, PS__MEG_LANE_TENSOR,
                  1u << PS__MEG_TENSOR, row_bytes(self, width));
    return whole;
}

ps_tensor ps__meg_gather(ps__meg *self, ps_tensor part, int64_t width)
{
    const ps_tensor whole = ps__meg_start_gather(self, part, width);
    if (self->is_sequence_parallel) {
        ps__meg_await(self, PS__MEG_LANE_TENSOR);
    }
    return whole;
}

ps_tensor ps__meg_start_reduce(ps__meg *self, ps_tensor whole, int64_t width)
{
    ps_tensor sum;
    if (self->is_sequence_parallel) {
        sum = ps__meg_make(self, self->slice * width);
        ps__meg_start(self, "reduce_scatter", PS_COLLECTIVE_REDUCE_SCATTER, PS__MEG_LANE_TENSOR,
                      1u << PS__MEG_TENSOR, row_bytes(self, width));
    } else {
        sum = ps_eager_hold(self->e, whole);
        ps__meg_start(self, "all_reduce", PS_COLLECTIVE_ALL_REDUCE, PS__MEG_LANE_TENSOR,
                      1u << PS__MEG_TENSOR, row_bytes(self, width));
    }
    return sum;
}

ps_tensor ps__meg_reduce(ps__meg *self, ps_tensor whole, int64_t width)
{
    const ps_tensor sum = ps__meg_start_reduce(self, whole, width);
    if (self->recipe->tensor > 1) {
        ps__meg_await(self, PS__MEG_LANE_TENSOR);
    }
    ps_eager_drop(self->e, whole);
    return sum;
}

/* ---- between stages ---- */

static uint64_t transfer_bytes(const ps__meg *self)
{
    return (uint64_t)(self->slice * self->shape->hidden) * ps_dtype_bytes(self->dtype);
}

static int64_t parts_of_transfer(const ps__meg *self)
{
    return self->program->scatters_transfers && !self->is_sequence_parallel ? self->recipe->tensor
                                                                            : 1;
}

/* What came in parts is whole again on every tensor rank. */
static void gather_transfer(ps__meg *self)
{
    if (parts_of_transfer(self) > 1) {
        ps__meg_start(self, "all_gather", PS_COLLECTIVE_ALL_GATHER, PS__MEG_LANE_TENSOR,
                      1u << PS__MEG_TENSOR, transfer_bytes(self));
        ps__meg_await(self, PS__MEG_LANE_TENSOR);
    }
}

static void move(ps__meg *self, const char *name, ps_collective_op op, ps_eager_lane lane, int step)
{
    const ps_collective what = {.name = name,
                                .op = op,
                                .lane = lane,
                                .axes = 1u << PS__MEG_PIPELINE,
                                .peer = (uint32_t)(self->grid.place[PS__MEG_PIPELINE] + step),
                                .dtype = self->dtype,
                                .bytes = transfer_bytes(self) / (uint64_t)parts_of_transfer(self)};
    ps_op_collective(self->e, &what);
}

static void await_if(ps__meg *self, bool is_used, ps_eager_lane lane)
{
    if (is_used) {
        ps__meg_await(self, lane);
    }
}

void ps__meg_transfer_run(ps__meg *self, const ps__meg_transfer *what)
{
    ps__meg_transfer now = *what;
    now.sends_forward = now.sends_forward && !self->is_last;
    now.receives_backward = now.receives_backward && !self->is_last;
    now.receives_forward = now.receives_forward && !self->is_first;
    now.sends_backward = now.sends_backward && !self->is_first;
    if (now.sends_backward) {
        move(self, "send", PS_COLLECTIVE_SEND, PS__MEG_LANE_TO_PREVIOUS, -1);
    }
    if (now.receives_forward) {
        move(self, "recv", PS_COLLECTIVE_RECV, PS__MEG_LANE_FROM_PREVIOUS, -1);
    }
    if (now.sends_forward) {
        move(self, "send", PS_COLLECTIVE_SEND, PS__MEG_LANE_TO_NEXT, 1);
    }
    if (now.receives_backward) {
        move(self, "recv", PS_COLLECTIVE_RECV, PS__MEG_LANE_FROM_NEXT, 1);
    }
    await_if(self, now.sends_backward, PS__MEG_LANE_TO_PREVIOUS);
    await_if(self, now.receives_forward, PS__MEG_LANE_FROM_PREVIOUS);
    await_if(self, now.sends_forward, PS__MEG_LANE_TO_NEXT);
    await_if(self, now.receives_backward, PS__MEG_LANE_FROM_NEXT);
    if (now.receives_forward) {
        gather_transfer(self);
    }
    if (now.receives_backward) {
        gather_transfer(self);
    }
    if (!self->program->waits_for_transfers) {
        return;
    }
    if (now.sends_backward || now.receives_forward || now.sends_forward || now.receives_backward) {
        ps__meg_wait(self);
    }
}
