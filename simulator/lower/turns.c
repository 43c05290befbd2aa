/* SPDX-License-Identifier: MIT
 *
 * Host threads that take turns.
 *
 * Autograd runs the backward pass on a thread of its own while the calling
 * thread waits, and then hands back. Nothing in the recording says so, but it
 * shows: threads that launch device work never do so at the same time and
 * change over only a few times a step. For such threads the first call after
 * a change waits for the last call before it, in place of its own thread's
 * idle time. Threads that really run side by side change over all the time
 * and are left alone.
 */
#include <string.h>

#include "base/memory.h"
#include "lower/lowering.h"

/* Turns last at least this many calls on average. */
#define LEAST_TURN_CALLS 8

/* A hand-over that overlaps by more than this is no hand-over. */
#define OVERLAP_NS 2000

static ps_code find_launching_lanes(const ps_lowering *self, bool *launches)
{
    size_t lanes = 0;
    for (size_t i = 0; i < self->plan->task.head.count - self->host_count; i++) {
        if (self->launch[i] != PS_NONE) {
            bool *lane = &launches[self->plan->task.lane[self->launch[i]]];
            lanes += !*lane;
            *lane = true;
        }
    }
    return lanes > 1 ? PS_OK : PS_NOT_FOUND;
}

/* Calls `visit` for every change of thread between launching lanes, in recorded order. */
static size_t count_changes(const ps_lowering *self, const bool *launches, size_t *calls)
{
    uint32_t last = PS_NONE;
    size_t changes = 0;
    *calls = 0;
    for (uint32_t host = 0; host < self->host_count; host++) {
        if (launches[self->plan->task.lane[host]]) {
            changes +=
                last != PS_NONE && self->plan->task.lane[last] != self->plan->task.lane[host];
            last = host;
            (*calls)++;
        }
    }
    return changes;
}

static ps_code link_changes(ps_lowering *self, const bool *launches, ps_error *err)
{
    uint32_t last = PS_NONE;
    for (uint32_t host = 0; host < self->host_count; host++) {
        if (!launches[self->plan->task.lane[host]]) {
            continue;
        }
        const bool changed =
            last != PS_NONE && self->plan->task.lane[last] != self->plan->task.lane[host];
        if (changed && self->rec_end[last] <= self->rec_start[host] + OVERLAP_NS) {
            PS_TRY(ps__lower_add_dep(self, host, last, PS_DEP_START_AFTER_END,
                                     self->rec_start[host] - self->rec_end[last], PS_DEP_INFERRED,
                                     err));
            self->plan->task.gap_ns[host] = 0;
            self->turn[host] = last;
        }
        last = host;
    }
    return PS_OK;
}

ps_code ps__lower_turns(ps_lowering *self, ps_error *err)
{
    bool *launches = ps_calloc(self->plan->lane.head.count, sizeof *launches);
    if (launches == NULL) {
        return ps_fail_nomem(err);
    }
    ps_code code = ps_grow((void **)&self->turn, &self->turn_capacity, self->host_count,
                           PS_TABLE_MAX_ROWS, sizeof *self->turn, err);
    if (code == PS_OK) {
        memset(self->turn, 0xff, self->host_count * sizeof *self->turn);
    }
    if (code == PS_OK && find_launching_lanes(self, launches) == PS_OK) {
        size_t calls;
        const size_t changes = count_changes(self, launches, &calls);
        if (changes * LEAST_TURN_CALLS <= calls) {
            code = link_changes(self, launches, err);
        }
    }
    ps_free(launches);
    return code;
}
