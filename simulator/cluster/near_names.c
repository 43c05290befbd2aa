/* SPDX-License-Identifier: MIT
 *
 * Keys, distances between them, and the nearest few.
 */
#include "cluster/near_names.h"

#include <stdio.h>
#include <string.h>

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_kept(const char *name, size_t at, ps_name_style style)
{
    const char c = name[at];
    switch (style) {
    case PS_NAME_PLAIN:
        break;
    case PS_NAME_PATTERN:
        return c == '*';
    case PS_NAME_DECIMAL:
        return c == '.' && at > 0 && is_digit(name[at - 1]) && is_digit(name[at + 1]);
    }
    return false;
}

bool ps_name_key(const char *name, ps_name_style style, char out[PS_NAME_KEY_BYTES])
{
    size_t used = 0;
    out[0] = '\0';
    for (size_t i = 0; name[i] != '\0'; i++) {
        const char c = name[i] >= 'A' && name[i] <= 'Z' ? (char)(name[i] - 'A' + 'a') : name[i];
        if (!(c >= 'a' && c <= 'z') && !is_digit(c) && !is_kept(name, i, style)) {
            continue;
        }
        if (used + 1 >= PS_NAME_KEY_BYTES) {
            return false;
        }
        out[used] = c;
        used++;
        out[used] = '\0';
    }
    return used > 0;
}

static unsigned least(unsigned a, unsigned b, unsigned c)
{
    const unsigned ab = a < b ? a : b;
    return ab < c ? ab : c;
}

/* Insertions, deletions and replacements that lead from one key to the other. */
static unsigned edit_distance(const char *a, const char *b)
{
    unsigned line[PS_NAME_KEY_BYTES];
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

void ps_near_names_init(ps_near_names *self, const char *typed_key)
{
    *self = (ps_near_names){.typed = typed_key, .tolerance = 1 + (unsigned)strlen(typed_key) / 4};
}

/* Takes an entry out again that comes with a nearer key; false when the one it has is as near. */
static bool make_way(ps_near_names *self, ps_near_name made)
{
    for (size_t i = 0; i < self->count; i++) {
        if (self->name[i].entry == made.entry) {
            if (self->name[i].distance <= made.distance) {
                return false;
            }
            memmove(&self->name[i], &self->name[i + 1], (self->count - i - 1) * sizeof *self->name);
            self->count--;
            return true;
        }
    }
    return true;
}

/* Sorted by distance, the earlier entry first among equals. */
void ps_near_names_add(ps_near_names *self, uint32_t entry, const char *key)
{
    const ps_near_name made = {entry, distance_of(self->typed, key)};
    if (made.distance > self->tolerance || !make_way(self, made)) {
        return;
    }
    size_t at = self->count;
    while (at > 0 && (self->name[at - 1].distance > made.distance ||
                      (self->name[at - 1].distance == made.distance &&
                       self->name[at - 1].entry > made.entry))) {
        at--;
    }
    if (at == PS_NEAR_NAMES_MAX) {
        return;
    }
    const size_t kept = self->count < PS_NEAR_NAMES_MAX ? self->count : PS_NEAR_NAMES_MAX - 1;
    memmove(&self->name[at + 1], &self->name[at], (kept - at) * sizeof *self->name);
    self->name[at] = made;
    self->count = kept + 1;
}

void ps_near_names_format(const ps_near_names *self, ps_near_name_text text, const void *context,
                          char *out, size_t out_bytes)
{
    size_t used = 0;
    out[0] = '\0';
    for (size_t i = 0; i < self->count && used < out_bytes; i++) {
        const char *before = i == 0 ? ": did you mean " : i + 1 < self->count ? ", " : " or ";
        const int n = snprintf(out + used, out_bytes - used, "%s%.60s%s", before,
                               text(context, self->name[i].entry), i + 1 == self->count ? "?" : "");
        used += n > 0 ? (size_t)n : 0;
    }
}
