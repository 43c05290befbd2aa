/* SPDX-License-Identifier: MIT
 *
 * What a JSON file looks like by its first bytes: a walk that knows strings
 * and nesting and nothing else.
 */
#include "import/json_head.h"

#include <string.h>

#include "import/json_text.h"

static size_t skip_mark(const unsigned char *text, size_t bytes)
{
    return bytes >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
}

void ps_json_head_init(ps_json_head *self, const unsigned char *text, size_t bytes)
{
    *self = (ps_json_head){(const char *)text, bytes, skip_mark(text, bytes), 0};
}

char ps_json_head_char(const unsigned char *text, size_t bytes, size_t n)
{
    for (size_t i = skip_mark(text, bytes); i < bytes; i++) {
        if (!ps_json_is_space((char)text[i]) && n-- == 0) {
            return (char)text[i];
        }
    }
    return '\0';
}

/* Passes the string whose quote is at `at`; false when the head ends in it. */
static bool pass_string(ps_json_head *self, const char **inside, size_t *inside_bytes)
{
    const size_t from = ++self->at;
    while (self->at < self->bytes && self->text[self->at] != '"') {
        self->at += self->text[self->at] == '\\' ? 2 : 1;
    }
    if (self->at >= self->bytes) {
        return false;
    }
    *inside = self->text + from;
    *inside_bytes = self->at - from;
    self->at++;
    return true;
}

static bool is_colon_next(const ps_json_head *self)
{
    size_t at = self->at;
    while (at < self->bytes && ps_json_is_space(self->text[at])) {
        at++;
    }
    return at < self->bytes && self->text[at] == ':';
}

bool ps_json_head_next(ps_json_head *self, const char **key, size_t *key_bytes)
{
    while (self->at < self->bytes) {
        const char c = self->text[self->at];
        if (self->depth == 0 && c != '{' && !ps_json_is_space(c)) {
            return false;
        }
        if (c == '"') {
            if (!pass_string(self, key, key_bytes)) {
                return false;
            }
            if (self->depth == 1 && is_colon_next(self)) {
                return true;
            }
            continue;
        }
        self->at++;
        if (c == '{' || c == '[') {
            self->depth++;
        } else if ((c == '}' || c == ']') && --self->depth == 0) {
            self->at = self->bytes;
        }
    }
    return false;
}

bool ps_json_head_has(const unsigned char *text, size_t bytes, const char *key)
{
    ps_json_head head;
    const char *name = NULL;
    size_t name_bytes = 0;
    ps_json_head_init(&head, text, bytes);
    while (ps_json_head_next(&head, &name, &name_bytes)) {
        if (name_bytes == strlen(key) && memcmp(name, key, name_bytes) == 0) {
            return true;
        }
    }
    return false;
}
