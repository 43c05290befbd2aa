/* SPDX-License-Identifier: MIT
 *
 * Text that is put together piece by piece.
 */
#include "base/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void ps_text_append(char *text, size_t bytes, const char *format, ...)
{
    va_list args;
    const size_t used = strlen(text);
    va_start(args, format);
    (void)vsnprintf(text + used, bytes - used, format, args);
    va_end(args);
}
