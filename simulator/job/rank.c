/* SPDX-License-Identifier: MIT
 *
 * Host thread and streams of one rank.
 */
#include <stdio.h>

#include "base/memory.h"
#include "job/rank_parts.h"

#define LANE_NAME_BYTES 64

typedef ps_rank_lowering lowering;

ps_code ps__rank_text(lowering *self, ps_str id, ps_str *out, ps_error *err)
{
    return ps_strings_put_z(self->plan->strings, ps_strings_text(self->from->strings, id), out,
                            err);
}

/* ---- device, lanes, buffers ---- */

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

static bool is_used(const ps_workload *from, int lane)
{
    for (size_t i = 0; i < from->op.head.count; i++) {
        if (from->op.lane[i] == lane && from->op.kind[i] != PS_OP_JOIN &&
            from->op.kind[i] != PS_OP_MARK) {
            return true;
        }
    }
    return false;
}

/* The host thread, the main stream, and lanes beside it where an operation runs in them. */
static ps_code add_lanes(lowering *self, ps_error *err)
{
    static const char *const names[PS_WORKLOAD_LANE_COUNT] = {
        "stream",         "upload",         "offload",        "compute",        "communicator 0",
        "communicator 1", "communicator 2", "communicator 3", "communicator 4", "communicator 5",
        "communicator 6", "communicator 7", "worker 0",       "worker 1",       "stream 0",
        "stream 1",       "stream 2",       "stream 3"};
    PS_TRY(add_lane(self, PS_LANE_HOST, "host", &self->host_lane, err));
    PS_TRY(add_lane(self, PS_LANE_STREAM, names[PS_WORKLOAD_MAIN], &self->lane[PS_WORKLOAD_MAIN],
                    err));
    for (int lane = PS_WORKLOAD_UPLOAD; lane < PS_WORKLOAD_LANE_COUNT; lane++) {
        if (is_used(self->from, lane)) {
            const bool is_worker = lane >= PS_WORKLOAD_WORKER && lane < PS_WORKLOAD_STREAM;
            PS_TRY(add_lane(self, is_worker ? PS_LANE_HOST : PS_LANE_STREAM, names[lane],
                            &self->lane[lane], err));
            /* as buffers name the stream that asked for them */
            self->plan->lane.number[self->lane[lane]] = (uint64_t)lane;
        }
    }
    return PS_OK;
}

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

/* ---- tasks ---- */

ps_code ps__rank_task(lowering *self, uint32_t lane, ps_task_kind kind, size_t *row, ps_error *err)
{
    if (self->plan->task.head.count >= PS_RANK_MAX_TASKS) {
        return ps_fail(err, PS_LIMIT, "a job of more than %zu operations", PS_RANK_MAX_TASKS);
    }
    PS_TRY(ps_plan_add(self->plan, PS_PLAN_TASK, row, err));
    self->plan->task.lane[*row] = lane;
    self->plan->task.kind[*row] = (uint8_t)kind;
    self->plan->task.basis[*row] = (uint8_t)PS_BASIS_ANALYTIC;
    self->plan->task.phase[*row] = self->phase;
    return PS_OK;
}

ps_code ps__rank_dep(lowering *self, uint32_t task, uint32_t before, ps_dep_kind kind, ps_ns lag_ns,
                     ps_error *err)
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

static bool is_worker(size_t lane)
{
    return lane >= PS_WORKLOAD_WORKER && lane < PS_WORKLOAD_STREAM;
}

ps_code ps__rank_lane_task(lowering *self, uint8_t lane, ps_task_kind kind, size_t *row,
                           ps_error *err)
{
    PS_TRY(ps__rank_task(self, self->lane[lane], kind, row, err));
    for (size_t awaited = 0; awaited < PS_WORKLOAD_LANE_COUNT; awaited++) {
        uint32_t *before = &self->joined[lane][awaited];
        if (*before != PS_JOB_NONE) {
            PS_TRY(ps__rank_dep(self, (uint32_t)*row, *before, PS_DEP_START_AFTER_END, 0, err));
            *before = PS_JOB_NONE;
            self->follows_worker[lane] |= is_worker(awaited);
        }
    }
    self->last_task[lane] = (uint32_t)*row;
    return PS_OK;
}

/* The host waits for a lane, and for what the lane itself waits for. */
static ps_code wait_for_lane(lowering *self, uint32_t wait, size_t lane, ps_error *err)
{
    if (self->last_task[lane] != PS_JOB_NONE) {
        PS_TRY(ps__rank_dep(self, wait, self->last_task[lane], PS_DEP_END_AFTER_END, 0, err));
    }
    for (size_t awaited = 0; awaited < PS_WORKLOAD_LANE_COUNT; awaited++) {
        if (self->joined[lane][awaited] != PS_JOB_NONE) {
            PS_TRY(ps__rank_dep(self, wait, self->joined[lane][awaited], PS_DEP_END_AFTER_END, 0,
                                err));
        }
    }
    return PS_OK;
}

/* The host waits for everything launched into lanes first .. last. */
static ps_code add_wait_for(lowering *self, size_t event, size_t first, size_t last, ps_error *err)
{
    size_t row;
    PS_TRY(ps__rank_task(self, self->host_lane, PS_TASK_WAIT, &row, err));
    self->plan->task.name[row] = self->wait_name;
    PS_TRY(ps__rank_requests(self, event, (uint32_t)row, err));
    for (size_t lane = first; lane <= last; lane++) {
        PS_TRY(wait_for_lane(self, (uint32_t)row, lane, err));
    }
    return PS_OK;
}

ps_code ps__rank_wait_for_task(lowering *self, size_t event, uint32_t task, ps_error *err)
{
    size_t row;
    PS_TRY(ps__rank_task(self, self->host_lane, PS_TASK_WAIT, &row, err));
    self->plan->task.name[row] = self->wait_name;
    PS_TRY(ps__rank_requests(self, event, (uint32_t)row, err));
    return ps__rank_dep(self, (uint32_t)row, task, PS_DEP_END_AFTER_END, 0, err);
}

static ps_code add_wait(lowering *self, size_t event, ps_error *err)
{
    return add_wait_for(self, event, 0, PS_WORKLOAD_LANE_COUNT - 1, err);
}

/* The host waits for the device; of what its other threads have yet to hand over it does not know. */
static ps_code wait_for_device(lowering *self, size_t event, size_t *out, ps_error *err)
{
    size_t row;
    self->phase = PS_PHASE_UNKNOWN;
    PS_TRY(ps__rank_task(self, self->host_lane, PS_TASK_WAIT, &row, err));
    self->plan->task.name[row] = self->wait_name;
    PS_TRY(ps__rank_requests(self, event, (uint32_t)row, err));
    for (size_t lane = 0; lane < PS_WORKLOAD_LANE_COUNT; lane++) {
        if (!is_worker(lane) && !self->follows_worker[lane]) {
            PS_TRY(wait_for_lane(self, (uint32_t)row, lane, err));
        }
    }
    *out = row;
    return PS_OK;
}

/* Segments go back when the device is idle: the driver waits for it. */
static ps_code release_cache(lowering *self, size_t event, ps_error *err)
{
    size_t row;
    PS_TRY(wait_for_device(self, event, &row, err));
    return ps__rank_requests(self, event + 1, (uint32_t)row, err);
}

/* Copies to and from the host and its own threads may go on beside the next step. */
static ps_code add_wait_between_steps(lowering *self, size_t event, ps_error *err)
{
    size_t row;
    PS_TRY(ps__rank_task(self, self->host_lane, PS_TASK_WAIT, &row, err));
    self->plan->task.name[row] = self->wait_name;
    PS_TRY(ps__rank_requests(self, event, (uint32_t)row, err));
    for (size_t lane = 0; lane < PS_WORKLOAD_LANE_COUNT; lane++) {
        if (!is_worker(lane) && lane != PS_WORKLOAD_UPLOAD && lane != PS_WORKLOAD_OFFLOAD) {
            PS_TRY(wait_for_lane(self, (uint32_t)row, lane, err));
        }
    }
    return PS_OK;
}

/* A slower device takes longer for what it computes. */
static ps_ns slowed(const lowering *self, ps_ns dur_ns)
{
    return self->what->speed_permille == PS_JOB_FULL_SPEED
               ? dur_ns
               : (ps_ns)ps_mul_div_u64((uint64_t)dur_ns, PS_JOB_FULL_SPEED,
                                       self->what->speed_permille);
}

/* A batch comes from pageable memory: the copy waits for the stream, and the host for the copy. */
static ps_code add_copy(lowering *self, size_t i, size_t event, uint32_t *task, ps_error *err)
{
    const ps_workload_op_table *op = &self->from->op;
    size_t host, copy;
    PS_TRY(ps__rank_task(self, self->host_lane, PS_TASK_HOST, &host, err));
    PS_TRY(ps__rank_text(self, op->name[i], &self->plan->task.name[host], err));
    self->plan->task.dur_ns[host] = self->launch_ns;
    PS_TRY(ps__rank_requests(self, event, (uint32_t)host, err));
    PS_TRY(ps__rank_lane_task(self, PS_WORKLOAD_MAIN, PS_TASK_MEMCPY, &copy, err));
    self->plan->task.name[copy] = self->plan->task.name[host];
    self->plan->task.bytes[copy] = op->moved_bytes[i];
    self->plan->task.copy_kind[copy] = (uint8_t)PS_COPY_HTOD;
    self->plan->task.phase[copy] = op->phase[i];
    self->plan->task.dur_ns[copy] =
        self->copy_ns +
        (ps_ns)ps_mul_div_u64(op->moved_bytes[i], 1000000000u, self->copy_bytes_per_s);
    PS_TRY(ps__rank_dep(self, (uint32_t)copy, (uint32_t)host, PS_DEP_START_AFTER_START, 0, err));
    *task = (uint32_t)copy;
    return add_wait_for(self, event, PS_WORKLOAD_MAIN, PS_WORKLOAD_MAIN, err);
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

static bool is_part(const ps_workload_op_table *op, size_t i)
{
    return op->collective[i] != PS_COLLECTIVE_NONE;
}

static ps_code note_part(ps_job_parts *parts, size_t op, size_t task, ps_error *err)
{
    PS_TRY(ps_grow((void **)&parts->part, &parts->capacity, parts->count + 1, PS_RANK_MAX_TASKS,
                   sizeof *parts->part, err));
    parts->part[parts->count++] = (ps_job_part){(uint32_t)op, (uint32_t)task};
    return PS_OK;
}

/* From here on the main lane computes beside an exchange, until it waits for it. */
static ps_code begin_beside(lowering *self, size_t op, ps_error *err)
{
    const ps_job_groups *groups = self->what->groups;
    const uint32_t rank = self->what->rank;
    const uint32_t span = ps__job_span_of(groups, self->from, (uint32_t)op, rank);
    ps_ns *beside_ns = &self->beside_ns[self->from->op.lane[op]];
    ps_exchange_cost cost;
    if (span == PS_JOB_NONE) {
        return PS_OK;
    }
    const uint32_t group = groups->group_of[(size_t)span * groups->grid.ranks + rank];
    const ps_exchange exchange = ps__job_exchange(groups, group, self->from, (uint32_t)op);
    PS_TRY(ps__job_exchange_cost(self->what->costs, &exchange, &cost, err));
    *beside_ns = ps_time_add(*beside_ns, ps__job_exchange_ns(&cost));
    return PS_OK;
}

/* What exchanges beside a computation cost it. */
static ps_ns held_up(lowering *self, ps_ns dur_ns)
{
    ps_ns longer_ns = 0;
    for (size_t lane = PS_WORKLOAD_GROUP; lane < PS_WORKLOAD_LANE_COUNT; lane++) {
        ps_ns *left_ns = &self->beside_ns[lane];
        const ps_ns shared_ns = *left_ns < dur_ns ? *left_ns : dur_ns;
        *left_ns -= shared_ns;
        longer_ns = ps_time_add(longer_ns, (ps_ns)ps_mul_div_u64((uint64_t)shared_ns,
                                                                 self->what->costs->overlap_cost,
                                                                 PS_RATIO_ONE));
    }
    return longer_ns;
}

/*
 * Kernels of communicators' lanes that move memory leave less of the device to the main lane's, as
 * much as they last. Where hosts are in the model: elsewhere these lanes have little else than
 * collectives.
 */
static ps_ns shared_with(lowering *self, ps_ns dur_ns)
{
    ps_ns longer_ns = 0;
    for (size_t lane = PS_WORKLOAD_GROUP; lane < PS_WORKLOAD_WORKER; lane++) {
        ps_ns *left_ns = &self->owed_ns[lane];
        const ps_ns shared_ns = *left_ns < dur_ns ? *left_ns : dur_ns;
        *left_ns -= shared_ns;
        longer_ns = ps_time_add(longer_ns, shared_ns);
    }
    return longer_ns;
}

/* A kernel, or the rank's part in a collective, which lasts as long as its exchange says. */
static ps_code add_kernel(lowering *self, size_t i, size_t event, uint32_t *task, ps_error *err)
{
    const ps_workload_op_table *op = &self->from->op;
    const uint32_t launches = op->launches[i] > 0 ? op->launches[i] : 1;
    size_t host, kernel;
    PS_TRY(ps__rank_task(self, self->host_lane, PS_TASK_HOST, &host, err));
    PS_TRY(ps__rank_text(self, op->name[i], &self->plan->task.name[host], err));
    self->plan->task.dur_ns[host] = ps_time_add(
        ps_cost_host_ns(self->target->host, host_phase_of((ps_phase)op->phase[i]), launches),
        ps_cost_dispatch_ns(self->target->host, op->dispatches[i]));
    self->plan->task.phase[host] = op->phase[i];
    PS_TRY(ps__rank_requests(self, event, (uint32_t)host, err));
    PS_TRY(ps__rank_lane_task(self, op->lane[i],
                              op->kind[i] == PS_OP_COLLECTIVE ? PS_TASK_COLLECTIVE : PS_TASK_KERNEL,
                              &kernel, err));
    self->plan->task.name[kernel] = self->plan->task.name[host];
    self->plan->task.phase[kernel] = op->phase[i];
    self->plan->task.dur_ns[kernel] = slowed(self, self->what->times->dur_ns[i]);
    self->plan->task.basis[kernel] = self->what->times->basis[i];
    if (is_part(op, i)) {
        self->plan->task.bytes[kernel] = op->moved_bytes[i];
        PS_TRY(note_part(self->parts, i, kernel, err));
        PS_TRY(begin_beside(self, i, err));
    } else if (op->lane[i] == PS_WORKLOAD_MAIN) {
        ps_ns *dur_ns = &self->plan->task.dur_ns[kernel];
        *dur_ns =
            ps_time_add(*dur_ns, ps_time_add(held_up(self, *dur_ns), shared_with(self, *dur_ns)));
    } else if (self->what->host->is_known) {
        ps_ns *owed_ns = &self->owed_ns[op->lane[i]];
        *owed_ns = ps_time_add(*owed_ns, self->plan->task.dur_ns[kernel]);
    }
    *task = (uint32_t)kernel;
    /* the first of several launches lets the device begin */
    return ps__rank_dep(self, (uint32_t)kernel, (uint32_t)host, PS_DEP_START_AFTER_START,
                        self->launch_ns, err);
}

/* What a lane waits for from now on: the newest task of another, or what that one waits for. */
static void join(lowering *self, uint8_t lane, uint8_t awaited)
{
    if (self->last_task[awaited] != PS_JOB_NONE) {
        self->joined[lane][awaited] = self->last_task[awaited];
    }
    if (lane == PS_WORKLOAD_MAIN) {
        self->beside_ns[awaited] = 0;
        self->owed_ns[awaited] = 0;
    }
    for (size_t i = 0; i < PS_WORKLOAD_LANE_COUNT; i++) {
        const uint32_t before = self->joined[awaited][i];
        uint32_t *mine = &self->joined[lane][i];
        /* rows of a lane ascend: the later one is behind the other */
        if (i != lane && before != PS_JOB_NONE && (*mine == PS_JOB_NONE || before > *mine)) {
            *mine = before;
        }
    }
}

/* What ran last under a mark is waited for alone: by a lane, or by the host. */
static ps_code await_mark(lowering *self, size_t i, size_t event, ps_error *err)
{
    const ps_workload_op_table *op = &self->from->op;
    const uint32_t task = self->marked[op->mark[i]];
    if (task == PS_JOB_NONE) {
        return PS_OK;
    }
    if (op->kind[i] == PS_OP_HOST) {
        return ps__rank_wait_for_task(self, event, task, err);
    }
    for (size_t lane = 0; lane < PS_WORKLOAD_LANE_COUNT; lane++) {
        uint32_t *before = &self->joined[op->lane[i]][lane];
        const uint32_t of_task = self->plan->task.lane[task];
        const bool is_own = lane == op->lane[i] && self->lane[lane] == of_task;
        if (!is_own && (self->lane[lane] == of_task ||
                        (lane == PS_WORKLOAD_MAIN && self->host_lane == of_task))) {
            *before = *before == PS_JOB_NONE || task > *before ? task : *before;
            break;
        }
    }
    return PS_OK;
}

static ps_code run_op(lowering *self, size_t i, size_t event, uint32_t *task, ps_error *err)
{
    const ps_workload_op_table *op = &self->from->op;
    if (ps_op_is_of_thread(op->kind[i])) {
        return ps__rank_cpu(self, i, event, task, err);
    }
    if (op->kind[i] != PS_OP_COPY) {
        return add_kernel(self, i, event, task, err);
    }
    return op->lane[i] == PS_WORKLOAD_MAIN && op->copy_kind[i] == PS_COPY_UNKNOWN
               ? add_copy(self, i, event, task, err)
               : ps__rank_copy(self, i, event, task, err);
}

static ps_code add_accesses(lowering *self, size_t event, uint32_t task, ps_error *err)
{
    const ps_workload_access_table *access = &self->from->access;
    for (; self->access < access->head.count && access->event[self->access] == event;
         self->access++) {
        size_t row;
        PS_TRY(ps_plan_add(self->plan, PS_PLAN_ACCESS, &row, err));
        self->plan->access.task[row] = task;
        self->plan->access.buffer[row] = self->first_buffer + access->tensor[self->access];
        self->plan->access.is_write[row] = access->is_write[self->access];
    }
    return PS_OK;
}

static ps_code add_op(lowering *self, size_t i, size_t event, ps_error *err)
{
    const ps_workload_op_table *op = &self->from->op;
    const uint8_t lane = op->lane[i];
    const bool waits = op->kind[i] == PS_OP_HOST || op->kind[i] == PS_OP_JOIN;
    uint32_t task = PS_JOB_NONE;
    self->phase = op->phase[i];
    if (waits && op->mark[i] != 0) {
        return await_mark(self, i, event, err);
    }
    if (op->kind[i] == PS_OP_HOST) {
        return add_wait_for(self, event, lane, lane, err);
    }
    if (op->kind[i] == PS_OP_JOIN) {
        join(self, lane, op->awaited[i]);
        return PS_OK;
    }
    if (op->kind[i] == PS_OP_MARK) {
        self->marked[op->mark[i]] = self->last_task[lane];
        return PS_OK;
    }
    PS_TRY(run_op(self, i, event, &task, err));
    if (op->mark[i] != 0) {
        self->marked[op->mark[i]] = task;
    }
    return add_accesses(self, event, task, err);
}

/* ---- steps ---- */

static ps_code begin_step(lowering *self, size_t i, ps_error *err)
{
    size_t row;
    if (!self->what->marks_steps) {
        return PS_OK;
    }
    PS_TRY(ps_plan_add(self->plan, PS_PLAN_STEP, &row, err));
    PS_TRY(ps__rank_text(self, self->from->step.name[i], &self->plan->step.name[row], err));
    self->plan->step.begin_task[row] = (uint32_t)self->plan->task.head.count;
    self->plan->step.end_task[row] = PS_PLAN_WHOLE;
    if (row > 0) {
        self->plan->step.end_task[row - 1] = self->plan->step.begin_task[row];
    }
    return PS_OK;
}

/* Other ranks may be at work when this one has done its last step. */
static ps_code end_last_step(lowering *self, ps_error *err)
{
    const size_t steps = self->plan->step.head.count;
    size_t row;
    if (steps == 0) {
        return PS_OK;
    }
    PS_TRY(ps__rank_task(self, self->host_lane, PS_TASK_HOST, &row, err));
    self->plan->step.end_task[steps - 1] = (uint32_t)row;
    return ps_strings_put_z(self->plan->strings, "end", &self->plan->task.name[row], err);
}

static ps_code add_events(lowering *self, ps_error *err)
{
    const ps_workload *from = self->from;
    size_t step = 0;
    for (size_t i = 0; i < from->event.head.count; i++) {
        if (step < from->step.head.count && from->step.begin_event[step] == i) {
            self->phase = PS_PHASE_UNKNOWN;
            PS_TRY(add_wait_between_steps(self, i, err));
            PS_TRY(begin_step(self, step++, err));
        }
        if (from->event.kind[i] == PS_WORKLOAD_EVENT_OP) {
            PS_TRY(add_op(self, from->event.ref[i], i, err));
        } else if (from->event.kind[i] == PS_WORKLOAD_EVENT_RELEASE_CACHE) {
            PS_TRY(release_cache(self, i, err));
        }
    }
    self->phase = PS_PHASE_UNKNOWN;
    PS_TRY(add_wait(self, from->event.head.count, err));
    return self->what->is_alone || !self->what->marks_steps ? PS_OK : end_last_step(self, err);
}

/* ---- all ---- */

static ps_code find_figures(lowering *self, ps_error *err)
{
    const ps_job_target *to = self->target;
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

static ps_code make_marks(lowering *self, ps_error *err)
{
    const ps_workload_op_table *op = &self->from->op;
    for (size_t i = 0; i < op->head.count; i++) {
        self->mark_count =
            op->mark[i] >= self->mark_count ? (size_t)op->mark[i] + 1 : self->mark_count;
    }
    self->marked = ps_calloc(self->mark_count + 1, sizeof *self->marked);
    if (self->marked == NULL) {
        return ps_fail_nomem(err);
    }
    for (size_t i = 0; i <= self->mark_count; i++) {
        self->marked[i] = PS_JOB_NONE;
    }
    return PS_OK;
}

static ps_code lower(lowering *self, ps_error *err)
{
    PS_TRY(make_marks(self, err));
    PS_TRY(find_figures(self, err));
    PS_TRY(ps_strings_put_z(self->plan->strings, "synchronize", &self->wait_name, err));
    PS_TRY(add_device(self, err));
    PS_TRY(add_lanes(self, err));
    PS_TRY(ps__rank_copy_rates(self, err));
    PS_TRY(add_buffers(self, err));
    return add_events(self, err);
}

ps_code ps__job_rank(const ps_job_rank *what, ps_plan *plan, ps_job_parts *parts, ps_error *err)
{
    lowering self = {
        .what = what, .from = what->workload, .target = what->target, .plan = plan, .parts = parts};
    for (size_t i = 0; i < PS_WORKLOAD_LANE_COUNT; i++) {
        self.lane[i] = self.last_task[i] = PS_JOB_NONE;
        for (size_t k = 0; k < PS_WORKLOAD_LANE_COUNT; k++) {
            self.joined[i][k] = PS_JOB_NONE;
        }
    }
    const ps_code code = lower(&self, err);
    ps_free(self.marked);
    return code;
}
