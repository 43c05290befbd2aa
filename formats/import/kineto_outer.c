/* SPDX-License-Identifier: MIT
 *
 * What surrounds the events of a Kineto file:
 *
 *   baseTimeNanoseconds              meta base-time-ns: Unix time = this + time of a row
 *   distributedInfo.rank, world_size meta rank, world-size
 *   distributedInfo.backend, nccl_version, pg_config
 *                                    meta collective-backend, nccl-version, process-groups
 *                                    (groups of more than 64 KiB are left out)
 *   deviceProperties                 device; empty or absent: the devices that rows speak of
 *   any other short text or number   meta, by its own name
 *
 * The base may be written behind the events, so times are never shifted by
 * it, wherever it stands. deviceProperties lists what the host has, not what
 * the process used.
 */
#include <stdio.h>
#include <string.h>

#include "import/json_text.h"
#include "import/kineto.h"
#include "import/kineto_map.h"

#define FACT_MAX_BYTES 1024u
#define GROUPS_MAX_BYTES ((size_t)64 << 10)
#define MAX_FACTS 256u

static bool key_is(const ps_json_field *field, const char *text)
{
    return field->key_bytes == strlen(text) && memcmp(field->key, text, field->key_bytes) == 0;
}

/* A member of the object itself; the members of an opened member do not count. */
static const ps_json_field *find_field(const ps_json_item *object, const char *key)
{
    for (size_t i = 0; i < object->field_count; i++) {
        if (!object->field[i].is_inner && key_is(&object->field[i], key)) {
            return &object->field[i];
        }
    }
    return NULL;
}

static uint64_t number_in(const ps_json_item *object, const char *key)
{
    const ps_json_field *field = find_field(object, key);
    int64_t value = 0;
    return field != NULL && ps_json_decimal(field->text, field->text_bytes, 0, &value) && value > 0
               ? (uint64_t)value
               : 0;
}

/* ---- facts ---- */

/* Text of a member, terminated: a string without its escapes, anything else without spaces. */
static void copy_text(const ps_json_field *field, char *out)
{
    uint64_t unused = 0;
    const size_t bytes = field->kind == PS_JSON_STRING
                             ? ps_json_unescape(field->text, field->text_bytes, out, &unused)
                             : ps_json_compact(field->text, field->text_bytes, out);
    out[bytes] = '\0';
}

static ps_code put_fact(ps_kineto_map *self, const char *key, const ps_json_field *field,
                        size_t most, ps_error *err)
{
    char *text = NULL;
    if (field->text_bytes > most) {
        return PS_OK;
    }
    PS_TRY(ps_kineto_map_scratch(self, field->text_bytes + 1, &text, err));
    copy_text(field, text);
    return ps_trace_builder_meta(self->out, key, text, err);
}

/* A member of distributedInfo. */
static ps_code put_distributed(ps_kineto_map *self, const ps_json_field *field, ps_error *err)
{
    static const struct {
        const char *key, *fact;
        size_t most;
    } facts[] = {
        {"rank", PS_META_RANK, FACT_MAX_BYTES},
        {"world_size", PS_META_WORLD_SIZE, FACT_MAX_BYTES},
        {"backend", "collective-backend", FACT_MAX_BYTES},
        {"nccl_version", "nccl-version", FACT_MAX_BYTES},
        {"pg_config", "process-groups", GROUPS_MAX_BYTES},
    };
    for (size_t i = 0; i < sizeof facts / sizeof facts[0]; i++) {
        if (key_is(field, facts[i].key)) {
            return put_fact(self, facts[i].fact, field, facts[i].most, err);
        }
    }
    return PS_OK;
}

static ps_code put_base_time(ps_kineto_map *self, const ps_json_field *field, ps_error *err)
{
    uint64_t base = 0;
    if (!ps_json_whole(field->text, field->text_bytes, &base) || base > (uint64_t)INT64_MAX) {
        return ps_fail(err, PS_BAD_INPUT,
                       "\"baseTimeNanoseconds\" must be a whole number of nanoseconds");
    }
    return put_fact(self, PS_META_BASE_TIME, field, FACT_MAX_BYTES, err);
}

static ps_code put_named_fact(ps_kineto_map *self, const ps_json_field *field, ps_error *err)
{
    char key[FACT_MAX_BYTES + 1];
    uint64_t unused = 0;
    if (field->key_bytes == 0 || field->key_bytes > FACT_MAX_BYTES ||
        key_is(field, "baseTimeNanoseconds")) {
        return PS_OK;
    }
    key[ps_json_unescape(field->key, field->key_bytes, key, &unused)] = '\0';
    return put_fact(self, key, field, FACT_MAX_BYTES, err);
}

/* ---- devices ---- */

static ps_code add_device(ps_kineto_map *self, uint32_t ordinal, const ps_json_item *properties,
                          ps_error *err)
{
    size_t row = 0;
    ps_str name = 0;
    if (properties != NULL) {
        PS_TRY(ps_kineto_map_string(self, find_field(properties, "name"), &name, err));
    }
    PS_TRY(ps_kineto_map_row(self, PS_TABLE_DEVICE, &row, err));
    ps_device_table *device = &ps_kineto_map_chunk(self)->device;
    device->device[row] = ordinal;
    device->kind[row] = (uint8_t)(self->is_hip ? PS_DEVICE_HIP : PS_DEVICE_CUDA);
    if (properties != NULL) {
        device->name[row] = name;
        device->memory_bytes[row] = number_in(properties, "totalGlobalMem");
        device->sm_count[row] = (uint32_t)number_in(properties, "numSms");
        device->cc_major[row] = (uint32_t)number_in(properties, "computeMajor");
        device->cc_minor[row] = (uint32_t)number_in(properties, "computeMinor");
    }
    return PS_OK;
}

static ps_code add_seen_devices(ps_kineto_map *self, ps_error *err)
{
    for (uint32_t i = 0; i < PS_KINETO_MAX_DEVICES; i++) {
        if ((self->device_seen[i / 64] >> (i % 64) & 1) != 0) {
            PS_TRY(add_device(self, i, NULL, err));
        }
    }
    return PS_OK;
}

/* Rows for the objects of a list; what is no object there is passed over. */
static ps_code add_listed_devices(ps_kineto_map *self, ps_json_batch *batch, char *text,
                                  const ps_json_field *list, size_t *count, ps_error *err)
{
    ps_json_item properties;
    *count = 0;
    if (list == NULL || list->kind != PS_JSON_ARRAY) {
        return PS_OK;
    }
    text[(size_t)(list->text - text) + list->text_bytes] =
        ' '; /* what parted it from the next member */
    ps_json_look look = ps_json_batch_begin(batch, list->text, list->text_bytes);
    while (look == PS_JSON_LOOK_OK) {
        switch (ps_json_batch_next(batch, &properties)) {
        case PS_JSON_STEP_OBJECT:
            PS_TRY(add_device(self, (uint32_t)number_in(&properties, "id"), &properties, err));
            (*count)++;
            break;
        case PS_JSON_STEP_NOMEM:
            return ps_fail_nomem(err);
        case PS_JSON_STEP_END:
        case PS_JSON_STEP_DAMAGED:
            return PS_OK;
        }
    }
    return look == PS_JSON_LOOK_NOMEM ? ps_fail_nomem(err) : PS_OK;
}

static ps_code add_devices(ps_kineto_map *self, char *text, const ps_json_item *outer,
                           ps_error *err)
{
    size_t count = 0;
    ps_json_batch *batch = ps_json_batch_create(NULL);
    if (batch == NULL) {
        return ps_fail_nomem(err);
    }
    self->is_hip = self->is_hip || find_field(outer, "hip_runtime_version") != NULL ||
                   find_field(outer, "roctracer_version") != NULL;
    const ps_code code =
        add_listed_devices(self, batch, text, find_field(outer, "deviceProperties"), &count, err);
    ps_json_batch_destroy(batch);
    return code != PS_OK || count > 0 ? code : add_seen_devices(self, err);
}

/* ---- the whole ---- */

/* Opens the one object of "[{...}]". */
static ps_code open_object(ps_json_batch *batch, char *text, size_t bytes, ps_json_item *out,
                           ps_error *err)
{
    ps_json_look look = ps_json_batch_begin(batch, text, bytes);
    if (look == PS_JSON_LOOK_BAD_UTF8) {
        (void)ps_json_clean_utf8(text, bytes);
        look = ps_json_batch_begin(batch, text, bytes);
    }
    const ps_json_step step =
        look == PS_JSON_LOOK_OK ? ps_json_batch_next(batch, out) : PS_JSON_STEP_DAMAGED;
    if (look == PS_JSON_LOOK_NOMEM || step == PS_JSON_STEP_NOMEM) {
        return ps_fail_nomem(err);
    }
    return step == PS_JSON_STEP_OBJECT
               ? PS_OK
               : ps_fail(err, PS_BAD_INPUT,
                         "the members around \"traceEvents\" are not well-formed JSON");
}

static ps_code put_named_facts(ps_kineto_map *self, const ps_json_item *outer, ps_error *err)
{
    size_t count = 0;
    for (size_t i = 0; i < outer->field_count && count < MAX_FACTS; i++) {
        const ps_json_field *field = &outer->field[i];
        if (!field->is_inner && field->kind != PS_JSON_ARRAY && field->kind != PS_JSON_OBJECT) {
            PS_TRY(put_named_fact(self, field, err));
            count++;
        }
    }
    return PS_OK;
}

static ps_code put_known_facts(ps_kineto_map *self, const ps_json_item *outer, ps_error *err)
{
    for (size_t i = 0; i < outer->field_count; i++) {
        const ps_json_field *field = &outer->field[i];
        if (field->is_inner) {
            PS_TRY(put_distributed(self, field, err));
        } else if (key_is(field, "baseTimeNanoseconds")) {
            PS_TRY(put_base_time(self, field, err));
        }
    }
    return PS_OK;
}

static ps_code put_own_facts(ps_kineto_map *self, ps_error *err)
{
    PS_TRY(ps_trace_builder_meta(self->out, PS_META_SOURCE, "kineto", err));
    PS_TRY(ps_trace_builder_meta(self->out, PS_META_CLOCK, "unix-ns", err));
    if (self->memory_rows > 0) {
        PS_TRY(ps_trace_builder_meta(self->out, PS_META_MEMORY_SIZES, "block", err));
    }
    if (self->device_rows == 0) {
        PS_TRY(ps_trace_builder_meta(self->out, "note", "no device work was recorded", err));
    }
    return PS_OK;
}

static ps_code put_losses(ps_kineto_map *self, ps_error *err)
{
#define NAME(symbol, name) name,
    static const char *const names[] = {PS_KINETO_LOSSES(NAME)};
#undef NAME
    for (size_t i = 0; i < PS_KINETO_LOSS_COUNT; i++) {
        if (self->loss[i] > 0) {
            PS_TRY(ps_trace_builder_loss(self->out, names[i], self->loss[i], err));
        }
    }
    return PS_OK;
}

ps_code ps_kineto_map_outer(ps_kineto_map *self, char *text, size_t bytes, ps_error *err)
{
    ps_json_item outer;
    /* one object with its members; those of distributedInfo stand among them, marked as inner */
    ps_json_batch *batch = ps_json_batch_create("distributedInfo");
    if (batch == NULL) {
        return ps_fail_nomem(err);
    }
    ps_code code = open_object(batch, text, bytes, &outer, err);
    /* what is known comes last, so that a foreign member of the same name cannot change it */
    if (code == PS_OK) {
        code = put_named_facts(self, &outer, err);
    }
    if (code == PS_OK) {
        code = put_known_facts(self, &outer, err);
    }
    if (code == PS_OK) {
        code = add_devices(self, text, &outer, err);
    }
    ps_json_batch_destroy(batch);
    PS_TRY(code);
    PS_TRY(put_own_facts(self, err));
    return put_losses(self, err);
}
