/* SPDX-License-Identifier: MIT
 *
 * Stage 3, in parts (private to this folder):
 *
 *   zero3.c          its life, and the moments of a step
 *   zero3_load.c     each parameter becomes a part of it, and parts one buffer
 *   zero3_modules.c  what modules ask the coordinator for, forward and backward
 *   zero3_bucket.c   gradients go through the bucket to this rank's own
 *   zero3_groups.c   trained parameters by sub-groups: their states, and their steps
 *
 * Which parameters are whole when is the coordinator's: zero3_gather.h.
 */
#ifndef PS_WORKLOAD_ZERO3_H
#define PS_WORKLOAD_ZERO3_H

#include "workload/scheme/offload.h"
#include "workload/scheme/zero3_gather.h"

#define PS_ZERO3_AHEAD 3 /* buckets that the host hands over before it waits for the first */

/** Gradients that are exchanged together. */
typedef struct ps_zero3_bucket {
    ps_tensor buffer; /* that they are copied into; 0: each stays where it is */
    size_t *member;   /* whose they are, by number in ps_units */
    size_t count;
    int64_t elements; /* of them, whole */
    ps_tensor *held;  /* those that found no room in the buffer */
    size_t held_count;
    ps_eager_lane lane;
    uint32_t scattered;               /* mark: part of the newest has gone to the host */
    uint32_t reduced[PS_ZERO3_AHEAD]; /* marks of the newest, the newest last; 0 none */
} ps_zero3_bucket;

/** A sub-group: trained parameters that step together. */
typedef struct ps_zero3_group {
    size_t first, count; /* among trained ones, in the order of the model */
    int64_t elements;    /* of this rank's parts */
} ps_zero3_group;

typedef struct ps_zero3 {
    ps_units units;
    ps_zero3_gather gather;
    ps_tensor *member_part; /* of each member; of trained ones until they are joined */
    ps_tensor part;         /* of all trained parameters */
    ps_zero3_bucket bucket;
    ps_tensor grads;       /* of this rank's part; none where the optimizer is the host's */
    bool adds;             /* a micro-batch of the step came before */
    int64_t *own_elements; /* of each trained parameter, those of this rank's part */
    ps_zero3_group *group;
    size_t group_count;
    size_t *group_of;   /* of each trained parameter */
    ps_model of;        /* 32-bit copies, one a sub-group ... */
    ps_offload offload; /* ... or, where the optimizer is the host's, all that it has */
} ps_zero3;

static inline ps_zero3 *ps_zero3_of(const ps_scheme *self)
{
    return self->state;
}

/** Parameters are whole, the same on all ranks, then parts of them, in the order they are made. */
void ps_zero3_divide(ps_scheme *self);
/** Parts of trained parameters become one buffer. They are divided. */
void ps_zero3_join_parts(ps_scheme *self);
/** Where one rank has all of every parameter, always, they lie in that buffer. */
void ps_zero3_lay_whole(ps_scheme *self);

/** Sets the hooks of modules, forward and backward. */
void ps_zero3_hook_modules(ps_scheme *self);

/** The bucket's buffer, and this rank's gradients. */
void ps_zero3_make_gradients(ps_scheme *self);
/** The engine's taker of gradients; `context` is the scheme. */
void ps_zero3_take_grad(void *context, ps_tensor leaf, ps_tensor owned);
/** Backward has ended: what is left in the bucket is reduced. */
void ps_zero3_reduce_rest(ps_scheme *self);

/** Which parameters step together, and the optimizer's states of them. Parts are joined. */
void ps_zero3_make_groups(ps_scheme *self);
/** Norms, then steps of all sub-groups, one after the other. */
void ps_zero3_step_groups(ps_scheme *self, ps_optimizer *optimizer);

#endif
