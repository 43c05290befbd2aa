/* SPDX-License-Identifier: MIT
 *
 * The state at the start: from the final map backwards to the spans and live
 * blocks of the start, and forwards again to settle what they leave open.
 */
#include "alloc/start_state.h"

#include <string.h>

#include "alloc/start_recovery.h"
#include "base/memory.h"

/* What only the events after the start can tell. */
static ps_code look_ahead(ps__recovery *self, ps_error *err)
{
    const ps_memory_table *memory = &self->trace->memory;
    PS_TRY(ps__ranges_list(self, err));
    for (size_t row = 0; row < memory->head.count; row++) {
        const uint8_t action = memory->action[row];
        if (!ps__recovery_is_ours(self, row)) {
            continue;
        }
        if (action == PS_ACTION_ALLOC || action == PS_ACTION_FREE ||
            action == PS_ACTION_FREE_COMPLETED) {
            ps__gaps_settle(self, row);
        } else if (action == PS_ACTION_SEGMENT_MAP || action == PS_ACTION_SEGMENT_UNMAP) {
            ps__ranges_follow(self, row);
        }
    }
    ps__ranges_tell_segments(self);
    return PS_OK;
}

static void sum_up(ps_start_state *out)
{
    for (size_t i = 0; i < out->segment_count; i++) {
        out->reserved_bytes += out->segment[i].info.bytes;
    }
    for (size_t i = 0; i < out->block_count; i++) {
        if (out->block[i].state != PS_ALLOC_BLOCK_FREE) {
            out->active_bytes += out->block[i].bytes;
            out->requested_bytes += out->block[i].requested_bytes;
        }
    }
}

static ps_code recover(ps__recovery *self, ps_error *err)
{
    PS_TRY(ps__recovery_read_final_map(self, err));
    PS_TRY(ps__recovery_undo(self, err));
    PS_TRY(ps__recovery_tile(self, err));
    if (self->settings->is_expandable) {
        PS_TRY(ps__recovery_find_pools(self, err));
    }
    PS_TRY(look_ahead(self, err));
    PS_TRY(ps__gaps_list_doubts(self, err));
    sum_up(&self->out);
    return PS_OK;
}

ps_code ps_start_state_recover(const ps_trace *trace, ps_alloc_device device,
                               const ps_alloc_settings *settings, ps_start_state *out,
                               ps_error *err)
{
    ps__recovery self = {.trace = trace, .settings = settings, .device = device};
    const char *sizes = ps_trace_meta(trace, PS_META_MEMORY_SIZES);
    if (sizes != NULL && strcmp(sizes, "requested") != 0) {
        return ps_fail(err, PS_UNSUPPORTED,
                       "the recording holds block sizes; its start state needs requested ones");
    }
    ps_idmap_init(&self.by_addr);
    const ps_code code = recover(&self, err);
    ps_idmap_fini(&self.by_addr);
    ps_free(self.span);
    ps_free(self.live);
    ps_free(self.gap);
    ps_free(self.range);
    if (code != PS_OK) {
        ps_start_state_fini(&self.out);
        return code;
    }
    *out = self.out;
    return PS_OK;
}

ps_code ps_start_state_seed(const ps_start_state *self, ps_allocator *model, ps_error *err)
{
    for (size_t i = 0; i < self->segment_count; i++) {
        const ps_start_segment *segment = &self->segment[i];
        const ps_alloc_seed seed = {.segment = segment->info,
                                    .block = &self->block[segment->first_block],
                                    .block_count = segment->block_count,
                                    .range_addr = segment->range_addr};
        PS_TRY(ps_allocator_seed(model, &seed, err));
    }
    return PS_OK;
}

void ps_start_state_fini(ps_start_state *self)
{
    ps_free(self->doubt);
    ps_free(self->segment);
    ps_free(self->block);
    memset(self, 0, sizeof *self);
}
