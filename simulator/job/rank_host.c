/* SPDX-License-Identifier: MIT
 *
 * A rank's copies to and from its host, and its computation there.
 *
 *   host     launch ── launch ── wait ── ...
 *   stream            copy: start, then bytes over slot, switch and host memory
 *   worker            computation: bytes over host memory, never faster than its cores
 *                     reads and writes of the node's disks: over disks and host memory
 */
#include "base/memory.h"
#include "job/rank_parts.h"

typedef ps_rank_lowering lowering;

#define NS_PER_S UINT64_C(1000000000)

/* ---- rates ---- */

ps_code ps__rank_copy_rates(lowering *self, ps_error *err)
{
    const ps_catalogue *catalogue = self->target->catalogue;
    const ps_hardware_id gpu = self->target->gpu;
    ps_figure up, down, staged;
    if (self->what->host->is_known) {
        for (int i = 0; i < PS_HOST_TRAFFIC_COUNT; i++) {
            self->rate_bytes_per_s[i] = self->what->host->about.rate_bytes_per_s[i];
        }
        return PS_OK;
    }
    PS_TRY(ps_catalogue_need(catalogue, gpu, PS_FIGURE_H2D, &down, err));
    PS_TRY(ps_catalogue_need(catalogue, gpu, PS_FIGURE_D2H, &up, err));
    self->rate_bytes_per_s[PS_HOST_UPLOAD] = down.value;
    self->rate_bytes_per_s[PS_HOST_OFFLOAD] = up.value;
    self->rate_bytes_per_s[PS_HOST_ECHO] = down.value;
    const bool is_staged = ps_catalogue_get(catalogue, gpu, PS_FIGURE_PAGEABLE, &staged);
    self->rate_bytes_per_s[PS_HOST_STAGED_UPLOAD] = is_staged ? staged.value : down.value;
    self->rate_bytes_per_s[PS_HOST_STAGED_OFFLOAD] = is_staged ? staged.value : up.value;
    return PS_OK;
}

/* ---- transfers ---- */

/* Bytes go over the links of the traffic; where the network does not know them, at its rate. */
static ps_code move(lowering *self, size_t task, uint64_t bytes, ps_host_traffic traffic,
                    ps_error *err)
{
    ps_plan_task_table *tasks = &self->plan->task;
    const uint64_t rate = self->rate_bytes_per_s[traffic];
    const ps_network_path *path = &self->what->host->path[traffic];
    tasks->bytes[task] = bytes;
    if (!self->what->host->is_known) {
        tasks->dur_ns[task] =
            ps_time_add(tasks->dur_ns[task], (ps_ns)ps_mul_div_u64(bytes, NS_PER_S, rate));
        return PS_OK;
    }
    tasks->rate_bytes_per_s[task] = rate;
    tasks->basis[task] = (uint8_t)self->what->host->about.basis[traffic];
    for (size_t i = 0; bytes > 0 && i < path->count; i++) {
        size_t row;
        PS_TRY(ps_plan_add(self->plan, PS_PLAN_TRANSFER, &row, err));
        self->plan->transfer.task[row] = (uint32_t)task;
        self->plan->transfer.link[row] = path->link[i];
    }
    return PS_OK;
}

/* The host hands a task of another lane over. */
static ps_code add_launch(lowering *self, size_t i, size_t event, size_t *host, ps_error *err)
{
    const ps_workload_op_table *op = &self->from->op;
    PS_TRY(ps__rank_task(self, self->host_lane, PS_TASK_HOST, host, err));
    PS_TRY(ps__rank_text(self, op->name[i], &self->plan->task.name[*host], err));
    self->plan->task.dur_ns[*host] = self->launch_ns;
    self->plan->task.phase[*host] = op->phase[i];
    return ps__rank_requests(self, event, (uint32_t)*host, err);
}

/* ---- copies ---- */

static ps_copy_kind copy_kind_of(const ps_workload_op_table *op, size_t i)
{
    if (op->copy_kind[i] != PS_COPY_UNKNOWN) {
        return (ps_copy_kind)op->copy_kind[i];
    }
    return op->lane[i] == PS_WORKLOAD_OFFLOAD ? PS_COPY_DTOH : PS_COPY_HTOD;
}

static ps_host_traffic traffic_of(ps_copy_kind kind, uint8_t memory)
{
    if (memory == PS_MEMORY_PAGEABLE) {
        return kind == PS_COPY_DTOH ? PS_HOST_STAGED_OFFLOAD : PS_HOST_STAGED_UPLOAD;
    }
    return kind == PS_COPY_DTOH ? PS_HOST_OFFLOAD : PS_HOST_UPLOAD;
}

/* The host's side of a copy, as far as it is told: row of a tensor + 1. */
static uint32_t host_side(const lowering *self, size_t event)
{
    const ps_workload_access_table *access = &self->from->access;
    for (size_t i = self->access; i < access->head.count && access->event[i] == event; i++) {
        if (ps_memory_is_host(self->from->tensor.memory[access->tensor[i]])) {
            return access->tensor[i] + 1;
        }
    }
    return 0;
}

/* A copy up that reads what the last copy down of its lane wrote. */
static ps_host_traffic echo_or(lowering *self, uint8_t lane, size_t event, ps_host_traffic traffic)
{
    const uint32_t side = host_side(self, event);
    if (traffic == PS_HOST_UPLOAD && side != 0 && side == self->written[lane]) {
        return PS_HOST_ECHO;
    }
    if (traffic == PS_HOST_OFFLOAD) {
        self->written[lane] = side;
    }
    return traffic;
}

ps_code ps__rank_copy(lowering *self, size_t i, size_t event, uint32_t *task, ps_error *err)
{
    const ps_workload_op_table *op = &self->from->op;
    const ps_copy_kind kind = copy_kind_of(op, i);
    ps_plan_task_table *tasks = &self->plan->task;
    size_t host, copy;
    PS_TRY(add_launch(self, i, event, &host, err));
    PS_TRY(ps__rank_lane_task(self, op->lane[i], PS_TASK_MEMCPY, &copy, err));
    *task = (uint32_t)copy;
    tasks->name[copy] = tasks->name[host];
    tasks->phase[copy] = op->phase[i];
    tasks->copy_kind[copy] = (uint8_t)kind;
    tasks->memory_kind[copy] = op->memory[i];
    tasks->dur_ns[copy] = self->copy_ns;
    const ps_host_traffic traffic =
        echo_or(self, op->lane[i], event, traffic_of(kind, op->memory[i]));
    PS_TRY(move(self, copy, op->moved_bytes[i], traffic, err));
    PS_TRY(ps__rank_dep(self, (uint32_t)copy, (uint32_t)host, PS_DEP_START_AFTER_START, 0, err));
    return op->is_blocking[i] ? ps__rank_wait_for_task(self, event, (uint32_t)copy, err) : PS_OK;
}

/* ---- threads ---- */

/* The work is told of one tensor of the host alone: it streams what the place of that one gives. */
static bool is_of_one(const lowering *self, size_t event)
{
    const ps_workload_access_table *access = &self->from->access;
    const uint32_t first = host_side(self, event);
    for (size_t i = self->access; i < access->head.count && access->event[i] == event; i++) {
        if (access->tensor[i] + 1 != first &&
            ps_memory_is_host(self->from->tensor.memory[access->tensor[i]])) {
            return false;
        }
    }
    return first != 0;
}

static ps_host_traffic thread_traffic(const lowering *self, size_t i, size_t event)
{
    const ps_workload_op_table *op = &self->from->op;
    if (op->kind[i] == PS_OP_READ) {
        return PS_HOST_STORAGE_READ;
    }
    if (op->kind[i] == PS_OP_WRITE) {
        return PS_HOST_STORAGE_WRITE;
    }
    if (op->memory[i] != PS_MEMORY_PINNED) {
        return PS_HOST_COMPUTE;
    }
    return is_of_one(self, event) ? PS_HOST_LONE_COMPUTE : PS_HOST_PINNED_COMPUTE;
}

/* In the host's own thread the task is the launch itself; what that waits for, the host waited for. */
ps_code ps__rank_cpu(lowering *self, size_t i, size_t event, uint32_t *task, ps_error *err)
{
    const ps_workload_op_table *op = &self->from->op;
    ps_plan_task_table *tasks = &self->plan->task;
    const bool is_own = op->lane[i] == PS_WORKLOAD_MAIN;
    const ps_host_traffic traffic = thread_traffic(self, i, event);
    size_t host, work;
    if (!self->what->host->is_known) {
        return ps_fail(err, PS_USAGE, "work of the host (%s) needs a host: a GPU in a kind of node",
                       ps_strings_text(self->from->strings, op->name[i]));
    }
    if (self->rate_bytes_per_s[traffic] == 0) {
        return ps_fail(err, PS_USAGE,
                       "\"%s\" needs disks, and the node states none: rows \"storage\" and "
                       "\"storages\" of a --cluster-file do",
                       ps_strings_text(self->from->strings, op->name[i]));
    }
    PS_TRY(add_launch(self, i, event, &host, err));
    if (is_own) {
        PS_TRY(ps__rank_task(self, self->host_lane, PS_TASK_CPU, &work, err));
    } else {
        PS_TRY(ps__rank_lane_task(self, op->lane[i], PS_TASK_CPU, &work, err));
        PS_TRY(
            ps__rank_dep(self, (uint32_t)work, (uint32_t)host, PS_DEP_START_AFTER_START, 0, err));
    }
    *task = (uint32_t)work;
    tasks->name[work] = tasks->name[host];
    tasks->phase[work] = op->phase[i];
    tasks->memory_kind[work] = traffic == PS_HOST_STORAGE_READ || traffic == PS_HOST_STORAGE_WRITE
                                   ? PS_MEMORY_STORAGE
                                   : PS_MEMORY_UNKNOWN;
    tasks->dur_ns[work] =
        ps_time_add(op->dur_ns[i], (ps_ns)ps_mul_div_u64((uint64_t)self->target->host->hook_ns,
                                                         op->launches[i], 1));
    return move(self, work, op->moved_bytes[i], traffic, err);
}
