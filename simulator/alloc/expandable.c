/* SPDX-License-Identifier: MIT
 *
 * Model "expandable": PyTorch's caching allocator with expandable_segments:True.
 */
#include "alloc/caching.h"

static ps_code create(const ps_alloc_config *config, ps_allocator **out, ps_error *err);

extern const ps_allocator_ops ps__allocator_expandable;

const ps_allocator_ops ps__allocator_expandable = {
    .abi = PS_ALLOCATOR_ABI,
    .name = "expandable",
    .summary = "PyTorch's caching allocator on address ranges mapped page by page",
    .create = create,
    .destroy = ps__caching_destroy,
    .alloc = ps__caching_alloc,
    .free = ps__caching_free,
    .complete = ps__caching_complete,
    .find = ps__caching_find,
    .release_cache = ps__caching_release_cache,
    .set_pool_state = ps__caching_set_pool_state,
    .probe = ps__caching_probe,
    .seed = ps__caching_seed,
    .walk = ps__caching_walk,
};

static ps_code create(const ps_alloc_config *config, ps_allocator **out, ps_error *err)
{
    return ps__caching_create(&ps__allocator_expandable, config, true, out, err);
}
