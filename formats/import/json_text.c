/* SPDX-License-Identifier: MIT
 *
 * Pieces of JSON text. Numbers are handled as decimal digits with a moving
 * point: recorders write times as microseconds with nanosecond decimals, up
 * to 19 significant digits, which a double cannot hold.
 */
#include "import/json_text.h"

#include <limits.h>
#include <string.h>

/* ---- numbers ---- */

/* A number as its digits: value = 0.d1 d2 d3 ... * 10^point. */
typedef struct decimal {
    const char *digits; /* may contain one '.', which does not count */
    size_t bytes;
    int64_t point;
    bool is_negative;
} decimal;

#define EXPONENT_LIMIT 100000

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static size_t count_digits(const char *text, size_t bytes)
{
    size_t n = 0;
    while (n < bytes && is_digit(text[n])) {
        n++;
    }
    return n;
}

static bool parse_exponent(const char *text, size_t bytes, int64_t *out)
{
    const bool is_negative = bytes > 0 && text[0] == '-';
    const size_t sign = bytes > 0 && (text[0] == '-' || text[0] == '+') ? 1 : 0;
    const size_t digits = count_digits(text + sign, bytes - sign);
    if (digits == 0 || sign + digits != bytes) {
        return false;
    }
    int64_t value = 0;
    for (size_t i = 0; i < digits && value < EXPONENT_LIMIT; i++) {
        value = value * 10 + (text[sign + i] - '0');
    }
    *out = is_negative ? -value : value;
    return true;
}

static bool split_number(const char *text, size_t bytes, decimal *out)
{
    out->is_negative = bytes > 0 && text[0] == '-';
    size_t at = out->is_negative ? 1 : 0;
    const size_t whole = count_digits(text + at, bytes - at);
    if (whole == 0) {
        return false;
    }
    out->digits = text + at;
    out->bytes = whole;
    out->point = (int64_t)whole;
    at += whole;
    if (at < bytes && text[at] == '.') {
        const size_t fraction = count_digits(text + at + 1, bytes - at - 1);
        if (fraction == 0) {
            return false;
        }
        out->bytes += 1 + fraction;
        at += 1 + fraction;
    }
    if (at < bytes && (text[at] == 'e' || text[at] == 'E')) {
        int64_t exponent = 0;
        if (!parse_exponent(text + at + 1, bytes - at - 1, &exponent)) {
            return false;
        }
        out->point += exponent;
        at = bytes;
    }
    return at == bytes;
}

/* value = value * 10 + digit, false on overflow of uint64 */
static bool push_digit(uint64_t *value, unsigned digit)
{
    return !__builtin_mul_overflow(*value, (uint64_t)10, value) &&
           !__builtin_add_overflow(*value, (uint64_t)digit, value);
}

/* The digits before the point, rounded by the first one behind it. */
static bool round_number(const decimal *number, uint64_t *out)
{
    uint64_t value = 0;
    int64_t place = 0; /* digits passed */
    unsigned behind = 0;
    for (size_t i = 0; i < number->bytes && place <= number->point; i++) {
        if (number->digits[i] == '.') {
            continue;
        }
        const unsigned digit = (unsigned)(number->digits[i] - '0');
        if (place == number->point) {
            behind = digit;
        } else if (!push_digit(&value, digit)) {
            return false;
        }
        place++;
    }
    for (; place < number->point && value != 0; place++) {
        if (!push_digit(&value, 0)) {
            return false;
        }
    }
    return behind < 5 || !__builtin_add_overflow(value, (uint64_t)1, &value) ? (*out = value, true)
                                                                             : false;
}

bool ps_json_decimal(const char *text, size_t bytes, int shift, int64_t *out)
{
    decimal number;
    uint64_t value = 0;
    if (!split_number(text, bytes, &number)) {
        return false;
    }
    number.point += shift;
    if (!round_number(&number, &value) || value > (uint64_t)INT64_MAX) {
        return false;
    }
    *out = number.is_negative ? -(int64_t)value : (int64_t)value;
    return true;
}

bool ps_json_whole(const char *text, size_t bytes, uint64_t *out)
{
    uint64_t value = 0;
    for (size_t i = 0; i < bytes; i++) {
        if (!is_digit(text[i]) || !push_digit(&value, (unsigned)(text[i] - '0'))) {
            return false;
        }
    }
    *out = value;
    return bytes > 0;
}

/* ---- escapes ---- */

static bool parse_hex4(const char *text, size_t bytes, uint32_t *out)
{
    uint32_t value = 0;
    if (bytes < 4) {
        return false;
    }
    for (size_t i = 0; i < 4; i++) {
        const char c = text[i];
        if (is_digit(c)) {
            value = value * 16 + (uint32_t)(c - '0');
        } else if ((c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F')) {
            value = value * 16 + (uint32_t)((c | 0x20) - 'a') + 10;
        } else {
            return false;
        }
    }
    *out = value;
    return true;
}

static size_t put_utf8(uint32_t code, char *out)
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (char)(0xc0 | (code >> 6));
        out[1] = (char)(0x80 | (code & 0x3f));
        return 2;
    }
    if (code < 0x10000) {
        out[0] = (char)(0xe0 | (code >> 12));
        out[1] = (char)(0x80 | ((code >> 6) & 0x3f));
        out[2] = (char)(0x80 | (code & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | (code >> 18));
    out[1] = (char)(0x80 | ((code >> 12) & 0x3f));
    out[2] = (char)(0x80 | ((code >> 6) & 0x3f));
    out[3] = (char)(0x80 | (code & 0x3f));
    return 4;
}

/* Reads what follows "\u": the characters eaten, and *code 0 when they make no character. */
static size_t take_code(const char *text, size_t bytes, uint32_t *code)
{
    uint32_t low = 0;
    if (!parse_hex4(text, bytes, code)) {
        *code = 0;
        return 0;
    }
    if (*code < 0xd800 || *code > 0xdfff) {
        return 4;
    }
    /* the first of a surrogate pair must be followed by the second */
    if (*code > 0xdbff || bytes < 10 || text[4] != '\\' || text[5] != 'u' ||
        !parse_hex4(text + 6, bytes - 6, &low) || low < 0xdc00 || low > 0xdfff) {
        *code = 0;
        return 4;
    }
    *code = 0x10000 + ((*code - 0xd800) << 10) + (low - 0xdc00);
    return 10;
}

static char simple_escape(char c)
{
    switch (c) {
    case 'b':
        return '\b';
    case 'f':
        return '\f';
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    case '"':
    case '\\':
    case '/':
        return c;
    default:
        return '\0';
    }
}

size_t ps_json_unescape(const char *text, size_t bytes, char *out, uint64_t *damaged)
{
    size_t written = 0;
    for (size_t i = 0; i < bytes; i++) {
        if (text[i] != '\\') {
            out[written++] = text[i];
            continue;
        }
        i++;
        const char kind = i < bytes ? text[i] : '\0';
        uint32_t code = 0;
        if (kind == 'u') {
            i += take_code(text + i + 1, bytes - i - 1, &code);
        }
        if (code != 0) {
            written += put_utf8(code, out + written);
        } else if (simple_escape(kind) != '\0') {
            out[written++] = simple_escape(kind);
        } else {
            out[written++] = '?';
            (*damaged)++;
        }
    }
    return written;
}

size_t ps_json_compact(const char *text, size_t bytes, char *out)
{
    size_t written = 0;
    bool in_string = false;
    for (size_t i = 0; i < bytes; i++) {
        if (!in_string && ps_json_is_space(text[i])) {
            continue;
        }
        if (text[i] == '"') {
            in_string = !in_string;
        } else if (text[i] == '\\' && i + 1 < bytes) {
            out[written++] = text[i++];
        }
        out[written++] = text[i];
    }
    return written;
}

/* ---- UTF-8 ---- */

/* [bytes] length of the valid character at text[0], 0 when there is none. */
static size_t utf8_length(const unsigned char *text, size_t bytes)
{
    const unsigned char lead = text[0];
    size_t length = 0;
    unsigned char low = 0x80, high = 0xbf; /* range of the second byte */
    if (lead < 0x80) {
        return 1;
    }
    if (lead >= 0xc2 && lead <= 0xdf) {
        length = 2;
    } else if (lead >= 0xe0 && lead <= 0xef) {
        length = 3;
        low = lead == 0xe0 ? 0xa0 : 0x80;  /* overlong */
        high = lead == 0xed ? 0x9f : 0xbf; /* surrogates */
    } else if (lead >= 0xf0 && lead <= 0xf4) {
        length = 4;
        low = lead == 0xf0 ? 0x90 : 0x80;
        high = lead == 0xf4 ? 0x8f : 0xbf; /* beyond U+10FFFF */
    }
    if (length == 0 || length > bytes || text[1] < low || text[1] > high) {
        return 0;
    }
    for (size_t i = 2; i < length; i++) {
        if (text[i] < 0x80 || text[i] > 0xbf) {
            return 0;
        }
    }
    return length;
}

uint64_t ps_json_clean_utf8(char *text, size_t bytes)
{
    unsigned char *at = (unsigned char *)text;
    uint64_t replaced = 0;
    for (size_t i = 0; i < bytes;) {
        const size_t length = utf8_length(at + i, bytes - i);
        if (length == 0) {
            at[i] = '?';
            replaced++;
        }
        i += length == 0 ? 1 : length;
    }
    return replaced;
}
