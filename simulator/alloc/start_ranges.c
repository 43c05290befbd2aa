/* SPDX-License-Identifier: MIT
 *
 * Expandable address ranges at the start. Those of one stream and pool that have
 * pages mapped are taken for one range; pages mapped later below all others,
 * while it lives, show that it begins lower.
 */
#include "alloc/start_recovery.h"
#include "base/memory.h"

/* The range of a segment's stream and pool, or NULL. */
static ps__start_range *range_of(const ps__recovery *self, const ps_alloc_segment_info *info)
{
    for (size_t i = 0; i < self->range_count; i++) {
        ps__start_range *range = &self->range[i];
        if (range->stream == info->stream && range->is_large == info->is_large &&
            ps_pool_id_is_equal(range->pool, info->pool)) {
            return range;
        }
    }
    return NULL;
}

static ps_code add_range(ps__recovery *self, const ps_alloc_segment_info *info,
                         ps__start_range **out, ps_error *err)
{
    void *ranges = self->range;
    PS_TRY(ps_grow(&ranges, &self->range_capacity, self->range_count + 1, PS__RECOVERY_MAX_SPANS,
                   sizeof *self->range, err));
    self->range = ranges;
    *out = &self->range[self->range_count++];
    **out = (ps__start_range){
        .stream = info->stream, .pool = info->pool, .is_large = info->is_large, .low = info->addr};
    return PS_OK;
}

ps_code ps__ranges_list(ps__recovery *self, ps_error *err)
{
    for (size_t i = 0; i < self->out.segment_count; i++) {
        const ps_alloc_segment_info *info = &self->out.segment[i].info;
        if (!info->is_expandable) {
            continue;
        }
        ps__start_range *range = range_of(self, info);
        if (range == NULL) {
            PS_TRY(add_range(self, info, &range, err));
        }
        range->high = info->addr + info->bytes;
        range->mapped_bytes += info->bytes;
    }
    return PS_OK;
}

void ps__ranges_tell_segments(ps__recovery *self)
{
    for (size_t i = 0; i < self->out.segment_count; i++) {
        ps_start_segment *segment = &self->out.segment[i];
        const ps__start_range *range =
            segment->info.is_expandable ? range_of(self, &segment->info) : NULL;
        if (range != NULL) {
            segment->range_addr = range->low;
        }
    }
}

/* The nearest range of a stream with pages mapped, of one pool half where that is known. */
static ps__start_range *nearest_range(const ps__recovery *self, uint64_t stream, uint64_t addr,
                                      ps__span_class size_class)
{
    ps__start_range *best = NULL;
    uint64_t best_distance = UINT64_MAX;
    for (size_t i = 0; i < self->range_count; i++) {
        ps__start_range *candidate = &self->range[i];
        const ps__span_class own = candidate->is_large ? PS__SPAN_LARGE : PS__SPAN_SMALL;
        if (candidate->stream != stream || candidate->mapped_bytes == 0 ||
            (size_class != PS__SPAN_UNKNOWN && size_class != own)) {
            continue;
        }
        const uint64_t distance = addr < candidate->low    ? candidate->low - addr
                                  : addr > candidate->high ? addr - candidate->high
                                                           : 0;
        if (best == NULL || distance < best_distance) {
            best = candidate;
            best_distance = distance;
        }
    }
    return best;
}

/*
 * Pool half of pages mapped at a row: that of the request they were mapped for, which
 * ends the call.
 */
static ps__span_class class_of_map(const ps__recovery *self, size_t row)
{
    const ps_memory_table *memory = &self->trace->memory;
    for (; row < memory->head.count; row++) {
        if (ps__recovery_is_ours(self, row) &&
            (memory->action[row] == PS_ACTION_ALLOC || memory->action[row] == PS_ACTION_OOM)) {
            return ps__recovery_class_of(self, memory->bytes[row]);
        }
    }
    return PS__SPAN_UNKNOWN;
}

void ps__ranges_follow(ps__recovery *self, size_t row)
{
    const ps_memory_table *memory = &self->trace->memory;
    const bool is_map = memory->action[row] == PS_ACTION_SEGMENT_MAP;
    ps__start_range *found = nearest_range(self, memory->stream[row], memory->addr[row],
                                           is_map ? class_of_map(self, row) : PS__SPAN_UNKNOWN);
    if (found == NULL) {
        return;
    }
    if (!is_map) {
        const uint64_t bytes = memory->bytes[row];
        found->mapped_bytes -= bytes < found->mapped_bytes ? bytes : found->mapped_bytes;
        return;
    }
    const uint64_t addr = memory->addr[row];
    const uint64_t end = addr + memory->bytes[row];
    found->mapped_bytes += memory->bytes[row];
    found->low = addr < found->low ? addr : found->low;
    found->high = end > found->high ? end : found->high;
}
