/* SPDX-License-Identifier: MIT
 *
 * Memory of a plan: the allocator's holdings at the origin and the life of
 * every buffer.
 *
 *   absent ──ALLOC, or live at the origin──► live ──FREE──────────► gone
 *      └─OOM──► gone                             └─FREE_REQUEST─► requested ──FREE_COMPLETE──► gone
 *
 * What a buffer of hold rows waits for ends its free: no FREE_COMPLETE does.
 */
#include "base/checked.h"
#include "base/memory.h"
#include "plan/plan_check.h"

typedef enum buffer_state {
    BUFFER_ABSENT = 0,
    BUFFER_LIVE,
    BUFFER_REQUESTED,
    BUFFER_GONE,
    BUFFER_REFUSED,
} buffer_state;

static const char *state_words(uint8_t state)
{
    static const char *const words[] = {"not allocated", "live", "waiting for its free", "freed",
                                        "refused"};
    return words[state];
}

static ps_code check_segment(const ps_plan *plan, size_t row, ps_error *err)
{
    const ps_plan_segment_table *segment = &plan->segment;
    uint64_t end;
    if (segment->bytes[row] == 0 || !ps_add_u64(segment->addr[row], segment->bytes[row], &end)) {
        return ps_fail(err, PS_CHECK_FAILED, "segment %zu at 0x%llx has %llu bytes", row,
                       (unsigned long long)segment->addr[row],
                       (unsigned long long)segment->bytes[row]);
    }
    if (row == 0 || segment->device[row] > segment->device[row - 1]) {
        return PS_OK;
    }
    if (segment->device[row] < segment->device[row - 1] ||
        segment->addr[row] < segment->addr[row - 1] + segment->bytes[row - 1]) {
        return ps_fail(err, PS_CHECK_FAILED,
                       "segment %zu lies before the end of segment %zu: not in address order", row,
                       row - 1);
    }
    return PS_OK;
}

static ps_code check_block(const ps_plan *plan, size_t row, uint8_t *state, ps_error *err)
{
    const ps_plan_block_table *block = &plan->block;
    const uint8_t use = block->state[row];
    if (block->requested_bytes[row] > block->bytes[row]) {
        return ps_fail(err, PS_CHECK_FAILED, "block %zu of %llu bytes serves a request of %llu",
                       row, (unsigned long long)block->bytes[row],
                       (unsigned long long)block->requested_bytes[row]);
    }
    if ((use == PS_BLOCK_INACTIVE && block->buffer[row] != 0) ||
        (use == PS_BLOCK_ALLOCATED && block->buffer[row] == 0)) {
        return ps_fail(err, PS_CHECK_FAILED, "block %zu is %s a buffer", row,
                       use == PS_BLOCK_INACTIVE ? "free, yet holds" : "live without");
    }
    if (block->buffer[row] == 0) {
        return PS_OK;
    }
    const uint32_t buffer = block->buffer[row] - 1;
    if (plan->buffer.device[buffer] != block->device[row]) {
        return ps_fail(err, PS_CHECK_FAILED, "block %zu of device %u holds buffer %u of device %u",
                       row, block->device[row], buffer, plan->buffer.device[buffer]);
    }
    if (state[buffer] != BUFFER_ABSENT) {
        return ps_fail(err, PS_CHECK_FAILED, "block %zu holds buffer %u, as does an earlier one",
                       row, buffer);
    }
    state[buffer] = use == PS_BLOCK_ALLOCATED ? BUFFER_LIVE : BUFFER_REQUESTED;
    return PS_OK;
}

static ps_code check_origin(const ps_plan *plan, uint8_t *state, ps_error *err)
{
    const ps_plan_segment_table *segment = &plan->segment;
    const ps_plan_block_table *block = &plan->block;
    size_t at = 0;
    for (size_t i = 0; i < segment->head.count; i++) {
        PS_TRY(check_segment(plan, i, err));
        uint64_t next = segment->addr[i];
        const uint64_t end = next + segment->bytes[i];
        for (; next < end; at++) {
            if (at == block->head.count || block->device[at] != segment->device[i] ||
                block->addr[at] != next || block->bytes[at] == 0 || block->bytes[at] > end - next) {
                return ps_fail(err, PS_CHECK_FAILED,
                               "segment %zu is not tiled: block %zu should start at 0x%llx", i, at,
                               (unsigned long long)next);
            }
            PS_TRY(check_block(plan, at, state, err));
            next += block->bytes[at];
        }
    }
    if (at != block->head.count) {
        return ps_fail(err, PS_CHECK_FAILED, "block %zu lies in no segment", at);
    }
    return PS_OK;
}

/* The state an operation needs and the one it leaves. */
static ps_code move_buffer(const ps_plan *plan, size_t row, uint8_t needed, uint8_t next,
                           uint8_t *state, ps_error *err)
{
    const uint32_t buffer = plan->memop.buffer[row];
    if (buffer >= plan->buffer.head.count) {
        return ps_fail(err, PS_CHECK_FAILED, "memop %zu: buffer is %u, must be below %zu", row,
                       buffer, plan->buffer.head.count);
    }
    if (plan->buffer.device[buffer] != plan->memop.device[row]) {
        return ps_fail(err, PS_CHECK_FAILED, "memop %zu on device %u names buffer %u of device %u",
                       row, plan->memop.device[row], buffer, plan->buffer.device[buffer]);
    }
    if (state[buffer] != needed) {
        return ps_fail(err, PS_CHECK_FAILED, "memop %zu: buffer %u is %s, must be %s", row, buffer,
                       state_words(state[buffer]), state_words(needed));
    }
    state[buffer] = next;
    return PS_OK;
}

static bool is_waiting_from_before(const ps_plan *plan, size_t row, const uint8_t *state)
{
    const uint32_t buffer = plan->memop.buffer[row];
    return buffer < plan->buffer.head.count && state[buffer] == BUFFER_LIVE &&
           plan->buffer.role[buffer] == PS_ROLE_BEFORE;
}

static ps_code check_memop(const ps_plan *plan, size_t row, uint8_t *state, ps_error *err)
{
    if (!ps_plan_is_host_task(plan, plan->memop.task[row])) {
        return ps_fail(err, PS_CHECK_FAILED, "memop %zu happens in task %u, no host task", row,
                       plan->memop.task[row]);
    }
    switch ((ps_memop)plan->memop.op[row]) {
    case PS_MEMOP_ALLOC:
        return move_buffer(plan, row, BUFFER_ABSENT, BUFFER_LIVE, state, err);
    case PS_MEMOP_FREE:
        return move_buffer(plan, row, BUFFER_LIVE, BUFFER_GONE, state, err);
    case PS_MEMOP_FREE_REQUEST:
        return move_buffer(plan, row, BUFFER_LIVE, BUFFER_REQUESTED, state, err);
    case PS_MEMOP_FREE_COMPLETE:
        /* a block whose free was already requested at the origin counts as live when placed anew */
        return move_buffer(
            plan, row, is_waiting_from_before(plan, row, state) ? BUFFER_LIVE : BUFFER_REQUESTED,
            BUFFER_GONE, state, err);
    case PS_MEMOP_OOM:
        return move_buffer(plan, row, BUFFER_ABSENT, BUFFER_GONE, state, err);
    case PS_MEMOP_PLACE:
    case PS_MEMOP_PLACE_PAGES:
        if (plan->memop.bytes[row] == 0) {
            return ps_fail(err, PS_CHECK_FAILED, "memop %zu places a segment of 0 bytes", row);
        }
        break;
    case PS_MEMOP_RELEASE_CACHE:
    case PS_MEMOP_POOL_DEAD:
    case PS_MEMOP_COUNT:
        break;
    }
    return PS_OK;
}

static ps_code check_lives(const ps_plan *plan, uint8_t *state, ps_error *err)
{
    PS_TRY(check_origin(plan, state, err));
    for (size_t i = 0; i < plan->buffer.head.count; i++) {
        if (state[i] == BUFFER_ABSENT && plan->buffer.role[i] == PS_ROLE_BEFORE) {
            state[i] = BUFFER_LIVE; /* live at the origin, at a place nobody recorded */
        }
    }
    for (size_t i = 0; i < plan->memop.head.count; i++) {
        PS_TRY(check_memop(plan, i, state, err));
    }
    for (size_t i = 0; i < plan->buffer.head.count; i++) {
        if (state[i] == BUFFER_ABSENT) {
            return ps_fail(err, PS_CHECK_FAILED, "buffer %zu is never allocated", i);
        }
    }
    return PS_OK;
}

static ps_code check_holds(const ps_plan *plan, const uint8_t *state, ps_error *err)
{
    for (size_t i = 0; i < plan->hold.head.count; i++) {
        const uint32_t buffer = plan->hold.buffer[i];
        if (state[buffer] != BUFFER_REQUESTED) {
            return ps_fail(err, PS_CHECK_FAILED, "hold %zu: buffer %u is %s at the end, must be %s",
                           i, buffer, state_words(state[buffer]), state_words(BUFFER_REQUESTED));
        }
    }
    return PS_OK;
}

ps_code ps_plan_check_memory(const ps_plan *plan, ps_error *err)
{
    uint8_t *state = ps_calloc(plan->buffer.head.count, sizeof *state);
    ps_code code = state == NULL ? ps_fail_nomem(err) : check_lives(plan, state, err);
    if (code == PS_OK) {
        code = check_holds(plan, state, err);
    }
    ps_free(state);
    return code;
}
