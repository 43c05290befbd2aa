/* SPDX-License-Identifier: MIT
 *
 * Hash map from 64-bit keys (addresses, correlation ids, stream handles) to
 * 32-bit values. Never iterated: the order of slots must not reach output.
 */
#ifndef PS_BASE_IDMAP_H
#define PS_BASE_IDMAP_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

typedef struct ps_idmap {
    uint64_t *key;
    uint32_t *value; /* UINT32_MAX = empty slot */
    size_t slot_count;
    size_t used;
} ps_idmap;

#define PS_IDMAP_NONE UINT32_MAX

/** Starts an empty map in the caller's storage; allocates nothing. */
void ps_idmap_init(ps_idmap *self);

void ps_idmap_fini(ps_idmap *self);

/** Sets key -> value (value < PS_IDMAP_NONE), replacing an earlier one. */
ps_code ps_idmap_put(ps_idmap *self, uint64_t key, uint32_t value, ps_error *err) PS_MUST_USE;

/** Value of a key, or PS_IDMAP_NONE. */
uint32_t ps_idmap_get(const ps_idmap *self, uint64_t key);

/** Removes a key and returns its value, or PS_IDMAP_NONE when absent. */
uint32_t ps_idmap_take(ps_idmap *self, uint64_t key);

#endif
