/* SPDX-License-Identifier: MIT
 *
 * Splits a text into words as a shell would, without being one: blanks part
 * words, quotes hold them together, nothing is expanded.
 *
 *   --gpu "RTX 3060" --allocator-conf ''     four words, the last one empty
 *   a\ b   'a b'   "a b"                     the same word three times
 *
 * Between ' and ' every byte stands for itself; between " and " a backslash
 * before " or \ does not; outside, a backslash takes the next byte as it is.
 * $, *, #, ; and their like are ordinary bytes everywhere.
 */
#ifndef PS_TOOLS_SHELL_WORDS_H
#define PS_TOOLS_SHELL_WORDS_H

#include "base/status.h"

/** Most words of one text. */
#define PS_SHELL_WORDS_MAX 4096u

typedef struct ps_shell_words {
    char **word; /* terminated texts, owned */
    int count;
    char *text; /* what they lie in */
} ps_shell_words;

/**
 * Splits a terminated text.
 *
 * @param out  release with ps_shell_words_fini; written only on PS_OK
 * @return PS_OK, also without any word · PS_USAGE a quote without its end, a backslash at the end ·
 *         PS_LIMIT · PS_NOMEM
 */
ps_code ps_shell_words_split(const char *text, ps_shell_words *out, ps_error *err) PS_MUST_USE;

void ps_shell_words_fini(ps_shell_words *self);

#endif
