/* SPDX-License-Identifier: MIT
 *
 * Blocks at the start whose end is open: a live one of the large pool that is
 * known by its request alone, with slack of up to 1 MiB that nobody recorded.
 * The first allocation in the gap behind it tells; what none settles stays in
 * doubt.
 */
#include "alloc/sizes.h"
#include "alloc/start_recovery.h"
#include "base/memory.h"

ps_code ps__gaps_add(ps__recovery *self, uint64_t addr, uint64_t rounded_end, uint64_t gap_end,
                     ps_error *err)
{
    void *gaps = self->gap;
    PS_TRY(ps_grow(&gaps, &self->gap_capacity, self->gap_count + 1, PS__RECOVERY_MAX_BLOCKS,
                   sizeof *self->gap, err));
    self->gap = gaps;
    self->gap[self->gap_count++] =
        (ps__open_gap){addr, rounded_end, gap_end, self->out.block_count, true};
    return PS_OK;
}

/* The open gap that `addr` lies in, or NULL. */
static ps__open_gap *gap_around(const ps__recovery *self, uint64_t addr)
{
    size_t low = 0;
    size_t high = self->gap_count;
    while (low < high) {
        const size_t mid = low + (high - low) / 2;
        if (self->gap[mid].addr <= addr) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low > 0 && addr < self->gap[low - 1].gap_end ? &self->gap[low - 1] : NULL;
}

/* Moves bytes from the free block behind a live one, which made the gap, to it. */
static void move_border(ps_start_state *state, size_t block, uint64_t bytes)
{
    ps_alloc_block_info *live = &state->block[block];
    live[0].bytes += bytes;
    live[1].addr += bytes;
    live[1].bytes -= bytes;
}

void ps__gaps_settle(ps__recovery *self, size_t row)
{
    const ps_memory_table *memory = &self->trace->memory;
    ps__open_gap *gap = gap_around(self, memory->addr[row]);
    if (gap == NULL || !gap->is_alive) {
        return;
    }
    const uint64_t addr = memory->addr[row];
    const bool is_own = addr == gap->addr;
    gap->is_alive = false;
    if (is_own || memory->action[row] != PS_ACTION_ALLOC || addr < gap->rounded_end ||
        addr - gap->rounded_end > PS_ALLOC_SMALL_BYTES) {
        return; /* the block itself is freed: its slack stays unknown */
    }
    move_border(&self->out, gap->block, addr - gap->rounded_end);
    gap->rounded_end = addr;
    gap->gap_end = addr;
}

ps_code ps__gaps_list_doubts(ps__recovery *self, ps_error *err)
{
    ps_start_state *out = &self->out;
    out->doubt = ps_calloc(self->gap_count, sizeof *out->doubt);
    if (out->doubt == NULL) {
        return ps_fail_nomem(err);
    }
    for (size_t i = 0; i < self->gap_count; i++) {
        const ps__open_gap *gap = &self->gap[i];
        if (gap->gap_end > gap->rounded_end) {
            out->doubt[out->doubt_count++] = (ps_start_doubt){gap->block, PS_ALLOC_SMALL_BYTES};
            out->doubtful_bytes += PS_ALLOC_SMALL_BYTES;
        }
    }
    return PS_OK;
}

void ps_start_state_widen(ps_start_state *self, size_t doubt, uint64_t bytes)
{
    move_border(self, self->doubt[doubt].block, bytes);
    self->doubt[doubt].most_bytes -= bytes;
    self->doubtful_bytes -= bytes;
    self->active_bytes += bytes;
}
