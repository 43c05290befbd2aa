/* SPDX-License-Identifier: MIT
 *
 * A lane whose backend keeps order by itself, as device streams with events
 * do. Work is submitted as soon as everything the backend cannot see holds:
 *
 *   left to the backend   the lane's own order and gaps; the end of work
 *                         submitted to another lane, without lag
 *   waited for here       edges of host tasks, starts of other work, lags, and
 *                         whatever follows work whose end waits for others
 *
 * A second thread a lane, the reaper, waits for the work in order and makes
 * its moments happen.
 */
#include "base/memory.h"
#include "replay/lanes.h"

/* What is known of a task that is about to be submitted. */
typedef struct readiness {
    bool is_ready;
    ps_ns bound_ns;
    size_t after_count;
} readiness;

static bool has_happened(const ps_replay_lanes *all, uint32_t task, bool at_end)
{
    const ps_replay_log *log = &all->session->report->log;
    return (at_end ? log->end_order[task] : log->start_order[task]) != 0;
}

/* Work in flight whose end on the backend is its end in the plan. */
static bool is_followable(const ps_replay_lanes *all, uint32_t task)
{
    return all->tickets[task] != 0 && !all->has_end_deps[task];
}

static void raise_bound(readiness *self, ps_ns bound_ns)
{
    self->bound_ns = bound_ns > self->bound_ns ? bound_ns : self->bound_ns;
}

static void consider_previous(const ps_replay_lane *lane, size_t position, readiness *self)
{
    const ps_replay_lanes *all = lane->all;
    const ps_replay_session *session = all->session;
    const ps_replay_graph *graph = &session->graph;
    const ps_ns gap =
        ps_replay_session_ns(session, session->plan->task.gap_ns[graph->lane_task[position]]);
    if (position == graph->lane_first[lane->index]) {
        raise_bound(self, ps_time_add(all->origin_ns, gap));
        return;
    }
    const uint32_t previous = graph->lane_task[position - 1];
    if (has_happened(all, previous, true)) {
        raise_bound(self, ps_time_add(session->report->log.end_ns[previous], gap));
    } else if (!is_followable(all, previous)) {
        self->is_ready = false;
    }
}

static void consider_dep(const ps_replay_lanes *all, size_t dep, ps_backend_event *after,
                         readiness *self)
{
    const ps_replay_session *session = all->session;
    const ps_plan *plan = session->plan;
    const ps_dep_kind kind = (ps_dep_kind)plan->dep.kind[dep];
    const uint32_t before = plan->dep.before[dep];
    const bool at_end = kind == PS_DEP_START_AFTER_END;
    if (kind == PS_DEP_END_AFTER_END || kind == PS_DEP_END_AFTER_START) {
        return; /* the reaper's matter */
    }
    if (has_happened(all, before, at_end)) {
        const ps_replay_log *log = &session->report->log;
        raise_bound(self, ps_time_add(at_end ? log->end_ns[before] : log->start_ns[before],
                                      ps_replay_session_ns(session, plan->dep.lag_ns[dep])));
    } else if (at_end && plan->dep.lag_ns[dep] == 0 && is_followable(all, before)) {
        after[self->after_count++] =
            (ps_backend_event){.lane = plan->task.lane[before], .ticket = all->tickets[before]};
    } else {
        self->is_ready = false;
    }
}

/* Deps are sorted by task: the first row of a task. */
static size_t first_dep(const ps_plan *plan, uint32_t task)
{
    size_t low = 0, high = plan->dep.head.count;
    while (low < high) {
        const size_t mid = low + (high - low) / 2;
        if (plan->dep.task[mid] < task) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low;
}

/* Sleeps until a task can be submitted. False when stopped. */
static bool await_submittable(ps_replay_lane *lane, size_t position, ps_backend_event *after,
                              readiness *out)
{
    ps_replay_lanes *all = lane->all;
    const ps_plan *plan = all->session->plan;
    const uint32_t task = all->session->graph.lane_task[position];
    const size_t first = first_dep(plan, task);
    (void)pthread_mutex_lock(&all->mutex);
    for (;;) {
        *out = (readiness){.is_ready = true, .bound_ns = all->origin_ns};
        consider_previous(lane, position, out);
        for (size_t d = first; d < plan->dep.head.count && plan->dep.task[d] == task; d++) {
            consider_dep(all, d, after, out);
        }
        if (out->is_ready || ps_replay_lanes_stopped(all)) {
            break;
        }
        (void)pthread_cond_wait(&lane->changed, &all->mutex);
    }
    (void)pthread_mutex_unlock(&all->mutex);
    return !ps_replay_lanes_stopped(all);
}

/* The lane's queue is full. False when stopped, or when nothing of ours can be in it. */
static bool await_room(ps_replay_lane *lane, ps_error *err)
{
    ps_replay_lanes *all = lane->all;
    (void)pthread_mutex_lock(&all->mutex);
    const size_t reaped = lane->reaped;
    const bool is_empty = reaped == lane->submitted;
    while (!is_empty && lane->reaped == reaped && !ps_replay_lanes_stopped(all)) {
        (void)pthread_cond_wait(&lane->changed, &all->mutex);
    }
    (void)pthread_mutex_unlock(&all->mutex);
    if (is_empty) {
        ps_replay_lanes_fail(all,
                             ps_fail(err, PS_INTERNAL, "backend %s: lane %u is busy with nothing",
                                     all->session->ops->name, lane->index),
                             err);
    }
    return !ps_replay_lanes_stopped(all);
}

/* Notes the ticket and wakes the reaper and the lanes that may now follow the work. */
static void note_submitted(ps_replay_lane *lane, uint32_t task, ps_backend_ticket ticket)
{
    ps_replay_lanes *all = lane->all;
    const ps_replay_graph *graph = &all->session->graph;
    const ps_plan *plan = all->session->plan;
    const uint32_t end = ps_replay_end_node(task);
    (void)pthread_mutex_lock(&all->mutex);
    all->tickets[task] = ticket;
    lane->submitted++;
    (void)pthread_cond_broadcast(&lane->changed);
    for (size_t e = graph->first_edge[end]; e < graph->first_edge[end + 1]; e++) {
        const uint32_t other = ps_replay_node_task(graph, plan, graph->edge_to[e]);
        (void)pthread_cond_broadcast(&all->lanes[plan->task.lane[other]].changed);
    }
    (void)pthread_mutex_unlock(&all->mutex);
}

static bool submit_task(ps_replay_lane *lane, size_t position, ps_backend_event *after)
{
    ps_replay_lanes *all = lane->all;
    ps_replay_session *session = all->session;
    const uint32_t task = session->graph.lane_task[position];
    readiness ready;
    if (!await_submittable(lane, position, after, &ready) ||
        !ps_replay_pace_until(&all->pace, ready.bound_ns, &session->stop)) {
        return false;
    }
    ps_backend_work work = ps_replay_work_of(session, task);
    work.gap_ns = ps_replay_session_ns(session, session->plan->task.gap_ns[task]);
    work.after = after;
    work.after_count = ready.after_count;
    for (;;) {
        ps_backend_answer answer = PS_BACKEND_BUSY;
        ps_backend_ticket ticket = 0;
        ps_backend_result unused;
        ps_error err = {0};
        ps_code code = session->ops->submit(session->backend, lane->index, &work, &answer, &ticket,
                                            &unused, &err);
        if (code == PS_OK && answer == PS_BACKEND_QUEUED && ticket != 0) {
            note_submitted(lane, task, ticket);
            return true;
        }
        if (code == PS_OK && answer == PS_BACKEND_BUSY) {
            if (!await_room(lane, &err)) {
                return false;
            }
            continue;
        }
        code = code != PS_OK ? code
                             : ps_fail(&err, PS_INTERNAL,
                                       "backend %s: an ordered lane must "
                                       "queue its work",
                                       session->ops->name);
        ps_error_note(&err, "task %u \"%s\"", task, work.name);
        ps_replay_lanes_fail(all, code, &err);
        return false;
    }
}

void ps_replay_lane_run_ahead(ps_replay_lane *lane)
{
    const ps_replay_session *session = lane->all->session;
    const ps_plan *plan = session->plan;
    const ps_replay_graph *graph = &session->graph;
    const size_t begin = graph->lane_first[lane->index], end = graph->lane_first[lane->index + 1];
    size_t most = 0; /* deps of one task */
    for (size_t i = begin; i < end; i++) {
        size_t count = 0;
        for (size_t d = first_dep(plan, graph->lane_task[i]);
             d < plan->dep.head.count && plan->dep.task[d] == graph->lane_task[i]; d++) {
            count++;
        }
        most = count > most ? count : most;
    }
    ps_backend_event *after = ps_calloc(most, sizeof *after);
    if (after == NULL) {
        ps_error err = {0};
        const ps_code code = ps_fail_nomem(&err);
        ps_replay_lanes_fail(lane->all, code, &err);
        return;
    }
    for (size_t i = begin; i < end && submit_task(lane, i, after); i++) {
    }
    ps_free(after);
}

/* Sleeps until the lane's next task is in flight. False when stopped. */
static bool await_submitted(ps_replay_lane *lane)
{
    ps_replay_lanes *all = lane->all;
    (void)pthread_mutex_lock(&all->mutex);
    while (lane->submitted == lane->reaped && !ps_replay_lanes_stopped(all)) {
        (void)pthread_cond_wait(&lane->changed, &all->mutex);
    }
    (void)pthread_mutex_unlock(&all->mutex);
    return !ps_replay_lanes_stopped(all);
}

static bool reap_task(ps_replay_lane *lane, uint32_t task)
{
    ps_replay_lanes *all = lane->all;
    ps_replay_session *session = all->session;
    ps_backend_result result = {0};
    ps_error err = {0};
    ps_ns bound;
    if (!await_submitted(lane)) {
        return false;
    }
    /* written before `submitted` rose, and not changed since */
    const ps_code code =
        session->ops->wait(session->backend, lane->index, all->tickets[task], &result, &err);
    if (code != PS_OK) {
        ps_error_note(&err, "task %u", task);
        ps_replay_lanes_fail(all, code, &err);
        return false;
    }
    ps_replay_tally_add(&lane->tally, session, task, &result);
    /* the awaited moments were earlier, but other reapers may report them a little later */
    if (ps_replay_lane_await(lane, ps_replay_start_node(task), 0, PS_TIME_NEVER, &bound) !=
        PS_REPLAY_READY) {
        return false;
    }
    ps_replay_lanes_happen(all, ps_replay_start_node(task), result.start_ns);
    return ps_replay_lane_end(lane, task, result.end_ns);
}

void *ps_replay_lane_reap(void *argument)
{
    ps_replay_lane *lane = argument;
    ps_replay_lanes *all = lane->all;
    const ps_replay_graph *graph = &all->session->graph;
    if (!ps_replay_lane_enter(lane)) {
        return NULL;
    }
    for (size_t i = graph->lane_first[lane->index]; i < graph->lane_first[lane->index + 1]; i++) {
        if (!reap_task(lane, graph->lane_task[i])) {
            break;
        }
        (void)pthread_mutex_lock(&all->mutex);
        lane->reaped++;
        (void)pthread_cond_broadcast(&lane->changed);
        (void)pthread_mutex_unlock(&all->mutex);
    }
    return NULL;
}
