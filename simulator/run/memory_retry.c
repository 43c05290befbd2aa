/* SPDX-License-Identifier: MIT
 *
 * What a request that did not fit makes its host wait for.
 *
 *   stream        ─┤ last user of a freed block ├──┐
 *   other stream  ───┤ all it was given ├──┐       │   where segments go back
 *   host          ─── request ..............└.......└── goes on
 *                     refused by the driver
 *
 * What a host's thread handed over before the request is what counts: of tasks that wait for its
 * other threads it does not know when they come.
 */
#include "run/memory_walk.h"

#include <string.h>

#include "base/memory.h"

#define NONE PS_MEMORY_NO_TASK

/* ---- what the host has handed over ---- */

static bool is_stream_of(const ps_plan *plan, uint32_t lane, uint32_t device)
{
    return plan->lane.kind[lane] == PS_LANE_STREAM && plan->lane.device[lane] == device + 1;
}

static bool is_of_host(const ps_plan *plan, uint32_t task)
{
    return plan->lane.kind[plan->task.lane[task]] == PS_LANE_HOST;
}

/* Of each task of streams, who hands it over; NONE where its start also waits for a host's work. */
static void find_launchers(const ps_plan *plan, uint32_t *launcher)
{
    const ps_plan_dep_table *dep = &plan->dep;
    for (size_t i = 0; i < plan->task.head.count; i++) {
        launcher[i] = NONE;
    }
    for (size_t i = 0; i < dep->head.count; i++) {
        if (dep->kind[i] == PS_DEP_START_AFTER_START && is_of_host(plan, dep->before[i])) {
            launcher[dep->task[i]] = dep->before[i];
        }
    }
    for (size_t i = 0; i < dep->head.count; i++) {
        if (dep->kind[i] == PS_DEP_START_AFTER_END && is_of_host(plan, dep->before[i])) {
            launcher[dep->task[i]] = NONE;
        }
    }
}

static ps_code find_lanes(ps_memory_walk *walk, ps_error *err)
{
    const ps_plan *plan = walk->plan;
    ps_memory_retry *retry = &walk->retry;
    const size_t lanes = plan->lane.head.count, tasks = plan->task.head.count;
    retry->launcher = ps_calloc(tasks, sizeof *retry->launcher);
    retry->next = ps_calloc(tasks, sizeof *retry->next);
    retry->newest = ps_calloc(lanes, sizeof *retry->newest);
    retry->ahead = ps_calloc(lanes, sizeof *retry->ahead);
    if (retry->launcher == NULL || retry->next == NULL || retry->newest == NULL ||
        retry->ahead == NULL) {
        return ps_fail_nomem(err);
    }
    find_launchers(plan, retry->launcher);
    for (size_t lane = 0; lane < lanes; lane++) {
        retry->newest[lane] = retry->ahead[lane] = NONE;
    }
    for (uint32_t task = (uint32_t)tasks; task > 0; task--) {
        uint32_t *first = &retry->ahead[plan->task.lane[task - 1]];
        retry->next[task - 1] = *first;
        *first = task - 1;
    }
    return PS_OK;
}

/* The newest task of a lane that was handed over before a host task, NONE: none was. Host tasks of
 * one device's requests ascend, and so does what they find. */
static uint32_t newest_before(ps_memory_walk *walk, uint32_t lane, uint32_t task)
{
    ps_memory_retry *retry = &walk->retry;
    const uint32_t host = walk->plan->task.lane[task];
    for (uint32_t at = retry->ahead[lane]; at != NONE; at = retry->next[at]) {
        const uint32_t launcher = retry->launcher[at];
        if (launcher == NONE) {
            continue;
        }
        if (launcher >= task || walk->plan->task.lane[launcher] != host) {
            break;
        }
        retry->newest[lane] = at;
        retry->ahead[lane] = retry->next[at];
    }
    return retry->newest[lane];
}

/* ---- waiting ---- */

/* The driver takes a segment back when the device is idle, pages when their stream is. */
static void on_event(void *context, const ps_alloc_event *event)
{
    ps_memory_walk *walk = context;
    walk->retry.gave_segments |= event->kind == PS_ALLOC_SEGMENT_FREE;
    ps__memory_segments_note(&walk->retry.segments, event->kind);
    if (event->kind == PS_ALLOC_SEGMENT_UNMAP) {
        for (size_t lane = 0; lane < walk->plan->lane.head.count; lane++) {
            if (is_stream_of(walk->plan, (uint32_t)lane, walk->device) &&
                walk->plan->lane.number[lane] == event->stream) {
                walk->retry.gave_pages[lane] = 1;
                walk->retry.gave_any_pages = true;
            }
        }
    }
}

static ps_code wait_for_lanes(ps_memory_walk *walk, uint32_t task, ps_error *err)
{
    ps_memory_retry *retry = &walk->retry;
    if (retry->launcher == NULL) {
        PS_TRY(find_lanes(walk, err));
    }
    for (uint32_t lane = 0; lane < walk->plan->lane.head.count; lane++) {
        if (is_stream_of(walk->plan, lane, walk->device) &&
            (retry->gave_segments || retry->gave_pages[lane] != 0)) {
            const uint32_t newest = newest_before(walk, lane, task);
            if (newest != NONE) {
                PS_TRY(ps__run_waits_add(retry->found, walk->plan, task, newest, err));
            }
        }
    }
    return PS_OK;
}

/* Hold rows by buffer. */
static ps_code sort_holds(ps_memory_walk *walk, ps_error *err)
{
    const ps_plan_hold_table *hold = &walk->plan->hold;
    const size_t buffers = walk->plan->buffer.head.count;
    ps_memory_retry *retry = &walk->retry;
    retry->first_hold = ps_calloc(buffers + 1, sizeof *retry->first_hold);
    retry->hold_task = ps_calloc(hold->head.count, sizeof *retry->hold_task);
    if (retry->first_hold == NULL || retry->hold_task == NULL) {
        return ps_fail_nomem(err);
    }
    for (size_t i = 0; i < hold->head.count; i++) {
        retry->first_hold[hold->buffer[i]]++;
    }
    size_t total = 0;
    for (size_t i = 0; i <= buffers; i++) {
        total += retry->first_hold[i];
        retry->first_hold[i] = total;
    }
    for (size_t i = hold->head.count; i > 0; i--) {
        retry->hold_task[--retry->first_hold[hold->buffer[i - 1]]] = hold->task[i - 1];
    }
    return PS_OK;
}

/* The allocator waits for all marks behind other streams' use of what was freed. */
static ps_code wait_for_held(ps_memory_walk *walk, uint32_t task, ps_error *err)
{
    ps_memory_retry *retry = &walk->retry;
    if (retry->first_hold == NULL) {
        PS_TRY(sort_holds(walk, err));
    }
    for (size_t i = 0; i < walk->held_count; i++) {
        const uint32_t buffer = walk->held[i];
        for (size_t at = retry->first_hold[buffer]; at < retry->first_hold[buffer + 1]; at++) {
            PS_TRY(ps__run_waits_add(retry->found, walk->plan, task, retry->hold_task[at], err));
        }
    }
    return PS_OK;
}

/* ---- a request ---- */

static bool has_holds(const ps_plan *plan, uint32_t device)
{
    for (size_t i = 0; i < plan->hold.head.count; i++) {
        if (plan->buffer.device[plan->hold.buffer[i]] == device) {
            return true;
        }
    }
    return false;
}

ps_code ps__memory_retry_open(ps_memory_walk *walk, ps_error *err)
{
    ps_memory_retry *retry = &walk->retry;
    retry->in_task = retry->asked_task = NONE;
    retry->is_modelled = has_holds(walk->plan, walk->device);
    retry->gave_pages = ps_calloc(walk->plan->lane.head.count, sizeof *retry->gave_pages);
    return retry->gave_pages == NULL ? ps_fail_nomem(err) : PS_OK;
}

void ps__memory_retry_close(ps_memory_walk *walk)
{
    ps_memory_retry *retry = &walk->retry;
    ps_free(retry->gave_pages);
    ps_free(retry->launcher);
    ps_free(retry->next);
    ps_free(retry->newest);
    ps_free(retry->ahead);
    ps_free(retry->first_hold);
    ps_free(retry->hold_task);
    *retry = (ps_memory_retry){.found = retry->found};
}

void ps__memory_retry_forget(ps_memory_walk *walk)
{
    walk->retry.in_task = NONE; /* not what is owed: the second run begins with the same cache */
    if (walk->out->retry != NULL && walk->plan->step.head.count > 0) {
        memset(walk->out->retry, 0, walk->plan->step.head.count * sizeof *walk->out->retry);
    }
}

void ps__memory_retry_listen(ps_memory_walk *walk, ps_alloc_config *config)
{
    if (walk->retry.is_modelled) {
        config->on_event = on_event;
        config->event_ctx = walk;
    }
}

/* As ps__run_asked. Host tasks of one device's requests ascend, and so do the rows of waits. */
static ps_ns asked_of(ps_memory_walk *walk, uint32_t task)
{
    const ps_run_waits *waits = &walk->times->waits;
    size_t *at = &walk->retry.wait_row;
    if (*at > 0 && waits->row[*at - 1].task >= task) {
        *at = ps__run_waits_of(waits, task);
    }
    for (; *at < waits->count && waits->row[*at].task < task; ++*at) {
    }
    return *at < waits->count && waits->row[*at].task == task ? walk->times->asked_ns[*at]
                                                              : walk->times->start_ns[task];
}

ps_ns ps__memory_retry_moment(ps_memory_walk *walk, size_t row)
{
    const uint32_t task = walk->plan->memop.task[row];
    const ps_ns offset_ns = walk->plan->memop.offset_ns[row];
    if (offset_ns > 0 || walk->retry.in_task == task) {
        return ps__run_moment(walk->times, task, offset_ns);
    }
    if (walk->retry.asked_task != task) {
        walk->retry.asked_task = task;
        walk->retry.asked_ns = asked_of(walk, task);
    }
    return ps_time_add(walk->retry.asked_ns, offset_ns);
}

void ps__memory_retry_begin(ps_memory_walk *walk)
{
    ps_memory_retry *retry = &walk->retry;
    retry->count = ps_allocator_stats(walk->model)->retry_count;
    retry->gave_segments = false;
    ps__memory_segments_begin(&retry->segments);
    if (retry->gave_any_pages) {
        memset(retry->gave_pages, 0, walk->plan->lane.head.count);
        retry->gave_any_pages = false;
    }
}

ps_code ps__memory_retry_end(ps_memory_walk *walk, size_t row, ps_error *err)
{
    ps_memory_retry *retry = &walk->retry;
    const uint32_t task = walk->plan->memop.task[row];
    const bool retried = ps_allocator_stats(walk->model)->retry_count > retry->count;
    const bool gave = retry->gave_segments || retry->gave_any_pages;
    if (!retry->is_modelled) {
        return PS_OK;
    }
    ps__memory_retry_tell_segments(walk, task);
    if (walk->plan->memop.offset_ns[row] > 0 || (!retried && !gave)) {
        return PS_OK;
    }
    if (retry->found != NULL && retried) {
        PS_TRY(wait_for_held(walk, task, err));
    }
    if (retry->found != NULL && gave) {
        PS_TRY(wait_for_lanes(walk, task, err));
    }
    ps__memory_retry_tell(walk, task, retried);
    retry->in_task = task;
    return retried ? ps__memory_held_release(walk, PS_TIME_NEVER, err) : PS_OK;
}
