/* SPDX-License-Identifier: MIT
 *
 * One run of a plan: what its parts share. Internal to the harness.
 *
 *   run.c      checks, opens, chooses an executor, closes, reports
 *   inline.c   executor when no time passes: every moment in one legal order
 *   lanes.c    executor when time passes: a thread a lane
 *   ahead.c    lanes of a backend that orders queued work itself
 *   work.c     task -> backend work, and the tally of what was done
 */
#ifndef PS_REPLAY_SESSION_H
#define PS_REPLAY_SESSION_H

#include "replay/graph.h"
#include "replay/ledger.h"
#include "replay/replay.h"

typedef struct ps_replay_session {
    const ps_plan *plan;
    ps_replay_options options;
    const ps_backend_ops *ops;
    ps_backend *backend;
    ps_replay_graph graph;
    ps_replay_ledger ledger;
    uint8_t *uses_links;      /* per task */
    ps_replay_report *report; /* under construction; its log is written by the executor */
    atomic_bool stop;         /* the run is given up */
} ps_replay_session;

/** Work counted by whoever does it; tallies are added up at the end. */
typedef struct ps_replay_tally {
    ps_replay_traffic copies[PS_REPLAY_COPY_KINDS];
    ps_replay_traffic links;
    uint64_t waived[PS_TASK_KIND_COUNT];
} ps_replay_tally;

/** Length of a plan time in this run. */
static inline ps_ns ps_replay_session_ns(const ps_replay_session *self, ps_ns t)
{
    return ps_replay_scale_ns(t, self->options.time_scale);
}

static inline bool ps_replay_is_host_kind(uint8_t kind)
{
    return kind == PS_TASK_HOST || kind == PS_TASK_WAIT;
}

/**
 * What a task asks of the backend, capabilities considered. Host tasks: the
 * bytes they move over links, as a host copy without own length.
 */
ps_backend_work ps_replay_work_of(const ps_replay_session *self, uint32_t task);

/** Counts finished work of a task. */
void ps_replay_tally_add(ps_replay_tally *tally, const ps_replay_session *self, uint32_t task,
                         const ps_backend_result *result);

/** Adds a tally to the report. */
void ps_replay_tally_report(const ps_replay_tally *tally, ps_replay_report *report);

/** Executor without time. */
ps_code ps_replay_run_inline(ps_replay_session *self, ps_error *err) PS_MUST_USE;

/** Executor with a thread a lane. */
ps_code ps_replay_run_lanes(ps_replay_session *self, ps_error *err) PS_MUST_USE;

/** Fills steps, lateness and makespan of the report from its log. */
ps_code ps_replay_measure(ps_replay_session *self, ps_error *err) PS_MUST_USE;

#endif
