/* SPDX-License-Identifier: MIT
 *
 * One recorded malloc, with everything that happened inside it.
 *
 * Completions at its front were noticed before its search, or waited for after
 * the driver had refused. Only a call that fails at first can have waited, and
 * then waiting for all of them explains the record. (With a finite
 * max_split_size they matter earlier, to the release of oversize blocks, so
 * there they count as noticed.)
 */
#include "alloc/history_compare.h"
#include "alloc/history_proof_parts.h"

bool ps__replay_can_have_waited(const ps__replay *self, const ps__record_call *call)
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

/*
 * Completes the frees that were noticed before the request. Returns where those begin that the
 * model has to make itself. has_late_free: see ps__replay_malloc.
 */
static size_t complete_noticed(ps__replay *self, const ps__record_call *call,
                               const ps_alloc_request *request, bool has_late_free)
{
    const bool has_completions = has_late_free || call->completions_end > call->begin;
    if (has_completions && ps__replay_can_have_waited(self, call) &&
        ps_allocator_probe(self->model, request) == PS_ALLOC_REFUSED) {
        return has_late_free ? call->begin - 1 : call->begin;
    }
    if (has_late_free) {
        ps__replay_complete(self, call->begin - 1);
    }
    size_t at = call->begin;
    for (; at < call->completions_end; at++) {
        ps__replay_complete(self, at);
    }
    return at;
}

/* A refusal that released nothing although private pools exist: a capture forbade it. */
static bool is_under_capture(const ps__replay *self, const ps__record_call *call)
{
    return call->is_refused && !call->has_release && self->record.has_private_pools;
}

ps_code ps__replay_malloc(ps__replay *self, const ps__record_call *call, bool has_late_free)
{
    const size_t last = call->end - 1;
    ps_alloc_request request = ps__record_request(&self->record, last);
    ps_alloc_block block = {.addr = 0};
    const size_t late = complete_noticed(self, call, &request, has_late_free);
    PS_TRY(ps__replay_note_late_frees(self, late, last));
    PS_TRY(ps__replay_declare_dead_pools(self, call->begin, last));
    request.is_capturing = is_under_capture(self, call);
    if (request.is_capturing) {
        PS_TRY(ps__replay_note_input(self, PS_HISTORY_INPUT_CAPTURE, last, (ps_pool_id){0, 0}));
    }
    self->grown = call->begin;
    self->call_end = call->end;
    const ps_code code = ps_allocator_alloc(self->model, &request, &block, NULL, self->err);
    PS_TRY(self->event_code);
    if (code != PS_OK && code != PS_DEVICE_FULL) {
        return code;
    }
    ps__replay_check_completions(self, late, last);
    ps__replay_compare_events(self, call->begin, last);
    return call->is_refused ? compare_refusal(self, last, code, &block)
                            : compare_placement(self, last, code, &block);
}
