/* SPDX-License-Identifier: MIT
 *
 * What every cmocka program here needs: the includes in the order cmocka
 * wants, an assertion that shows the error text, and the folder of real
 * recordings.
 */
#ifndef PS_TESTS_SUPPORT_TEST_H
#define PS_TESTS_SUPPORT_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/status.h"

/** Fails the test with the whole error text unless the call is PS_OK. Declares nothing. */
#define assert_ok(err, call)                                                  \
    do {                                                                      \
        const ps_code assert_ok_code = (call);                                \
        if (assert_ok_code != PS_OK) {                                        \
            char assert_ok_text[1024];                                        \
            ps_error_format((err), assert_ok_text, sizeof assert_ok_text);    \
            fail_msg("%s: %s", ps_code_name(assert_ok_code), assert_ok_text); \
        }                                                                     \
    } while (0)

/**
 * Folder "shared" beside the checkout, or $PS_SHARED. NULL when absent: the
 * caller skips.
 */
static inline const char *ps_test_shared(void)
{
    static char path[1024];
    const char *given = getenv("PS_SHARED");
    (void)snprintf(path, sizeof path, "%s",
                   given != NULL ? given : PS_TEST_SOURCE_DIR "/../shared");
    FILE *probe;
    char file[1100];
    (void)snprintf(file, sizeof file, "%s/traces/real/MANIFEST.csv", path);
    probe = fopen(file, "r");
    if (probe == NULL) {
        return NULL;
    }
    (void)fclose(probe);
    return path;
}

#endif
