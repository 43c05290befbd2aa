/* SPDX-License-Identifier: MIT
 *
 * Executor for backends on which time passes: a thread a lane, see lanes.h
 * for what they share. A lane does its tasks in row order:
 *
 *   host task     requests in its gap ► start ► requests and stand-in ► end
 *   device task   start ► submit (and wait, when it is queued) ► end
 */
#include "replay/lanes.h"

#include "base/memory.h"

static bool do_request(ps_replay_lane *lane, uint32_t memop)
{
    ps_replay_lanes *all = lane->all;
    const uint32_t node = ps_replay_memop_node(&all->session->graph, memop);
    ps_ns bound;
    ps_error err = {0};
    if (ps_replay_lane_await(lane, node, 0, PS_TIME_NEVER, &bound) != PS_REPLAY_READY) {
        return false;
    }
    const ps_code code = ps_replay_ledger_apply(&all->session->ledger, memop, &err);
    if (code != PS_OK) {
        ps_error_note(&err, "memop %u", memop);
        ps_replay_lanes_fail(all, code, &err);
        return false;
    }
    ps_replay_lanes_happen(all, node, all->session->ops->now(all->session->backend));
    return true;
}

/* Requests before the start: their offsets count back from the moment the task can start. */
static bool do_gap_requests(ps_replay_lane *lane, uint32_t task, size_t *next)
{
    const ps_replay_session *session = lane->all->session;
    const ps_replay_graph *graph = &session->graph;
    const size_t end = graph->request_first[task + 1];
    ps_ns start = 0;
    for (; *next < end && graph->requests[*next].offset_ns < 0; (*next)++) {
        const ps_replay_request *request = &graph->requests[*next];
        ps_ns bound;
        if (ps_replay_lane_await(lane, ps_replay_memop_node(graph, request->memop), 0,
                                 PS_TIME_NEVER, &bound) != PS_REPLAY_READY) {
            return false;
        }
        start = bound > start ? bound : start;
        const ps_ns due = ps_time_add(start, ps_replay_session_ns(session, request->offset_ns));
        if (!ps_replay_pace_until(&lane->all->pace, due, &session->stop) ||
            !do_request(lane, request->memop)) {
            return false;
        }
    }
    return start == 0 || ps_replay_pace_until(&lane->all->pace, start, &session->stop);
}

/*
 * Waits for the moment of a request in a task's course. A task can turn out
 * shorter than its offset, a wait above all; then the request comes when
 * nothing but the requests keeps the task from ending.
 */
static bool reach_request(ps_replay_lane *lane, uint32_t task, ps_ns due, ps_ns own_end)
{
    const ps_replay_lanes *all = lane->all;
    const atomic_bool *stop = &all->session->stop;
    if (due <= own_end) {
        return ps_replay_pace_until(&all->pace, due, stop);
    }
    ps_ns bound;
    if (!ps_replay_pace_until(&all->pace, own_end, stop)) {
        return false;
    }
    switch (ps_replay_lane_await(lane, ps_replay_end_node(task), 1, due, &bound)) {
    case PS_REPLAY_READY:
        return ps_replay_pace_until(&all->pace, bound < due ? bound : due, stop);
    case PS_REPLAY_TIME_UP:
        return true;
    case PS_REPLAY_STOPPED:
        break;
    }
    return false;
}

/* Submits work and, if it was queued, waits for it. False when the run is given up. */
static bool do_work(ps_replay_lane *lane, uint32_t task, ps_backend_result *result)
{
    ps_replay_session *session = lane->all->session;
    const ps_backend_work work = ps_replay_work_of(session, task);
    ps_backend_answer answer = PS_BACKEND_DONE;
    ps_backend_ticket ticket = 0;
    ps_error err = {0};
    ps_code code =
        session->ops->submit(session->backend, lane->index, &work, &answer, &ticket, result, &err);
    if (code == PS_OK && answer == PS_BACKEND_QUEUED) {
        code = session->ops->wait(session->backend, lane->index, ticket, result, &err);
    } else if (code == PS_OK && answer == PS_BACKEND_BUSY) {
        code = ps_fail(&err, PS_INTERNAL, "backend %s: lane %u is busy with nothing",
                       session->ops->name, lane->index);
    }
    if (code != PS_OK) {
        ps_error_note(&err, "task %u \"%s\"", task, work.name);
        ps_replay_lanes_fail(lane->all, code, &err);
        return false;
    }
    ps_replay_tally_add(&lane->tally, session, task, result);
    return !ps_replay_lanes_stopped(lane->all);
}

static bool run_host_task(ps_replay_lane *lane, uint32_t task)
{
    ps_replay_lanes *all = lane->all;
    const ps_replay_session *session = all->session;
    const ps_replay_graph *graph = &session->graph;
    size_t next = graph->request_first[task];
    if (!do_gap_requests(lane, task, &next) ||
        !ps_replay_lane_reach(lane, ps_replay_start_node(task))) {
        return false;
    }
    const ps_ns start = session->ops->now(session->backend);
    const ps_ns own_end =
        ps_time_add(start, ps_replay_session_ns(session, session->plan->task.dur_ns[task]));
    ps_replay_lanes_happen(all, ps_replay_start_node(task), start);
    for (; next < graph->request_first[task + 1]; next++) {
        const ps_replay_request *request = &graph->requests[next];
        const ps_ns due = ps_time_add(start, ps_replay_session_ns(session, request->offset_ns));
        if (!reach_request(lane, task, due, own_end) || !do_request(lane, request->memop)) {
            return false;
        }
    }
    if (!ps_replay_pace_until(&all->pace, own_end, &session->stop)) {
        return false;
    }
    ps_backend_result result = {0};
    if (session->uses_links[task] != 0 && !do_work(lane, task, &result)) {
        return false;
    }
    return ps_replay_lane_end(lane, task, session->ops->now(session->backend));
}

static bool run_device_task(ps_replay_lane *lane, uint32_t task)
{
    ps_replay_lanes *all = lane->all;
    const ps_replay_session *session = all->session;
    const uint32_t start = ps_replay_start_node(task);
    /* queued work starts when the backend says, and that is known afterwards */
    const bool starts_later = (session->ops->capabilities & PS_BACKEND_ASYNC) != 0;
    ps_backend_result result = {0};
    if (!ps_replay_lane_reach(lane, start)) {
        return false;
    }
    if (!starts_later) {
        ps_replay_lanes_happen(all, start, session->ops->now(session->backend));
    }
    if (!do_work(lane, task, &result)) {
        return false;
    }
    if (starts_later) {
        ps_replay_lanes_happen(all, start, result.start_ns);
    }
    return ps_replay_lane_end(lane, task, result.end_ns);
}

static void *run_lane(void *argument)
{
    ps_replay_lane *lane = argument;
    const ps_replay_session *session = lane->all->session;
    const ps_replay_graph *graph = &session->graph;
    if (!ps_replay_lane_enter(lane)) {
        return NULL;
    }
    if (lane->has_reaper) {
        ps_replay_lane_run_ahead(lane);
        return NULL;
    }
    for (size_t i = graph->lane_first[lane->index]; i < graph->lane_first[lane->index + 1]; i++) {
        const uint32_t task = graph->lane_task[i];
        const bool goes_on = ps_replay_is_host_kind(session->plan->task.kind[task])
                                 ? run_host_task(lane, task)
                                 : run_device_task(lane, task);
        if (!goes_on) {
            break;
        }
    }
    return NULL;
}

/* [bytes] stack of a lane: its frames hold an error record or two. */
#define STACK_BYTES ((size_t)1 << 20)

static ps_code start_thread(pthread_t *thread, void *(*body)(void *), ps_replay_lane *lane,
                            bool *started, ps_error *err)
{
    pthread_attr_t attributes;
    int failure = pthread_attr_init(&attributes);
    if (failure == 0) {
        (void)pthread_attr_setstacksize(&attributes, STACK_BYTES);
        failure = pthread_create(thread, &attributes, body, lane);
        (void)pthread_attr_destroy(&attributes);
    }
    if (failure != 0) {
        return ps_fail(err, PS_LIMIT, "cannot start a thread for lane %u of %zu", lane->index,
                       lane->all->lane_count);
    }
    *started = true;
    return PS_OK;
}

static ps_code start_lane(ps_replay_lane *lane, ps_error *err)
{
    const ps_replay_session *session = lane->all->session;
    const ps_replay_graph *graph = &session->graph;
    if (graph->lane_first[lane->index] == graph->lane_first[lane->index + 1]) {
        return PS_OK;
    }
    if (lane->all->tickets != NULL && session->plan->lane.kind[lane->index] == PS_LANE_STREAM) {
        PS_TRY(start_thread(&lane->reaper, ps_replay_lane_reap, lane, &lane->has_reaper, err));
    }
    return start_thread(&lane->thread, run_lane, lane, &lane->has_thread, err);
}

/* Lanes start together: the gate opens when the last thread is there. */
static void open_gate(ps_replay_lanes *all)
{
    const ps_replay_session *session = all->session;
    const ps_replay_graph *graph = &session->graph;
    (void)pthread_mutex_lock(&all->mutex);
    all->origin_ns = session->ops->now(session->backend);
    for (size_t n = 0; n < graph->node_count; n++) {
        all->bound_ns[n] = all->origin_ns;
    }
    for (size_t lane = 0; lane < all->lane_count; lane++) {
        if (graph->lane_first[lane] < graph->lane_first[lane + 1]) {
            const uint32_t task = graph->lane_task[graph->lane_first[lane]];
            const ps_ns bound = ps_time_add(
                all->origin_ns, ps_replay_session_ns(session, session->plan->task.gap_ns[task]));
            const size_t first = graph->request_first[task];
            const bool in_gap =
                first < graph->request_first[task + 1] && graph->requests[first].offset_ns < 0;
            all->bound_ns[in_gap ? ps_replay_memop_node(graph, graph->requests[first].memop)
                                 : ps_replay_start_node(task)] = bound;
        }
    }
    all->is_open = true;
    (void)pthread_cond_broadcast(&all->gate);
    (void)pthread_mutex_unlock(&all->mutex);
}

static void join_lanes(ps_replay_lanes *all)
{
    for (size_t i = 0; i < all->lane_count; i++) {
        if (all->lanes[i].has_thread) {
            (void)pthread_join(all->lanes[i].thread, NULL);
        }
        if (all->lanes[i].has_reaper) {
            (void)pthread_join(all->lanes[i].reaper, NULL);
        }
    }
}

static ps_code run_threads(ps_replay_lanes *all, ps_error *err)
{
    ps_error first = {0};
    ps_code code = PS_OK;
    for (size_t i = 0; i < all->lane_count && code == PS_OK; i++) {
        code = start_lane(&all->lanes[i], &first);
    }
    if (code != PS_OK) {
        ps_replay_lanes_fail(all, code, &first);
    }
    open_gate(all);
    join_lanes(all);
    if (all->code != PS_OK && err != NULL) {
        *err = all->error;
    }
    return all->code;
}

/* Log times were taken absolute; the report counts from the origin. */
static void finish_log(const ps_replay_lanes *all, ps_replay_log *log)
{
    for (size_t t = 0; t < log->task_count; t++) {
        log->start_ns[t] -= all->origin_ns;
        log->end_ns[t] -= all->origin_ns;
    }
    for (size_t m = 0; m < log->memop_count; m++) {
        log->memop_ns[m] -= all->origin_ns;
    }
    log->is_timed = true;
}

static ps_code init_lanes(ps_replay_lanes *all, ps_error *err)
{
    const ps_replay_session *session = all->session;
    const ps_replay_graph *graph = &session->graph;
    const ps_plan *plan = session->plan;
    all->left = ps_calloc(graph->node_count, sizeof *all->left);
    all->bound_ns = ps_calloc(graph->node_count, sizeof *all->bound_ns);
    all->lanes = ps_calloc(plan->lane.head.count, sizeof *all->lanes);
    if (all->left == NULL || all->bound_ns == NULL || all->lanes == NULL) {
        return ps_fail_nomem(err);
    }
    for (size_t n = 0; n < graph->node_count; n++) {
        all->left[n] = graph->indegree[n];
    }
    if ((session->ops->capabilities & PS_BACKEND_ORDERED) != 0) {
        all->tickets = ps_calloc(graph->task_count, sizeof *all->tickets);
        all->has_end_deps = ps_calloc(graph->task_count, sizeof *all->has_end_deps);
        if (all->tickets == NULL || all->has_end_deps == NULL) {
            return ps_fail_nomem(err);
        }
        for (size_t d = 0; d < plan->dep.head.count; d++) {
            if (plan->dep.kind[d] >= PS_DEP_END_AFTER_END) {
                all->has_end_deps[plan->dep.task[d]] = true;
            }
        }
    }
    pthread_condattr_t attributes;
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    for (size_t i = 0; i < plan->lane.head.count; i++) {
        all->lanes[i].all = all;
        all->lanes[i].index = (uint32_t)i;
        (void)pthread_cond_init(&all->lanes[i].changed, &attributes);
    }
    all->lane_count = plan->lane.head.count;
    (void)pthread_condattr_destroy(&attributes);
    return PS_OK;
}

static void fini_lanes(ps_replay_lanes *all)
{
    for (size_t i = 0; i < all->lane_count; i++) {
        (void)pthread_cond_destroy(&all->lanes[i].changed);
    }
    ps_free(all->left);
    ps_free(all->bound_ns);
    ps_free(all->tickets);
    ps_free(all->has_end_deps);
    ps_free(all->lanes);
    (void)pthread_cond_destroy(&all->gate);
    (void)pthread_mutex_destroy(&all->mutex);
}

ps_code ps_replay_run_lanes(ps_replay_session *session, ps_error *err)
{
    ps_replay_lanes all = {.session = session, .pace = ps_replay_pace_calibrate()};
    (void)pthread_mutex_init(&all.mutex, NULL);
    (void)pthread_cond_init(&all.gate, NULL);
    ps_code code = init_lanes(&all, err);
    if (code == PS_OK) {
        code = run_threads(&all, err);
    }
    if (code == PS_OK) {
        for (size_t i = 0; i < all.lane_count; i++) {
            ps_replay_tally_report(&all.lanes[i].tally, session->report);
        }
        finish_log(&all, &session->report->log);
    }
    fini_lanes(&all);
    return code;
}
