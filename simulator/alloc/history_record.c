/* SPDX-License-Identifier: MIT
 *
 * Events of one device, their calls, and the capacity they imply.
 */
#include "alloc/history_record.h"

#include <stdlib.h>
#include <string.h>

#include "alloc/sizes.h"
#include "base/memory.h"

/** A final segment of a private pool. */
struct ps__pool_span {
    uint64_t addr;
    uint64_t bytes;
    ps_pool_id pool;
};

static ps_code collect_rows(ps__record *self, ps_alloc_device device, ps_error *err)
{
    const ps_memory_table *memory = self->memory;
    self->row = ps_calloc(memory->head.count, sizeof *self->row);
    if (self->row == NULL) {
        return ps_fail_nomem(err);
    }
    for (size_t row = 0; row < memory->head.count; row++) {
        if (memory->device_kind[row] == device.kind && memory->device[row] == device.ordinal &&
            memory->action[row] != PS_ACTION_SNAPSHOT) {
            self->row[self->count++] = (uint32_t)row;
            self->tells_pools |= memory->pool_owner[row] != 0 || memory->pool_serial[row] != 0;
            self->has_deferred_frees |= memory->action[row] == PS_ACTION_FREE_REQUESTED ||
                                        memory->action[row] == PS_ACTION_FREE_COMPLETED;
        }
    }
    return PS_OK;
}

static int compare_spans(const void *a, const void *b)
{
    const struct ps__pool_span *x = a;
    const struct ps__pool_span *y = b;
    return (x->addr > y->addr) - (x->addr < y->addr);
}

static ps_code collect_pools(ps__record *self, const ps_segment_table *segment,
                             ps_alloc_device device, ps_error *err)
{
    self->pool_span = ps_calloc(segment->head.count, sizeof *self->pool_span);
    if (self->pool_span == NULL) {
        return ps_fail_nomem(err);
    }
    for (size_t i = 0; i < segment->head.count; i++) {
        const ps_pool_id pool = {segment->pool_owner[i], segment->pool_serial[i]};
        if (segment->device[i] == device.ordinal && !ps_pool_id_is_default(pool)) {
            self->pool_span[self->pool_span_count++] =
                (struct ps__pool_span){segment->addr[i], segment->bytes[i], pool};
            self->has_private_pages |= segment->is_expandable[i] != 0;
        }
    }
    qsort(self->pool_span, self->pool_span_count, sizeof *self->pool_span, compare_spans);
    self->has_private_pools = self->tells_pools || self->pool_span_count > 0;
    return PS_OK;
}

/* Pool of the final private segment around an address; the default pool when there is none. */
static ps_pool_id pool_around(const ps__record *self, uint64_t addr)
{
    size_t low = 0;
    size_t high = self->pool_span_count;
    while (low < high) {
        const size_t mid = low + (high - low) / 2;
        if (self->pool_span[mid].addr <= addr) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    if (low == 0 || addr - self->pool_span[low - 1].addr >= self->pool_span[low - 1].bytes) {
        return (ps_pool_id){0, 0};
    }
    return self->pool_span[low - 1].pool;
}

ps_alloc_request ps__record_request(const ps__record *self, size_t at)
{
    const size_t row = self->row[at];
    ps_alloc_request request = {
        .bytes = self->memory->bytes[row],
        .stream = self->memory->stream[row],
        .pool = {self->memory->pool_owner[row], self->memory->pool_serial[row]}};
    if (!self->tells_pools && self->pool_span_count > 0) {
        request.pool = pool_around(self, self->memory->addr[row]);
    }
    return request;
}

bool ps__record_is_empty_cache(const ps__record *self, size_t at)
{
    const char *stack = ps_strings_text(self->strings, self->memory->stack[self->row[at]]);
    return strstr(stack, "empty_cache") != NULL || strstr(stack, "emptyCache") != NULL;
}

/* What the refusals and releases of a history say about the capacity. */
typedef struct capacity {
    uint64_t reserved_bytes;
    uint64_t
        granted_bytes; /* the largest total ever granted: not below the capacity's lower bound */
    uint64_t reported_bytes; /* reserved + free as reported at a refusal; UINT64_MAX none */
    uint64_t refused_bytes;  /* the least total ever refused; UINT64_MAX none */
    bool has_unnamed_release;
} capacity;

static void note_refusal(capacity *known, const ps__record *self, size_t row,
                         const ps_alloc_settings *settings)
{
    const uint64_t rounded = ps__alloc_round(settings, self->memory->bytes[row]);
    const uint64_t refused = known->reserved_bytes + ps__alloc_segment_bytes(settings, rounded);
    if (refused < known->refused_bytes) {
        known->refused_bytes = refused;
    }
    if (self->memory->device_free[row] != 0) {
        const uint64_t reported = known->reserved_bytes + self->memory->device_free[row] - 1;
        if (reported < known->reported_bytes) {
            known->reported_bytes = reported;
        }
    }
}

static void note_event(capacity *known, const ps__record *self, size_t at,
                       const ps_alloc_settings *settings)
{
    const size_t row = self->row[at];
    if (ps__record_is_growth(self, at)) {
        known->reserved_bytes += self->memory->bytes[row];
        if (known->reserved_bytes > known->granted_bytes) {
            known->granted_bytes = known->reserved_bytes;
        }
    } else if (ps__record_is_release(self, at)) {
        known->reserved_bytes -= self->memory->bytes[row];
        known->has_unnamed_release |= !ps__record_is_empty_cache(self, at);
    } else if (ps__record_action(self, at) == PS_ACTION_OOM) {
        note_refusal(known, self, row, settings);
    }
}

/*
 * One number explains every failed driver call. A refusal reports it: reserved
 * plus free. Where that would have granted the refused request, a limit of the
 * process was at work, and like in histories without a refusal the largest
 * total ever granted serves: nothing larger was granted, whatever the capacity.
 */
static void derive_limit(ps__record *self, const ps_alloc_settings *settings)
{
    capacity known = {.reserved_bytes = self->start_reserved_bytes,
                      .granted_bytes = self->start_reserved_bytes,
                      .reported_bytes = UINT64_MAX,
                      .refused_bytes = UINT64_MAX};
    for (size_t at = 0; at < self->count; at++) {
        note_event(&known, self, at, settings);
    }
    self->peak_reserved_bytes = known.granted_bytes;
    self->has_limit = known.refused_bytes != UINT64_MAX || known.has_unnamed_release;
    const bool is_reported =
        known.reported_bytes < known.refused_bytes && known.reported_bytes >= known.granted_bytes;
    self->limit_bytes = is_reported ? known.reported_bytes : known.granted_bytes;
}

ps_code ps__record_init(ps__record *self, const ps_trace *trace, ps_alloc_device device,
                        const ps_alloc_settings *settings, uint64_t start_reserved_bytes,
                        ps_error *err)
{
    memset(self, 0, sizeof *self);
    self->memory = &trace->memory;
    self->strings = trace->strings;
    self->start_reserved_bytes = start_reserved_bytes;
    PS_TRY(collect_rows(self, device, err));
    PS_TRY(collect_pools(self, &trace->segment, device, err));
    derive_limit(self, settings);
    return PS_OK;
}

void ps__record_fini(ps__record *self)
{
    ps_free(self->row);
    ps_free(self->pool_span);
    memset(self, 0, sizeof *self);
}

ps__record_call ps__record_call_at(const ps__record *self, size_t begin)
{
    ps__record_call call = {.begin = begin, .end = begin, .completions_end = begin};
    bool is_front = true;
    while (call.end < self->count) {
        const size_t at = call.end;
        const ps_memory_action action = ps__record_action(self, at);
        if (action == PS_ACTION_ALLOC || action == PS_ACTION_OOM) {
            call.end++;
            call.is_malloc = true;
            call.is_refused = action == PS_ACTION_OOM;
            return call;
        }
        if (action != PS_ACTION_FREE_COMPLETED && !ps__record_is_segment(self, at)) {
            return call;
        }
        is_front = is_front && action == PS_ACTION_FREE_COMPLETED;
        call.has_release |= ps__record_is_release(self, at);
        call.end++;
        call.completions_end = is_front ? call.end : call.completions_end;
    }
    return call;
}

size_t ps__record_release_end(const ps__record *self, size_t begin, size_t end)
{
    size_t at = begin;
    while (at < end && (ps__record_is_release(self, at) ||
                        ps__record_action(self, at) == PS_ACTION_FREE_COMPLETED)) {
        at++;
    }
    /* Completions behind the last release belong to what follows. */
    while (at > begin && !ps__record_is_release(self, at - 1)) {
        at--;
    }
    return at;
}
