/* SPDX-License-Identifier: MIT
 *
 * Host calls that return only when device work is done.
 *
 *   synchronisation   cudaStreamSynchronize, cudaDeviceSynchronize, cudaEventSynchronize:
 *                     the device work awaited is what ended last before the call returned
 *   blocking copies   a copy call whose own device copy ended before it returned
 *   full queue        a launch blocks while the stream's queue of launched, unfinished
 *                     work is full; the depth is read off the trace, where launches that
 *                     take far longer than usual all sit at the same queue depth
 *
 * A waiting call keeps as its own cost only what it needed after the awaited
 * work was done; the rest is the wait, which a what-if can shorten or stretch.
 */
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "lower/lowering.h"

/* Clock noise between host and device stamps. */
#define NOISE_NS 2000

/* Shallower queues than this never block on any known driver: the test for a full queue starts here. */
#define LEAST_QUEUE_ENTRIES 256u

/* A blocked launch stands out: this many times the median launch. */
#define BLOCKED_FACTOR 5

static bool has(const char *name, const char *part)
{
    return strstr(name, part) != NULL;
}

static const char *name_of(const ps_lowering *self, uint32_t task)
{
    return ps_strings_text(self->plan->strings, self->plan->task.name[task]);
}

/* Last task of a lane that had ended at `time` and was launched by a call before `host`. */
static uint32_t last_ended(const ps_lowering *self, uint32_t lane, uint32_t host, ps_ns time)
{
    const lane_queue *queue = &self->queue[lane];
    size_t low = 0, high = queue->count;
    while (low < high) {
        const size_t mid = low + (high - low) / 2;
        if (self->rec_end[queue->task[mid]] <= time) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    for (; low > 0; low--) {
        const uint32_t task = queue->task[low - 1];
        const uint32_t launch = self->launch[task - self->host_count];
        if (launch == PS_NONE || self->rec_start[launch] <= self->rec_start[host]) {
            return task;
        }
    }
    return PS_NONE;
}

/* The call waits for the task: its own cost shrinks to what came after. */
static ps_code make_wait(ps_lowering *self, uint32_t host, uint32_t awaited, ps_ns usual_lag,
                         ps_dep_origin origin, ps_error *err)
{
    const ps_ns done = self->rec_end[awaited], end = self->rec_end[host];
    const ps_ns lag = end > done ? end - done : 0;
    const bool waited = done > self->rec_start[host];
    if (waited && lag < self->plan->task.dur_ns[host]) {
        self->plan->task.dur_ns[host] = lag;
    }
    self->plan->task.kind[host] = PS_TASK_WAIT;
    const ps_ns free_lag = usual_lag < lag ? usual_lag : lag;
    return ps__lower_add_dep(self, host, awaited, PS_DEP_END_AFTER_END, waited ? lag : free_lag,
                             origin, err);
}

/* Return lag of a synchronisation that found its work done: what such calls cost anyway. */
#define USUAL_RETURN_LAG_NS 5000

static ps_ns distance(ps_ns a, ps_ns b)
{
    return a > b ? a - b : b - a;
}

/* The newest finished work of every stream; the one that ended closest to the return is what the
 * call waited for. (Host and device clocks differ a little: it may seem to end after the return.) */
static uint32_t find_awaited(const ps_lowering *self, uint32_t host, uint32_t *of_lane)
{
    const uint32_t process = ps__lower_process(self, self->plan->task.lane[host]);
    uint32_t best = PS_NONE;
    for (uint32_t lane = 0; lane < self->plan->lane.head.count; lane++) {
        of_lane[lane] = self->plan->lane.kind[lane] != PS_LANE_STREAM ||
                                ps__lower_process(self, lane) != process
                            ? PS_NONE
                            : last_ended(self, lane, host, self->rec_end[host] + NOISE_NS);
        const ps_ns end = self->rec_end[host];
        if (of_lane[lane] != PS_NONE &&
            (best == PS_NONE ||
             distance(self->rec_end[of_lane[lane]], end) < distance(self->rec_end[best], end))) {
            best = of_lane[lane];
        }
    }
    return best;
}

/* A whole device is awaited on every stream; those that had finished earlier did not bind, and would
 * return at the usual cost. */
static ps_code wait_for_others(ps_lowering *self, uint32_t host, const uint32_t *of_lane,
                               uint32_t best, ps_error *err)
{
    const ps_ns lag = self->rec_end[host] - self->rec_end[best];
    const ps_ns usual = lag < USUAL_RETURN_LAG_NS ? lag : USUAL_RETURN_LAG_NS;
    for (uint32_t lane = 0; lane < self->plan->lane.head.count; lane++) {
        if (of_lane[lane] != PS_NONE && of_lane[lane] != best) {
            PS_TRY(ps__lower_add_dep(self, host, of_lane[lane], PS_DEP_END_AFTER_END, usual,
                                     PS_DEP_RULE, err));
        }
    }
    return PS_OK;
}

static ps_code wait_for_lanes(ps_lowering *self, uint32_t host, bool whole_device,
                              uint32_t *of_lane, ps_error *err)
{
    const uint32_t best = find_awaited(self, host, of_lane);
    if (best == PS_NONE) {
        return PS_OK;
    }
    if (whole_device) {
        PS_TRY(wait_for_others(self, host, of_lane, best, err));
    }
    return make_wait(self, host, best, USUAL_RETURN_LAG_NS,
                     whole_device ? PS_DEP_RULE : PS_DEP_INFERRED, err);
}

static bool is_synchronisation(const char *name, bool *whole_device)
{
    *whole_device = has(name, "DeviceSynchronize") || has(name, "CtxSynchronize");
    return *whole_device || has(name, "StreamSynchronize") || has(name, "EventSynchronize");
}

static ps_code lower_synchronisations(ps_lowering *self, ps_error *err)
{
    uint32_t *of_lane = ps_calloc(self->plan->lane.head.count, sizeof *of_lane);
    ps_code code = of_lane == NULL ? ps_fail_nomem(err) : PS_OK;
    for (uint32_t host = 0; host < self->host_count && code == PS_OK; host++) {
        bool whole_device;
        if (is_synchronisation(name_of(self, host), &whole_device)) {
            code = wait_for_lanes(self, host, whole_device, of_lane, err);
        }
    }
    ps_free(of_lane);
    return code;
}

/* Copies between device and pageable memory, and the synchronous copy calls, return when done. */
static bool is_blocking_copy(const ps_lowering *self, uint32_t host, uint32_t copy)
{
    const ps_plan_task_table *task = &self->plan->task;
    const uint8_t kind = task->copy_kind[copy];
    if (task->kind[copy] != PS_TASK_MEMCPY || (kind != PS_COPY_HTOD && kind != PS_COPY_DTOH) ||
        self->rec_end[copy] > self->rec_end[host] + NOISE_NS) {
        return false;
    }
    return task->memory_kind[copy] == PS_MEMORY_PAGEABLE || !has(name_of(self, host), "Async");
}

static ps_code lower_blocking_copies(ps_lowering *self, ps_error *err)
{
    for (size_t task = self->host_count; task < self->plan->task.head.count; task++) {
        const uint32_t launch = self->launch[task - self->host_count];
        if (launch != PS_NONE && is_blocking_copy(self, launch, (uint32_t)task)) {
            PS_TRY(make_wait(self, launch, (uint32_t)task, USUAL_RETURN_LAG_NS, PS_DEP_RULE, err));
        }
    }
    return PS_OK;
}

/* ---- the launch queue ---- */

/* Median length of the calls that launched a lane's tasks, by a histogram of powers of two. */
static ps_ns median_launch(const ps_lowering *self, const lane_queue *queue)
{
    size_t histogram[64] = {0};
    size_t count = 0, seen = 0;
    for (size_t i = 0; i < queue->count; i++) {
        const uint32_t launch = self->launch[queue->task[i] - self->host_count];
        if (launch != PS_NONE) {
            const uint64_t dur = (uint64_t)(self->rec_end[launch] - self->rec_start[launch]);
            histogram[dur == 0 ? 0 : 63 - __builtin_clzll(dur)]++;
            count++;
        }
    }
    for (int bit = 0; bit < 63; bit++) {
        seen += histogram[bit];
        if (seen * 2 > count) {
            return (ps_ns)2 << bit;
        }
    }
    return 0;
}

/* Launched and unfinished tasks of the lane when the launch of queue entry i returned, entry i included. */
static size_t depth_at(const ps_lowering *self, const lane_queue *queue, size_t i)
{
    const ps_ns end = self->rec_end[self->launch[queue->task[i] - self->host_count]];
    size_t low = 0, high = i;
    while (low < high) {
        const size_t mid = low + (high - low) / 2;
        if (self->rec_end[queue->task[mid]] <= end) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return i - low + 1;
}

static bool is_long_launch(const ps_lowering *self, uint32_t launch, ps_ns usual)
{
    return launch != PS_NONE &&
           self->rec_end[launch] - self->rec_start[launch] > usual * BLOCKED_FACTOR;
}

/* Depth at which launches of this lane blocked: the median over the blocked ones; 0 when none did. */
static size_t find_queue_depth(const ps_lowering *self, const lane_queue *queue, ps_ns usual)
{
    size_t deepest = 0, blocked = 0, at_limit = 0;
    for (size_t i = 0; i < queue->count; i++) {
        const uint32_t launch = self->launch[queue->task[i] - self->host_count];
        if (launch != PS_NONE) {
            const size_t depth = depth_at(self, queue, i);
            deepest = depth > deepest ? depth : deepest;
        }
    }
    if (deepest < LEAST_QUEUE_ENTRIES) {
        return 0;
    }
    for (size_t i = 0; i < queue->count; i++) {
        const uint32_t launch = self->launch[queue->task[i] - self->host_count];
        if (is_long_launch(self, launch, usual) &&
            depth_at(self, queue, i) >= LEAST_QUEUE_ENTRIES) {
            blocked++;
            at_limit += depth_at(self, queue, i) + 16 >= deepest;
        }
    }
    return blocked >= 3 && at_limit * 10 >= blocked * 9 ? deepest : 0;
}

static ps_code lower_queue(ps_lowering *self, const lane_queue *queue, size_t depth, ps_ns usual,
                           ps_error *err)
{
    for (size_t i = depth; i < queue->count; i++) {
        const uint32_t launch = self->launch[queue->task[i] - self->host_count];
        if (launch == PS_NONE) {
            continue;
        }
        const uint32_t oldest = queue->task[i - depth];
        const size_t now = depth_at(self, queue, i);
        if (is_long_launch(self, launch, usual) && now + 16 >= depth && now <= i) {
            /* the entry whose end let the launch return: the last that had ended by then */
            const uint32_t freed = queue->task[i - now];
            if (self->rec_end[freed] > self->rec_start[launch]) {
                PS_TRY(ps__lower_add_dep(self, launch, freed, PS_DEP_END_AFTER_END,
                                         self->rec_end[launch] - self->rec_end[freed], PS_DEP_RULE,
                                         err));
                self->plan->task.dur_ns[launch] = usual < self->plan->task.dur_ns[launch]
                                                      ? usual
                                                      : self->plan->task.dur_ns[launch];
                continue;
            }
        }
        if (self->rec_end[oldest] <= self->rec_end[launch]) {
            PS_TRY(
                ps__lower_add_dep(self, launch, oldest, PS_DEP_END_AFTER_END, 0, PS_DEP_RULE, err));
        }
    }
    return PS_OK;
}

static ps_code lower_queues(ps_lowering *self, ps_error *err)
{
    size_t deepest = 0;
    for (uint32_t lane = 0; lane < self->plan->lane.head.count; lane++) {
        const lane_queue *queue = &self->queue[lane];
        if (self->plan->lane.kind[lane] != PS_LANE_STREAM) {
            continue;
        }
        const ps_ns usual = median_launch(self, queue);
        const size_t depth = find_queue_depth(self, queue, usual);
        if (depth > 0) {
            PS_TRY(lower_queue(self, queue, depth, usual, err));
            deepest = depth > deepest ? depth : deepest;
        }
    }
    if (deepest == 0) {
        return PS_OK;
    }
    char text[32];
    (void)snprintf(text, sizeof text, "%zu", deepest);
    return ps_plan_set_meta(self->plan, PS_PLAN_META_QUEUE, text, err);
}

ps_code ps__lower_waits(ps_lowering *self, ps_error *err)
{
    PS_TRY(lower_synchronisations(self, err));
    PS_TRY(lower_blocking_copies(self, err));
    return lower_queues(self, err);
}
