/* SPDX-License-Identifier: MIT
 *
 * Packing and unpacking of memo entries.
 */
#include "import/pickle_memo.h"

#include <inttypes.h>

#include "base/memory.h"

enum { ENTRY_TEXT = 1, ENTRY_WHOLE, ENTRY_LIST, ENTRY_DICT, ENTRY_TUPLE };

#define TYPE_SHIFT 29
#define FETCHED_BIT (1u << 28)
#define TAG_SHIFT 24
#define NODE_MASK (PS_PICKLE_NODE_LIMIT - 1u)
#define INDEX_MASK ((1u << TYPE_SHIFT) - 1u)
/* An entry may be this far beyond those in use: writers number them in order, leaving out some. */
#define GAP_MAX 65536u
#define WHOLE_MAX ((size_t)1 << 22)

_Static_assert(PS_STRINGS_MAX_COUNT <= INDEX_MASK, "text ids fit an entry");

void ps_pickle_memo_fini(ps_pickle_memo *self)
{
    ps_free(self->entry);
    ps_free(self->whole);
    *self = (ps_pickle_memo){0};
}

static bool is_container(const ps_pickle_value *value)
{
    return value->type >= PS_PICKLE_LIST;
}

static uint32_t pack_container(const ps_pickle_value *value)
{
    const uint32_t type = ENTRY_LIST + (uint32_t)(value->type - PS_PICKLE_LIST);
    return type << TYPE_SHIFT | (uint32_t)value->tag << TAG_SHIFT |
           (value->as.box.node & NODE_MASK);
}

static ps_code pack(ps_pickle_memo *self, const ps_pickle_value *value, uint32_t *out,
                    ps_error *err)
{
    if (is_container(value)) {
        *out = pack_container(value);
        return PS_OK;
    }
    if (value->type == PS_PICKLE_TEXT) {
        *out = (uint32_t)ENTRY_TEXT << TYPE_SHIFT | value->as.text;
        return PS_OK;
    }
    if (self->whole_count >= WHOLE_MAX) {
        return ps_fail(err, PS_LIMIT, "more than %zu memoised numbers", WHOLE_MAX);
    }
    PS_TRY(ps_grow((void **)&self->whole, &self->whole_capacity, self->whole_count + 1, WHOLE_MAX,
                   sizeof *self->whole, err));
    self->whole[self->whole_count] = *value;
    *out = (uint32_t)ENTRY_WHOLE << TYPE_SHIFT | (uint32_t)self->whole_count;
    self->whole_count++;
    return PS_OK;
}

static ps_code make_room(ps_pickle_memo *self, uint64_t index, ps_error *err)
{
    if (index >= PS_PICKLE_MEMO_MAX) {
        return ps_fail(err, PS_LIMIT, "memo entry %" PRIu64 ": more than %zu memoised objects",
                       index, PS_PICKLE_MEMO_MAX);
    }
    if (index > (uint64_t)self->set_count * 4 + GAP_MAX) {
        return ps_fail(err, PS_LIMIT, "memo entry %" PRIu64 " is set when only %zu are in use",
                       index, self->set_count);
    }
    const size_t need = (size_t)index + 1;
    PS_TRY(ps_grow((void **)&self->entry, &self->capacity, need, PS_PICKLE_MEMO_MAX,
                   sizeof *self->entry, err));
    for (; self->count < need; self->count++) {
        self->entry[self->count] = 0;
    }
    return PS_OK;
}

ps_code ps_pickle_memo_put(ps_pickle_memo *self, uint64_t index, ps_pickle_value *value,
                           ps_error *err)
{
    uint32_t entry = 0;
    if (is_container(value) && value->memo != 0) {
        return ps_fail(err, PS_UNSUPPORTED, "a container is memoised twice");
    }
    PS_TRY(make_room(self, index, err));
    if (self->entry[index] != 0) {
        return ps_fail(err, PS_UNSUPPORTED, "memo entry %" PRIu64 " is set twice", index);
    }
    PS_TRY(pack(self, value, &entry, err));
    self->entry[index] = entry;
    self->set_count++;
    if (is_container(value)) {
        value->memo = (uint32_t)index + 1;
    }
    return PS_OK;
}

ps_code ps_pickle_memo_get(ps_pickle_memo *self, uint64_t index, ps_pickle_value *value,
                           ps_error *err)
{
    if (index >= self->count || self->entry[index] == 0) {
        return ps_fail(err, PS_BAD_INPUT, "memo entry %" PRIu64 " is fetched but was never set",
                       index);
    }
    const uint32_t entry = self->entry[index];
    const uint32_t type = entry >> TYPE_SHIFT;
    if (type == ENTRY_WHOLE) {
        *value = self->whole[entry & INDEX_MASK];
        return PS_OK;
    }
    *value = (ps_pickle_value){.type = PS_PICKLE_TEXT};
    if (type == ENTRY_TEXT) {
        value->as.text = entry & INDEX_MASK;
        return PS_OK;
    }
    self->entry[index] = entry | FETCHED_BIT;
    value->type = (uint8_t)(PS_PICKLE_LIST + (type - ENTRY_LIST));
    value->tag = (uint8_t)(entry >> TAG_SHIFT & (PS_PICKLE_TAG_LIMIT - 1u));
    value->is_shared = true;
    value->as.box.node = entry & NODE_MASK;
    value->as.box.count = 0;
    return PS_OK;
}

bool ps_pickle_memo_is_fetched(const ps_pickle_memo *self, const ps_pickle_value *container)
{
    return container->memo != 0 && (self->entry[container->memo - 1] & FETCHED_BIT) != 0;
}

void ps_pickle_memo_update(ps_pickle_memo *self, const ps_pickle_value *container)
{
    if (container->memo != 0) {
        self->entry[container->memo - 1] = pack_container(container);
    }
}
