/* SPDX-License-Identifier: MIT
 *
 * Between summary_peak.c and summary_sizes.c only.
 */
#ifndef PS_TRACE_SUMMARY_PARTS_H
#define PS_TRACE_SUMMARY_PARTS_H

#include "trace/trace.h"

/** [bytes] every block of the allocator is a multiple of; block sizes are kept in these units. */
#define PS_BLOCK_UNIT_BYTES 512u

/** True for rows of a device's allocator. */
static inline bool ps_memory_is_of(const ps_memory_table *memory, size_t row, uint32_t device)
{
    return memory->device_kind[row] != PS_DEVICE_HOST && memory->device[row] == device;
}

/** Units of a request, rounded up. */
uint32_t ps_block_units(uint64_t bytes);

/**
 * Sizes of the blocks that a snapshot's allocation and free rows are about.
 *
 * Events tell requested sizes. A block is that, rounded up, plus what the
 * allocator did not split off: in the large pool a rest of at most 1 MiB. The
 * rest is what lies between the request and the next block or the segment's
 * end when the block is allocated, and followed back from the end all of that
 * is known.
 *
 * @param units  one a row of `memory`, all 0 before; those of alloc, free and
 *               free-requested rows of the device are written
 */
ps_code ps_summary_block_sizes(const ps_trace *trace, uint32_t device, uint32_t *units,
                               ps_error *err) PS_MUST_USE;

#endif
