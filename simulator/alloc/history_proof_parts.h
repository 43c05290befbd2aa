/* SPDX-License-Identifier: MIT
 *
 * Parts of replaying a record to prove the model (private to this folder).
 *
 *   inputs ─► what the record says from outside the allocator    history_inputs.c
 *   events ─► what the model does beside what is recorded        history_events.c
 *   malloc ─► one request                                        history_malloc.c
 *   proof ──► all calls in their order                           history_proof.c
 *
 * begin .. end are positions of the record, the end exclusive.
 */
#ifndef PS_ALLOC_HISTORY_PROOF_PARTS_H
#define PS_ALLOC_HISTORY_PROOF_PARTS_H

#include "alloc/history_replay.h"

/** Notes something from outside the allocator at a position; pool: of POOL_DEAD, else zeros. */
ps_code ps__replay_note_input(ps__replay *self, ps_history_input_kind kind, size_t at,
                              ps_pool_id pool) PS_MUST_USE;

/**
 * Pools whose segments are given back in begin .. end must be dead: the record is the
 * only witness.
 */
ps_code ps__replay_declare_dead_pools(ps__replay *self, size_t begin, size_t end) PS_MUST_USE;

/** Notes the completions of begin .. end that the model has to make itself. */
ps_code ps__replay_note_late_frees(ps__replay *self, size_t begin, size_t end) PS_MUST_USE;

/** Compares the segment events of begin .. end with those the model made, and forgets the latter. */
void ps__replay_compare_events(ps__replay *self, size_t begin, size_t end);

/** The completions of begin .. end that the model had to make itself: each must have happened. */
void ps__replay_check_completions(ps__replay *self, size_t begin, size_t end);

/** true where a call may have waited for the completions at its front. */
bool ps__replay_can_have_waited(const ps__replay *self, const ps__record_call *call);

/**
 * Replays one malloc and compares what came of it.
 *
 * @param has_late_free  a free was requested just before, whose completion may belong to the call
 */
ps_code ps__replay_malloc(ps__replay *self, const ps__record_call *call,
                          bool has_late_free) PS_MUST_USE;

#endif
