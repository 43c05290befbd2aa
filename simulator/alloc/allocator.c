/* SPDX-License-Identifier: MIT
 *
 * The list of allocator models, and the checks and dispatch common to all.
 */
#include "alloc/allocator.h"

#include <string.h>

#define X(ops) extern const ps_allocator_ops ops;
#include "alloc/allocators.def"
#undef X

const ps_allocator_ops *const *ps_allocators(void)
{
    static const ps_allocator_ops *const all[] = {
#define X(ops) &ops,
#include "alloc/allocators.def"
#undef X
        NULL};
    return all;
}

const ps_allocator_ops *ps_allocators_find(const char *name)
{
    for (const ps_allocator_ops *const *ops = ps_allocators(); *ops != NULL; ops++) {
        if (strcmp((*ops)->name, name) == 0) {
            return *ops;
        }
    }
    return NULL;
}

const char *ps_allocators_default_name(const ps_alloc_settings *settings)
{
    return settings->is_expandable ? "expandable" : "native";
}

void ps_alloc_config_init(ps_alloc_config *config)
{
    memset(config, 0, sizeof *config);
    ps_alloc_settings_init(&config->settings);
    config->limit_bytes = PS_ALLOC_NO_LIMIT;
}

ps_code ps_allocator_create(const char *name, const ps_alloc_config *config, ps_allocator **out,
                            ps_error *err)
{
    const ps_allocator_ops *ops = ps_allocators_find(name);
    if (ops == NULL) {
        return ps_fail(err, PS_NOT_FOUND, "no allocator model is called \"%s\"", name);
    }
    return ops->create(config, out, err);
}

void ps_allocator_destroy(ps_allocator *self)
{
    if (self != NULL) {
        self->ops->destroy(self);
    }
}

ps_code ps_allocator_alloc(ps_allocator *self, const ps_alloc_request *request, ps_alloc_block *out,
                           ps_alloc_shortage *why, ps_error *err)
{
    return self->ops->alloc(self, request, out, why, err);
}

ps_code ps_allocator_free(ps_allocator *self, ps_alloc_handle handle, bool is_deferred,
                          ps_error *err)
{
    return self->ops->free(self, handle, is_deferred, err);
}

ps_code ps_allocator_complete(ps_allocator *self, ps_alloc_handle handle, ps_error *err)
{
    return self->ops->complete(self, handle, err);
}

ps_alloc_handle ps_allocator_find(const ps_allocator *self, uint64_t addr)
{
    return self->ops->find(self, addr);
}

ps_code ps_allocator_release_cache(ps_allocator *self, ps_error *err)
{
    return self->ops->release_cache(self, err);
}

ps_code ps_allocator_set_pool_state(ps_allocator *self, ps_pool_id pool, ps_pool_state state,
                                    ps_error *err)
{
    return self->ops->set_pool_state(self, pool, state, err);
}

ps_alloc_outlook ps_allocator_probe(const ps_allocator *self, const ps_alloc_request *request)
{
    return self->ops->probe(self, request);
}

ps_code ps_allocator_seed(ps_allocator *self, const ps_alloc_seed *seed, ps_error *err)
{
    return self->ops->seed(self, seed, err);
}

ps_code ps_allocator_walk(const ps_allocator *self, ps_alloc_walk_order order,
                          const ps_alloc_walker *walker, ps_error *err)
{
    return self->ops->walk(self, order, walker, err);
}

const ps_alloc_stats *ps_allocator_stats(const ps_allocator *self)
{
    return &self->stats;
}

void ps_allocator_reset_peaks(ps_allocator *self)
{
    ps_alloc_level *const levels[] = {
        &self->stats.requested_bytes,      &self->stats.allocated_bytes,
        &self->stats.active_bytes,         &self->stats.reserved_bytes,
        &self->stats.inactive_split_bytes, &self->stats.allocated_count,
        &self->stats.active_count,         &self->stats.segment_count,
        &self->stats.inactive_split_count};
    for (size_t i = 0; i < sizeof levels / sizeof levels[0]; i++) {
        levels[i]->peak = levels[i]->current;
    }
}
