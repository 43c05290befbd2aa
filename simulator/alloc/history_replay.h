/* SPDX-License-Identifier: MIT
 *
 * State of one replay, shared by its two ways: history_proof.c compares with
 * the record (history_doubt.c learns from differences), history_what_if.c
 * follows the program alone.
 */
#ifndef PS_ALLOC_HISTORY_REPLAY_H
#define PS_ALLOC_HISTORY_REPLAY_H

#include "alloc/history.h"
#include "alloc/history_record.h"
#include "base/idmap.h"

#define PS__REPLAY_MAX_ITEMS ((size_t)1 << 30)

/** A block the program holds, found by its recorded address. */
typedef struct ps__held_block {
    ps_alloc_handle handle; /* zero: the model refused it */
    uint32_t next_vacant;
} ps__held_block;

typedef struct ps__replay {
    const ps_trace *trace;
    const ps_history_options *options;
    ps_alloc_settings recorded; /* of the recorded run */
    ps_alloc_settings settings; /* in force in the replay */
    ps_start_state start;
    ps__record record;
    ps_allocator *model;
    ps_history_report report;
    ps_idmap by_addr; /* recorded address -> held */
    ps__held_block *held;
    size_t held_count, held_capacity;
    uint32_t vacant;          /* list of vacant held records */
    ps_idmap private_segment; /* address of a private pool's segment -> pool */
    ps_pool_id *pool;
    size_t pool_count, pool_capacity;
    ps_alloc_event *event; /* what the model did in the call at hand */
    size_t event_count, event_capacity;
    ps_code event_code; /* of the listener, which cannot fail */
    size_t grown;       /* position of the next recorded address to give away */
    size_t call_end;
    ps_history_input *input; /* what the record says from outside the allocator */
    size_t input_count, input_capacity;
    bool must_repeat; /* a doubt about the start was settled: begin again */
    ps_error *err;    /* never NULL */
} ps__replay;

static inline bool ps__replay_is_proof(const ps__replay *self)
{
    return self->options->mode == PS_HISTORY_RECORDED;
}

/** Row of the memory table at a position of the record. */
static inline size_t ps__replay_row(const ps__replay *self, size_t at)
{
    return self->record.row[at];
}

static inline bool ps__replay_is_none(ps_alloc_handle handle)
{
    return handle.block == 0 && handle.generation == 0;
}

/** Notes what the model placed for a recorded address. */
ps_code ps__replay_hold(ps__replay *self, uint64_t addr, ps_alloc_handle handle) PS_MUST_USE;

/** Handle held under a recorded address; false when nothing is. */
bool ps__replay_held_at(const ps__replay *self, uint64_t addr, ps_alloc_handle *out);

void ps__replay_let_go(ps__replay *self, uint64_t addr);

/** Counts and notes a recorded free that the model cannot follow. */
void ps__replay_unmatched(ps__replay *self, size_t at, const char *what);

/** Frees the block of a recorded free. */
void ps__replay_free(ps__replay *self, size_t at, bool is_deferred);

/** Completes a deferred free that the model has not completed itself before. */
void ps__replay_complete(ps__replay *self, size_t at);

/** Notes that a segment at this address belongs to a private pool. */
ps_code ps__replay_note_private(ps__replay *self, uint64_t addr, ps_pool_id pool) PS_MUST_USE;

/** history_inputs.c: chooses recorded addresses; ctx is the replay. */
uint64_t ps__replay_choose_address(void *ctx, ps_alloc_address_kind kind, uint64_t bytes,
                                   uint64_t stream);

/** history_events.c: collects what the model does; ctx is the replay. */
void ps__replay_on_event(void *ctx, const ps_alloc_event *event);

/** history_proof.c: replays all calls and compares them, then the final map. */
ps_code ps__replay_proof(ps__replay *self) PS_MUST_USE;

/** history_doubt.c: learns from a block that the model placed elsewhere; may set must_repeat. */
ps_code ps__replay_settle_doubt(ps__replay *self, size_t at,
                                const ps_alloc_block *block) PS_MUST_USE;

/** history_what_if.c: places the blocks of the start into an empty model. */
ps_code ps__replay_place_start(ps__replay *self) PS_MUST_USE;

/** history_what_if.c: replays requests and frees alone. */
ps_code ps__replay_what_if(ps__replay *self) PS_MUST_USE;

#endif
