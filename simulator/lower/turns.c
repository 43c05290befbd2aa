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

/* The launching threads of one process: how often they change over. */
typedef struct turn_taking {
    uint32_t last; /* their latest call so far, or PS_NONE */
    size_t changes, calls;
} turn_taking;

static void forget_last(const ps_lowering *self, turn_taking *of)
{
    for (uint32_t i = 0; i < self->process_count; i++) {
        of[i].last = PS_NONE;
    }
}

static bool is_change(const ps_lowering *self, uint32_t last, uint32_t host)
{
    return last != PS_NONE && self->plan->task.lane[last] != self->plan->task.lane[host];
}

/* Counts every change of thread between launching lanes, in recorded order. */
static void count_changes(const ps_lowering *self, const bool *launches, turn_taking *of)
{
    forget_last(self, of);
    for (uint32_t host = 0; host < self->host_count; host++) {
        const uint32_t lane = self->plan->task.lane[host];
        turn_taking *process = &of[ps__lower_process(self, lane)];
        if (launches[lane]) {
            process->changes += is_change(self, process->last, host);
            process->last = host;
            process->calls++;
        }
    }
}

static ps_code link_change(ps_lowering *self, uint32_t last, uint32_t host, ps_error *err)
{
    if (!is_change(self, last, host) || self->rec_end[last] > self->rec_start[host] + OVERLAP_NS) {
        return PS_OK;
    }
    self->plan->task.gap_ns[host] = 0;
    self->turn[host] = last;
    return ps__lower_add_dep(self, host, last, PS_DEP_START_AFTER_END,
                             self->rec_start[host] - self->rec_end[last], PS_DEP_INFERRED, err);
}

static ps_code link_changes(ps_lowering *self, const bool *launches, turn_taking *of, ps_error *err)
{
    forget_last(self, of);
    for (uint32_t host = 0; host < self->host_count; host++) {
        const uint32_t lane = self->plan->task.lane[host];
        turn_taking *process = &of[ps__lower_process(self, lane)];
        if (launches[lane] && process->changes * LEAST_TURN_CALLS <= process->calls) {
            PS_TRY(link_change(self, process->last, host, err));
            process->last = host;
        }
    }
    return PS_OK;
}

ps_code ps__lower_turns(ps_lowering *self, ps_error *err)
{
    bool *launches = ps_calloc(self->plan->lane.head.count, sizeof *launches);
    turn_taking *of = ps_calloc(self->process_count, sizeof *of);
    ps_code code = launches == NULL || of == NULL
                       ? ps_fail_nomem(err)
                       : ps_grow((void **)&self->turn, &self->turn_capacity, self->host_count,
                                 PS_TABLE_MAX_ROWS, sizeof *self->turn, err);
    if (code == PS_OK) {
        memset(self->turn, 0xff, self->host_count * sizeof *self->turn);
        if (find_launching_lanes(self, launches) == PS_OK) {
            count_changes(self, launches, of);
            code = link_changes(self, launches, of, err);
        }
    }
    ps_free(launches);
    ps_free(of);
    return code;
}
