/* SPDX-License-Identifier: MIT
 *
 * Kernel classification by the patterns of kernel_class.def.
 */
#include "cost/kernel_class.h"

#include <ctype.h>
#include <string.h>

/* Long C++ names repeat their type list; what tells the class stands in the beginning. */
#define NAME_BYTES 512

ps_kernel_class ps_kernel_classify(const char *name)
{
    char lower[NAME_BYTES];
    size_t n = 0;
    for (; n + 1 < sizeof lower && name[n] != '\0'; n++) {
        lower[n] = (char)tolower((unsigned char)name[n]);
    }
    lower[n] = '\0';
    bool is_arithmetic = false;
#define ARITHMETIC(part) is_arithmetic = is_arithmetic || strstr(lower, part) != NULL;
#define FORMAT(part, figure)
#include "cost/kernel_class.def"
#undef ARITHMETIC
#undef FORMAT
    if (!is_arithmetic) {
        return (ps_kernel_class){PS_BOUND_MEMORY, PS_FIGURE_MEMORY_BANDWIDTH};
    }
#define ARITHMETIC(part)
#define FORMAT(part, figure)                                               \
    if (strstr(lower, part) != NULL) {                                     \
        return (ps_kernel_class){PS_BOUND_ARITHMETIC, PS_FIGURE_##figure}; \
    }
#include "cost/kernel_class.def"
#undef ARITHMETIC
#undef FORMAT
    return (ps_kernel_class){PS_BOUND_ARITHMETIC, PS_FIGURE_FP32_RATE};
}
