/* SPDX-License-Identifier: MIT
 *
 * Reading PYTORCH_CUDA_ALLOC_CONF. One table row a key; every row names a
 * reader for its kind of value.
 */
#include "alloc/settings.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "alloc/sizes.h"

/* Longest value; lists of 16 classes stay far below. */
#define VALUE_BYTES 512u
#define KEY_BYTES 64u
/* PyTorch caps sizes in MiB so that they fit a size_t. */
#define MAX_SIZE_MIB (UINT64_MAX / PS_ALLOC_MIB)

void ps_alloc_settings_init(ps_alloc_settings *self)
{
    memset(self, 0, sizeof *self);
    self->max_split_bytes = PS_ALLOC_NO_SPLIT_LIMIT;
    self->large_segment_bytes = 20 * PS_ALLOC_MIB;
    self->max_non_split_rounding_bytes = 20 * PS_ALLOC_MIB;
    self->pinned_register_thread_count = 1;
}

typedef ps_code (*read_fn)(ps_alloc_settings *self, const char *key, const char *value,
                           ps_error *err);

static ps_code bad_value(ps_error *err, const char *key, const char *value, const char *rule)
{
    return ps_fail(err, PS_USAGE, "allocator setting %s: \"%s\" is not possible; it must be %s",
                   key, value, rule);
}

/* Whole decimal number; false for anything else. */
static bool parse_u64(const char *text, uint64_t *out)
{
    uint64_t value = 0;
    if (*text == '\0') {
        return false;
    }
    for (; *text >= '0' && *text <= '9'; text++) {
        if (!ps_mul_u64(value, 10, &value) || !ps_add_u64(value, (uint64_t)(*text - '0'), &value)) {
            return false;
        }
    }
    *out = value;
    return *text == '\0';
}

static bool parse_bool(const char *text, bool *out)
{
    *out = strcmp(text, "True") == 0;
    return *out || strcmp(text, "False") == 0;
}

static bool parse_double(const char *text, double *out)
{
    char *end;
    *out = strtod(text, &end);
    return end != text && *end == '\0' && isfinite(*out);
}

static bool is_power_of_two(uint64_t value)
{
    return value != 0 && (value & (value - 1)) == 0;
}

/* A size in MiB with a lower bound; stored in bytes. */
static ps_code read_mib(const char *key, const char *value, uint64_t least, const char *rule,
                        uint64_t *out, ps_error *err)
{
    uint64_t mib;
    if (!parse_u64(value, &mib) || mib < least) {
        return bad_value(err, key, value, rule);
    }
    *out = (mib < MAX_SIZE_MIB ? mib : MAX_SIZE_MIB) * PS_ALLOC_MIB;
    return PS_OK;
}

static ps_code read_max_split(ps_alloc_settings *self, const char *key, const char *value,
                              ps_error *err)
{
    return read_mib(key, value, 21, "a whole number of MiB above 20", &self->max_split_bytes, err);
}

static ps_code read_large_segment(ps_alloc_settings *self, const char *key, const char *value,
                                  ps_error *err)
{
    uint64_t bytes = 0;
    PS_TRY(read_mib(key, value, 2, "an even number of MiB, at least 2", &bytes, err));
    if (bytes % PS_ALLOC_SEGMENT_STEP_BYTES != 0 || bytes > PS_ALLOC_MAX_REQUEST_BYTES) {
        return bad_value(err, key, value, "an even number of MiB, at least 2");
    }
    self->large_segment_bytes = bytes;
    return PS_OK;
}

static ps_code read_non_split_rounding(ps_alloc_settings *self, const char *key, const char *value,
                                       ps_error *err)
{
    return read_mib(key, value, 21, "a whole number of MiB above 20",
                    &self->max_non_split_rounding_bytes, err);
}

static ps_code read_gc_threshold(ps_alloc_settings *self, const char *key, const char *value,
                                 ps_error *err)
{
    double share;
    if (!parse_double(value, &share) || share <= 0.0 || share >= 1.0) {
        return bad_value(err, key, value, "between 0 and 1, both excluded");
    }
    self->gc_threshold = share;
    return PS_OK;
}

static ps_code read_fraction(ps_alloc_settings *self, const char *key, const char *value,
                             ps_error *err)
{
    double share;
    if (!parse_double(value, &share) || share < 0.0 || share > 1.0) {
        return bad_value(err, key, value, "between 0 and 1");
    }
    self->process_fraction = share;
    return PS_OK;
}

static bool parse_divisions(const char *text, uint32_t *out)
{
    uint64_t divisions;
    if (!parse_u64(text, &divisions) || (divisions != 0 && !is_power_of_two(divisions)) ||
        divisions > (uint64_t)1 << 30) {
        return false;
    }
    *out = (uint32_t)divisions;
    return true;
}

#define DIVISIONS_RULE "a power of two (0 off), or a list [MiB:power of two,...,>:power of two]"

/*
 * One "size:divisions" of the list; `last` is the class named before,
 * PS_ALLOC_DIVISION_CLASSES for none.
 */
static bool read_division_entry(ps_alloc_settings *self, char *entry, unsigned *last)
{
    char *colon = strchr(entry, ':');
    uint32_t divisions;
    if (colon == NULL) {
        return false;
    }
    *colon = '\0';
    if (!parse_divisions(colon + 1, &divisions)) {
        return false;
    }
    if (strcmp(entry, ">") == 0) {
        /* From the class named last, that one included: PyTorch's own rule. */
        for (unsigned i = *last == PS_ALLOC_DIVISION_CLASSES ? 0 : *last;
             i < PS_ALLOC_DIVISION_CLASSES; i++) {
            self->divisions[i] = divisions;
        }
        return true;
    }
    uint64_t mib;
    if (!parse_u64(entry, &mib) || !is_power_of_two(mib)) {
        return false;
    }
    const unsigned log = ps__alloc_log2(mib);
    const unsigned index = log < PS_ALLOC_DIVISION_CLASSES ? log : PS_ALLOC_DIVISION_CLASSES - 1;
    for (unsigned i = 0; *last == PS_ALLOC_DIVISION_CLASSES && i < index; i++) {
        self->divisions[i] = divisions; /* the first entry also serves everything smaller */
    }
    self->divisions[index] = divisions;
    *last = index;
    return true;
}

static ps_code read_divisions(ps_alloc_settings *self, const char *key, const char *value,
                              ps_error *err)
{
    char list[VALUE_BYTES];
    const size_t bytes = strlen(value);
    uint32_t all;
    if (value[0] != '[') {
        if (!parse_divisions(value, &all)) {
            return bad_value(err, key, value, DIVISIONS_RULE);
        }
        for (size_t i = 0; i < PS_ALLOC_DIVISION_CLASSES; i++) {
            self->divisions[i] = all;
        }
        return PS_OK;
    }
    memcpy(list, value + 1, bytes);
    list[bytes - 2] = '\0'; /* the closing bracket, which the splitter has seen */
    unsigned last = PS_ALLOC_DIVISION_CLASSES;
    for (char *entry = list; entry != NULL;) {
        char *comma = strchr(entry, ',');
        if (comma != NULL) {
            *comma = '\0';
        }
        if (!read_division_entry(self, entry, &last)) {
            return bad_value(err, key, value, DIVISIONS_RULE);
        }
        entry = comma == NULL ? NULL : comma + 1;
    }
    return PS_OK;
}

static ps_code read_backend(ps_alloc_settings *self, const char *key, const char *value,
                            ps_error *err)
{
    self->is_async_backend = strcmp(value, "cudaMallocAsync") == 0;
    if (!self->is_async_backend && strcmp(value, "native") != 0) {
        return bad_value(err, key, value, "native or cudaMallocAsync");
    }
    return PS_OK;
}

static ps_code read_threads(ps_alloc_settings *self, const char *key, const char *value,
                            ps_error *err)
{
    uint64_t count;
    if (!parse_u64(value, &count) || !is_power_of_two(count) || count > 128) {
        return bad_value(err, key, value, "a power of two up to 128");
    }
    self->pinned_register_thread_count = (uint32_t)count;
    return PS_OK;
}

static ps_code read_pinned_reserve(ps_alloc_settings *self, const char *key, const char *value,
                                   ps_error *err)
{
    return read_mib(key, value, 0, "a whole number of MiB", &self->pinned_reserve_segment_bytes,
                    err);
}

/* One row a key; `flag` is the offset of the bool that a key without a reader sets. */
static const struct {
    const char *name;
    read_fn read;
    size_t flag;
} keys[] = {
    {"backend", read_backend, 0},
    {"max_split_size_mb", read_max_split, 0},
    {"large_segment_size_mb", read_large_segment, 0},
    {"max_non_split_rounding_mb", read_non_split_rounding, 0},
    {"garbage_collection_threshold", read_gc_threshold, 0},
    {"roundup_power2_divisions", read_divisions, 0},
    {"per_process_memory_fraction", read_fraction, 0},
    {"pinned_num_register_threads", read_threads, 0},
    {"pinned_reserve_segment_size_mb", read_pinned_reserve, 0},
    {"expandable_segments", NULL, offsetof(ps_alloc_settings, is_expandable)},
    {"release_lock_on_cudamalloc", NULL, offsetof(ps_alloc_settings, release_lock_on_malloc)},
    {"graph_capture_record_stream_reuse", NULL,
     offsetof(ps_alloc_settings, graph_capture_record_stream_reuse)},
    {"pinned_use_cuda_host_register", NULL, offsetof(ps_alloc_settings, pinned_use_host_register)},
    {"pinned_use_background_threads", NULL,
     offsetof(ps_alloc_settings, pinned_use_background_threads)},
};

static ps_code set(ps_alloc_settings *self, const char *key, const char *value, ps_error *err)
{
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        if (strcmp(keys[i].name, key) != 0) {
            continue;
        }
        if (keys[i].read != NULL) {
            return keys[i].read(self, key, value, err);
        }
        bool flag;
        if (!parse_bool(value, &flag)) {
            return bad_value(err, key, value, "True or False");
        }
        memcpy((char *)self + keys[i].flag, &flag, sizeof flag);
        return PS_OK;
    }
    return ps_fail(err, PS_USAGE, "allocator setting \"%s\" is unknown", key);
}

/*
 * Copies text without blanks up to a stop character outside brackets; NULL when it is
 * too long or unbalanced.
 */
static const char *take_until(const char *text, const char *stops, char *out, size_t out_bytes)
{
    size_t used = 0;
    int depth = 0;
    for (; *text != '\0' && (depth > 0 || strchr(stops, *text) == NULL); text++) {
        depth += (*text == '[') - (*text == ']');
        if (depth < 0 || depth > 1 || used + 1 >= out_bytes) {
            return NULL;
        }
        if (*text != ' ' && *text != '\t' && *text != '\n') {
            out[used++] = *text;
        }
    }
    out[used] = '\0';
    return depth == 0 ? text : NULL;
}

/* A value may be a bracketed list only as a whole. */
static bool is_well_bracketed(const char *value)
{
    const char *open = strchr(value, '[');
    if (open == NULL) {
        return value[0] != '\0';
    }
    const char *close = strchr(value, ']');
    return open == value && close != NULL && close[1] == '\0' && close > open + 1;
}

/* Reads one pair and returns what follows it. */
static ps_code read_pair(ps_alloc_settings *self, const char *text, const char *separators,
                         const char **rest, ps_error *err)
{
    char key[KEY_BYTES];
    char value[VALUE_BYTES];
    const char *at = take_until(text, separators, key, sizeof key);
    if (at == NULL || *at == '\0' || *at == ',') {
        return ps_fail(err, PS_USAGE, "allocator settings: expected KEY:VALUE at \"%.60s\"", text);
    }
    at = take_until(at + 1, ",", value, sizeof value);
    if (at == NULL || !is_well_bracketed(value)) {
        return ps_fail(err, PS_USAGE, "allocator settings: the value at \"%.60s\" is malformed",
                       text);
    }
    *rest = at;
    return set(self, key, value, err);
}

ps_code ps_alloc_settings_parse(ps_alloc_settings *self, const char *text, ps_error *err)
{
    ps_alloc_settings next = *self;
    while (text != NULL && *text != '\0') {
        PS_TRY(read_pair(&next, text, ":,", &text, err));
        text += *text == ',';
    }
    *self = next;
    return PS_OK;
}

ps_code ps_alloc_settings_set(ps_alloc_settings *self, const char *pair, ps_error *err)
{
    ps_alloc_settings next = *self;
    const char *rest = pair;
    PS_TRY(read_pair(&next, pair, "=:,", &rest, err));
    if (*rest != '\0') {
        return ps_fail(err, PS_USAGE, "allocator settings: one KEY=VALUE expected, got \"%.60s\"",
                       pair);
    }
    *self = next;
    return PS_OK;
}
