/* SPDX-License-Identifier: MIT
 *
 * Parts of lowering device work (private to this folder).
 *
 *   devices ──────► devices of the plan                    devices.c
 *   device rows ──► kernels, copies and fills in order     device_rows.c
 *   stream lanes ─► which lane a row's task goes to        stream_lanes.c
 *   device tasks ─► one task a row                         device_tasks.c
 */
#ifndef PS_LOWER_DEVICE_PARTS_H
#define PS_LOWER_DEVICE_PARTS_H

#include "lower/lowering.h"

/** Tables of device work; at equal starts their rows come in this order. */
typedef enum ps_device_source {
    PS_SOURCE_KERNEL,
    PS_SOURCE_MEMCPY,
    PS_SOURCE_MEMSET,
    PS_SOURCE_COUNT,
} ps_device_source;

/** One row of the three tables, seen alike. */
typedef struct ps_device_row {
    ps_device_source source;
    size_t row;
    ps_ns start_ns, dur_ns;
    uint32_t device;
    uint64_t stream, correlation;
} ps_device_row;

/** A walk over the three tables by start; next: rows passed of each. */
typedef struct ps_device_rows {
    const ps_trace *trace;
    size_t next[PS_SOURCE_COUNT];
} ps_device_rows;

/** Lanes of a (device, stream); the first of them leads to the others. */
typedef struct ps_stream_lane {
    uint32_t device;
    uint64_t stream;
    uint32_t first_lane;
} ps_stream_lane;

/** All streams: few, so a list searched in order of first use, last hit first. */
typedef struct ps_stream_lanes {
    ps_stream_lane *entry;
    size_t count, capacity, hit;
} ps_stream_lanes;

/** Devices that the trace uses. PS_LIMIT: an ordinal that no machine has. */
ps_code ps__lower_devices(ps_lowering *self, ps_error *err) PS_MUST_USE;

/** The next row by start; false behind the last. What has no length comes before what starts with
 * it. */
bool ps__device_rows_next(ps_device_rows *self, ps_device_row *out);

/**
 * Lane for work that starts at a moment: the first of its stream whose last task has ended, or a
 * new one when all are busy.
 *
 * @param device    row of the plan
 * @param start_ns  from the origin, not before that of earlier calls
 */
ps_code ps__stream_lanes_take(ps_stream_lanes *self, ps_lowering *lowering, uint32_t device,
                              uint64_t stream, ps_ns start_ns, uint32_t *out,
                              ps_error *err) PS_MUST_USE;

void ps__stream_lanes_fini(ps_stream_lanes *self);

#endif
