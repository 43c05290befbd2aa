/* SPDX-License-Identifier: MIT
 *
 * What the model does in a call beside what the record shows: segment events in
 * their order, and completions of frees.
 */
#include "alloc/history_compare.h"
#include "alloc/history_proof_parts.h"
#include "base/memory.h"

void ps__replay_on_event(void *ctx, const ps_alloc_event *event)
{
    ps__replay *self = ctx;
    if (self->event_code != PS_OK) {
        return;
    }
    void *events = self->event;
    self->event_code = ps_grow(&events, &self->event_capacity, self->event_count + 1,
                               PS__REPLAY_MAX_ITEMS, sizeof *self->event, self->err);
    if (self->event_code != PS_OK) {
        return;
    }
    self->event = events;
    self->event[self->event_count++] = *event;
    if (event->kind == PS_ALLOC_SEGMENT_ALLOC && !ps_pool_id_is_default(event->pool)) {
        self->event_code = ps__replay_note_private(self, event->addr, event->pool);
    }
}

static ps_alloc_event_kind kind_of(ps_memory_action action)
{
    switch (action) {
    case PS_ACTION_SEGMENT_ALLOC:
        return PS_ALLOC_SEGMENT_ALLOC;
    case PS_ACTION_SEGMENT_FREE:
        return PS_ALLOC_SEGMENT_FREE;
    case PS_ACTION_SEGMENT_MAP:
        return PS_ALLOC_SEGMENT_MAP;
    case PS_ACTION_SEGMENT_UNMAP:
        return PS_ALLOC_SEGMENT_UNMAP;
    case PS_ACTION_ALLOC:
    case PS_ACTION_FREE:
    case PS_ACTION_FREE_REQUESTED:
    case PS_ACTION_FREE_COMPLETED:
    case PS_ACTION_OOM:
    case PS_ACTION_SNAPSHOT:
        break;
    }
    return PS_ALLOC_FREE_COMPLETED;
}

static const char *const kind_name[] = {"segment_alloc", "segment_free", "segment_map",
                                        "segment_unmap", "free_completed"};

static bool is_release_event(const ps_alloc_event *event)
{
    return event->kind == PS_ALLOC_SEGMENT_FREE || event->kind == PS_ALLOC_SEGMENT_UNMAP;
}

static bool is_same_event(const ps__replay *self, size_t at, const ps_alloc_event *event)
{
    const ps_memory_table *memory = self->record.memory;
    const size_t row = ps__replay_row(self, at);
    return kind_of(ps__record_action(&self->record, at)) == event->kind &&
           memory->addr[row] == event->addr && memory->bytes[row] == event->bytes &&
           memory->stream[row] == event->stream;
}

/* Next segment event of either side, from a position on; the end when there is none. */
static size_t next_recorded(const ps__replay *self, size_t at, size_t end)
{
    while (at < end && !ps__record_is_segment(&self->record, at)) {
        at++;
    }
    return at;
}

static size_t next_modelled(const ps__replay *self, size_t i)
{
    while (i < self->event_count && self->event[i].kind == PS_ALLOC_FREE_COMPLETED) {
        i++;
    }
    return i;
}

static void note_event(ps__replay *self, size_t at, size_t end, const ps_alloc_event *event)
{
    const ps_memory_table *memory = self->record.memory;
    const size_t row = ps__replay_row(self, at < end ? at : end - 1);
    const bool is_recorded = at < end;
    ps__history_note(
        &self->report, row, "%s %#llx of %llu bytes recorded, %s %#llx of %llu bytes modelled",
        is_recorded ? kind_name[kind_of(ps__record_action(&self->record, at))] : "nothing",
        (unsigned long long)(is_recorded ? memory->addr[row] : 0),
        (unsigned long long)(is_recorded ? memory->bytes[row] : 0),
        event != NULL ? kind_name[event->kind] : "nothing",
        (unsigned long long)(event != NULL ? event->addr : 0),
        (unsigned long long)(event != NULL ? event->bytes : 0));
}

void ps__replay_compare_events(ps__replay *self, size_t begin, size_t end)
{
    bool has_release = false;
    bool is_equal = true;
    size_t at = next_recorded(self, begin, end);
    size_t i = next_modelled(self, 0);
    while (at < end || i < self->event_count) {
        const ps_alloc_event *event = i < self->event_count ? &self->event[i] : NULL;
        const bool is_same = at < end && event != NULL && is_same_event(self, at, event);
        has_release |= (event != NULL && is_release_event(event)) ||
                       (at < end && ps__record_is_release(&self->record, at));
        is_equal &= is_same;
        self->report.segment.compared++;
        self->report.segment.equal += is_same;
        if (!is_same) {
            note_event(self, at, end, event);
        }
        at = at < end ? next_recorded(self, at + 1, end) : end;
        i = event != NULL ? next_modelled(self, i + 1) : i;
    }
    self->report.release.compared += has_release;
    self->report.release.equal += has_release && is_equal;
    self->event_count = 0;
}

void ps__replay_check_completions(ps__replay *self, size_t begin, size_t end)
{
    for (size_t at = begin; at < end; at++) {
        if (ps__record_action(&self->record, at) != PS_ACTION_FREE_COMPLETED) {
            continue;
        }
        const uint64_t addr = self->record.memory->addr[ps__replay_row(self, at)];
        bool is_found = false;
        for (size_t i = 0; i < self->event_count && !is_found; i++) {
            is_found =
                self->event[i].kind == PS_ALLOC_FREE_COMPLETED && self->event[i].addr == addr;
        }
        if (!is_found) {
            ps__replay_unmatched(self, at, "completion of a free");
        }
        ps__replay_let_go(self, addr);
    }
}
