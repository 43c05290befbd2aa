/* SPDX-License-Identifier: MIT
 *
 * "Did you mean": the names nearest to one that is not in the catalogue. A
 * name that contains what was typed, or is contained in it, is nearest; then
 * the one that fewest typing slips away.
 */
#include <stdio.h>
#include <string.h>

#include "cluster/catalogue_store.h"

/* Names offered at most; more would not be read. */
#define MAX_OFFERS 6u

typedef struct offer {
    uint32_t entry;
    unsigned distance;
} offer;

static unsigned least(unsigned a, unsigned b, unsigned c)
{
    const unsigned ab = a < b ? a : b;
    return ab < c ? ab : c;
}

/* Insertions, deletions and replacements that lead from one key to the other. */
static unsigned edit_distance(const char *a, const char *b)
{
    unsigned line[PS_CATALOGUE_KEY_BYTES];
    const size_t width = strlen(b);
    for (size_t j = 0; j <= width; j++) {
        line[j] = (unsigned)j;
    }
    for (size_t i = 0; a[i] != '\0'; i++) {
        unsigned diagonal = line[0];
        line[0]++;
        for (size_t j = 0; j < width; j++) {
            const unsigned above = line[j + 1];
            line[j + 1] = least(above + 1, line[j] + 1, diagonal + (a[i] != b[j] ? 1u : 0u));
            diagonal = above;
        }
    }
    return line[width];
}

static unsigned distance_of(const char *typed, const char *name)
{
    if (strstr(name, typed) != NULL || strstr(typed, name) != NULL) {
        return 0;
    }
    return edit_distance(typed, name);
}

/* Keeps offers sorted by distance, one an entry, the earlier entry first among equals. */
static size_t add_offer(offer *offers, size_t count, offer made)
{
    for (size_t i = 0; i < count; i++) {
        if (offers[i].entry == made.entry) {
            if (offers[i].distance <= made.distance) {
                return count;
            }
            memmove(&offers[i], &offers[i + 1], (count - i - 1) * sizeof *offers);
            count--;
            break;
        }
    }
    size_t at = count;
    while (at > 0 &&
           (offers[at - 1].distance > made.distance ||
            (offers[at - 1].distance == made.distance && offers[at - 1].entry > made.entry))) {
        at--;
    }
    if (at == MAX_OFFERS) {
        return count;
    }
    const size_t kept = count < MAX_OFFERS ? count : MAX_OFFERS - 1;
    memmove(&offers[at + 1], &offers[at], (kept - at) * sizeof *offers);
    offers[at] = made;
    return kept + 1;
}

void ps_catalogue_suggest(const ps_catalogue *self, ps_hardware_class class_of, const char *key,
                          char *out, size_t out_bytes)
{
    offer offers[MAX_OFFERS];
    size_t count = 0;
    const unsigned tolerance = 1 + (unsigned)strlen(key) / 4;
    for (size_t i = 0; i < self->entry_count + self->alias_count; i++) {
        const bool is_alias = i >= self->entry_count;
        const ps_catalogue_alias *alias = is_alias ? &self->alias[i - self->entry_count] : NULL;
        const uint32_t entry = is_alias ? alias->entry : (uint32_t)i;
        const ps_str name = is_alias ? alias->key : self->entry[i].key;
        const unsigned distance = distance_of(key, ps_strings_text(self->strings, name));
        if (self->entry[entry].class_of == class_of && distance <= tolerance) {
            count = add_offer(offers, count, (offer){entry, distance});
        }
    }
    size_t used = 0;
    out[0] = '\0';
    for (size_t i = 0; i < count && used < out_bytes; i++) {
        const char *before = i == 0 ? ": did you mean " : i + 1 < count ? ", " : " or ";
        const int n = snprintf(out + used, out_bytes - used, "%s%.60s%s", before,
                               ps_strings_text(self->strings, self->entry[offers[i].entry].name),
                               i + 1 == count ? "?" : "");
        used += n > 0 ? (size_t)n : 0;
    }
}
