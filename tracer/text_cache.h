/* SPDX-License-Identifier: MIT
 *
 * Texts of one chunk by a 64-bit key, so that a text met a million times is
 * hashed once: by the address of a name, or by the numbers a text is made of.
 */
#ifndef PS_TRACER_TEXT_CACHE_H
#define PS_TRACER_TEXT_CACHE_H

#include "base/strings.h"

/** Entries; a colliding key replaces the older one. */
#define PS_TEXT_CACHE_SLOTS 4096u

typedef struct ps_text_cache {
    uint64_t key[PS_TEXT_CACHE_SLOTS]; /* 0: empty */
    ps_str id[PS_TEXT_CACHE_SLOTS];
} ps_text_cache;

/** Forgets everything. */
void ps_text_cache_clear(ps_text_cache *self);

/** Id of a key; false when it is not there. Key 0 never is. */
static inline bool ps_text_cache_get(const ps_text_cache *self, uint64_t key, ps_str *id)
{
    const size_t slot = (size_t)(key * 0x9e3779b97f4a7c15u >> 52);
    *id = self->id[slot];
    return key != 0 && self->key[slot] == key;
}

/** Remembers the id of a key. */
static inline void ps_text_cache_put(ps_text_cache *self, uint64_t key, ps_str id)
{
    const size_t slot = (size_t)(key * 0x9e3779b97f4a7c15u >> 52);
    self->key[slot] = key;
    self->id[slot] = id;
}

#endif
