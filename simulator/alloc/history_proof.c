/* SPDX-License-Identifier: MIT
 *
 * Replaying a record to prove the model: one pass over the events, each call
 * handed to the model and everything it did compared with the record.
 */
#include "alloc/history_compare.h"
#include "alloc/history_proof_parts.h"

/* The program emptied the cache in begin .. end, which holds a release. */
static ps_code replay_empty_cache(ps__replay *self, size_t begin, size_t end)
{
    PS_TRY(ps__replay_declare_dead_pools(self, begin, end));
    PS_TRY(ps__replay_note_input(self, PS_HISTORY_INPUT_EMPTY_CACHE, end - 1, (ps_pool_id){0, 0}));
    PS_TRY(ps_allocator_release_cache(self->model, self->err));
    PS_TRY(self->event_code);
    ps__replay_check_completions(self, begin, end);
    ps__replay_compare_events(self, begin, end);
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
        return ps__replay_malloc(self, &call, has_late_free);
    }
    for (size_t at = released; at < *next; at++) {
        if (ps__record_action(&self->record, at) == PS_ACTION_FREE_COMPLETED) {
            ps__replay_complete(self, at);
        } else {
            /* obtained outside any request: nothing a model does */
            ps__replay_compare_events(self, at, at + 1);
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
    return call.end > call.begin && ps__replay_can_have_waited(self, &call);
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
