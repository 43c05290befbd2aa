/* SPDX-License-Identifier: MIT
 *
 * The allocator seam: where would this block live, and what would the device
 * have to give?
 *
 * A model is one const table of functions (allocators.def lists them) and one
 * state per simulated device. It answers requests in program order, has no
 * clock and never talks to a device: what the driver would do (grant, refuse,
 * choose an address) is decided from the configuration.
 *
 *     ps_alloc_config config;
 *     ps_alloc_config_init(&config);
 *     ps_allocator_create("native", &config, &model, err)
 *     ps_allocator_alloc(model, &request, &block, &shortage, err)
 *     ps_allocator_free(model, block.handle, false, err)
 *     ps_allocator_stats(model)->reserved_bytes.peak
 *
 * Not modelled: host (pinned) memory, cudaMallocAsync, memory outside the
 * framework's allocator.
 */
#ifndef PS_ALLOC_ALLOCATOR_H
#define PS_ALLOC_ALLOCATOR_H

#include "alloc/allocator_types.h"

#define PS_ALLOCATOR_ABI 1u

/** One model instance; the first member of every model's own state. */
typedef struct ps_allocator ps_allocator;

/** The seam. All functions are mandatory; the wrappers below document them. */
typedef struct ps_allocator_ops {
    uint32_t abi;        /* PS_ALLOCATOR_ABI */
    const char *name;    /* unique, kebab-case */
    const char *summary; /* one line, no full stop */
    ps_code (*create)(const ps_alloc_config *config, ps_allocator **out, ps_error *err);
    void (*destroy)(ps_allocator *self);
    ps_code (*alloc)(ps_allocator *self, const ps_alloc_request *request, ps_alloc_block *out,
                     ps_alloc_shortage *why, ps_error *err);
    ps_code (*free)(ps_allocator *self, ps_alloc_handle handle, bool is_deferred, ps_error *err);
    ps_code (*complete)(ps_allocator *self, ps_alloc_handle handle, ps_error *err);
    ps_alloc_handle (*find)(const ps_allocator *self, uint64_t addr);
    ps_code (*release_cache)(ps_allocator *self, ps_error *err);
    ps_code (*set_pool_state)(ps_allocator *self, ps_pool_id pool, ps_pool_state state,
                              ps_error *err);
    ps_alloc_outlook (*probe)(const ps_allocator *self, const ps_alloc_request *request);
    ps_code (*seed)(ps_allocator *self, const ps_alloc_seed *seed, ps_error *err);
    ps_code (*walk)(const ps_allocator *self, ps_alloc_walk_order order,
                    const ps_alloc_walker *walker, ps_error *err);
} ps_allocator_ops;

struct ps_allocator {
    const ps_allocator_ops *ops;
    ps_alloc_stats stats;
};

/** All models, ended by NULL. Static storage. */
const ps_allocator_ops *const *ps_allocators(void);

/** The model of a name, or NULL. */
const ps_allocator_ops *ps_allocators_find(const char *name);

/** Model that PyTorch would run with these settings: "expandable" or "native". Static storage. */
const char *ps_allocators_default_name(const ps_alloc_settings *settings);

/** PyTorch's default settings, no limit, unknown device, invented addresses, no listener. */
void ps_alloc_config_init(ps_alloc_config *config);

/**
 * Creates an empty model.
 *
 * @param config  copied. "native" ignores settings.is_expandable, "expandable" assumes it
 * @return PS_OK · PS_NOT_FOUND no such model · PS_USAGE contradictory configuration · PS_NOMEM
 * Lifetime: *out is owned until ps_allocator_destroy.
 * Threads:  one caller at a time per model.
 */
ps_code ps_allocator_create(const char *name, const ps_alloc_config *config, ps_allocator **out,
                            ps_error *err) PS_MUST_USE;

/** NULL is fine. */
void ps_allocator_destroy(ps_allocator *self);

/**
 * Places one block.
 *
 * @param out  written only on PS_OK
 * @param why  filled only on PS_DEVICE_FULL; may be NULL
 * @return PS_OK · PS_DEVICE_FULL: the model is as PyTorch's would be after the failed attempt
 *         (cache released), and usable · PS_USAGE zero or absurd size · PS_NOMEM, PS_LIMIT
 *         nothing handed out, though the cache may have been released
 * Cost: O(log blocks).
 */
ps_code ps_allocator_alloc(ps_allocator *self, const ps_alloc_request *request, ps_alloc_block *out,
                           ps_alloc_shortage *why, ps_error *err) PS_MUST_USE;

/**
 * The program frees a block.
 *
 * @param is_deferred  another stream still uses it (record_stream): the block
 *                     stays out of reach until ps_allocator_complete, or until
 *                     the model has to wait for everything itself
 * @return PS_OK · PS_USAGE not a handle of an allocated block
 */
ps_code ps_allocator_free(ps_allocator *self, ps_alloc_handle handle, bool is_deferred,
                          ps_error *err) PS_MUST_USE;

/** Ends a deferred free. PS_USAGE when the handle has none. */
ps_code ps_allocator_complete(ps_allocator *self, ps_alloc_handle handle,
                              ps_error *err) PS_MUST_USE;

/** Handle of the allocated or pending block that starts at an address; zero when there is none. */
ps_alloc_handle ps_allocator_find(const ps_allocator *self, uint64_t addr);

/**
 * torch.cuda.empty_cache(): ends all deferred frees, then gives unused
 * segments back. PS_NOMEM leaves a part of the cache unreleased.
 */
ps_code ps_allocator_release_cache(ps_allocator *self, ps_error *err) PS_MUST_USE;

/**
 * Declares that the last user of a private pool is gone (or that it is in use
 * again). Dead pools are released in the order of their latest declaration;
 * PyTorch's own order among them is that of a hash table.
 *
 * @return PS_OK, also for a pool without memory · PS_USAGE the default pool
 */
ps_code ps_allocator_set_pool_state(ps_allocator *self, ps_pool_id pool, ps_pool_state state,
                                    ps_error *err) PS_MUST_USE;

/** Says how a request would be served, without serving it. */
ps_alloc_outlook ps_allocator_probe(const ps_allocator *self, const ps_alloc_request *request);

/**
 * Puts a segment into the model before the first request (a recovered cache).
 * Seeds come in ascending address order. Allocated blocks are found by
 * ps_allocator_find. Counts and peaks include what was seeded.
 *
 * @return PS_OK · PS_BAD_INPUT unaligned, or blocks that do not tile the segment ·
 *         PS_USAGE after the first request · PS_NOMEM, PS_LIMIT: the model is good for
 *         nothing but ps_allocator_destroy
 */
ps_code ps_allocator_seed(ps_allocator *self, const ps_alloc_seed *seed, ps_error *err) PS_MUST_USE;

/** Shows the present state to a visitor. PS_NOMEM when the order cannot be established. */
ps_code ps_allocator_walk(const ps_allocator *self, ps_alloc_walk_order order,
                          const ps_alloc_walker *walker, ps_error *err) PS_MUST_USE;

/** Present statistics; borrowed, live. */
const ps_alloc_stats *ps_allocator_stats(const ps_allocator *self);

/** Sets every peak to the current value, as torch.cuda.reset_peak_memory_stats does. */
void ps_allocator_reset_peaks(ps_allocator *self);

#endif
