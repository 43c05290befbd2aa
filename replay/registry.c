/* SPDX-License-Identifier: MIT
 *
 * The list of backends and what each table must satisfy.
 */
#include <string.h>

#include "replay/backend.h"

#define X(symbol) extern const ps_backend_ops ps_backend_##symbol;
#include "replay/backends.def"
#undef X

static const ps_backend_ops *const backends[] = {
#define X(symbol) &ps_backend_##symbol,
#include "replay/backends.def"
#undef X
};

size_t ps_backend_count(void)
{
    return sizeof backends / sizeof backends[0];
}

const ps_backend_ops *ps_backend_at(size_t index)
{
    return backends[index];
}

const ps_backend_ops *ps_backend_find(const char *name)
{
    for (size_t i = 0; i < ps_backend_count(); i++) {
        if (strcmp(backends[i]->name, name) == 0) {
            return backends[i];
        }
    }
    return NULL;
}

ps_code ps_backend_check(const ps_backend_ops *ops, ps_error *err)
{
    const bool is_timed = (ops->capabilities & PS_BACKEND_TIMED) != 0;
    const bool is_async = (ops->capabilities & PS_BACKEND_ASYNC) != 0;
    const bool is_ordered = (ops->capabilities & PS_BACKEND_ORDERED) != 0;
    if (ops->abi != PS_BACKEND_ABI) {
        return ps_fail(err, PS_INTERNAL, "backend has abi %u, this harness %u", ops->abi,
                       PS_BACKEND_ABI);
    }
    if (ops->name == NULL || ops->name[0] == '\0' || ops->summary == NULL ||
        strlen(ops->summary) > 60) {
        return ps_fail(err, PS_INTERNAL, "backend without a name or a summary of one line");
    }
    if (ops->open == NULL || ops->close == NULL || ops->allocate == NULL || ops->release == NULL ||
        ops->submit == NULL || (is_timed && ops->now == NULL) || (is_async && ops->wait == NULL)) {
        return ps_fail(err, PS_INTERNAL, "backend %s lacks a mandatory hook", ops->name);
    }
    if ((is_async && !is_timed) || (is_ordered && !is_async)) {
        return ps_fail(err, PS_INTERNAL, "backend %s: capabilities that need another", ops->name);
    }
    return PS_OK;
}
