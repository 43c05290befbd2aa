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

/* ---- figures ---- */

static ps_code find_rates(lowering *self, ps_error *err)
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

ps_code ps__rank_copy_figures(lowering *self, ps_error *err)
{
    const ps_job_target *to = self->target;
    ps_figure start, batch;
    PS_TRY(ps_catalogue_need(to->catalogue, to->gpu, PS_FIGURE_COPY_LATENCY, &start, err));
    if (!ps_catalogue_get(to->catalogue, to->gpu, PS_FIGURE_PAGEABLE, &batch)) {
        PS_TRY(ps_catalogue_need(to->catalogue, to->gpu, PS_FIGURE_H2D, &batch, err));
    }
    self->copy_ns = (ps_ns)start.value;
    self->copy_bytes_per_s = batch.value;
    return find_rates(self, err);
}

/* ---- transfers ---- */

/* Bytes go over the links of the traffic; where the network does not know them, at its rate. */
static ps_code move(lowering *self, uint32_t task, uint64_t bytes, ps_host_traffic traffic,
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
        self->plan->transfer.task[row] = task;
        self->plan->transfer.link[row] = path->link[i];
    }
    return PS_OK;
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

static ps_code add_copy(lowering *self, size_t i, size_t event, ps_copy_kind kind, uint32_t *copy,
                        ps_error *err)
{
    ps_plan_task_table *tasks = &self->plan->task;
    uint32_t host;
    PS_TRY(ps__rank_launch(self, i, event, self->launch_ns, &host, err));
    PS_TRY(ps__rank_launched(self, i, PS_TASK_MEMCPY, host, 0, copy, err));
    tasks->copy_kind[*copy] = (uint8_t)kind;
    tasks->dur_ns[*copy] = self->copy_ns;
    return PS_OK;
}

/* A batch comes from pageable memory: the copy waits for the stream, and the host for the copy. */
static ps_code copy_batch(lowering *self, size_t i, size_t event, uint32_t *copy, ps_error *err)
{
    ps_plan_task_table *tasks = &self->plan->task;
    const uint64_t bytes = self->from->op.moved_bytes[i];
    PS_TRY(add_copy(self, i, event, PS_COPY_HTOD, copy, err));
    tasks->bytes[*copy] = bytes;
    tasks->dur_ns[*copy] = ps_time_add(
        tasks->dur_ns[*copy], (ps_ns)ps_mul_div_u64(bytes, NS_PER_S, self->copy_bytes_per_s));
    return ps__rank_wait(self, event, PS_RANK_LANE(PS_WORKLOAD_MAIN), err);
}

ps_code ps__rank_copy(lowering *self, size_t i, size_t event, uint32_t *task, ps_error *err)
{
    const ps_workload_op_table *op = &self->from->op;
    const ps_copy_kind kind = copy_kind_of(op, i);
    if (op->lane[i] == PS_WORKLOAD_MAIN && op->copy_kind[i] == PS_COPY_UNKNOWN) {
        return copy_batch(self, i, event, task, err);
    }
    const ps_host_traffic traffic =
        echo_or(self, op->lane[i], event, traffic_of(kind, op->memory[i]));
    PS_TRY(add_copy(self, i, event, kind, task, err));
    self->plan->task.memory_kind[*task] = op->memory[i];
    PS_TRY(move(self, *task, op->moved_bytes[i], traffic, err));
    return op->is_blocking[i] ? ps__rank_wait_for_task(self, event, *task, err) : PS_OK;
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

/* Work of the host needs to be told of one that can do it. */
static ps_code check_host(const lowering *self, size_t i, ps_host_traffic traffic, ps_error *err)
{
    const char *name = ps_strings_text(self->from->strings, self->from->op.name[i]);
    if (!self->what->host->is_known) {
        return ps_fail(err, PS_USAGE, "work of the host (%s) needs a host: a GPU in a kind of node",
                       name);
    }
    if (self->rate_bytes_per_s[traffic] == 0) {
        return ps_fail(err, PS_USAGE,
                       "\"%s\" needs disks, and the node states none: rows \"storage\" and "
                       "\"storages\" of a --cluster-file do",
                       name);
    }
    return PS_OK;
}

/* In the host's own thread the work follows the launch; what it would wait for, the host waited for. */
static ps_code add_work(lowering *self, size_t i, uint32_t host, uint32_t *work, ps_error *err)
{
    if (self->from->op.lane[i] != PS_WORKLOAD_MAIN) {
        return ps__rank_launched(self, i, PS_TASK_CPU, host, 0, work, err);
    }
    PS_TRY(ps__rank_task(self, self->host_lane, PS_TASK_CPU, work, err));
    self->plan->task.name[*work] = self->plan->task.name[host];
    return PS_OK;
}

ps_code ps__rank_cpu(lowering *self, size_t i, size_t event, uint32_t *task, ps_error *err)
{
    const ps_workload_op_table *op = &self->from->op;
    const ps_host_traffic traffic = thread_traffic(self, i, event);
    const bool is_stored = traffic == PS_HOST_STORAGE_READ || traffic == PS_HOST_STORAGE_WRITE;
    const uint64_t hook_ns = (uint64_t)self->target->host->hook_ns;
    uint32_t host;
    PS_TRY(check_host(self, i, traffic, err));
    PS_TRY(ps__rank_launch(self, i, event, self->launch_ns, &host, err));
    PS_TRY(add_work(self, i, host, task, err));
    self->plan->task.memory_kind[*task] = is_stored ? PS_MEMORY_STORAGE : PS_MEMORY_UNKNOWN;
    self->plan->task.dur_ns[*task] =
        ps_time_add(op->dur_ns[i], (ps_ns)ps_mul_div_u64(hook_ns, op->launches[i], 1));
    return move(self, *task, op->moved_bytes[i], traffic, err);
}
