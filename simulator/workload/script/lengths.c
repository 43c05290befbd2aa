/* SPDX-License-Identifier: MIT
 *
 * Lines of an encyclopedia as data sets cut it (wikitext): a third are empty,
 * a sixth are headings, the rest are paragraphs. Given as the tokens that 0,
 * 1/32 .. 32/32 of the lines stay below; between those, evenly.
 */
#include "workload/script/lengths.h"

#define PARTS 32u

/* Recalled shares and mean; paragraphs spread like a gamma distribution of shape 2.2, mean 145. */
static const int64_t tokens_below[PARTS + 1] = {
    1,  1,  1,  1,  1,  1,  1,   1,   1,   1,   1,   1,   6,   8,   10,  11,   13,
    25, 42, 56, 69, 81, 94, 107, 121, 135, 151, 170, 191, 218, 254, 313, 1029,
};

static uint64_t next(uint64_t *state)
{
    *state += 0x9e3779b97f4a7c15u;
    uint64_t x = *state;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

static int64_t draw_line(uint64_t *state)
{
    const uint64_t x = next(state);
    const int64_t low = tokens_below[x % PARTS], high = tokens_below[x % PARTS + 1];
    return low + (int64_t)((x >> 32) % (uint64_t)(high - low + 1));
}

void ps_lengths_draw(uint64_t seed, int64_t batch, int64_t limit, int64_t *out, size_t count)
{
    uint64_t state = seed;
    for (size_t i = 0; i < count; i++) {
        int64_t longest = 1;
        for (int64_t line = 0; line < batch && longest < limit; line++) {
            const int64_t tokens = draw_line(&state);
            longest = tokens > longest ? tokens : longest;
        }
        out[i] = longest < limit ? longest : limit;
    }
}
