/* SPDX-License-Identifier: MIT
 *
 * What surrounds the list of events: a walk over the members of the outer
 * object, character by character because a value may be cut anywhere by the
 * end of the window. Values are only delimited here, not checked; that is
 * done when the kept text is read.
 */
#include "import/json_outer.h"

#include <string.h>

#include "base/memory.h"
#include "import/json_batch.h"
#include "import/json_text.h"

#define KEY_MAX_BYTES 1024u

static const char opening[] = "[{";

void ps_json_outer_init(ps_json_outer *self, const char *list_key)
{
    *self = (ps_json_outer){.list_key = list_key};
}

void ps_json_outer_fini(ps_json_outer *self)
{
    ps_free(self->text);
    self->text = NULL;
}

static ps_code append(ps_json_outer *self, const char *text, size_t bytes, ps_error *err)
{
    PS_TRY(ps_grow((void **)&self->text, &self->capacity, self->bytes + bytes,
                   PS_JSON_OUTER_MAX_BYTES + KEY_MAX_BYTES, 1, err));
    memcpy(self->text + self->bytes, text, bytes);
    self->bytes += bytes;
    return PS_OK;
}

static ps_code truncated(const ps_json_window *window, ps_error *err)
{
    return ps_fail_at(err, PS_TRUNCATED, ps_json_window_offset(window, window->end),
                      "the file ends in the middle of its JSON text");
}

static ps_code unexpected(const ps_json_window *window, const char *wanted, ps_error *err)
{
    return ps_fail_at(err, PS_BAD_INPUT, ps_json_window_offset(window, window->begin),
                      "not well-formed JSON: expected %s", wanted);
}

/* The character at begin, reading on when needed; PS_TRUNCATED when there is none. */
static ps_code need_char(ps_json_window *window, char *out, ps_error *err)
{
    if (window->begin == window->end) {
        bool grew = false;
        PS_TRY(ps_json_window_more(window, &grew, err));
        if (!grew) {
            return truncated(window, err);
        }
    }
    *out = window->bytes[window->begin];
    return PS_OK;
}

/* Like skip_space, but the text must go on. */
static ps_code need_token(ps_json_window *window, char *out, ps_error *err)
{
    PS_TRY(ps_json_window_skip_space(window, out, err));
    return window->begin == window->end ? truncated(window, err) : PS_OK;
}

/* ---- delimiting one value ---- */

/* Where a walk over one value stands. */
typedef struct value_walk {
    uint64_t depth;
    bool in_string;
    bool is_escaped;
    bool is_over;
} value_walk;

/* Takes one character into account; false when it lies behind the value. */
static bool walk_char(value_walk *walk, char c)
{
    if (walk->in_string) {
        if (walk->is_escaped) {
            walk->is_escaped = false;
        } else if (c == '\\') {
            walk->is_escaped = true;
        } else if (c == '"') {
            walk->in_string = false;
            walk->is_over = walk->depth == 0;
        }
        return true;
    }
    switch (c) {
    case '"':
        walk->in_string = true;
        return true;
    case '[':
    case '{':
        walk->depth++;
        return true;
    case ']':
    case '}':
        if (walk->depth == 0) {
            return false; /* the end of a number or word, and of the object around it */
        }
        walk->depth--;
        walk->is_over = walk->depth == 0;
        return true;
    case ',':
        return walk->depth > 0;
    default:
        return walk->depth > 0 || !ps_json_is_space(c);
    }
}

/* Passes one value; into the kept text while that has room, when keeper is given. */
static ps_code pass_value(ps_json_outer *keeper, ps_json_window *window, bool *was_kept,
                          ps_error *err)
{
    value_walk walk = {0};
    char c = '\0';
    *was_kept = keeper != NULL;
    PS_TRY(need_token(window, &c, err));
    if (c == ',' || c == ':' || c == '}' || c == ']') {
        return unexpected(window, "a value", err);
    }
    while (!walk.is_over) {
        const size_t from = window->begin;
        bool is_inside = true;
        while (window->begin < window->end && !walk.is_over && is_inside) {
            is_inside = walk_char(&walk, window->bytes[window->begin]);
            window->begin += is_inside ? 1 : 0;
        }
        const size_t passed = window->begin - from;
        if (*was_kept && keeper->bytes + passed > PS_JSON_OUTER_MAX_BYTES) {
            *was_kept = false;
        }
        if (*was_kept) {
            PS_TRY(append(keeper, window->bytes + from, passed, err));
        }
        if (!is_inside) {
            break;
        }
        if (!walk.is_over) {
            PS_TRY(need_char(window, &c, err));
        }
    }
    return PS_OK;
}

ps_code ps_json_outer_skip_value(ps_json_window *window, ps_error *err)
{
    bool was_kept = false;
    return pass_value(NULL, window, &was_kept, err);
}

/* ---- members ---- */

/* Reads a name with its quotes; longer ones are cut, which makes them match nothing. */
static ps_code take_key(ps_json_window *window, char *key, size_t *bytes, ps_error *err)
{
    value_walk walk = {0};
    char c = '\0';
    *bytes = 0;
    PS_TRY(need_token(window, &c, err));
    if (c != '"') {
        return unexpected(window, "a name in quotes", err);
    }
    while (!walk.is_over) {
        PS_TRY(need_char(window, &c, err));
        (void)walk_char(&walk, c);
        window->begin++;
        if (*bytes < KEY_MAX_BYTES) {
            key[(*bytes)++] = c;
        }
    }
    return PS_OK;
}

static ps_code take_colon(ps_json_window *window, ps_error *err)
{
    char c = '\0';
    PS_TRY(need_token(window, &c, err));
    if (c != ':') {
        return unexpected(window, "':'", err);
    }
    window->begin++;
    return PS_OK;
}

static ps_code enter_list(ps_json_outer *self, ps_json_window *window, ps_error *err)
{
    char c = '\0';
    PS_TRY(need_token(window, &c, err));
    if (c != '[') {
        return ps_fail_at(err, PS_BAD_INPUT, ps_json_window_offset(window, window->begin),
                          "\"%s\" is not a list", self->list_key);
    }
    window->begin++;
    self->list_count++;
    return PS_OK;
}

static ps_code keep_member(ps_json_outer *self, ps_json_window *window, const char *key,
                           size_t key_bytes, ps_error *err)
{
    const size_t before = self->bytes;
    bool was_kept = false;
    if (key_bytes >= KEY_MAX_BYTES) {
        self->left_out++;
        return ps_json_outer_skip_value(window, err);
    }
    PS_TRY(append(self, self->member_count == 0 ? opening : ",",
                  self->member_count == 0 ? strlen(opening) : 1, err));
    PS_TRY(append(self, key, key_bytes, err));
    PS_TRY(append(self, ":", 1, err));
    PS_TRY(pass_value(self, window, &was_kept, err));
    if (was_kept) {
        self->member_count++;
    } else {
        self->bytes = before;
        self->left_out++;
    }
    return PS_OK;
}

static bool is_list_key(const ps_json_outer *self, const char *key, size_t bytes)
{
    const size_t wanted = strlen(self->list_key);
    return bytes == wanted + 2 && memcmp(key + 1, self->list_key, wanted) == 0;
}

/* Only whitespace may follow. */
static ps_code check_end(ps_json_window *window, ps_error *err)
{
    char c = '\0';
    PS_TRY(ps_json_window_skip_space(window, &c, err));
    return window->begin == window->end ? PS_OK : unexpected(window, "nothing behind the end", err);
}

/* Members from here on; `is_first` when the brace was just opened. */
static ps_code walk_members(ps_json_outer *self, ps_json_window *window, bool is_first,
                            bool *in_list, ps_error *err)
{
    char key[KEY_MAX_BYTES];
    size_t key_bytes = 0;
    for (;; is_first = false) {
        char c = '\0';
        PS_TRY(need_token(window, &c, err));
        if (c == '}') {
            window->begin++;
            *in_list = false;
            return check_end(window, err);
        }
        if (!is_first) {
            if (c != ',') {
                return unexpected(window, "',' or '}'", err);
            }
            window->begin++;
        }
        PS_TRY(take_key(window, key, &key_bytes, err));
        PS_TRY(take_colon(window, err));
        if (is_list_key(self, key, key_bytes)) {
            *in_list = true;
            return enter_list(self, window, err);
        }
        PS_TRY(keep_member(self, window, key, key_bytes, err));
    }
}

static ps_code skip_byte_order_mark(ps_json_window *window, ps_error *err)
{
    static const char mark[] = "\xef\xbb\xbf";
    for (size_t i = 0; i < 3; i++) {
        char c = '\0';
        PS_TRY(need_char(window, &c, err));
        if (c != mark[i]) {
            return i == 0 ? PS_OK : unexpected(window, "JSON text", err);
        }
        window->begin++;
    }
    return PS_OK;
}

ps_code ps_json_outer_start(ps_json_outer *self, ps_json_window *window, bool *in_list,
                            ps_error *err)
{
    char c = '\0';
    PS_TRY(skip_byte_order_mark(window, err));
    PS_TRY(need_token(window, &c, err));
    if (c == '[') {
        self->is_bare = true;
        *in_list = true;
        return enter_list(self, window, err);
    }
    if (c != '{') {
        return unexpected(window, "'{' or '['", err);
    }
    window->begin++;
    return walk_members(self, window, true, in_list, err);
}

ps_code ps_json_outer_resume(ps_json_outer *self, ps_json_window *window, bool *in_list,
                             ps_error *err)
{
    if (self->is_bare) {
        *in_list = false;
        return check_end(window, err);
    }
    return walk_members(self, window, false, in_list, err);
}

ps_code ps_json_outer_text(ps_json_outer *self, char **text, size_t *bytes, ps_error *err)
{
    char padding[PS_JSON_PADDING];
    if (self->member_count == 0) {
        self->bytes = 0;
        PS_TRY(append(self, opening, strlen(opening), err));
    }
    PS_TRY(append(self, "}]", 2, err));
    *bytes = self->bytes;
    memset(padding, ' ', sizeof padding);
    PS_TRY(append(self, padding, sizeof padding, err));
    *text = self->text;
    return PS_OK;
}
