/* SPDX-License-Identifier: MIT
 *
 * One row of a device's requests, as its allocator model is asked.
 *
 *   ALLOC            a block, unless it does not fit: then the result says why
 *   FREE             the block goes, at once
 *   FREE_REQUEST     ... when other streams are done with it: at FREE_COMPLETE, or memory_held.c
 *   OOM              asked again what was refused when recorded
 */
#include "run/memory_walk.h"

static ps_alloc_request request_of(const ps_memory_walk *walk, uint32_t buffer)
{
    const ps_plan_buffer_table *table = &walk->plan->buffer;
    return (ps_alloc_request){
        .bytes = table->bytes[buffer],
        .stream = table->stream[buffer],
        .pool = {table->pool_owner[buffer], table->pool_serial[buffer]},
    };
}

void ps__memory_request_refuse(ps_memory_walk *walk, size_t memop, ps_str label,
                               const ps_alloc_shortage *why)
{
    if (walk->out->oom.happened) {
        return;
    }
    walk->out->oom = (ps_result_oom){
        .happened = true,
        .memop = memop,
        .time_ns = walk->chart_ns,
        .label = label,
        .requested_bytes = why->requested_bytes,
        .segment_bytes = why->segment_bytes,
        .limit_bytes = why->limit_bytes,
        .reserved_bytes = why->reserved_bytes,
        .allocated_bytes = why->allocated_bytes,
        .free_bytes = why->limit_bytes - why->allocated_bytes,
        .largest_free_bytes = why->largest_free_bytes,
        .missing_bytes = why->missing_bytes,
        .fragmented_bytes = why->unusable_bytes,
        .would_fit_bytes = why->would_fit_bytes,
    };
}

ps_code ps__memory_request_alloc(ps_memory_walk *walk, uint32_t buffer, size_t memop, ps_error *err)
{
    const ps_plan_buffer_table *table = &walk->plan->buffer;
    const ps_alloc_request request = request_of(walk, buffer);
    ps_alloc_block block;
    ps_alloc_shortage why;
    if (request.bytes == 0) {
        return PS_OK; /* an empty tensor takes no block */
    }
    const ps_code code = ps_allocator_alloc(walk->model, &request, &block, &why, err);
    if (code == PS_DEVICE_FULL) {
        ps__memory_request_refuse(walk, memop, table->label[buffer], &why);
    }
    PS_TRY(code);
    walk->handle[buffer] = block.handle;
    walk->block_bytes[buffer] = block.block_bytes;
    walk->live_bytes += request.bytes;
    if (table->addr[buffer] != 0 && walk->compares_addresses && memop != SIZE_MAX) {
        walk->out->address_check.compared++;
        walk->out->address_check.equal += table->addr[buffer] == block.addr;
    }
    return PS_OK;
}

static ps_code free_buffer(ps_memory_walk *walk, uint32_t buffer, bool is_deferred, ps_error *err)
{
    if (!ps__memory_is_placed(walk, buffer)) {
        walk->out->unmatched_free_count += walk->plan->buffer.bytes[buffer] != 0;
        return PS_OK;
    }
    PS_TRY(ps_allocator_free(walk->model, walk->handle[buffer], is_deferred, err));
    walk->live_bytes -= walk->plan->buffer.bytes[buffer];
    if (is_deferred) {
        walk->wait[buffer] = PS_WAIT_REQUESTED;
        return ps__memory_held_add(walk, buffer, err);
    }
    walk->handle[buffer] = (ps_alloc_handle){0};
    return PS_OK;
}

/* Nothing is left to end where the model had to wait for it itself. */
ps_code ps__memory_request_end_free(ps_memory_walk *walk, uint32_t buffer, ps_error *err)
{
    if (!ps__memory_is_placed(walk, buffer)) {
        return PS_OK;
    }
    const bool was_placed_anew =
        ps_allocator_complete(walk->model, walk->handle[buffer], NULL) != PS_OK &&
        walk->plan->buffer.role[buffer] == PS_ROLE_BEFORE && walk->wait[buffer] == PS_WAIT_NONE;
    if (was_placed_anew) {
        /* its free was requested before the origin, where a cold start placed it as a live one */
        return free_buffer(walk, buffer, false, err);
    }
    if (walk->wait[buffer] == PS_WAIT_FROM_ORIGIN) {
        walk->live_bytes -= walk->plan->buffer.bytes[buffer];
    }
    walk->wait[buffer] = PS_WAIT_NONE;
    walk->handle[buffer] = (ps_alloc_handle){0};
    return PS_OK;
}

/* A request that was refused when recorded: asked again, so that the cache is released likewise. */
static ps_code ask_refused(ps_memory_walk *walk, size_t row, ps_error *err)
{
    const uint32_t buffer = walk->plan->memop.buffer[row];
    ps_alloc_request request = request_of(walk, buffer);
    ps_alloc_block block;
    ps_alloc_shortage why;
    request.is_capturing = walk->plan->memop.is_capturing[row] != 0;
    if (request.bytes == 0) {
        return PS_OK;
    }
    const ps_code code = ps_allocator_alloc(walk->model, &request, &block, &why, err);
    if (code == PS_OK) {
        return ps_allocator_free(walk->model, block.handle, false, err);
    }
    if (code != PS_DEVICE_FULL) {
        return code;
    }
    ps__memory_request_refuse(walk, row, walk->plan->buffer.label[buffer], &why);
    return PS_OK;
}

ps_code ps__memory_request_apply(ps_memory_walk *walk, size_t row, ps_error *err)
{
    const ps_plan_memop_table *memop = &walk->plan->memop;
    const uint32_t buffer = memop->buffer[row];
    walk->out->request_count++;
    switch ((ps_memop)memop->op[row]) {
    case PS_MEMOP_ALLOC:
        PS_TRY(ps__memory_held_release(walk, walk->chart_ns, err));
        ps__memory_retry_begin(walk);
        PS_TRY(ps__memory_request_alloc(walk, buffer, row, err));
        return ps__memory_retry_end(walk, row, err);
    case PS_MEMOP_FREE:
        return free_buffer(walk, buffer, false, err);
    case PS_MEMOP_FREE_REQUEST:
        return free_buffer(walk, buffer, true, err);
    case PS_MEMOP_FREE_COMPLETE:
        return ps__memory_request_end_free(walk, buffer, err);
    case PS_MEMOP_RELEASE_CACHE: /* waits for all of them */
        PS_TRY(ps__memory_held_release(walk, PS_TIME_NEVER, err));
        ps__memory_segments_emptied(&walk->retry.segments);
        return ps_allocator_release_cache(walk->model, err);
    case PS_MEMOP_OOM:
        PS_TRY(ps__memory_held_release(walk, walk->chart_ns, err));
        return ask_refused(walk, row, err);
    case PS_MEMOP_POOL_DEAD: {
        const ps_pool_id pool = {walk->plan->memop.addr[row], walk->plan->memop.bytes[row]};
        return ps_allocator_set_pool_state(walk->model, pool, PS_POOL_DEAD, err);
    }
    case PS_MEMOP_PLACE:
    case PS_MEMOP_PLACE_PAGES:
    case PS_MEMOP_COUNT:
        walk->out->request_count--;
        break;
    }
    return PS_OK;
}
