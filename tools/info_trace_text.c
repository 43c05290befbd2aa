/* SPDX-License-Identifier: MIT
 *
 * A trace described as text.
 */
#include <inttypes.h>

#include "base/units.h"
#include "cli/table.h"
#include "info_trace_parts.h"

/* Steps beyond these are counted, not listed. */
#define STEPS_SHOWN 20u

static void quote_fact(ps_output *out, const char *before, const char *fact)
{
    if (fact != NULL) {
        ps_output_print(out, "%s", before);
        ps_output_quote(out, fact);
    }
}

static void print_head(const ps_trace_page *self, ps_output *out)
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
    const uint64_t per_event = ps__thousandths_per_event(self);
    ps_output_print(out, "  file         %s",
                    ps_quantity_format(PS_UNIT_SIZE, self->state->file_bytes, text));
    if (count->total > 0) {
        ps_output_print(out, ", %" PRIu64 ".%" PRIu64 " bytes an event", per_event / 1000,
                        per_event % 1000 / 100);
    }
    ps_output_print(out, "\n");
}

static void add_row(ps_grid *grid, const char *indent, const char *what, uint64_t count)
{
    if (count > 0) {
        ps_grid_cell(grid, "%s%s", indent, what);
        ps_grid_cell(grid, "%" PRIu64, count);
    }
}

static void add_count(ps_grid *grid, const char *what, uint64_t count)
{
    add_row(grid, "", what, count);
}

/* Of what the row above counts. */
static void add_part(ps_grid *grid, const char *what, uint64_t count)
{
    add_row(grid, "  ", what, count);
}

static ps_code print_counts(const ps_trace_page *self, ps_output *out, ps_error *err)
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
    add_part(&grid, ps__call_api_word(PS_API_DRIVER), count->call_by_api[PS_API_DRIVER]);
    add_count(&grid, "host ranges", count->range);
    for (size_t i = 0; i < PS_RANGE_CATEGORY_COUNT; i++) {
        add_part(&grid, ps__range_category_word(i), count->range_by_category[i]);
    }
    return ps_grid_print(&grid, out, 2, err);
}

static void size_cell(ps_grid *grid, bool is_known, uint64_t bytes)
{
    char text[PS_QUANTITY_TEXT_BYTES];
    ps_grid_cell(grid, "%s", is_known ? ps_quantity_format(PS_UNIT_SIZE, bytes, text) : "unknown");
}

static ps_code print_devices(const ps_trace_page *self, ps_output *out, ps_error *err)
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
        ps_grid_cell(&grid, "%s %" PRIu32, ps__device_kind_word(device->kind), device->ordinal);
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

static ps_code print_steps(const ps_trace_page *self, ps_output *out, ps_error *err)
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

ps_code ps__trace_page_print(const ps_trace_page *self, ps_output *out, ps_error *err)
{
    print_head(self, out);
    if (self->summary->device_count > 0) {
        PS_TRY(print_devices(self, out, err));
    }
    PS_TRY(print_steps(self, out, err));
    PS_TRY(print_counts(self, out, err));
    return ps_losses_print(PS_LOSS_VIEW(self->trace), out, err);
}
