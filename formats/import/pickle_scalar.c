/* SPDX-License-Identifier: MIT
 *
 * Instructions that put numbers and texts on the stack or go through the memo.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "import/json_text.h"
#include "import/pickle_machine.h"

/* Longest decimal line: sign, 20 digits, a trailing L, and room for leading zeros. */
#define DECIMAL_MAX_BYTES 64u

static ps_code push_integer(ps_pickle *self, int64_t value, ps_error *err)
{
    const ps_pickle_value pushed = {.type = PS_PICKLE_INT, .as.integer = value};
    return ps_pickle_push(self, &pushed, err);
}

static ps_code push_other(ps_pickle *self, ps_error *err)
{
    const ps_pickle_value pushed = {.type = PS_PICKLE_OTHER};
    return ps_pickle_push(self, &pushed, err);
}

ps_code ps_pickle_op_none(ps_pickle *self, unsigned arg, ps_error *err)
{
    (void)arg;
    const ps_pickle_value pushed = {.type = PS_PICKLE_NONE};
    return ps_pickle_push(self, &pushed, err);
}

ps_code ps_pickle_op_bool(ps_pickle *self, unsigned arg, ps_error *err)
{
    const ps_pickle_value pushed = {.type = PS_PICKLE_BOOL, .as.boolean = arg != 0};
    return ps_pickle_push(self, &pushed, err);
}

ps_code ps_pickle_op_int(ps_pickle *self, unsigned arg, ps_error *err)
{
    uint64_t raw;
    PS_TRY(ps_pickle_input_number(&self->input, arg, &raw, err));
    return push_integer(self, arg == 4 ? (int64_t)(int32_t)(uint32_t)raw : (int64_t)raw, err);
}

/* Two's complement, little-endian, any number of bytes; 9 hold 2^64 - 1 with its sign. */
static ps_code push_long(ps_pickle *self, const unsigned char *raw, size_t bytes, ps_error *err)
{
    const bool is_negative = bytes > 0 && (raw[bytes - 1] & 0x80) != 0;
    uint64_t bits = is_negative ? UINT64_MAX : 0;
    bool is_wide = false;
    for (size_t i = 0; i < bytes; i++) {
        if (i < 8) {
            bits &= ~((uint64_t)0xff << (8 * i));
            bits |= (uint64_t)raw[i] << (8 * i);
        } else if (raw[i] != (is_negative ? 0xff : 0)) {
            is_wide = true;
        }
    }
    const bool top = bits >> 63 != 0;
    if (is_wide || (is_negative && !top)) {
        return push_other(self, err);
    }
    if (!is_negative && top) {
        const ps_pickle_value pushed = {.type = PS_PICKLE_UINT, .as.natural = bits};
        return ps_pickle_push(self, &pushed, err);
    }
    return push_integer(self, (int64_t)bits, err);
}

ps_code ps_pickle_op_long(ps_pickle *self, unsigned arg, ps_error *err)
{
    uint64_t bytes;
    unsigned char *raw;
    PS_TRY(ps_pickle_input_number(&self->input, arg, &bytes, err));
    if (arg == 4 && bytes > INT32_MAX) {
        return ps_fail(err, PS_BAD_INPUT, "an integer of negative length");
    }
    if (bytes > 255) {
        PS_TRY(ps_pickle_input_skip(&self->input, bytes, err));
        return push_other(self, err);
    }
    PS_TRY(ps_pickle_input_take(&self->input, bytes, &raw, err));
    return push_long(self, raw, (size_t)bytes, err);
}

static ps_code take_line(ps_pickle *self, char *line, size_t line_bytes, ps_error *err)
{
    for (size_t used = 0; used < line_bytes; used++) {
        unsigned char *byte;
        PS_TRY(ps_pickle_input_take(&self->input, 1, &byte, err));
        if (*byte == '\n') {
            line[used] = '\0';
            return PS_OK;
        }
        line[used] = (char)*byte;
    }
    return ps_fail(err, PS_BAD_INPUT, "a decimal number of more than %zu characters",
                   line_bytes - 1);
}

ps_code ps_pickle_op_decimal(ps_pickle *self, unsigned arg, ps_error *err)
{
    (void)arg;
    char line[DECIMAL_MAX_BYTES] = {0}, *end;
    PS_TRY(take_line(self, line, sizeof line, err));
    /* protocols 0 and 1 have no truth values: these two spellings stand for them */
    if (strcmp(line, "00") == 0 || strcmp(line, "01") == 0) {
        return ps_pickle_op_bool(self, line[1] == '1', err);
    }
    errno = 0;
    const long long value = strtoll(line, &end, 10);
    end += *end == 'L';
    if (line[0] == '\0' || *end != '\0') {
        return ps_fail(err, PS_BAD_INPUT, "\"%s\" is not a decimal number", line);
    }
    return errno == ERANGE ? push_other(self, err) : push_integer(self, value, err);
}

ps_code ps_pickle_op_float(ps_pickle *self, unsigned arg, ps_error *err)
{
    (void)arg;
    unsigned char *raw;
    uint64_t bits = 0;
    ps_pickle_value pushed = {.type = PS_PICKLE_FLOAT};
    PS_TRY(ps_pickle_input_take(&self->input, 8, &raw, err));
    for (size_t i = 0; i < 8; i++) {
        bits = bits << 8 | raw[i];
    }
    memcpy(&pushed.as.real, &bits, sizeof bits);
    return ps_pickle_push(self, &pushed, err);
}

ps_code ps_pickle_op_text(ps_pickle *self, unsigned arg, ps_error *err)
{
    uint64_t bytes;
    unsigned char *raw;
    ps_pickle_value pushed = {.type = PS_PICKLE_TEXT};
    PS_TRY(ps_pickle_input_number(&self->input, arg, &bytes, err));
    PS_TRY(ps_pickle_input_take(&self->input, bytes, &raw, err));
    self->bad_text_bytes += ps_json_clean_utf8((char *)raw, (size_t)bytes);
    PS_TRY(ps_strings_put(self->strings, (const char *)raw, (size_t)bytes, &pushed.as.text, err));
    if (ps_strings_total_bytes(self->strings) > PS_PICKLE_TEXT_MAX_BYTES) {
        return ps_fail(err, PS_LIMIT, "more than %zu MiB of distinct texts",
                       PS_PICKLE_TEXT_MAX_BYTES >> 20);
    }
    return ps_pickle_push(self, &pushed, err);
}

ps_code ps_pickle_op_bytes(ps_pickle *self, unsigned arg, ps_error *err)
{
    uint64_t bytes;
    PS_TRY(ps_pickle_input_number(&self->input, arg, &bytes, err));
    PS_TRY(ps_pickle_input_skip(&self->input, bytes, err));
    return push_other(self, err);
}

static ps_code put(ps_pickle *self, uint64_t index, ps_error *err)
{
    PS_TRY(ps_pickle_require(self, 1, err));
    ps_pickle_value *top = &self->stack[self->depth - 1];
    if (top->is_shared) {
        return ps_fail(err, PS_UNSUPPORTED, "a container is memoised twice");
    }
    return ps_pickle_memo_put(&self->memo, index, top, err);
}

ps_code ps_pickle_op_memoize(ps_pickle *self, unsigned arg, ps_error *err)
{
    (void)arg;
    return put(self, self->memo.set_count, err);
}

ps_code ps_pickle_op_put(ps_pickle *self, unsigned arg, ps_error *err)
{
    uint64_t index;
    PS_TRY(ps_pickle_input_number(&self->input, arg, &index, err));
    return put(self, index, err);
}

ps_code ps_pickle_op_get(ps_pickle *self, unsigned arg, ps_error *err)
{
    uint64_t index;
    ps_pickle_value value;
    PS_TRY(ps_pickle_input_number(&self->input, arg, &index, err));
    PS_TRY(ps_pickle_memo_get(&self->memo, index, &value, err));
    return ps_pickle_push(self, &value, err);
}
