/* SPDX-License-Identifier: MIT
 *
 * State of the threaded executor, shared by lanes.c and ahead.c.
 *
 * One mutex guards the graph's progress. A moment of the plan "happens" once:
 * its time and order number go into the log, its successors learn their
 * bounds, and lanes that wait for them are woken. A lane sleeps on its own
 * condition variable; a moment known by its time only is waited for by
 * replay/pace.h.
 */
#ifndef PS_REPLAY_LANES_H
#define PS_REPLAY_LANES_H

#include <pthread.h>

#include "replay/pace.h"
#include "replay/session.h"

typedef struct ps_replay_lanes ps_replay_lanes;

typedef struct ps_replay_lane {
    ps_replay_lanes *all;
    uint32_t index;
    pthread_t thread, reaper;
    bool has_thread, has_reaper;
    pthread_cond_t changed;
    size_t submitted, reaped; /* ahead.c: positions in the lane's list of tasks */
    ps_replay_tally tally;
} ps_replay_lane;

struct ps_replay_lanes {
    ps_replay_session *session;
    ps_replay_pace pace;
    pthread_mutex_t mutex; /* guards everything below, and the log while lanes run */
    pthread_cond_t gate;
    bool is_open; /* lanes may begin; origin_ns is set */
    ps_ns origin_ns;
    uint64_t order;             /* moments so far */
    uint32_t *left;             /* per node: predecessors that have not happened */
    ps_ns *bound_ns;            /* per node: not before; absolute */
    ps_backend_ticket *tickets; /* per task, 0 not submitted; NULL unless the backend is ORDERED */
    bool *has_end_deps;         /* per task; NULL likewise */
    ps_code code;               /* first failure */
    ps_error error;
    size_t lane_count;
    ps_replay_lane *lanes;
};

/** Gives the run up; the first failure is kept. */
void ps_replay_lanes_fail(ps_replay_lanes *all, ps_code code, const ps_error *error);

/** True when the run has been given up. */
bool ps_replay_lanes_stopped(const ps_replay_lanes *all);

/** A moment of the plan happens at `at_ns` (absolute). */
void ps_replay_lanes_happen(ps_replay_lanes *all, uint32_t node, ps_ns at_ns);

typedef enum ps_replay_wait {
    PS_REPLAY_READY,   /* at most `allowed` predecessors are left */
    PS_REPLAY_TIME_UP, /* until_ns came first */
    PS_REPLAY_STOPPED,
} ps_replay_wait;

/**
 * Sleeps until at most `allowed` predecessors of a node are left.
 *
 * @param until_ns  absolute; PS_TIME_NEVER: no limit
 * @param bound_ns  receives the node's bound as known then, on READY
 */
ps_replay_wait ps_replay_lane_await(ps_replay_lane *lane, uint32_t node, uint32_t allowed,
                                    ps_ns until_ns, ps_ns *bound_ns);

/** Waits for a node's predecessors and then for its bound. False when stopped. */
bool ps_replay_lane_reach(ps_replay_lane *lane, uint32_t node);

/** Ends a task whose own work was over at `over_ns`: end dependencies, then the moment itself. */
bool ps_replay_lane_end(ps_replay_lane *lane, uint32_t task, ps_ns over_ns);

/** Lets a thread begin: sleeps until the gate opens, prepares the thread. False when stopped. */
bool ps_replay_lane_enter(ps_replay_lane *lane);

/** Runs a lane of an ORDERED backend: submits its tasks ahead of time. */
void ps_replay_lane_run_ahead(ps_replay_lane *lane);

/** Thread beside it that waits for the submitted work and makes its moments happen. */
void *ps_replay_lane_reap(void *lane);

#endif
