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

static ps_code end_buffers(ps_recovery *self, const row_cursor *cursor, uint32_t device,
                           live_list *live, ps_error *err)
{
    const ps_plan_buffer_table *table = &self->plan->buffer;
    ps_structure_buffer *buffer = self->out->buffer;
    const ps_memory_table *memory = cursor->memory;
    uint32_t next = 0; /* buffer of the next birth */
    for (uint32_t b = 0; b < table->head.count; b++) {
        if (table->device[b] == device && buffer[b].birth_row == PS_STRUCTURE_NONE &&
            table->addr[b] != 0) {
            PS_TRY(ps_idmap_put(&live->by_key, table->addr[b], b, err));
        }
    }
    for (size_t row = 0; row < memory->head.count; row++) {
        if (!is_of_device(cursor, row)) {
            continue;
        }
        if (memory->action[row] == PS_ACTION_ALLOC) {
            while (next < table->head.count &&
                   (table->device[next] != device || buffer[next].birth_row != row)) {
                next++;
            }
            if (next < table->head.count) {
                live->older[next] = ps_idmap_get(&live->by_key, key_of(memory, row));
                PS_TRY(ps_idmap_put(&live->by_key, key_of(memory, row), next, err));
            }
        } else if (is_free(memory->action[row])) {
            const uint32_t b = ps_idmap_take(&live->by_key, key_of(memory, row));
            if (b != PS_IDMAP_NONE) {
                buffer[b].death_row = (uint32_t)row;
                if (memory->addr[row] == 0 && live->older[b] != PS_IDMAP_NONE) {
                    PS_TRY(ps_idmap_put(&live->by_key, key_of(memory, row), live->older[b], err));
                }
            }
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
    live_list live = {.older = ps_calloc(plan->buffer.head.count + 1, sizeof *live.older)};
    const ps_code code =
        live.older == NULL ? ps_fail_nomem(err) : end_buffers(self, &cursor, device, &live, err);
    ps_free(live.older);
    ps_idmap_fini(&live.by_key);
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
