/* SPDX-License-Identifier: MIT
 *
 * Activations of a recorded job wait in pinned host memory.
 *
 *   host      launch of copies ... wait ... alloc, launch of copies
 *   offload   ├ out ┤
 *   upload                                  ├ in ┤
 *   compute   out behind what the block wrote; memory goes before a task that waits for out;
 *             in behind what had the new memory before; the block's backward pass behind in
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/memory.h"
#include "job/network.h"
#include "policy/offload_parts.h"

/* A request that is added or moves: before which row it goes. */
typedef struct moved {
    size_t row, before;
} moved;

typedef struct building {
    ps_plan *plan;
    const ps_offload *change;
    const ps_offload_places *places;
    ps_insertion insertion;
    ps_network_host host;
    ps_network_path path[2]; /* of uploads and offloads; links of the network */
    uint32_t *link;          /* per link of the network: row of the plan, or NONE */
    uint32_t lane[2];
    ps_ns launch_ns, copy_ns;
    uint32_t *pinned; /* per tensor: buffer in host memory */
    uint32_t *copy;   /* per tensor: its newest copy */
    moved *move;
    size_t move_count, move_capacity;
    size_t old_memops;
} building;

enum { UPLOAD = PS_HOST_UPLOAD, OFFLOAD = PS_HOST_OFFLOAD };

/* ---- host, links, lanes ---- */

static ps_code find_host(building *b, ps_error *err)
{
    const ps_network *network = b->change->network;
    if (network == NULL || network->host == NULL) {
        return ps_fail(err, PS_NOT_FOUND,
                       "offloading needs a host that is described: a kind of node, not --bus");
    }
    PS_TRY(network->host(network->context, 0, &b->host, err));
    b->link = ps_calloc(network->link_count, sizeof *b->link);
    if (b->link == NULL) {
        return ps_fail_nomem(err);
    }
    for (uint32_t i = 0; i < network->link_count; i++) {
        b->link[i] = PS_OFFLOAD_NONE;
    }
    for (int i = UPLOAD; i <= OFFLOAD; i++) {
        PS_TRY(network->host_path(network->context, 0, (ps_host_traffic)i, &b->path[i], err));
    }
    return PS_OK;
}

static ps_code link_row(building *b, uint32_t link, uint32_t *out, ps_error *err)
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

static ps_code add_lane(building *b, const char *name, uint32_t *out, ps_error *err)
{
    ps_plan_lane_table *lane = &b->plan->lane;
    uint64_t number = 0;
    size_t row;
    for (size_t i = 0; i < lane->head.count; i++) {
        number = lane->number[i] > number ? lane->number[i] : number;
    }
    PS_TRY(ps_plan_add(b->plan, PS_PLAN_LANE, &row, err));
    lane->kind[row] = PS_LANE_STREAM;
    lane->device[row] = lane->device[b->places->compute];
    lane->number[row] = number + 1; /* the default stream has the lowest */
    *out = (uint32_t)row;
    return ps_strings_put_z(b->plan->strings, name, &lane->name[row], err);
}

/* ---- rows ---- */

static ps_code tell(building *b, uint32_t task, uint32_t buffer, bool is_write, ps_error *err)
{
    size_t row;
    PS_TRY(ps_plan_add(b->plan, PS_PLAN_ACCESS, &row, err));
    b->plan->access.task[row] = task;
    b->plan->access.buffer[row] = buffer;
    b->plan->access.is_write[row] = is_write ? 1 : 0;
    return PS_OK;
}

static ps_code move_row(building *b, size_t row, size_t before, ps_error *err)
{
    PS_TRY(ps_grow((void **)&b->move, &b->move_capacity, b->move_count + 1, PS_TABLE_MAX_ROWS,
                   sizeof *b->move, err));
    b->move[b->move_count++] = (moved){row, before};
    return PS_OK;
}

static ps_code request(building *b, ps_memop op, uint32_t buffer, uint32_t task, size_t before,
                       ps_error *err)
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
static ps_code add_buffer(building *b, uint32_t like, ps_memory_kind memory, uint32_t *out,
                          ps_error *err)
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

static ps_code add_call(building *b, const ps_offload_place *at, const char *name, ps_phase phase,
                        uint32_t *out, ps_error *err)
{
    ps_plan_task_table *task = &b->plan->task;
    PS_TRY(
        ps__insertion_task(&b->insertion, task->lane[at->host], PS_TASK_HOST, at->host, out, err));
    task->dur_ns[*out] = b->launch_ns;
    task->basis[*out] = PS_BASIS_ANALYTIC;
    task->phase[*out] = (uint8_t)phase;
    return ps_strings_put_z(b->plan->strings, name, &task->name[*out], err);
}

/* ---- one copy ---- */

static ps_code add_copy(building *b, int traffic, uint64_t bytes, uint32_t launch, uint32_t *out,
                        ps_error *err)
{
    ps_plan_task_table *task = &b->plan->task;
    PS_TRY(ps__insertion_task(&b->insertion, b->lane[traffic], PS_TASK_MEMCPY, PS_INSERT_NOWHERE,
                              out, err));
    task->copy_kind[*out] = traffic == UPLOAD ? PS_COPY_HTOD : PS_COPY_DTOH;
    task->memory_kind[*out] = PS_MEMORY_PINNED;
    task->bytes[*out] = bytes;
    task->dur_ns[*out] = b->copy_ns;
    task->rate_bytes_per_s[*out] = b->host.rate_bytes_per_s[traffic];
    task->basis[*out] = (uint8_t)b->host.basis[traffic];
    task->phase[*out] = traffic == UPLOAD ? PS_PHASE_BACKWARD : PS_PHASE_FORWARD;
    for (size_t i = 0; i < b->path[traffic].count; i++) {
        uint32_t link;
        size_t row;
        PS_TRY(link_row(b, b->path[traffic].link[i], &link, err));
        PS_TRY(ps_plan_add(b->plan, PS_PLAN_TRANSFER, &row, err));
        b->plan->transfer.task[row] = *out;
        b->plan->transfer.link[row] = link;
    }
    PS_TRY(ps_strings_put_z(b->plan->strings, traffic == UPLOAD ? "upload" : "offload",
                            &task->name[*out], err));
    return ps__insertion_dep(&b->insertion, *out, launch, PS_DEP_START_AFTER_START, 0, err);
}

static ps_code wait(building *b, uint32_t task, uint32_t before, ps_error *err)
{
    return ps__insertion_dep(&b->insertion, task, before, PS_DEP_START_AFTER_END, 0, err);
}

/* ---- a block goes ---- */

static ps_code offload_one(building *b, const ps_offload_group *group, size_t which, ps_error *err)
{
    const uint32_t buffer = b->places->tensor[which].buffer;
    uint32_t launch, *copy = &b->copy[which];
    PS_TRY(add_call(b, &group->out, "cudaMemcpyAsync", PS_PHASE_FORWARD, &launch, err));
    PS_TRY(add_copy(b, OFFLOAD, b->plan->buffer.bytes[buffer], launch, copy, err));
    PS_TRY(add_buffer(b, buffer, PS_MEMORY_PINNED, &b->pinned[which], err));
    PS_TRY(request(b, PS_MEMOP_ALLOC, b->pinned[which], launch, group->out.memop, err));
    PS_TRY(tell(b, group->out.before, buffer, true, err));
    PS_TRY(tell(b, *copy, buffer, false, err));
    return tell(b, *copy, b->pinned[which], true, err);
}

static ps_code offload(building *b, const ps_offload_group *group, ps_error *err)
{
    const size_t end = group->first + group->count;
    uint32_t leave;
    for (size_t i = group->first; i < end; i++) {
        PS_TRY(offload_one(b, group, i, err));
    }
    PS_TRY(wait(b, b->copy[group->first], group->out.before, err));
    PS_TRY(add_call(b, &group->go, "cudaStreamWaitEvent", PS_PHASE_FORWARD, &leave, err));
    PS_TRY(wait(b, group->go.behind, b->copy[end - 1], err));
    for (size_t i = group->first; i < end; i++) {
        PS_TRY(request(b, PS_MEMOP_FREE, b->places->tensor[i].buffer, leave, group->go.memop, err));
    }
    return PS_OK;
}

/* ---- a block comes back ---- */

/* The old free is now that of the new memory, and behind it that of the host's. */
static ps_code upload_one(building *b, const ps_offload_group *group, size_t which, ps_error *err)
{
    const ps_offload_tensor *tensor = &b->places->tensor[which];
    uint32_t launch, fresh, copy;
    PS_TRY(add_call(b, &group->in, "cudaMemcpyAsync", PS_PHASE_BACKWARD, &launch, err));
    PS_TRY(add_copy(b, UPLOAD, b->plan->buffer.bytes[tensor->buffer], launch, &copy, err));
    PS_TRY(add_buffer(b, tensor->buffer, PS_MEMORY_UNKNOWN, &fresh, err));
    PS_TRY(request(b, PS_MEMOP_ALLOC, fresh, launch, group->in.memop, err));
    b->plan->memop.buffer[tensor->free] = fresh;
    PS_TRY(request(b, PS_MEMOP_FREE, b->pinned[which], b->plan->memop.task[tensor->free],
                   tensor->free + 1, err));
    b->plan->memop.offset_ns[b->plan->memop.head.count - 1] =
        b->plan->memop.offset_ns[tensor->free];
    PS_TRY(tell(b, copy, b->pinned[which], false, err));
    PS_TRY(tell(b, copy, fresh, true, err));
    PS_TRY(tell(b, group->use.behind, fresh, false, err));
    if (tensor->last_reader > group->use.behind) {
        PS_TRY(tell(b, tensor->last_reader, fresh, false, err));
    }
    if (which == group->first) {
        PS_TRY(wait(b, copy, b->copy[group->first + group->count - 1], err));
        PS_TRY(wait(b, copy, group->in.before, err));
    }
    if (which + 1 == group->first + group->count) {
        PS_TRY(wait(b, group->use.behind, copy, err));
    }
    return PS_OK;
}

static ps_code upload(building *b, const ps_offload_group *group, ps_error *err)
{
    for (size_t i = group->first; i < group->first + group->count; i++) {
        PS_TRY(upload_one(b, group, i, err));
    }
    return PS_OK;
}

/* ---- in order ---- */

static int by_out(const void *a, const void *b)
{
    const uint32_t x = ((const ps_offload_group *)a)->out.before;
    const uint32_t y = ((const ps_offload_group *)b)->out.before;
    return x < y ? -1 : x > y ? 1 : 0;
}

static int by_in(const void *a, const void *b)
{
    const uint32_t x = ((const ps_offload_group *)a)->in.before;
    const uint32_t y = ((const ps_offload_group *)b)->in.before;
    return x < y ? -1 : x > y ? 1 : 0;
}

/* A new lane gets its tasks in the order in which they are added: first all that go, then all that
 * come, each in the order of the program. */
static ps_code move_groups(building *b, ps_error *err)
{
    const size_t count = b->places->group_count;
    ps_code code = PS_OK;
    ps_offload_group *sorted = ps_calloc(count, sizeof *sorted);
    if (sorted == NULL) {
        return ps_fail_nomem(err);
    }
    for (size_t i = 0; i < count; i++) {
        sorted[i] = b->places->group[i];
    }
    qsort(sorted, count, sizeof *sorted, by_out);
    for (size_t i = 0; i < count && code == PS_OK; i++) {
        code = offload(b, &sorted[i], err);
    }
    qsort(sorted, count, sizeof *sorted, by_in);
    for (size_t i = 0; i < count && code == PS_OK; i++) {
        code = upload(b, &sorted[i], err);
    }
    ps_free(sorted);
    return code;
}

static int by_place(const void *a, const void *b)
{
    const moved *x = a, *y = b;
    if (x->before != y->before) {
        return x->before < y->before ? -1 : 1;
    }
    return x->row < y->row ? -1 : x->row > y->row ? 1 : 0;
}

/* New requests come before the old ones that they were made before. */
static ps_code sort_requests(building *b, ps_error *err)
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

/* ---- all ---- */

static ps_code write_fact(building *b, ps_error *err)
{
    char text[256];
    uint64_t bytes = 0;
    for (size_t i = 0; i < b->places->tensor_count; i++) {
        bytes += b->plan->buffer.bytes[b->places->tensor[i].buffer];
    }
    (void)snprintf(text, sizeof text,
                   "%zu tensors of %zu block passes, %" PRIu64
                   " bytes, wait in pinned host memory; each is taken to be needed only in the "
                   "backward pass of the block that frees it",
                   b->places->tensor_count, b->places->group_count, bytes);
    return ps_plan_set_meta(b->plan, PS_PLAN_META_OFFLOAD_ACTIVATIONS, text, err);
}

static ps_code build(building *b, const ps_catalogue *catalogue, ps_hardware_id gpu, ps_error *err)
{
    ps_figure launch, copy;
    PS_TRY(ps_catalogue_need(catalogue, gpu, PS_FIGURE_LAUNCH_LATENCY, &launch, err));
    PS_TRY(ps_catalogue_need(catalogue, gpu, PS_FIGURE_COPY_LATENCY, &copy, err));
    b->launch_ns = (ps_ns)launch.value;
    b->copy_ns = (ps_ns)copy.value;
    b->pinned = ps_calloc(b->places->tensor_count, sizeof *b->pinned);
    b->copy = ps_calloc(b->places->tensor_count, sizeof *b->copy);
    if (b->pinned == NULL || b->copy == NULL) {
        return ps_fail_nomem(err);
    }
    PS_TRY(find_host(b, err));
    PS_TRY(add_lane(b, "stream of uploads", &b->lane[UPLOAD], err));
    PS_TRY(add_lane(b, "stream of offloads", &b->lane[OFFLOAD], err));
    PS_TRY(move_groups(b, err));
    PS_TRY(write_fact(b, err));
    PS_TRY(sort_requests(b, err));
    return ps__insertion_finish(&b->insertion, err);
}

ps_code ps__offload_activations(ps_plan *plan, const ps_catalogue *catalogue, ps_hardware_id gpu,
                                const ps_offload *change, const ps_offload_places *places,
                                ps_error *err)
{
    building b = {
        .plan = plan, .change = change, .places = places, .old_memops = plan->memop.head.count};
    ps__insertion_init(&b.insertion, plan);
    const ps_code code = build(&b, catalogue, gpu, err);
    ps__insertion_fini(&b.insertion);
    ps_free(b.link);
    ps_free(b.path[UPLOAD].link);
    ps_free(b.path[OFFLOAD].link);
    ps_free(b.pinned);
    ps_free(b.copy);
    ps_free(b.move);
    return code;
}
