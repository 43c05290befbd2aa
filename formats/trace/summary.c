/* SPDX-License-Identifier: MIT
 *
 * Summary of a trace: one pass a table.
 *
 * Time a device is busy is the union of its kernels, copies and fills. The
 * three tables are sorted by start, so one merged walk with the end reached
 * so far per device is enough.
 */
#include "trace/summary.h"

#include <string.h>

#include "base/idmap.h"
#include "base/memory.h"

#define DEVICES_MAX ((size_t)4096)
#define STEPS_MAX ((size_t)1 << 24)
#define STEP_PREFIX "ProfilerStep#"

/* ---- counts ---- */

static void count_memory(const ps_memory_table *memory, ps_trace_counts *count)
{
    for (size_t i = 0; i < memory->head.count; i++) {
        ps_memory_counts *place =
            memory->device_kind[i] == PS_DEVICE_HOST ? &count->host_memory : &count->device_memory;
        switch ((ps_memory_action)memory->action[i]) {
        case PS_ACTION_ALLOC:
            place->alloc++;
            break;
        case PS_ACTION_FREE:
        case PS_ACTION_FREE_REQUESTED:
            place->free++;
            break;
        case PS_ACTION_SEGMENT_ALLOC:
        case PS_ACTION_SEGMENT_FREE:
        case PS_ACTION_SEGMENT_MAP:
        case PS_ACTION_SEGMENT_UNMAP:
            count->segment_events++;
            break;
        case PS_ACTION_OOM:
            count->oom++;
            break;
        case PS_ACTION_FREE_COMPLETED:
        case PS_ACTION_SNAPSHOT:
            break;
        }
    }
}

static void count_events(const ps_trace *trace, ps_trace_counts *count)
{
    *count = (ps_trace_counts){
        .kernel = trace->kernel.head.count,
        .memcpy = trace->memcpy.head.count,
        .memset = trace->memset.head.count,
        .collective = trace->collective.head.count,
        .sync = trace->sync.head.count,
        .range = trace->range.head.count,
        .host = trace->call.head.count,
        .total = ps_trace_event_count(trace),
    };
    for (size_t i = 0; i < trace->range.head.count; i++) {
        const uint8_t category = trace->range.category[i];
        count->range_by_category[category < PS_RANGE_CATEGORY_COUNT ? category : PS_RANGE_OTHER]++;
    }
    for (size_t i = 0; i < trace->call.head.count; i++) {
        count->call_by_api[trace->call.api[i] == PS_API_DRIVER ? PS_API_DRIVER : PS_API_RUNTIME]++;
    }
    count_memory(&trace->memory, count);
}

/* ---- the span of time ---- */

static void extend(ps_ns start, ps_ns end, ps_ns *first, ps_ns *last)
{
    *first = start < *first ? start : *first;
    *last = end > *last ? end : *last;
}

static void find_span(const ps_trace *trace, ps_trace_summary *out)
{
    ps_ns first = PS_TIME_NEVER, last = INT64_MIN;
    for (int t = PS_TABLE_RANGE; t <= PS_TABLE_SYNC; t++) {
        const ps_table_spec *spec = &ps_trace_specs()[t];
        const ps_table_head *table = ps_trace_table_const(trace, (ps_trace_table_id)t);
        /* the first two columns of every timed table are start_ns and dur_ns */
        const ps_ns *start = ps_table_array(&spec->columns[0], table);
        const ps_ns *duration = ps_table_array(&spec->columns[1], table);
        for (size_t i = 0; i < table->count; i++) {
            extend(start[i], ps_time_add(start[i], duration[i]), &first, &last);
        }
    }
    for (size_t i = 0; i < trace->memory.head.count; i++) {
        extend(trace->memory.time_ns[i], trace->memory.time_ns[i], &first, &last);
    }
    const char *clock = ps_trace_meta(trace, PS_META_CLOCK);
    out->has_times = clock == NULL || strcmp(clock, "order") != 0;
    if (last >= first && out->has_times) {
        out->start_ns = first;
        out->duration_ns = ps_time_add(last, first == INT64_MIN ? PS_TIME_NEVER : -first);
    }
}

/* ---- devices ---- */

/* A device while it is summed up. */
typedef struct tally {
    ps_summary_device *device;
    size_t count, capacity;
    struct tally_scratch {
        ps_idmap streams;
        ps_ns busy_until;
    } * scratch; /* parallel to device */
    size_t scratch_capacity;
} tally;

static ps_code tally_at(tally *self, uint32_t ordinal, size_t *out, ps_error *err)
{
    for (size_t i = 0; i < self->count; i++) {
        if (self->device[i].ordinal == ordinal) {
            *out = i;
            return PS_OK;
        }
    }
    PS_TRY(ps_grow((void **)&self->device, &self->capacity, self->count + 1, DEVICES_MAX,
                   sizeof *self->device, err));
    PS_TRY(ps_grow((void **)&self->scratch, &self->scratch_capacity, self->count + 1, DEVICES_MAX,
                   sizeof *self->scratch, err));
    self->device[self->count] = (ps_summary_device){.ordinal = ordinal, .kind = PS_DEVICE_OTHER};
    ps_idmap_init(&self->scratch[self->count].streams);
    self->scratch[self->count].busy_until = INT64_MIN;
    *out = self->count++;
    return PS_OK;
}

static void tally_fini(tally *self)
{
    for (size_t i = 0; i < self->count; i++) {
        ps_idmap_fini(&self->scratch[i].streams);
    }
    ps_free(self->scratch);
    ps_free(self->device);
}

static ps_code add_listed(const ps_trace *trace, tally *self, ps_error *err)
{
    const ps_device_table *listed = &trace->device;
    for (size_t i = 0; i < listed->head.count; i++) {
        size_t at;
        if (listed->kind[i] == PS_DEVICE_HOST) {
            continue;
        }
        PS_TRY(tally_at(self, listed->device[i], &at, err));
        self->device[at].kind = (ps_device_kind)listed->kind[i];
        self->device[at].name = listed->name[i];
        self->device[at].memory_bytes = listed->memory_bytes[i];
    }
    return PS_OK;
}

/* One piece of device work; pieces come in order of their starts. */
static ps_code add_work(tally *self, uint32_t ordinal, uint64_t stream, ps_ns start, ps_ns duration,
                        size_t *at, ps_error *err)
{
    PS_TRY(tally_at(self, ordinal, at, err));
    struct tally_scratch *scratch = &self->scratch[*at];
    ps_summary_device *device = &self->device[*at];
    const ps_ns end = ps_time_add(start, duration);
    const ps_ns from = start > scratch->busy_until ? start : scratch->busy_until;
    if (end > from) {
        device->busy_ns = ps_time_add(device->busy_ns, end - from);
        scratch->busy_until = end;
    }
    if (ps_idmap_get(&scratch->streams, stream) == PS_IDMAP_NONE) {
        device->stream_count++;
        PS_TRY(ps_idmap_put(&scratch->streams, stream, 1, err));
    }
    return PS_OK;
}

/* The next row of a table, or never. */
static ps_ns next_start(const ps_ns *start, size_t row, size_t count)
{
    return row < count ? start[row] : PS_TIME_NEVER;
}

static ps_code add_all_work(const ps_trace *trace, tally *self, ps_error *err)
{
    const ps_kernel_table *kernel = &trace->kernel;
    const ps_memcpy_table *copy = &trace->memcpy;
    const ps_memset_table *fill = &trace->memset;
    const size_t kernels = kernel->head.count, copies = copy->head.count, fills = fill->head.count;
    size_t k = 0, c = 0, f = 0, at = 0;
    while (k < kernels || c < copies || f < fills) {
        const ps_ns kernel_ns = next_start(kernel->start_ns, k, kernels);
        const ps_ns copy_ns = next_start(copy->start_ns, c, copies);
        const ps_ns fill_ns = next_start(fill->start_ns, f, fills);
        if (k < kernels && kernel_ns <= copy_ns && kernel_ns <= fill_ns) {
            PS_TRY(add_work(self, kernel->device[k], kernel->stream[k], kernel_ns,
                            kernel->dur_ns[k], &at, err));
            self->device[at].kernel_count++;
            k++;
        } else if (c < copies && copy_ns <= fill_ns) {
            PS_TRY(add_work(self, copy->device[c], copy->stream[c], copy_ns, copy->dur_ns[c], &at,
                            err));
            self->device[at].memcpy_count++;
            c++;
        } else {
            PS_TRY(add_work(self, fill->device[f], fill->stream[f], fill_ns, fill->dur_ns[f], &at,
                            err));
            self->device[at].memset_count++;
            f++;
        }
    }
    return PS_OK;
}

static ps_code add_memory(const ps_trace *trace, tally *self, ps_error *err)
{
    const ps_memory_table *memory = &trace->memory;
    size_t at;
    for (size_t i = 0; i < memory->head.count; i++) {
        if (memory->device_kind[i] != PS_DEVICE_HOST) {
            PS_TRY(tally_at(self, memory->device[i], &at, err));
            self->device[at].memory_count++;
            if (self->device[at].kind == PS_DEVICE_OTHER) {
                self->device[at].kind = (ps_device_kind)memory->device_kind[i];
            }
        }
    }
    for (size_t i = 0; i < trace->segment.head.count; i++) {
        PS_TRY(tally_at(self, trace->segment.device[i], &at, err));
        self->device[at].segment_count++;
    }
    return PS_OK;
}

static void sort_devices(tally *self)
{
    for (size_t i = 1; i < self->count; i++) {
        const ps_summary_device moved = self->device[i];
        size_t to = i;
        while (to > 0 && self->device[to - 1].ordinal > moved.ordinal) {
            self->device[to] = self->device[to - 1];
            to--;
        }
        self->device[to] = moved;
    }
}

static void raise_known(ps_known_bytes *greatest, ps_known_bytes one)
{
    if (one.is_known && (!greatest->is_known || one.bytes > greatest->bytes)) {
        *greatest = one;
    }
}

static ps_code sum_up_devices(const ps_trace *trace, tally *self, ps_trace_summary *out,
                              ps_error *err)
{
    PS_TRY(add_listed(trace, self, err));
    PS_TRY(add_all_work(trace, self, err));
    PS_TRY(add_memory(trace, self, err));
    for (size_t i = 0; i < self->count; i++) {
        ps_summary_device *device = &self->device[i];
        if (device->memory_count > 0 || device->segment_count > 0) {
            PS_TRY(ps_trace_recorded_peaks(trace, device->ordinal, &device->peak_allocated,
                                           &device->peak_reserved, err));
        }
        raise_known(&out->peak_allocated, device->peak_allocated);
        raise_known(&out->peak_reserved, device->peak_reserved);
    }
    return PS_OK;
}

static ps_code find_devices(const ps_trace *trace, ps_trace_summary *out, ps_error *err)
{
    tally self = {0};
    const ps_code code = sum_up_devices(trace, &self, out, err);
    if (code == PS_OK) {
        sort_devices(&self);
        out->device = self.device;
        out->device_count = self.count;
        out->device_capacity = self.capacity;
        self.device = NULL;
    }
    tally_fini(&self);
    return code;
}

/* ---- steps ---- */

/* "ProfilerStep#12", nothing behind the number. */
static bool is_step(const char *name)
{
    const size_t prefix = sizeof STEP_PREFIX - 1;
    if (strncmp(name, STEP_PREFIX, prefix) != 0 || name[prefix] == '\0') {
        return false;
    }
    return name[prefix + strspn(name + prefix, "0123456789")] == '\0';
}

static ps_code find_steps(const ps_trace *trace, ps_trace_summary *out, ps_error *err)
{
    const ps_range_table *range = &trace->range;
    for (size_t i = 0; i < range->head.count; i++) {
        if (range->category[i] != PS_RANGE_ANNOTATION ||
            !is_step(ps_strings_text(trace->strings, range->name[i]))) {
            continue;
        }
        PS_TRY(ps_grow((void **)&out->step, &out->step_capacity, out->step_count + 1, STEPS_MAX,
                       sizeof *out->step, err));
        out->step[out->step_count++] =
            (ps_summary_step){range->name[i], range->start_ns[i], range->dur_ns[i]};
    }
    return PS_OK;
}

ps_code ps_trace_summarise(const ps_trace *trace, ps_trace_summary *out, ps_error *err)
{
    ps_trace_summary made = {0};
    count_events(trace, &made.count);
    find_span(trace, &made);
    ps_code code = find_devices(trace, &made, err);
    code = code == PS_OK ? find_steps(trace, &made, err) : code;
    if (code != PS_OK) {
        ps_trace_summary_fini(&made);
        return code;
    }
    *out = made;
    return PS_OK;
}

void ps_trace_summary_fini(ps_trace_summary *self)
{
    ps_free(self->device);
    ps_free(self->step);
    *self = (ps_trace_summary){0};
}
