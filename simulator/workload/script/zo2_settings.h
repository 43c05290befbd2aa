/* SPDX-License-Identifier: MIT
 *
 * What ZO2 leaves to its user, under its names, and what a study of it switches off.
 */
#ifndef PS_WORKLOAD_ZO2_SETTINGS_H
#define PS_WORKLOAD_ZO2_SETTINGS_H

#include "workload/eager/eager.h"

/** All zero is the released code with its defaults. */
typedef struct ps_zo2_settings {
    bool is_serial; /* overlap=false: one queue, and the host waits for every copy */
    bool is_bucket; /* communicate_optimize_method=bucket: a block crosses as one tensor */
    /** precision_on_offloading_device; not given: fp16 under autocast, else the weights' own type. */
    bool has_host_dtype;
    ps_dtype host_dtype;
    bool has_blocks; /* offloading_blocks: those from first to last; not given: all */
    int64_t first_block, last_block;
    bool asks_driver; /* reuse_memory=false: a block's tensors come from the driver, and go there */
    bool updates_apart;     /* fused_update=false: a second visit to each block for the update */
    bool waits_for_offload; /* wait_for_offload=true: memory is free when its copy is done */
} ps_zo2_settings;

/** Whether a block lies on the host; the others stay on the device. */
static inline bool ps_zo2_offloads(const ps_zo2_settings *self, int64_t block)
{
    return !self->has_blocks || (block >= self->first_block && block <= self->last_block);
}

#endif
