/* SPDX-License-Identifier: MIT
 *
 * A scheme at work: what a data-parallel framework adds to a training script,
 * at the moments at which the framework has its hooks.
 *
 *   load            wrap
 *   micro-batch     begin_forward  (enter_block leave_block)*  end_forward
 *                   begin_backward (block_backward block_done)*  end_backward
 *   step            begin_step  optimizer over ps_scheme_trained  end_step
 */
#ifndef PS_WORKLOAD_SCHEME_H
#define PS_WORKLOAD_SCHEME_H

#include "workload/model/model.h"
#include "workload/optimizer/optimizer.h"

typedef struct ps_scheme ps_scheme;

/** One axis of the grid of ranks, as the workload's table has it. */
typedef struct ps_scheme_axis {
    const char *name;
    uint32_t size, place;
} ps_scheme_axis;

#define PS_SCHEME_AXES 3

/** Refuses what cannot be run by the recipe's scheme. PS_OK · PS_USAGE */
ps_code ps_scheme_check(const ps_recipe *recipe, ps_error *err) PS_MUST_USE;

/**
 * Wraps a loaded model: parameters are broadcast, divided, laid into buffers.
 *
 * @param m    outlives the scheme; with ps_parallel_shards its parameters have no storage yet
 * @param out  NULL where the recipe has one rank
 * @return PS_OK · PS_USAGE · PS_NOMEM · what the sink says
 */
ps_code ps_scheme_create(ps_model *m, ps_scheme **out, ps_error *err) PS_MUST_USE;

/** NULL is fine. */
void ps_scheme_destroy(ps_scheme *self);

/** Axes of the grid, the fastest first. Returns how many. */
size_t ps_scheme_axes(const ps_scheme *self, ps_scheme_axis axis[PS_SCHEME_AXES]);

/** What the optimizer steps over: the model itself, or this rank's shards of it. */
ps_model *ps_scheme_trained(ps_scheme *self);

/** True when the scheme keeps 32-bit copies of 16-bit weights itself. NULL: false. */
bool ps_scheme_has_masters(const ps_scheme *self);

/* All below: a NULL scheme is fine, and does nothing. */

/** @param syncs  gradients of this micro-batch are exchanged */
void ps_scheme_begin_forward(ps_scheme *self, bool syncs);
/** @param out  what the program gets, which may be other tensors then */
void ps_scheme_end_forward(ps_scheme *self, ps_model_output *out);
void ps_scheme_begin_backward(ps_scheme *self);
void ps_scheme_end_backward(ps_scheme *self);
/** Before gradients are clipped. */
void ps_scheme_begin_step(ps_scheme *self);
/** One number of 32 bits that a rank has of its gradients becomes that of all: a norm, a flag. */
void ps_scheme_reduce_number(ps_scheme *self);
/** True when the scheme takes the step itself, with clipping and all. */
bool ps_scheme_step(ps_scheme *self, ps_optimizer *optimizer);
void ps_scheme_end_step(ps_scheme *self);
/** After zero_grad(). */
void ps_scheme_grads_gone(ps_scheme *self);

#endif
