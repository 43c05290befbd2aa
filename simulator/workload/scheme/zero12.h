/* SPDX-License-Identifier: MIT
 *
 * Stages 1 and 2, in parts (private to this folder):
 *
 *   zero12.c         their life, backward's end, and the step
 *   zero12_load.c    parameters become one flat buffer
 *   zero12_bucket.c  gradients go through the bucket
 */
#ifndef PS_WORKLOAD_ZERO12_H
#define PS_WORKLOAD_ZERO12_H

#include "workload/scheme/offload_flat.h"

typedef struct ps_zero12 {
    bool defers; /* stage 1: gradients are exchanged when all of a step are there */
    ps_model of; /* one 32-bit copy */
    ps_tensor flat;
    int64_t part;        /* elements of a rank's part */
    int64_t *begin;      /* of each trained parameter in the flat buffer, and its end */
    ps_tensor buffer[2]; /* stage 2: buckets, from backward's beginning to its end */
    ps_tensor large;     /* stage 2: a gradient larger than the bucket */
    size_t *index;       /* by tensor: number of the trained parameter it is + 1; 0 none */
    size_t index_count;
    size_t *bucket; /* parameters in it */
    size_t bucket_count;
    int64_t bucket_elements;
    ps_tensor fresh;       /* stage 2: gradients of this rank's parameters, of this backward */
    ps_tensor averaged;    /* ... of those before */
    ps_tensor padding;     /* behind the last rank's */
    int64_t *own_elements; /* of this rank's parameters, those in its part */
    size_t own_count;
    ps_eager_lane lane;
    ps_offload_flat offload; /* where the optimizer is the host's: in place of `of` and gradients */
    bool adds;               /* a micro-batch of the step came before */
} ps_zero12;

static inline ps_zero12 *ps_zero12_of(const ps_scheme *self)
{
    return self->state;
}

/** Elements of a parameter in a rank's part. */
static inline int64_t ps_zero12_shared(const ps_zero12 *z, size_t parameter, int64_t rank)
{
    const int64_t low = rank * z->part, high = low + z->part;
    const int64_t begin = z->begin[parameter] > low ? z->begin[parameter] : low;
    const int64_t end = z->begin[parameter + 1] < high ? z->begin[parameter + 1] : high;
    return end > begin ? end - begin : 0;
}

static inline bool ps_zero12_is_mine(const ps_scheme *self, size_t parameter)
{
    return ps_zero12_shared(ps_zero12_of(self), parameter, self->place) > 0;
}

static inline uint64_t ps_zero12_element_bytes(const ps_scheme *self)
{
    return ps_dtype_bytes(ps_zero_type(self));
}

static inline int64_t ps_zero12_elements_of(const ps_scheme *self, size_t parameter)
{
    return ps_eager_elements(self->e, self->m->parameter[parameter]);
}

/** Parameters are broadcast, divided between the ranks, and become places of one flat buffer. */
void ps_zero12_load(ps_scheme *self);

/** Buckets are made when the first gradient of a backward pass comes. */
void ps_zero12_make_buckets(ps_scheme *self);
/** A gradient goes into the bucket, which is reduced when it is full. */
void ps_zero12_take(ps_scheme *self, size_t parameter, ps_tensor owned);
/** The bucket is summed, and gradients of this rank's part are kept, or go to the host. */
void ps_zero12_reduce_bucket(ps_scheme *self);

#endif
