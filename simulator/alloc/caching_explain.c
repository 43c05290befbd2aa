/* SPDX-License-Identifier: MIT
 *
 * Why a request failed, and what would have fitted instead.
 */
#include "alloc/caching.h"

#include <string.h>

#define NONE PS__BLOCK_NONE

/* [bytes] largest free block of one pool half for a stream. */
static uint64_t largest_free(const ps__caching *self, uint32_t group, bool is_large,
                             uint64_t stream)
{
    const ps__free_set *set = &ps__caching_pool(self, group, is_large)->free;
    uint32_t id = ps__free_set_lower_bound(set, &self->blocks, stream, UINT64_MAX);
    id = id == NONE ? ps__free_set_last(set, &self->blocks) : ps__free_set_prev(&self->blocks, id);
    return id != NONE && self->blocks.at[id].stream == stream ? self->blocks.at[id].bytes : 0;
}

/* [bytes] largest rounded request of one pool half that new memory could serve. */
static uint64_t largest_growth(const ps__caching *self, const ps__attempt *attempt)
{
    const ps_alloc_settings *settings = &self->config.settings;
    const uint64_t limit = ps__caching_limit(self);
    const uint64_t reserved = self->base.stats.reserved_bytes.current;
    const uint64_t room = limit > reserved ? limit - reserved : 0;
    if (ps__caching_maps_pages(self, attempt->group)) {
        const uint64_t page = ps__alloc_page_bytes(settings, attempt->is_large);
        return ps__caching_expand_reach(self, attempt, room - room % page);
    }
    if (!attempt->is_large) {
        return room >= PS_ALLOC_SMALL_SEGMENT_BYTES ? PS_ALLOC_SMALL_BYTES : 0;
    }
    const uint64_t measured = room - room % PS_ALLOC_SEGMENT_STEP_BYTES;
    return measured >= PS_ALLOC_MADE_TO_MEASURE_BYTES || measured > settings->large_segment_bytes
               ? measured
               : 0;
}

/* The larger of two sizes whose request would be served now, tried in falling order; 0 neither. */
static uint64_t first_served(const ps__caching *self, const ps__attempt *like, bool is_large,
                             uint64_t a, uint64_t b)
{
    const uint64_t tried[2] = {a > b ? a : b, a > b ? b : a};
    for (size_t i = 0; i < 2; i++) {
        uint64_t bytes = tried[i];
        if (!is_large && bytes > PS_ALLOC_SMALL_BYTES) {
            bytes = PS_ALLOC_SMALL_BYTES;
        }
        if (bytes > PS_ALLOC_MAX_REQUEST_BYTES) {
            bytes = PS_ALLOC_MAX_REQUEST_BYTES;
        }
        bytes = ps__alloc_round_down(&self->config.settings, bytes);
        if (bytes == 0 || ps__alloc_is_large(bytes) != is_large) {
            continue;
        }
        const ps_alloc_request request = {
            .bytes = bytes, .stream = like->stream, .is_capturing = like->is_capturing};
        ps__attempt attempt;
        ps__caching_plan(self, &request, like->group, &attempt);
        if (ps__caching_outlook(self, &attempt) != PS_ALLOC_REFUSED) {
            return bytes;
        }
    }
    return 0;
}

/* Large requests are asked first: any of them beats every small one. */
static uint64_t would_fit(const ps__caching *self, const ps__attempt *attempt)
{
    for (int half = 0; half < 2; half++) {
        ps__attempt like = *attempt;
        like.is_large = half == 0;
        like.rounded_bytes = PS_ALLOC_GRAIN_BYTES;
        const uint64_t served = first_served(
            self, &like, like.is_large, largest_free(self, like.group, like.is_large, like.stream),
            largest_growth(self, &like));
        if (served != 0) {
            return served;
        }
    }
    return 0;
}

void ps__caching_explain(const ps__caching *self, const ps__attempt *attempt,
                         ps_alloc_shortage *why)
{
    const ps_alloc_stats *stats = &self->base.stats;
    const uint64_t active = stats->active_bytes.current;
    const uint64_t limit = ps__caching_limit(self);
    memset(why, 0, sizeof *why);
    why->requested_bytes = attempt->bytes;
    why->rounded_bytes = attempt->rounded_bytes;
    why->segment_bytes = attempt->segment_bytes;
    if (ps__caching_maps_pages(self, attempt->group)) {
        const uint64_t cost = ps__caching_expand_cost(self, attempt);
        why->segment_bytes = cost == UINT64_MAX ? attempt->rounded_bytes : cost;
    }
    why->limit_bytes = limit;
    why->reserved_bytes = stats->reserved_bytes.current;
    why->allocated_bytes = stats->allocated_bytes.current;
    why->cached_bytes = stats->reserved_bytes.current - active;
    why->largest_free_bytes =
        largest_free(self, attempt->group, attempt->is_large, attempt->stream);
    const uint64_t spare = limit > active ? limit - active : 0;
    if (spare < attempt->rounded_bytes) {
        why->missing_bytes = attempt->rounded_bytes - spare;
    } else {
        why->unusable_bytes = spare;
    }
    why->would_fit_bytes = would_fit(self, attempt);
}
