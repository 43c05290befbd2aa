/* SPDX-License-Identifier: MIT
 *
 * What a record says from outside the allocator: addresses that the driver
 * chose, pools that had lost their last user, frees that were completed inside
 * a request.
 */
#include "alloc/history_proof_parts.h"
#include "base/memory.h"

/* The recorded address of the next new segment of this call, 0 when none is left. */
static uint64_t recorded_segment(ps__replay *self)
{
    for (; self->grown < self->call_end; self->grown++) {
        if (ps__record_action(&self->record, self->grown) == PS_ACTION_SEGMENT_ALLOC) {
            return self->record.memory->addr[ps__replay_row(self, self->grown++)];
        }
    }
    return 0;
}

/*
 * A new range begins where its first pages are mapped: in this call, or later if the
 * driver refuses now.
 */
static uint64_t recorded_range(const ps__replay *self, uint64_t stream)
{
    for (size_t at = self->grown; at < self->record.count; at++) {
        if (ps__record_action(&self->record, at) == PS_ACTION_SEGMENT_MAP &&
            self->record.memory->stream[ps__replay_row(self, at)] == stream) {
            return self->record.memory->addr[ps__replay_row(self, at)];
        }
    }
    return 0;
}

uint64_t ps__replay_choose_address(void *ctx, ps_alloc_address_kind kind, uint64_t bytes,
                                   uint64_t stream)
{
    ps__replay *self = ctx;
    (void)bytes;
    return kind == PS_ALLOC_ADDRESS_SEGMENT ? recorded_segment(self) : recorded_range(self, stream);
}

ps_code ps__replay_note_input(ps__replay *self, ps_history_input_kind kind, size_t at,
                              ps_pool_id pool)
{
    void *inputs = self->input;
    PS_TRY(ps_grow(&inputs, &self->input_capacity, self->input_count + 1, PS__REPLAY_MAX_ITEMS,
                   sizeof *self->input, self->err));
    self->input = inputs;
    self->input[self->input_count++] =
        (ps_history_input){.kind = kind, .row = ps__replay_row(self, at), .pool = pool};
    return PS_OK;
}

ps_code ps__replay_declare_dead_pools(ps__replay *self, size_t begin, size_t end)
{
    uint32_t last = PS_IDMAP_NONE;
    for (size_t at = begin; at < end; at++) {
        if (!ps__record_is_release(&self->record, at)) {
            continue;
        }
        const uint64_t addr = self->record.memory->addr[ps__replay_row(self, at)];
        const uint32_t pool = ps_idmap_get(&self->private_segment, addr);
        if (pool != PS_IDMAP_NONE && pool != last) {
            PS_TRY(ps__replay_note_input(self, PS_HISTORY_INPUT_POOL_DEAD, at, self->pool[pool]));
            PS_TRY(ps_allocator_set_pool_state(self->model, self->pool[pool], PS_POOL_DEAD,
                                               self->err));
        }
        last = pool;
    }
    return PS_OK;
}

ps_code ps__replay_note_late_frees(ps__replay *self, size_t begin, size_t end)
{
    for (size_t at = begin; at < end; at++) {
        const ps_memory_action action = ps__record_action(&self->record, at);
        if (action == PS_ACTION_FREE_COMPLETED || action == PS_ACTION_FREE) {
            PS_TRY(ps__replay_note_input(self, PS_HISTORY_INPUT_LATE_FREE, at, (ps_pool_id){0, 0}));
        }
    }
    return PS_OK;
}
