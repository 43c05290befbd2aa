/* SPDX-License-Identifier: MIT
 *
 * Open addressing with linear probing and backward-shift deletion, at most
 * half full, so probes stay short and there are no tombstones.
 */
#include "base/idmap.h"

#include <string.h>

#include "base/memory.h"

static size_t slot_of(const ps_idmap *self, uint64_t key)
{
    uint64_t h = key * 0x9e3779b97f4a7c15u;
    h ^= h >> 32;
    return (size_t)(h & (self->slot_count - 1));
}

void ps_idmap_init(ps_idmap *self)
{
    memset(self, 0, sizeof *self);
}

void ps_idmap_fini(ps_idmap *self)
{
    ps_free(self->key);
    ps_free(self->value);
    ps_idmap_init(self);
}

static void place(ps_idmap *self, uint64_t key, uint32_t value)
{
    size_t at = slot_of(self, key);
    while (self->value[at] != PS_IDMAP_NONE && self->key[at] != key) {
        at = (at + 1) & (self->slot_count - 1);
    }
    self->used += self->value[at] == PS_IDMAP_NONE;
    self->key[at] = key;
    self->value[at] = value;
}

static ps_code grow(ps_idmap *self, ps_error *err)
{
    if ((self->used + 1) * 2 <= self->slot_count) {
        return PS_OK;
    }
    ps_idmap next = {0};
    next.slot_count = self->slot_count == 0 ? 64 : self->slot_count * 2;
    next.key = ps_calloc(next.slot_count, sizeof *next.key);
    next.value = ps_calloc(next.slot_count, sizeof *next.value);
    if (next.key == NULL || next.value == NULL) {
        ps_idmap_fini(&next);
        return ps_fail_nomem(err);
    }
    memset(next.value, 0xff, next.slot_count * sizeof *next.value);
    for (size_t i = 0; i < self->slot_count; i++) {
        if (self->value[i] != PS_IDMAP_NONE) {
            place(&next, self->key[i], self->value[i]);
        }
    }
    ps_idmap_fini(self);
    *self = next;
    return PS_OK;
}

ps_code ps_idmap_put(ps_idmap *self, uint64_t key, uint32_t value, ps_error *err)
{
    PS_TRY(grow(self, err));
    place(self, key, value);
    return PS_OK;
}

static size_t find_slot(const ps_idmap *self, uint64_t key)
{
    if (self->slot_count == 0) {
        return SIZE_MAX;
    }
    size_t at = slot_of(self, key);
    while (self->value[at] != PS_IDMAP_NONE) {
        if (self->key[at] == key) {
            return at;
        }
        at = (at + 1) & (self->slot_count - 1);
    }
    return SIZE_MAX;
}

uint32_t ps_idmap_get(const ps_idmap *self, uint64_t key)
{
    const size_t at = find_slot(self, key);
    return at == SIZE_MAX ? PS_IDMAP_NONE : self->value[at];
}

uint32_t ps_idmap_take(ps_idmap *self, uint64_t key)
{
    size_t hole = find_slot(self, key);
    if (hole == SIZE_MAX) {
        return PS_IDMAP_NONE;
    }
    const uint32_t value = self->value[hole];
    const size_t mask = self->slot_count - 1;
    size_t at = (hole + 1) & mask;
    for (; self->value[at] != PS_IDMAP_NONE; at = (at + 1) & mask) {
        const size_t home = slot_of(self, self->key[at]);
        if (((at - home) & mask) >= ((at - hole) & mask)) {
            self->key[hole] = self->key[at];
            self->value[hole] = self->value[at];
            hole = at;
        }
    }
    self->value[hole] = PS_IDMAP_NONE;
    self->used--;
    return value;
}
