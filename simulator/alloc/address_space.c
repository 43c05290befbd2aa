/* SPDX-License-Identifier: MIT
 *
 * Addresses for new segments.
 */
#include "alloc/address_space.h"

#include <string.h>

#include "base/checked.h"
#include "base/memory.h"

#define PAGES_A_CHUNK ((unsigned)(PS_ADDRESS_CHUNK_BYTES / PS_ADDRESS_PAGE_BYTES))
#define MAX_CHUNKS ((size_t)1 << 22)
#define MAX_EXTENT_CHUNKS ((uint64_t)1 << 14) /* 512 GiB: more than any device has */

void ps_address_space_init(ps_address_space *self, uint64_t top_bytes)
{
    *self = (ps_address_space){.top = top_bytes / PS_ADDRESS_CHUNK_BYTES};
}

void ps_address_space_fini(ps_address_space *self)
{
    ps_free(self->chunk);
}

static uint32_t page_mask(unsigned first, unsigned pages)
{
    return ((UINT32_C(1) << pages) - 1) << first;
}

/* Position of a chunk, or where it belongs. */
static size_t find(const ps_address_space *self, uint64_t number)
{
    size_t low = 0, high = self->count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (self->chunk[middle].number > number) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static bool is_at(const ps_address_space *self, size_t at, uint64_t number)
{
    return at < self->count && self->chunk[at].number == number;
}

/* Pages of an extent that lie in one chunk. */
static uint32_t pages_of(uint64_t number, uint64_t addr, uint64_t bytes)
{
    const uint64_t chunk = number * PS_ADDRESS_CHUNK_BYTES;
    const uint64_t begin = addr > chunk ? addr - chunk : 0;
    const uint64_t end = addr + bytes - chunk < PS_ADDRESS_CHUNK_BYTES ? addr + bytes - chunk
                                                                       : PS_ADDRESS_CHUNK_BYTES;
    const unsigned first = (unsigned)(begin / PS_ADDRESS_PAGE_BYTES);
    const unsigned last = (unsigned)((end + PS_ADDRESS_PAGE_BYTES - 1) / PS_ADDRESS_PAGE_BYTES);
    return page_mask(first, last - first);
}

static ps_code mark(ps_address_space *self, uint64_t addr, uint64_t bytes, uint32_t opened,
                    ps_error *err)
{
    const uint64_t first = addr / PS_ADDRESS_CHUNK_BYTES;
    const uint64_t last = (addr + bytes - 1) / PS_ADDRESS_CHUNK_BYTES;
    if (bytes == 0 || last < first || last - first > MAX_EXTENT_CHUNKS) {
        return ps_fail(err, PS_LIMIT, "a segment of %llu bytes", (unsigned long long)bytes);
    }
    for (uint64_t number = first; number <= last; number++) {
        const size_t at = find(self, number);
        if (!is_at(self, at, number)) {
            PS_TRY(ps_grow((void **)&self->chunk, &self->capacity, self->count + 1, MAX_CHUNKS,
                           sizeof *self->chunk, err));
            memmove(&self->chunk[at + 1], &self->chunk[at],
                    (self->count - at) * sizeof *self->chunk);
            self->chunk[at] = (ps_address_chunk){.number = number};
            self->count++;
        }
        ps_address_chunk *chunk = &self->chunk[at];
        chunk->opened = chunk->used_pages == 0 ? opened : chunk->opened;
        chunk->used_pages |= pages_of(number, addr, bytes);
    }
    return PS_OK;
}

/* The lowest page where `pages` free ones follow one another; PAGES_A_CHUNK when there is none. */
static unsigned find_pages(uint32_t used, unsigned pages)
{
    for (unsigned first = 0; first + pages <= PAGES_A_CHUNK; first++) {
        if ((used & page_mask(first, pages)) == 0) {
            return first;
        }
    }
    return PAGES_A_CHUNK;
}

static uint64_t place_in_rest(const ps_address_space *self, unsigned pages)
{
    const ps_address_chunk *newest = NULL;
    for (size_t i = 0; i < self->count; i++) {
        const ps_address_chunk *chunk = &self->chunk[i];
        if (chunk->used_pages != 0 && find_pages(chunk->used_pages, pages) < PAGES_A_CHUNK &&
            (newest == NULL || chunk->opened >= newest->opened)) {
            newest = chunk; /* of those opened together the lowest */
        }
    }
    return newest == NULL ? 0
                          : newest->number * PS_ADDRESS_CHUNK_BYTES +
                                find_pages(newest->used_pages, pages) * PS_ADDRESS_PAGE_BYTES;
}

static uint64_t place_in_new(const ps_address_space *self, uint64_t wanted)
{
    uint64_t run = 0;
    for (size_t i = 0; i < self->count; i++) {
        const ps_address_chunk *chunk = &self->chunk[i];
        const bool goes_on = run > 0 && chunk[-1].number == chunk->number + 1;
        run = chunk->used_pages != 0 ? 0 : goes_on ? run + 1 : 1;
        if (run == wanted) {
            return chunk->number * PS_ADDRESS_CHUNK_BYTES;
        }
    }
    const uint64_t lowest = self->count > 0 ? self->chunk[self->count - 1].number : self->top;
    return lowest > wanted ? (lowest - wanted) * PS_ADDRESS_CHUNK_BYTES : 0;
}

uint64_t ps_address_space_place(ps_address_space *self, uint64_t bytes)
{
    const uint64_t pages = (bytes + PS_ADDRESS_PAGE_BYTES - 1) / PS_ADDRESS_PAGE_BYTES;
    uint64_t addr = pages < PAGES_A_CHUNK ? place_in_rest(self, (unsigned)pages) : 0;
    if (addr == 0) {
        addr = place_in_new(self, (pages + PAGES_A_CHUNK - 1) / PAGES_A_CHUNK);
    }
    if (addr != 0 && ps_address_space_take(self, addr, bytes, NULL) != PS_OK) {
        return 0;
    }
    return addr;
}

ps_code ps_address_space_take(ps_address_space *self, uint64_t addr, uint64_t bytes, ps_error *err)
{
    return mark(self, addr, bytes, ++self->openings, err);
}

void ps_address_space_vacate(ps_address_space *self, uint64_t addr, uint64_t bytes)
{
    const uint64_t first = addr / PS_ADDRESS_CHUNK_BYTES;
    const uint64_t last = (addr + bytes - 1) / PS_ADDRESS_CHUNK_BYTES;
    for (uint64_t number = first; number <= last && last - first <= MAX_EXTENT_CHUNKS; number++) {
        const size_t at = find(self, number);
        if (is_at(self, at, number)) {
            self->chunk[at].used_pages &= ~pages_of(number, addr, bytes);
        }
    }
}
