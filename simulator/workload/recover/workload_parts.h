/* SPDX-License-Identifier: MIT
 *
 * Writing what was recovered as a workload, in parts (private to this folder):
 *
 *   workload.c          facts, and the order of events
 *   workload_blocks.c   blocks, and which of them runs when
 *   workload_tensors.c  tensors
 *   workload_ops.c      operations by their launches
 */
#ifndef PS_RECOVER_WORKLOAD_PARTS_H
#define PS_RECOVER_WORKLOAD_PARTS_H

#include "base/idmap.h"
#include "workload/recover/recover_parts.h"
#include "workload/workload.h"

/** One piece of device work, to be put among the requests by the time of its launch. */
typedef struct ps_launch {
    ps_ns at;
    ps_trace_table_id table; /* kernel, memcpy or memset */
    uint32_t row;
} ps_launch;

/** A workload being written. */
typedef struct ps_writing {
    const ps_trace *trace;
    const ps_plan *plan;
    const ps_structure *structure;
    uint32_t device, ordinal;
    ps_workload *out;
    ps_idmap call_of_correlation;
    ps_idmap block_of_name; /* string of the structure -> row of the workload */
    uint32_t *tensor_of;    /* per buffer: row + 1 */
    uint32_t *event_of_row; /* per memory row: buffer it begins or ends + 1 */
    ps_launch *launches;
    size_t launch_count, next_step;
} ps_writing;

/** All blocks of the model. */
ps_code ps__write_blocks(ps_writing *self, ps_error *err) PS_MUST_USE;

/** Row + 1 of the block that runs at a moment; 0 none. */
uint32_t ps__write_block_at(const ps_writing *self, ps_ns at);

/** The tensor that a buffer is, and the event that it begins by. */
ps_code ps__write_tensor(ps_writing *self, uint32_t buffer, ps_error *err) PS_MUST_USE;

/** Tensors from before the recording; finds which memory rows begin and end the others. */
ps_code ps__write_older(ps_writing *self, ps_error *err) PS_MUST_USE;

/** Lists the device's work, sorted by launch. */
ps_code ps__write_launches(ps_writing *self, ps_error *err) PS_MUST_USE;

/** The operation that a launch hands over, and its event. */
ps_code ps__write_op(ps_writing *self, const ps_launch *from, ps_error *err) PS_MUST_USE;

#endif
