/* SPDX-License-Identifier: MIT
 *
 * The enumerations of a plan as words; those it shares with traces too.
 */
#ifndef PS_TOOLS_PLAN_WORDS_H
#define PS_TOOLS_PLAN_WORDS_H

#include "trace/words.h"

/** Words of the enumeration a column of a plan holds, or NULL. Static storage. */
const ps_words *ps_plan_words(const ps_column_spec *column);

#endif
