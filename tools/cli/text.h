/* SPDX-License-Identifier: MIT
 *
 * Text for people: UTF-8 that may be broken, widths in columns, wrapping, and
 * the nearest of some names to one that was mistyped.
 */
#ifndef PS_TOOLS_CLI_TEXT_H
#define PS_TOOLS_CLI_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "cli/output.h"

/** Widest line that help and tables aim at. */
#define PS_TEXT_COLUMNS 80u

/** [bytes] of the valid UTF-8 character at `text`, or 0 when there is none in `bytes` bytes. */
size_t ps_text_character(const char *text, size_t bytes);

/** Columns a terminated text takes; every character counts as one. */
size_t ps_text_width(const char *text);

/**
 * Writes words of `text` in lines of at most `columns` columns, the first
 * starting at column `at`, the others indented by `indent`. A newline in the
 * text ends the paragraph; a line that begins with a blank is kept as it is.
 */
void ps_text_wrap(ps_output *out, const char *text, size_t at, size_t indent, size_t columns);

/** How many single edits (neighbours swapped counts as one) turn a into b; at most PS_TEXT_FAR. */
unsigned ps_text_distance(const char *a, const char *b);

#define PS_TEXT_FAR 99u

/** True when `distance` is small enough for a name of this length to be what was meant. */
bool ps_text_is_near(unsigned distance, const char *name);

#endif
