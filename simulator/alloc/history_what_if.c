/* SPDX-License-Identifier: MIT
 *
 * What would this program have needed elsewhere? Its requests and frees, and
 * the moments where it is known to have emptied the cache, are followed; what
 * the recorded allocator did is not. A recorded refusal is left out: nobody
 * knows how long that block would have lived.
 */
#include "alloc/history_replay.h"

static ps_code request_freely(ps__replay *self, const ps_alloc_request *request, uint64_t addr)
{
    ps_alloc_block block = {.addr = 0};
    ps_alloc_shortage why;
    if (request->bytes == 0) {
        return PS_OK; /* an empty tensor has no block */
    }
    const ps_code code = ps_allocator_alloc(self->model, request, &block, &why, self->err);
    if (code == PS_DEVICE_FULL) {
        if (self->report.refused_count++ == 0) {
            self->report.first_shortage = why;
        }
    } else if (code != PS_OK) {
        return code;
    }
    return ps__replay_hold(self, addr, block.handle);
}

ps_code ps__replay_place_start(ps__replay *self)
{
    for (size_t i = 0; i < self->start.segment_count; i++) {
        const ps_start_segment *segment = &self->start.segment[i];
        for (size_t b = 0; b < segment->block_count; b++) {
            const ps_alloc_block_info *block = &self->start.block[segment->first_block + b];
            const uint64_t bytes =
                block->requested_bytes != 0 ? block->requested_bytes : block->bytes;
            const ps_alloc_request request = {
                .bytes = bytes, .stream = segment->info.stream, .pool = segment->info.pool};
            if (block->state == PS_ALLOC_BLOCK_FREE) {
                continue;
            }
            PS_TRY(request_freely(self, &request, block->addr));
            ps_alloc_handle handle;
            if (block->state == PS_ALLOC_BLOCK_PENDING &&
                ps__replay_held_at(self, block->addr, &handle) && !ps__replay_is_none(handle)) {
                PS_TRY(ps_allocator_free(self->model, handle, true, self->err));
            }
        }
    }
    return PS_OK;
}

ps_code ps__replay_what_if(ps__replay *self)
{
    for (size_t at = 0; at < self->record.count; at++) {
        const size_t row = ps__replay_row(self, at);
        const ps_alloc_request request = ps__record_request(&self->record, at);
        switch (ps__record_action(&self->record, at)) {
        case PS_ACTION_ALLOC:
            PS_TRY(request_freely(self, &request, self->record.memory->addr[row]));
            break;
        case PS_ACTION_FREE:
            ps__replay_free(self, at, false);
            break;
        case PS_ACTION_FREE_REQUESTED:
            ps__replay_free(self, at, true);
            break;
        case PS_ACTION_FREE_COMPLETED:
            ps__replay_complete(self, at);
            break;
        case PS_ACTION_SEGMENT_FREE:
        case PS_ACTION_SEGMENT_UNMAP:
            if (ps__record_is_empty_cache(&self->record, at)) {
                PS_TRY(ps_allocator_release_cache(self->model, self->err));
            }
            break;
        case PS_ACTION_SEGMENT_ALLOC:
        case PS_ACTION_SEGMENT_MAP:
        case PS_ACTION_OOM:
        case PS_ACTION_SNAPSHOT:
            break;
        }
    }
    return PS_OK;
}
