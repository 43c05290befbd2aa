/* SPDX-License-Identifier: MIT
 *
 * What the allocator held when a recording began.
 *
 * A memory snapshot holds the segments and blocks at the end and the events
 * that led there. Undoing the events from the last to the first gives the
 * segments at the start exactly, and the blocks up to one doubt: a large-pool
 * block freed while recording shows only its requested size, and may own up
 * to 1 MiB of slack behind it. The doubt is settled by the gap (a free block
 * of the large pool is always larger than 1 MiB) or by the first allocation
 * inside it; what stays open is counted.
 *
 * The same walk proves the recording consistent. A damaged or fabricated one
 * is refused with the reason, never simulated.
 */
#ifndef PS_ALLOC_START_STATE_H
#define PS_ALLOC_START_STATE_H

#include "alloc/allocator.h"
#include "trace/trace.h"

/** Which events of a trace belong to the allocator in question. */
typedef struct ps_alloc_device {
    uint8_t kind; /* ps_device_kind */
    uint32_t ordinal;
} ps_alloc_device;

/** One segment at the start; its blocks are block[first_block .. +block_count). */
typedef struct ps_start_segment {
    ps_alloc_segment_info info;
    size_t first_block;
    size_t block_count;
    uint64_t range_addr; /* see ps_alloc_seed; 0 unless expandable */
} ps_start_segment;

/** A live block that may own slack nobody recorded; a free block follows it. */
typedef struct ps_start_doubt {
    size_t block;        /* index; its size counts no unknown slack */
    uint64_t most_bytes; /* [bytes] slack it may own, a multiple of 512, at most 1 MiB */
} ps_start_doubt;

/** The recovered state. Segments ascend by address. */
typedef struct ps_start_state {
    ps_start_segment *segment;
    size_t segment_count;
    ps_alloc_block_info *block;
    size_t block_count;
    uint64_t reserved_bytes;
    uint64_t active_bytes;
    uint64_t requested_bytes;
    ps_start_doubt *doubt; /* by address */
    size_t doubt_count;
    uint64_t doubtful_bytes; /* [bytes] most that active_bytes may lack on account of them */
} ps_start_state;

/**
 * Recovers the start state of one device.
 *
 * @param trace     memory, segment and block tables; memory-sizes = requested
 * @param settings  of the recorded run: rounding and splitting depend on them
 * @param out       written only on PS_OK; release with ps_start_state_fini
 * @return PS_OK · PS_BAD_INPUT the recording contradicts itself; the message says where ·
 *         PS_UNSUPPORTED no final segments although there are events that need them · PS_NOMEM
 */
ps_code ps_start_state_recover(const ps_trace *trace, ps_alloc_device device,
                               const ps_alloc_settings *settings, ps_start_state *out,
                               ps_error *err) PS_MUST_USE;

/** Puts the recovered segments into an empty model. */
ps_code ps_start_state_seed(const ps_start_state *self, ps_allocator *model,
                            ps_error *err) PS_MUST_USE;

/**
 * Gives a doubtful block more of the free block behind it.
 *
 * @param bytes  [bytes] multiple of 512, at most the doubt's most_bytes
 */
void ps_start_state_widen(ps_start_state *self, size_t doubt, uint64_t bytes);

void ps_start_state_fini(ps_start_state *self);

#endif
