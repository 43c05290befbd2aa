/* SPDX-License-Identifier: MIT
 *
 * Words are written one after the other into a copy that cannot be too small:
 * a word with its end takes no more bytes than it took in the text and the
 * blank, or the end, behind it.
 */
#include "shell_words.h"

#include <stdbool.h>
#include <string.h>

#include "base/memory.h"

typedef struct splitter {
    const char *at; /* next byte to read */
    char *to;       /* next byte to write */
    ps_error *err;
} splitter;

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Copies up to the closing quote; `at` is behind the opening one. */
static ps_code copy_quoted(splitter *self, char quote)
{
    for (; *self->at != quote; self->at++) {
        if (quote == '"' && *self->at == '\\' && (self->at[1] == '"' || self->at[1] == '\\')) {
            self->at++;
        }
        if (*self->at == '\0') {
            return ps_fail(self->err, PS_USAGE, "a %s is opened and not closed",
                           quote == '"' ? "double quote" : "single quote");
        }
        *self->to++ = *self->at;
    }
    self->at++;
    return PS_OK;
}

static ps_code copy_word(splitter *self)
{
    while (*self->at != '\0' && !is_blank(*self->at)) {
        const char c = *self->at++;
        if (c == '\'' || c == '"') {
            PS_TRY(copy_quoted(self, c));
            continue;
        }
        if (c == '\\' && *self->at == '\0') {
            return ps_fail(self->err, PS_USAGE, "a backslash stands at the end");
        }
        *self->to++ = c == '\\' ? *self->at++ : c;
    }
    *self->to++ = '\0';
    return PS_OK;
}

static ps_code split(ps_shell_words *self, const char *text, ps_error *err)
{
    splitter state = {text, self->text, err};
    size_t capacity = 0;
    for (;;) {
        while (is_blank(*state.at)) {
            state.at++;
        }
        if (*state.at == '\0') {
            return PS_OK;
        }
        PS_TRY(ps_grow((void **)(void *)&self->word, &capacity, (size_t)self->count + 1,
                       PS_SHELL_WORDS_MAX, sizeof *self->word, err));
        self->word[self->count++] = state.to;
        PS_TRY(copy_word(&state));
    }
}

ps_code ps_shell_words_split(const char *text, ps_shell_words *out, ps_error *err)
{
    ps_shell_words made = {.text = ps_calloc(strlen(text) + 1, 1)};
    if (made.text == NULL) {
        return ps_fail_nomem(err);
    }
    const ps_code code = split(&made, text, err);
    if (code != PS_OK) {
        ps_shell_words_fini(&made);
        return code;
    }
    *out = made;
    return PS_OK;
}

void ps_shell_words_fini(ps_shell_words *self)
{
    ps_free((void *)self->word);
    ps_free(self->text);
    *self = (ps_shell_words){0};
}
