/* SPDX-License-Identifier: MIT
 *
 * Activity records -> rows.
 *
 * Fields are read at their offsets and never beyond the record's own size.
 * A time of 0 means that CUPTI could not take it; such work is counted.
 */
#include "decode.h"

#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "cupti_records.h"
#include "decode_parts.h"

_Static_assert(sizeof(void *) == 8, "records hold 64-bit pointers");

static const unsigned least_bytes[] = {
#define X(symbol, kind, bytes) [kind] = (bytes),
    PS_CUPTI_KINDS(X)
#undef X
};

ps_decoder *ps_decoder_create(ps_ns base_ns, ps_call_name_fn name_of, void *context)
{
    ps_decoder *self = ps_calloc(1, sizeof *self);
    if (self == NULL) {
        return NULL;
    }
    self->base_ns = base_ns;
    self->name_of = name_of;
    self->context = context;
    ps_idmap_init(&self->open_by_id);
    ps_error err = {0};
    if (ps_event_ring_init(&self->events, &err) != PS_OK ||
        ps_event_ring_init(&self->externals, &err) != PS_OK) {
        ps_decoder_destroy(self);
        return NULL;
    }
    return self;
}

void ps_decoder_destroy(ps_decoder *self)
{
    if (self == NULL) {
        return;
    }
    ps_event_ring_fini(&self->events);
    ps_event_ring_fini(&self->externals);
    ps_idmap_fini(&self->open_by_id);
    ps_free(self->open);
    ps_free(self->held);
    ps_free(self);
}

void ps_decoder_new_chunk(ps_decoder *self)
{
    ps_text_cache_clear(&self->texts);
}

ps_code ps_decode_name(ps_decoder *self, ps_trace *chunk, const char *name, ps_str *id,
                       ps_error *err)
{
    const uint64_t key = (uint64_t)(uintptr_t)name;
    if (name == NULL) {
        *id = 0;
        return PS_OK;
    }
    if (ps_text_cache_get(&self->texts, key, id)) {
        return PS_OK;
    }
    PS_TRY(ps_strings_put_z(chunk->strings, name, id, err));
    ps_text_cache_put(&self->texts, key, *id);
    return PS_OK;
}

bool ps_decode_span(const ps_decoder *self, const unsigned char *record, unsigned start_at,
                    unsigned end_at, ps_ns *start_ns, ps_ns *dur_ns)
{
    const uint64_t start = ps_record_u64(record, start_at), end = ps_record_u64(record, end_at);
    if (start == 0 || end < start || end > INT64_MAX) {
        return false;
    }
    *start_ns = (ps_ns)start - self->base_ns;
    *dur_ns = (ps_ns)(end - start);
    return true;
}

ps_code ps_decode_missing_time(ps_trace *chunk, ps_error *err)
{
    return ps_trace_add_loss(chunk, "missing-timestamps", 1, err);
}

uint64_t ps_decode_op_id(const ps_decoder *self, uint64_t correlation)
{
    if (self->external_count == 0) {
        return 0;
    }
    const ps_event_record *external = ps_event_ring_get(&self->externals, correlation);
    return external == NULL ? 0 : external->stream;
}

static ps_code decode_external(ps_decoder *self, const unsigned char *record, ps_error *err)
{
    const uint64_t correlation = ps_record_u32(record, 16);
    self->external_count++;
    return ps_event_ring_put(&self->externals,
                             (ps_event_record){.key = correlation,
                                               .correlation = correlation,
                                               .stream = ps_record_u64(record, 8)},
                             err);
}

static ps_code decode_device(ps_decoder *self, ps_trace *chunk, const unsigned char *record,
                             ps_error *err)
{
    size_t row;
    ps_str name;
    char key[48], value[32];
    const uint32_t ordinal = ps_record_u32(record, 112);
    PS_TRY(ps_decode_name(self, chunk, ps_record_text(record, 136), &name, err));
    PS_TRY(ps_trace_add(chunk, PS_TABLE_DEVICE, &row, err));
    chunk->device.device[row] = ordinal;
    chunk->device.kind[row] = PS_DEVICE_CUDA;
    chunk->device.name[row] = name;
    chunk->device.memory_bytes[row] = ps_record_u64(record, 16);
    chunk->device.sm_count[row] = ps_record_u32(record, 44);
    chunk->device.cc_major[row] = ps_record_u32(record, 104);
    chunk->device.cc_minor[row] = ps_record_u32(record, 108);
    (void)snprintf(key, sizeof key, "device-%u-core-clock-hz", ordinal);
    (void)snprintf(value, sizeof value, "%llu", 1000ull * ps_record_u32(record, 36));
    return ps_trace_set_meta(chunk, key, value, err);
}

static ps_code decode_known(ps_decoder *self, ps_trace *chunk, uint32_t kind,
                            const unsigned char *record, size_t bytes, ps_error *err)
{
    switch ((ps_cupti_kind)kind) {
    case PS_CUPTI_RUNTIME:
        return ps_decode_call(self, chunk, record, PS_API_RUNTIME, err);
    case PS_CUPTI_DRIVER:
        return ps_decode_call(self, chunk, record, PS_API_DRIVER, err);
    case PS_CUPTI_CONCURRENT_KERNEL:
        return ps_decode_kernel(self, chunk, record, bytes, err);
    case PS_CUPTI_MEMCPY:
        return ps_decode_memcpy(self, chunk, record, err);
    case PS_CUPTI_MEMCPY2:
        return ps_decode_peer_copy(self, chunk, record, err);
    case PS_CUPTI_MEMSET:
        return ps_decode_memset(self, chunk, record, err);
    case PS_CUPTI_MEMORY2:
        return ps_decode_driver_memory(self, chunk, record, err);
    case PS_CUPTI_CUDA_EVENT:
        return ps_decode_event(self, record, bytes, err);
    case PS_CUPTI_SYNCHRONIZATION:
        return ps_decode_sync(self, chunk, record, bytes, err);
    case PS_CUPTI_MARKER:
        return ps_decode_marker(self, chunk, record, err);
    case PS_CUPTI_OVERHEAD:
        return ps_decode_overhead(self, chunk, record, err);
    case PS_CUPTI_EXTERNAL_CORRELATION:
        return decode_external(self, record, err);
    case PS_CUPTI_DEVICE:
        return decode_device(self, chunk, record, err);
    }
    return ps_trace_add_loss(chunk, "unknown-categories", 1, err);
}

ps_code ps_decode_record(ps_decoder *self, ps_trace *chunk, const unsigned char *record,
                         size_t bytes, ps_error *err)
{
    const uint32_t kind = bytes >= 4 ? ps_record_u32(record, 0) : 0;
    const unsigned least =
        kind < sizeof least_bytes / sizeof least_bytes[0] ? least_bytes[kind] : 0;
    if (least == 0) {
        return ps_trace_add_loss(chunk, "unknown-categories", 1, err);
    }
    if (bytes < least) {
        return ps_trace_add_loss(chunk, "malformed-events", 1, err);
    }
    return decode_known(self, chunk, kind, record, bytes, err);
}
