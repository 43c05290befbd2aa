/* SPDX-License-Identifier: MIT
 *
 * Names as people type them: compared by a key without case, blanks and
 * punctuation, and "did you mean" for those that are not there.
 */
#ifndef PS_CLUSTER_NEAR_NAMES_H
#define PS_CLUSTER_NEAR_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** [bytes] longest key, terminator included. */
#define PS_NAME_KEY_BYTES 96

/** Names offered at most; more would not be read. */
#define PS_NEAR_NAMES_MAX 6u

/** What a key keeps besides letters and digits. */
typedef enum ps_name_style {
    PS_NAME_PLAIN,   /* nothing */
    PS_NAME_PATTERN, /* * */
    PS_NAME_DECIMAL, /* the point between two digits: 1.3B is not 13B */
} ps_name_style;

/**
 * Writes the key of a name: its letters in lower case and its digits.
 *
 * @return false when the key is empty or too long
 */
bool ps_name_key(const char *name, ps_name_style style, char out[PS_NAME_KEY_BYTES]);

/** Whose name is near. */
typedef struct ps_near_name {
    uint32_t entry;
    unsigned distance;
} ps_near_name;

/** The names nearest to one that was typed, nearest first. */
typedef struct ps_near_names {
    const char *typed; /* key, borrowed */
    unsigned tolerance;
    ps_near_name name[PS_NEAR_NAMES_MAX];
    size_t count;
} ps_near_names;

/** Starts without names in the caller's storage. */
void ps_near_names_init(ps_near_names *self, const char *typed_key);

/**
 * Takes an entry in when its key is near. A key that contains what was typed,
 * or is contained in it, is nearest; then the one that fewest typing slips
 * away. An entry may come with several keys; the nearest counts.
 */
void ps_near_names_add(ps_near_names *self, uint32_t entry, const char *key);

/** Text of an entry; borrowed for the call. */
typedef const char *(*ps_near_name_text)(const void *context, uint32_t entry);

/** Writes ": did you mean A, B or C?" or nothing. */
void ps_near_names_format(const ps_near_names *self, ps_near_name_text text, const void *context,
                          char *out, size_t out_bytes);

#endif
