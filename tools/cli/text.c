/* SPDX-License-Identifier: MIT
 *
 * UTF-8, widths, wrapping and edit distance.
 */
#include "cli/text.h"

#include <string.h>

/* Longest name that is compared; longer ones are nobody's typing error. */
#define NAME_MAX_BYTES 40u

static bool is_tail(unsigned char c)
{
    return (c & 0xc0u) == 0x80u;
}

/* The second byte alone tells overlong forms, surrogates and values past the last one. */
static bool is_second(unsigned char first, unsigned char second)
{
    switch (first) {
    case 0xe0:
        return second >= 0xa0 && second <= 0xbf;
    case 0xed:
        return second >= 0x80 && second <= 0x9f;
    case 0xf0:
        return second >= 0x90 && second <= 0xbf;
    case 0xf4:
        return second >= 0x80 && second <= 0x8f;
    default:
        return is_tail(second);
    }
}

size_t ps_text_character(const char *text, size_t bytes)
{
    const unsigned char *c = (const unsigned char *)text;
    if (bytes == 0) {
        return 0;
    }
    if (c[0] < 0x80) {
        return 1;
    }
    const size_t length = c[0] >= 0xc2 && c[0] <= 0xdf   ? 2
                          : c[0] >= 0xe0 && c[0] <= 0xef ? 3
                          : c[0] >= 0xf0 && c[0] <= 0xf4 ? 4
                                                         : 0;
    if (length == 0 || bytes < length || !is_second(c[0], c[1])) {
        return 0;
    }
    for (size_t i = 2; i < length; i++) {
        if (!is_tail(c[i])) {
            return 0;
        }
    }
    return length;
}

size_t ps_text_width(const char *text)
{
    size_t width = 0;
    for (; *text != '\0'; text++) {
        width += is_tail((unsigned char)*text) ? 0 : 1;
    }
    return width;
}

static void break_line(ps_output *out, size_t indent)
{
    ps_output_print(out, "\n%*s", (int)indent, "");
}

/* One paragraph; returns the column it ends in. */
static size_t wrap_paragraph(ps_output *out, const char *text, size_t bytes, size_t at,
                             size_t indent, size_t columns)
{
    size_t i = 0;
    bool is_first = true;
    while (i < bytes) {
        while (i < bytes && text[i] == ' ') {
            i++;
        }
        const size_t begin = i;
        size_t width = 0;
        while (i < bytes && text[i] != ' ') {
            width += is_tail((unsigned char)text[i]) ? 0 : 1;
            i++;
        }
        if (i == begin) {
            break;
        }
        if (!is_first && at + 1 + width > columns) {
            break_line(out, indent);
            at = indent;
        } else if (!is_first) {
            ps_output_write(out, " ", 1);
            at++;
        }
        ps_output_write(out, text + begin, i - begin);
        at += width;
        is_first = false;
    }
    return at;
}

void ps_text_wrap(ps_output *out, const char *text, size_t at, size_t indent, size_t columns)
{
    for (;;) {
        const char *end = strchr(text, '\n');
        const size_t bytes = end != NULL ? (size_t)(end - text) : strlen(text);
        if (bytes > 0 && text[0] == ' ') {
            ps_output_write(out, text, bytes);
        } else {
            (void)wrap_paragraph(out, text, bytes, at, indent, columns);
        }
        if (end == NULL) {
            break;
        }
        text = end + 1;
        ps_output_write(out, "\n", 1);
        if (*text != '\0' && *text != '\n') {
            ps_output_print(out, "%*s", (int)indent, "");
        }
        at = indent;
    }
    ps_output_write(out, "\n", 1);
}

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

unsigned ps_text_distance(const char *a, const char *b)
{
    const size_t a_bytes = strlen(a), b_bytes = strlen(b);
    unsigned row[3][NAME_MAX_BYTES + 1]; /* the last two rows and the one being filled */
    if (a_bytes > NAME_MAX_BYTES || b_bytes > NAME_MAX_BYTES) {
        return PS_TEXT_FAR;
    }
    for (size_t j = 0; j <= b_bytes; j++) {
        row[0][j] = (unsigned)j;
    }
    for (size_t i = 1; i <= a_bytes; i++) {
        unsigned *now = row[i % 3];
        const unsigned *last = row[(i - 1) % 3], *before = row[(i + 1) % 3];
        now[0] = (unsigned)i;
        for (size_t j = 1; j <= b_bytes; j++) {
            now[j] = least(least(last[j] + 1, now[j - 1] + 1),
                           last[j - 1] + (a[i - 1] != b[j - 1] ? 1 : 0));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
                now[j] = least(now[j], before[j - 2] + 1);
            }
        }
    }
    return row[a_bytes % 3][b_bytes];
}

bool ps_text_is_near(unsigned distance, const char *name)
{
    const size_t bytes = strlen(name);
    return distance <= (bytes <= 3 ? 1u : bytes <= 7 ? 2u : 3u) && distance < bytes;
}
