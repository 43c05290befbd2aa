/* SPDX-License-Identifier: MIT
 *
 * DistributedDataParallel's buckets over recorded gradients: each gradient, in
 * the order in which they become ready, goes into the open bucket of its
 * element type, which closes when it has reached its size after one was added.
 */
#ifndef PS_POLICY_DDP_BUCKETS_H
#define PS_POLICY_DDP_BUCKETS_H

#include "policy/gradients.h"

/** [bytes] at which buckets close: the first of each element type, and the others. */
typedef struct ps_ddp_limits {
    uint64_t first_bytes, other_bytes;
} ps_ddp_limits;

/** 1 MiB, then 25 MiB: PyTorch's, from the second iteration on. */
ps_ddp_limits ps_ddp_limits_rebuilt(void);

/** None: the first iteration has one bucket of each element type, and nothing overlaps. */
ps_ddp_limits ps_ddp_limits_first_iteration(void);

/** One all-reduce. */
typedef struct ps_ddp_bucket {
    uint64_t bytes;
    size_t count;   /* gradients in it */
    size_t closing; /* the last of them */
} ps_ddp_bucket;

/**
 * Fills buckets; they are numbered in the order in which they close, what is left open at the end
 * after those.
 *
 * @param gradient   `count` of them, in order of readiness
 * @param bucket     room for `count`
 * @param bucket_of  receives the bucket of each gradient
 * @return buckets made
 */
size_t ps_ddp_fill(const ps_gradient *gradient, size_t count, ps_ddp_limits limits,
                   ps_ddp_bucket *bucket, size_t *bucket_of);

#endif
