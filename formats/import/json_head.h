/* SPDX-License-Identifier: MIT
 *
 * What a JSON file looks like by its first bytes, which may end anywhere. For
 * telling formats apart; allocates nothing and never fails.
 */
#ifndef PS_IMPORT_JSON_HEAD_H
#define PS_IMPORT_JSON_HEAD_H

#include <stdbool.h>
#include <stddef.h>

/** A walk over the names of the outermost object. */
typedef struct ps_json_head {
    const char *text;
    size_t bytes;
    size_t at;
    size_t depth;
} ps_json_head;

/** Starts a walk; `text` is borrowed. */
void ps_json_head_init(ps_json_head *self, const unsigned char *text, size_t bytes);

/** The `n`-th character that is not whitespace, from 0; '\0' when the head is shorter. */
char ps_json_head_char(const unsigned char *text, size_t bytes, size_t n);

/** The next name of the outermost object; false at the end of the object or the head, or when it is none. */
bool ps_json_head_next(ps_json_head *self, const char **key, size_t *key_bytes);

/** True when the outermost object has this name within the head. */
bool ps_json_head_has(const unsigned char *text, size_t bytes, const char *key);

#endif
