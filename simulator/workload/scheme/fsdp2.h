/* SPDX-License-Identifier: MIT
 *
 * PyTorch's second fully sharded scheme, in parts (private to this folder):
 *
 *   fsdp2.c         its life, and what forward and backward do when
 *   fsdp2_gather.c  the parameters of a unit become whole, and go
 *   fsdp2_reduce.c  the gradients of a unit go into one buffer, which is reduced and scattered
 */
#ifndef PS_WORKLOAD_FSDP2_H
#define PS_WORKLOAD_FSDP2_H

#include "workload/scheme/fsdp.h"
#include "workload/scheme/units.h"

/* Lanes beside the main one. */
#define PS_FSDP2_COPY_IN PS_EAGER_GROUP
#define PS_FSDP2_GATHER (PS_EAGER_GROUP + 1)
#define PS_FSDP2_SCATTER (PS_EAGER_GROUP + 2)
#define PS_FSDP2_REDUCE (PS_EAGER_GROUP + 3)

typedef enum ps_fsdp2_moment {
    PS_FSDP2_IDLE,
    PS_FSDP2_FORWARD,
    PS_FSDP2_PRE_BACKWARD,
    PS_FSDP2_POST_BACKWARD
} ps_fsdp2_moment;

typedef struct ps_fsdp2_unit {
    ps_fsdp2_moment now;
    bool is_gathered; /* its parameters are whole */
    ps_tensor buffer; /* of a gather that nobody has awaited */
    ps_tensor kept;   /* what an all-reduce was given, until backward ends */
    size_t order;     /* its turn in forward */
} ps_fsdp2_unit;

/** One parameter's part on this rank. */
typedef struct ps_fsdp2_part {
    ps_tensor padded;      /* as large as the first rank's */
    ps_tensor accumulated; /* of a gradient that was not exchanged, in the type of the exchange */
    int64_t padded_elements;
} ps_fsdp2_part;

typedef struct ps_fsdp2 {
    ps_units units;
    ps_model of;
    ps_fsdp2_unit *unit;
    ps_fsdp2_part *part; /* of each member */
    size_t *turn;        /* units in the order of forward */
    size_t turn_count;
    ps_tensor before;   /* buffer of the last gather of forward */
    ps_tensor reducing; /* buffer of the last reduce-scatter of backward */
} ps_fsdp2;

static inline ps_fsdp2 *ps_fsdp2_of(const ps_scheme *self)
{
    return self->state;
}

/** [bytes] of a part of a parameter as it is gathered. */
static inline uint64_t ps_fsdp2_padded_bytes(const ps_scheme *self, size_t member)
{
    const ps_fsdp2 *f = ps_fsdp2_of(self);
    return (uint64_t)f->part[member].padded_elements *
           ps_dtype_bytes(ps_eager_dtype(self->e, f->units.member[member].tensor));
}

/** A unit's parameters are on their way, unless they are there. */
void ps_fsdp2_gather(ps_scheme *self, size_t which);
/** They are there; in forward the buffer they came by stays until the next unit's is there. */
void ps_fsdp2_await(ps_scheme *self, size_t which);
/** The buffer of the last gather of forward goes. */
void ps_fsdp2_drop_before(ps_scheme *self);
/** A unit's parameters go. */
void ps_fsdp2_reshard(ps_scheme *self, size_t which);

/**
 * Kernels over the parts of many tensors are told what each of their blocks does.
 *
 * @param blocks   of them all, a number each
 * @param numbers  besides
 */
void ps_fsdp2_tell_blocks(ps_scheme *self, const char *name, uint64_t moved_bytes, int64_t blocks,
                          int64_t numbers);
/** Blocks of such a kernel over one part of so many bytes. */
int64_t ps_fsdp2_blocks_of(uint64_t bytes);

/** A gradient of an earlier micro-batch waits in the type of the exchange; this one is added to it. */
void ps_fsdp2_add_accumulated(ps_scheme *self, size_t member);
/** A gradient that is not exchanged now waits in that type. */
void ps_fsdp2_accumulate(ps_scheme *self, size_t member);
/** The unit's gradients are exchanged; its parameters go. */
void ps_fsdp2_reduce(ps_scheme *self, size_t which);

#endif
