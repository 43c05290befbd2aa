/* SPDX-License-Identifier: MIT
 *
 * PyTorch's first fully sharded scheme, in parts (private to this folder):
 *
 *   fsdp1.c           its life, and forward
 *   fsdp1_flat.c      how parameters become a flat tensor that is divided
 *   fsdp1_gather.c    units that become whole, and whose memory goes back late
 *   fsdp1_backward.c  when backward gathers a unit, and takes its gradients
 *   fsdp1_reduce.c    gradients become a flat one, which is reduced and scattered
 */
#ifndef PS_WORKLOAD_FSDP1_H
#define PS_WORKLOAD_FSDP1_H

#include "workload/scheme/fsdp.h"
#include "workload/scheme/units.h"

#define PS_FSDP1_UNSHARD PS_EAGER_GROUP
#define PS_FSDP1_PRE_UNSHARD (PS_EAGER_GROUP + 1)
#define PS_FSDP1_POST_BACKWARD (PS_EAGER_GROUP + 2)
#define PS_FSDP1_REDUCE (PS_EAGER_GROUP + 3)

enum { PS_FSDP1_IN_FLIGHT = 2 };

typedef struct ps_fsdp1_unit {
    ps_tensor flat;     /* empty while the unit is not gathered */
    ps_tensor shard;    /* this rank's part */
    ps_tensor grad;     /* flat, of micro-batches that are not exchanged too */
    ps_tensor own_grad; /* this rank's part of it, reduced */
    int64_t elements;   /* of the flat tensor, padded */
    int64_t padding;
    size_t trained, come;         /* gradients that it has, and those that are there */
    bool is_prefetched, is_ready; /* gathered ahead; backward has reached it */
    bool needs_gather;            /* for backward */
    bool is_entered;              /* by a tensor that wants a gradient */
} ps_fsdp1_unit;

typedef struct ps_fsdp1 {
    ps_units units;
    ps_model of;
    ps_fsdp1_unit *unit;
    int64_t *begin;         /* of each member in its flat tensor */
    ps_tensor *piece;       /* gradient of each member, until all of its unit are there */
    size_t *turn, *turn_of; /* units in the order of forward */
    size_t turn_count;
    bool knows_order;
    ps_tensor freed[PS_FSDP1_IN_FLIGHT]; /* memory of units that were freed, the oldest first */
    size_t freed_count, freed_turn;
    ps_tensor reducing; /* the last flat gradient that went into a reduce-scatter */
} ps_fsdp1;

static inline ps_fsdp1 *ps_fsdp1_of(const ps_scheme *self)
{
    return self->state;
}

/** Of parameters while they are divided, and of the gradients that the optimizer sees. */
static inline ps_dtype ps_fsdp1_stored_type(const ps_scheme *self)
{
    const ps_fsdp_settings *s = &self->settings->fsdp;
    return s->has_param_dtype ? s->stored_dtype
                              : ps_eager_dtype(self->e, ps_fsdp1_of(self)->unit[0].flat);
}

/** [bytes] of a unit that is gathered. */
static inline uint64_t ps_fsdp1_flat_bytes(const ps_scheme *self, const ps_fsdp1_unit *u)
{
    return (uint64_t)u->elements * ps_dtype_bytes(ps_eager_dtype(self->e, u->flat));
}

/**
 * A unit's parameters come to the device, are broadcast, become parts of a flat tensor, and this rank
 * keeps its part of that.
 */
void ps_fsdp1_flatten_unit(ps_scheme *self, size_t which);

/** Parameters that cannot be one flat tensor are refused. PS_OK · PS_USAGE */
ps_code ps_fsdp1_check_types(const ps_scheme *self, ps_error *err) PS_MUST_USE;

/** A unit becomes whole, unless it is. */
void ps_fsdp1_gather(ps_scheme *self, ps_fsdp1_unit *u);
/** The same before it is its turn ... */
void ps_fsdp1_prefetch(ps_scheme *self, ps_fsdp1_unit *u);
/** ... in backward, which may have been there already. */
void ps_fsdp1_prefetch_for_backward(ps_scheme *self, ps_fsdp1_unit *u);

/** A unit is not gathered ahead any more; its memory goes, late, when `frees`. */
void ps_fsdp1_reshard(ps_scheme *self, ps_fsdp1_unit *u, bool frees);
/** All memory that waits to go goes. */
void ps_fsdp1_drop_freed(ps_scheme *self);

/** Memory that is there for a moment. */
void ps_fsdp1_show(ps_scheme *self, int64_t elements, ps_dtype dtype);

/** Hooks of the engine; `context` is the scheme. */
void ps_fsdp1_take_grad(void *context, ps_tensor leaf, ps_tensor owned);
void ps_fsdp1_on_mark(void *context, uint32_t mark);
void ps_fsdp1_end_backward(void *context);

/**
 * Backward of the split: pieces, and zeros where there are none, are put together.
 *
 * @return owned; the flat gradient
 */
ps_tensor ps_fsdp1_flatten_grads(ps_scheme *self, size_t which);

/** The unit's flat gradient is reduced and scattered; it stays until the next one is there. */
void ps_fsdp1_reduce(ps_scheme *self, ps_fsdp1_unit *u);

#endif
