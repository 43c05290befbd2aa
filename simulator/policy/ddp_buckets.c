/* SPDX-License-Identifier: MIT
 *
 * DistributedDataParallel's buckets over recorded gradients.
 */
#include "policy/ddp_buckets.h"

#include <stdbool.h>

#define MIB ((uint64_t)1 << 20)
#define MAX_TYPES 8u

ps_ddp_limits ps_ddp_limits_rebuilt(void)
{
    return (ps_ddp_limits){.first_bytes = MIB, .other_bytes = 25 * MIB};
}

ps_ddp_limits ps_ddp_limits_first_iteration(void)
{
    return (ps_ddp_limits){.first_bytes = UINT64_MAX, .other_bytes = UINT64_MAX};
}

/* The open bucket of one element type. */
typedef struct accumulator {
    uint32_t element_bytes;
    bool has_closed_one;
    ps_ddp_bucket open;
} accumulator;

/* The accumulator of a type; types beyond the table share its last one. */
static accumulator *find(accumulator *all, size_t *count, uint32_t element_bytes)
{
    for (size_t i = 0; i < *count; i++) {
        if (all[i].element_bytes == element_bytes) {
            return &all[i];
        }
    }
    if (*count < MAX_TYPES) {
        all[*count] = (accumulator){.element_bytes = element_bytes};
        return &all[(*count)++];
    }
    return &all[MAX_TYPES - 1];
}

/* `bucket_of` of an open gradient is the one before it in its bucket. */
static void close_bucket(accumulator *of, ps_ddp_bucket *bucket, size_t *bucket_count,
                         size_t *bucket_of)
{
    for (size_t i = of->open.closing, left = of->open.count; left > 0; left--) {
        const size_t earlier = bucket_of[i];
        bucket_of[i] = *bucket_count;
        i = earlier;
    }
    bucket[(*bucket_count)++] = of->open;
    of->open = (ps_ddp_bucket){0};
    of->has_closed_one = true;
}

size_t ps_ddp_fill(const ps_gradient *gradient, size_t count, ps_ddp_limits limits,
                   ps_ddp_bucket *bucket, size_t *bucket_of)
{
    accumulator all[MAX_TYPES];
    size_t types = 0, buckets = 0;
    for (size_t i = 0; i < count; i++) {
        accumulator *of = find(all, &types, gradient[i].element_bytes);
        bucket_of[i] = of->open.closing;
        of->open.closing = i;
        of->open.count++;
        of->open.bytes += gradient[i].bytes;
        if (of->open.bytes >= (of->has_closed_one ? limits.other_bytes : limits.first_bytes)) {
            close_bucket(of, bucket, &buckets, bucket_of);
        }
    }
    for (size_t i = 0; i < types; i++) {
        if (all[i].open.count > 0) {
            close_bucket(&all[i], bucket, &buckets, bucket_of);
        }
    }
    return buckets;
}
