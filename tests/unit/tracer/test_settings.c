/* SPDX-License-Identifier: MIT
 *
 * Settings from the environment: ranges of steps, sizes, switches, and values
 * that count as absent.
 */
#include "support/test.h"

#include "settings.h"

static void steps_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t first, end;
    } good[] = {
        {"0:1", 0, 1},
        {"5:10", 5, 10},
        {":3", 0, 3},
        {"7:", 7, UINT64_MAX},
        {":", 0, UINT64_MAX},
        {"007:0010", 7, 10},
        {"18446744073709551600:", UINT64_MAX - 15, UINT64_MAX},
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        ps_error err = {0};
        uint64_t first = 99, end = 99;
        assert_ok(&err, ps_steps_parse(good[i].text, &first, &end, &err));
        assert_true(first == good[i].first && end == good[i].end);
    }
}

static void bad_steps_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "5",
        "a:b",
        "1:2:3",
        "-1:2",
        "1:-2",
        " 1:2",
        "1:2 ",
        "1.5:2",
        "0x1:2",
        "5:5",
        "6:5",
        ":0",
        "+1:2",
        "99999999999999999999:",
        "1:99999999999999999999",
        "18446744073709551616:",
        "1;2",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        ps_error err = {0};
        uint64_t first = 99, end = 98;
        if (ps_steps_parse(bad[i], &first, &end, &err) != PS_USAGE) {
            fail_msg("\"%s\" was taken", bad[i]);
        }
        assert_true(err.message[0] != '\0');
        assert_true(first == 99 && end == 98); /* untouched */
        assert_int_equal(ps_steps_parse(bad[i], &first, &end, NULL), PS_USAGE);
    }
}

static const char *const variables[] = {
    PS_ENV_FOLDER, PS_ENV_STEPS, PS_ENV_BUDGET, PS_ENV_MAX_BYTES,
    PS_ENV_DEVICE, PS_ENV_CUPTI, PS_ENV_WATCH,
};

static int clear_environment(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof variables / sizeof variables[0]; i++) {
        assert_int_equal(unsetenv(variables[i]), 0);
    }
    return 0;
}

static void set(const char *name, const char *value)
{
    assert_int_equal(setenv(name, value, 1), 0);
}

static void an_empty_environment_observes_nothing(void **state)
{
    (void)state;
    const ps_settings self = ps_settings_read();
    assert_null(self.folder);
    assert_null(self.cupti);
    assert_true(self.wants_device);
    assert_false(self.watches_driver);
    assert_false(self.has_steps);
    assert_true(self.first_step == 0 && self.end_step == UINT64_MAX);
    assert_true(self.budget_bytes == PS_DEFAULT_BUDGET_BYTES);
    assert_true(self.max_bytes == 0);
}

static void the_environment_is_read(void **state)
{
    (void)state;
    set(PS_ENV_FOLDER, "/some/where");
    set(PS_ENV_CUPTI, "/opt/libcupti.so");
    set(PS_ENV_DEVICE, "0");
    set(PS_ENV_WATCH, "1");
    set(PS_ENV_STEPS, "3:8");
    set(PS_ENV_BUDGET, "64MiB");
    set(PS_ENV_MAX_BYTES, "1000000");
    const ps_settings self = ps_settings_read();
    assert_string_equal(self.folder, "/some/where");
    assert_string_equal(self.cupti, "/opt/libcupti.so");
    assert_false(self.wants_device);
    assert_true(self.watches_driver);
    assert_true(self.has_steps);
    assert_true(self.first_step == 3 && self.end_step == 8);
    assert_true(self.budget_bytes == (uint64_t)64 << 20);
    assert_true(self.max_bytes == 1000000);
}

static void bad_values_count_as_absent(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "lots", "-1", "12 parsecs", "9:3"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        set(PS_ENV_STEPS, bad[i]);
        set(PS_ENV_BUDGET, bad[i]);
        set(PS_ENV_MAX_BYTES, bad[i]);
        const ps_settings self = ps_settings_read();
        assert_false(self.has_steps);
        assert_true(self.first_step == 0 && self.end_step == UINT64_MAX);
        assert_true(self.budget_bytes == PS_DEFAULT_BUDGET_BYTES);
        assert_true(self.max_bytes == 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps_are_read),
        cmocka_unit_test(bad_steps_are_refused),
        cmocka_unit_test_setup(an_empty_environment_observes_nothing, clear_environment),
        cmocka_unit_test_setup(the_environment_is_read, clear_environment),
        cmocka_unit_test_setup(bad_values_count_as_absent, clear_environment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
