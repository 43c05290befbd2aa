/* SPDX-License-Identifier: MIT
 *
 * Replaying a record to prove the model: one pass over the events, each call
 * handed to the model and everything it did compared with the record.
 */
#include "alloc/history_compare.h"
#include "alloc/history_replay.h"
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

/* The recorded address of the next new segment of this call, 0 when none is left. */
static uint64_t recorded_segment(ps__replay *self)
{
    for (; self->grown < self->call_end; self->grown++) {
        if (ps__record_action(&self->record, self->grown) == PS_ACTION_SEGMENT_ALLOC) {
            return self->record.memory->addr[ps__replay_row(self, self->grown++)];
        }
    }
    return 0;
}

/*
 * A new range begins where its first pages are mapped: in this call, or later if the
 * driver refuses now.
 */
static uint64_t recorded_range(const ps__replay *self, uint64_t stream)
{
    for (size_t at = self->grown; at < self->record.count; at++) {
        if (ps__record_action(&self->record, at) == PS_ACTION_SEGMENT_MAP &&
            self->record.memory->stream[ps__replay_row(self, at)] == stream) {
            return self->record.memory->addr[ps__replay_row(self, at)];
        }
    }
    return 0;
}

uint64_t ps__replay_choose_address(void *ctx, ps_alloc_address_kind kind, uint64_t bytes,
                                   uint64_t stream)
{
    ps__replay *self = ctx;
    (void)bytes;
    return kind == PS_ALLOC_ADDRESS_SEGMENT ? recorded_segment(self) : recorded_range(self, stream);
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

/* Compares the segment events of begin .. end with those the model made, and forgets the latter. */
static void compare_events(ps__replay *self, size_t begin, size_t end)
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

/* The completions of begin .. end that the model had to make itself: each must have happened. */
static void check_completions(ps__replay *self, size_t begin, size_t end)
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

static ps_code note_input(ps__replay *self, ps_history_input_kind kind, size_t at, ps_pool_id pool)
{
    void *inputs = self->input;
    PS_TRY(ps_grow(&inputs, &self->input_capacity, self->input_count + 1, PS__REPLAY_MAX_ITEMS,
                   sizeof *self->input, self->err));
    self->input = inputs;
    self->input[self->input_count++] =
        (ps_history_input){.kind = kind, .row = ps__replay_row(self, at), .pool = pool};
    return PS_OK;
}

/*
 * Pools whose segments are given back in begin .. end must be dead: the record is the
 * only witness.
 */
static ps_code declare_dead_pools(ps__replay *self, size_t begin, size_t end)
{
    uint32_t last = PS_IDMAP_NONE;
    for (size_t at = begin; at < end; at++) {
        if (!ps__record_is_release(&self->record, at)) {
            continue;
        }
        const uint64_t addr = self->record.memory->addr[ps__replay_row(self, at)];
        const uint32_t pool = ps_idmap_get(&self->private_segment, addr);
        if (pool != PS_IDMAP_NONE && pool != last) {
            PS_TRY(note_input(self, PS_HISTORY_INPUT_POOL_DEAD, at, self->pool[pool]));
            PS_TRY(ps_allocator_set_pool_state(self->model, self->pool[pool], PS_POOL_DEAD,
                                               self->err));
        }
        last = pool;
    }
    return PS_OK;
}

/* The program emptied the cache in begin .. end, which holds a release. */
static ps_code replay_empty_cache(ps__replay *self, size_t begin, size_t end)
{
    PS_TRY(declare_dead_pools(self, begin, end));
    PS_TRY(note_input(self, PS_HISTORY_INPUT_EMPTY_CACHE, end - 1, (ps_pool_id){0, 0}));
    PS_TRY(ps_allocator_release_cache(self->model, self->err));
    PS_TRY(self->event_code);
    check_completions(self, begin, end);
    compare_events(self, begin, end);
    return PS_OK;
}

/*
 * Does the front of this malloc belong to an emptied cache instead? Position behind
 * it, or call->begin.
 */
static size_t empty_cache_end(const ps__replay *self, const ps__record_call *call)
{
    const size_t end = ps__record_release_end(&self->record, call->begin, call->end);
    size_t named = call->begin;
    for (size_t at = call->begin; at < end; at++) {
        named = ps__record_is_empty_cache(&self->record, at) ? at + 1 : named;
    }
    if (named > call->begin || end == call->begin || !call->is_malloc) {
        return call->is_malloc ? named : end;
    }
    const ps_alloc_request request = ps__record_request(&self->record, call->end - 1);
    const ps_alloc_outlook outlook = ps_allocator_probe(self->model, &request);
    return outlook == PS_ALLOC_REFUSED || outlook == PS_ALLOC_COLLECTS ? call->begin : end;
}

/*
 * Completions at the front of a malloc were noticed before its search, or
 * waited for after the driver had refused. Only a call that fails at first can
 * have waited, and then waiting for all of them explains the record. (With a
 * finite max_split_size they matter earlier, to the release of oversize
 * blocks, so there they count as noticed.)
 */
static bool can_have_waited(const ps__replay *self, const ps__record_call *call)
{
    const size_t at = call->completions_end;
    return call->is_malloc && (call->has_release || call->is_refused) &&
           (at == call->end - 1 || ps__record_is_release(&self->record, at)) &&
           self->settings.max_split_bytes == PS_ALLOC_NO_SPLIT_LIMIT;
}

static ps_code compare_refusal(ps__replay *self, size_t at, ps_code code,
                               const ps_alloc_block *block)
{
    self->report.oom.compared++;
    if (code == PS_DEVICE_FULL) {
        self->report.oom.equal++;
        return PS_OK;
    }
    PS_TRY(ps__replay_settle_doubt(self, at, block));
    ps__history_note(&self->report, ps__replay_row(self, at),
                     "a refusal of %llu bytes recorded, the model finds room at %#llx",
                     (unsigned long long)self->record.memory->bytes[ps__replay_row(self, at)],
                     (unsigned long long)block->addr);
    return ps_allocator_free(self->model, block->handle, false, self->err);
}

static ps_code compare_placement(ps__replay *self, size_t at, ps_code code,
                                 const ps_alloc_block *block)
{
    const size_t row = ps__replay_row(self, at);
    const uint64_t addr = self->record.memory->addr[row];
    self->report.address.compared++;
    if (code == PS_OK && block->addr == addr) {
        self->report.address.equal++;
    } else if (code == PS_OK) {
        PS_TRY(ps__replay_settle_doubt(self, at, block));
        ps__history_note(&self->report, row, "%llu bytes recorded at %#llx, modelled at %#llx",
                         (unsigned long long)self->record.memory->bytes[row],
                         (unsigned long long)addr, (unsigned long long)block->addr);
    } else {
        ps__history_note(&self->report, row, "%llu bytes recorded at %#llx, refused by the model",
                         (unsigned long long)self->record.memory->bytes[row],
                         (unsigned long long)addr);
    }
    return ps__replay_hold(self, addr, code == PS_OK ? block->handle : (ps_alloc_handle){0, 0});
}

/* Notes the completions of begin .. end that the model has to make itself. */
static ps_code note_late_frees(ps__replay *self, size_t begin, size_t end)
{
    for (size_t at = begin; at < end; at++) {
        const ps_memory_action action = ps__record_action(&self->record, at);
        if (action == PS_ACTION_FREE_COMPLETED || action == PS_ACTION_FREE) {
            PS_TRY(note_input(self, PS_HISTORY_INPUT_LATE_FREE, at, (ps_pool_id){0, 0}));
        }
    }
    return PS_OK;
}

/*
 * One malloc with everything that happened inside it. has_late_free: a free
 * requested just before, whose completion may belong to the call.
 */
static ps_code replay_malloc(ps__replay *self, const ps__record_call *call, bool has_late_free)
{
    const size_t last = call->end - 1;
    ps_alloc_request request = ps__record_request(&self->record, last);
    ps_alloc_block block = {.addr = 0};
    size_t at = call->begin;
    const bool has_completions = has_late_free || call->completions_end > at;
    if (!has_completions || !can_have_waited(self, call) ||
        ps_allocator_probe(self->model, &request) != PS_ALLOC_REFUSED) {
        if (has_late_free) {
            ps__replay_complete(self, at - 1);
        }
        for (; at < call->completions_end; at++) {
            ps__replay_complete(self, at);
        }
    } else if (has_late_free) {
        at--;
    }
    PS_TRY(note_late_frees(self, at, last));
    PS_TRY(declare_dead_pools(self, call->begin, last));
    /* A refusal that released nothing although private pools exist: a capture forbade it. */
    request.is_capturing = call->is_refused && !call->has_release && self->record.has_private_pools;
    if (request.is_capturing) {
        PS_TRY(note_input(self, PS_HISTORY_INPUT_CAPTURE, last, (ps_pool_id){0, 0}));
    }
    self->grown = call->begin;
    self->call_end = call->end;
    const ps_code code = ps_allocator_alloc(self->model, &request, &block, NULL, self->err);
    PS_TRY(self->event_code);
    if (code != PS_OK && code != PS_DEVICE_FULL) {
        return code;
    }
    check_completions(self, at, last);
    compare_events(self, call->begin, last);
    return call->is_refused ? compare_refusal(self, last, code, &block)
                            : compare_placement(self, last, code, &block);
}

static ps_code replay_call(ps__replay *self, size_t begin, bool has_late_free, size_t *next)
{
    ps__record_call call = ps__record_call_at(&self->record, begin);
    const size_t released = empty_cache_end(self, &call);
    *next = call.end;
    if (released > begin) {
        if (has_late_free) {
            ps__replay_complete(self, begin - 1);
            has_late_free = false;
        }
        PS_TRY(replay_empty_cache(self, begin, released));
        call = ps__record_call_at(&self->record, released);
    }
    if (call.is_malloc) {
        return replay_malloc(self, &call, has_late_free);
    }
    for (size_t at = released; at < *next; at++) {
        if (ps__record_action(&self->record, at) == PS_ACTION_FREE_COMPLETED) {
            ps__replay_complete(self, at);
        } else {
            compare_events(self, at,
                           at + 1); /* obtained outside any request: nothing a model does */
        }
    }
    return PS_OK;
}

/*
 * A free that completed at once may have been completed by the wait of the
 * very next call; the record writes both the same way.
 */
static bool may_be_late(const ps__replay *self, size_t at)
{
    if (!self->record.has_deferred_frees || at + 1 == self->record.count) {
        return false;
    }
    const ps__record_call call = ps__record_call_at(&self->record, at + 1);
    return call.end > call.begin && can_have_waited(self, &call);
}

ps_code ps__replay_proof(ps__replay *self)
{
    bool has_late_free = false;
    for (size_t at = 0; at < self->record.count && !self->must_repeat;) {
        const ps_memory_action action = ps__record_action(&self->record, at);
        if (action == PS_ACTION_FREE_REQUESTED) {
            ps__replay_free(self, at++, true);
        } else if (action == PS_ACTION_FREE) {
            has_late_free = may_be_late(self, at);
            ps__replay_free(self, at++, has_late_free);
        } else {
            PS_TRY(replay_call(self, at, has_late_free, &at));
            has_late_free = false;
        }
    }
    if (self->must_repeat) {
        return PS_OK;
    }
    return ps__history_compare_map(self->trace, self->options->device, self->model, &self->report,
                                   self->err);
}
