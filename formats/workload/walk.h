/* SPDX-License-Identifier: MIT
 *
 * A workload's memory and work over a range of its events.
 *
 * Memory here is what the program asks for: sums of tensor bytes, before any
 * allocator rounds them.
 */
#ifndef PS_WORKLOAD_WALK_H
#define PS_WORKLOAD_WALK_H

#include "workload/workload.h"

#define PS_WORKLOAD_PHASE_COUNT (PS_PHASE_OPTIMIZER + 1)

/** Live bytes at a moment, by what they are for. */
typedef struct ps_live_bytes {
    uint64_t total_bytes;
    uint64_t role_bytes[PS_ROLE_COUNT]; /* sums to total_bytes */
} ps_live_bytes;

/** The highest moment of a range of events. */
typedef struct ps_live_peak {
    ps_live_bytes live;
    uint32_t event; /* behind which it was first reached; the range's begin: before any */
} ps_live_peak;

/** What the ops of one phase and kind that a range runs add up to; saturating. */
typedef struct ps_work_sum {
    uint64_t count, launches, flop, moved_bytes;
    ps_ns dur_ns;
} ps_work_sum;

/** Walks the events of a checked workload once, from the first on. */
typedef struct ps_workload_walk {
    const ps_workload *workload; /* borrowed */
    uint32_t next_event;
    ps_live_bytes live; /* before next_event */
} ps_workload_walk;

void ps_workload_walk_init(ps_workload_walk *self, const ps_workload *workload);

/**
 * Walks on to `event` (not below next_event, at most the number of events).
 *
 * @return the highest moment on the way, the one before the first event included
 */
ps_live_peak ps_workload_walk_to(ps_workload_walk *self, uint32_t event);

/** Adds up the ops that events begin .. end - 1 run; all of `sums` is written. */
void ps_workload_work(const ps_workload *workload, uint32_t begin, uint32_t end,
                      ps_work_sum sums[PS_WORKLOAD_PHASE_COUNT][PS_OP_KIND_COUNT]);

#endif
