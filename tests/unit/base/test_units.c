/* SPDX-License-Identifier: MIT
 *
 * Quantities: every unit, exact decimals, ranges, the wording of refusals,
 * and what people are shown.
 */
#include "support/test.h"

#include <string.h>

#include "base/units.h"

typedef struct reading {
    ps_unit_kind kind;
    const char *text;
    uint64_t value;
} reading;

static void reads_every_unit(void **state)
{
    (void)state;
    static const reading cases[] = {
        {PS_UNIT_SIZE, "0", 0},
        {PS_UNIT_SIZE, "4096", 4096},
        {PS_UNIT_SIZE, "7B", 7},
        {PS_UNIT_SIZE, "3kB", 3000},
        {PS_UNIT_SIZE, "512MiB", UINT64_C(512) << 20},
        {PS_UNIT_SIZE, "24GiB", UINT64_C(24) << 30},
        {PS_UNIT_SIZE, "141GB", UINT64_C(141000000000)},
        {PS_UNIT_SIZE, "1.5 GB", UINT64_C(1500000000)},
        {PS_UNIT_SIZE, " 2 TiB\n", UINT64_C(2) << 40},
        {PS_UNIT_SIZE, "1TB", UINT64_C(1000000000000)},
        {PS_UNIT_SIZE, ".5KiB", 512},
        {PS_UNIT_SIZE, "5.B", 5},
        {PS_UNIT_BANDWIDTH, "25GB/s", UINT64_C(25000000000)},
        {PS_UNIT_BANDWIDTH, "200Gb/s", UINT64_C(25000000000)},
        {PS_UNIT_BANDWIDTH, "100 Gbps", UINT64_C(12500000000)},
        {PS_UNIT_BANDWIDTH, "1.2 TB/s", UINT64_C(1200000000000)},
        {PS_UNIT_BANDWIDTH, "55.43GB/s", UINT64_C(55430000000)},
        {PS_UNIT_BANDWIDTH, "1GiB/s", UINT64_C(1) << 30},
        {PS_UNIT_DURATION, "5ms", 5000000},
        {PS_UNIT_DURATION, "59.9us", 59900},
        {PS_UNIT_DURATION, "59.9\xc2\xb5s", 59900},
        {PS_UNIT_DURATION, "17ns", 17},
        {PS_UNIT_DURATION, "1.000000001s", 1000000001},
        {PS_UNIT_DURATION, "2min", UINT64_C(120000000000)},
        {PS_UNIT_FLOP_RATE, "989 TFLOP/s", UINT64_C(989000000000000)},
        {PS_UNIT_FLOP_RATE, "494.5TFLOP/s", UINT64_C(494500000000000)},
        {PS_UNIT_FLOP_RATE, "4.5 PFLOPS", UINT64_C(4500000000000000)},
        {PS_UNIT_COUNT, "132", 132},
        {PS_UNIT_RATIO, "0.87", 870000},
        {PS_UNIT_RATIO, "87%", 870000},
        {PS_UNIT_RATIO, "1.4", 1400000},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ps_error err = {0};
        uint64_t value = 0;
        assert_ok(&err, ps_quantity_parse(cases[i].kind, cases[i].text, &value, &err));
        if (value != cases[i].value) {
            fail_msg("\"%s\" gave %llu, not %llu", cases[i].text, (unsigned long long)value,
                     (unsigned long long)cases[i].value);
        }
    }
}

/* Values that a detour over double would get wrong by one. */
static void decimals_are_exact(void **state)
{
    (void)state;
    ps_error err = {0};
    uint64_t value = 0;
    assert_ok(&err, ps_size_parse("9007199254740993", &value, &err));
    assert_true(value == UINT64_C(9007199254740993));
    assert_ok(&err, ps_size_parse("18446744073709551615", &value, &err));
    assert_true(value == UINT64_MAX);
    assert_ok(&err, ps_size_parse("9007.199254740993TB", &value, &err));
    assert_true(value == UINT64_C(9007199254740993));
    assert_ok(&err, ps_size_parse("0.100000000000000000000000000000GB", &value, &err));
    assert_true(value == 100000000);
    /* 1.3 GiB is no whole number of bytes: nearest; a half goes up */
    assert_ok(&err, ps_size_parse("1.3GiB", &value, &err));
    assert_true(value == UINT64_C(1395864371));
    assert_ok(&err, ps_size_parse("2.5B", &value, &err));
    assert_true(value == 3);
    assert_ok(&err, ps_bandwidth_parse("1.0kb/s", &value, &err));
    assert_true(value == 125);
}

typedef struct refusal {
    ps_unit_kind kind;
    const char *text;
    const char *message;
} refusal;

static void refusals_are_one_clear_sentence(void **state)
{
    (void)state;
    static const refusal cases[] = {
        {PS_UNIT_SIZE, "24Gb", "\"24Gb\" is not a size: use B, kB, MB, GB, TB, KiB, MiB, GiB, TiB"},
        {PS_UNIT_SIZE, "24 G", "\"24 G\" is not a size: use B, kB, MB, GB, TB, KiB, MiB, GiB, TiB"},
        {PS_UNIT_SIZE, "1.2.3GB",
         "\"1.2.3GB\" is not a size: use B, kB, MB, GB, TB, KiB, MiB, GiB, TiB"},
        {PS_UNIT_SIZE, "1e9", "\"1e9\" is not a size: use B, kB, MB, GB, TB, KiB, MiB, GiB, TiB"},
        {PS_UNIT_SIZE, "", "\"\" is not a size: it must begin with a number"},
        {PS_UNIT_SIZE, ".", "\".\" is not a size: it must begin with a number"},
        {PS_UNIT_SIZE, "GiB", "\"GiB\" is not a size: it must begin with a number"},
        {PS_UNIT_SIZE, "-5GB", "\"-5GB\" is not a size: it must not be negative"},
        {PS_UNIT_SIZE, "18446744073709551616",
         "\"18446744073709551616\" is not a size: the number has too many digits"},
        {PS_UNIT_SIZE, "17000000TiB",
         "\"17000000TiB\" is out of range for a size: 0 B to 16777216 TiB are allowed"},
        {PS_UNIT_SIZE, "0.1B", "\"0.1B\" is not a size: it is finer than what can be counted"},
        {PS_UNIT_SIZE, "0.000000000000000000000001TB",
         "\"0.000000000000000000000001TB\" is not a size: it is finer than what can be counted"},
        {PS_UNIT_BANDWIDTH, "25",
         "\"25\" is not a bandwidth: use B/s, kB/s, MB/s, GB/s, TB/s, MiB/s, GiB/s, Mb/s, Gb/s, "
         "Tb/s"},
        {PS_UNIT_DURATION, "5", "\"5\" is not a duration: use ns, us, ms, s, min, h"},
        {PS_UNIT_DURATION, "0.3ns",
         "\"0.3ns\" is not a duration: it is finer than what can be counted"},
        {PS_UNIT_DURATION, "9223372036854775807ns",
         "\"9223372036854775807ns\" is out of range for a duration: 0 ns to 9223372037 s are "
         "allowed"},
        {PS_UNIT_FLOP_RATE, "5TFLOP",
         "\"5TFLOP\" is not a flop rate: use FLOP/s, MFLOP/s, GFLOP/s, TFLOP/s, PFLOP/s"},
        {PS_UNIT_COUNT, "5GB", "\"5GB\" is not a count: use a plain number"},
        {PS_UNIT_RATIO, "a half", "\"a half\" is not a ratio: it must begin with a number"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ps_error err = {0};
        uint64_t value = 77;
        assert_int_equal(ps_quantity_parse(cases[i].kind, cases[i].text, &value, &err), PS_USAGE);
        assert_string_equal(err.message, cases[i].message);
        assert_true(value == 77);
    }
}

static void long_text_is_quoted_in_part(void **state)
{
    (void)state;
    ps_error err = {0};
    uint64_t value;
    char text[2000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    assert_int_equal(ps_size_parse(text, &value, &err), PS_USAGE);
    assert_true(strlen(err.message) < 100);
    assert_int_equal(ps_size_parse(text, &value, NULL), PS_USAGE);
}

static void ranges_are_checked(void **state)
{
    (void)state;
    ps_error err = {0};
    uint64_t value = 0;
    const uint64_t min = UINT64_C(1) << 20;
    const uint64_t max = UINT64_C(1) << 40;
    assert_ok(&err, ps_quantity_parse_in(PS_UNIT_SIZE, "1MiB", min, max, &value, &err));
    assert_ok(&err, ps_quantity_parse_in(PS_UNIT_SIZE, "1TiB", min, max, &value, &err));
    assert_int_equal(ps_quantity_parse_in(PS_UNIT_SIZE, "1023KiB", min, max, &value, &err),
                     PS_USAGE);
    assert_string_equal(err.message, "\"1023KiB\" is out of range for a size: 1.000 MiB to 1.000 "
                                     "TiB are allowed");
    assert_int_equal(ps_quantity_parse_in(PS_UNIT_SIZE, "1.1TiB", min, max, &value, &err),
                     PS_USAGE);
    ps_ns ns = 0;
    assert_ok(&err, ps_duration_parse("9223372036854775806ns", &ns, &err));
    assert_true(ns == PS_TIME_NEVER - 1);
    uint64_t rate = 0;
    assert_ok(&err, ps_flop_rate_parse("1GFLOP/s", &rate, &err));
    assert_true(rate == 1000000000);
}

static void formats_for_people(void **state)
{
    (void)state;
    static const reading cases[] = {
        {PS_UNIT_SIZE, "0 B", 0},
        {PS_UNIT_SIZE, "1023 B", 1023},
        {PS_UNIT_SIZE, "1.000 KiB", 1024},
        {PS_UNIT_SIZE, "534.0 MiB", UINT64_C(534) << 20},
        {PS_UNIT_SIZE, "79.10 GiB", UINT64_C(84929347584)},
        {PS_UNIT_SIZE, "1.000 GiB", (UINT64_C(1) << 30) - 1},
        {PS_UNIT_SIZE, "1020 MiB", UINT64_C(1020) << 20},
        {PS_UNIT_SIZE, "16777216 TiB", UINT64_MAX},
        {PS_UNIT_BANDWIDTH, "25.00 GB/s", UINT64_C(25000000000)},
        {PS_UNIT_BANDWIDTH, "4.800 TB/s", UINT64_C(4800000000000)},
        {PS_UNIT_BANDWIDTH, "100.0 GB/s", UINT64_C(99996000000)},
        {PS_UNIT_DURATION, "950 ns", 950},
        {PS_UNIT_DURATION, "59.90 us", 59900},
        {PS_UNIT_DURATION, "1.000 ms", 999999},
        {PS_UNIT_DURATION, "12.35 s", UINT64_C(12345000000)},
        {PS_UNIT_FLOP_RATE, "989.0 TFLOP/s", UINT64_C(989000000000000)},
        {PS_UNIT_COUNT, "132", 132},
        {PS_UNIT_RATIO, "0.870", 870000},
        {PS_UNIT_RATIO, "1.400", 1400000},
    };
    char out[PS_QUANTITY_TEXT_BYTES];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_string_equal(ps_quantity_format(cases[i].kind, cases[i].value, out), cases[i].text);
    }
    assert_string_equal(ps_time_format(-59900, out), "-59.90 us");
    assert_string_equal(ps_time_format(0, out), "0 ns");
    assert_string_equal(ps_time_format(PS_TIME_NEVER, out), "never");
    assert_string_equal(ps_time_format(INT64_MIN, out), "-9223372037 s");
    assert_string_equal(ps_unit_kind_name(PS_UNIT_FLOP_RATE), "a flop rate");
}

/* What format writes, parse reads back to within the four digits shown. */
static void formatted_text_can_be_read(void **state)
{
    (void)state;
    uint64_t x = 88172645463325252u;
    for (unsigned i = 0; i < 20000; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        const ps_unit_kind kind = (ps_unit_kind)(i % PS_UNIT_KIND_COUNT);
        const uint64_t value = x >> (1 + (x & 63u) % 63u);
        char out[PS_QUANTITY_TEXT_BYTES];
        uint64_t back = 0;
        ps_error err = {0};
        assert_ok(&err, ps_quantity_parse(kind, ps_quantity_format(kind, value, out), &back, &err));
        const uint64_t apart = value > back ? value - back : back - value;
        const uint64_t allowed = kind == PS_UNIT_RATIO ? 500 + value / 1000 : value / 1000;
        if (apart > allowed) {
            fail_msg("%llu of kind %d became \"%s\"", (unsigned long long)value, (int)kind, out);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_every_unit),
        cmocka_unit_test(decimals_are_exact),
        cmocka_unit_test(refusals_are_one_clear_sentence),
        cmocka_unit_test(long_text_is_quoted_in_part),
        cmocka_unit_test(ranges_are_checked),
        cmocka_unit_test(formats_for_people),
        cmocka_unit_test(formatted_text_can_be_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
