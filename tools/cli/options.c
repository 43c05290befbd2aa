/* SPDX-License-Identifier: MIT
 *
 * The option parser. It knows no verb; tables tell it everything.
 */
#include "cli/options.h"

#include <assert.h>
#include <string.h>

#include "base/memory.h"
#include "cli/text.h"

#define VALUES_MAX ((size_t)1 << 16)

const ps_option *ps_common_options(void)
{
    static const ps_option common[] = {
        {.name = "quiet", .letter = 'q', .help = "no progress bar and no notes on standard error"},
        {.name = "help", .letter = 'h', .help = "show this page and end"},
        {0},
    };
    return common;
}

static const ps_option none[] = {{0}};

/* The n-th option of the verb's table and the common one after it; NULL past the end. */
static const ps_option *option_at(const ps_args *self, size_t n)
{
    const ps_option *tables[] = {self->options, ps_common_options()};
    for (size_t t = 0; t < 2; t++) {
        for (const ps_option *option = tables[t]; option->name != NULL; option++) {
            if (n-- == 0) {
                return option;
            }
        }
    }
    return NULL;
}

static const ps_option *find_name(const ps_args *self, const char *name, size_t bytes)
{
    const ps_option *option = NULL;
    for (size_t i = 0; (option = option_at(self, i)) != NULL; i++) {
        if (strlen(option->name) == bytes && memcmp(option->name, name, bytes) == 0) {
            break;
        }
    }
    return option;
}

static const ps_option *find_letter(const ps_args *self, char letter)
{
    const ps_option *option = NULL;
    for (size_t i = 0; (option = option_at(self, i)) != NULL; i++) {
        if (option->letter == letter) {
            break;
        }
    }
    return option;
}

static ps_code fail_unknown(const ps_args *self, const char *word, size_t name_bytes, ps_error *err)
{
    char name[64];
    const ps_option *option, *best = NULL;
    unsigned best_distance = PS_TEXT_FAR;
    (void)snprintf(name, sizeof name, "%.*s", (int)(name_bytes < 63 ? name_bytes : 63), word + 2);
    for (size_t i = 0; (option = option_at(self, i)) != NULL; i++) {
        const unsigned distance = ps_text_distance(name, option->name);
        if (distance < best_distance) {
            best = option;
            best_distance = distance;
        }
    }
    if (best != NULL && ps_text_is_near(best_distance, best->name)) {
        return ps_fail(err, PS_USAGE, "there is no option --%s; did you mean --%s?", name,
                       best->name);
    }
    return ps_fail(err, PS_USAGE, "there is no option --%s", name);
}

/* ---- values ---- */

/* Position of a word in "a|b|c", or -1. */
static long find_choice(const char *choices, const char *word)
{
    const size_t bytes = strlen(word);
    for (long i = 0;; i++) {
        const size_t length = strcspn(choices, "|");
        if (length == bytes && memcmp(choices, word, bytes) == 0) {
            return i;
        }
        if (choices[length] == '\0') {
            return -1;
        }
        choices += length + 1;
    }
}

static ps_code parse_quantity(const ps_option *option, const char *text, uint64_t *out,
                              ps_error *err)
{
    return ps_quantity_parse_in(option->unit, text, option->min,
                                option->max == 0 ? UINT64_MAX : option->max, out, err);
}

static ps_code check_value(const ps_option *option, const char *text, ps_error *err)
{
    uint64_t unused;
    switch (option->kind) {
    case PS_OPTION_FLAG:
    case PS_OPTION_TEXT:
        break;
    case PS_OPTION_CHOICE:
        if (find_choice(option->value, text) < 0) {
            return ps_fail(err, PS_USAGE, "--%s is \"%.64s\", expected one of %s", option->name,
                           text, option->value);
        }
        break;
    case PS_OPTION_QUANTITY:
        if (parse_quantity(option, text, &unused, err) != PS_OK) {
            ps_error_note(err, "--%s", option->name);
            return PS_USAGE;
        }
        break;
    }
    return PS_OK;
}

static ps_code add_value(ps_args *self, const ps_option *option, const char *text, ps_error *err)
{
    if (text != NULL) {
        PS_TRY(check_value(option, text, err));
    }
    if (option->kind != PS_OPTION_FLAG && !option->is_repeatable &&
        ps_args_has(self, option->name)) {
        return ps_fail(err, PS_USAGE, "--%s is given twice", option->name);
    }
    PS_TRY(ps_grow((void **)&self->value, &self->value_capacity, self->value_count + 1, VALUES_MAX,
                   sizeof *self->value, err));
    self->value[self->value_count++] = (struct ps_args_value){option, text};
    return PS_OK;
}

static ps_code add_operand(ps_args *self, const char *text, ps_error *err)
{
    PS_TRY(ps_grow((void **)(void *)&self->operand, &self->operand_capacity,
                   self->operand_count + 1, VALUES_MAX, sizeof *self->operand, err));
    self->operand[self->operand_count++] = text;
    return PS_OK;
}

/* ---- words ---- */

/* The words still to be read. */
typedef struct words {
    char *const *word;
    int count, next;
} words;

static ps_code take_value(words *rest, const ps_option *option, const char **text, ps_error *err)
{
    if (rest->next == rest->count) {
        return ps_fail(err, PS_USAGE, "--%s needs a value: --%s %s", option->name, option->name,
                       option->value);
    }
    *text = rest->word[rest->next++];
    return PS_OK;
}

static ps_code read_long(ps_args *self, const char *word, words *rest, ps_error *err)
{
    const size_t bytes = strcspn(word + 2, "=");
    const ps_option *option = find_name(self, word + 2, bytes);
    const char *text = word[2 + bytes] == '=' ? word + 3 + bytes : NULL;
    if (option == NULL) {
        return fail_unknown(self, word, bytes, err);
    }
    if (option->kind == PS_OPTION_FLAG && text != NULL) {
        return ps_fail(err, PS_USAGE, "--%s takes no value", option->name);
    }
    if (option->kind != PS_OPTION_FLAG && text == NULL) {
        PS_TRY(take_value(rest, option, &text, err));
    }
    return add_value(self, option, text, err);
}

static ps_code read_letters(ps_args *self, const char *word, words *rest, ps_error *err)
{
    for (const char *letter = word + 1; *letter != '\0'; letter++) {
        const ps_option *option = find_letter(self, *letter);
        const char *text = letter[1] != '\0' ? letter + 1 : NULL;
        if (option == NULL) {
            return ps_fail(err, PS_USAGE, "there is no option -%c", *letter);
        }
        if (option->kind != PS_OPTION_FLAG) {
            if (text == NULL) {
                PS_TRY(take_value(rest, option, &text, err));
            }
            return add_value(self, option, text, err);
        }
        PS_TRY(add_value(self, option, NULL, err));
    }
    return PS_OK;
}

static ps_code read_words(ps_args *self, words *rest, ps_error *err)
{
    bool options_ended = false;
    while (rest->next < rest->count && !ps_args_has(self, "help")) {
        const char *word = rest->word[rest->next++];
        if (options_ended || word[0] != '-' || word[1] == '\0') {
            PS_TRY(add_operand(self, word, err));
        } else if (strcmp(word, "--") == 0) {
            options_ended = true;
        } else if (word[1] == '-') {
            PS_TRY(read_long(self, word, rest, err));
        } else {
            PS_TRY(read_letters(self, word, rest, err));
        }
    }
    return PS_OK;
}

/* ---- what must be there ---- */

static ps_code check_required(const ps_args *self, ps_error *err)
{
    const ps_option *option;
    for (size_t i = 0; (option = option_at(self, i)) != NULL; i++) {
        if (option->is_required && !ps_args_has(self, option->name)) {
            return ps_fail(err, PS_USAGE, "--%s %s is missing", option->name, option->value);
        }
    }
    return PS_OK;
}

static ps_code check_operands(const ps_args *self, const ps_operand *operands, ps_error *err)
{
    size_t count = 0;
    bool is_open = false;
    for (const ps_operand *operand = operands; operand != NULL && operand->name != NULL;
         operand++) {
        if (!operand->is_optional && self->operand_count <= count) {
            return ps_fail(err, PS_USAGE, "%s is missing", operand->name);
        }
        is_open = operand->is_repeatable;
        count++;
    }
    if (!is_open && self->operand_count > count) {
        return ps_fail(err, PS_USAGE, "\"%.200s\" is one operand too many", self->operand[count]);
    }
    return PS_OK;
}

ps_code ps_args_parse(ps_args *self, const ps_option *options, const ps_operand *operands, int argc,
                      char *const *argv, ps_error *err)
{
    words rest = {argv, argc, 0};
    *self = (ps_args){.options = options == NULL ? none : options};
    ps_code code = read_words(self, &rest, err);
    if (code == PS_OK && !ps_args_has(self, "help")) {
        code = check_required(self, err);
        code = code == PS_OK ? check_operands(self, operands, err) : code;
    }
    if (code != PS_OK) {
        ps_args_fini(self);
    }
    return code;
}

void ps_args_fini(ps_args *self)
{
    ps_free(self->value);
    ps_free((void *)self->operand);
    *self = (ps_args){.options = none};
}

/* ---- answers ---- */

static const ps_option *known_option(const ps_args *self, const char *name)
{
    const ps_option *option = find_name(self, name, strlen(name));
    assert(option != NULL);
    return option;
}

bool ps_args_has(const ps_args *self, const char *name)
{
    return ps_args_count(self, name) > 0;
}

size_t ps_args_count(const ps_args *self, const char *name)
{
    const ps_option *option = known_option(self, name);
    size_t count = 0;
    for (size_t i = 0; i < self->value_count; i++) {
        count += self->value[i].option == option ? 1 : 0;
    }
    return count;
}

const char *ps_args_at(const ps_args *self, const char *name, size_t i)
{
    const ps_option *option = known_option(self, name);
    for (size_t v = 0; v < self->value_count; v++) {
        if (self->value[v].option == option && i-- == 0) {
            return self->value[v].text;
        }
    }
    return NULL;
}

const char *ps_args_text(const ps_args *self, const char *name)
{
    const char *text = ps_args_at(self, name, 0);
    return text != NULL ? text : known_option(self, name)->fallback;
}

size_t ps_args_choice(const ps_args *self, const char *name)
{
    const char *text = ps_args_text(self, name);
    const long choice = text == NULL ? -1 : find_choice(known_option(self, name)->value, text);
    assert(choice >= 0);
    return (size_t)choice;
}

uint64_t ps_args_quantity(const ps_args *self, const char *name)
{
    const char *text = ps_args_text(self, name);
    uint64_t value = 0;
    if (text == NULL) {
        return 0;
    }
    const ps_code code = parse_quantity(known_option(self, name), text, &value, NULL);
    assert(code == PS_OK); /* given values were checked, defaults are ours */
    (void)code;
    return value;
}
