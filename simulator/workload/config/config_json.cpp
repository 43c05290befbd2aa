/* SPDX-License-Identifier: MIT
 *
 * simdjson's document behind config_json.h. It is used through its error
 * codes only; no exception is thrown or passes through here, and its parser
 * is the only object that allocates by itself (with nothrow new).
 */
#define SIMDJSON_EXCEPTIONS 0
#include <simdjson.h>

#include <cstdio>
#include <cstring>
#include <string_view>

extern "C" {
#include "workload/config/config.h"
#include "workload/config/config_json.h"
}

namespace dom = simdjson::dom;

namespace
{

struct walk {
    const char *name;
    ps_config_take take;
    void *context;
    char path[PS_CONFIG_PATH_BYTES];
};

ps_code walk_value(walk *self, size_t path_bytes, dom::element value, ps_error *err);

/* Appends ".key" (or "key" at the top). A dot inside the key must not look like a separator. */
ps_code extend(walk *self, size_t path_bytes, std::string_view key, size_t *out, ps_error *err)
{
    const size_t dot = path_bytes > 0 ? 1 : 0;
    if (key.find('\0') != std::string_view::npos) {
        return ps_fail(err, PS_BAD_INPUT, "%.200s: a key holds a NUL", self->name);
    }
    if (key.size() > sizeof self->path - 1 - dot - path_bytes ||
        path_bytes + dot > sizeof self->path - 1) {
        return ps_fail(err, PS_BAD_INPUT, "%.200s: the key %.60s... is longer than %u bytes",
                       self->name, self->path, PS_CONFIG_PATH_BYTES - 1);
    }
    char *at = self->path + path_bytes;
    if (dot > 0) {
        *at++ = '.';
    }
    for (const char c : key) {
        *at++ = c == '.' ? '\x1f' : c;
    }
    *at = '\0';
    *out = path_bytes + dot + key.size();
    return PS_OK;
}

ps_code walk_list(walk *self, size_t path_bytes, dom::array list, ps_error *err)
{
    size_t number = 0;
    for (dom::element item : list) {
        char key[24];
        size_t extended = 0;
        (void)std::snprintf(key, sizeof key, "%zu", number++);
        PS_TRY(extend(self, path_bytes, key, &extended, err));
        PS_TRY(walk_value(self, extended, item, err));
        self->path[path_bytes] = '\0';
    }
    return PS_OK;
}

ps_code walk_object(walk *self, size_t path_bytes, dom::object object, ps_error *err)
{
    for (dom::key_value_pair member : object) {
        size_t extended = 0;
        PS_TRY(extend(self, path_bytes, member.key, &extended, err));
        PS_TRY(walk_value(self, extended, member.value, err));
        self->path[path_bytes] = '\0';
    }
    return PS_OK;
}

/* The simdjson type is known, so its conversions do not fail. */
ps_config_value describe(dom::element value)
{
    ps_config_value made = {};
    uint64_t large = 0;
    std::string_view text;
    dom::array list;
    dom::object object;
    switch (value.type()) {
    case dom::element_type::NULL_VALUE:
        made.kind = PS_CONFIG_NULL;
        break;
    case dom::element_type::BOOL:
        made.kind = PS_CONFIG_BOOL;
        (void)!value.get(made.truth);
        break;
    case dom::element_type::INT64:
        made.kind = PS_CONFIG_INT;
        (void)!value.get(made.integer);
        made.number = static_cast<double>(made.integer);
        break;
    case dom::element_type::UINT64: /* above INT64_MAX */
        made.kind = PS_CONFIG_INT;
        (void)!value.get(large);
        made.integer = INT64_MAX;
        made.number = static_cast<double>(large);
        break;
    case dom::element_type::DOUBLE:
        made.kind = PS_CONFIG_NUMBER;
        (void)!value.get(made.number);
        break;
    case dom::element_type::STRING:
        made.kind = PS_CONFIG_TEXT;
        (void)!value.get(text);
        made.text = text.data();
        made.text_bytes = text.size();
        break;
    case dom::element_type::ARRAY:
        made.kind = PS_CONFIG_LIST;
        (void)!value.get(list);
        made.count = static_cast<uint32_t>(list.size());
        break;
    case dom::element_type::OBJECT:
        made.kind = PS_CONFIG_OBJECT;
        (void)!value.get(object);
        made.count = static_cast<uint32_t>(object.size());
        break;
    }
    return made;
}

/* Recursion ends at PS_CONFIG_MAX_DEPTH: the parser refuses what is deeper. */
ps_code walk_value(walk *self, size_t path_bytes, dom::element value, ps_error *err)
{
    const ps_config_value made = describe(value);
    if (made.kind == PS_CONFIG_TEXT && std::memchr(made.text, 0, made.text_bytes) != nullptr) {
        return ps_fail(err, PS_BAD_INPUT, "%.200s: %.100s holds a NUL", self->name, self->path);
    }
    if (path_bytes > 0) {
        PS_TRY(self->take(self->context, self->path, &made, err));
    } else if (made.kind != PS_CONFIG_OBJECT) {
        return ps_fail(err, PS_BAD_INPUT, "%.200s: a configuration is a JSON object", self->name);
    }
    dom::array list;
    dom::object object;
    if (value.get(list) == simdjson::SUCCESS) {
        return walk_list(self, path_bytes, list, err);
    }
    if (value.get(object) == simdjson::SUCCESS) {
        return walk_object(self, path_bytes, object, err);
    }
    return PS_OK;
}

ps_code refuse(const char *name, simdjson::error_code error, ps_error *err)
{
    if (error == simdjson::MEMALLOC) {
        return ps_fail_nomem(err);
    }
    if (error == simdjson::DEPTH_ERROR) {
        return ps_fail(err, PS_BAD_INPUT, "%.200s: nested deeper than %u", name,
                       PS_CONFIG_MAX_DEPTH);
    }
    return ps_fail(err, PS_BAD_INPUT, "%.200s is not JSON: %.200s", name,
                   simdjson::error_message(error));
}

} // namespace

extern "C" ps_code ps_config_json_walk(const char *name, const char *root, const void *bytes,
                                       size_t count, ps_config_take take, void *context,
                                       ps_error *err)
{
    dom::parser parser;
    dom::element document;
    walk self = {name, take, context, {0}};
    size_t path_bytes = 0;
    if (root[0] != '\0') {
        const int written = std::snprintf(self.path, sizeof self.path, "%s", root);
        path_bytes = static_cast<size_t>(written);
        if (path_bytes >= sizeof self.path) {
            return ps_fail(err, PS_BAD_INPUT, "%.200s: a key is longer than %u bytes", name,
                           PS_CONFIG_PATH_BYTES - 1);
        }
    }
    simdjson::error_code error = parser.allocate(count, PS_CONFIG_MAX_DEPTH);
    if (error == simdjson::SUCCESS) {
        error = parser.parse(static_cast<const uint8_t *>(bytes), count, true).get(document);
    }
    return error == simdjson::SUCCESS ? walk_value(&self, path_bytes, document, err)
                                      : refuse(name, error, err);
}
