/* SPDX-License-Identifier: MIT
 *
 * What the eager model tells becomes the rows of a workload: the sink that
 * every builder hands to ps_eager_create.
 */
#ifndef PS_WORKLOAD_RECORD_H
#define PS_WORKLOAD_RECORD_H

#include "workload/eager/eager.h"

typedef struct ps_recorder {
    ps_workload *out;
    const ps_eager *e; /* known once there is one */
    size_t unlabelled; /* tensors from this row on have no label yet */
    ps_eager_phase phase;
    size_t phase_begin; /* tensors from this row on were made in the phase that runs */
    uint32_t last_run;  /* event of the newest op + 1; 0 none */
} ps_recorder;

/** The recorder's sink; the recorder must outlive it. Start with {.out = workload}. */
ps_eager_sink ps_recorder_sink(ps_recorder *self);

/** Gives the tensors that have none yet this label. */
ps_code ps_recorder_label(ps_recorder *self, const char *name, ps_error *err) PS_MUST_USE;

/** Step `number`, from 0, begins here, or when `is_end` ends. */
ps_code ps_recorder_step(ps_recorder *self, int64_t number, bool is_end, ps_error *err) PS_MUST_USE;

#endif
