/* SPDX-License-Identifier: MIT
 *
 * Which chunk a parameter goes into.
 */
#include "base/memory.h"
#include "workload/script/gemini.h"

/* The library names its bounds in MB and compares them with numbers of elements. */
#define LEAST_SIZE ((int64_t)32 << 20)
#define SEARCH_RANGE ((int64_t)32 << 20)
#define SEARCH_STEP 1024

typedef struct spread {
    double count, sum, squares;
} spread;

static spread spread_of(const int64_t *elements, size_t count)
{
    spread s = {0};
    for (size_t i = 0; i < count; i++) {
        const double n = (double)elements[i];
        s.count += 1.0;
        s.sum += n;
        s.squares += n * n;
    }
    return s;
}

/* n > mean + 3 standard deviations of all, without a root: both sides times the count, squared */
static bool is_outlier(int64_t elements, const spread *s)
{
    const double above = s->count * (double)elements - s->sum;
    return above > 0.0 && above * above > 9.0 * (s->count * s->squares - s->sum * s->sum);
}

/* The largest that is no outlier: all that are larger are some. */
static int64_t largest_ordinary(const int64_t *elements, size_t count, const spread *s)
{
    int64_t largest = 0;
    for (size_t i = 0; i < count; i++) {
        if (elements[i] > largest && !is_outlier(elements[i], s)) {
            largest = elements[i];
        }
    }
    return largest;
}

/* Unused elements of chunks of a size, but for outliers. */
static int64_t unused(const int64_t *elements, size_t count, int64_t largest, int64_t size)
{
    int64_t left = 0, lost = 0;
    for (size_t i = 0; i < count; i++) {
        if (elements[i] > largest) {
            continue;
        }
        if (left < elements[i]) {
            lost += left;
            left = size;
        }
        left -= elements[i];
    }
    return lost + left;
}

static int64_t least_size(int64_t largest)
{
    const int64_t least = largest > LEAST_SIZE ? largest : LEAST_SIZE;
    return (least + SEARCH_STEP - 1) / SEARCH_STEP * SEARCH_STEP;
}

static int64_t find_size(const int64_t *elements, size_t count, const spread *s)
{
    if (s->sum < (double)LEAST_SIZE) {
        return s->sum > 0.0 ? (int64_t)s->sum : 1; /* all go into one chunk */
    }
    const int64_t largest = largest_ordinary(elements, count, s), least = least_size(largest);
    int64_t best = least, fewest = INT64_MAX;
    for (int64_t size = least; size <= least + SEARCH_RANGE; size += SEARCH_STEP) {
        const int64_t lost = unused(elements, count, largest, size);
        if (lost < fewest) {
            fewest = lost;
            best = size;
        }
    }
    return best;
}

static int64_t round_up(int64_t elements, int64_t ranks)
{
    return (elements + ranks - 1) / ranks * ranks;
}

static void fill(const int64_t *elements, size_t count, int64_t ranks, ps_gemini_layout *out)
{
    int64_t left = 0;
    size_t open = 0;
    for (size_t i = 0; i < count; i++) {
        if (elements[i] > out->size) {
            out->chunk_of[i] = out->chunk_count;
            out->chunk_elements[out->chunk_count++] = round_up(elements[i], ranks);
            continue;
        }
        if (left < elements[i]) {
            open = out->chunk_count++;
            out->chunk_elements[open] = left = out->size;
        }
        out->chunk_of[i] = open;
        left -= elements[i];
    }
}

ps_code ps_gemini_lay_out(const int64_t *elements, size_t count, int64_t ranks,
                          ps_gemini_layout *out, ps_error *err)
{
    const spread s = spread_of(elements, count);
    *out = (ps_gemini_layout){.size = round_up(find_size(elements, count, &s), ranks),
                              .is_small = s.sum < (double)LEAST_SIZE};
    out->chunk_elements = ps_calloc(count + 1, sizeof *out->chunk_elements);
    out->chunk_of = ps_calloc(count + 1, sizeof *out->chunk_of);
    if (out->chunk_elements == NULL || out->chunk_of == NULL) {
        return ps_fail_nomem(err);
    }
    fill(elements, count, ranks, out);
    return PS_OK;
}

void ps_gemini_layout_fini(ps_gemini_layout *self)
{
    ps_free(self->chunk_elements);
    ps_free(self->chunk_of);
    self->chunk_elements = NULL;
    self->chunk_of = NULL;
}
