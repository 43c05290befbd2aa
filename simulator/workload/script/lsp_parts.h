/* SPDX-License-Identifier: MIT
 *
 * LSP-Offload from inside (private to this folder).
 *
 *   lsp.c           the policy: what each linear module has, and its four acts
 *   lsp_schedule.c  which act stands where
 *   lsp_sketch.c    kernels of the projectors
 */
#ifndef PS_WORKLOAD_LSP_PARTS_H
#define PS_WORKLOAD_LSP_PARTS_H

#include "workload/eager/eager_parts.h"
#include "workload/eager/ops.h"
#include "workload/eager/ops_host.h"
#include "workload/eager/ops_matrix.h"
#include "workload/script/lsp.h"

/** What happens to a gradient between a linear module's backward and its next forward pass. */
typedef enum ps_lsp_act {
    PS_LSP_OFF = 0, /* to the host */
    PS_LSP_UPD,     /* the host's Adam */
    PS_LSP_UPL,     /* to the device */
    PS_LSP_APP,     /* into the weight */
} ps_lsp_act;

/** One act of one linear module. */
typedef struct ps_lsp_item {
    ps_lsp_act act;
    uint32_t linear;
} ps_lsp_item;

/** Acts that wait for a moment of a linear module. */
typedef struct ps_lsp_queue {
    ps_lsp_item *item;
    size_t count, capacity;
} ps_lsp_queue;

/** A projector of `wide` columns: r numbers of each, and the rows they are in. */
typedef struct ps_lsp_sketch {
    ps_tensor index, value;
    int64_t wide;
} ps_lsp_sketch;

/** One linear module. */
typedef struct ps_lsp_linear {
    ps_tensor weight;
    int64_t in, out;
    uint32_t block;
    ps_lsp_sketch left, right;   /* of its inputs, of its outputs */
    ps_tensor pinned, moment[2]; /* on the host: gradient, then difference; Adam's states */
    ps_tensor staged;            /* gradient on the device until it leaves */
    ps_tensor delta;             /* difference on the device until it is applied */
    uint32_t staged_mark, off_mark, upd_mark, upl_mark;
    ps_lsp_queue before_forward, after_backward;
} ps_lsp_linear;

#define PS_LSP_STAGED 2 /* gradients that may wait on the device for the link, in the ideal */

struct ps_lsp {
    ps_model *m;
    ps_eager *e;
    const ps_lsp_settings *settings;
    ps_linear_function function;
    ps_lsp_linear *linear;
    uint32_t count;
    ps_tensor leaving[PS_LSP_STAGED]; /* of the ideal: gradients whose copies may still run */
    uint32_t leaving_mark[PS_LSP_STAGED];
    size_t left; /* how many have left, over the whole run */
    uint32_t applied_mark;
};

/** Elements of what crosses the link for a linear module. */
int64_t ps_lsp_elements(const ps_lsp *self, uint32_t linear);

/* ---- acts ---- */

void ps_lsp_do(ps_lsp *self, ps_lsp_item item);

/* ---- the schedule ---- */

/**
 * Backward of a linear module has its gradient: puts its acts where the settings say.
 *
 * @return false out of memory
 */
bool ps_lsp_schedule(ps_lsp *self, uint32_t linear);

/** Does what waits, in order. */
void ps_lsp_run_queue(ps_lsp *self, ps_lsp_queue *queue);

/** What the ideal leaves to the end of backward: of linears before the point, the first needed first. */
void ps_lsp_run_end(ps_lsp *self);

void ps_lsp_queue_fini(ps_lsp_queue *self);

/* ---- projectors ---- */

/** Makes a projector of `wide` columns in the weight's type. */
ps_lsp_sketch ps_lsp_sketch_make(ps_lsp *self, ps_dtype dtype, int64_t wide);

/** left @ x.T, of rows of `in`: what backward keeps. Owned by the caller. */
ps_tensor ps_lsp_compress_left(ps_lsp *self, const ps_lsp_linear *of, ps_tensor x);

/** The gradient of d x d in the type of `grad`, of that and what was kept. Owned by the caller. */
ps_tensor ps_lsp_compress_right(ps_lsp *self, const ps_lsp_linear *of, ps_tensor grad);

/** A difference of d x d spread to in x out. Borrows it; owned by the caller. */
ps_tensor ps_lsp_spread(ps_lsp *self, const ps_lsp_linear *of, ps_tensor narrow);

/** The check of all projectors on fresh gradients, and their fit. */
void ps_lsp_fit(ps_lsp *self);

#endif
