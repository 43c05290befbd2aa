/* SPDX-License-Identifier: MIT
 *
 * One device's allocator requests, in program order, against the model the
 * plan names. Order comes from the rows, moments from the simulated tasks:
 * a faster or slower device changes when, not in which order, a program asks.
 *
 * When a request does not fit, everything up to it has been counted and the
 * rest is run again with endless memory, so that the result can say both
 * where it fails and what it would have needed.
 */
#include <string.h>

#include "base/memory.h"
#include "run/memory_walk.h"

static void note_chart(ps_memory_walk *walk, ps_ns now)
{
    const ps_ns span = walk->times->makespan_ns;
    const ps_ns at = now < walk->chart_ns ? walk->chart_ns : now;
    if (at == walk->chart_ns) {
        return;
    }
    const size_t bin =
        span <= 0 ? 0
                  : (size_t)ps_mul_div_u64((uint64_t)at, PS_RESULT_CHART_BINS, (uint64_t)span + 1);
    /* the level since the last request filled every bin on the way */
    for (; walk->chart_bin < bin && walk->chart_bin + 1 < PS_RESULT_CHART_BINS;) {
        walk->chart_bin++;
        walk->out->chart_allocated[walk->chart_bin] = walk->allocated;
        walk->out->chart_reserved[walk->chart_bin] = walk->reserved;
    }
    walk->chart_ns = at;
}

void ps__memory_walk_note(ps_memory_walk *walk, size_t memop)
{
    const ps_alloc_stats *stats = ps_allocator_stats(walk->model);
    ps_result_device *out = walk->out;
    walk->reserved = stats->reserved_bytes.current;
    out->peak_live_bytes =
        walk->live_bytes > out->peak_live_bytes ? walk->live_bytes : out->peak_live_bytes;
    walk->allocated = walk->own_sizes ? walk->live_bytes : stats->allocated_bytes.current;
    if (walk->allocated > out->peak_allocated_bytes || !walk->has_peak) {
        out->peak_allocated_bytes = walk->allocated;
        out->peak_time_ns = walk->chart_ns;
        walk->peak_memop = memop;
        walk->has_peak = true;
    }
    uint64_t *bin = &out->chart_allocated[walk->chart_bin];
    *bin = walk->allocated > *bin ? walk->allocated : *bin;
    bin = &out->chart_reserved[walk->chart_bin];
    *bin = walk->reserved > *bin ? walk->reserved : *bin;
}

static ps_alloc_request request_of(const ps_memory_walk *walk, uint32_t buffer)
{
    const ps_plan_buffer_table *table = &walk->plan->buffer;
    return (ps_alloc_request){
        .bytes = table->bytes[buffer],
        .stream = table->stream[buffer],
        .pool = {table->pool_owner[buffer], table->pool_serial[buffer]},
    };
}

void ps__memory_walk_refuse(ps_memory_walk *walk, size_t memop, ps_str label,
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

ps_code ps__memory_walk_alloc(ps_memory_walk *walk, uint32_t buffer, size_t memop, ps_error *err)
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
        ps__memory_walk_refuse(walk, memop, table->label[buffer], &why);
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

static bool is_live(const ps_memory_walk *walk, uint32_t buffer)
{
    return walk->handle[buffer].generation != 0 || walk->handle[buffer].block != 0;
}

static ps_code free_buffer(ps_memory_walk *walk, uint32_t buffer, bool is_deferred, ps_error *err)
{
    if (!is_live(walk, buffer)) {
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
ps_code ps__memory_walk_end_free(ps_memory_walk *walk, uint32_t buffer, ps_error *err)
{
    if (!is_live(walk, buffer)) {
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
    ps__memory_walk_refuse(walk, row, walk->plan->buffer.label[buffer], &why);
    return PS_OK;
}

static ps_code apply_memop(ps_memory_walk *walk, size_t row, ps_error *err)
{
    const ps_plan_memop_table *memop = &walk->plan->memop;
    const uint32_t buffer = memop->buffer[row];
    walk->out->request_count++;
    switch ((ps_memop)memop->op[row]) {
    case PS_MEMOP_ALLOC:
        PS_TRY(ps__memory_held_release(walk, walk->chart_ns, err));
        ps__memory_retry_begin(walk);
        PS_TRY(ps__memory_walk_alloc(walk, buffer, row, err));
        return ps__memory_retry_end(walk, row, err);
    case PS_MEMOP_FREE:
        return free_buffer(walk, buffer, false, err);
    case PS_MEMOP_FREE_REQUEST:
        return free_buffer(walk, buffer, true, err);
    case PS_MEMOP_FREE_COMPLETE:
        return ps__memory_walk_end_free(walk, buffer, err);
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

static void compare_total(ps_memory_walk *walk, size_t row)
{
    const uint64_t expect = walk->plan->memop.expect[row];
    if (expect != 0 && walk->own_sizes) {
        walk->out->allocated_check.compared++;
        walk->out->allocated_check.equal += expect - 1 == walk->allocated;
    }
}

static uint64_t more(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static void note_level(const ps_memory_walk *walk, ps_result_phase *phase)
{
    if (phase != NULL) {
        phase->peak_allocated_bytes = more(phase->peak_allocated_bytes, walk->allocated);
        phase->peak_reserved_bytes = more(phase->peak_reserved_bytes, walk->reserved);
        phase->end_allocated_bytes = walk->allocated;
    }
}

static void note_begin(ps_memory_walk *walk, ps_result_phase *phase)
{
    if (phase != NULL && phase != walk->phase) {
        phase->begin_allocated_bytes = more(phase->begin_allocated_bytes, walk->allocated);
    }
    walk->phase = phase;
    note_level(walk, phase);
}

ps_code ps__memory_walk_run(ps_memory_walk *walk, ps_error *err)
{
    const ps_plan_memop_table *memop = &walk->plan->memop;
    walk->next_place = 0;
    walk->call_begin = 0;
    ps__memory_walk_note(walk, SIZE_MAX);
    for (size_t row = 0; row < memop->head.count; row++) {
        if (memop->device[row] != walk->device || ps_plan_memop_is_of_host(walk->plan, row)) {
            continue;
        }
        walk->memop = row;
        ps_result_phase *phase = ps__run_phase_at(walk->plan, walk->out, row, &walk->step);
        note_begin(walk, phase);
        note_chart(walk, ps__memory_retry_moment(walk, row));
        PS_TRY(apply_memop(walk, row, err));
        ps__memory_walk_note(walk, row);
        note_level(walk, phase);
        compare_total(walk, row);
        if (memop->op[row] == PS_MEMOP_ALLOC || memop->op[row] == PS_MEMOP_OOM) {
            walk->call_begin = row + 1;
        }
    }
    note_chart(walk, walk->times->makespan_ns);
    ps__run_fill_phases(walk->plan, walk->out);
    return PS_OK;
}

static void copy_stats(const ps_memory_walk *walk, ps_result_device *out)
{
    const ps_alloc_stats *stats = ps_allocator_stats(walk->model);
    out->peak_reserved_bytes = stats->reserved_bytes.peak;
    out->peak_active_bytes = stats->active_bytes.peak;
    out->peak_requested_bytes = stats->requested_bytes.peak;
    out->peak_device_bytes = out->peak_reserved_bytes + out->base_bytes;
    out->retry_count = stats->retry_count - walk->earlier_retries;
}

static void note_phase(const ps_memory_walk *walk, ps_result_device *out)
{
    if (walk->has_peak && walk->peak_memop != SIZE_MAX) {
        out->peak_phase =
            (ps_phase)walk->plan->task.phase[walk->plan->memop.task[walk->peak_memop]];
    }
}

static void copy_facts(const ps_plan *plan, uint32_t device, ps_result_device *out)
{
    const ps_plan_device_table *table = &plan->device;
    out->rank = table->rank[device];
    out->ordinal = table->ordinal[device];
    out->stands_for = table->stands_for[device];
    out->name = table->name[device];
    out->allocator = table->allocator[device];
    out->base_bytes = table->base_bytes[device];
    out->base_basis = (ps_basis)table->base_basis[device];
    out->capacity_bytes = table->capacity_bytes[device];
    out->limit_bytes = table->limit_bytes[device];
}

/* The same requests with endless memory: only the need counts. */
static ps_code find_need(const ps_plan *plan, const ps_run_times *times, uint32_t device,
                         ps_result_device *out, ps_error *err)
{
    ps_result_device scratch = {0};
    ps_memory_walk walk;
    ps_code code = ps__memory_walk_open(&walk, plan, times, device, false, &scratch, err);
    if (code == PS_OK) {
        code = ps__memory_walk_run(&walk, err);
    }
    if (code == PS_OK) {
        out->needed_bytes = ps_allocator_stats(walk.model)->reserved_bytes.peak + out->base_bytes;
    }
    ps__memory_walk_close(&walk);
    return code;
}

ps_code ps__run_memory_waits(const ps_plan *plan, const ps_run_times *times, uint32_t device,
                             ps_run_waits *found, ps_error *err)
{
    ps_result_device scratch = {0};
    ps_memory_walk walk;
    ps_code code = ps__memory_walk_open(&walk, plan, times, device, true, &scratch, err);
    if (code == PS_OK) {
        walk.retry.found = found;
        code = ps__memory_walk_run(&walk, err);
    }
    ps__memory_walk_close(&walk);
    return code == PS_DEVICE_FULL ? PS_OK : code;
}

static ps_code make_retries(const ps_plan *plan, ps_result_device *out, ps_error *err)
{
    out->retry = ps_calloc(plan->step.head.count, sizeof *out->retry);
    return out->retry == NULL ? ps_fail_nomem(err) : PS_OK;
}

ps_code ps__run_memory(const ps_plan *plan, const ps_run_times *times, uint32_t device,
                       ps_result_device *out, ps_error *err)
{
    ps_memory_walk walk;
    copy_facts(plan, device, out);
    PS_TRY(ps__run_phases(plan, times, device, out, err));
    PS_TRY(make_retries(plan, out, err));
    ps_code code = ps__memory_walk_open(&walk, plan, times, device, true, out, err);
    if (code == PS_OK) {
        code = ps__memory_walk_run(&walk, err);
    } else if (code == PS_DEVICE_FULL && !walk.has_peak) {
        ps__memory_walk_note(&walk, SIZE_MAX); /* not even the start fits: what there is of it */
    }
    if (code == PS_OK || code == PS_DEVICE_FULL) {
        copy_stats(&walk, out);
        note_phase(&walk, out);
        out->retries_are_modelled = walk.retry.is_modelled;
        code = ps__run_breakdown(&walk, err);
    }
    ps__memory_walk_close(&walk);
    PS_TRY(code);
    out->fits = !out->oom.happened && (out->capacity_bytes == 0 || out->limit_bytes == 0 ||
                                       out->peak_device_bytes <= out->capacity_bytes);
    out->needed_bytes = out->peak_device_bytes;
    ps__run_host_memory(plan, device, &out->host);
    return out->oom.happened ? find_need(plan, times, device, out, err) : PS_OK;
}
