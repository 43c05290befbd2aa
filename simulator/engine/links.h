/* SPDX-License-Identifier: MIT
 *
 * Transfers over shared links. A flow is the transfer of one task; it crosses
 * all links that its rows name at once, at one rate.
 *
 *   waiting ──start time──► moving ──bytes gone──► done
 *
 * Rates are max-min fair (fair_share.h) and change only when a flow that
 * shares a link, directly or through others, starts or ends. All arithmetic
 * is in 128-bit integers: rates in bytes/s and work in bytes * 10^9, so that
 * work = rate * ns, both with as many fraction bits as the largest transfer
 * leaves room for (32 to 62). What is left of a flow is exact whatever the
 * number of rate changes; it ends at the first nanosecond at which nothing is
 * left.
 */
#ifndef PS_ENGINE_LINKS_H
#define PS_ENGINE_LINKS_H

#include "base/checked.h"
#include "engine/engine.h"

typedef struct ps_links ps_links;

/** The flow table of an input that ps_engine_input_check accepted; borrowed until destroy. */
ps_code ps_links_create(const ps_engine_input *input, ps_links **out, ps_error *err) PS_MUST_USE;

void ps_links_destroy(ps_links *self);

/** Whether the task has bytes to move over links. */
bool ps_links_has_flow(const ps_links *self, uint32_t task);

/** Announces that the task's transfer starts at a time not before the clock. */
void ps_links_start(ps_links *self, uint32_t task, ps_ns at);

/**
 * Advances the clock to the next end of a transfer.
 *
 * @param task  whose transfer ended
 * @param at    when; PS_TIME_NEVER past the range of time: stop
 * @return false when nothing is announced or moving
 */
bool ps_links_next_end(ps_links *self, uint32_t *task, ps_ns *at);

#endif
