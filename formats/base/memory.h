/* SPDX-License-Identifier: MIT
 *
 * The only door to the heap. Every other file allocates through these, so
 * that tests can make the n-th request fail and so that sizes are checked.
 */
#ifndef PS_BASE_MEMORY_H
#define PS_BASE_MEMORY_H

#include <stddef.h>

#include "base/status.h"

/** Zeroed block of count * size bytes, NULL when out of memory or on overflow. count*size == 0 gives a valid block. */
void *ps_calloc(size_t count, size_t size) PS_MUST_USE;

/** Resizes to count * size bytes; on failure NULL and the old block stays valid. New bytes are not cleared. */
void *ps_realloc(void *block, size_t count, size_t size) PS_MUST_USE;

/** Releases a block of the two above; NULL is fine. */
void ps_free(void *block);

/** Test hook: the n-th allocation from now on (1 = next) fails, once. 0 turns it off. Not thread-safe. */
void ps_memory_fail_nth(unsigned long n);

/**
 * Makes room for at least `need` elements in a growable array.
 *
 * @param block       in/out: the array, may be NULL when *capacity is 0
 * @param capacity    in/out: elements the array can hold
 * @param need        elements wanted
 * @param max         most elements ever allowed; more is PS_LIMIT
 * @param element     [bytes] size of one element, > 0
 * @return PS_OK · PS_NOMEM · PS_LIMIT; outputs untouched on failure
 */
ps_code ps_grow(void **block, size_t *capacity, size_t need, size_t max, size_t element,
                ps_error *err) PS_MUST_USE;

#endif
