/* SPDX-License-Identifier: MIT
 *
 * The C++ runtime's demangler, which allocates by malloc whatever we do.
 */
#include "demangle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of the C++ runtime, by its binary interface. */
extern char *__cxa_demangle(const char *mangled, char *buffer, size_t *bytes, int *status);

bool ps_demangle(const char *name, char *out, size_t bytes)
{
    int status = 0;
    if (strncmp(name, "_Z", 2) != 0) {
        return false;
    }
    char *plain = __cxa_demangle(name, NULL, NULL, &status);
    const bool fits = plain != NULL && status == 0 && strlen(plain) < bytes;
    if (fits) {
        (void)snprintf(out, bytes, "%s", plain);
    }
    free(plain);
    return fits;
}
