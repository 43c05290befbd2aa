/* SPDX-License-Identifier: MIT
 *
 * Words of a text, quotes, and what is refused.
 */
#include "support/test.h"

#include <string.h>

#include "base/memory.h"
#include "shell_words.h"

/* The words, each in brackets, of a text that can be split. */
static void expect(const char *text, const char *words)
{
    ps_error err = {0};
    ps_shell_words got;
    char joined[512] = "";
    size_t used = 0;
    assert_ok(&err, ps_shell_words_split(text, &got, &err));
    for (int i = 0; i < got.count; i++) {
        used += (size_t)snprintf(joined + used, sizeof joined - used, "[%s]", got.word[i]);
    }
    assert_string_equal(joined, words);
    ps_shell_words_fini(&got);
}

static void blanks_part_words(void **state)
{
    (void)state;
    expect("", "");
    expect("  \t\n ", "");
    expect("a", "[a]");
    expect("  --gpu  x\t--json\n", "[--gpu][x][--json]");
}

static void quotes_hold_words_together(void **state)
{
    (void)state;
    expect("--gpu \"RTX 3060\" --batch 4", "[--gpu][RTX 3060][--batch][4]");
    expect("'a b'\"c d\"e", "[a bc de]");
    expect("--gpu='a \"b\"'", "[--gpu=a \"b\"]");
    expect("'' \"\"", "[][]");
    expect("\"it's\"", "[it's]");
}

static void a_backslash_takes_the_next_byte(void **state)
{
    (void)state;
    expect("a\\ b", "[a b]");
    expect("\\'a\\\\", "['a\\]");
    expect("\"a\\\"b\\\\c\\d\"", "[a\"b\\c\\d]");
    expect("'a\\b'", "[a\\b]");
}

static void nothing_is_expanded(void **state)
{
    (void)state;
    expect("$HOME * ~ `id` a;b #c", "[$HOME][*][~][`id`][a;b][#c]");
}

static void what_does_not_end_is_refused(void **state)
{
    (void)state;
    const char *const bad[] = {"'a", "\"a", "\"a\\\"", "a\\", "'", "\"\\"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        ps_error err = {0};
        ps_shell_words words;
        assert_int_equal(ps_shell_words_split(bad[i], &words, &err), PS_USAGE);
        assert_true(err.message[0] != '\0');
    }
}

static void too_many_words_are_refused(void **state)
{
    (void)state;
    ps_error err = {0};
    ps_shell_words words;
    char text[2 * (PS_SHELL_WORDS_MAX + 1) + 1];
    for (size_t i = 0; i + 1 < sizeof text; i++) {
        text[i] = i % 2 == 0 ? 'a' : ' ';
    }
    text[sizeof text - 1] = '\0';
    assert_int_equal(ps_shell_words_split(text, &words, &err), PS_LIMIT);
    text[2 * PS_SHELL_WORDS_MAX] = '\0';
    assert_ok(&err, ps_shell_words_split(text, &words, &err));
    assert_int_equal(words.count, PS_SHELL_WORDS_MAX);
    ps_shell_words_fini(&words);
}

static void running_out_of_memory_leaks_nothing(void **state)
{
    (void)state;
    for (unsigned long n = 1; n <= 2; n++) {
        ps_error err = {0};
        ps_shell_words words;
        ps_memory_fail_nth(n);
        assert_int_equal(ps_shell_words_split("a b", &words, &err), PS_NOMEM);
        ps_memory_fail_nth(0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blanks_part_words),
        cmocka_unit_test(quotes_hold_words_together),
        cmocka_unit_test(a_backslash_takes_the_next_byte),
        cmocka_unit_test(nothing_is_expanded),
        cmocka_unit_test(what_does_not_end_is_refused),
        cmocka_unit_test(too_many_words_are_refused),
        cmocka_unit_test(running_out_of_memory_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
