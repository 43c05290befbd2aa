/* SPDX-License-Identifier: MIT
 *
 * Taking buffers and resident bytes out of a plan.
 */
#include <inttypes.h>
#include <string.h>

#include "base/memory.h"
#include "policy/plan_edit.h"

bool ps__memop_names_buffer(uint8_t op)
{
    return op == PS_MEMOP_ALLOC || op == PS_MEMOP_FREE || op == PS_MEMOP_FREE_REQUEST ||
           op == PS_MEMOP_FREE_COMPLETE || op == PS_MEMOP_OOM;
}

static void forget_totals(ps_plan *plan)
{
    for (size_t i = 0; i < plan->memop.head.count; i++) {
        plan->memop.expect[i] = 0;
    }
}

/* ---- the origin ---- */

static bool is_segment_start(const ps_plan *plan, size_t block)
{
    size_t low = 0, high = plan->segment.head.count;
    while (low < high) { /* segments ascend by device, and then by address */
        const size_t mid = low + (high - low) / 2;
        const uint32_t device = plan->segment.device[mid];
        const bool is_before = device < plan->block.device[block] ||
                               (device == plan->block.device[block] &&
                                plan->segment.addr[mid] < plan->block.addr[block]);
        low = is_before ? mid + 1 : low;
        high = is_before ? high : mid;
    }
    return low < plan->segment.head.count &&
           plan->segment.device[low] == plan->block.device[block] &&
           plan->segment.addr[low] == plan->block.addr[block];
}

/* Free neighbours within a segment are one free block: the allocator merges them. */
static ps_code merge_free_blocks(ps_plan *plan, ps_error *err)
{
    ps_plan_block_table *block = &plan->block;
    bool *keep = ps_calloc(block->head.count, sizeof *keep);
    size_t last = 0;
    if (keep == NULL) {
        return ps_fail_nomem(err);
    }
    for (size_t i = 0; i < block->head.count; i++) {
        const bool is_more = i > 0 && block->state[i] == PS_BLOCK_INACTIVE &&
                             block->state[last] == PS_BLOCK_INACTIVE && !is_segment_start(plan, i);
        keep[i] = !is_more;
        if (is_more) {
            block->bytes[last] += block->bytes[i];
        } else {
            last = i;
        }
    }
    ps__plan_keep_rows(plan, PS_PLAN_BLOCK, keep);
    ps_free(keep);
    return PS_OK;
}

static ps_code free_blocks(ps_plan *plan, const uint32_t *new_row, ps_error *err)
{
    ps_plan_block_table *block = &plan->block;
    bool any = false;
    for (size_t i = 0; i < block->head.count; i++) {
        if (block->buffer[i] == 0) {
            continue;
        }
        const uint32_t buffer = new_row[block->buffer[i] - 1];
        if (buffer != PS_EDIT_GONE) {
            block->buffer[i] = buffer + 1;
            continue;
        }
        any = true;
        block->buffer[i] = 0;
        block->state[i] = PS_BLOCK_INACTIVE;
        block->requested_bytes[i] = 0;
    }
    return any ? merge_free_blocks(plan, err) : PS_OK;
}

/* ---- buffers ---- */

static ps_code drop_requests(ps_plan *plan, const uint32_t *new_row, ps_error *err)
{
    ps_plan_memop_table *memop = &plan->memop;
    bool *keep = ps_calloc(memop->head.count, sizeof *keep);
    if (keep == NULL) {
        return ps_fail_nomem(err);
    }
    for (size_t i = 0; i < memop->head.count; i++) {
        keep[i] = true;
        if (ps__memop_names_buffer(memop->op[i])) {
            memop->buffer[i] = new_row[memop->buffer[i]];
            keep[i] = memop->buffer[i] != PS_EDIT_GONE;
        }
    }
    ps__plan_keep_rows(plan, PS_PLAN_MEMOP, keep);
    ps_free(keep);
    return PS_OK;
}

/* Rows of a table that name a buffer in a column of theirs. */
static ps_code drop_rows_of(ps_plan *plan, ps_plan_table_id id, uint32_t *buffer,
                            const uint32_t *new_row, ps_error *err)
{
    const size_t count = ps_plan_table(plan, id)->count;
    bool *keep = ps_calloc(count, sizeof *keep);
    if (keep == NULL) {
        return ps_fail_nomem(err);
    }
    for (size_t i = 0; i < count; i++) {
        buffer[i] = new_row[buffer[i]];
        keep[i] = buffer[i] != PS_EDIT_GONE;
    }
    ps__plan_keep_rows(plan, id, keep);
    ps_free(keep);
    return PS_OK;
}

static ps_code drop_rows(ps_plan *plan, const bool *drop, uint32_t *row, bool *keep, ps_error *err)
{
    uint32_t next = 0;
    if (row == NULL || keep == NULL) {
        return ps_fail_nomem(err);
    }
    for (size_t i = 0; i < plan->buffer.head.count; i++) {
        keep[i] = !drop[i];
        row[i] = keep[i] ? next++ : PS_EDIT_GONE;
    }
    PS_TRY(free_blocks(plan, row, err));
    PS_TRY(drop_requests(plan, row, err));
    PS_TRY(drop_rows_of(plan, PS_PLAN_ACCESS, plan->access.buffer, row, err));
    PS_TRY(drop_rows_of(plan, PS_PLAN_HOLD, plan->hold.buffer, row, err));
    ps__plan_keep_rows(plan, PS_PLAN_BUFFER, keep);
    forget_totals(plan);
    return PS_OK;
}

ps_code ps__plan_drop_buffers(ps_plan *plan, const bool *drop, uint32_t *new_row, ps_error *err)
{
    const size_t count = plan->buffer.head.count;
    uint32_t *row = ps_calloc(count, sizeof *row);
    bool *keep = ps_calloc(count, sizeof *keep);
    const ps_code code = drop_rows(plan, drop, row, keep, err);
    if (code == PS_OK && new_row != NULL) {
        memcpy(new_row, row, count * sizeof *row);
    }
    ps_free(row);
    ps_free(keep);
    return code;
}

/* ---- what nobody names ---- */

ps_code ps__plan_shrink_resident(ps_plan *plan, uint32_t device, uint64_t bytes, ps_error *err)
{
    uint64_t *held = &plan->device.base_live_bytes[device];
    if (bytes > *held) {
        return ps_fail(err, PS_USAGE,
                       "%" PRIu64 " bytes cannot leave the %" PRIu64
                       " that are resident before the recording",
                       bytes, *held);
    }
    *held -= bytes;
    forget_totals(plan);
    return PS_OK;
}
