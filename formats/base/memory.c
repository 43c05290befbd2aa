/* SPDX-License-Identifier: MIT
 *
 * Heap access with overflow checks and a failure hook for tests.
 */
#include "base/memory.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Zero in production; a plain counter is enough because only single-threaded tests set it. */
static unsigned long fail_countdown;

static int must_fail(void)
{
    return fail_countdown != 0 && --fail_countdown == 0;
}

void ps_memory_fail_nth(unsigned long n)
{
    fail_countdown = n;
}

void *ps_calloc(size_t count, size_t size)
{
    size_t bytes;
    if (must_fail() || __builtin_mul_overflow(count, size, &bytes)) {
        return NULL;
    }
    return calloc(1, bytes == 0 ? 1 : bytes);
}

void *ps_realloc(void *block, size_t count, size_t size)
{
    size_t bytes;
    if (must_fail() || __builtin_mul_overflow(count, size, &bytes)) {
        return NULL;
    }
    return realloc(block, bytes == 0 ? 1 : bytes);
}

void ps_free(void *block)
{
    free(block);
}

ps_code ps_grow(void **block, size_t *capacity, size_t need, size_t max, size_t element,
                ps_error *err)
{
    if (need <= *capacity) {
        return PS_OK;
    }
    if (need > max) {
        return ps_fail(err, PS_LIMIT, "more than %zu elements in one array", max);
    }
    size_t wanted = *capacity < 16 ? 16 : *capacity + *capacity / 2;
    if (wanted < need) {
        wanted = need;
    }
    if (wanted > max) {
        wanted = max;
    }
    void *grown = ps_realloc(*block, wanted, element);
    if (grown == NULL) {
        return ps_fail_nomem(err);
    }
    *block = grown;
    *capacity = wanted;
    return PS_OK;
}
