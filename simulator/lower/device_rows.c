/* SPDX-License-Identifier: MIT
 *
 * Kernels, copies and fills of a trace as one list by start.
 */
#include "lower/device_parts.h"

/* The columns that all three tables have. */
typedef struct device_table {
    size_t count;
    const ps_ns *start_ns, *dur_ns;
    const uint32_t *device;
    const uint64_t *stream, *correlation;
} device_table;

static device_table table_of(const ps_trace *trace, ps_device_source source)
{
#define TABLE(of)                                                                      \
    (device_table)                                                                     \
    {                                                                                  \
        .count = (of).head.count, .start_ns = (of).start_ns, .dur_ns = (of).dur_ns,    \
        .device = (of).device, .stream = (of).stream, .correlation = (of).correlation, \
    }
    switch (source) {
    case PS_SOURCE_KERNEL:
        return TABLE(trace->kernel);
    case PS_SOURCE_MEMCPY:
        return TABLE(trace->memcpy);
    case PS_SOURCE_MEMSET:
    case PS_SOURCE_COUNT:
        break;
    }
    return TABLE(trace->memset);
#undef TABLE
}

static bool comes_before(const ps_device_row *a, const ps_device_row *b)
{
    return a->start_ns != b->start_ns ? a->start_ns < b->start_ns : a->dur_ns == 0 && b->dur_ns > 0;
}

bool ps__device_rows_next(ps_device_rows *self, ps_device_row *out)
{
    bool found = false;
    for (int source = 0; source < PS_SOURCE_COUNT; source++) {
        const device_table table = table_of(self->trace, (ps_device_source)source);
        const size_t i = self->next[source];
        if (i == table.count) {
            continue;
        }
        const ps_device_row row = {.source = (ps_device_source)source,
                                   .row = i,
                                   .start_ns = table.start_ns[i],
                                   .dur_ns = table.dur_ns[i],
                                   .device = table.device[i],
                                   .stream = table.stream[i],
                                   .correlation = table.correlation[i]};
        if (!found || comes_before(&row, out)) {
            *out = row;
            found = true;
        }
    }
    if (found) {
        self->next[out->source]++;
    }
    return found;
}
