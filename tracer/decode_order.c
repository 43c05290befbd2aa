/* SPDX-License-Identifier: MIT
 *
 * Records that order others: events and waits; and named intervals.
 */
#include "decode_parts.h"

#include "base/memory.h"
#include "cupti_records.h"

#define MAX_OPEN_MARKERS ((size_t)1 << 12)
#define MAX_HELD_WAITS ((size_t)1 << 16)

/* ---- events and waits ---- */

ps_code ps_decode_event(ps_decoder *self, const unsigned char *record, size_t bytes, ps_error *err)
{
    const uint64_t sync_id = bytes >= 56 ? ps_record_u64(record, 48) : 0;
    return ps_event_ring_put(
        &self->events,
        (ps_event_record){.key = ps_event_key(sync_id, ps_record_u32(record, 16)),
                          .correlation = ps_record_u32(record, 4),
                          .stream = ps_record_u32(record, 12)},
        err);
}

static uint8_t sync_kind(uint32_t type)
{
    static const uint8_t kinds[] = {PS_SYNC_UNKNOWN, PS_SYNC_EVENT, PS_SYNC_STREAM_WAIT,
                                    PS_SYNC_STREAM, PS_SYNC_DEVICE};
    return type < sizeof kinds ? kinds[type] : PS_SYNC_UNKNOWN;
}

static ps_code add_wait(ps_decoder *self, ps_trace *chunk, const ps_held_wait *wait, ps_error *err)
{
    size_t row;
    const bool is_for_event = wait->kind == PS_SYNC_EVENT || wait->kind == PS_SYNC_STREAM_WAIT;
    const ps_event_record *event =
        is_for_event ? ps_event_ring_get(&self->events, wait->key) : NULL;
    PS_TRY(ps_trace_add(chunk, PS_TABLE_SYNC, &row, err));
    ps_sync_table *sync = &chunk->sync;
    sync->start_ns[row] = wait->start_ns;
    sync->dur_ns[row] = wait->dur_ns;
    sync->device[row] =
        wait->context < PS_DECODE_CONTEXTS ? self->device_of_context[wait->context] : 0;
    sync->stream[row] = wait->stream;
    sync->correlation[row] = wait->correlation;
    sync->kind[row] = wait->kind;
    sync->event_id[row] = wait->event_id == PS_CUPTI_NO_ID ? 0 : wait->event_id;
    sync->record_correlation[row] = event != NULL ? event->correlation : 0;
    sync->record_stream[row] = event != NULL ? event->stream : UINT64_MAX;
    return PS_OK;
}

ps_code ps_decode_sync(ps_decoder *self, ps_trace *chunk, const unsigned char *record, size_t bytes,
                       ps_error *err)
{
    ps_held_wait wait = {.correlation = ps_record_u32(record, 24),
                         .context = ps_record_u32(record, 28),
                         .event_id = ps_record_u32(record, 36),
                         .kind = sync_kind(ps_record_u32(record, 4))};
    const uint32_t stream = ps_record_u32(record, 32);
    wait.stream = stream == PS_CUPTI_NO_ID ? UINT64_MAX : stream;
    wait.key = ps_event_key(bytes >= 56 ? ps_record_u64(record, 40) : 0, wait.event_id);
    if (!ps_decode_span(self, record, 8, 16, &wait.start_ns, &wait.dur_ns)) {
        return ps_decode_missing_time(chunk, err);
    }
    const bool may_come =
        wait.event_id != PS_CUPTI_NO_ID && ps_event_ring_get(&self->events, wait.key) == NULL;
    if (!may_come || self->held_count >= MAX_HELD_WAITS) {
        return add_wait(self, chunk, &wait, err);
    }
    /* the recording may lie in another thread's buffer */
    PS_TRY(ps_grow((void **)&self->held, &self->held_capacity, self->held_count + 1, MAX_HELD_WAITS,
                   sizeof *self->held, err));
    self->held[self->held_count++] = wait;
    return PS_OK;
}

ps_code ps_decoder_settle(ps_decoder *self, ps_trace *chunk, ps_error *err)
{
    const size_t count = self->held_count;
    self->held_count = 0;
    for (size_t i = 0; i < count; i++) {
        PS_TRY(add_wait(self, chunk, &self->held[i], err));
    }
    return PS_OK;
}

/* ---- named intervals ---- */

static ps_code add_range(ps_trace *chunk, ps_str name, uint32_t tid, ps_range_category category,
                         ps_ns start_ns, ps_ns dur_ns, ps_error *err)
{
    size_t row;
    PS_TRY(ps_trace_add(chunk, PS_TABLE_RANGE, &row, err));
    chunk->range.start_ns[row] = start_ns;
    chunk->range.dur_ns[row] = dur_ns;
    chunk->range.tid[row] = tid;
    chunk->range.category[row] = (uint8_t)category;
    chunk->range.name[row] = name;
    return PS_OK;
}

static ps_code open_marker(ps_decoder *self, uint32_t id, ps_open_marker marker, ps_trace *chunk,
                           ps_error *err)
{
    size_t slot = 0;
    const uint32_t lost = ps_idmap_take(&self->open_by_id, id); /* its end never came */
    if (lost != PS_IDMAP_NONE) {
        self->open[lost].name = NULL;
        PS_TRY(ps_trace_add_loss(chunk, "cut-ranges", 1, err));
    }
    while (slot < self->open_count && self->open[slot].name != NULL) {
        slot++;
    }
    if (slot >= MAX_OPEN_MARKERS) {
        return ps_trace_add_loss(chunk, "cut-ranges", 1, err);
    }
    PS_TRY(ps_grow((void **)&self->open, &self->open_capacity, slot + 1, MAX_OPEN_MARKERS,
                   sizeof *self->open, err));
    self->open_count = slot < self->open_count ? self->open_count : slot + 1;
    self->open[slot] = marker;
    return ps_idmap_put(&self->open_by_id, id, (uint32_t)slot, err);
}

static ps_code close_marker(ps_decoder *self, ps_trace *chunk, uint32_t id, ps_ns end_ns,
                            ps_error *err)
{
    ps_str name;
    const uint32_t slot = ps_idmap_take(&self->open_by_id, id);
    if (slot == PS_IDMAP_NONE) {
        return ps_trace_add_loss(chunk, "cut-ranges", 1, err);
    }
    const ps_open_marker marker = self->open[slot];
    self->open[slot].name = NULL;
    PS_TRY(ps_decode_name(self, chunk, marker.name, &name, err));
    const ps_ns dur_ns = end_ns > marker.start_ns ? end_ns - marker.start_ns : 0;
    return add_range(chunk, name, marker.tid, PS_RANGE_ANNOTATION, marker.start_ns, dur_ns, err);
}

ps_code ps_decode_marker(ps_decoder *self, ps_trace *chunk, const unsigned char *record,
                         ps_error *err)
{
    const uint32_t flags = ps_record_u32(record, 4), id = ps_record_u32(record, 16);
    const uint64_t time = ps_record_u64(record, 8);
    const bool has_thread = ps_record_u32(record, 20) == PS_CUPTI_OBJECT_THREAD;
    const char *text = ps_record_text(record, 40);
    if (time == 0 || time > INT64_MAX) {
        return ps_decode_missing_time(chunk, err);
    }
    const ps_open_marker marker = {.name = text != NULL ? text : "",
                                   .start_ns = (ps_ns)time - self->base_ns,
                                   .tid = has_thread ? ps_record_u32(record, 28) : 0};
    if ((flags & PS_CUPTI_MARKER_START) != 0) {
        return open_marker(self, id, marker, chunk, err);
    }
    if ((flags & PS_CUPTI_MARKER_END) != 0) {
        return close_marker(self, chunk, id, marker.start_ns, err);
    }
    ps_str name;
    PS_TRY(ps_decode_name(self, chunk, marker.name, &name, err));
    return add_range(chunk, name, marker.tid, PS_RANGE_ANNOTATION, marker.start_ns, 0, err);
}

static const char *overhead_name(uint32_t kind)
{
    switch (kind) {
    case 1:
        return "driver compiler";
    case 1u << 16:
        return "tracer: buffer flush";
    case 2u << 16:
        return "tracer: instrumentation";
    case 3u << 16:
        return "tracer: resource";
    case 4u << 16:
        return "module load";
    case 5u << 16:
        return "lazy function load";
    case 6u << 16:
        return "command buffer full";
    case 7u << 16:
        return "tracer: buffer request";
    case 8u << 16:
        return "managed memory start";
    default:
        return "other overhead";
    }
}

ps_code ps_decode_overhead(ps_decoder *self, ps_trace *chunk, const unsigned char *record,
                           ps_error *err)
{
    ps_str name;
    ps_ns start_ns, dur_ns;
    const bool has_thread = ps_record_u32(record, 8) == PS_CUPTI_OBJECT_THREAD;
    if (!ps_decode_span(self, record, 24, 32, &start_ns, &dur_ns)) {
        return ps_decode_missing_time(chunk, err);
    }
    PS_TRY(ps_decode_name(self, chunk, overhead_name(ps_record_u32(record, 4)), &name, err));
    return add_range(chunk, name, has_thread ? ps_record_u32(record, 16) : 0, PS_RANGE_OVERHEAD,
                     start_ns, dur_ns, err);
}
