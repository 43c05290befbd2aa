/* SPDX-License-Identifier: MIT
 *
 * Pieces of JSON text: numbers without rounding through a double, escapes,
 * repair of invalid UTF-8. A piece is a pointer and a length into somebody's
 * buffer; nothing here is terminated or owned.
 */
#ifndef PS_IMPORT_JSON_TEXT_H
#define PS_IMPORT_JSON_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** True for the four characters JSON calls whitespace. */
static inline bool ps_json_is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

/**
 * Reads a decimal number times 10^shift as an integer, rounded half up (away
 * from zero when negative). Exponents are understood. Exact for every length:
 * "1712195495519689.5" with shift 3 is 1712195495519689500.
 *
 * @param shift  0 .. 18; 3 turns microseconds into nanoseconds
 * @return false when the text is no number or the result leaves int64
 */
bool ps_json_decimal(const char *text, size_t bytes, int shift, int64_t *out);

/** Reads a whole number 0 .. UINT64_MAX without sign, fraction or exponent; false otherwise. */
bool ps_json_whole(const char *text, size_t bytes, uint64_t *out);

/**
 * Undoes the escapes of a string's inside. What cannot be (a lone surrogate,
 * an unknown escape, an escaped NUL) becomes '?'.
 *
 * @param out      room for `bytes` bytes; text never grows
 * @param damaged  counts the replacements, added to
 * @return [bytes] written
 */
size_t ps_json_unescape(const char *text, size_t bytes, char *out, uint64_t *damaged);

/** Copies JSON text without the whitespace between tokens; out has room for `bytes`. Returns the length. */
size_t ps_json_compact(const char *text, size_t bytes, char *out);

/** Replaces every byte that is not part of valid UTF-8 by '?', in place. Returns how many. */
uint64_t ps_json_clean_utf8(char *text, size_t bytes);

#endif
