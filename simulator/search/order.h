/* SPDX-License-Identifier: MIT
 *
 * Orders of trials (private to this folder).
 */
#ifndef PS_SEARCH_ORDER_H
#define PS_SEARCH_ORDER_H

#include "search/search.h"

/** -1, 0, 1: `a` is faster, equal, slower, exactly. */
int ps__search_compare_speed(const ps_search_outcome *a, const ps_search_outcome *b);

/** Least memory of a GPU first, then the fastest; of ps_search_trial, as qsort wants it. */
int ps__search_by_memory(const void *x, const void *y);

#endif
