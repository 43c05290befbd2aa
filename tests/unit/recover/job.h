/* SPDX-License-Identifier: MIT
 *
 * A training job in miniature, recorded in different ways, for tests of the
 * recovery. Three parameters, three layers, two steps:
 *
 *   set-up     parameters of PARAMETER_BYTES each
 *   forward    an input from the host; a layer makes a temporary and an activation
 *   backward   layers in reverse: a temporary, a gradient; the activation goes
 *   optimizer  a temporary; in the first step two states a parameter; then the gradients go
 */
#ifndef PS_TESTS_RECOVER_JOB_H
#define PS_TESTS_RECOVER_JOB_H

#include "unit/run/make_trace.h"

#include "trace/file.h"
#include "workload/recover/structure.h"

#define JOB_LAYERS 3u
#define JOB_STEPS 3u
#define PARAMETER_BYTES ((uint64_t)1 << 20)
#define ACTIVATION_BYTES ((uint64_t)3 << 20)
#define SCRATCH_BYTES ((uint64_t)768 << 10)
#define INPUT_BYTES ((uint64_t)64 << 10)
#define BACKWARD_SCRATCH_BYTES ((uint64_t)640 << 10)

/* What the recorder wrote down beside the requests. */
typedef struct job_marks {
    bool steps;     /* ProfilerStep#N */
    bool phases;    /* "forward", "backward", "optimizer" */
    bool optimizer; /* Optimizer.step#SGD.step */
    bool stacks;    /* frames */
    bool modules;   /* "layers.0 (Layer)" */
    bool sequences; /* autograd sequence numbers */
    bool no_backward, no_optimizer;
} job_marks;

/** Records the job. */
ps_trace *job_trace(job_marks marks);

/** A trace, its plan and its structure. */
typedef struct recovered {
    ps_trace *trace;
    ps_plan *plan;
    ps_structure found;
} recovered;

/** Lowers and recovers; consumes the trace. */
recovered recover_trace(ps_trace *trace, const struct ps_overrides *overrides);

void recovered_end(recovered *self);

/** How many buffers of that size have the role. */
size_t count_role(const recovered *self, uint64_t bytes, ps_role role);

/** How many buffers of that size there are. */
size_t count_size(const recovered *self, uint64_t bytes);

/** Confidence of the first finding about something, or 0; *how is how it was found. */
ps_permille sure_of(const recovered *self, const char *what, const char **how);

#endif
