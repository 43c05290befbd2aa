/* SPDX-License-Identifier: MIT
 *
 * Allocator events become buffers and memops.
 *
 * A free with an address ends the buffer that lives there. Old recordings
 * have no addresses: there a free ends the youngest live buffer of its size,
 * which keeps every total right. A free that ends nothing known belongs to a
 * buffer from before the recording; such buffers are allocated at the origin.
 */
#include <string.h>

#include "base/memory.h"
#include "lower/lowering.h"
#include "lower/memory_stage.h"

static ps_code add_buffer(ps_memory_stage *stage, size_t row, ps_role role, uint32_t *out,
                          ps_error *err)
{
    ps_lowering *self = stage->lowering;
    const ps_memory_table *memory = &self->trace->memory;
    ps_plan_buffer_table *buffer = &self->plan->buffer;
    size_t b;
    PS_TRY(ps_plan_add(self->plan, PS_PLAN_BUFFER, &b, err));
    PS_TRY(ps_grow((void **)&stage->same_size, &stage->same_size_capacity, b + 1, PS_TABLE_MAX_ROWS,
                   sizeof *stage->same_size, err));
    buffer->device[b] = stage->device;
    buffer->bytes[b] = memory->bytes[row];
    buffer->stream[b] = memory->stream[row];
    buffer->pool_owner[b] = memory->pool_owner[row];
    buffer->pool_serial[b] = memory->pool_serial[row];
    buffer->role[b] = (uint8_t)role;
    buffer->addr[b] = memory->addr[row];
    *out = (uint32_t)b;
    return role == PS_ROLE_BEFORE ? PS_OK : ps__lower_label(stage, row, &buffer->label[b], err);
}

ps_code ps__lower_memop(ps_memory_stage *stage, size_t row, ps_memop op, uint32_t buffer,
                        size_t *out, ps_error *err)
{
    ps_lowering *self = stage->lowering;
    const ps_memory_table *memory = &self->trace->memory;
    ps_plan_memop_table *memop = &self->plan->memop;
    const uint64_t tid = memory->tid[row];
    const uint32_t lane = ps__lower_find_lane(self, ps__lower_pid_of_thread(self, tid), tid);
    const ps_moment moment = ps__lower_moment(self, lane, memory->time_ns[row] - self->origin_ns);
    PS_TRY(ps_plan_add(self->plan, PS_PLAN_MEMOP, out, err));
    memop->device[*out] = stage->device;
    memop->op[*out] = (uint8_t)op;
    memop->buffer[*out] = buffer;
    memop->task[*out] = moment.task;
    memop->offset_ns[*out] = moment.offset_ns;
    memop->expect[*out] = memory->total_allocated[row];
    return PS_OK;
}

static uint64_t key_of(const ps_memory_table *memory, size_t row)
{
    /* sizes and addresses never meet: a device either records addresses or it does not */
    return memory->addr[row] != 0 ? memory->addr[row] : memory->bytes[row];
}

static ps_code lower_alloc(ps_memory_stage *stage, size_t row, ps_error *err)
{
    const ps_memory_table *memory = &stage->lowering->trace->memory;
    uint32_t buffer;
    size_t memop;
    PS_TRY(add_buffer(stage, row, PS_ROLE_UNKNOWN, &buffer, err));
    PS_TRY(ps__lower_memop(stage, row, PS_MEMOP_ALLOC, buffer, &memop, err));
    stage->same_size[buffer] =
        memory->addr[row] == 0 ? ps_idmap_get(&stage->live, key_of(memory, row)) : PS_NONE;
    return ps_idmap_put(&stage->live, key_of(memory, row), buffer, err);
}

/* Takes the live buffer a free refers to; one from before the recording when none is known. */
static ps_code take_live(ps_memory_stage *stage, size_t row, uint32_t *out, ps_error *err)
{
    const ps_memory_table *memory = &stage->lowering->trace->memory;
    *out = ps_idmap_take(&stage->live, key_of(memory, row));
    if (*out == PS_NONE) {
        return PS_OK;
    }
    const uint32_t older = stage->same_size[*out];
    return older == PS_NONE ? PS_OK : ps_idmap_put(&stage->live, key_of(memory, row), older, err);
}

static ps_code lower_free(ps_memory_stage *stage, size_t row, ps_memop op, ps_error *err)
{
    const ps_memory_table *memory = &stage->lowering->trace->memory;
    uint32_t buffer;
    size_t memop;
    if (op == PS_MEMOP_FREE_COMPLETE) {
        buffer = ps_idmap_take(&stage->pending, memory->addr[row]);
        return buffer == PS_NONE ? PS_OK : ps__lower_memop(stage, row, op, buffer, &memop, err);
    }
    PS_TRY(take_live(stage, row, &buffer, err));
    if (buffer == PS_NONE) {
        PS_TRY(add_buffer(stage, row, PS_ROLE_BEFORE, &buffer, err));
        stage->same_size[buffer] = PS_NONE;
        stage->older_frees++;
    }
    if (op == PS_MEMOP_FREE_REQUEST) {
        PS_TRY(ps_idmap_put(&stage->pending, memory->addr[row], buffer, err));
    }
    return ps__lower_memop(stage, row, op, buffer, &memop, err);
}

static ps_code lower_place(ps_memory_stage *stage, size_t row, ps_memop op, ps_error *err)
{
    const ps_memory_table *memory = &stage->lowering->trace->memory;
    ps_plan_memop_table *memop = &stage->lowering->plan->memop;
    size_t at;
    if (memory->bytes[row] == 0) {
        return PS_OK; /* nothing was obtained */
    }
    PS_TRY(ps__lower_memop(stage, row, op, 0, &at, err));
    memop->bytes[at] = memory->bytes[row];
    memop->addr[at] = memory->addr[row];
    memop->stream[at] = memory->stream[row];
    return PS_OK;
}

static ps_code lower_oom(ps_memory_stage *stage, size_t row, bool is_capturing, ps_error *err)
{
    uint32_t buffer;
    size_t at;
    PS_TRY(add_buffer(stage, row, PS_ROLE_UNKNOWN, &buffer, err));
    stage->same_size[buffer] = PS_NONE;
    PS_TRY(ps__lower_memop(stage, row, PS_MEMOP_OOM, buffer, &at, err));
    stage->lowering->plan->memop.is_capturing[at] = is_capturing;
    return PS_OK;
}

/* Frees that the allocator itself waits for inside a request end, for a plan, right after it. */
static ps_code end_late_frees(ps_memory_stage *stage, size_t row, ps_error *err)
{
    for (size_t i = 0; i < stage->late_count; i++) {
        size_t memop;
        PS_TRY(ps__lower_memop(stage, row, PS_MEMOP_FREE_COMPLETE, stage->late[i], &memop, err));
        stage->lowering->plan->memop.expect[memop] = 0;
    }
    stage->late_count = 0;
    return PS_OK;
}

static ps_code lower_late_free(ps_memory_stage *stage, size_t row, ps_error *err)
{
    const uint32_t buffer =
        ps_idmap_take(&stage->pending, stage->lowering->trace->memory.addr[row]);
    if (buffer == PS_NONE) {
        return PS_OK;
    }
    PS_TRY(ps_grow((void **)&stage->late, &stage->late_capacity, stage->late_count + 1,
                   PS_TABLE_MAX_ROWS, sizeof *stage->late, err));
    stage->late[stage->late_count++] = buffer;
    return PS_OK;
}

/* What came from outside the allocator before or with this row. */
typedef struct row_inputs {
    bool is_late, is_capturing;
} row_inputs;

static ps_code lower_inputs(ps_memory_stage *stage, size_t row, row_inputs *out, ps_error *err)
{
    ps_plan_memop_table *memop = &stage->lowering->plan->memop;
    for (; stage->next_input < stage->input_count && stage->input[stage->next_input].row <= row;
         stage->next_input++) {
        const ps_history_input *input = &stage->input[stage->next_input];
        size_t at;
        switch (input->kind) {
        case PS_HISTORY_INPUT_EMPTY_CACHE:
            PS_TRY(ps__lower_memop(stage, row, PS_MEMOP_RELEASE_CACHE, 0, &at, err));
            break;
        case PS_HISTORY_INPUT_POOL_DEAD:
            PS_TRY(ps__lower_memop(stage, row, PS_MEMOP_POOL_DEAD, 0, &at, err));
            memop->addr[at] = input->pool.owner;
            memop->bytes[at] = input->pool.serial;
            break;
        case PS_HISTORY_INPUT_LATE_FREE:
            out->is_late = true;
            break;
        case PS_HISTORY_INPUT_CAPTURE:
            out->is_capturing = true;
            break;
        }
    }
    return PS_OK;
}

static ps_code lower_row(ps_memory_stage *stage, size_t row, ps_error *err)
{
    const ps_memory_table *memory = &stage->lowering->trace->memory;
    row_inputs inputs = {0};
    PS_TRY(lower_inputs(stage, row, &inputs, err));
    switch ((ps_memory_action)memory->action[row]) {
    case PS_ACTION_ALLOC:
        PS_TRY(lower_alloc(stage, row, err));
        return end_late_frees(stage, row, err);
    case PS_ACTION_FREE:
        PS_TRY(lower_free(stage, row, inputs.is_late ? PS_MEMOP_FREE_REQUEST : PS_MEMOP_FREE, err));
        return inputs.is_late ? lower_late_free(stage, row, err) : PS_OK;
    case PS_ACTION_FREE_REQUESTED:
        return lower_free(stage, row, PS_MEMOP_FREE_REQUEST, err);
    case PS_ACTION_FREE_COMPLETED:
        return inputs.is_late ? lower_late_free(stage, row, err)
                              : lower_free(stage, row, PS_MEMOP_FREE_COMPLETE, err);
    case PS_ACTION_SEGMENT_ALLOC:
        return lower_place(stage, row, PS_MEMOP_PLACE, err);
    case PS_ACTION_SEGMENT_MAP:
        return lower_place(stage, row, PS_MEMOP_PLACE_PAGES, err);
    case PS_ACTION_OOM:
        PS_TRY(lower_oom(stage, row, inputs.is_capturing, err));
        return end_late_frees(stage, row, err);
    case PS_ACTION_SEGMENT_FREE:
    case PS_ACTION_SEGMENT_UNMAP:
    case PS_ACTION_SNAPSHOT:
        break;
    }
    return PS_OK;
}

/* What was allocated before the first event and is never named: the recorded total minus what is. */
static uint64_t unnamed_live_bytes(const ps_memory_stage *stage, size_t first_row)
{
    const ps_memory_table *memory = &stage->lowering->trace->memory;
    const ps_plan_buffer_table *buffer = &stage->lowering->plan->buffer;
    if (memory->total_allocated[first_row] == 0) {
        return 0;
    }
    uint64_t total = memory->total_allocated[first_row] - 1;
    const uint64_t bytes = memory->bytes[first_row];
    if (memory->action[first_row] == PS_ACTION_ALLOC) {
        total = total > bytes ? total - bytes : 0;
    } else {
        total += bytes;
    }
    for (size_t b = stage->first_buffer; b < buffer->head.count; b++) {
        if (buffer->role[b] == PS_ROLE_BEFORE) {
            total = total > buffer->bytes[b] ? total - buffer->bytes[b] : 0;
        }
    }
    return total;
}

/* Requests up to this go to the small pool, whose segments are separate: allocator rule. */
#define SMALL_BYTES 1048576u
#define SMALL_SEGMENT_BYTES 2097152u

/*
 * A profiler trace says how much the allocator held at its first event, but
 * not in which pieces. The plan starts with one free piece of that size: what
 * is live is placed into it, what is left is the cache. The total is right;
 * how fragmented it was is unknown and taken as not at all.
 */
static ps_code add_recorded_reserve(ps_memory_stage *stage, size_t first_row, ps_error *err)
{
    ps_plan *plan = stage->lowering->plan;
    const ps_memory_table *memory = &stage->lowering->trace->memory;
    uint64_t small = 0;
    size_t row;
    if (memory->total_reserved[first_row] < 2 || memory->total_allocated[first_row] == 0) {
        return PS_OK;
    }
    for (size_t b = stage->first_buffer; b < plan->buffer.head.count; b++) {
        const bool is_small = plan->buffer.bytes[b] <= SMALL_BYTES;
        small += plan->buffer.role[b] == PS_ROLE_BEFORE && is_small ? plan->buffer.bytes[b] : 0;
    }
    const uint64_t total = memory->total_reserved[first_row] - 1;
    small = ps_round_up_u64(small, SMALL_SEGMENT_BYTES);
    if (total <= small + SMALL_SEGMENT_BYTES) {
        return PS_OK;
    }
    const uint64_t bytes = (total - small) / SMALL_SEGMENT_BYTES * SMALL_SEGMENT_BYTES;
    PS_TRY(ps_plan_add(plan, PS_PLAN_SEGMENT, &row, err));
    plan->segment.device[row] = stage->device;
    plan->segment.addr[row] = SMALL_SEGMENT_BYTES; /* anywhere but 0 */
    plan->segment.bytes[row] = bytes;
    plan->segment.is_large[row] = 1;
    PS_TRY(ps_plan_add(plan, PS_PLAN_BLOCK, &row, err));
    plan->block.device[row] = stage->device;
    plan->block.addr[row] = SMALL_SEGMENT_BYTES;
    plan->block.bytes[row] = bytes;
    return PS_OK;
}

static bool is_of_device(const ps_memory_table *memory, size_t row, uint32_t ordinal)
{
    return memory->device_kind[row] != PS_DEVICE_HOST && memory->device[row] == ordinal;
}

static ps_code lower_device_rows(ps_memory_stage *stage, ps_error *err)
{
    ps_lowering *self = stage->lowering;
    const ps_memory_table *memory = &self->trace->memory;
    const uint32_t ordinal = self->plan->device.ordinal[stage->device];
    size_t first_row = memory->head.count;
    PS_TRY(ps__lower_start_state(stage, err));
    for (size_t row = 0; row < memory->head.count; row++) {
        if (is_of_device(memory, row, ordinal)) {
            first_row = row < first_row ? row : first_row;
            PS_TRY(lower_row(stage, row, err));
        }
    }
    PS_TRY(ps__lower_add_loss(self, "frees-of-older-blocks", PS_SEVERITY_INFO, stage->older_frees,
                              err));
    if (first_row < memory->head.count && !stage->has_start_state) {
        self->plan->device.base_live_bytes[stage->device] = unnamed_live_bytes(stage, first_row);
        return add_recorded_reserve(stage, first_row, err);
    }
    return PS_OK;
}

static void release_stage(ps_memory_stage *stage)
{
    ps_idmap_fini(&stage->live);
    ps_idmap_fini(&stage->pending);
    ps_free(stage->same_size);
    ps_free(stage->input);
    ps_free(stage->late);
    ps__lower_labels_fini(stage);
}

ps_code ps__lower_memory(ps_lowering *self, ps_error *err)
{
    for (uint32_t device = 0; device < self->plan->device.head.count; device++) {
        ps_memory_stage stage = {
            .lowering = self,
            .device = device,
            .first_buffer = self->plan->buffer.head.count,
        };
        const ps_code code = lower_device_rows(&stage, err);
        release_stage(&stage);
        PS_TRY(code);
    }
    return PS_OK;
}
