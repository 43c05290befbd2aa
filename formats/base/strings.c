/* SPDX-License-Identifier: MIT
 *
 * String interning: one text buffer, one open-addressing hash of ids.
 *
 *   text:   ""\0 foo\0 bar\0 ...
 *   start:  0    1     5         (one entry per id, plus the end)
 *   slots:  id + 1, 0 = empty; linear probing, at most half full
 */
#include "base/strings.h"

#include <string.h>

#include "base/memory.h"

#define TEXT_MAX_BYTES ((size_t)1 << 32)

struct ps_strings {
    char *text;
    size_t text_bytes, text_capacity;
    uint64_t *start;
    uint32_t *hash;
    size_t start_capacity, hash_capacity;
    uint32_t count;
    uint32_t *slots;
    uint32_t slot_count; /* power of two */
};

static uint32_t hash_text(const char *text, size_t bytes)
{
    uint64_t h = 0x9e3779b97f4a7c15u ^ bytes;
    while (bytes >= 8) {
        uint64_t word;
        memcpy(&word, text, 8);
        h = (h ^ word) * 0xff51afd7ed558ccdu;
        h ^= h >> 32;
        text += 8;
        bytes -= 8;
    }
    uint64_t tail = 0;
    if (bytes > 0) {
        memcpy(&tail, text, bytes);
    }
    h = (h ^ tail) * 0xc4ceb9fe1a85ec53u;
    h ^= h >> 29;
    h *= 0xff51afd7ed558ccdu;
    return (uint32_t)(h >> 32);
}

ps_strings *ps_strings_create(void)
{
    ps_strings *self = ps_calloc(1, sizeof *self);
    if (self == NULL) {
        return NULL;
    }
    self->slot_count = 64;
    self->slots = ps_calloc(self->slot_count, sizeof *self->slots);
    ps_str empty;
    if (self->slots == NULL || ps_strings_put(self, "", 0, &empty, NULL) != PS_OK) {
        ps_strings_destroy(self);
        return NULL;
    }
    return self;
}

void ps_strings_destroy(ps_strings *self)
{
    if (self == NULL) {
        return;
    }
    ps_free(self->text);
    ps_free(self->start);
    ps_free(self->hash);
    ps_free(self->slots);
    ps_free(self);
}

static void put_slot(ps_strings *self, uint32_t hash, uint32_t id)
{
    uint32_t at = hash & (self->slot_count - 1);
    while (self->slots[at] != 0) {
        at = (at + 1) & (self->slot_count - 1);
    }
    self->slots[at] = id + 1;
}

void ps_strings_clear(ps_strings *self)
{
    memset(self->slots, 0, self->slot_count * sizeof *self->slots);
    self->count = 1;
    self->text_bytes = 1;
    put_slot(self, self->hash[0], 0);
}

static bool find_id(const ps_strings *self, const char *text, size_t bytes, uint32_t hash,
                    uint32_t *id)
{
    uint32_t at = hash & (self->slot_count - 1);
    for (; self->slots[at] != 0; at = (at + 1) & (self->slot_count - 1)) {
        const uint32_t candidate = self->slots[at] - 1;
        if (self->hash[candidate] == hash && ps_strings_bytes(self, candidate) == bytes &&
            memcmp(self->text + self->start[candidate], text, bytes) == 0) {
            *id = candidate;
            return true;
        }
    }
    return false;
}

static ps_code grow_slots(ps_strings *self, ps_error *err)
{
    if ((uint64_t)(self->count + 1) * 2 <= self->slot_count) {
        return PS_OK;
    }
    const uint32_t wanted = self->slot_count * 2;
    uint32_t *slots = ps_calloc(wanted, sizeof *slots);
    if (slots == NULL) {
        return ps_fail_nomem(err);
    }
    ps_free(self->slots);
    self->slots = slots;
    self->slot_count = wanted;
    for (uint32_t i = 0; i < self->count; i++) {
        put_slot(self, self->hash[i], i);
    }
    return PS_OK;
}

static ps_code add_string(ps_strings *self, const char *text, size_t bytes, uint32_t hash,
                          ps_error *err)
{
    const size_t count = self->count;
    PS_TRY(ps_grow((void **)&self->text, &self->text_capacity, self->text_bytes + bytes + 1,
                   TEXT_MAX_BYTES, 1, err));
    PS_TRY(ps_grow((void **)&self->start, &self->start_capacity, count + 1, PS_STRINGS_MAX_COUNT,
                   sizeof *self->start, err));
    PS_TRY(ps_grow((void **)&self->hash, &self->hash_capacity, count + 1, PS_STRINGS_MAX_COUNT,
                   sizeof *self->hash, err));
    PS_TRY(grow_slots(self, err));
    if (bytes > 0) {
        memcpy(self->text + self->text_bytes, text, bytes);
    }
    self->text[self->text_bytes + bytes] = '\0';
    self->start[count] = self->text_bytes;
    self->hash[count] = hash;
    self->text_bytes += bytes + 1;
    put_slot(self, hash, self->count);
    self->count++;
    return PS_OK;
}

ps_code ps_strings_put(ps_strings *self, const char *text, size_t bytes, ps_str *out, ps_error *err)
{
    const char *nul = bytes > 0 ? memchr(text, '\0', bytes) : NULL;
    if (nul != NULL) {
        bytes = (size_t)(nul - text);
    }
    if (bytes > PS_STRING_MAX_BYTES) {
        return ps_fail(err, PS_LIMIT, "a text of %zu bytes is longer than the limit of %u", bytes,
                       PS_STRING_MAX_BYTES);
    }
    const uint32_t hash = hash_text(text, bytes);
    uint32_t id;
    if (find_id(self, text, bytes, hash, &id)) {
        *out = id;
        return PS_OK;
    }
    PS_TRY(add_string(self, text, bytes, hash, err));
    *out = self->count - 1;
    return PS_OK;
}

ps_code ps_strings_put_z(ps_strings *self, const char *text, ps_str *out, ps_error *err)
{
    return ps_strings_put(self, text, strlen(text), out, err);
}

int64_t ps_strings_find(const ps_strings *self, const char *text, size_t bytes)
{
    uint32_t id;
    return find_id(self, text, bytes, hash_text(text, bytes), &id) ? (int64_t)id : -1;
}

const char *ps_strings_text(const ps_strings *self, ps_str id)
{
    return id < self->count ? self->text + self->start[id] : "";
}

size_t ps_strings_bytes(const ps_strings *self, ps_str id)
{
    if (id >= self->count) {
        return 0;
    }
    const uint64_t end = id + 1 < self->count ? self->start[id + 1] : self->text_bytes;
    return (size_t)(end - self->start[id]) - 1;
}

uint32_t ps_strings_count(const ps_strings *self)
{
    return self->count;
}

size_t ps_strings_total_bytes(const ps_strings *self)
{
    return self->text_bytes;
}
