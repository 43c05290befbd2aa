/* SPDX-License-Identifier: MIT
 *
 * Files and models told apart, and where files are looked for.
 */
#include "support/test.h"

#include <string.h>

#include "validate_input.h"

#define TRACES PS_TEST_SOURCE_DIR "/traces"

static ps_input_kind find(const char *table, const char *root, const char *input,
                          char path[PS_INPUT_PATH_BYTES])
{
    const ps_input_folders folders = {.table = table, .root = root};
    return ps_input_find(&folders, input, path);
}

static void a_file_beside_the_table_comes_first(void **state)
{
    (void)state;
    char path[PS_INPUT_PATH_BYTES];
    assert_int_equal(find(TRACES "/t.csv", PS_TEST_SOURCE_DIR, "finetune.pstrace", path),
                     PS_INPUT_FILE);
    assert_string_equal(path, TRACES "/finetune.pstrace");
    assert_int_equal(find(TRACES "/t.csv", NULL, "../README.md", path), PS_INPUT_FILE);
    assert_string_equal(path, TRACES "/../README.md");
    /* both folders have a CMakeLists.txt */
    assert_int_equal(
        find(PS_TEST_SOURCE_DIR "/tools/t.csv", PS_TEST_SOURCE_DIR, "CMakeLists.txt", path),
        PS_INPUT_FILE);
    assert_string_equal(path, PS_TEST_SOURCE_DIR "/tools/CMakeLists.txt");
}

static void the_root_comes_second(void **state)
{
    (void)state;
    char path[PS_INPUT_PATH_BYTES];
    assert_int_equal(find("nowhere/t.csv", TRACES, "finetune.pstrace", path), PS_INPUT_FILE);
    assert_string_equal(path, TRACES "/finetune.pstrace");
    assert_int_equal(find("nowhere/t.csv", TRACES "/", "finetune.pstrace", path), PS_INPUT_FILE);
    assert_string_equal(path, TRACES "/finetune.pstrace");
}

static void an_absolute_path_needs_no_folder(void **state)
{
    (void)state;
    char path[PS_INPUT_PATH_BYTES];
    assert_int_equal(find("nowhere/t.csv", NULL, TRACES "/finetune.pstrace", path), PS_INPUT_FILE);
    assert_string_equal(path, TRACES "/finetune.pstrace");
    assert_int_equal(find(TRACES "/t.csv", TRACES, "/finetune.pstrace", path), PS_INPUT_MISSING);
}

static void names_of_files_that_are_not_there(void **state)
{
    (void)state;
    char path[PS_INPUT_PATH_BYTES];
    const char *const missing[] = {"a.pstrace", "a.json", "b/a.json.gz", "a.tar.gz", "a.pickle",
                                   "./a",       "../a",   "/a",          "a.psplan"};
    for (size_t i = 0; i < sizeof missing / sizeof missing[0]; i++) {
        assert_int_equal(find(TRACES "/t.csv", NULL, missing[i], path), PS_INPUT_MISSING);
    }
}

static void names_of_models(void **state)
{
    (void)state;
    char path[PS_INPUT_PATH_BYTES];
    const char *const models[] = {"T5-small", "EleutherAI/gpt-neo-125M", "Qwen/Qwen2.5-0.5B",
                                  "meta-llama/Llama-3.2-3B-Instruct", "json"};
    for (size_t i = 0; i < sizeof models / sizeof models[0]; i++) {
        assert_int_equal(find("t.csv", NULL, models[i], path), PS_INPUT_MODEL);
        assert_string_equal(path, models[i]);
    }
}

static void a_path_too_long_is_no_file(void **state)
{
    (void)state;
    char path[PS_INPUT_PATH_BYTES];
    char input[PS_INPUT_PATH_BYTES + 100];
    memset(input, 'a', sizeof input);
    input[0] = '/';
    input[sizeof input - 1] = '\0';
    assert_int_equal(find("t.csv", NULL, input, path), PS_INPUT_MISSING);
    assert_int_equal(strlen(path), PS_INPUT_PATH_BYTES - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_beside_the_table_comes_first),
        cmocka_unit_test(the_root_comes_second),
        cmocka_unit_test(an_absolute_path_needs_no_folder),
        cmocka_unit_test(names_of_files_that_are_not_there),
        cmocka_unit_test(names_of_models),
        cmocka_unit_test(a_path_too_long_is_no_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
