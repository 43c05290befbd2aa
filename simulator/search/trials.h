/* SPDX-License-Identifier: MIT
 *
 * Trials of a search (private to this folder): of each method the micro-batches
 * that are of interest.
 *
 *   what recomputes or moves more is slower: it begins where what it does besides is needed
 *   what needs more memory of a GPU ends where that which needs less does
 *
 * A family of which nothing fits is tried again with an allocator that empties
 * its cache and waits for what it cannot have, where what is live would fit;
 * where nothing fits on the GPUs alone, so are all that keep things on hosts.
 */
#ifndef PS_SEARCH_TRIALS_H
#define PS_SEARCH_TRIALS_H

#include "search/search.h"

#define PS_SEARCH_MAX_TRIALS ((size_t)1 << 20)

/** Of a method: how many of its sizes fit, the first ones. */
typedef struct ps_search_extent {
    size_t fitting; /* as far as is known; 0 until it is tried */
    size_t most;    /* sizes that GPUs have room for, at most; SIZE_MAX: not known */
} ps_search_extent;

typedef struct ps_search_trials {
    const ps_search *what;
    ps_search_trial *trial;
    size_t count, capacity;
    const ps_search_method *method; /* whose sizes are tried */
    const ps_search_sizes *sizes;
    size_t least; /* of its sizes: smaller ones fit by faster methods */
    bool empties_caches;
    ps_search_extent *extent; /* per method */
} ps_search_trials;

/** Tries every method. `what` is set, all else zero. PS_OK · PS_NOMEM · what `evaluate` says */
ps_code ps__search_try_all(ps_search_trials *self, ps_error *err) PS_MUST_USE;

void ps__search_trials_fini(ps_search_trials *self);

#endif
