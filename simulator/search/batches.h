/* SPDX-License-Identifier: MIT
 *
 * Which micro-batches a method can take, and the largest of them that fits.
 */
#ifndef PS_SEARCH_BATCHES_H
#define PS_SEARCH_BATCHES_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "search/method.h"

/** What a step has to train on. */
typedef struct ps_search_batch_rule {
    int64_t global_batch;  /* sequences of a step, all GPUs; 0: any */
    bool is_usual;         /* nobody asked for that many: a method may have steps of its own */
    int64_t min_sequences; /* least of them; 0: any */
    int64_t micro_batch;   /* asked for; 0: any */
    int64_t accumulate;    /* likewise */
    int64_t most;          /* sequences of a micro-batch, > 0 */
} ps_search_batch_rule;

/** Sizes of micro-batches in rising order: 1 .. count, or those listed. */
typedef struct ps_search_sizes {
    int64_t *listed; /* NULL: number i is i + 1 */
    size_t count;
} ps_search_sizes;

/** A pipeline that may choose has so many micro-batches a stage. */
#define PS_SEARCH_PIPELINE_DEPTH 4

/**
 * Sizes that a method can take.
 *
 * @param out  release with ps_search_sizes_fini; empty after a failure
 * @return PS_OK · PS_USAGE a global batch that does not divide among replicas · PS_NOMEM
 */
ps_code ps_search_sizes_of(const ps_search_batch_rule *rule, const ps_search_method *method,
                           ps_search_sizes *out, ps_error *err) PS_MUST_USE;

void ps_search_sizes_fini(ps_search_sizes *self);

/** Sequences of micro-batch number i. */
int64_t ps_search_size_at(const ps_search_sizes *self, size_t i);

/** Micro-batches of a step at a size. */
int64_t ps_search_accumulation(const ps_search_batch_rule *rule, const ps_search_method *method,
                               int64_t micro_batch);

/** What a size needs; PS_OK also where it does not fit. */
typedef struct ps_search_need {
    bool is_possible; /* false: refused for a reason that a smaller size would not change */
    uint64_t needed_bytes, limit_bytes;
} ps_search_need;

typedef ps_code (*ps_search_ask)(void *context, size_t i, ps_search_need *out, ps_error *err);

/**
 * Finds the largest size that fits, taking memory as rising with the size: sizes are doubled until
 * one does not fit, then the gap is narrowed, first along the line through its ends, then by halves.
 *
 * @param first  size to begin with: 0, or one that those before it are of no interest for
 * @param skip   sizes that are of no interest but for the first, which tells whether any fits
 * @param ask   asked once for each size that is looked at
 * @param best  number of the size; SIZE_MAX: none fits, or none is possible
 * @return PS_OK · what `ask` says
 */
ps_code ps_search_largest(size_t count, size_t first, size_t skip, ps_search_ask ask, void *context,
                          size_t *best, ps_error *err) PS_MUST_USE;

#endif
