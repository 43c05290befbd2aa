/* SPDX-License-Identifier: MIT
 *
 * Text <-> quantities. One table of units a kind serves reading, writing and
 * the list of units in messages, so the three cannot disagree.
 */
#include "base/units.h"

#include <stdio.h>
#include <string.h>

__extension__ typedef unsigned __int128 u128;

/* How a unit takes part in writing. */
typedef enum unit_use {
    READ_ONLY, /* understood, but neither written nor suggested */
    SUGGESTED, /* named in messages */
    WRITTEN,   /* named in messages and used by format */
} unit_use;

/* One unit is `times / per` base units; per is 1 or 8. */
typedef struct unit {
    const char *name;
    uint64_t times;
    uint32_t per;
    unit_use use;
} unit;

typedef struct kind_spec {
    const char *name; /* with its article */
    const unit *units;
    size_t unit_count; /* written ones in ascending order */
    uint64_t max;
} kind_spec;

#define KILO UINT64_C(1000)
#define MEGA UINT64_C(1000000)
#define GIGA UINT64_C(1000000000)
#define TERA UINT64_C(1000000000000)
#define PETA UINT64_C(1000000000000000)
#define EXA UINT64_C(1000000000000000000)
#define KIBI (UINT64_C(1) << 10)
#define MEBI (UINT64_C(1) << 20)
#define GIBI (UINT64_C(1) << 30)
#define TEBI (UINT64_C(1) << 40)

static const unit size_units[] = {
    {"B", 1, 1, WRITTEN},       {"", 1, 1, READ_ONLY},      {"kB", KILO, 1, SUGGESTED},
    {"MB", MEGA, 1, SUGGESTED}, {"GB", GIGA, 1, SUGGESTED}, {"TB", TERA, 1, SUGGESTED},
    {"KiB", KIBI, 1, WRITTEN},  {"MiB", MEBI, 1, WRITTEN},  {"GiB", GIBI, 1, WRITTEN},
    {"TiB", TEBI, 1, WRITTEN},
};

static const unit bandwidth_units[] = {
    {"B/s", 1, 1, WRITTEN},        {"kB/s", KILO, 1, WRITTEN},     {"MB/s", MEGA, 1, WRITTEN},
    {"GB/s", GIGA, 1, WRITTEN},    {"TB/s", TERA, 1, WRITTEN},     {"KiB/s", KIBI, 1, READ_ONLY},
    {"MiB/s", MEBI, 1, SUGGESTED}, {"GiB/s", GIBI, 1, SUGGESTED},  {"TiB/s", TEBI, 1, READ_ONLY},
    {"b/s", 1, 8, READ_ONLY},      {"kb/s", KILO, 8, READ_ONLY},   {"Mb/s", MEGA, 8, SUGGESTED},
    {"Gb/s", GIGA, 8, SUGGESTED},  {"Tb/s", TERA, 8, SUGGESTED},   {"Mbps", MEGA, 8, READ_ONLY},
    {"Gbps", GIGA, 8, READ_ONLY},  {"Mbit/s", MEGA, 8, READ_ONLY}, {"Gbit/s", GIGA, 8, READ_ONLY},
};

static const unit duration_units[] = {
    {"ns", 1, 1, WRITTEN},
    {"us", KILO, 1, WRITTEN},
    {"\xc2\xb5s", KILO, 1, READ_ONLY}, /* micro sign */
    {"\xce\xbcs", KILO, 1, READ_ONLY}, /* Greek mu */
    {"ms", MEGA, 1, WRITTEN},
    {"s", GIGA, 1, WRITTEN},
    {"min", 60 * GIGA, 1, SUGGESTED},
    {"h", 3600 * GIGA, 1, SUGGESTED},
};

static const unit flop_rate_units[] = {
    {"FLOP/s", 1, 1, WRITTEN},      {"MFLOP/s", MEGA, 1, WRITTEN},  {"GFLOP/s", GIGA, 1, WRITTEN},
    {"TFLOP/s", TERA, 1, WRITTEN},  {"PFLOP/s", PETA, 1, WRITTEN},  {"EFLOP/s", EXA, 1, READ_ONLY},
    {"GFLOPS", GIGA, 1, READ_ONLY}, {"TFLOPS", TERA, 1, READ_ONLY}, {"PFLOPS", PETA, 1, READ_ONLY},
};

static const unit count_units[] = {{"", 1, 1, WRITTEN}};

static const unit ratio_units[] = {
    {"", PS_RATIO_ONE, 1, WRITTEN},
    {"%", PS_RATIO_ONE / 100, 1, SUGGESTED},
};

#define UNITS(list) list, sizeof list / sizeof list[0]
static const kind_spec kinds[PS_UNIT_KIND_COUNT] = {
    [PS_UNIT_SIZE] = {"a size", UNITS(size_units), UINT64_MAX},
    [PS_UNIT_BANDWIDTH] = {"a bandwidth", UNITS(bandwidth_units), UINT64_MAX},
    [PS_UNIT_DURATION] = {"a duration", UNITS(duration_units), PS_TIME_NEVER - 1},
    [PS_UNIT_FLOP_RATE] = {"a flop rate", UNITS(flop_rate_units), UINT64_MAX},
    [PS_UNIT_COUNT] = {"a count", UNITS(count_units), UINT64_MAX},
    [PS_UNIT_RATIO] = {"a ratio", UNITS(ratio_units), UINT64_MAX},
};

/* Longest input quoted in a message; more would bury the reason. */
#define QUOTED_CHARS 40

/* A decimal number as digits and how many of them stand after the point. */
typedef struct decimal {
    uint64_t digits;
    unsigned places;
} decimal;

typedef enum scan_result {
    SCAN_OK,
    SCAN_NO_NUMBER,
    SCAN_TOO_LONG, /* more digits than 64 bits hold */
} scan_result;

const char *ps_unit_kind_name(ps_unit_kind kind)
{
    return kinds[kind].name;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/*
 * Reads digits["."digits] and moves *at behind it. Zeros that end the fraction
 * carry nothing and are dropped.
 */
static scan_result scan_decimal(const char **at, decimal *out)
{
    decimal value = {0, 0};
    unsigned zeros = 0;
    bool has_digit = false;
    bool is_fraction = false;
    const char *p = *at;
    for (; is_digit(*p) || (*p == '.' && !is_fraction); p++) {
        if (*p == '.') {
            is_fraction = true;
            continue;
        }
        has_digit = true;
        if (is_fraction && *p == '0') {
            zeros++;
            continue;
        }
        for (unsigned i = 0; i <= zeros; i++) {
            const uint64_t digit = i == zeros ? (uint64_t)(*p - '0') : 0;
            if (!ps_mul_u64(value.digits, 10, &value.digits) ||
                !ps_add_u64(value.digits, digit, &value.digits)) {
                return SCAN_TOO_LONG;
            }
        }
        value.places += is_fraction ? zeros + 1 : 0;
        zeros = 0;
    }
    *at = p;
    *out = value;
    return has_digit ? SCAN_OK : SCAN_NO_NUMBER;
}

static const unit *find_unit(const kind_spec *kind, const char *name, size_t bytes)
{
    for (size_t i = 0; i < kind->unit_count; i++) {
        const char *candidate = kind->units[i].name;
        if (strlen(candidate) == bytes && memcmp(candidate, name, bytes) == 0) {
            return &kind->units[i];
        }
    }
    return NULL;
}

/* "use B, kB, MB": the units a message offers, or "use a number alone". */
static void list_units(const kind_spec *kind, char *out, size_t out_bytes)
{
    size_t used = 0;
    out[0] = '\0';
    for (size_t i = 0; i < kind->unit_count && used < out_bytes; i++) {
        const unit *u = &kind->units[i];
        if (u->use == READ_ONLY) {
            continue;
        }
        const int n = snprintf(out + used, out_bytes - used, "%s%s", used == 0 ? "use " : ", ",
                               u->name[0] != '\0' ? u->name : "a plain number");
        used += n > 0 ? (size_t)n : 0;
    }
}

typedef enum scale_result {
    SCALE_OK,
    SCALE_TOO_FINE, /* not zero, but less than half a base unit */
    SCALE_TOO_LARGE,
} scale_result;

/* Past this many places 10^places * per leaves 128 bits, and the value is below every base unit. */
#define MAX_PLACES 19u

/* digits / 10^places * times / per, to the nearest integer. */
static scale_result scale_decimal(decimal number, const unit *u, uint64_t *value)
{
    if (number.places > MAX_PLACES) {
        return SCALE_TOO_FINE;
    }
    u128 denominator = u->per;
    for (unsigned i = 0; i < number.places; i++) {
        denominator *= 10;
    }
    const u128 rounded = ((u128)number.digits * u->times + denominator / 2) / denominator;
    if (rounded > UINT64_MAX) {
        return SCALE_TOO_LARGE;
    }
    *value = (uint64_t)rounded;
    return rounded == 0 && number.digits != 0 ? SCALE_TOO_FINE : SCALE_OK;
}

static ps_code refuse(ps_unit_kind kind, const char *text, const char *why, ps_error *err)
{
    return ps_fail(err, PS_USAGE, "\"%.*s\" is not %s: %s", QUOTED_CHARS, text, kinds[kind].name,
                   why);
}

static const char *skip_blanks(const char *at)
{
    while (is_blank(*at)) {
        at++;
    }
    return at;
}

/* Splits text into its number and its unit. */
static ps_code split(ps_unit_kind kind, const char *text, decimal *number, const unit **u,
                     ps_error *err)
{
    const char *at = skip_blanks(text);
    if (*at == '-') {
        return refuse(kind, text, "it must not be negative", err);
    }
    const scan_result scanned = scan_decimal(&at, number);
    if (scanned != SCAN_OK) {
        return refuse(kind, text,
                      scanned == SCAN_NO_NUMBER ? "it must begin with a number"
                                                : "the number has too many digits",
                      err);
    }
    at = skip_blanks(at);
    size_t bytes = strlen(at);
    while (bytes > 0 && is_blank(at[bytes - 1])) {
        bytes--;
    }
    *u = find_unit(&kinds[kind], at, bytes);
    if (*u == NULL) {
        char units[160];
        list_units(&kinds[kind], units, sizeof units);
        return refuse(kind, text, units, err);
    }
    return PS_OK;
}

ps_code ps_quantity_parse_in(ps_unit_kind kind, const char *text, uint64_t min, uint64_t max,
                             uint64_t *value, ps_error *err)
{
    const uint64_t greatest = max < kinds[kind].max ? max : kinds[kind].max;
    decimal number = {0, 0};
    const unit *u = NULL;
    uint64_t result = 0;
    PS_TRY(split(kind, text, &number, &u, err));
    const scale_result scaled = scale_decimal(number, u, &result);
    if (scaled == SCALE_TOO_FINE) {
        return refuse(kind, text, "it is finer than what can be counted", err);
    }
    if (scaled == SCALE_TOO_LARGE || result < min || result > greatest) {
        char low[PS_QUANTITY_TEXT_BYTES];
        char high[PS_QUANTITY_TEXT_BYTES];
        return ps_fail(err, PS_USAGE, "\"%.*s\" is out of range for %s: %s to %s are allowed",
                       QUOTED_CHARS, text, kinds[kind].name, ps_quantity_format(kind, min, low),
                       ps_quantity_format(kind, greatest, high));
    }
    *value = result;
    return PS_OK;
}

ps_code ps_quantity_parse(ps_unit_kind kind, const char *text, uint64_t *value, ps_error *err)
{
    return ps_quantity_parse_in(kind, text, 0, kinds[kind].max, value, err);
}

ps_code ps_size_parse(const char *text, uint64_t *bytes, ps_error *err)
{
    return ps_quantity_parse(PS_UNIT_SIZE, text, bytes, err);
}

ps_code ps_bandwidth_parse(const char *text, uint64_t *bytes_per_s, ps_error *err)
{
    return ps_quantity_parse(PS_UNIT_BANDWIDTH, text, bytes_per_s, err);
}

ps_code ps_duration_parse(const char *text, ps_ns *ns, ps_error *err)
{
    uint64_t value = 0;
    PS_TRY(ps_quantity_parse(PS_UNIT_DURATION, text, &value, err));
    *ns = (ps_ns)value;
    return PS_OK;
}

ps_code ps_flop_rate_parse(const char *text, uint64_t *flop_per_s, ps_error *err)
{
    return ps_quantity_parse(PS_UNIT_FLOP_RATE, text, flop_per_s, err);
}

/* Four significant digits: digits after the point for a value below 10, 100, 1000, 10000. */
static unsigned places_for(u128 whole)
{
    return whole < 10 ? 3 : whole < 100 ? 2 : whole < 1000 ? 1 : 0;
}

static uint64_t power_of_ten(unsigned exponent)
{
    uint64_t power = 1;
    for (unsigned i = 0; i < exponent; i++) {
        power *= 10;
    }
    return power;
}

/* value in a unit of `times`, rounded to `places` digits, halves up; in 10^-places of the unit. */
static u128 round_to(uint64_t value, uint64_t times, unsigned places)
{
    return ((u128)value * power_of_ten(places) + times / 2) / times;
}

/* The largest written unit of which the value, once rounded, is at least one. */
static const unit *choose_unit(const kind_spec *kind, uint64_t value)
{
    const unit *chosen = NULL;
    for (size_t i = 0; i < kind->unit_count; i++) {
        const unit *u = &kind->units[i];
        if (u->use == WRITTEN && (chosen == NULL || round_to(value, u->times, 3) >= 1000)) {
            chosen = u;
        }
    }
    return chosen;
}

const char *ps_quantity_format(ps_unit_kind kind, uint64_t value, char out[PS_QUANTITY_TEXT_BYTES])
{
    const unit *u = choose_unit(&kinds[kind], value);
    const char *blank = u->name[0] != '\0' ? " " : "";
    if (u->times == 1) {
        (void)snprintf(out, PS_QUANTITY_TEXT_BYTES, "%llu%s%s", (unsigned long long)value, blank,
                       u->name);
        return out;
    }
    unsigned places = places_for(value / u->times);
    u128 scaled = round_to(value, u->times, places);
    if (places > 0 && scaled >= 10000) { /* 9.9996 became 10.000 */
        places--;
        scaled = round_to(value, u->times, places);
    }
    const uint64_t power = power_of_ten(places);
    const unsigned long long whole = (unsigned long long)(scaled / power);
    const unsigned long long rest = (unsigned long long)(scaled % power);
    if (places == 0) {
        (void)snprintf(out, PS_QUANTITY_TEXT_BYTES, "%llu%s%s", whole, blank, u->name);
    } else {
        (void)snprintf(out, PS_QUANTITY_TEXT_BYTES, "%llu.%0*llu%s%s", whole, (int)places, rest,
                       blank, u->name);
    }
    return out;
}

const char *ps_time_format(ps_ns ns, char out[PS_QUANTITY_TEXT_BYTES])
{
    if (ns == PS_TIME_NEVER) {
        (void)snprintf(out, PS_QUANTITY_TEXT_BYTES, "never");
        return out;
    }
    if (ns >= 0) {
        return ps_quantity_format(PS_UNIT_DURATION, (uint64_t)ns, out);
    }
    char magnitude[PS_QUANTITY_TEXT_BYTES];
    (void)ps_quantity_format(PS_UNIT_DURATION, 0 - (uint64_t)ns, magnitude);
    (void)snprintf(out, PS_QUANTITY_TEXT_BYTES, "-%.*s", PS_QUANTITY_TEXT_BYTES - 2, magnitude);
    return out;
}
