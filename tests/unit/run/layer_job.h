/* SPDX-License-Identifier: MIT
 *
 * A recording of a job of equal layers, made up: each has one linear layer with
 * a weight of 4 MB and a bias of 4 kB, and one kernel a pass.
 */
#ifndef PS_TESTS_LAYER_JOB_H
#define PS_TESTS_LAYER_JOB_H

#include "make_trace.h"

#define LAYERS 4u
#define WEIGHT_BYTES ((uint64_t)4000000)
#define BIAS_BYTES ((uint64_t)4000)
#define LAYER_BYTES (WEIGHT_BYTES + BIAS_BYTES)
#define EMBEDDING_NS ((ps_ns)10000000) /* so long that the host is done before it ends */

typedef struct layer_job {
    const char *shapes; /* of the linear layer's operator; NULL: not recorded */
    bool has_modules;   /* a range for each layer's forward pass */
    bool trains;        /* backward and an optimizer; else forward alone */
    bool has_adapters;  /* which alone are trained */
    bool has_threads;   /* backward is autograd's, on a thread of its own */
    bool perturbs;      /* forward twice, between changes of all parameters in place */
    bool changes_more;  /* and of the first layer's weight once more, at the end */
    bool shares;        /* the last layer works with the first one's weight */
    bool freezes;       /* the last layer's weight is not trained */
    bool hides;         /* no operator tells that gradients of the shared weight are added */
    unsigned steps;
    ps_ns kernel_ns; /* of a layer's pass, and of the optimizer */
    uint64_t resident_bytes;
} layer_job;

/** One step, forward, kernels of 1 ms, everything recorded. */
extern const layer_job layer_job_forward;

/** A step: "embedding", layers' "gemm" or "add", "adam", "last". */
ps_trace *layer_job_trace(const layer_job *of);

#endif
