/* SPDX-License-Identifier: MIT
 *
 * The enumerations of a workload as words; those it shares with plans too.
 */
#ifndef PS_TOOLS_WORKLOAD_WORDS_H
#define PS_TOOLS_WORKLOAD_WORDS_H

#include "trace/words.h"

/** Words of the enumeration a column of a workload holds, or NULL. Static storage. */
const ps_words *ps_workload_words(const ps_column_spec *column);

/** Word of an enumeration's value by the C name of its type; "unknown" when there is none. */
const char *ps_workload_word(const char *type, size_t value);

#endif
