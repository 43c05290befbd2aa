/* SPDX-License-Identifier: MIT
 *
 * What a memory snapshot tells beyond its events: the allocator's holdings at
 * the origin, and the inputs that lie outside the allocator (when the program
 * emptied its cache, which private pools were dead, how much the device would
 * give). They are found by proving the history against the model, and become
 * part of the plan.
 */
#include <string.h>

#include "alloc/history.h"
#include "base/memory.h"
#include "lower/memory_stage.h"

static bool has_segments(const ps_trace *trace, uint32_t ordinal)
{
    for (size_t i = 0; i < trace->segment.head.count; i++) {
        if (trace->segment.device[i] == ordinal) {
            return true;
        }
    }
    return false;
}

static ps_code add_live_buffer(ps_memory_stage *stage, const ps_start_segment *segment,
                               const ps_alloc_block_info *block, uint32_t *out, ps_error *err)
{
    ps_plan *plan = stage->lowering->plan;
    size_t b;
    PS_TRY(ps_plan_add(plan, PS_PLAN_BUFFER, &b, err));
    PS_TRY(ps_grow((void **)&stage->same_size, &stage->same_size_capacity, b + 1, PS_TABLE_MAX_ROWS,
                   sizeof *stage->same_size, err));
    stage->same_size[b] = PS_NONE;
    plan->buffer.device[b] = stage->device;
    plan->buffer.bytes[b] = block->requested_bytes;
    plan->buffer.stream[b] = segment->info.stream;
    plan->buffer.pool_owner[b] = segment->info.pool.owner;
    plan->buffer.pool_serial[b] = segment->info.pool.serial;
    plan->buffer.role[b] = PS_ROLE_BEFORE;
    plan->buffer.addr[b] = block->addr;
    *out = (uint32_t)b;
    return ps_idmap_put(block->state == PS_ALLOC_BLOCK_PENDING ? &stage->pending : &stage->live,
                        block->addr, *out, err);
}

static ps_code add_block(ps_memory_stage *stage, const ps_start_segment *segment,
                         const ps_alloc_block_info *block, ps_error *err)
{
    ps_plan *plan = stage->lowering->plan;
    size_t row;
    PS_TRY(ps_plan_add(plan, PS_PLAN_BLOCK, &row, err));
    plan->block.device[row] = stage->device;
    plan->block.addr[row] = block->addr;
    plan->block.bytes[row] = block->bytes;
    plan->block.requested_bytes[row] = block->requested_bytes;
    plan->block.state[row] = (uint8_t)block->state;
    if (block->state != PS_ALLOC_BLOCK_FREE) {
        uint32_t buffer;
        PS_TRY(add_live_buffer(stage, segment, block, &buffer, err));
        plan->block.buffer[row] = buffer + 1;
    }
    return PS_OK;
}

static ps_code add_segment(ps_memory_stage *stage, const ps_start_state *start, size_t i,
                           ps_error *err)
{
    ps_plan *plan = stage->lowering->plan;
    const ps_start_segment *segment = &start->segment[i];
    size_t row;
    PS_TRY(ps_plan_add(plan, PS_PLAN_SEGMENT, &row, err));
    plan->segment.device[row] = stage->device;
    plan->segment.addr[row] = segment->info.addr;
    plan->segment.bytes[row] = segment->info.bytes;
    plan->segment.stream[row] = segment->info.stream;
    plan->segment.is_large[row] = segment->info.is_large;
    plan->segment.is_expandable[row] = segment->info.is_expandable;
    plan->segment.pool_owner[row] = segment->info.pool.owner;
    plan->segment.pool_serial[row] = segment->info.pool.serial;
    plan->segment.range_addr[row] = segment->range_addr;
    for (size_t b = 0; b < segment->block_count; b++) {
        PS_TRY(add_block(stage, segment, &start->block[segment->first_block + b], err));
    }
    return PS_OK;
}

static ps_code add_holdings(ps_memory_stage *stage, const ps_start_state *start, ps_error *err)
{
    for (size_t i = 0; i < start->segment_count; i++) {
        PS_TRY(add_segment(stage, start, i, err));
    }
    return PS_OK;
}

static void note_input(void *ctx, const ps_history_input *input)
{
    ps_memory_stage *stage = ctx;
    if (stage->input_code == PS_OK) {
        stage->input_code =
            ps_grow((void **)&stage->input, &stage->input_capacity, stage->input_count + 1,
                    PS_TABLE_MAX_ROWS, sizeof *stage->input, stage->input_err);
    }
    if (stage->input_code == PS_OK) {
        stage->input[stage->input_count++] = *input;
    }
}

static ps_code prove_history(ps_memory_stage *stage, const ps_alloc_settings *settings,
                             ps_alloc_device device, ps_start_state *start, ps_error *err)
{
    ps_plan_device_table *table = &stage->lowering->plan->device;
    ps_history_options options;
    ps_history_report report;
    ps_history_options_init(&options);
    options.device = device;
    options.recorded = settings;
    options.device_memory_bytes = table->capacity_bytes[stage->device];
    options.on_input = note_input;
    options.input_ctx = stage;
    stage->input_err = err;
    PS_TRY(ps_history_replay_from(stage->lowering->trace, &options, &report, start, err));
    if (report.is_limited) {
        /* without a refusal that reports the free memory, the most ever granted is all that is known */
        table->limit_bytes[stage->device] = report.limit_bytes;
        table->limit_basis[stage->device] =
            report.limit_bytes == report.recorded_peak_reserved_bytes ? PS_BASIS_GUESSED
                                                                      : PS_BASIS_MEASURED;
    }
    table->private_pools_expand[stage->device] = report.private_pools_expand;
    return PS_OK;
}

ps_code ps__lower_start_state(ps_memory_stage *stage, ps_error *err)
{
    const ps_trace *trace = stage->lowering->trace;
    const ps_plan *plan = stage->lowering->plan;
    const ps_alloc_device device = {PS_DEVICE_CUDA, plan->device.ordinal[stage->device]};
    ps_alloc_settings settings;
    if (plan->device.sizes_are_blocks[stage->device] != 0 || !has_segments(trace, device.ordinal)) {
        return PS_OK;
    }
    ps_alloc_settings_init(&settings);
    PS_TRY(ps_alloc_settings_parse(
        &settings, ps_strings_text(plan->strings, plan->device.allocator_conf[stage->device]),
        err));
    stage->has_start_state = true;
    ps_start_state start;
    PS_TRY(prove_history(stage, &settings, device, &start, err));
    const ps_code code =
        stage->input_code == PS_OK ? add_holdings(stage, &start, err) : stage->input_code;
    ps_start_state_fini(&start);
    return code;
}
