/* SPDX-License-Identifier: MIT
 *
 * simdjson On-Demand behind json_batch.h.
 *
 * simdjson indexes the whole text first (and there checks UTF-8 and the
 * pairing of quotes), then walks tokens. It is used through its error codes
 * only; no exception is thrown or passes through here, and its parser is the
 * only object that allocates by itself (with nothrow new).
 */
#define SIMDJSON_EXCEPTIONS 0
/* the debugging aids of simdjson assume well-formed use of values that we hand out as text */
#define SIMDJSON_DEVELOPMENT_CHECKS 0
#include <simdjson.h>

#include <cstring>
#include <new>
#include <string_view>
#include <utility>

#include "import/json_batch.h"

extern "C" {
#include "base/memory.h"
}

namespace ondemand = simdjson::ondemand;

static_assert(PS_JSON_PADDING >= simdjson::SIMDJSON_PADDING, "the text needs simdjson's padding");

#define MAX_FIELDS ((size_t)1 << 20)

struct ps_json_batch {
    ondemand::parser parser;
    ondemand::document document;
    simdjson::simdjson_result<ondemand::array_iterator> at;
    simdjson::simdjson_result<ondemand::array_iterator> end;
    const char *text_end = nullptr;
    const char *next = nullptr; /* first token behind the last good object */
    const char *open_key = nullptr;
    size_t open_key_bytes = 0;
    ps_json_field *field = nullptr;
    size_t field_count = 0;
    size_t field_capacity = 0;
    bool is_started = false;
};

ps_json_batch *ps_json_batch_create(const char *open_key)
{
    void *memory = ps_calloc(1, sizeof(ps_json_batch));
    if (memory == nullptr) {
        return nullptr;
    }
    ps_json_batch *self = new (memory) ps_json_batch();
    self->open_key = open_key;
    self->open_key_bytes = open_key == nullptr ? 0 : std::strlen(open_key);
    return self;
}

void ps_json_batch_destroy(ps_json_batch *self)
{
    if (self == nullptr) {
        return;
    }
    ps_free(self->field);
    self->~ps_json_batch();
    ps_free(self);
}

static ps_json_look look_of(simdjson::error_code error)
{
    switch (error) {
    case simdjson::SUCCESS:
        return PS_JSON_LOOK_OK;
    case simdjson::UTF8_ERROR:
        return PS_JSON_LOOK_BAD_UTF8;
    case simdjson::MEMALLOC:
        return PS_JSON_LOOK_NOMEM;
    default:
        return PS_JSON_LOOK_DAMAGED;
    }
}

ps_json_look ps_json_batch_begin(ps_json_batch *self, const char *text, size_t bytes)
{
    self->is_started = false;
    self->next = nullptr;
    self->text_end = text + bytes;
    const simdjson::error_code error =
        self->parser.iterate(text, bytes, bytes + PS_JSON_PADDING).get(self->document);
    if (error != simdjson::SUCCESS) {
        return look_of(error);
    }
    ondemand::array array;
    if (self->document.get_array().get(array) != simdjson::SUCCESS) {
        return PS_JSON_LOOK_DAMAGED;
    }
    self->at = array.begin();
    self->end = array.end();
    return PS_JSON_LOOK_OK;
}

/* Length of a token's text without the whitespace behind it. */
static size_t trim(const char *text, size_t bytes)
{
    while (bytes > 0 && (text[bytes - 1] == ' ' || text[bytes - 1] == '\n' ||
                         text[bytes - 1] == '\t' || text[bytes - 1] == '\r')) {
        bytes--;
    }
    return bytes;
}

/* The raw text of an array or object, which is skipped on the way. */
static bool take_nested(ondemand::value value, ps_json_field *field)
{
    std::string_view text;
    simdjson::error_code error;
    if (field->kind == PS_JSON_ARRAY) {
        ondemand::array array;
        error = value.get_array().get(array);
        if (error == simdjson::SUCCESS) {
            error = array.raw_json().get(text);
        }
    } else {
        ondemand::object object;
        error = value.get_object().get(object);
        if (error == simdjson::SUCCESS) {
            error = object.raw_json().get(text);
        }
    }
    if (error != simdjson::SUCCESS) {
        return false;
    }
    field->text = text.data();
    field->text_bytes = trim(text.data(), text.size());
    return true;
}

static bool take_scalar(ondemand::value value, ps_json_field *field)
{
    const std::string_view token = value.raw_json_token();
    field->text = token.data();
    field->text_bytes = trim(token.data(), token.size());
    if (field->kind == PS_JSON_STRING) {
        if (field->text_bytes < 2 || field->text[field->text_bytes - 1] != '"') {
            return false;
        }
        field->text += 1;
        field->text_bytes -= 2;
    }
    return field->text_bytes > 0 || field->kind == PS_JSON_STRING;
}

/* The kind by the first character; false when no value begins like that. */
static bool kind_of(char first, uint8_t *kind)
{
    switch (first) {
    case '"':
        *kind = PS_JSON_STRING;
        return true;
    case '{':
        *kind = PS_JSON_OBJECT;
        return true;
    case '[':
        *kind = PS_JSON_ARRAY;
        return true;
    case 't':
    case 'f':
    case 'n':
        *kind = PS_JSON_WORD;
        return true;
    case ']':
    case '}':
    case ',':
    case ':':
        return false;
    default:
        *kind = PS_JSON_NUMBER;
        return true;
    }
}

static ps_json_step add_field(ps_json_batch *self, ps_json_field **out)
{
    if (self->field_count == self->field_capacity) {
        void *block = self->field;
        if (ps_grow(&block, &self->field_capacity, self->field_count + 1, MAX_FIELDS,
                    sizeof *self->field, nullptr) != PS_OK) {
            return self->field_count >= MAX_FIELDS ? PS_JSON_STEP_DAMAGED : PS_JSON_STEP_NOMEM;
        }
        self->field = static_cast<ps_json_field *>(block);
    }
    *out = &self->field[self->field_count++];
    return PS_JSON_STEP_OBJECT;
}

static ps_json_step take_fields(ps_json_batch *self, ondemand::object object, uint8_t is_inner);

static ps_json_step take_field(ps_json_batch *self, ondemand::field member, uint8_t is_inner)
{
    const char *key = member.key().raw();
    const size_t left = static_cast<size_t>(self->text_end - key);
    const void *quote = std::memchr(key, '"', left);
    ondemand::value value = member.value();
    uint8_t kind = PS_JSON_WORD;
    if (quote == nullptr || !kind_of(*value.raw_json_token().data(), &kind)) {
        return PS_JSON_STEP_DAMAGED;
    }
    const size_t key_bytes = static_cast<size_t>(static_cast<const char *>(quote) - key);
    if (kind == PS_JSON_OBJECT && is_inner == 0 && self->open_key != nullptr &&
        key_bytes == self->open_key_bytes && std::memcmp(key, self->open_key, key_bytes) == 0) {
        ondemand::object inner;
        if (value.get_object().get(inner) != simdjson::SUCCESS) {
            return PS_JSON_STEP_DAMAGED;
        }
        return take_fields(self, inner, 1);
    }
    ps_json_field *field = nullptr;
    const ps_json_step step = add_field(self, &field);
    if (step != PS_JSON_STEP_OBJECT) {
        return step;
    }
    field->key = key;
    field->key_bytes = static_cast<uint32_t>(key_bytes);
    field->kind = kind;
    field->is_inner = is_inner;
    const bool is_nested = kind == PS_JSON_ARRAY || kind == PS_JSON_OBJECT;
    const bool is_good = is_nested ? take_nested(value, field) : take_scalar(value, field);
    return is_good ? PS_JSON_STEP_OBJECT : PS_JSON_STEP_DAMAGED;
}

static ps_json_step take_fields(ps_json_batch *self, ondemand::object object, uint8_t is_inner)
{
    for (simdjson::simdjson_result<ondemand::field> result : object) {
        ondemand::field member;
        if (std::move(result).get(member) != simdjson::SUCCESS) {
            return PS_JSON_STEP_DAMAGED;
        }
        const ps_json_step step = take_field(self, member, is_inner);
        if (step != PS_JSON_STEP_OBJECT) {
            return step;
        }
    }
    return PS_JSON_STEP_OBJECT;
}

ps_json_step ps_json_batch_next(ps_json_batch *self, ps_json_item *out)
{
    if (self->is_started) {
        ++self->at;
    }
    self->is_started = true;
    out->start = self->next;
    out->next = self->next;
    if (!(self->at != self->end)) {
        return PS_JSON_STEP_END;
    }
    ondemand::value value;
    if ((*self->at).get(value) != simdjson::SUCCESS) {
        return PS_JSON_STEP_DAMAGED;
    }
    out->start = value.raw_json_token().data();
    ondemand::object object;
    if (*out->start != '{' || value.get_object().get(object) != simdjson::SUCCESS) {
        return PS_JSON_STEP_DAMAGED;
    }
    self->field_count = 0;
    const ps_json_step step = take_fields(self, object, 0);
    if (step != PS_JSON_STEP_OBJECT) {
        return step;
    }
    const char *next = nullptr;
    if (self->document.current_location().get(next) != simdjson::SUCCESS) {
        return PS_JSON_STEP_DAMAGED;
    }
    self->next = next;
    out->next = next;
    out->field = self->field;
    out->field_count = self->field_count;
    return PS_JSON_STEP_OBJECT;
}
