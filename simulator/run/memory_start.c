/* SPDX-License-Identifier: MIT
 *
 * The starting state of one device's memory: an empty model, the recovered
 * cache, or the cache that a first run of the same requests leaves behind.
 */
#include "run/memory_walk.h"

#include <string.h>

#include "base/memory.h"

/* The driver's recorded address for what the model asks next: the first PLACE not yet used. */
static uint64_t recorded_segment(ps_memory_walk *walk)
{
    const ps_plan_memop_table *memop = &walk->plan->memop;
    for (; walk->next_place < walk->memop; walk->next_place++) {
        if (memop->device[walk->next_place] == walk->device &&
            memop->op[walk->next_place] == PS_MEMOP_PLACE) {
            return memop->addr[walk->next_place++];
        }
    }
    return 0;
}

/* A range of an expandable segment begins where its first pages are mapped, now or later. */
static uint64_t recorded_range(const ps_memory_walk *walk, uint64_t stream)
{
    const ps_plan_memop_table *memop = &walk->plan->memop;
    for (size_t row = walk->call_begin; row < memop->head.count; row++) {
        if (memop->device[row] == walk->device && memop->op[row] == PS_MEMOP_PLACE_PAGES &&
            memop->stream[row] == stream) {
            return memop->addr[row];
        }
    }
    return 0;
}

static uint64_t choose_address(void *ctx, ps_alloc_address_kind kind, uint64_t bytes,
                               uint64_t stream)
{
    ps_memory_walk *walk = ctx;
    (void)bytes;
    return kind == PS_ALLOC_ADDRESS_SEGMENT ? recorded_segment(walk) : recorded_range(walk, stream);
}

static bool has_places(const ps_memory_walk *walk)
{
    const ps_plan *plan = walk->plan;
    if (plan->segment.head.count > 0) {
        return true;
    }
    for (size_t row = 0; row < plan->memop.head.count; row++) {
        const ps_memop op = (ps_memop)plan->memop.op[row];
        if (plan->memop.device[row] == walk->device &&
            (op == PS_MEMOP_PLACE || op == PS_MEMOP_PLACE_PAGES)) {
            return true;
        }
    }
    return false;
}

static ps_code create_model(ps_memory_walk *walk, bool is_limited, ps_error *err)
{
    const ps_plan *plan = walk->plan;
    const ps_plan_device_table *device = &plan->device;
    ps_alloc_config config;
    ps_alloc_config_init(&config);
    const char *conf = ps_strings_text(plan->strings, device->allocator_conf[walk->device]);
    const char *name = ps_strings_text(plan->strings, device->allocator[walk->device]);
    PS_TRY(ps_alloc_settings_parse(&config.settings, conf, err));
    if (is_limited && device->limit_bytes[walk->device] != 0) {
        config.limit_bytes = device->limit_bytes[walk->device];
    }
    config.device_memory_bytes = device->capacity_bytes[walk->device];
    config.private_pools_expand = device->private_pools_expand[walk->device] != 0;
    if (walk->compares_addresses) {
        config.choose_address = choose_address;
        config.address_ctx = walk;
    }
    ps__memory_retry_listen(walk, &config);
    if (name[0] == '\0') {
        name = ps_allocators_default_name(&config.settings);
    }
    return ps_allocator_create(name, &config, &walk->model, err);
}

/* One segment of the plan with the blocks from *at on that tile it. */
static ps_code seed_segment(ps_memory_walk *walk, size_t row, size_t *at, ps_error *err)
{
    const ps_plan_segment_table *segment = &walk->plan->segment;
    const ps_plan_block_table *block = &walk->plan->block;
    const uint64_t end = segment->addr[row] + segment->bytes[row];
    size_t count = 0;
    while (*at + count < block->head.count && block->device[*at + count] == segment->device[row] &&
           block->addr[*at + count] >= segment->addr[row] && block->addr[*at + count] < end) {
        count++;
    }
    ps_alloc_block_info *info = ps_calloc(count, sizeof *info);
    if (info == NULL) {
        return ps_fail_nomem(err);
    }
    for (size_t i = 0; i < count; i++) {
        info[i] = (ps_alloc_block_info){
            .addr = block->addr[*at + i],
            .bytes = block->bytes[*at + i],
            .requested_bytes = block->requested_bytes[*at + i],
            .state = (ps_alloc_block_state)block->state[*at + i],
        };
    }
    const ps_alloc_seed seed = {
        .segment = {.addr = segment->addr[row],
                    .bytes = segment->bytes[row],
                    .stream = segment->stream[row],
                    .pool = {segment->pool_owner[row], segment->pool_serial[row]},
                    .is_large = segment->is_large[row] != 0,
                    .is_expandable = segment->is_expandable[row] != 0},
        .block = info,
        .block_count = count,
        .range_addr = segment->range_addr[row],
    };
    const ps_code code = ps_allocator_seed(walk->model, &seed, err);
    ps_free(info);
    *at += count;
    return code;
}

static ps_code seed_cache(ps_memory_walk *walk, ps_error *err)
{
    const ps_plan *plan = walk->plan;
    size_t at = 0;
    for (size_t row = 0; row < plan->segment.head.count; row++) {
        if (plan->segment.device[row] == walk->device) {
            for (; at < plan->block.head.count && plan->block.device[at] != walk->device;) {
                at++;
            }
            PS_TRY(seed_segment(walk, row, &at, err));
        }
    }
    for (size_t i = 0; i < plan->block.head.count; i++) {
        if (plan->block.device[i] == walk->device && plan->block.buffer[i] != 0) {
            const uint32_t buffer = plan->block.buffer[i] - 1;
            walk->handle[buffer] = ps_allocator_find(walk->model, plan->block.addr[i]);
            walk->block_bytes[buffer] = plan->block.bytes[i];
            walk->wait[buffer] =
                plan->block.state[i] == PS_BLOCK_PENDING_FREE ? PS_WAIT_FROM_ORIGIN : PS_WAIT_NONE;
            walk->live_bytes += plan->buffer.bytes[buffer];
        }
    }
    return PS_OK;
}

/* Buffers live at the origin whose place nobody recorded, in row order; the unnamed ones as one. */
static ps_code place_live(ps_memory_walk *walk, ps_error *err)
{
    const ps_plan *plan = walk->plan;
    const uint64_t base = plan->device.base_live_bytes[walk->device];
    if (base > 0) {
        const ps_alloc_request request = {.bytes = base};
        ps_alloc_block block;
        ps_alloc_shortage why;
        const ps_code code = ps_allocator_alloc(walk->model, &request, &block, &why, err);
        if (code == PS_DEVICE_FULL) {
            ps__memory_request_refuse(walk, SIZE_MAX, 0, &why);
        }
        PS_TRY(code);
        walk->live_bytes += base;
        walk->base_block_bytes = walk->own_sizes ? base : block.block_bytes;
    }
    for (uint32_t b = 0; b < plan->buffer.head.count; b++) {
        if (plan->buffer.device[b] == walk->device && plan->buffer.role[b] == PS_ROLE_BEFORE &&
            !ps__memory_is_placed(walk, b)) {
            PS_TRY(ps__memory_request_alloc(walk, b, SIZE_MAX, err));
        }
    }
    return PS_OK;
}

/* A free that still waits at the end of the first run is over when the second begins. */
static ps_code end_buffer(ps_memory_walk *walk, uint32_t buffer, ps_error *err)
{
    if (walk->wait[buffer] == PS_WAIT_REQUESTED) {
        /* nothing is left to end where the model had to wait for it itself */
        (void)!ps_allocator_complete(walk->model, walk->handle[buffer], NULL);
    } else {
        PS_TRY(ps_allocator_free(walk->model, walk->handle[buffer], false, err));
        walk->live_bytes -= walk->plan->buffer.bytes[buffer];
    }
    walk->wait[buffer] = PS_WAIT_NONE;
    walk->handle[buffer] = (ps_alloc_handle){0};
    return PS_OK;
}

/* Frees what the first run left over and takes back what it freed, so that the second run starts
 * with the same live buffers over the cache of the first. */
static ps_code turn_around(ps_memory_walk *walk, ps_error *err)
{
    const ps_plan *plan = walk->plan;
    PS_TRY(ps__memory_held_release(walk, PS_TIME_NEVER, err));
    for (uint32_t b = 0; b < plan->buffer.head.count; b++) {
        if (plan->buffer.device[b] == walk->device && plan->buffer.role[b] != PS_ROLE_BEFORE &&
            ps__memory_is_placed(walk, b)) {
            PS_TRY(end_buffer(walk, b, err));
        }
    }
    for (uint32_t b = 0; b < plan->buffer.head.count; b++) {
        if (plan->buffer.device[b] != walk->device || plan->buffer.role[b] != PS_ROLE_BEFORE) {
            continue;
        }
        if (ps__memory_is_placed(walk, b) && walk->wait[b] == PS_WAIT_REQUESTED) {
            PS_TRY(end_buffer(walk, b, err));
        }
        if (!ps__memory_is_placed(walk, b)) {
            PS_TRY(ps__memory_request_alloc(walk, b, SIZE_MAX, err));
        }
    }
    walk->earlier_retries = ps_allocator_stats(walk->model)->retry_count;
    ps_allocator_reset_peaks(walk->model);
    return PS_OK;
}

/* The first run counts only where it does not even get through: then the result tells of it. */
static ps_code warm_up(ps_memory_walk *walk, ps_error *err)
{
    const ps_result_device before = *walk->out;
    PS_TRY(ps__memory_walk_run(walk, err));
    PS_TRY(turn_around(walk, err));
    *walk->out = before;
    ps__memory_retry_forget(walk);
    ps__memory_level_forget(walk);
    return PS_OK;
}

ps_code ps__memory_start(ps_memory_walk *walk, bool is_limited, ps_error *err)
{
    const char *cache = ps_plan_meta(walk->plan, PS_PLAN_META_CACHE);
    walk->compares_addresses = !walk->own_sizes && has_places(walk);
    PS_TRY(create_model(walk, is_limited, err));
    PS_TRY(seed_cache(walk, err));
    PS_TRY(place_live(walk, err));
    return cache != NULL && strcmp(cache, "steady") == 0 ? warm_up(walk, err) : PS_OK;
}
