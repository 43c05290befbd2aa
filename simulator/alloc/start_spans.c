/* SPDX-License-Identifier: MIT
 *
 * The sorted array of spans.
 */
#include <string.h>

#include "alloc/sizes.h"
#include "alloc/start_recovery.h"
#include "base/memory.h"

size_t ps__spans_after(const ps__recovery *self, uint64_t addr)
{
    size_t low = 0;
    size_t high = self->span_count;
    while (low < high) {
        const size_t mid = low + (high - low) / 2;
        if (self->span[mid].addr <= addr) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low;
}

ps__span *ps__spans_holding(const ps__recovery *self, uint64_t addr, uint64_t bytes)
{
    const size_t after = ps__spans_after(self, addr);
    if (after == 0) {
        return NULL;
    }
    ps__span *found = &self->span[after - 1];
    const uint64_t offset = addr - found->addr;
    return offset < found->bytes && bytes <= found->bytes - offset ? found : NULL;
}

ps_code ps__spans_insert(ps__recovery *self, const ps__span *added, ps_error *err)
{
    const size_t at = ps__spans_after(self, added->addr);
    const bool hits_before =
        at > 0 && added->addr - self->span[at - 1].addr < self->span[at - 1].bytes;
    const bool hits_after =
        at < self->span_count && self->span[at].addr - added->addr < added->bytes;
    if (hits_before || hits_after) {
        return ps_fail(err, PS_BAD_INPUT, "segments overlap at %#llx",
                       (unsigned long long)added->addr);
    }
    if (added->bytes == 0 || added->bytes > PS_ALLOC_MAX_REQUEST_BYTES ||
        added->addr > UINT64_MAX - added->bytes || added->bytes % PS_ALLOC_GRAIN_BYTES != 0 ||
        added->addr % PS_ALLOC_GRAIN_BYTES != 0) {
        return ps_fail(err, PS_BAD_INPUT,
                       "segment at %#llx of %llu bytes is not on the 512-byte grid",
                       (unsigned long long)added->addr, (unsigned long long)added->bytes);
    }
    void *spans = self->span;
    PS_TRY(ps_grow(&spans, &self->span_capacity, self->span_count + 1, PS__RECOVERY_MAX_SPANS,
                   sizeof *self->span, err));
    self->span = spans;
    memmove(&self->span[at + 1], &self->span[at], (self->span_count - at) * sizeof *self->span);
    self->span[at] = *added;
    self->span_count++;
    return PS_OK;
}

void ps__spans_remove(ps__recovery *self, size_t at)
{
    self->span_count--;
    memmove(&self->span[at], &self->span[at + 1], (self->span_count - at) * sizeof *self->span);
}

/* true when two runs of pages are one: touching, and nothing known speaks against it. */
static bool can_join(const ps__span *low, const ps__span *high)
{
    return low->is_expandable && high->is_expandable && low->addr + low->bytes == high->addr &&
           low->stream == high->stream && ps_pool_id_is_equal(low->pool, high->pool) &&
           (low->size_class == high->size_class || low->size_class == PS__SPAN_UNKNOWN ||
            high->size_class == PS__SPAN_UNKNOWN);
}

static void join_with_next(ps__recovery *self, size_t at)
{
    ps__span *low = &self->span[at];
    const ps__span *high = &self->span[at + 1];
    low->bytes += high->bytes;
    low->size_class = low->size_class == PS__SPAN_UNKNOWN ? high->size_class : low->size_class;
    ps__spans_remove(self, at + 1);
}

void ps__spans_join(ps__recovery *self, size_t at)
{
    if (at + 1 < self->span_count && can_join(&self->span[at], &self->span[at + 1])) {
        join_with_next(self, at);
    }
    if (at > 0 && can_join(&self->span[at - 1], &self->span[at])) {
        join_with_next(self, at - 1);
    }
}
