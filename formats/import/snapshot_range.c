/* SPDX-License-Identifier: MIT
 *
 * external_annotations of a memory snapshot -> range rows.
 *
 * Each annotation is two entries, START and END, with the same name and
 * device; the innermost open START of that name is the one an END closes.
 * What was open when recording began or ended is cut there and counted.
 */
#include "base/memory.h"
#include "import/snapshot_parts.h"

#define NS_PER_US 1000
#define OPEN_MAX ((size_t)4096)

struct ps_snapshot_range {
    ps_str name; /* text of the pickle */
    uint64_t device;
    ps_ns start_ns;
};

typedef struct annotation {
    ps_str stage, name;
    uint64_t device, time_us;
    bool has_time;
} annotation;

static ps_code read_field(const ps_snapshot *self, const ps_pickle_value *pair, annotation *read,
                          ps_error *err)
{
    switch (ps_snapshot_key(pair)) {
    case PS_WORD_STAGE:
        return ps_snapshot_get_text(self, pair, &read->stage, err);
    case PS_WORD_NAME:
        return ps_snapshot_get_text(self, pair, &read->name, err);
    case PS_WORD_DEVICE:
        return ps_snapshot_get_u64(self, pair, &read->device, err);
    case PS_WORD_TIME_US:
        read->has_time = true;
        PS_TRY(ps_snapshot_get_u64(self, pair, &read->time_us, err));
        return read->time_us <= INT64_MAX / NS_PER_US
                   ? PS_OK
                   : ps_snapshot_fail_key(self, pair, "a time in microseconds", err);
    default:
        return PS_OK;
    }
}

static ps_code put_row(ps_snapshot *self, const struct ps_snapshot_range *range, ps_ns end_ns,
                       ps_error *err)
{
    ps_trace *chunk = ps_trace_builder_chunk(self->out);
    size_t row;
    ps_str name;
    PS_TRY(ps_strings_put_z(chunk->strings, ps_strings_text(self->texts, range->name), &name, err));
    PS_TRY(ps_trace_add(chunk, PS_TABLE_RANGE, &row, err));
    chunk->range.start_ns[row] = range->start_ns;
    chunk->range.dur_ns[row] = end_ns > range->start_ns ? end_ns - range->start_ns : 0;
    chunk->range.category[row] = PS_RANGE_ANNOTATION;
    chunk->range.name[row] = name;
    return ps_trace_builder_step(self->out, err);
}

static ps_code begin(ps_snapshot *self, const annotation *read, ps_ns time_ns, ps_error *err)
{
    ps_snapshot_ranges *ranges = &self->ranges;
    if (ranges->open_count >= OPEN_MAX) {
        return ps_fail(err, PS_LIMIT, "more than %zu annotations are open at once", OPEN_MAX);
    }
    PS_TRY(ps_grow((void **)&ranges->open, &ranges->open_capacity, ranges->open_count + 1, OPEN_MAX,
                   sizeof *ranges->open, err));
    ranges->open[ranges->open_count++] =
        (struct ps_snapshot_range){read->name, read->device, time_ns};
    return PS_OK;
}

static ps_code end(ps_snapshot *self, const annotation *read, ps_ns time_ns, ps_error *err)
{
    ps_snapshot_ranges *ranges = &self->ranges;
    size_t at = ranges->open_count;
    while (at > 0 && (ranges->open[at - 1].name != read->name ||
                      ranges->open[at - 1].device != read->device)) {
        at--;
    }
    if (at == 0) {
        return ps_trace_builder_loss(self->out, "cut-ranges", 1, err);
    }
    const struct ps_snapshot_range range = ranges->open[at - 1];
    for (; at < ranges->open_count; at++) {
        ranges->open[at - 1] = ranges->open[at];
    }
    ranges->open_count--;
    return put_row(self, &range, time_ns, err);
}

ps_code ps_snapshot_annotation_read(ps_snapshot *self, const ps_pickle_value *pairs,
                                    size_t pair_count, ps_error *err)
{
    ps_snapshot_events *events = &self->events;
    annotation read = {0};
    for (size_t i = 0; i < pair_count; i++) {
        PS_TRY(read_field(self, &pairs[2 * i], &read, err));
    }
    self->ranges.annotation_count++;
    if (!read.has_time || events->clock == PS_SNAPSHOT_CLOCK_ORDER) {
        return ps_trace_builder_loss(self->out, "missing-timestamps", 1, err);
    }
    events->clock = PS_SNAPSHOT_CLOCK_UNIX;
    const ps_ns time_ns = (ps_ns)read.time_us * NS_PER_US;
    if (time_ns > events->last_ns) {
        events->last_ns = time_ns;
    }
    if (read.stage == PS_WORD_START) {
        return begin(self, &read, time_ns, err);
    }
    if (read.stage == PS_WORD_END) {
        return end(self, &read, time_ns, err);
    }
    return ps_trace_builder_loss(self->out, "unknown-categories", 1, err);
}

ps_code ps_snapshot_ranges_finish(ps_snapshot *self, ps_error *err)
{
    const ps_snapshot_ranges *ranges = &self->ranges;
    for (size_t i = ranges->open_count; i-- > 0;) {
        PS_TRY(put_row(self, &ranges->open[i], self->events.last_ns, err));
    }
    return ps_trace_builder_loss(self->out, "cut-ranges", ranges->open_count, err);
}
