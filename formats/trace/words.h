/* SPDX-License-Identifier: MIT
 *
 * The enumerations of a trace as words, for people and for checks of range.
 *
 * A column holds an enumeration when its description begins with the name of
 * the type ("ps_copy_kind"), so tables need no second list.
 */
#ifndef PS_TRACE_WORDS_H
#define PS_TRACE_WORDS_H

#include "base/table.h"

/** The values of one enumeration: value i is called word[i]. */
typedef struct ps_words {
    const char *type; /* C name of the enumeration */
    const char *const *word;
    size_t count;
} ps_words;

/** Words of the enumeration a column holds, or NULL when it holds none of a trace. Static storage. */
const ps_words *ps_trace_words(const ps_column_spec *column);

/** Looks a column's enumeration up in any list of `count` enumerations. */
const ps_words *ps_words_find(const ps_words *lists, size_t count, const ps_column_spec *column);

/** What a loss counter counts, as in losses.def; NULL for a name that is not listed. */
const char *ps_loss_meaning(const char *name);

#endif
