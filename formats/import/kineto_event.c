/* SPDX-License-Identifier: MIT
 *
 * One event of a Kineto file. Times are read as decimal text straight into
 * integer nanoseconds: a double holds today's microseconds only to a quarter.
 */
#include "import/kineto_event.h"

#include <string.h>

#include "import/json_text.h"

/* What a word is looked up as. */
enum { SCOPE_EVENT = 0, SCOPE_ARGS = 1, SCOPE_CATEGORY = 2 };

#define QUOTE_MAX_BYTES 40u

/* ---- words ---- */

static uint32_t hash_word(uint8_t scope, const char *text, size_t bytes)
{
    uint64_t head = 0, tail = 0;
    if (bytes >= 8) {
        memcpy(&head, text, 8);
        memcpy(&tail, text + bytes - 8, 8);
    } else if (bytes > 0) {
        memcpy(&head, text, bytes);
    }
    const uint64_t mixed = (head * 3 + tail + bytes * 8 + scope) * 0x9e3779b97f4a7c15u;
    return (uint32_t)(mixed >> 56) & (PS_KINETO_WORD_SLOTS - 1);
}

static void put_word(ps_kineto_words *self, uint8_t scope, const char *text, uint8_t id)
{
    const size_t bytes = strlen(text);
    uint32_t at = hash_word(scope, text, bytes);
    while (self->slot[at].text != NULL) {
        at = (at + 1) & (PS_KINETO_WORD_SLOTS - 1);
    }
    self->slot[at].text = text;
    self->slot[at].bytes = (uint32_t)bytes;
    self->slot[at].scope = scope;
    self->slot[at].id = id;
}

static uint8_t find_word(const ps_kineto_words *self, uint8_t scope, const char *text, size_t bytes)
{
    uint32_t at = hash_word(scope, text, bytes);
    for (; self->slot[at].text != NULL; at = (at + 1) & (PS_KINETO_WORD_SLOTS - 1)) {
        if (self->slot[at].bytes == bytes && self->slot[at].scope == scope &&
            memcmp(self->slot[at].text, text, bytes) == 0) {
            return self->slot[at].id;
        }
    }
    return 0;
}

void ps_kineto_words_init(ps_kineto_words *self)
{
    memset(self, 0, sizeof *self);
#define X(symbol, scope, text) put_word(self, SCOPE_##scope, text, PS_KINETO_##symbol);
#define Y X
#include "import/kineto_keys.def"
#undef X
#undef Y
#define X(symbol, text) put_word(self, SCOPE_CATEGORY, text, PS_KINETO_IS_##symbol);
#define Y X
#include "import/kineto_categories.def"
#undef X
#undef Y
}

ps_kineto_category ps_kineto_words_category(const ps_kineto_words *self, const ps_json_field *text)
{
    return (ps_kineto_category)find_word(self, SCOPE_CATEGORY, text->text, text->text_bytes);
}

/* ---- members ---- */

void ps_kineto_event_read(ps_kineto_event *self, const ps_kineto_words *words,
                          const ps_json_item *object)
{
    memset(self->field, 0, sizeof self->field);
    for (size_t i = 0; i < object->field_count; i++) {
        const ps_json_field *field = &object->field[i];
        const uint8_t scope = field->is_inner ? SCOPE_ARGS : SCOPE_EVENT;
        self->field[find_word(words, scope, field->key, field->key_bytes)] = field;
    }
    self->field[PS_KINETO_NO_KEY] = NULL;
}

static bool is_number_like(const ps_json_field *field)
{
    return field != NULL && (field->kind == PS_JSON_NUMBER || field->kind == PS_JSON_STRING);
}

uint64_t ps_kineto_event_u64(const ps_kineto_event *self, ps_kineto_key key, uint64_t otherwise)
{
    const ps_json_field *field = self->field[key];
    uint64_t whole = 0;
    if (is_number_like(field) && ps_json_whole(field->text, field->text_bytes, &whole)) {
        return whole;
    }
    const int64_t value = ps_kineto_event_i64(self, key, -1);
    return value < 0 ? otherwise : (uint64_t)value;
}

int64_t ps_kineto_event_i64(const ps_kineto_event *self, ps_kineto_key key, int64_t otherwise)
{
    const ps_json_field *field = self->field[key];
    int64_t value = 0;
    return is_number_like(field) && ps_json_decimal(field->text, field->text_bytes, 0, &value)
               ? value
               : otherwise;
}

uint64_t ps_kineto_event_id_or_none(const ps_kineto_event *self, ps_kineto_key key)
{
    const uint64_t id = ps_kineto_event_u64(self, key, UINT64_MAX);
    return id == UINT32_MAX ? UINT64_MAX : id;
}

bool ps_kineto_event_begins(const ps_kineto_event *self, ps_kineto_key key, const char *text)
{
    const ps_json_field *field = self->field[key];
    const size_t bytes = strlen(text);
    return field != NULL && field->kind == PS_JSON_STRING && field->text_bytes >= bytes &&
           memcmp(field->text, text, bytes) == 0;
}

bool ps_kineto_event_is(const ps_kineto_event *self, ps_kineto_key key, const char *text)
{
    return ps_kineto_event_begins(self, key, text) && self->field[key]->text_bytes == strlen(text);
}

/* ---- times ---- */

ps_code ps_kineto_event_refuse(const ps_kineto_event *self, const ps_json_field *field,
                               const char *rule, ps_error *err)
{
    const size_t shown = field->text_bytes < QUOTE_MAX_BYTES ? field->text_bytes : QUOTE_MAX_BYTES;
    return ps_fail_at(err, PS_BAD_INPUT, self->offset, "event %llu: \"%.*s\" is %.*s%s, %s",
                      (unsigned long long)self->index, (int)field->key_bytes, field->key,
                      (int)shown, field->text, shown < field->text_bytes ? "..." : "", rule);
}

static ps_code read_time(const ps_kineto_event *self, const ps_json_field *field, ps_ns *out,
                         ps_error *err)
{
    if (!is_number_like(field) || !ps_json_decimal(field->text, field->text_bytes, 3, out)) {
        return ps_kineto_event_refuse(self, field, "must be a number of microseconds", err);
    }
    return PS_OK;
}

ps_code ps_kineto_event_start(const ps_kineto_event *self, ps_ns *out, ps_error *err)
{
    return read_time(self, self->field[PS_KINETO_TS], out, err);
}

ps_code ps_kineto_event_duration(const ps_kineto_event *self, ps_ns *out, ps_error *err)
{
    const ps_json_field *field = self->field[PS_KINETO_DUR];
    PS_TRY(read_time(self, field, out, err));
    return *out < 0 ? ps_kineto_event_refuse(self, field, "must not be negative", err) : PS_OK;
}
