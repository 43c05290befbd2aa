/* SPDX-License-Identifier: MIT
 *
 * The search for the fastest way to train a model that fits: every method, of
 * each the largest micro-batch that memory allows and the smaller ones met on
 * the way (trials.h).
 *
 *   space ──methods──► trials (method, micro-batch) ──evaluate──► what each needs and takes
 *                         │
 *                         ├─► the fastest of each family, evaluated in full, fastest first
 *                         ├─► the front: no trial is both smaller and faster
 *                         └─► families of which nothing fits
 *
 * What a trial costs is the caller's to say, by simulation or otherwise.
 * Equal speeds are ordered by memory, then by name, then by micro-batch.
 */
#ifndef PS_SEARCH_SEARCH_H
#define PS_SEARCH_SEARCH_H

#include "base/checked.h"
#include "search/batches.h"

#define PS_SEARCH_WHY_BYTES 320

typedef enum ps_search_verdict {
    PS_SEARCH_FITS = 0,
    PS_SEARCH_TOO_LARGE,
    PS_SEARCH_REFUSED, /* cannot be built: `why` is the sentence */
} ps_search_verdict;

/** One way to train, with its batch. */
typedef struct ps_search_point {
    ps_search_method method;
    int64_t micro_batch, accumulate; /* sequences; micro-batches of a step */
    bool empties_caches; /* memory ends where the GPU's does: its allocator empties its cache, and
                            waits, for what it cannot have. Else it is endless */
} ps_search_point;

/** What it needs and takes. */
typedef struct ps_search_outcome {
    ps_search_verdict verdict;
    uint64_t peak_bytes;     /* on the fullest GPU, were memory endless or as it is */
    uint64_t live_bytes;     /* of that: what tensors hold, and what lies outside the allocator */
    uint64_t limit_bytes;    /* that it may take */
    uint64_t capacity_bytes; /* of the GPU */
    uint64_t host_bytes;     /* of the fullest node, all its ranks; 0: hosts hold nothing */
    uint64_t host_capacity_bytes; /* of that node; 0 unknown */
    ps_ns step_ns;
    uint64_t tokens;               /* of a step, all GPUs */
    char why[PS_SEARCH_WHY_BYTES]; /* refused: why; else what is there at the peak, and when */
} ps_search_outcome;

typedef struct ps_search_trial {
    ps_search_point point;
    ps_search_outcome outcome;
    bool is_full;    /* evaluated in full */
    bool is_outdone; /* a faster method fits with this micro-batch: of interest for its memory */
} ps_search_trial;

/**
 * Says what a point needs and takes.
 *
 * @param in_full  false: a quicker answer will do, close enough to rank by
 * @return PS_OK, also for points that do not fit or are refused
 */
typedef ps_code (*ps_search_evaluate)(void *context, const ps_search_point *point, bool in_full,
                                      ps_search_outcome *out, ps_error *err);

/** What to search. Borrowed during the call. */
typedef struct ps_search {
    const ps_search_method *method; /* methods of a family stand together or not, as one likes */
    size_t method_count;
    ps_search_batch_rule rule;
    ps_search_evaluate evaluate;
    void *context;
    /** Told before each method; NULL: nobody listens. */
    void (*progress)(void *context, size_t done, size_t all);
} ps_search;

/** A family of methods and the trial that stands for it. Families that are outdone wherever they fit
 *  have none: what they hold on hosts need not be there. */
typedef struct ps_search_family {
    ps_search_trial trial; /* fits: the fastest, in full; else the one that needs least, or the
                              first that was refused */
} ps_search_family;

typedef struct ps_search_result {
    ps_search_family
        *family; /* those that fit, fastest first; then the others as they were found */
    size_t family_count, fitting_count;
    ps_search_trial *front; /* least memory first */
    size_t front_count;
    size_t trial_count; /* evaluations */
} ps_search_result;

/**
 * Searches.
 *
 * @param out  release with ps_search_result_fini; empty after a failure
 * @return PS_OK, also when nothing fits · PS_NOMEM · what `evaluate` says
 */
ps_code ps_search_run(const ps_search *what, ps_search_result *out, ps_error *err) PS_MUST_USE;

void ps_search_result_fini(ps_search_result *self);

/** True when a node has too little memory, whatever the GPUs have. */
bool ps_search_lacks_host(const ps_search_outcome *self);

/** Tokens a second of an outcome; 0 where the step takes no time. */
uint64_t ps_search_tokens_per_s(const ps_search_outcome *self);

/** Order of trials that fit: negative when `a` comes first. */
int ps_search_compare(const ps_search_trial *a, const ps_search_trial *b);

/** True when `a` tells more than `b` of what could be done: what fits before what does not, that before
 *  what is refused. Of what fits the fastest; of what does not that which lacks memory of a host alone,
 *  for that is cheap, else that which needs least. */
bool ps_search_stands_before(const ps_search_trial *a, const ps_search_trial *b);

#endif
