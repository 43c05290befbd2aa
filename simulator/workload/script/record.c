/* SPDX-License-Identifier: MIT
 *
 * The sink that writes rows.
 */
#include "workload/script/record.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define NUMBER_BYTES 24

static ps_element element_of(ps_dtype dtype)
{
    switch (dtype) {
    case PS_DTYPE_F32:
        return PS_ELEMENT_F32;
    case PS_DTYPE_F16:
        return PS_ELEMENT_F16;
    case PS_DTYPE_BF16:
        return PS_ELEMENT_BF16;
    case PS_DTYPE_I64:
        return PS_ELEMENT_I64;
    case PS_DTYPE_BOOL:
        return PS_ELEMENT_BOOL;
    }
    return PS_ELEMENT_UNKNOWN;
}

static ps_op_kind kind_of(ps_kernel_kind kind)
{
    switch (kind) {
    case PS_KERNEL_MEMORY:
        return PS_OP_MEMORY;
    case PS_KERNEL_MATMUL:
        return PS_OP_MATMUL;
    case PS_KERNEL_ATTENTION:
        return PS_OP_ATTENTION;
    case PS_KERNEL_COPY:
    case PS_KERNEL_UPLOAD:
    case PS_KERNEL_OFFLOAD:
        return PS_OP_COPY;
    case PS_KERNEL_WAIT:
        return PS_OP_HOST;
    case PS_KERNEL_JOIN:
        return PS_OP_JOIN;
    case PS_KERNEL_COLLECTIVE:
        return PS_OP_COLLECTIVE;
    case PS_KERNEL_CPU:
        return PS_OP_CPU;
    case PS_KERNEL_READ:
        return PS_OP_READ;
    case PS_KERNEL_WRITE:
        return PS_OP_WRITE;
    case PS_KERNEL_MARK:
        return PS_OP_MARK;
    }
    return PS_OP_MEMORY;
}

static ps_phase phase_of(ps_eager_phase phase)
{
    switch (phase) {
    case PS_EAGER_FORWARD:
        return PS_PHASE_FORWARD;
    case PS_EAGER_BACKWARD:
        return PS_PHASE_BACKWARD;
    case PS_EAGER_OPTIMIZER:
    case PS_EAGER_ZERO:
        return PS_PHASE_OPTIMIZER;
    case PS_EAGER_LOAD:
        break;
    }
    return PS_PHASE_UNKNOWN;
}

/* ---- blocks: made when they are first seen ---- */

static ps_code need_blocks(ps_workload *out, uint32_t count, ps_error *err)
{
    while (out->block.head.count < count) {
        char name[NUMBER_BYTES];
        size_t row;
        (void)snprintf(name, sizeof name, "block %zu", out->block.head.count);
        PS_TRY(ps_workload_add(out, PS_WORKLOAD_BLOCK, &row, err));
        PS_TRY(ps_strings_put_z(out->strings, name, &out->block.name[row], err));
    }
    return PS_OK;
}

static uint32_t block_now(const ps_recorder *self)
{
    return self->e == NULL ? 0 : ps_eager_block_now(self->e);
}

/* Lanes have the numbers of ps_workload_lane. */
static uint8_t lane_now(const ps_recorder *self)
{
    return self->e == NULL ? 0 : (uint8_t)ps_eager_lane_now(self->e);
}

/* ---- the sink ---- */

static void note_phase(ps_recorder *self)
{
    const ps_eager_phase now = self->e == NULL ? PS_EAGER_LOAD : ps_eager_phase_now(self->e);
    if (now != self->phase) {
        self->phase = now;
        self->phase_begin = self->out->tensor.head.count;
    }
}

static ps_code on_alloc(void *context, uint32_t buffer, uint64_t bytes, ps_role role, ps_error *err)
{
    ps_recorder *self = context;
    size_t row;
    note_phase(self);
    PS_TRY(need_blocks(self->out, block_now(self), err));
    PS_TRY(ps_workload_add(self->out, PS_WORKLOAD_TENSOR, &row, err));
    ps_workload_tensor_table *tensor = &self->out->tensor;
    tensor->bytes[row] = bytes;
    /* what backward and the optimizer make goes at once, unless it becomes something else */
    const bool is_kept = self->phase == PS_EAGER_LOAD || self->phase == PS_EAGER_FORWARD;
    tensor->role[row] =
        (uint8_t)(role == PS_ROLE_ACTIVATION && !is_kept ? PS_ROLE_TEMPORARY : role);
    tensor->block[row] = block_now(self);
    tensor->lane[row] = lane_now(self);
    tensor->memory[row] =
        (uint8_t)(self->e == NULL ? PS_MEMORY_UNKNOWN : ps_eager_memory_now(self->e));
    return ps_workload_add_event(self->out, PS_WORKLOAD_EVENT_ALLOC, buffer, err);
}

static ps_code on_free(void *context, uint32_t buffer, ps_error *err)
{
    ps_recorder *self = context;
    uint8_t *role = &self->out->tensor.role[buffer];
    note_phase(self);
    /* an activation outlives the forward that makes it */
    if (*role == PS_ROLE_ACTIVATION && self->phase == PS_EAGER_FORWARD &&
        buffer >= self->phase_begin) {
        *role = PS_ROLE_TEMPORARY;
    }
    return ps_workload_add_event(self->out, PS_WORKLOAD_EVENT_FREE, buffer, err);
}

static ps_code label_new(ps_recorder *self, const char *name, ps_str *label, ps_error *err)
{
    PS_TRY(ps_strings_put_z(self->out->strings, name, label, err));
    for (; self->unlabelled < self->out->tensor.head.count; self->unlabelled++) {
        self->out->tensor.label[self->unlabelled] = *label;
    }
    return PS_OK;
}

ps_code ps_recorder_label(ps_recorder *self, const char *name, ps_error *err)
{
    ps_str label;
    return label_new(self, name, &label, err);
}

static ps_code on_kernel(void *context, const ps_eager_kernel *kernel, ps_error *err)
{
    ps_recorder *self = context;
    ps_workload_op_table *op = &self->out->op;
    /* what is cleared first is known by what comes next */
    const bool is_fill = strcmp(kernel->name, "fill") == 0;
    ps_str name = 0;
    size_t row;
    note_phase(self);
    if (!is_fill) {
        PS_TRY(label_new(self, kernel->name, &name, err));
    }
    PS_TRY(need_blocks(self->out, block_now(self), err));
    PS_TRY(ps_workload_add(self->out, PS_WORKLOAD_OP, &row, err));
    if (is_fill) {
        PS_TRY(ps_strings_put_z(self->out->strings, kernel->name, &name, err));
    }
    op->name[row] = name;
    op->kind[row] = (uint8_t)kind_of(kernel->kind);
    op->phase[row] =
        (uint8_t)(self->e == NULL ? PS_PHASE_UNKNOWN : phase_of(ps_eager_phase_now(self->e)));
    op->block[row] = block_now(self);
    op->lane[row] = lane_now(self);
    op->dtype[row] = (uint8_t)element_of(kernel->dtype);
    op->flop[row] = kernel->flop;
    op->moved_bytes[row] = kernel->moved_bytes;
    op->dur_ns[row] = kernel->dur_ns;
    op->m[row] = kernel->m;
    op->n[row] = kernel->n;
    op->k[row] = kernel->k;
    op->batch[row] = kernel->batch;
    op->launches[row] = kernel->launches;
    op->dispatches[row] = kernel->dispatches;
    op->layout[row] = (uint8_t)kernel->layout;
    op->access[row] = (uint8_t)kernel->access;
    op->elements[row] = kernel->elements;
    op->awaited[row] = kernel->awaited;
    op->collective[row] = (uint8_t)kernel->collective;
    op->axes[row] = kernel->axes;
    op->peer[row] = kernel->peer;
    op->copy_kind[row] = (uint8_t)kernel->copy_kind;
    op->memory[row] = (uint8_t)kernel->memory;
    op->is_blocking[row] = kernel->is_blocking;
    op->mark[row] = kernel->mark;
    op->basis[row] = (uint8_t)PS_BASIS_ANALYTIC;
    self->last_run = (uint32_t)self->out->event.head.count + 1;
    return ps_workload_add_event(self->out, PS_WORKLOAD_EVENT_OP, (uint32_t)row, err);
}

static void on_rename(void *context, uint32_t buffer, ps_role role)
{
    ((ps_recorder *)context)->out->tensor.role[buffer] = (uint8_t)role;
}

static void on_saved(void *context, uint32_t buffer)
{
    ((ps_recorder *)context)->out->tensor.is_saved[buffer] = 1;
}

/* Kernels are one event each: the last op's is the newest one of an op. */
static ps_code on_access(void *context, uint32_t buffer, bool is_write, ps_error *err)
{
    ps_recorder *self = context;
    ps_workload *out = self->out;
    size_t row;
    if (self->last_run == 0) {
        return PS_OK; /* before the first kernel nothing runs that could read */
    }
    PS_TRY(ps_workload_add(out, PS_WORKLOAD_ACCESS, &row, err));
    out->access.event[row] = self->last_run - 1;
    out->access.tensor[row] = buffer;
    out->access.is_write[row] = is_write;
    return PS_OK;
}

static void on_shared(void *context, uint32_t buffer, uint8_t lane, uint32_t mark)
{
    ps_workload_tensor_table *tensor = &((ps_recorder *)context)->out->tensor;
    if (mark != 0) {
        tensor->user_mark[buffer] = mark;
    } else if (tensor->lane[buffer] != lane) {
        tensor->users[buffer] |= UINT32_C(1) << lane;
    }
}

static ps_code on_release_cache(void *context, ps_error *err)
{
    ps_recorder *self = context;
    return ps_workload_add_event(self->out, PS_WORKLOAD_EVENT_RELEASE_CACHE, 0, err);
}

ps_eager_sink ps_recorder_sink(ps_recorder *self)
{
    return (ps_eager_sink){self,     on_alloc,  on_free,          on_kernel, on_rename,
                           on_saved, on_access, on_release_cache, on_shared};
}

ps_code ps_recorder_step(ps_recorder *self, int64_t number, bool is_end, ps_error *err)
{
    ps_workload_step_table *step = &self->out->step;
    size_t row = step->head.count - 1;
    if (is_end) {
        step->end_event[row] = (uint32_t)self->out->event.head.count;
        return PS_OK;
    }
    char name[NUMBER_BYTES];
    PS_TRY(ps_workload_add(self->out, PS_WORKLOAD_STEP, &row, err));
    (void)snprintf(name, sizeof name, "step %" PRId64, number);
    PS_TRY(ps_strings_put_z(self->out->strings, name, &step->name[row], err));
    step->begin_event[row] = (uint32_t)self->out->event.head.count;
    step->end_event[row] = step->begin_event[row];
    step->is_first[row] = number == 0;
    return PS_OK;
}
