/* SPDX-License-Identifier: MIT
 *
 * A search in which each allocation fails in turn.
 */
#ifndef PS_TESTS_SEARCH_NOMEM_H
#define PS_TESTS_SEARCH_NOMEM_H

#include "support/test.h"

#include "base/memory.h"
#include "search/search.h"

/* Until one succeeds: no memory is said each time, and nothing is left behind. */
static inline void assert_fails_cleanly(const ps_search *what)
{
    ps_code code = PS_NOMEM;
    unsigned long failures = 0;
    while (code != PS_OK) {
        ps_error err = {0};
        ps_search_result result;
        ps_memory_fail_nth(++failures);
        code = ps_search_run(what, &result, &err);
        ps_memory_fail_nth(0);
        assert_true(code == PS_OK || (code == PS_NOMEM && result.family == NULL));
        ps_search_result_fini(&result);
    }
    assert_true(failures > 4);
}

#endif
