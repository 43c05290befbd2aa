/* SPDX-License-Identifier: MIT
 *
 * Values of a snapshot's dicts with the type they must have. A failure names
 * the key, what was found and what was expected.
 */
#include <inttypes.h>

#include "base/memory.h"
#include "import/snapshot_parts.h"

#define POOLS_MAX ((size_t)1 << 20)

ps_code ps_snapshot_fail_key(const ps_snapshot *self, const ps_pickle_value *pair,
                             const char *expected, ps_error *err)
{
    static const char *const type_text[] = {
        [PS_PICKLE_NONE] = "None",
        [PS_PICKLE_BOOL] = "a truth value",
        [PS_PICKLE_INT] = "an integer",
        [PS_PICKLE_UINT] = "a large integer",
        [PS_PICKLE_FLOAT] = "a float",
        [PS_PICKLE_TEXT] = "a text",
        [PS_PICKLE_OTHER] = "something else",
        [PS_PICKLE_LIST] = "a list",
        [PS_PICKLE_DICT] = "a dict",
        [PS_PICKLE_TUPLE] = "a tuple",
    };
    const char *key = ps_strings_text(self->texts, ps_snapshot_key(pair));
    if (pair[1].type == PS_PICKLE_INT) {
        return ps_fail(err, PS_BAD_INPUT, "\"%s\" is %" PRId64 ", expected %s", key,
                       pair[1].as.integer, expected);
    }
    return ps_fail(err, PS_BAD_INPUT, "\"%s\" is %s, expected %s", key, type_text[pair[1].type],
                   expected);
}

ps_code ps_snapshot_get_u64(const ps_snapshot *self, const ps_pickle_value *pair, uint64_t *out,
                            ps_error *err)
{
    return ps_pickle_get_u64(&pair[1], out)
               ? PS_OK
               : ps_snapshot_fail_key(self, pair, "an integer >= 0", err);
}

ps_code ps_snapshot_get_addr(const ps_snapshot *self, const ps_pickle_value *pair, uint64_t *out,
                             ps_error *err)
{
    if (pair[1].type == PS_PICKLE_NONE) {
        *out = 0;
        return PS_OK;
    }
    return ps_snapshot_get_u64(self, pair, out, err);
}

ps_code ps_snapshot_get_text(const ps_snapshot *self, const ps_pickle_value *pair, ps_str *out,
                             ps_error *err)
{
    if (pair[1].type != PS_PICKLE_TEXT) {
        return ps_snapshot_fail_key(self, pair, "a text", err);
    }
    *out = pair[1].as.text;
    return PS_OK;
}

ps_code ps_snapshot_get_bool(const ps_snapshot *self, const ps_pickle_value *pair, bool *out,
                             ps_error *err)
{
    if (pair[1].type != PS_PICKLE_BOOL) {
        return ps_snapshot_fail_key(self, pair, "True or False", err);
    }
    *out = pair[1].as.boolean;
    return PS_OK;
}

ps_code ps_snapshot_get_pool(const ps_snapshot *self, const ps_pickle_value *pair, uint32_t *out,
                             ps_error *err)
{
    if (pair[1].type != PS_PICKLE_TUPLE || pair[1].tag != PS_TAG_POOL) {
        return ps_snapshot_fail_key(self, pair, "a tuple of two integers", err);
    }
    *out = pair[1].as.box.node;
    return PS_OK;
}

ps_code ps_snapshot_get_stack(ps_snapshot *self, const ps_pickle_value *pair, uint32_t *out,
                              ps_error *err)
{
    const ps_pickle_value *list = &pair[1];
    *out = 0;
    if (list->type == PS_PICKLE_LIST && list->tag == PS_TAG_FRAME) {
        *out = list->as.box.node;
        return PS_OK;
    }
    if (list->type == PS_PICKLE_NONE ||
        (list->type == PS_PICKLE_LIST && list->tag == PS_TAG_NOTHING)) {
        return PS_OK;
    }
    return ps_trace_builder_loss(self->out, "lost-stacks", 1, err);
}

void ps_snapshot_pools_fini(ps_snapshot_pools *pools)
{
    ps_idmap_fini(&pools->number);
    ps_idmap_fini(&pools->pair);
    ps_free(pools->pool);
}

static ps_code number_of(ps_snapshot_pools *pools, uint64_t half, uint32_t *out, ps_error *err)
{
    *out = ps_idmap_get(&pools->number, half);
    if (*out == PS_IDMAP_NONE) {
        *out = pools->number_count;
        PS_TRY(ps_idmap_put(&pools->number, half, *out, err));
        pools->number_count++;
    }
    return PS_OK;
}

ps_code ps_snapshot_pool_intern(ps_snapshot_pools *pools, uint64_t owner, uint64_t serial,
                                uint32_t *out, ps_error *err)
{
    uint32_t first = 0, second = 0;
    PS_TRY(number_of(pools, owner, &first, err));
    PS_TRY(number_of(pools, serial, &second, err));
    const uint64_t key = (uint64_t)first << 32 | second;
    *out = ps_idmap_get(&pools->pair, key);
    if (*out != PS_IDMAP_NONE) {
        return PS_OK;
    }
    if (pools->count >= POOLS_MAX) {
        return ps_fail(err, PS_LIMIT, "more than %zu different pairs of integers", POOLS_MAX);
    }
    PS_TRY(ps_grow((void **)&pools->pool, &pools->capacity, pools->count + 1, POOLS_MAX,
                   sizeof *pools->pool, err));
    PS_TRY(ps_idmap_put(&pools->pair, key, (uint32_t)pools->count, err));
    pools->pool[pools->count] = (struct ps_snapshot_pool){owner, serial};
    *out = (uint32_t)pools->count++;
    return PS_OK;
}
