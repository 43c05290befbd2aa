/* SPDX-License-Identifier: MIT
 *
 * A trace described, as text and as JSON.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "artefact.h"
#include "base/units.h"
#include "cli/table.h"
#include "info.h"
#include "trace/summary.h"
#include "trace/words.h"

/* Steps and devices beyond these are counted, not listed, in the text. */
#define STEPS_SHOWN 20u

/* Everything a page needs; borrowed. */
typedef struct page {
    const char *path;
    const ps_trace *trace;
    const ps_trace_summary *summary;
    const ps_container_state *state;
} page;

static const char *category_word(size_t category)
{
    /* names users know from the profiler, in the order of ps_range_category */
    static const char *const words[PS_RANGE_CATEGORY_COUNT] = {
        "other",    "cpu_op",   "user_annotation", "python_function", "gpu_user_annotation",
        "overhead", "profiler",
    };
    return words[category];
}

static const char *api_word(size_t api)
{
    static const char *const words[PS_CALL_API_COUNT] = {"cuda_runtime", "cuda_driver"};
    return words[api];
}

static const char *kind_word(ps_device_kind kind)
{
    switch (kind) {
    case PS_DEVICE_HOST:
        return "host";
    case PS_DEVICE_CUDA:
        return "cuda";
    case PS_DEVICE_HIP:
        return "hip";
    case PS_DEVICE_OTHER:
        break;
    }
    return "other";
}

static uint64_t thousandths_of(uint64_t part, uint64_t whole)
{
    return whole == 0 ? 0 : (uint64_t)((double)part * 1000.0 / (double)whole + 0.5);
}

/* ---- text ---- */

static void quote_fact(ps_output *out, const char *before, const char *fact)
{
    if (fact != NULL) {
        ps_output_print(out, "%s", before);
        ps_output_quote(out, fact);
    }
}

static void print_head(const page *self, ps_output *out)
{
    const ps_trace_counts *count = &self->summary->count;
    char text[PS_QUANTITY_TEXT_BYTES];
    const char *source = ps_trace_meta(self->trace, PS_META_SOURCE);
    const char *title = ps_trace_meta(self->trace, PS_META_TITLE);
    const char *rank = ps_trace_meta(self->trace, PS_META_RANK);
    const char *world = ps_trace_meta(self->trace, PS_META_WORLD_SIZE);
    ps_output_print(out, "%s: a trace", self->path);
    quote_fact(out, " from ", source);
    quote_fact(out, ", rank ", rank);
    quote_fact(out, " of ", world);
    ps_output_print(out, "%s", self->state->is_finished ? "" : ", NOT FINISHED by its writer");
    quote_fact(out, "\n  recorded as  ", title);
    ps_output_print(out, "\n");
    ps_output_print(out, "  events       %" PRIu64 "\n", count->total);
    ps_output_print(out, "  duration     %s\n",
                    !self->summary->has_times ? "unknown (only the order was recorded)"
                    : count->total == 0       ? "none"
                                              : ps_time_format(self->summary->duration_ns, text));
    const uint64_t per_event = thousandths_of(self->state->file_bytes, count->total);
    ps_output_print(out, "  file         %s",
                    ps_quantity_format(PS_UNIT_SIZE, self->state->file_bytes, text));
    if (count->total > 0) {
        ps_output_print(out, ", %" PRIu64 ".%" PRIu64 " bytes an event", per_event / 1000,
                        per_event % 1000 / 100);
    }
    ps_output_print(out, "\n");
}

static void add_count(ps_grid *grid, const char *what, uint64_t count)
{
    if (count > 0) {
        ps_grid_cell(grid, "%s", what);
        ps_grid_cell(grid, "%" PRIu64, count);
    }
}

static void add_part(ps_grid *grid, const char *what, uint64_t count)
{
    if (count > 0) {
        ps_grid_cell(grid, "  %s", what);
        ps_grid_cell(grid, "%" PRIu64, count);
    }
}

static ps_code print_counts(const page *self, ps_output *out, ps_error *err)
{
    static const ps_grid_column columns[] = {{NULL, false}, {NULL, true}};
    const ps_trace_counts *count = &self->summary->count;
    ps_grid grid;
    if (count->total == 0) {
        return PS_OK;
    }
    ps_output_print(out, "\nEvents\n");
    ps_grid_init(&grid, columns, 2);
    add_count(&grid, "kernels", count->kernel);
    add_part(&grid, "that communicate", count->collective);
    add_count(&grid, "copies", count->memcpy);
    add_count(&grid, "fills", count->memset);
    add_count(&grid, "allocations", count->device_memory.alloc + count->host_memory.alloc);
    add_part(&grid, "on the host", count->host_memory.alloc);
    add_count(&grid, "frees", count->device_memory.free + count->host_memory.free);
    add_part(&grid, "on the host", count->host_memory.free);
    add_count(&grid, "segment events", count->segment_events);
    add_count(&grid, "out of memory", count->oom);
    add_count(&grid, "waits", count->sync);
    add_count(&grid, "host calls", count->host);
    add_part(&grid, api_word(PS_API_DRIVER), count->call_by_api[PS_API_DRIVER]);
    add_count(&grid, "host ranges", count->range);
    for (size_t i = 0; i < PS_RANGE_CATEGORY_COUNT; i++) {
        add_part(&grid, category_word(i), count->range_by_category[i]);
    }
    return ps_grid_print(&grid, out, 2, err);
}

static void size_cell(ps_grid *grid, bool is_known, uint64_t bytes)
{
    char text[PS_QUANTITY_TEXT_BYTES];
    ps_grid_cell(grid, "%s", is_known ? ps_quantity_format(PS_UNIT_SIZE, bytes, text) : "unknown");
}

static ps_code print_devices(const page *self, ps_output *out, ps_error *err)
{
    static const ps_grid_column columns[] = {
        {"device", true},  {"name", false}, {"memory", true},         {"streams", true},
        {"kernels", true}, {"busy", true},  {"peak allocated", true}, {"peak reserved", true}};
    ps_grid grid;
    char text[PS_QUANTITY_TEXT_BYTES];
    size_t unused = 0;
    ps_output_print(out, "\nDevices\n");
    ps_grid_init(&grid, columns, sizeof columns / sizeof columns[0]);
    for (size_t i = 0; i < self->summary->device_count; i++) {
        const ps_summary_device *device = &self->summary->device[i];
        const char *name = ps_strings_text(self->trace->strings, device->name);
        if (device->stream_count == 0 && device->memory_count == 0 && device->segment_count == 0) {
            unused++;
            continue;
        }
        ps_grid_cell(&grid, "%s %" PRIu32, kind_word(device->kind), device->ordinal);
        ps_grid_cell(&grid, "%s", name[0] == '\0' ? "unknown" : name);
        size_cell(&grid, device->memory_bytes > 0, device->memory_bytes);
        ps_grid_cell(&grid, "%" PRIu64, device->stream_count);
        ps_grid_cell(&grid, "%" PRIu64, device->kernel_count);
        ps_grid_cell(&grid, "%s",
                     device->stream_count == 0 ? "unknown" : ps_time_format(device->busy_ns, text));
        size_cell(&grid, device->peak_allocated.is_known, device->peak_allocated.bytes);
        size_cell(&grid, device->peak_reserved.is_known, device->peak_reserved.bytes);
    }
    PS_TRY(ps_grid_print(&grid, out, 2, err));
    if (unused > 0) {
        ps_output_print(out, "  and %zu listed, not used by this process\n", unused);
    }
    return PS_OK;
}

static ps_code print_steps(const page *self, ps_output *out, ps_error *err)
{
    static const ps_grid_column columns[] = {{NULL, false}, {NULL, true}};
    const ps_trace_summary *summary = self->summary;
    const size_t shown = summary->step_count < STEPS_SHOWN ? summary->step_count : STEPS_SHOWN;
    ps_grid grid;
    char text[PS_QUANTITY_TEXT_BYTES];
    if (summary->step_count == 0) {
        return PS_OK;
    }
    ps_output_print(out, "\nSteps\n");
    ps_grid_init(&grid, columns, 2);
    for (size_t i = 0; i < shown; i++) {
        ps_grid_cell(&grid, "%s", ps_strings_text(self->trace->strings, summary->step[i].name));
        ps_grid_cell(&grid, "%s", ps_time_format(summary->step[i].dur_ns, text));
    }
    PS_TRY(ps_grid_print(&grid, out, 2, err));
    if (shown < summary->step_count) {
        ps_output_print(out, "  and %zu more\n", summary->step_count - shown);
    }
    return PS_OK;
}

static ps_code print_page(const page *self, ps_output *out, ps_error *err)
{
    print_head(self, out);
    if (self->summary->device_count > 0) {
        PS_TRY(print_devices(self, out, err));
    }
    PS_TRY(print_steps(self, out, err));
    PS_TRY(print_counts(self, out, err));
    return ps_losses_print(PS_LOSS_VIEW(self->trace), out, err);
}

/* ---- JSON ---- */

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
        ps_json_u64(json, category_word(i), count->range_by_category[i]);
    }
    ps_json_end(json);
    ps_json_object(json, "host");
    for (size_t i = 0; i < PS_CALL_API_COUNT; i++) {
        ps_json_u64(json, api_word(i), count->call_by_api[i]);
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

static void json_devices(const page *self, ps_json *json)
{
    ps_json_array(json, "devices");
    for (size_t i = 0; i < self->summary->device_count; i++) {
        const ps_summary_device *device = &self->summary->device[i];
        const char *name = ps_strings_text(self->trace->strings, device->name);
        ps_json_object(json, NULL);
        ps_json_u64(json, "ordinal", device->ordinal);
        ps_json_text(json, "kind", kind_word(device->kind));
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

static void json_steps(const page *self, ps_json *json)
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

static void json_file(const page *self, ps_json *json)
{
    const uint64_t events = self->summary->count.total;
    ps_json_object(json, "file");
    ps_json_text(json, "path", self->path);
    ps_json_u64(json, "bytes", self->state->file_bytes);
    ps_json_bool(json, "is_finished", self->state->is_finished);
    ps_json_u64(json, "damaged_chunks", self->state->damaged_chunks);
    ps_json_u64(json, "cut_bytes", self->state->cut_bytes);
    if (events > 0) {
        ps_json_thousandths(json, "bytes_per_event",
                            thousandths_of(self->state->file_bytes, events));
    } else {
        ps_json_null(json, "bytes_per_event");
    }
    ps_json_end(json);
}

static ps_code write_json(const page *self, ps_output *out, ps_error *err)
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

ps_code ps_info_trace(const char *path, bool as_json, ps_output *out, ps_error *err)
{
    ps_container_state state;
    ps_trace_summary summary;
    ps_trace *trace;
    PS_TRY(ps_artefact_read_trace(path, &trace, &state, err));
    ps_code code = ps_trace_summarise(trace, &summary, err);
    if (code == PS_OK) {
        const page self = {path, trace, &summary, &state};
        code = as_json ? write_json(&self, out, err) : print_page(&self, out, err);
        ps_trace_summary_fini(&summary);
    }
    ps_trace_destroy(trace);
    return code;
}
