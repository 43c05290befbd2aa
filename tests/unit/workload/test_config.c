/* SPDX-License-Identifier: MIT
 *
 * Configurations of models: every type of value by its path, and one sentence
 * for everything that can be wrong.
 */
#include "support/test.h"

#include <string.h>
#include <unistd.h>

#include "base/memory.h"
#include "workload/config/config.h"

static const char sample[] =
    "{\"model_type\": \"gpt_neo\", \"hidden_size\": 768, \"num_heads\": 12, \"resid\": 0.1,\n"
    " \"attention_types\": [[[\"global\", \"local\"], 6]], \"intermediate_size\": null,\n"
    " \"tie\": false, \"rope_theta\": 1000000.0, \"eps\": 1e-05, \"empty\": [],\n"
    " \"rope_scaling\": {\"factor\": 32.0, \"rope_type\": \"llama3\", \"deep\": {\"n\": -7}},\n"
    " \"a.b\": 1, \"a\": {\"b\": 2}, \"large\": 18446744073709551615, \"e\": \"caf\\u00e9\"}";

static ps_model_config *read_text(const char *text)
{
    ps_error err = {0};
    ps_model_config *config = NULL;
    assert_ok(&err, ps_model_config_read_memory("my.json", text, strlen(text), &config, &err));
    return config;
}

static void values_are_found_by_path(void **state)
{
    (void)state;
    ps_error err = {0};
    ps_model_config *config = read_text(sample);
    int64_t whole = 0;
    double number = 0;
    bool truth = true;
    const char *text = NULL;
    size_t count = 99;
    assert_string_equal(ps_model_config_name(config), "my.json");
    assert_ok(&err, ps_config_need_int(config, "hidden_size", 1, 1000, &whole, &err));
    assert_int_equal(whole, 768);
    assert_ok(&err, ps_config_int(config, "rope_scaling.deep.n", 0, -10, 10, &whole, &err));
    assert_int_equal(whole, -7);
    assert_ok(&err, ps_config_int(config, "attention_types.0.1", 0, 0, 100, &whole, &err));
    assert_int_equal(whole, 6);
    assert_ok(&err, ps_config_int(config, "a.b", 0, 0, 100, &whole, &err));
    assert_int_equal(whole, 2); /* the member of a, not the key with a dot */
    assert_ok(&err, ps_config_number(config, "resid", 9, 0, 1, &number, &err));
    assert_true(number == 0.1);
    assert_ok(&err, ps_config_number(config, "rope_theta", 9, 0, 1e12, &number, &err));
    assert_true(number == 1e6);
    assert_ok(&err, ps_config_number(config, "num_heads", 9, 0, 1e12, &number, &err));
    assert_true(number == 12);
    assert_ok(&err, ps_config_number(config, "eps", 9, 0, 1, &number, &err));
    assert_true(number == 1e-5);
    assert_ok(&err, ps_config_bool(config, "tie", true, &truth, &err));
    assert_false(truth);
    assert_ok(&err, ps_config_text(config, "attention_types.0.0.1", NULL, &text, &err));
    assert_string_equal(text, "local");
    assert_ok(&err, ps_config_text(config, "e", NULL, &text, &err));
    assert_string_equal(text, "caf\xc3\xa9");
    assert_ok(&err, ps_config_count(config, "attention_types.0.0", &count, &err));
    assert_int_equal(count, 2);
    assert_ok(&err, ps_config_count(config, "empty", &count, &err));
    assert_int_equal(count, 0);
    assert_true(ps_config_has(config, "rope_scaling"));
    assert_true(ps_config_has(config, "rope_scaling.deep"));
    assert_string_equal(ps_config_origin(config, "hidden_size"), "given: the file");
    ps_model_config_destroy(config);
}

static void what_is_absent_or_null_has_the_fallback(void **state)
{
    (void)state;
    ps_error err = {0};
    ps_model_config *config = read_text(sample);
    int64_t whole = 0;
    double number = 0;
    bool truth = false;
    const char *text = NULL;
    size_t count = 99;
    assert_ok(&err, ps_config_int(config, "absent", -1, 1, 2, &whole, &err));
    assert_int_equal(whole, -1); /* outside the range: it says "not told" */
    assert_ok(&err, ps_config_int(config, "intermediate_size", -2, 1, 2, &whole, &err));
    assert_int_equal(whole, -2);
    assert_ok(&err, ps_config_number(config, "absent", 0.5, 0, 1, &number, &err));
    assert_true(number == 0.5);
    assert_ok(&err, ps_config_bool(config, "intermediate_size", true, &truth, &err));
    assert_true(truth);
    assert_ok(&err, ps_config_text(config, "hidden_size.x", "none", &text, &err));
    assert_string_equal(text, "none");
    assert_ok(&err, ps_config_count(config, "intermediate_size", &count, &err));
    assert_int_equal(count, 0);
    assert_true(ps_config_is_null(config, "intermediate_size"));
    assert_true(ps_config_has(config, "intermediate_size"));
    assert_false(ps_config_is_null(config, "absent"));
    assert_false(ps_config_has(config, "absent"));
    assert_null(ps_config_origin(config, "absent"));
    ps_model_config_destroy(config);
}

static void expect(ps_code code, const ps_error *err, const char *message)
{
    if (code != PS_BAD_INPUT || strstr(err->message, message) == NULL) {
        fail_msg("%s: \"%s\", expected \"%s\"", ps_code_name(code), err->message, message);
    }
}

static void wrong_values_are_refused_in_words(void **state)
{
    (void)state;
    ps_error err = {0};
    ps_model_config *config = read_text(sample);
    int64_t whole = 42;
    double number = 42;
    bool truth = false;
    const char *text = NULL;
    size_t count = 42;
    expect(ps_config_int(config, "hidden_size", 0, 1, 767, &whole, &err), &err,
           "my.json: hidden_size is 768, must be 1 .. 767");
    expect(ps_config_int(config, "rope_scaling.deep.n", 0, 1, 9, &whole, &err), &err,
           "my.json: rope_scaling.deep.n is -7, must be 1 .. 9");
    expect(ps_config_int(config, "model_type", 0, 1, 9, &whole, &err), &err,
           "my.json: model_type is \"gpt_neo\", must be a whole number");
    expect(ps_config_int(config, "rope_theta", 0, 1, 9, &whole, &err), &err,
           "my.json: rope_theta is 1e+06, must be a whole number");
    expect(ps_config_int(config, "tie", 0, 1, 9, &whole, &err), &err,
           "my.json: tie is false, must be a whole number");
    expect(ps_config_int(config, "large", 0, 1, 9, &whole, &err), &err,
           "my.json: large is 9223372036854775807, must be 1 .. 9");
    expect(ps_config_need_int(config, "vocab_size", 1, 9, &whole, &err), &err,
           "my.json does not tell vocab_size");
    expect(ps_config_need_int(config, "intermediate_size", 1, 9, &whole, &err), &err,
           "my.json does not tell intermediate_size");
    expect(ps_config_number(config, "resid", 0, 0, 0.05, &number, &err), &err,
           "my.json: resid is 0.1, must be 0 .. 0.05");
    expect(ps_config_number(config, "empty", 0, 0, 1, &number, &err), &err,
           "my.json: empty is a list, must be a number");
    expect(ps_config_bool(config, "hidden_size", false, &truth, &err), &err,
           "my.json: hidden_size is 768, must be true or false");
    expect(ps_config_text(config, "rope_scaling", NULL, &text, &err), &err,
           "my.json: rope_scaling is an object, must be a text");
    expect(ps_config_count(config, "rope_scaling", &count, &err), &err,
           "my.json: rope_scaling is an object, must be a list");
    assert_int_equal(whole, 42); /* a refused value is not handed out */
    assert_true(number == 42);
    assert_int_equal(count, 42);
    assert_ok(&err, ps_config_check_divides(config, "hidden_size", 768, "num_heads", 12, &err));
    expect(ps_config_check_divides(config, "hidden_size", 768, "num_heads", 7, &err), &err,
           "my.json: hidden_size, 768, is not a multiple of num_heads, 7");
    expect(ps_config_check_divides(config, "hidden_size", 768, "num_heads", 0, &err), &err,
           "is not a multiple of num_heads, 0");
    ps_model_config_destroy(config);
}

static ps_code try_text(const char *text, size_t bytes, ps_error *err)
{
    ps_model_config *config = NULL;
    const ps_code code = ps_model_config_read_memory("my.json", text, bytes, &config, err);
    ps_model_config_destroy(config);
    return code;
}

static void what_is_no_configuration_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } bad[] = {
        {"", "my.json is not JSON"},
        {"{", "my.json is not JSON"},
        {"{\"a\": 1} x", "my.json is not JSON"},
        {"{\"a\": NaN}", "my.json is not JSON"},
        {"{\"a\": 1e999}", "my.json is not JSON"},
        {"{\"a\": \"\xff\"}", "my.json is not JSON"},
        {"[1, 2]", "my.json: a configuration is a JSON object"},
        {"7", "my.json: a configuration is a JSON object"},
        {"{\"a\": 1, \"a\": 1}", "my.json: a is there twice"},
        {"{\"r\": {\"a\": 1, \"a\": null}}", "my.json: r.a is there twice"},
        {"{\"a\\u0000b\": 1}", "my.json: a key holds a NUL"},
        {"{\"a\": \"x\\u0000\"}", "my.json: a holds a NUL"},
    };
    ps_error err = {0};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        expect(try_text(bad[i].text, strlen(bad[i].text), &err), &err, bad[i].message);
    }
    assert_ok(&err, try_text("{}", 2, &err));
}

static void depth_length_and_size_are_bounded(void **state)
{
    (void)state;
    ps_error err = {0};
    const size_t many = PS_CONFIG_MAX_BYTES + 1;
    char *text = calloc(many + 1, 1);
    assert_non_null(text);
    memset(text, ' ', many);
    assert_int_equal(try_text(text, many, &err), PS_LIMIT);
    assert_non_null(strstr(err.message, "my.json is longer than a configuration can be"));
    memcpy(text, "{\"a\":", 5);
    memset(text + 5, '[', 100000);
    memset(text + 5 + 100000, ']', 100000);
    text[5 + 200000] = '}';
    expect(try_text(text, 6 + 200000, &err), &err, "my.json: nested deeper than 32");
    memset(text, ' ', many);
    memset(text, 'k', 1000);
    memcpy(text, "{\"", 2);
    memcpy(text + 1000, "\":1}", 4);
    expect(try_text(text, 1004, &err), &err, "is longer than 511 bytes");
    free(text);
}

static void files_are_read(void **state)
{
    (void)state;
    ps_error err = {0};
    ps_model_config *config = NULL;
    int64_t whole = 0;
    const char *path = PS_TEST_BINARY_DIR "/test_config.json";
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fputs(sample, file) >= 0, 1);
    assert_int_equal(fclose(file), 0);
    assert_ok(&err, ps_model_config_read(path, &config, &err));
    assert_string_equal(ps_model_config_name(config), path);
    assert_ok(&err, ps_config_need_int(config, "hidden_size", 1, 1000, &whole, &err));
    assert_int_equal(whole, 768);
    ps_model_config_destroy(config);
    assert_int_equal(ps_model_config_read("/nowhere/at/all", &config, &err), PS_IO);
    assert_int_equal(ps_model_config_read("/dev/null", &config, &err), PS_BAD_INPUT);
    (void)unlink(path);
    ps_model_config_destroy(NULL);
}

static void a_folder_stands_for_the_file_in_it(void **state)
{
    (void)state;
    ps_error err = {0};
    ps_model_config *config = NULL;
    char folder[] = PS_TEST_BINARY_DIR "/test_config_XXXXXX";
    char path[sizeof folder + 16];
    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof path, "%s/config.json", folder);
    assert_int_equal(ps_model_config_read(folder, &config, &err), PS_IO);
    assert_non_null(strstr(err.message, "config.json"));
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fputs(sample, file) >= 0, 1);
    assert_int_equal(fclose(file), 0);
    assert_ok(&err, ps_model_config_read(folder, &config, &err));
    assert_string_equal(ps_model_config_name(config), path);
    ps_model_config_destroy(config);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(folder), 0);
}

static void out_of_memory_is_a_result(void **state)
{
    (void)state;
    ps_error err = {0};
    ps_code code = PS_NOMEM;
    size_t failed = 0;
    for (unsigned long n = 1; code != PS_OK; n++) {
        assert_true(n < 200);
        ps_memory_fail_nth(n);
        code = try_text(sample, strlen(sample), &err);
        ps_memory_fail_nth(0);
        assert_true(code == PS_OK || code == PS_NOMEM);
        failed += code == PS_NOMEM ? 1 : 0;
    }
    assert_true(failed > 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_found_by_path),
        cmocka_unit_test(what_is_absent_or_null_has_the_fallback),
        cmocka_unit_test(wrong_values_are_refused_in_words),
        cmocka_unit_test(what_is_no_configuration_is_refused),
        cmocka_unit_test(depth_length_and_size_are_bounded),
        cmocka_unit_test(files_are_read),
        cmocka_unit_test(a_folder_stands_for_the_file_in_it),
        cmocka_unit_test(out_of_memory_is_a_result),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
