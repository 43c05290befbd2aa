/* SPDX-License-Identifier: MIT
 *
 * One layer of attention and one of feed-forward as a profiler records them,
 * for any batch and sequence: what the tests scale, and what must come out.
 */
#ifndef PS_TESTS_SCALE_MODEL_H
#define PS_TESTS_SCALE_MODEL_H

#include "unit/run/hardware.h"
#include "unit/run/make_trace.h"

#include "workload/recover/structure.h"

#define WIDTH 128u
#define HEADS 8u
#define INNER 512u
#define WORDS 1000u
#define LAYERS 2u

/** What is recorded of a run. */
typedef struct recording {
    uint64_t batch, sequence;
    bool has_shapes;
    bool has_blocks; /* sizes rounded to 512 bytes, and large ones sometimes not split */
    bool has_frames;
} recording;

/** The recorded trace. */
ps_trace *model_trace(recording what);

/** A trace with its plan and structure. */
typedef struct model {
    ps_trace *trace;
    ps_plan *plan;
    ps_structure structure;
} model;

model model_open(ps_trace *trace);
void model_close(model *self);

/** Another batch and sequence, as the command asks for it; 0: not said. */
typedef struct target {
    uint64_t batch, sequence, recorded_batch, recorded_sequence;
} target;

ps_whatif_scale model_scale(const model *self, target to);

#endif
