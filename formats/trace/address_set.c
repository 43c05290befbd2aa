/* SPDX-License-Identifier: MIT
 *
 * Ranks by binary search, members as a tree of bits.
 */
#include "trace/address_set.h"

#include <stdlib.h>

#include "base/memory.h"

#define WORD_BITS 64u
#define ADDRESSES_MAX ((size_t)1 << 32)

void ps_address_set_init(ps_address_set *self)
{
    *self = (ps_address_set){0};
}

void ps_address_set_fini(ps_address_set *self)
{
    ps_free(self->address);
    for (size_t i = 0; i < PS_ADDRESS_LEVELS; i++) {
        ps_free(self->level[i]);
    }
    *self = (ps_address_set){0};
}

ps_code ps_address_set_offer(ps_address_set *self, uint64_t address, ps_error *err)
{
    PS_TRY(ps_grow((void **)&self->address, &self->capacity, self->count + 1, ADDRESSES_MAX,
                   sizeof *self->address, err));
    self->address[self->count++] = address;
    return PS_OK;
}

static int compare_addresses(const void *left, const void *right)
{
    const uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return a < b ? -1 : a > b ? 1 : 0;
}

ps_code ps_address_set_seal(ps_address_set *self, ps_error *err)
{
    size_t unique = 0;
    if (self->count > 0) {
        qsort(self->address, self->count, sizeof *self->address, compare_addresses);
    }
    for (size_t i = 0; i < self->count; i++) {
        if (unique == 0 || self->address[unique - 1] != self->address[i]) {
            self->address[unique++] = self->address[i];
        }
    }
    self->count = unique;
    size_t words = unique;
    do {
        words = (words + WORD_BITS - 1) / WORD_BITS;
        self->level[self->level_count] = ps_calloc(words, sizeof **self->level);
        if (self->level[self->level_count] == NULL) {
            return ps_fail_nomem(err);
        }
        self->level_count++;
    } while (words > 1);
    return PS_OK;
}

/* Rank of an offered address; false when it was not offered. */
static bool find_rank(const ps_address_set *self, uint64_t address, size_t *rank)
{
    size_t low = 0, high = self->count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (self->address[middle] < address) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    *rank = low;
    return low < self->count && self->address[low] == address;
}

void ps_address_set_put(ps_address_set *self, uint64_t address)
{
    size_t rank;
    if (!find_rank(self, address, &rank)) {
        return;
    }
    for (size_t i = 0; i < self->level_count; i++) {
        self->level[i][rank / WORD_BITS] |= (uint64_t)1 << rank % WORD_BITS;
        rank /= WORD_BITS;
    }
}

void ps_address_set_take(ps_address_set *self, uint64_t address)
{
    size_t rank;
    if (!find_rank(self, address, &rank)) {
        return;
    }
    for (size_t i = 0; i < self->level_count; i++) {
        uint64_t *word = &self->level[i][rank / WORD_BITS];
        *word &= ~((uint64_t)1 << rank % WORD_BITS);
        if (*word != 0) {
            return;
        }
        rank /= WORD_BITS;
    }
}

static size_t lowest_bit(uint64_t word)
{
    return (size_t)__builtin_ctzll(word);
}

uint64_t ps_address_set_next(const ps_address_set *self, uint64_t address)
{
    size_t rank;
    if (!find_rank(self, address, &rank)) {
        return UINT64_MAX;
    }
    for (size_t i = 0; i < self->level_count; i++) {
        const size_t bit = rank % WORD_BITS;
        const uint64_t above = bit == WORD_BITS - 1 ? 0 : ~(uint64_t)0 << (bit + 1);
        const uint64_t found = self->level[i][rank / WORD_BITS] & above;
        if (found != 0) {
            rank = rank / WORD_BITS * WORD_BITS + lowest_bit(found);
            while (i-- > 0) {
                rank = rank * WORD_BITS + lowest_bit(self->level[i][rank]);
            }
            return self->address[rank];
        }
        rank /= WORD_BITS;
    }
    return UINT64_MAX;
}
