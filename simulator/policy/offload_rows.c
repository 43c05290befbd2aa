/* SPDX-License-Identifier: MIT
 *
 * Rows of tasks, buffers and requests that move a recorded job's tensors to
 * the host and back.
 */
#include <stdlib.h>

#include "base/memory.h"
#include "policy/offload_parts.h"

/* ---- host, links, lanes ---- */

ps_code ps__offload_open(ps_offload_building *b, ps_error *err)
{
    const ps_network *network = b->change->network;
    if (network == NULL || network->host == NULL) {
        return ps_fail(err, PS_NOT_FOUND,
                       "offloading needs a host that is described: a kind of node, not --bus");
    }
    PS_TRY(ps__offload_open_ranks(b, err));
    b->link = ps_calloc(network->link_count, sizeof *b->link);
    if (b->link == NULL) {
        return ps_fail_nomem(err);
    }
    for (uint32_t i = 0; i < network->link_count; i++) {
        b->link[i] = PS_OFFLOAD_NONE;
    }
    for (int i = PS_HOST_UPLOAD; i <= PS_HOST_OFFLOAD; i++) {
        PS_TRY(ps__offload_path(b, (ps_host_traffic)i, &b->path[i], err));
    }
    return PS_OK;
}

ps_code ps__offload_link(ps_offload_building *b, uint32_t link, uint32_t *out, ps_error *err)
{
    const ps_network *network = b->change->network;
    if (b->link[link] == PS_OFFLOAD_NONE) {
        size_t row;
        PS_TRY(ps_plan_add(b->plan, PS_PLAN_LINK, &row, err));
        b->plan->link.bytes_per_s[row] = network->link_bytes_per_s(network->context, link);
        PS_TRY(ps_strings_put_z(b->plan->strings, network->link_name(network->context, link),
                                &b->plan->link.name[row], err));
        b->link[link] = (uint32_t)row;
    }
    *out = b->link[link];
    return PS_OK;
}

ps_code ps__offload_lane(ps_offload_building *b, const char *name, uint32_t *out, ps_error *err)
{
    ps_plan_lane_table *lane = &b->plan->lane;
    uint64_t number = 0;
    size_t row;
    for (size_t i = 0; i < lane->head.count; i++) {
        number = lane->number[i] > number ? lane->number[i] : number;
    }
    PS_TRY(ps_plan_add(b->plan, PS_PLAN_LANE, &row, err));
    lane->kind[row] = PS_LANE_STREAM;
    lane->device[row] = lane->device[b->compute];
    lane->number[row] = number + 1; /* the default stream has the lowest */
    *out = (uint32_t)row;
    return ps_strings_put_z(b->plan->strings, name, &lane->name[row], err);
}

/* ---- rows ---- */

ps_code ps__offload_tell(ps_offload_building *b, uint32_t task, uint32_t buffer, bool is_write,
                         ps_error *err)
{
    size_t row;
    PS_TRY(ps_plan_add(b->plan, PS_PLAN_ACCESS, &row, err));
    b->plan->access.task[row] = task;
    b->plan->access.buffer[row] = buffer;
    b->plan->access.is_write[row] = is_write ? 1 : 0;
    return PS_OK;
}

static ps_code move_row(ps_offload_building *b, size_t row, size_t before, ps_error *err)
{
    PS_TRY(ps_grow((void **)&b->move, &b->move_capacity, b->move_count + 1, PS_TABLE_MAX_ROWS,
                   sizeof *b->move, err));
    b->move[b->move_count++] = (ps_offload_moved){row, before};
    return PS_OK;
}

ps_code ps__offload_request(ps_offload_building *b, ps_memop op, uint32_t buffer, uint32_t task,
                            size_t before, ps_error *err)
{
    ps_plan_memop_table *memop = &b->plan->memop;
    size_t row;
    PS_TRY(ps_plan_add(b->plan, PS_PLAN_MEMOP, &row, err));
    memop->op[row] = (uint8_t)op;
    memop->device[row] = b->plan->buffer.device[buffer];
    memop->buffer[row] = buffer;
    memop->task[row] = task;
    return move_row(b, row, before, err);
}

/* Another buffer for the same tensor. */
ps_code ps__offload_buffer(ps_offload_building *b, uint32_t like, ps_memory_kind memory,
                           uint32_t *out, ps_error *err)
{
    ps_plan_buffer_table *buffer = &b->plan->buffer;
    size_t row;
    PS_TRY(ps_plan_add(b->plan, PS_PLAN_BUFFER, &row, err));
    buffer->device[row] = buffer->device[like];
    buffer->bytes[row] = buffer->bytes[like];
    buffer->stream[row] = buffer->stream[like];
    buffer->pool_owner[row] = buffer->pool_owner[like];
    buffer->pool_serial[row] = buffer->pool_serial[like];
    buffer->role[row] = buffer->role[like];
    buffer->label[row] = buffer->label[like];
    buffer->growth[row] = buffer->growth[like];
    buffer->memory[row] = (uint8_t)memory;
    *out = (uint32_t)row;
    return PS_OK;
}

ps_code ps__offload_call(ps_offload_building *b, const ps_offload_place *at, const char *name,
                         ps_phase phase, uint32_t *out, ps_error *err)
{
    ps_plan_task_table *task = &b->plan->task;
    PS_TRY(
        ps__insertion_task(&b->insertion, task->lane[at->host], PS_TASK_HOST, at->host, out, err));
    task->dur_ns[*out] = b->launch_ns;
    task->basis[*out] = PS_BASIS_ANALYTIC;
    task->phase[*out] = (uint8_t)phase;
    PS_TRY(at->resumes == 0 ? PS_OK : ps__offload_wait(b, at->resumes - 1, *out, err));
    return ps_strings_put_z(b->plan->strings, name, &task->name[*out], err);
}

/* ---- one copy ---- */

ps_code ps__offload_copy(ps_offload_building *b, int traffic, uint64_t bytes, uint32_t launch,
                         uint32_t *out, ps_error *err)
{
    ps_plan_task_table *task = &b->plan->task;
    PS_TRY(ps__insertion_task(&b->insertion, b->lane[traffic], PS_TASK_MEMCPY, PS_INSERT_NOWHERE,
                              out, err));
    task->copy_kind[*out] = traffic == PS_HOST_UPLOAD ? PS_COPY_HTOD : PS_COPY_DTOH;
    task->memory_kind[*out] = PS_MEMORY_PINNED;
    task->bytes[*out] = bytes;
    task->dur_ns[*out] = b->copy_ns;
    task->rate_bytes_per_s[*out] = b->host.rate_bytes_per_s[traffic];
    task->basis[*out] = (uint8_t)b->host.basis[traffic];
    task->phase[*out] = traffic == PS_HOST_UPLOAD ? PS_PHASE_BACKWARD : PS_PHASE_FORWARD;
    for (size_t i = 0; i < b->path[traffic].count; i++) {
        uint32_t link;
        size_t row;
        PS_TRY(ps__offload_link(b, b->path[traffic].link[i], &link, err));
        PS_TRY(ps_plan_add(b->plan, PS_PLAN_TRANSFER, &row, err));
        b->plan->transfer.task[row] = *out;
        b->plan->transfer.link[row] = link;
    }
    PS_TRY(ps_strings_put_z(b->plan->strings, traffic == PS_HOST_UPLOAD ? "upload" : "offload",
                            &task->name[*out], err));
    return ps__insertion_dep(&b->insertion, *out, launch, PS_DEP_START_AFTER_START, 0, err);
}

ps_code ps__offload_wait(ps_offload_building *b, uint32_t task, uint32_t before, ps_error *err)
{
    return ps__insertion_dep(&b->insertion, task, before, PS_DEP_START_AFTER_END, 0, err);
}

/* ---- requests in their places ---- */

static int by_place(const void *a, const void *b)
{
    const ps_offload_moved *x = a, *y = b;
    if (x->before != y->before) {
        return x->before < y->before ? -1 : 1;
    }
    return x->row < y->row ? -1 : x->row > y->row ? 1 : 0;
}

/* New requests come before the old ones that they were made before. */
ps_code ps__offload_sort_requests(ps_offload_building *b, ps_error *err)
{
    ps_plan_memop_table *memop = &b->plan->memop;
    uint32_t *order = ps_calloc(memop->head.count + 1, sizeof *order);
    size_t next = 0, count = 0;
    if (order == NULL) {
        return ps_fail_nomem(err);
    }
    qsort(b->move, b->move_count, sizeof *b->move, by_place);
    for (size_t i = 0; i <= b->old_memops; i++) {
        while (next < b->move_count && b->move[next].before == i) {
            order[count++] = (uint32_t)b->move[next++].row;
        }
        if (i < b->old_memops) {
            order[count++] = (uint32_t)i;
        }
    }
    const ps_code code =
        ps_table_permute(&ps_plan_specs()[PS_PLAN_MEMOP], &memop->head, order, err);
    ps_free(order);
    for (size_t i = 0; i < memop->head.count; i++) {
        memop->expect[i] = 0; /* totals were recorded with everything on the device */
    }
    return code;
}
