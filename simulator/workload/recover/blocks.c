/* SPDX-License-Identifier: MIT
 *
 * Blocks: what repeats inside a step.
 *
 * Module ranges name them: of the classes that run at least twice in a step,
 * the one that takes most time in all. Without such ranges the longest run of
 * equal pieces of the phase's allocations (kernels, where no allocation was
 * recorded) is cut into its pieces; so is the backward pass of modules, where
 * no operators tell it, if as many pieces come out as modules ran. Backward pieces belong to the forward ones
 * in reverse order, or to those whose autograd sequence numbers they share.
 */
#include "base/idmap.h"
#include "base/memory.h"
#include "workload/recover/block_parts.h"

ps_code ps__block_add(ps_recovery *self, const ps_structure_block *block, const char *name,
                      const char *kind, ps_error *err)
{
    ps_structure *out = self->out;
    PS_TRY(ps_grow((void **)&out->block, &out->block_capacity, out->block_count + 1,
                   PS_STRUCTURE_MAX, sizeof *out->block, err));
    out->block[out->block_count] = *block;
    PS_TRY(ps_strings_put_z(out->strings, name, &out->block[out->block_count].name, err));
    PS_TRY(ps_strings_put_z(out->strings, kind, &out->block[out->block_count].kind, err));
    out->block_count++;
    return PS_OK;
}

/* ---- which backward block belongs to which forward block ---- */

/* First range that starts at a moment or later: ranges ascend. */
static size_t first_range(const ps_range_table *range, ps_ns at)
{
    size_t low = 0, high = range->head.count;
    while (low < high) {
        const size_t mid = low + (high - low) / 2;
        if (range->start_ns[mid] < at) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low;
}

static ps_code pair_by_sequence(ps_recovery *self, size_t *pairs, ps_error *err)
{
    const ps_range_table *range = &self->trace->range;
    ps_structure *out = self->out;
    ps_idmap block_of_sequence = {0};
    ps_code code = PS_OK;
    for (uint32_t b = 0; b < out->block_count && code == PS_OK; b++) {
        const bool is_forward = out->block[b].phase == PS_PHASE_FORWARD;
        for (size_t i = first_range(range, out->block[b].start_ns);
             is_forward && i < range->head.count && range->start_ns[i] < out->block[b].end_ns &&
             code == PS_OK;
             i++) {
            if (range->sequence[i] > 0) {
                code = ps_idmap_put(&block_of_sequence, (uint64_t)range->sequence[i], b, err);
            }
        }
    }
    for (uint32_t b = 0; b < out->block_count && code == PS_OK; b++) {
        ps_structure_block *block = &out->block[b];
        for (size_t i = first_range(range, block->start_ns);
             block->phase == PS_PHASE_BACKWARD && i < range->head.count &&
             range->start_ns[i] < block->end_ns;
             i++) {
            const uint32_t forward =
                range->sequence[i] > 0
                    ? ps_idmap_get(&block_of_sequence, (uint64_t)range->sequence[i])
                    : PS_IDMAP_NONE;
            if (forward != PS_IDMAP_NONE) {
                block->pair = forward + 1;
                (*pairs)++;
                break;
            }
        }
    }
    ps_idmap_fini(&block_of_sequence);
    return code;
}

/* The last forward block of a step is the first of its backward. */
static void pair_in_reverse(ps_structure *out, size_t *pairs)
{
    for (uint32_t b = 0; b < out->block_count; b++) {
        ps_structure_block *block = &out->block[b];
        if (block->phase != PS_PHASE_BACKWARD) {
            continue;
        }
        size_t later = 0, forward = 0; /* backward blocks of the step from this one on */
        for (uint32_t i = 0; i < out->block_count; i++) {
            const bool is_of_step = out->block[i].step == block->step;
            later += is_of_step && i > b && out->block[i].phase == PS_PHASE_BACKWARD;
            if (is_of_step && out->block[i].phase == PS_PHASE_FORWARD && i < b) {
                forward++;
            }
        }
        size_t at = 0;
        for (uint32_t i = 0; i < b && later < forward; i++) {
            if (out->block[i].step == block->step && out->block[i].phase == PS_PHASE_FORWARD &&
                at++ == later) {
                block->pair = i + 1;
                (*pairs)++;
            }
        }
    }
}

ps_code ps__recover_blocks(ps_recovery *self, ps_error *err)
{
    size_t pairs = 0;
    PS_TRY(ps__blocks_of_modules(self, err));
    PS_TRY(ps__blocks_of_backward(self, err));
    if (self->out->block_count == 0) {
        PS_TRY(ps__blocks_of_repetition(self, err));
    }
    PS_TRY(pair_by_sequence(self, &pairs, err));
    if (pairs > 0) {
        return ps__recover_find(self, "backward of blocks", "sequence numbers of autograd", 950,
                                err, "%zu backward blocks", pairs);
    }
    pair_in_reverse(self->out, &pairs);
    return pairs == 0 ? PS_OK
                      : ps__recover_find(self, "backward of blocks", "reverse order", 600, err,
                                         "%zu backward blocks", pairs);
}
