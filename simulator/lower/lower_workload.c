/* SPDX-License-Identifier: MIT
 *
 * Host thread and stream of a workload.
 */
#include "lower/lower_workload.h"

#include <string.h>

#include "run/run.h"

enum { LANE_HOST, LANE_STREAM }; /* lanes of a workload follow the stream where they are used */

#define MAX_TASKS ((size_t)1 << 31)
#define NO_TASK UINT32_MAX

typedef struct lowering {
    const ps_workload *from;
    const ps_lower_target *target;
    ps_plan *plan;
    ps_ns launch_ns, copy_ns; /* host time of a launch; start of a copy */
    uint64_t copy_bytes_per_s;
    uint64_t
        beside_bytes_per_s[PS_WORKLOAD_LANE_COUNT]; /* of copies that the host does not wait for */
    uint32_t lane[PS_WORKLOAD_LANE_COUNT];          /* of the plan; 0: not used */
    size_t waiting;                                 /* events from here on have no launch yet */
    uint32_t last_task[PS_WORKLOAD_LANE_COUNT];     /* newest task of each lane */
    ps_str wait_name;
} lowering;

static ps_code text(lowering *self, ps_str id, ps_str *out, ps_error *err)
{
    return ps_strings_put_z(self->plan->strings, ps_strings_text(self->from->strings, id), out,
                            err);
}

/* ---- device, lanes, buffers ---- */

static ps_code add_device(lowering *self, ps_error *err)
{
    const ps_lower_target *to = self->target;
    ps_plan_device_table *device = &self->plan->device;
    ps_figure memory;
    size_t row;
    PS_TRY(ps_plan_add(self->plan, PS_PLAN_DEVICE, &row, err));
    PS_TRY(ps_strings_put_z(self->plan->strings, ps_catalogue_name(to->catalogue, to->gpu),
                            &device->name[row], err));
    PS_TRY(ps_strings_put_z(self->plan->strings, "native", &device->allocator[row], err));
    PS_TRY(ps_catalogue_need(to->catalogue, to->gpu, PS_FIGURE_MEMORY, &memory, err));
    device->capacity_bytes[row] = memory.value;
    return ps_plan_set_meta(self->plan, PS_PLAN_META_CACHE, "empty", err);
}

static ps_code add_lane(lowering *self, ps_lane_kind kind, const char *name, ps_error *err)
{
    size_t row;
    PS_TRY(ps_plan_add(self->plan, PS_PLAN_LANE, &row, err));
    self->plan->lane.kind[row] = (uint8_t)kind;
    self->plan->lane.device[row] = kind == PS_LANE_STREAM ? 1 : 0;
    return ps_strings_put_z(self->plan->strings, name, &self->plan->lane.name[row], err);
}

/* Lanes of the workload beside the main one, where an operation runs in them. */
static ps_code add_lanes_beside(lowering *self, ps_error *err)
{
    static const char *const names[] = {"stream", "upload", "offload", "compute"};
    self->lane[PS_WORKLOAD_MAIN] = LANE_STREAM;
    for (int lane = PS_WORKLOAD_UPLOAD; lane < PS_WORKLOAD_LANE_COUNT; lane++) {
        for (size_t i = 0; i < self->from->op.head.count && self->lane[lane] == 0; i++) {
            if (self->from->op.lane[i] == lane) {
                self->lane[lane] = (uint32_t)self->plan->lane.head.count;
                PS_TRY(add_lane(self, PS_LANE_STREAM, names[lane], err));
            }
        }
    }
    return PS_OK;
}

static ps_code add_buffers(lowering *self, ps_error *err)
{
    const ps_workload_tensor_table *tensor = &self->from->tensor;
    ps_plan_buffer_table *buffer = &self->plan->buffer;
    for (size_t i = 0; i < tensor->head.count; i++) {
        size_t row;
        PS_TRY(ps_plan_add(self->plan, PS_PLAN_BUFFER, &row, err));
        buffer->bytes[row] = tensor->bytes[i];
        buffer->role[row] = tensor->role[i];
        buffer->stream[row] = tensor->lane[i];
        PS_TRY(text(self, tensor->label[i], &buffer->label[row], err));
    }
    return PS_OK;
}

/* ---- tasks ---- */

static ps_code add_task(lowering *self, uint32_t lane, ps_task_kind kind, size_t *row,
                        ps_error *err)
{
    if (self->plan->task.head.count >= MAX_TASKS) {
        return ps_fail(err, PS_LIMIT, "a workload of more than %zu operations", MAX_TASKS);
    }
    PS_TRY(ps_plan_add(self->plan, PS_PLAN_TASK, row, err));
    self->plan->task.lane[*row] = lane;
    self->plan->task.kind[*row] = (uint8_t)kind;
    self->plan->task.basis[*row] = (uint8_t)PS_BASIS_ANALYTIC;
    return PS_OK;
}

static ps_code add_dep(lowering *self, uint32_t task, uint32_t before, ps_dep_kind kind,
                       ps_ns lag_ns, ps_error *err)
{
    size_t row;
    PS_TRY(ps_plan_add(self->plan, PS_PLAN_DEP, &row, err));
    self->plan->dep.task[row] = task;
    self->plan->dep.before[row] = before;
    self->plan->dep.kind[row] = (uint8_t)kind;
    self->plan->dep.lag_ns[row] = lag_ns;
    self->plan->dep.origin[row] = (uint8_t)PS_DEP_RULE;
    return PS_OK;
}

/* Requests since the last launch happen when this host task begins. */
static ps_code add_requests(lowering *self, size_t end, uint32_t host_task, ps_error *err)
{
    const ps_workload_event_table *event = &self->from->event;
    for (; self->waiting < end; self->waiting++) {
        const ps_workload_event kind = (ps_workload_event)event->kind[self->waiting];
        size_t row;
        if (kind == PS_WORKLOAD_EVENT_OP) {
            continue;
        }
        PS_TRY(ps_plan_add(self->plan, PS_PLAN_MEMOP, &row, err));
        self->plan->memop.op[row] =
            (uint8_t)(kind == PS_WORKLOAD_EVENT_ALLOC ? PS_MEMOP_ALLOC : PS_MEMOP_FREE);
        self->plan->memop.buffer[row] = event->ref[self->waiting];
        self->plan->memop.task[row] = host_task;
    }
    return PS_OK;
}

/* The host waits for everything launched into lanes first .. last. */
static ps_code add_wait_for(lowering *self, size_t event, size_t first, size_t last, ps_error *err)
{
    size_t row;
    PS_TRY(add_task(self, LANE_HOST, PS_TASK_WAIT, &row, err));
    self->plan->task.name[row] = self->wait_name;
    PS_TRY(add_requests(self, event, (uint32_t)row, err));
    for (size_t lane = first; lane <= last; lane++) {
        if (self->last_task[lane] != NO_TASK) {
            PS_TRY(
                add_dep(self, (uint32_t)row, self->last_task[lane], PS_DEP_END_AFTER_END, 0, err));
        }
    }
    return PS_OK;
}

static ps_code add_wait(lowering *self, size_t event, ps_error *err)
{
    return add_wait_for(self, event, 0, PS_WORKLOAD_LANE_COUNT - 1, err);
}

static ps_cost_element element_of(ps_element dtype)
{
    switch (dtype) {
    case PS_ELEMENT_F16:
        return PS_COST_F16;
    case PS_ELEMENT_BF16:
        return PS_COST_BF16;
    case PS_ELEMENT_TF32:
        return PS_COST_TF32;
    case PS_ELEMENT_F8_E4M3:
    case PS_ELEMENT_F8_E5M2:
        return PS_COST_FP8;
    case PS_ELEMENT_UNKNOWN:
    case PS_ELEMENT_F32:
    case PS_ELEMENT_I64:
    case PS_ELEMENT_BOOL:
    case PS_ELEMENT_I32:
    case PS_ELEMENT_U8:
    case PS_ELEMENT_I8:
    case PS_ELEMENT_I16:
    case PS_ELEMENT_F64:
    case PS_ELEMENT_COUNT:
        break;
    }
    return PS_COST_F32;
}

static ps_cost_kind cost_kind_of(const ps_workload_op_table *op, size_t i)
{
    switch ((ps_op_kind)op->kind[i]) {
    case PS_OP_MATMUL:
        return PS_COST_MATMUL;
    case PS_OP_ATTENTION:
        return op->phase[i] == PS_PHASE_BACKWARD ? PS_COST_ATTENTION_BACKWARD
                                                 : PS_COST_ATTENTION_FORWARD;
    case PS_OP_MEMORY:
    case PS_OP_COPY:
    case PS_OP_COLLECTIVE:
    case PS_OP_HOST:
    case PS_OP_JOIN:
    case PS_OP_KIND_COUNT:
        break;
    }
    return PS_COST_MEMORY;
}

static ps_code device_time(const lowering *self, size_t i, ps_ns *dur_ns, ps_basis *basis,
                           ps_error *err)
{
    const ps_workload_op_table *op = &self->from->op;
    if (op->dur_ns[i] > 0) {
        *dur_ns = op->dur_ns[i];
        *basis = (ps_basis)op->basis[i];
        return PS_OK;
    }
    const ps_cost_op cost = {.kind = cost_kind_of(op, i),
                             .element = element_of((ps_element)op->dtype[i]),
                             .flop = op->flop[i],
                             .moved_bytes = op->moved_bytes[i],
                             .batch = op->batch[i],
                             .m = op->m[i],
                             .n = op->n[i],
                             .k = op->k[i],
                             .launches = op->launches[i]};
    ps_cost_time time;
    PS_TRY(ps_cost_op_time(self->target->cost, &cost, &time, err));
    *dur_ns = time.dur_ns;
    *basis = time.basis;
    return PS_OK;
}

/* A batch comes from pageable memory: the copy waits for the stream, and the host for the copy. */
static ps_code add_copy(lowering *self, size_t i, size_t event, ps_error *err)
{
    const ps_workload_op_table *op = &self->from->op;
    size_t host, copy;
    PS_TRY(add_task(self, LANE_HOST, PS_TASK_HOST, &host, err));
    PS_TRY(text(self, op->name[i], &self->plan->task.name[host], err));
    self->plan->task.dur_ns[host] = self->launch_ns;
    PS_TRY(add_requests(self, event, (uint32_t)host, err));
    PS_TRY(add_task(self, LANE_STREAM, PS_TASK_MEMCPY, &copy, err));
    self->plan->task.name[copy] = self->plan->task.name[host];
    self->plan->task.bytes[copy] = op->moved_bytes[i];
    self->plan->task.copy_kind[copy] = (uint8_t)PS_COPY_HTOD;
    self->plan->task.phase[copy] = op->phase[i];
    self->plan->task.dur_ns[copy] =
        self->copy_ns +
        (ps_ns)ps_mul_div_u64(op->moved_bytes[i], 1000000000u, self->copy_bytes_per_s);
    PS_TRY(add_dep(self, (uint32_t)copy, (uint32_t)host, PS_DEP_START_AFTER_START, 0, err));
    self->last_task[PS_WORKLOAD_MAIN] = (uint32_t)copy;
    return add_wait_for(self, event, PS_WORKLOAD_MAIN, PS_WORKLOAD_MAIN, err);
}

/* From or to pinned memory, beside the computation: the host goes on. */
static ps_code add_copy_beside(lowering *self, size_t i, size_t event, ps_error *err)
{
    const ps_workload_op_table *op = &self->from->op;
    const uint8_t lane = op->lane[i];
    size_t host, copy;
    PS_TRY(add_task(self, LANE_HOST, PS_TASK_HOST, &host, err));
    PS_TRY(text(self, op->name[i], &self->plan->task.name[host], err));
    self->plan->task.dur_ns[host] = self->launch_ns;
    PS_TRY(add_requests(self, event, (uint32_t)host, err));
    PS_TRY(add_task(self, self->lane[lane], PS_TASK_MEMCPY, &copy, err));
    self->plan->task.name[copy] = self->plan->task.name[host];
    self->plan->task.bytes[copy] = op->moved_bytes[i];
    self->plan->task.copy_kind[copy] =
        (uint8_t)(lane == PS_WORKLOAD_OFFLOAD ? PS_COPY_DTOH : PS_COPY_HTOD);
    self->plan->task.phase[copy] = op->phase[i];
    self->plan->task.dur_ns[copy] =
        self->copy_ns +
        (ps_ns)ps_mul_div_u64(op->moved_bytes[i], 1000000000u, self->beside_bytes_per_s[lane]);
    self->last_task[lane] = (uint32_t)copy;
    return add_dep(self, (uint32_t)copy, (uint32_t)host, PS_DEP_START_AFTER_START, 0, err);
}

static ps_cost_phase host_phase_of(ps_phase phase)
{
    switch (phase) {
    case PS_PHASE_BACKWARD:
        return PS_COST_BACKWARD;
    case PS_PHASE_OPTIMIZER:
        return PS_COST_OPTIMIZER;
    case PS_PHASE_UNKNOWN:
    case PS_PHASE_FORWARD:
        break;
    }
    return PS_COST_FORWARD;
}

static ps_code add_kernel(lowering *self, size_t i, size_t event, ps_error *err)
{
    const ps_workload_op_table *op = &self->from->op;
    const uint32_t launches = op->launches[i] > 0 ? op->launches[i] : 1;
    ps_basis basis;
    size_t host, kernel;
    PS_TRY(add_task(self, LANE_HOST, PS_TASK_HOST, &host, err));
    PS_TRY(text(self, op->name[i], &self->plan->task.name[host], err));
    self->plan->task.dur_ns[host] =
        ps_cost_host_ns(self->target->host, host_phase_of((ps_phase)op->phase[i]), launches);
    self->plan->task.phase[host] = op->phase[i];
    PS_TRY(add_requests(self, event, (uint32_t)host, err));
    PS_TRY(add_task(self, self->lane[op->lane[i]], PS_TASK_KERNEL, &kernel, err));
    self->plan->task.name[kernel] = self->plan->task.name[host];
    self->plan->task.phase[kernel] = op->phase[i];
    PS_TRY(device_time(self, i, &self->plan->task.dur_ns[kernel], &basis, err));
    self->plan->task.basis[kernel] = (uint8_t)basis;
    self->last_task[op->lane[i]] = (uint32_t)kernel;
    /* the first of several launches lets the device begin */
    return add_dep(self, (uint32_t)kernel, (uint32_t)host, PS_DEP_START_AFTER_START,
                   self->launch_ns, err);
}

static ps_code add_op(lowering *self, size_t i, size_t event, ps_error *err)
{
    const ps_workload_op_table *op = &self->from->op;
    const uint8_t lane = op->lane[i];
    if (op->kind[i] == PS_OP_HOST) {
        return add_wait_for(self, event, lane, lane, err);
    }
    if (op->kind[i] != PS_OP_COPY) {
        return add_kernel(self, i, event, err);
    }
    return lane == PS_WORKLOAD_UPLOAD || lane == PS_WORKLOAD_OFFLOAD
               ? add_copy_beside(self, i, event, err)
               : add_copy(self, i, event, err);
}

/* ---- steps ---- */

static ps_code begin_step(lowering *self, size_t i, ps_error *err)
{
    size_t row;
    PS_TRY(ps_plan_add(self->plan, PS_PLAN_STEP, &row, err));
    PS_TRY(text(self, self->from->step.name[i], &self->plan->step.name[row], err));
    self->plan->step.begin_task[row] = (uint32_t)self->plan->task.head.count;
    self->plan->step.end_task[row] = PS_PLAN_WHOLE;
    if (row > 0) {
        self->plan->step.end_task[row - 1] = self->plan->step.begin_task[row];
    }
    return PS_OK;
}

static ps_code add_events(lowering *self, ps_error *err)
{
    const ps_workload *from = self->from;
    size_t step = 0;
    for (size_t i = 0; i < from->event.head.count; i++) {
        if (step < from->step.head.count && from->step.begin_event[step] == i) {
            PS_TRY(add_wait(self, i, err));
            PS_TRY(begin_step(self, step++, err));
        }
        if (from->event.kind[i] == PS_WORKLOAD_EVENT_OP) {
            PS_TRY(add_op(self, from->event.ref[i], i, err));
        }
    }
    return add_wait(self, from->event.head.count, err);
}

/* ---- all ---- */

static ps_code find_figures(lowering *self, ps_error *err)
{
    const ps_lower_target *to = self->target;
    ps_figure launch, copy, rate;
    PS_TRY(ps_catalogue_need(to->catalogue, to->gpu, PS_FIGURE_LAUNCH_LATENCY, &launch, err));
    PS_TRY(ps_catalogue_need(to->catalogue, to->gpu, PS_FIGURE_COPY_LATENCY, &copy, err));
    if (!ps_catalogue_get(to->catalogue, to->gpu, PS_FIGURE_PAGEABLE, &rate)) {
        PS_TRY(ps_catalogue_need(to->catalogue, to->gpu, PS_FIGURE_H2D, &rate, err));
    }
    self->launch_ns = (ps_ns)launch.value;
    self->copy_ns = (ps_ns)copy.value;
    self->copy_bytes_per_s = rate.value;
    return PS_OK;
}

/* Rates of copies that nobody waits for, where there are any. */
static ps_code find_rates_beside(lowering *self, ps_error *err)
{
    static const ps_figure_id kinds[] = {
        [PS_WORKLOAD_UPLOAD] = PS_FIGURE_H2D, [PS_WORKLOAD_OFFLOAD] = PS_FIGURE_D2H};
    for (int lane = PS_WORKLOAD_UPLOAD; lane <= PS_WORKLOAD_OFFLOAD; lane++) {
        ps_figure rate;
        if (self->lane[lane] == 0) {
            continue;
        }
        PS_TRY(
            ps_catalogue_need(self->target->catalogue, self->target->gpu, kinds[lane], &rate, err));
        self->beside_bytes_per_s[lane] = rate.value;
    }
    return PS_OK;
}

static ps_code pass_facts_on(lowering *self, ps_error *err)
{
    const ps_workload_meta_table *meta = &self->from->meta;
    for (size_t i = 0; i < meta->head.count; i++) {
        PS_TRY(ps_plan_set_meta(self->plan, ps_strings_text(self->from->strings, meta->key[i]),
                                ps_strings_text(self->from->strings, meta->value[i]), err));
    }
    const char *model = ps_workload_meta(self->from, PS_WORKLOAD_META_MODEL);
    return model == NULL ? PS_OK : ps_plan_set_meta(self->plan, PS_META_TITLE, model, err);
}

static ps_code lower(lowering *self, ps_error *err)
{
    PS_TRY(find_figures(self, err));
    PS_TRY(pass_facts_on(self, err));
    PS_TRY(ps_strings_put_z(self->plan->strings, "synchronize", &self->wait_name, err));
    PS_TRY(add_device(self, err));
    PS_TRY(add_lane(self, PS_LANE_HOST, "host", err));
    PS_TRY(add_lane(self, PS_LANE_STREAM, "stream", err));
    PS_TRY(add_lanes_beside(self, err));
    PS_TRY(find_rates_beside(self, err));
    PS_TRY(add_buffers(self, err));
    PS_TRY(add_events(self, err));
    return ps_plan_check(self->plan, err);
}

ps_code ps_lower_workload(const ps_workload *workload, const ps_lower_target *target, ps_plan **out,
                          ps_error *err)
{
    if (workload->op.head.count == 0) {
        return ps_fail(err, PS_BAD_INPUT, "the workload has no operation");
    }
    lowering self = {.from = workload, .target = target, .plan = ps_plan_create()};
    for (size_t i = 0; i < PS_WORKLOAD_LANE_COUNT; i++) {
        self.last_task[i] = NO_TASK;
    }
    if (self.plan == NULL) {
        return ps_fail_nomem(err);
    }
    const ps_code code = lower(&self, err);
    if (code != PS_OK) {
        ps_plan_destroy(self.plan);
        return code;
    }
    *out = self.plan;
    return PS_OK;
}
