/* SPDX-License-Identifier: MIT
 *
 * device_traces of a memory snapshot -> rows of the memory table.
 *
 *   action           row
 *   alloc            ALLOC, requested bytes
 *   free_requested   FREE when the next event completes it, else FREE_REQUESTED
 *   free_completed   FREE_COMPLETED unless merged so
 *   segment_*        SEGMENT_*, bytes taken from or given back to the driver
 *   oom              OOM, bytes asked of the driver, device_free
 *   snapshot         SNAPSHOT
 *   another          counted as unknown-categories
 *
 * An event becomes a row when its dict is filled, because the lists reach
 * millions. Which device it belongs to follows from where the dict lies on the
 * pickle's stack; the lists check it when they receive the event.
 *
 * time_us is Unix time; snapshots of old versions have none, their rows then
 * carry the position in the list instead.
 */
#include <inttypes.h>

#include "base/memory.h"
#include "import/snapshot_parts.h"

#define NS_PER_US 1000

ps_code ps_snapshot_device_at(ps_snapshot *self, uint64_t device, struct ps_snapshot_device **out,
                              ps_error *err)
{
    ps_snapshot_events *events = &self->events;
    if (device >= PS_SNAPSHOT_DEVICES_MAX) {
        return ps_fail(err, PS_LIMIT, "device %" PRIu64 ", the limit is %u devices", device,
                       PS_SNAPSHOT_DEVICES_MAX);
    }
    PS_TRY(ps_grow((void **)&events->device, &events->device_capacity, (size_t)device + 1,
                   PS_SNAPSHOT_DEVICES_MAX, sizeof *events->device, err));
    for (; events->device_count <= device; events->device_count++) {
        events->device[events->device_count] = (struct ps_snapshot_device){0};
    }
    *out = &events->device[device];
    return PS_OK;
}

static bool action_of(ps_str word, ps_memory_action *action)
{
    switch (word) {
    case PS_WORD_ALLOC:
        *action = PS_ACTION_ALLOC;
        return true;
    case PS_WORD_FREE_REQUESTED:
        *action = PS_ACTION_FREE_REQUESTED;
        return true;
    case PS_WORD_FREE_COMPLETED:
        *action = PS_ACTION_FREE_COMPLETED;
        return true;
    case PS_WORD_SEGMENT_ALLOC:
        *action = PS_ACTION_SEGMENT_ALLOC;
        return true;
    case PS_WORD_SEGMENT_FREE:
        *action = PS_ACTION_SEGMENT_FREE;
        return true;
    case PS_WORD_SEGMENT_MAP:
        *action = PS_ACTION_SEGMENT_MAP;
        return true;
    case PS_WORD_SEGMENT_UNMAP:
        *action = PS_ACTION_SEGMENT_UNMAP;
        return true;
    case PS_WORD_OOM:
        *action = PS_ACTION_OOM;
        return true;
    case PS_WORD_SNAPSHOT:
        *action = PS_ACTION_SNAPSHOT;
        return true;
    default:
        return false;
    }
}

static ps_code read_field(ps_snapshot *self, const ps_pickle_value *pair, ps_snapshot_event *event,
                          ps_error *err)
{
    ps_str action;
    uint64_t time_us;
    switch (ps_snapshot_key(pair)) {
    case PS_WORD_ACTION:
        PS_TRY(ps_snapshot_get_text(self, pair, &action, err));
        event->is_known = action_of(action, &event->action);
        return PS_OK;
    case PS_WORD_ADDR:
        return ps_snapshot_get_addr(self, pair, &event->addr, err);
    case PS_WORD_SIZE:
        event->has_size = true;
        return ps_snapshot_get_u64(self, pair, &event->bytes, err);
    case PS_WORD_STREAM:
        return ps_snapshot_get_u64(self, pair, &event->stream, err);
    case PS_WORD_TIME_US:
        PS_TRY(ps_snapshot_get_u64(self, pair, &time_us, err));
        if (time_us > INT64_MAX / NS_PER_US) {
            return ps_snapshot_fail_key(self, pair, "a time in microseconds", err);
        }
        event->has_time = true;
        event->time_us = (int64_t)time_us;
        return PS_OK;
    case PS_WORD_DEVICE_FREE:
        return ps_snapshot_get_u64(self, pair, &event->device_free, err);
    case PS_WORD_POOL_ID:
        return ps_snapshot_get_pool(self, pair, &event->pool, err);
    case PS_WORD_FRAMES:
        return ps_snapshot_get_stack(self, pair, &event->stack, err);
    default:
        return PS_OK;
    }
}

/*
 * Which list of device_traces will receive the dict being filled? Two layouts
 * occur, with L the list and T device_traces:
 *
 *   T ( .. L ( event event DICT      a mark over each list that gets several items
 *   key T L DICT                     no mark over a list that gets just one
 */
static bool find_list(const ps_snapshot *self, size_t slot, size_t *list)
{
    const size_t group = ps_pickle_group(self->pickle, slot);
    if (slot > group && ps_pickle_at(self->pickle, slot - 1)->type == PS_PICKLE_LIST) {
        *list = slot - 1;
        return true;
    }
    if (group > 0 && ps_pickle_at(self->pickle, group - 1)->type == PS_PICKLE_LIST) {
        *list = group - 1;
        return true;
    }
    return false;
}

static bool find_device(const ps_snapshot *self, uint64_t *device)
{
    size_t list;
    if (!find_list(self, ps_pickle_slot(self->pickle), &list)) {
        return false;
    }
    const ps_pickle_value *events = ps_pickle_at(self->pickle, list);
    if (events->tag == PS_TAG_EVENT) {
        *device = events->as.box.node;
        return true;
    }
    const size_t group = ps_pickle_group(self->pickle, list);
    if (group > 0 && ps_pickle_at(self->pickle, group - 1)->type == PS_PICKLE_LIST) {
        *device = ps_pickle_at(self->pickle, group - 1)->as.box.count + (list - group);
        return true;
    }
    if (list > group && ps_pickle_at(self->pickle, list - 1)->type == PS_PICKLE_LIST) {
        *device = ps_pickle_at(self->pickle, list - 1)->as.box.count;
        return true;
    }
    return false;
}

/* Times never fail: an event without one takes the time of the event before it. */
static ps_code take_time(ps_snapshot *self, struct ps_snapshot_device *device,
                         const ps_snapshot_event *event, ps_ns *out, ps_error *err)
{
    ps_snapshot_events *events = &self->events;
    if (events->clock == PS_SNAPSHOT_CLOCK_UNKNOWN) {
        events->clock = event->has_time ? PS_SNAPSHOT_CLOCK_UNIX : PS_SNAPSHOT_CLOCK_ORDER;
    }
    if (events->clock == PS_SNAPSHOT_CLOCK_ORDER) {
        device->last_ns = (ps_ns)device->event_count;
    } else if (event->has_time) {
        device->last_ns = event->time_us * NS_PER_US;
    } else {
        PS_TRY(ps_trace_builder_loss(self->out, "missing-timestamps", 1, err));
    }
    device->event_count++;
    events->event_count++;
    if (device->last_ns > events->last_ns) {
        events->last_ns = device->last_ns;
    }
    *out = device->last_ns;
    return PS_OK;
}

static ps_code put_row(ps_snapshot *self, uint32_t device, ps_ns time_ns,
                       const ps_snapshot_event *event, ps_error *err)
{
    ps_trace *chunk = ps_trace_builder_chunk(self->out);
    size_t row;
    ps_str stack;
    PS_TRY(ps_snapshot_stack_put(self, event->stack, chunk->strings, &stack, err));
    PS_TRY(ps_trace_add(chunk, PS_TABLE_MEMORY, &row, err));
    ps_memory_table *memory = &chunk->memory;
    memory->time_ns[row] = time_ns;
    memory->action[row] = (uint8_t)event->action;
    memory->device_kind[row] = PS_DEVICE_CUDA;
    memory->device[row] = device;
    memory->bytes[row] = event->bytes;
    memory->addr[row] = event->addr;
    memory->stream[row] = event->stream;
    memory->device_free[row] = event->action == PS_ACTION_OOM ? event->device_free + 1 : 0;
    memory->stack[row] = stack;
    memory->pool_owner[row] = self->pools.pool[event->pool].owner;
    memory->pool_serial[row] = self->pools.pool[event->pool].serial;
    return ps_trace_builder_step(self->out, err);
}

static ps_code flush_pending(ps_snapshot *self, ps_error *err)
{
    ps_snapshot_events *events = &self->events;
    if (!events->has_pending) {
        return PS_OK;
    }
    events->has_pending = false;
    return put_row(self, events->pending_device, events->pending_ns, &events->pending, err);
}

/* Merges a free_completed with the free_requested just before it; true when it did. */
static bool completes_pending(ps_snapshot_events *events, uint32_t device,
                              const ps_snapshot_event *event)
{
    const ps_snapshot_event *pending = &events->pending;
    if (!events->has_pending || event->action != PS_ACTION_FREE_COMPLETED ||
        events->pending_device != device || pending->addr != event->addr ||
        pending->bytes != event->bytes || pending->stream != event->stream) {
        return false;
    }
    events->pending.action = PS_ACTION_FREE;
    return true;
}

static ps_code put_event(ps_snapshot *self, uint32_t device, const ps_snapshot_event *event,
                         ps_error *err)
{
    ps_snapshot_events *events = &self->events;
    struct ps_snapshot_device *record = NULL;
    ps_ns time_ns;
    PS_TRY(ps_snapshot_device_at(self, device, &record, err));
    PS_TRY(take_time(self, record, event, &time_ns, err));
    if (!event->is_known) {
        return ps_trace_builder_loss(self->out, "unknown-categories", 1, err);
    }
    const bool is_merged = completes_pending(events, device, event);
    PS_TRY(flush_pending(self, err));
    if (is_merged) {
        return PS_OK;
    }
    if (event->action == PS_ACTION_FREE_REQUESTED) {
        events->has_pending = true;
        events->pending_device = device;
        events->pending_ns = time_ns;
        events->pending = *event;
        return PS_OK;
    }
    return put_row(self, device, time_ns, event, err);
}

ps_code ps_snapshot_event_read(ps_snapshot *self, ps_pickle_value *dict,
                               const ps_pickle_value *pairs, size_t pair_count, ps_error *err)
{
    ps_snapshot_event event = {0};
    uint64_t device = 0;
    if (!find_device(self, &device)) {
        dict->tag = PS_TAG_OTHER; /* a dict like an event, but not in a list of lists */
        return PS_OK;
    }
    for (size_t i = 0; i < pair_count; i++) {
        PS_TRY(read_field(self, &pairs[2 * i], &event, err));
    }
    if (event.is_known && !event.has_size) {
        return ps_fail(err, PS_BAD_INPUT, "a trace event has no size");
    }
    if (device >= PS_SNAPSHOT_DEVICES_MAX) {
        return ps_fail(err, PS_LIMIT, "device_traces has more than %u lists",
                       PS_SNAPSHOT_DEVICES_MAX);
    }
    PS_TRY(put_event(self, (uint32_t)device, &event, err));
    dict->tag = PS_TAG_EVENT;
    dict->as.box.node = (uint32_t)device;
    return PS_OK;
}

ps_code ps_snapshot_events_list(ps_snapshot *self, ps_pickle_value *list,
                                const ps_pickle_value *items, size_t count, ps_error *err)
{
    (void)self;
    const uint32_t device = list->tag == PS_TAG_EVENT ? list->as.box.node : items[0].as.box.node;
    for (size_t i = 0; i < count; i++) {
        if (items[i].as.box.node != device) {
            return ps_fail(err, PS_UNSUPPORTED,
                           "the events of device %" PRIu32 " and device %" PRIu32
                           " are written interleaved",
                           device, items[i].as.box.node);
        }
    }
    list->tag = PS_TAG_EVENT;
    list->as.box.node = device;
    return PS_OK;
}

ps_code ps_snapshot_traces_list(ps_snapshot *self, ps_pickle_value *list,
                                const ps_pickle_value *items, size_t count, ps_error *err)
{
    uint32_t has_events = list->tag == PS_TAG_TRACE ? list->as.box.node : 0;
    for (size_t i = 0; i < count; i++) {
        const uint64_t place = (uint64_t)list->as.box.count + i;
        struct ps_snapshot_device *device = NULL;
        if (items[i].tag == PS_TAG_NOTHING) {
            continue;
        }
        PS_TRY(ps_snapshot_device_at(self, items[i].as.box.node, &device, err));
        if (items[i].as.box.node != place || device->is_placed ||
            items[i].as.box.count != device->event_count) {
            return ps_fail(err, PS_UNSUPPORTED,
                           "list %" PRIu64 " of device_traces does not hold the events that were "
                           "written for it",
                           place);
        }
        device->is_placed = true;
        has_events = 1;
    }
    list->tag = PS_TAG_TRACE;
    list->as.box.node = has_events;
    return PS_OK;
}

static ps_code put_device(ps_snapshot *self, uint32_t device, ps_error *err)
{
    ps_trace *chunk = ps_trace_builder_chunk(self->out);
    size_t row;
    PS_TRY(ps_trace_add(chunk, PS_TABLE_DEVICE, &row, err));
    chunk->device.device[row] = device;
    chunk->device.kind[row] = PS_DEVICE_CUDA;
    return ps_trace_builder_step(self->out, err);
}

ps_code ps_snapshot_events_finish(ps_snapshot *self, ps_error *err)
{
    const ps_snapshot_events *events = &self->events;
    PS_TRY(flush_pending(self, err));
    for (size_t i = 0; i < events->device_count; i++) {
        const struct ps_snapshot_device *device = &events->device[i];
        if (device->event_count > 0 && !device->is_placed) {
            return ps_fail(err, PS_BAD_INPUT,
                           "trace events lie outside device_traces: %" PRIu64
                           " that seem to be of device %zu",
                           device->event_count, i);
        }
        if (device->event_count > 0 || device->has_segment) {
            PS_TRY(put_device(self, (uint32_t)i, err));
        }
    }
    return ps_trace_builder_meta(self->out, PS_META_CLOCK,
                                 events->clock == PS_SNAPSHOT_CLOCK_ORDER ? "order" : "unix-ns",
                                 err);
}
