/* SPDX-License-Identifier: MIT
 *
 * Buffers of the plan and rows of the trace, side by side.
 *
 * Lowering turns the allocator rows of a device into memops one by one and in
 * order, so the nth allocation of the one is the nth of the other. A free
 * ends the buffer that its memop names.
 */
#include "base/idmap.h"
#include "base/memory.h"
#include "workload/recover/recover_parts.h"

/* The next row of a device that became a memop of the wanted kind. */
typedef struct row_cursor {
    const ps_memory_table *memory;
    uint32_t ordinal;
    size_t next_alloc, next_oom;
} row_cursor;

static bool is_of_device(const row_cursor *cursor, size_t row)
{
    return cursor->memory->device_kind[row] != PS_DEVICE_HOST &&
           cursor->memory->device[row] == cursor->ordinal;
}

static uint32_t next_row(const row_cursor *cursor, size_t *next, ps_memory_action action)
{
    for (; *next < cursor->memory->head.count; (*next)++) {
        if (is_of_device(cursor, *next) && cursor->memory->action[*next] == (uint8_t)action) {
            return (uint32_t)(*next)++;
        }
    }
    return PS_STRUCTURE_NONE;
}

/* Frees carry no number of their own: the row is the first behind the birth with the address, or
 * where none were recorded the size, of a buffer that is not yet ended. */
typedef struct live_list {
    uint32_t *older; /* per buffer: the one that was live under the same key before */
    ps_idmap by_key;
} live_list;

static bool is_free(uint8_t action)
{
    return action == PS_ACTION_FREE || action == PS_ACTION_FREE_REQUESTED;
}

static uint64_t key_of(const ps_memory_table *memory, size_t row)
{
    return memory->addr[row] != 0 ? memory->addr[row] : memory->bytes[row];
}

/* Everything that ends the buffers of one device. */
typedef struct ending {
    const ps_plan_buffer_table *table;
    const ps_memory_table *memory;
    ps_structure_buffer *buffer;
    uint32_t device;
    uint32_t next; /* buffer of the next birth */
    live_list live;
} ending;

/* Buffers that were there before the first row. */
static ps_code begin_with_baseline(ending *self, ps_error *err)
{
    const ps_plan_buffer_table *table = self->table;
    for (uint32_t b = 0; b < table->head.count; b++) {
        if (table->device[b] == self->device && self->buffer[b].birth_row == PS_STRUCTURE_NONE &&
            table->addr[b] != 0) {
            PS_TRY(ps_idmap_put(&self->live.by_key, table->addr[b], b, err));
        }
    }
    return PS_OK;
}

static ps_code meet_birth(ending *self, size_t row, ps_error *err)
{
    const ps_plan_buffer_table *table = self->table;
    const uint64_t key = key_of(self->memory, row);
    while (self->next < table->head.count && (table->device[self->next] != self->device ||
                                              self->buffer[self->next].birth_row != row)) {
        self->next++;
    }
    if (self->next == table->head.count) {
        return PS_OK;
    }
    self->live.older[self->next] = ps_idmap_get(&self->live.by_key, key);
    return ps_idmap_put(&self->live.by_key, key, self->next, err);
}

static ps_code meet_free(ending *self, size_t row, ps_error *err)
{
    const uint64_t key = key_of(self->memory, row);
    const uint32_t b = ps_idmap_take(&self->live.by_key, key);
    if (b == PS_IDMAP_NONE) {
        return PS_OK;
    }
    self->buffer[b].death_row = (uint32_t)row;
    const bool has_older = self->memory->addr[row] == 0 && self->live.older[b] != PS_IDMAP_NONE;
    return has_older ? ps_idmap_put(&self->live.by_key, key, self->live.older[b], err) : PS_OK;
}

static ps_code end_buffers(ending *self, const row_cursor *cursor, ps_error *err)
{
    PS_TRY(begin_with_baseline(self, err));
    for (size_t row = 0; row < self->memory->head.count; row++) {
        if (!is_of_device(cursor, row)) {
            continue;
        }
        if (self->memory->action[row] == PS_ACTION_ALLOC) {
            PS_TRY(meet_birth(self, row, err));
        } else if (is_free(self->memory->action[row])) {
            PS_TRY(meet_free(self, row, err));
        }
    }
    return PS_OK;
}

static ps_code match_device(ps_recovery *self, uint32_t device, ps_error *err)
{
    const ps_plan *plan = self->plan;
    row_cursor cursor = {.memory = &self->trace->memory, .ordinal = plan->device.ordinal[device]};
    for (size_t i = 0; i < plan->memop.head.count; i++) {
        if (plan->memop.device[i] != device) {
            continue;
        }
        ps_structure_buffer *buffer = &self->out->buffer[plan->memop.buffer[i]];
        if (plan->memop.op[i] == PS_MEMOP_ALLOC) {
            buffer->birth_row = next_row(&cursor, &cursor.next_alloc, PS_ACTION_ALLOC);
        } else if (plan->memop.op[i] == PS_MEMOP_OOM) {
            buffer->birth_row = next_row(&cursor, &cursor.next_oom, PS_ACTION_OOM);
        }
    }
    ending of = {.table = &plan->buffer,
                 .memory = cursor.memory,
                 .buffer = self->out->buffer,
                 .device = device,
                 .live = {.older = ps_calloc(plan->buffer.head.count + 1, sizeof *of.live.older)}};
    const ps_code code =
        of.live.older == NULL ? ps_fail_nomem(err) : end_buffers(&of, &cursor, err);
    ps_free(of.live.older);
    ps_idmap_fini(&of.live.by_key);
    return code;
}

ps_code ps__recover_rows(ps_recovery *self, ps_error *err)
{
    const size_t count = self->plan->buffer.head.count;
    self->out->buffer = ps_calloc(count + 1, sizeof *self->out->buffer);
    if (self->out->buffer == NULL) {
        return ps_fail_nomem(err);
    }
    self->out->buffer_count = count;
    for (size_t b = 0; b < count; b++) {
        self->out->buffer[b].birth_row = self->out->buffer[b].death_row = PS_STRUCTURE_NONE;
        self->out->buffer[b].birth_step = self->out->buffer[b].death_step = PS_STRUCTURE_NONE;
    }
    for (uint32_t device = 0; device < self->plan->device.head.count; device++) {
        PS_TRY(match_device(self, device, err));
    }
    return PS_OK;
}
