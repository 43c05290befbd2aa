/* SPDX-License-Identifier: MIT
 *
 * One side of the comparison: what a training does, as a model's workload tells
 * it or as a recording does.
 */
#ifndef PS_ACCURACY_SIDE_H
#define PS_ACCURACY_SIDE_H

#include "workload/script/build.h"
#include "workload/walk.h"

enum { STEPS_MAX = 16 };

/** Moments of a step at which memory is read. */
typedef enum moment {
    MOMENT_LOADED,    /* the first batch is there, forward begins; of the first step only */
    MOMENT_FORWARD,   /* backward begins */
    MOMENT_BACKWARD,  /* the optimizer begins */
    MOMENT_OPTIMIZER, /* the optimizer ends, gradients are still there */
    MOMENT_COUNT
} moment;

/** Kinds of device work that names and tables tell apart on both sides. */
typedef enum work_kind {
    WORK_MATMUL,
    WORK_ATTENTION,
    WORK_COPY, /* from the host, inside the device, to another type or layout */
    WORK_FILL,
    WORK_OTHER, /* element by element, norms, reductions, lookups */
    WORK_KIND_COUNT
} work_kind;

typedef struct side {
    ps_workload *workload;
    size_t steps;
    uint64_t live_bytes[STEPS_MAX][MOMENT_COUNT];
    ps_live_peak peak;
    uint64_t launches[STEPS_MAX][PS_WORKLOAD_PHASE_COUNT][WORK_KIND_COUNT];
} side;

/** Kind of an op of a workload. */
work_kind work_kind_of(const ps_workload *workload, uint32_t op);

/** Builds what a description says. `out` goes to side_fini, also after a failure. */
ps_code side_of_model(const ps_build *what, side *out, ps_error *err) PS_MUST_USE;

/** Reads a recording; its steps, phases and roles are recovered. As above. */
ps_code side_of_trace(const char *path, side *out, ps_error *err) PS_MUST_USE;

/** Fills what follows from the workload: peak and launches. */
ps_code side_count(side *self, ps_error *err) PS_MUST_USE;

void side_fini(side *self);

/**
 * Compares all allocations and frees, in order and to the byte; between two allocations the same
 * tensors end, in any order. Of the program's end the model knows the script's variables alone, the
 * recording sees the model and the optimizer go as well.
 *
 * @param equal  allocations and frees before the first difference
 * @return true when there is none
 */
bool events_agree(const ps_workload *model, const ps_workload *recorded, size_t *equal);

#endif
