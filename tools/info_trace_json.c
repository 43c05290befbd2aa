/* SPDX-License-Identifier: MIT
 *
 * A trace described as JSON.
 */
#include <errno.h>
#include <stdlib.h>

#include "info_trace_parts.h"

static void json_events(const ps_trace_counts *count, ps_json *json)
{
    ps_json_object(json, "events");
    ps_json_u64(json, "kernel", count->kernel);
    ps_json_u64(json, "memcpy", count->memcpy);
    ps_json_u64(json, "memset", count->memset);
    ps_json_u64(json, "alloc", count->device_memory.alloc + count->host_memory.alloc);
    ps_json_u64(json, "free", count->device_memory.free + count->host_memory.free);
    ps_json_u64(json, "collective", count->collective);
    ps_json_u64(json, "range", count->range);
    ps_json_u64(json, "host", count->host);
    ps_json_end(json);
}

static void json_memory_counts(const char *key, uint64_t device, uint64_t host, ps_json *json)
{
    ps_json_object(json, key);
    ps_json_u64(json, "device", device);
    ps_json_u64(json, "host", host);
    ps_json_end(json);
}

static void json_details(const ps_trace_counts *count, ps_json *json)
{
    ps_json_object(json, "event_details");
    json_memory_counts("alloc", count->device_memory.alloc, count->host_memory.alloc, json);
    json_memory_counts("free", count->device_memory.free, count->host_memory.free, json);
    ps_json_object(json, "range");
    for (size_t i = 0; i < PS_RANGE_CATEGORY_COUNT; i++) {
        ps_json_u64(json, ps__range_category_word(i), count->range_by_category[i]);
    }
    ps_json_end(json);
    ps_json_object(json, "host");
    for (size_t i = 0; i < PS_CALL_API_COUNT; i++) {
        ps_json_u64(json, ps__call_api_word(i), count->call_by_api[i]);
    }
    ps_json_end(json);
    ps_json_u64(json, "sync", count->sync);
    ps_json_u64(json, "segment", count->segment_events);
    ps_json_u64(json, "oom", count->oom);
    ps_json_end(json);
}

static void json_known(const char *key, bool is_known, uint64_t value, ps_json *json)
{
    if (is_known) {
        ps_json_u64(json, key, value);
    } else {
        ps_json_null(json, key);
    }
}

static void json_devices(const ps_trace_page *self, ps_json *json)
{
    ps_json_array(json, "devices");
    for (size_t i = 0; i < self->summary->device_count; i++) {
        const ps_summary_device *device = &self->summary->device[i];
        const char *name = ps_strings_text(self->trace->strings, device->name);
        ps_json_object(json, NULL);
        ps_json_u64(json, "ordinal", device->ordinal);
        ps_json_text(json, "kind", ps__device_kind_word(device->kind));
        ps_json_text(json, "name", name[0] == '\0' ? NULL : name);
        json_known("memory_bytes", device->memory_bytes > 0, device->memory_bytes, json);
        ps_json_u64(json, "streams", device->stream_count);
        ps_json_i64(json, "busy_ns", device->busy_ns);
        ps_json_u64(json, "kernel_count", device->kernel_count);
        ps_json_u64(json, "memcpy_count", device->memcpy_count);
        ps_json_u64(json, "memset_count", device->memset_count);
        ps_json_u64(json, "memory_event_count", device->memory_count);
        json_known("peak_allocated_bytes", device->peak_allocated.is_known,
                   device->peak_allocated.bytes, json);
        json_known("peak_reserved_bytes", device->peak_reserved.is_known,
                   device->peak_reserved.bytes, json);
        ps_json_end(json);
    }
    ps_json_end(json);
}

static void json_steps(const ps_trace_page *self, ps_json *json)
{
    ps_json_array(json, "steps");
    for (size_t i = 0; i < self->summary->step_count; i++) {
        const ps_summary_step *step = &self->summary->step[i];
        ps_json_object(json, NULL);
        ps_json_text(json, "name", ps_strings_text(self->trace->strings, step->name));
        ps_json_i64(json, "duration_ns", step->dur_ns);
        ps_json_i64(json, "start_ns", step->start_ns);
        ps_json_end(json);
    }
    ps_json_end(json);
}

static void json_recorded(const ps_trace_summary *summary, ps_json *json)
{
    ps_json_object(json, "recorded");
    json_known("peak_allocated_bytes", summary->peak_allocated.is_known,
               summary->peak_allocated.bytes, json);
    json_known("peak_reserved_bytes", summary->peak_reserved.is_known, summary->peak_reserved.bytes,
               json);
    ps_json_end(json);
}

/* A fact that should be a number; null when it is absent or is none. */
static void json_number_fact(const ps_trace *trace, const char *fact, const char *key,
                             ps_json *json)
{
    const char *text = ps_trace_meta(trace, fact);
    char *end = NULL;
    errno = 0;
    const long long value = text == NULL ? 0 : strtoll(text, &end, 10);
    if (text == NULL || end == text || *end != '\0' || errno != 0) {
        ps_json_null(json, key);
    } else {
        ps_json_i64(json, key, value);
    }
}

static void json_facts(const ps_trace *trace, ps_json *json)
{
    ps_json_object(json, "facts");
    for (size_t i = 0; i < trace->meta.head.count; i++) {
        ps_json_text(json, ps_strings_text(trace->strings, trace->meta.key[i]),
                     ps_strings_text(trace->strings, trace->meta.value[i]));
    }
    ps_json_end(json);
}

static void json_file(const ps_trace_page *self, ps_json *json)
{
    ps_json_object(json, "file");
    ps_json_text(json, "path", self->path);
    ps_json_u64(json, "bytes", self->state->file_bytes);
    ps_json_bool(json, "is_finished", self->state->is_finished);
    ps_json_u64(json, "damaged_chunks", self->state->damaged_chunks);
    ps_json_u64(json, "cut_bytes", self->state->cut_bytes);
    if (self->summary->count.total > 0) {
        ps_json_thousandths(json, "bytes_per_event", ps__thousandths_per_event(self));
    } else {
        ps_json_null(json, "bytes_per_event");
    }
    ps_json_end(json);
}

ps_code ps__trace_page_json(const ps_trace_page *self, ps_output *out, ps_error *err)
{
    const ps_trace_summary *summary = self->summary;
    ps_json json;
    ps_json_open(&json, out, PS_JSON_LINES);
    ps_json_object(&json, NULL);
    ps_json_text(&json, "artefact", "trace");
    ps_json_text(&json, "source", ps_trace_meta(self->trace, PS_META_SOURCE));
    json_number_fact(self->trace, PS_META_RANK, "rank", &json);
    json_number_fact(self->trace, PS_META_WORLD_SIZE, "world_size", &json);
    json_file(self, &json);
    ps_json_u64(&json, "event_count", summary->count.total);
    json_events(&summary->count, &json);
    json_details(&summary->count, &json);
    json_known("duration_ns", summary->has_times, (uint64_t)summary->duration_ns, &json);
    json_devices(self, &json);
    json_steps(self, &json);
    json_recorded(summary, &json);
    ps_losses_json(PS_LOSS_VIEW(self->trace), &json);
    json_facts(self->trace, &json);
    ps_json_end(&json);
    return ps_json_close(&json, err);
}
