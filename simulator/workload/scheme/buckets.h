/* SPDX-License-Identifier: MIT
 *
 * Buckets of gradients: parameters one after the other into the open bucket of
 * their type, which closes when it has reached its size after one was added.
 */
#ifndef PS_WORKLOAD_BUCKETS_H
#define PS_WORKLOAD_BUCKETS_H

#include "workload/model/model.h"

#define PS_BUCKETS_NONE SIZE_MAX

typedef struct ps_bucket {
    size_t first, parameter_count; /* in ps_buckets.parameter */
    int64_t elements;
    ps_dtype dtype;
} ps_bucket;

/** Which bucket a trained parameter is in; they are numbered as in ps_model. */
typedef struct ps_buckets {
    ps_bucket *bucket;
    size_t count;
    size_t *parameter; /* those of a bucket together */
    size_t *bucket_of; /* parameter */
    size_t *index;     /* by tensor: number of the trained parameter it is + 1; 0 none */
    size_t index_count;
} ps_buckets;

/**
 * Makes room for a model's trained parameters.
 *
 * @param self  zeroed; release with ps_buckets_fini, also after a failure
 * @return PS_OK · PS_NOMEM
 */
ps_code ps_buckets_create(ps_buckets *self, const ps_model *m, ps_error *err) PS_MUST_USE;
void ps_buckets_fini(ps_buckets *self);

/**
 * Fills buckets anew.
 *
 * @param order  parameters in the order in which they go in; NULL: that of the model
 * @param limit  [bytes] at which the first bucket closes, and at which the others do
 */
void ps_buckets_fill(ps_buckets *self, const ps_model *m, const size_t *order, size_t count,
                     const uint64_t limit[2]);

/** The last bucket becomes the first. */
void ps_buckets_reverse(ps_buckets *self);

/** Number of the trained parameter that a tensor is; PS_BUCKETS_NONE: it is none. */
size_t ps_buckets_find(const ps_buckets *self, ps_tensor leaf);

#endif
