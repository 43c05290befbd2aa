/* SPDX-License-Identifier: MIT
 *
 * yajl's generator behind typed calls.
 */
#include "cli/json.h"

#include <inttypes.h>
#include <string.h>
#include <yajl/yajl_gen.h>

#include "base/memory.h"
#include "cli/text.h"

/* yajl's own limit is 128; nothing here nests deeper than a handful. */
#define DEPTH_MAX 64u

static void *allocate(void *context, size_t bytes)
{
    (void)context;
    return ps_realloc(NULL, bytes, 1);
}

static void *reallocate(void *context, void *block, size_t bytes)
{
    (void)context;
    return ps_realloc(block, bytes, 1);
}

static void release(void *context, void *block)
{
    (void)context;
    ps_free(block);
}

static void print(void *context, const char *text, size_t bytes)
{
    ps_output_write(context, text, bytes);
}

void ps_json_open(ps_json *self, ps_output *out, ps_json_style style)
{
    static const yajl_alloc_funcs allocator = {allocate, reallocate, release, NULL};
    *self = (ps_json){.code = PS_OK};
    yajl_gen generator = yajl_gen_alloc(&allocator);
    if (generator == NULL) {
        self->code = PS_NOMEM;
        return;
    }
    self->generator = generator;
    (void)yajl_gen_config(generator, yajl_gen_print_callback, print, out);
    if (style == PS_JSON_LINES) {
        (void)yajl_gen_config(generator, yajl_gen_beautify, 1);
        (void)yajl_gen_config(generator, yajl_gen_indent_string, "  ");
    }
}

static void note(ps_json *self, yajl_gen_status status)
{
    if (status != yajl_gen_status_ok && self->code == PS_OK) {
        self->code = PS_INTERNAL;
    }
}

static bool is_valid(const char *text, size_t bytes)
{
    for (size_t i = 0; i < bytes;) {
        const size_t length = ps_text_character(text + i, bytes - i);
        if (length == 0) {
            return false;
        }
        i += length;
    }
    return true;
}

/* A copy in which every byte that begins no character is U+FFFD; `out` has three times the room. */
static size_t repair(const char *text, size_t bytes, char *out)
{
    size_t used = 0;
    for (size_t i = 0; i < bytes;) {
        const size_t length = ps_text_character(text + i, bytes - i);
        memcpy(out + used, length == 0 ? "\xef\xbf\xbd" : text + i, length == 0 ? 3 : length);
        used += length == 0 ? 3 : length;
        i += length == 0 ? 1 : length;
    }
    return used;
}

static void put_repaired(ps_json *self, const char *text, size_t bytes)
{
    char *copy = ps_calloc(bytes, 3);
    if (copy == NULL) {
        self->code = PS_NOMEM;
        return;
    }
    const size_t used = repair(text, bytes, copy);
    note(self, yajl_gen_string(self->generator, (const unsigned char *)copy, used));
    ps_free(copy);
}

static void put_text(ps_json *self, const char *text)
{
    const size_t bytes = strlen(text);
    if (is_valid(text, bytes)) {
        note(self, yajl_gen_string(self->generator, (const unsigned char *)text, bytes));
    } else {
        put_repaired(self, text, bytes);
    }
}

/* Writes the key, if any; false when nothing may be written any more. */
static bool begin_value(ps_json *self, const char *key)
{
    if (self->code == PS_OK && key != NULL) {
        put_text(self, key);
    }
    return self->code == PS_OK;
}

static void open_level(ps_json *self, bool is_object)
{
    if (self->depth >= DEPTH_MAX) {
        self->code = PS_INTERNAL;
        return;
    }
    const uint64_t bit = (uint64_t)1 << self->depth++;
    self->opened = is_object ? self->opened | bit : self->opened & ~bit;
}

void ps_json_object(ps_json *self, const char *key)
{
    if (begin_value(self, key)) {
        note(self, yajl_gen_map_open(self->generator));
        open_level(self, true);
    }
}

void ps_json_array(ps_json *self, const char *key)
{
    if (begin_value(self, key)) {
        note(self, yajl_gen_array_open(self->generator));
        open_level(self, false);
    }
}

void ps_json_end(ps_json *self)
{
    if (self->code != PS_OK) {
        return;
    }
    if (self->depth == 0) {
        self->code = PS_INTERNAL;
        return;
    }
    const bool is_object = (self->opened >> --self->depth & 1u) != 0;
    note(self,
         is_object ? yajl_gen_map_close(self->generator) : yajl_gen_array_close(self->generator));
}

void ps_json_u64(ps_json *self, const char *key, uint64_t value)
{
    char digits[24];
    const int bytes = snprintf(digits, sizeof digits, "%" PRIu64, value);
    if (begin_value(self, key)) {
        note(self, yajl_gen_number(self->generator, digits, (size_t)bytes));
    }
}

void ps_json_i64(ps_json *self, const char *key, int64_t value)
{
    if (begin_value(self, key)) {
        note(self, yajl_gen_integer(self->generator, value));
    }
}

void ps_json_bool(ps_json *self, const char *key, bool value)
{
    if (begin_value(self, key)) {
        note(self, yajl_gen_bool(self->generator, value));
    }
}

void ps_json_null(ps_json *self, const char *key)
{
    if (begin_value(self, key)) {
        note(self, yajl_gen_null(self->generator));
    }
}

void ps_json_text(ps_json *self, const char *key, const char *text)
{
    if (text == NULL) {
        ps_json_null(self, key);
        return;
    }
    if (begin_value(self, key)) {
        put_text(self, text);
    }
}

void ps_json_thousandths(ps_json *self, const char *key, uint64_t thousandths)
{
    char digits[32];
    const int bytes = snprintf(digits, sizeof digits, "%" PRIu64 ".%03u", thousandths / 1000,
                               (unsigned)(thousandths % 1000));
    if (begin_value(self, key)) {
        note(self, yajl_gen_number(self->generator, digits, (size_t)bytes));
    }
}

void ps_json_next(ps_json *self)
{
    if (self->code == PS_OK) {
        yajl_gen_reset(self->generator, "\n");
    }
}

ps_code ps_json_close(ps_json *self, ps_error *err)
{
    const ps_code code = self->code != PS_OK ? self->code : self->depth != 0 ? PS_INTERNAL : PS_OK;
    if (self->generator != NULL) {
        yajl_gen_free(self->generator);
    }
    *self = (ps_json){.code = PS_INTERNAL};
    if (code == PS_NOMEM) {
        return ps_fail_nomem(err);
    }
    return code == PS_OK ? PS_OK : ps_fail(err, code, "the JSON output was not built correctly");
}
