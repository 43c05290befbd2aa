/* SPDX-License-Identifier: MIT
 *
 * Interned strings: equal text, equal id. Id 0 is the empty string.
 * Ids are dense in order of first insertion, so tables of them are small
 * and output that follows ids is deterministic.
 */
#ifndef PS_BASE_STRINGS_H
#define PS_BASE_STRINGS_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

/** One interned string. */
typedef uint32_t ps_str;

#define PS_STRING_MAX_BYTES (1u << 20)
#define PS_STRINGS_MAX_COUNT (1u << 26)

typedef struct ps_strings ps_strings;

/** New table holding only "" (id 0); NULL when out of memory. */
ps_strings *ps_strings_create(void) PS_MUST_USE;

void ps_strings_destroy(ps_strings *self);

/** Forgets every string but "" and keeps the memory. */
void ps_strings_clear(ps_strings *self);

/**
 * Interns `bytes` bytes of text (need not be terminated; embedded NUL ends it).
 *
 * @param out  the id, written only on PS_OK
 * @return PS_OK · PS_NOMEM · PS_LIMIT text longer than PS_STRING_MAX_BYTES, or too many strings
 */
ps_code ps_strings_put(ps_strings *self, const char *text, size_t bytes, ps_str *out,
                       ps_error *err) PS_MUST_USE;

/** ps_strings_put for a terminated string. */
ps_code ps_strings_put_z(ps_strings *self, const char *text, ps_str *out,
                         ps_error *err) PS_MUST_USE;

/** Id of a text already interned, or -1. */
int64_t ps_strings_find(const ps_strings *self, const char *text, size_t bytes);

/** Terminated text of an id; "" for an id out of range. Borrowed until the next put or clear. */
const char *ps_strings_text(const ps_strings *self, ps_str id);

/** [bytes] length without the terminator. */
size_t ps_strings_bytes(const ps_strings *self, ps_str id);

/** Number of strings, "" included. */
uint32_t ps_strings_count(const ps_strings *self);

/** [bytes] text held in total, terminators included. */
size_t ps_strings_total_bytes(const ps_strings *self);

#endif
