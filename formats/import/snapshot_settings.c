/* SPDX-License-Identifier: MIT
 *
 * allocator_settings of a memory snapshot -> the fact allocator-conf.
 *
 * The setting text is taken as it was given to PyTorch. When there is none,
 * the settings in force (they can be changed by a call, too) are spelled out
 * as a text that would bring them about; defaults give the empty text.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "import/snapshot_parts.h"

#define MIB ((uint64_t)1 << 20)
#define CONF_BYTES 512u

_Static_assert(PS_WORD_SIZE_32768 - PS_WORD_SIZE_1 + 1 == PS_SNAPSHOT_DIVISIONS,
               "the sizes are consecutive words");

static ps_code read_max_split(const ps_snapshot *self, const ps_pickle_value *pair, uint64_t *out,
                              ps_error *err)
{
    const ps_pickle_value *value = &pair[1];
    if (value->type == PS_PICKLE_INT && value->as.integer == -1) {
        *out = UINT64_MAX; /* "no limit" went through a signed type */
        return PS_OK;
    }
    return ps_snapshot_get_u64(self, pair, out, err);
}

static ps_code read_threshold(const ps_snapshot *self, const ps_pickle_value *pair, double *out,
                              ps_error *err)
{
    const ps_pickle_value *value = &pair[1];
    if (value->type == PS_PICKLE_INT && value->as.integer == 0) {
        *out = 0;
        return PS_OK;
    }
    if (value->type != PS_PICKLE_FLOAT || !(value->as.real >= 0 && value->as.real <= 1)) {
        return ps_snapshot_fail_key(self, pair, "a share from 0 to 1", err);
    }
    *out = value->as.real;
    return PS_OK;
}

static ps_code read_setting(ps_snapshot *self, const ps_pickle_value *pair, ps_error *err)
{
    ps_snapshot_settings *settings = &self->settings;
    switch (ps_snapshot_key(pair)) {
    case PS_WORD_ALLOC_CONF:
        return pair[1].type == PS_PICKLE_NONE
                   ? PS_OK
                   : ps_snapshot_get_text(self, pair, &settings->conf, err);
    case PS_WORD_MAX_SPLIT_SIZE:
        return read_max_split(self, pair, &settings->max_split_bytes, err);
    case PS_WORD_GC_THRESHOLD:
        return read_threshold(self, pair, &settings->gc_threshold, err);
    case PS_WORD_EXPANDABLE_SEGMENTS:
        return ps_snapshot_get_bool(self, pair, &settings->is_expandable, err);
    case PS_WORD_ROUNDUP_DIVISIONS:
        settings->has_divisions = pair[1].type == PS_PICKLE_DICT && pair[1].tag == PS_TAG_DIVISIONS;
        return PS_OK;
    default:
        return PS_OK;
    }
}

ps_code ps_snapshot_settings_read(ps_snapshot *self, const ps_pickle_value *pairs,
                                  size_t pair_count, ps_error *err)
{
    ps_snapshot_settings *settings = &self->settings;
    settings->is_present = true;
    settings->conf = 0;
    settings->max_split_bytes = UINT64_MAX;
    settings->gc_threshold = 0;
    settings->is_expandable = false;
    settings->has_divisions = false;
    for (size_t i = 0; i < pair_count; i++) {
        PS_TRY(read_setting(self, &pairs[2 * i], err));
    }
    return PS_OK;
}

bool ps_snapshot_divisions_read(ps_snapshot *self, const ps_pickle_value *pairs, size_t pair_count)
{
    uint64_t divisions[PS_SNAPSHOT_DIVISIONS] = {0};
    for (size_t i = 0; i < pair_count; i++) {
        const ps_pickle_value *pair = &pairs[2 * i];
        const ps_str key = ps_snapshot_key(pair);
        if (key < PS_WORD_SIZE_1 || key > PS_WORD_SIZE_32768 ||
            !ps_pickle_get_u64(&pair[1], &divisions[key - PS_WORD_SIZE_1])) {
            return false;
        }
    }
    memcpy(self->settings.divisions, divisions, sizeof divisions);
    return true;
}

/* Appends "NAME:" and what follows, with a comma between settings. */
typedef struct conf_text {
    char text[CONF_BYTES];
    size_t used;
} conf_text;

static void add(conf_text *conf, const char *text)
{
    const size_t bytes = strlen(text);
    if (bytes < sizeof conf->text - conf->used) {
        memcpy(conf->text + conf->used, text, bytes + 1);
        conf->used += bytes;
    }
}

static void add_name(conf_text *conf, const char *name)
{
    if (conf->used > 0) {
        add(conf, ",");
    }
    add(conf, name);
    add(conf, ":");
}

static void add_divisions(conf_text *conf, const uint64_t *divisions)
{
    char number[32];
    bool is_uniform = true, is_default = true;
    for (unsigned i = 0; i < PS_SNAPSHOT_DIVISIONS; i++) {
        is_uniform = is_uniform && divisions[i] == divisions[0];
        is_default = is_default && divisions[i] == 0;
    }
    if (is_default) {
        return;
    }
    add_name(conf, "roundup_power2_divisions");
    if (is_uniform) {
        (void)snprintf(number, sizeof number, "%" PRIu64, divisions[0]);
        add(conf, number);
        return;
    }
    for (unsigned i = 0; i < PS_SNAPSHOT_DIVISIONS; i++) {
        (void)snprintf(number, sizeof number, "%s%u:%" PRIu64, i == 0 ? "[" : ",", 1u << i,
                       divisions[i]);
        add(conf, number);
    }
    add(conf, "]");
}

/* Six decimals are more than anyone sets; trailing zeros go. */
static void add_threshold(conf_text *conf, double threshold)
{
    char number[32];
    const unsigned millionths = (unsigned)(threshold * 1e6 + 0.5);
    int bytes =
        snprintf(number, sizeof number, "%u.%06u", millionths / 1000000u, millionths % 1000000u);
    while (bytes > 3 && number[bytes - 1] == '0') {
        number[--bytes] = '\0';
    }
    add_name(conf, "garbage_collection_threshold");
    add(conf, number);
}

static void spell_out(const ps_snapshot_settings *settings, conf_text *conf)
{
    char number[32];
    if (settings->max_split_bytes != UINT64_MAX) {
        (void)snprintf(number, sizeof number, "%" PRIu64, settings->max_split_bytes / MIB);
        add_name(conf, "max_split_size_mb");
        add(conf, number);
    }
    if (settings->gc_threshold > 0) {
        add_threshold(conf, settings->gc_threshold);
    }
    if (settings->is_expandable) {
        add_name(conf, "expandable_segments");
        add(conf, "True");
    }
    if (settings->has_divisions) {
        add_divisions(conf, settings->divisions);
    }
}

ps_code ps_snapshot_settings_finish(ps_snapshot *self, ps_error *err)
{
    const ps_snapshot_settings *settings = &self->settings;
    conf_text conf = {0};
    if (!settings->is_present) {
        return PS_OK;
    }
    if (settings->conf != PS_WORD_EMPTY) {
        return ps_trace_builder_meta(self->out, PS_META_ALLOCATOR_CONF,
                                     ps_strings_text(self->texts, settings->conf), err);
    }
    spell_out(settings, &conf);
    return ps_trace_builder_meta(self->out, PS_META_ALLOCATOR_CONF, conf.text, err);
}
