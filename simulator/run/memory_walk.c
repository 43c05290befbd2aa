/* SPDX-License-Identifier: MIT
 *
 * The walk over one device's requests, from its starting state to its end.
 */
#include "run/memory_walk.h"

#include "base/memory.h"

ps_code ps__memory_walk_open(ps_memory_walk *walk, const ps_plan *plan, const ps_run_times *times,
                             uint32_t device, bool is_limited, ps_result_device *out, ps_error *err)
{
    *walk = (ps_memory_walk){
        .plan = plan,
        .times = times,
        .device = device,
        .out = out,
        .own_sizes = plan->device.sizes_are_blocks[device] != 0,
    };
    walk->handle = ps_calloc(plan->buffer.head.count, sizeof *walk->handle);
    walk->block_bytes = ps_calloc(plan->buffer.head.count, sizeof *walk->block_bytes);
    walk->wait = ps_calloc(plan->buffer.head.count, sizeof *walk->wait);
    if (walk->handle == NULL || walk->block_bytes == NULL || walk->wait == NULL) {
        return ps_fail_nomem(err);
    }
    PS_TRY(ps__memory_held_open(walk, err));
    PS_TRY(ps__memory_retry_open(walk, err));
    return ps__memory_start(walk, is_limited, err);
}

void ps__memory_walk_close(ps_memory_walk *walk)
{
    ps_allocator_destroy(walk->model);
    ps__memory_held_close(walk);
    ps__memory_retry_close(walk);
    ps_free(walk->handle);
    ps_free(walk->block_bytes);
    ps_free(walk->wait);
    walk->wait = NULL;
    walk->block_bytes = NULL;
    walk->model = NULL;
    walk->handle = NULL;
}

ps_run_rows ps__run_memops_of(const ps_plan *plan, uint32_t device)
{
    const uint32_t *of = plan->memop.device;
    ps_run_rows rows = {.end = plan->memop.head.count};
    for (; rows.first < rows.end && of[rows.first] != device; rows.first++) {
    }
    for (; rows.end > rows.first && of[rows.end - 1] != device; rows.end--) {
    }
    return rows;
}

ps_code ps__memory_walk_run(ps_memory_walk *walk, ps_error *err)
{
    const ps_plan_memop_table *memop = &walk->plan->memop;
    walk->next_place = 0;
    walk->call_begin = 0;
    ps__memory_level_note(walk, SIZE_MAX);
    const ps_run_rows rows = ps__run_memops_of(walk->plan, walk->device);
    for (size_t row = rows.first; row < rows.end; row++) {
        if (memop->device[row] != walk->device || ps_plan_memop_is_of_host(walk->plan, row)) {
            continue;
        }
        walk->memop = row;
        ps__memory_level_begin(walk, row);
        PS_TRY(ps__memory_request_apply(walk, row, err));
        ps__memory_level_end(walk, row);
        if (memop->op[row] == PS_MEMOP_ALLOC || memop->op[row] == PS_MEMOP_OOM) {
            walk->call_begin = row + 1;
        }
    }
    ps__memory_level_move(walk, walk->times->makespan_ns);
    ps__run_fill_phases(walk->plan, walk->out);
    return PS_OK;
}

ps_code ps__memory_walk_ask(ps_memory_walk *walk, ps_error *err)
{
    const ps_plan_memop_table *memop = &walk->plan->memop;
    const ps_run_rows rows = ps__run_memops_of(walk->plan, walk->device);
    walk->next_place = 0;
    walk->call_begin = 0;
    for (size_t row = rows.first; row < rows.end; row++) {
        if (memop->device[row] != walk->device || ps_plan_memop_is_of_host(walk->plan, row)) {
            continue;
        }
        const ps_ns now = ps__memory_retry_moment(walk, row);
        walk->memop = row;
        walk->chart_ns = now < walk->chart_ns ? walk->chart_ns : now;
        PS_TRY(ps__memory_request_apply(walk, row, err));
        if (memop->op[row] == PS_MEMOP_ALLOC || memop->op[row] == PS_MEMOP_OOM) {
            walk->call_begin = row + 1;
        }
    }
    return PS_OK;
}
