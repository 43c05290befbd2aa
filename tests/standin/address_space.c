/* SPDX-License-Identifier: MIT */
#include "standin/address_space.h"

#include <stdlib.h>

enum { PAGES_A_CHUNK = (int)(STANDIN_CHUNK_BYTES / STANDIN_PAGE_BYTES) };
#define ALL_PAGES ((UINT32_C(1) << PAGES_A_CHUNK) - 1)

uint64_t standin_round_to_pages(uint64_t bytes)
{
    return (bytes + STANDIN_PAGE_BYTES - 1) / STANDIN_PAGE_BYTES * STANDIN_PAGE_BYTES;
}

/* Bits of `pages` pages from page `first`. */
static uint32_t page_mask(int first, int pages)
{
    return ((UINT32_C(1) << pages) - 1) << first;
}

/* The lowest page where `pages` free ones follow one another, else -1. */
static int find_pages(uint32_t used, int pages)
{
    for (int first = 0; first + pages <= PAGES_A_CHUNK; first++) {
        if ((used & page_mask(first, pages)) == 0) {
            return first;
        }
    }
    return -1;
}

/* A place in the newest open chunk that has room, else 0. */
static uint64_t place_in_rest(standin_address_space *space, int pages)
{
    standin_chunk *newest = NULL;
    for (size_t c = 0; c < space->chunk_count; c++) {
        standin_chunk *chunk = &space->chunks[c];
        if (chunk->used_pages != 0 && find_pages(chunk->used_pages, pages) >= 0 &&
            (newest == NULL || chunk->opened > newest->opened)) {
            newest = chunk;
        }
    }
    if (newest == NULL) {
        return 0;
    }
    const int first = find_pages(newest->used_pages, pages);
    newest->used_pages |= page_mask(first, pages);
    return space->base + (uint64_t)(newest - space->chunks) * STANDIN_CHUNK_BYTES +
           (uint64_t)first * STANDIN_PAGE_BYTES;
}

/* Index of the first chunk of the highest closed run of `count`, at its upper end; else chunk_count. */
static size_t find_closed_run(const standin_address_space *space, size_t count)
{
    size_t run = 0;
    for (size_t c = space->chunk_count; c-- > 0;) {
        run = space->chunks[c].used_pages == 0 ? run + 1 : 0;
        if (run == count) {
            return c;
        }
    }
    return space->chunk_count;
}

static uint64_t place_in_new(standin_address_space *space, uint64_t bytes)
{
    const size_t count = (size_t)((bytes + STANDIN_CHUNK_BYTES - 1) / STANDIN_CHUNK_BYTES);
    const size_t first = find_closed_run(space, count);
    if (first == space->chunk_count) {
        return 0;
    }
    space->openings++;
    for (size_t c = first; c < first + count; c++) {
        space->chunks[c] = (standin_chunk){.used_pages = ALL_PAGES, .opened = space->openings};
    }
    const uint64_t in_last = bytes - (count - 1) * STANDIN_CHUNK_BYTES;
    space->chunks[first + count - 1].used_pages = page_mask(0, (int)(in_last / STANDIN_PAGE_BYTES));
    return space->base + first * STANDIN_CHUNK_BYTES;
}

uint64_t standin_place(standin_address_space *space, uint64_t bytes)
{
    if (space->chunks == NULL) {
        space->chunks = calloc(space->chunk_count, sizeof *space->chunks);
        if (space->chunks == NULL) {
            return 0;
        }
    }
    uint64_t address = 0;
    if (bytes < STANDIN_CHUNK_BYTES) {
        address = place_in_rest(space, (int)(bytes / STANDIN_PAGE_BYTES));
    }
    return address != 0 ? address : place_in_new(space, bytes);
}

void standin_vacate(standin_address_space *space, uint64_t address, uint64_t bytes)
{
    const uint64_t offset = address - space->base;
    const uint64_t end = (offset + bytes) / STANDIN_PAGE_BYTES;
    for (uint64_t page = offset / STANDIN_PAGE_BYTES; page < end; page++) {
        space->chunks[page / PAGES_A_CHUNK].used_pages &= ~(UINT32_C(1) << page % PAGES_A_CHUNK);
    }
}
