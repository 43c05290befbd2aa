/* SPDX-License-Identifier: MIT
 *
 * Progress of a threaded run: moments that happen and lanes that wait for
 * them, see lanes.h.
 */
#include "replay/lanes.h"

#define NS_PER_S 1000000000

bool ps_replay_lanes_stopped(const ps_replay_lanes *all)
{
    return atomic_load_explicit(&all->session->stop, memory_order_relaxed);
}

void ps_replay_lanes_fail(ps_replay_lanes *all, ps_code code, const ps_error *error)
{
    (void)pthread_mutex_lock(&all->mutex);
    if (all->code == PS_OK) {
        all->code = code;
        all->error = *error;
    }
    atomic_store_explicit(&all->session->stop, true, memory_order_relaxed);
    for (size_t i = 0; i < all->lane_count; i++) {
        (void)pthread_cond_broadcast(&all->lanes[i].changed);
    }
    (void)pthread_cond_broadcast(&all->gate);
    (void)pthread_mutex_unlock(&all->mutex);
}

static void write_log(ps_replay_lanes *all, uint32_t node, ps_ns at_ns)
{
    const size_t task_count = all->session->graph.task_count;
    ps_replay_log *log = &all->session->report->log;
    const uint64_t order = ++all->order;
    if (node >= 2 * task_count) {
        log->memop_ns[node - 2 * task_count] = at_ns;
        log->memop_order[node - 2 * task_count] = order;
    } else if (node % 2 == 0) {
        log->start_ns[node / 2] = at_ns;
        log->start_order[node / 2] = order;
    } else {
        log->end_ns[node / 2] = at_ns;
        log->end_order[node / 2] = order;
    }
}

void ps_replay_lanes_happen(ps_replay_lanes *all, uint32_t node, ps_ns at_ns)
{
    const ps_replay_session *session = all->session;
    const ps_replay_graph *graph = &session->graph;
    (void)pthread_mutex_lock(&all->mutex);
    write_log(all, node, at_ns);
    for (size_t e = graph->first_edge[node]; e < graph->first_edge[node + 1]; e++) {
        const uint32_t to = graph->edge_to[e];
        const ps_ns bound =
            ps_time_add(at_ns, ps_replay_session_ns(session, graph->edge_lag_ns[e]));
        if (bound > all->bound_ns[to]) {
            all->bound_ns[to] = bound;
        }
        all->left[to]--;
        /* an end may be awaited but for its own requests; a lane ahead awaits single edges */
        if (all->left[to] <= 1 || all->tickets != NULL) {
            const uint32_t task = ps_replay_node_task(graph, session->plan, to);
            (void)pthread_cond_broadcast(&all->lanes[session->plan->task.lane[task]].changed);
        }
    }
    (void)pthread_mutex_unlock(&all->mutex);
}

/* Caller holds the mutex. False when the time is up. */
static bool sleep_changed(ps_replay_lane *lane, ps_ns until_ns)
{
    if (until_ns == PS_TIME_NEVER) {
        (void)pthread_cond_wait(&lane->changed, &lane->all->mutex);
        return true;
    }
    const struct timespec at = {.tv_sec = (time_t)(until_ns / NS_PER_S),
                                .tv_nsec = (long)(until_ns % NS_PER_S)};
    return pthread_cond_timedwait(&lane->changed, &lane->all->mutex, &at) == 0;
}

ps_replay_wait ps_replay_lane_await(ps_replay_lane *lane, uint32_t node, uint32_t allowed,
                                    ps_ns until_ns, ps_ns *bound_ns)
{
    ps_replay_lanes *all = lane->all;
    bool is_time_up = false;
    (void)pthread_mutex_lock(&all->mutex);
    while (all->left[node] > allowed && !is_time_up && !ps_replay_lanes_stopped(all)) {
        is_time_up = !sleep_changed(lane, until_ns);
    }
    const bool is_ready = all->left[node] <= allowed;
    *bound_ns = all->bound_ns[node];
    (void)pthread_mutex_unlock(&all->mutex);
    if (ps_replay_lanes_stopped(all)) {
        return PS_REPLAY_STOPPED;
    }
    return is_ready ? PS_REPLAY_READY : PS_REPLAY_TIME_UP;
}

bool ps_replay_lane_reach(ps_replay_lane *lane, uint32_t node)
{
    ps_ns bound;
    return ps_replay_lane_await(lane, node, 0, PS_TIME_NEVER, &bound) == PS_REPLAY_READY &&
           ps_replay_pace_until(&lane->all->pace, bound, &lane->all->session->stop);
}

bool ps_replay_lane_end(ps_replay_lane *lane, uint32_t task, ps_ns over_ns)
{
    const ps_replay_session *session = lane->all->session;
    const uint32_t node = ps_replay_end_node(task);
    ps_ns bound;
    if (ps_replay_lane_await(lane, node, 0, PS_TIME_NEVER, &bound) != PS_REPLAY_READY) {
        return false;
    }
    if (bound > over_ns) {
        if (!ps_replay_pace_until(&lane->all->pace, bound, &session->stop)) {
            return false;
        }
        over_ns = session->ops->now(session->backend);
    }
    ps_replay_lanes_happen(lane->all, node, over_ns);
    return true;
}

bool ps_replay_lane_enter(ps_replay_lane *lane)
{
    ps_replay_lanes *all = lane->all;
    ps_replay_pace_enter();
    (void)pthread_mutex_lock(&all->mutex);
    while (!all->is_open && !ps_replay_lanes_stopped(all)) {
        (void)pthread_cond_wait(&all->gate, &all->mutex);
    }
    (void)pthread_mutex_unlock(&all->mutex);
    return !ps_replay_lanes_stopped(all);
}
