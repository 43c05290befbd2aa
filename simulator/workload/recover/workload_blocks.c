/* SPDX-License-Identifier: MIT
 *
 * Blocks of a recovered workload: every run of one, forward and backward, is the
 * same row.
 */
#include "workload/recover/workload_parts.h"

typedef ps_writing writing;

/* Runs of one block in several steps, and its backward, are one block of the model. */
static ps_str name_of_block(const ps_structure *structure, const ps_structure_block *block)
{
    return block->pair != 0 ? structure->block[block->pair - 1].name : block->name;
}

ps_code ps__write_blocks(writing *self, ps_error *err)
{
    const ps_structure *structure = self->structure;
    for (size_t i = 0; i < structure->block_count; i++) {
        const ps_structure_block *block = &structure->block[i];
        size_t row;
        if ((block->phase == PS_PHASE_BACKWARD && block->pair == 0) ||
            ps_idmap_get(&self->block_of_name, name_of_block(structure, block)) != PS_IDMAP_NONE) {
            continue;
        }
        PS_TRY(ps_workload_add(self->out, PS_WORKLOAD_BLOCK, &row, err));
        PS_TRY(ps_strings_put_z(self->out->strings,
                                ps_strings_text(structure->strings, block->name),
                                &self->out->block.name[row], err));
        PS_TRY(ps_strings_put_z(self->out->strings,
                                ps_strings_text(structure->strings, block->kind),
                                &self->out->block.kind[row], err));
        PS_TRY(ps_idmap_put(&self->block_of_name, name_of_block(structure, block), (uint32_t)row,
                            err));
    }
    return PS_OK;
}

uint32_t ps__write_block_at(const writing *self, ps_ns at)
{
    const ps_structure *structure = self->structure;
    size_t low = 0, high = structure->block_count;
    while (low < high) {
        const size_t mid = low + (high - low) / 2;
        if (structure->block[mid].start_ns <= at) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    if (low == 0 || at >= structure->block[low - 1].end_ns) {
        return 0;
    }
    const uint32_t row =
        ps_idmap_get(&self->block_of_name, name_of_block(structure, &structure->block[low - 1]));
    return row == PS_IDMAP_NONE ? 0 : row + 1;
}
