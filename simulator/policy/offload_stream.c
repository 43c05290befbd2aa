/* SPDX-License-Identifier: MIT
 *
 * The stream of a recorded job that computes: what launches its tasks, and
 * where between them something new can go.
 */
#include <string.h>

#include "base/memory.h"
#include "policy/offload_parts.h"

/* ---- the stream that computes ---- */

static ps_code find_lane(ps_offload_stream *self, ps_error *err)
{
    const ps_plan *plan = self->plan;
    size_t *kernels = ps_calloc(plan->lane.head.count + 1, sizeof *kernels);
    size_t most = 0;
    if (kernels == NULL) {
        return ps_fail_nomem(err);
    }
    for (size_t i = 0; i < plan->task.head.count; i++) {
        kernels[plan->task.lane[i]] += plan->task.kind[i] == PS_TASK_KERNEL ? 1 : 0;
    }
    for (uint32_t lane = 0; lane < plan->lane.head.count; lane++) {
        if (kernels[lane] > most) {
            most = kernels[lane];
            self->lane = lane;
        }
    }
    ps_free(kernels);
    return most > 0 ? PS_OK
                    : ps_fail(err, PS_USAGE,
                              "no kernels are recorded: nothing says when memory is in use");
}

static ps_code find_launches(ps_offload_stream *self, ps_error *err)
{
    const ps_plan *plan = self->plan;
    const size_t tasks = plan->task.head.count;
    uint32_t *of = ps_calloc(tasks + 1, sizeof *of);
    uint32_t *last = ps_calloc(plan->lane.head.count + 1, sizeof *last);
    self->task = ps_calloc(tasks + 1, sizeof *self->task);
    self->launch = ps_calloc(tasks + 1, sizeof *self->launch);
    self->previous = ps_calloc(tasks + 1, sizeof *self->previous);
    if (of == NULL || last == NULL || self->task == NULL || self->launch == NULL ||
        self->previous == NULL) {
        ps_free(of);
        ps_free(last);
        return ps_fail_nomem(err);
    }
    memset(of, 0xff, tasks * sizeof *of);
    memset(last, 0xff, plan->lane.head.count * sizeof *last);
    for (size_t i = 0; i < plan->dep.head.count; i++) {
        if (plan->dep.kind[i] == PS_DEP_START_AFTER_START &&
            plan->lane.kind[plan->task.lane[plan->dep.before[i]]] == PS_LANE_HOST) {
            of[plan->dep.task[i]] = plan->dep.before[i];
        }
    }
    for (uint32_t i = 0; i < tasks; i++) {
        self->previous[i] = last[plan->task.lane[i]];
        last[plan->task.lane[i]] = i;
        if (plan->task.lane[i] == self->lane && of[i] != PS_OFFLOAD_NONE) {
            self->launch[self->count] = of[i];
            self->task[self->count++] = i;
        }
    }
    ps_free(of);
    ps_free(last);
    return PS_OK;
}

/* ---- places ---- */

ps_ns ps__offload_memop_ns(const ps_offload_stream *self, size_t row)
{
    const uint32_t task = self->plan->memop.task[row];
    const ps_ns length = self->times.end_ns[task] - self->times.start_ns[task];
    const ps_ns offset =
        self->plan->memop.offset_ns[row]; /* may stand for the end, whenever that is */
    return self->times.start_ns[task] + (offset < length ? offset : length);
}

size_t ps__offload_launched_by(const ps_offload_stream *self, ps_ns at_ns)
{
    size_t low = 0, high = self->count;
    while (low < high) {
        const size_t mid = low + (high - low) / 2;
        if (self->times.start_ns[self->launch[mid]] < at_ns) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low;
}

size_t ps__offload_first_memop_after(const ps_offload_stream *self, ps_ns at_ns)
{
    size_t low = 0, high = self->plan->memop.head.count;
    while (low < high) {
        const size_t mid = low + (high - low) / 2;
        if (ps__offload_memop_ns(self, mid) <= at_ns) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low;
}

/* The last task of a lane that had begun at a moment, or NONE. */
static uint32_t last_begun(const ps_offload_stream *self, uint32_t lane, ps_ns at_ns)
{
    for (size_t i = self->plan->task.head.count; i-- > 0;) {
        if (self->plan->task.lane[i] == lane && self->times.start_ns[i] < at_ns) {
            return (uint32_t)i;
        }
    }
    return PS_OFFLOAD_NONE;
}

/* Behind which host task something goes that comes before the launch of the stream's `next`: the one
 * before it on its thread. Where that is from before the last launch of another thread (autograd's
 * works while the program's own waits for it), the other thread's newest is nearer. */
static uint32_t host_between(const ps_offload_stream *self, size_t next, ps_ns at_ns)
{
    const uint32_t *lane = self->plan->task.lane;
    const uint32_t leader = self->launch[next - 1], follower = self->launch[next];
    const uint32_t host = self->previous[follower];
    const bool is_older =
        host == PS_OFFLOAD_NONE || self->times.start_ns[host] < self->times.start_ns[leader];
    return lane[leader] != lane[follower] && is_older ? last_begun(self, lane[leader], at_ns)
                                                      : host;
}

uint32_t ps__offload_resumes(const ps_offload_stream *self, size_t next, uint32_t host, ps_ns at_ns)
{
    const uint32_t *lane = self->plan->task.lane;
    if (next == self->count || lane[self->launch[next]] == lane[host] ||
        self->times.end_ns[host] > at_ns) {
        return 0;
    }
    uint32_t first = self->launch[next];
    while (self->previous[first] != PS_OFFLOAD_NONE &&
           self->times.start_ns[self->previous[first]] >= at_ns) {
        first = self->previous[first];
    }
    return first + 1;
}

bool ps__offload_place(const ps_offload_stream *self, ps_ns at_ns, ps_offload_place *out)
{
    const size_t next = ps__offload_launched_by(self, at_ns);
    if (next == 0 || next == self->count) {
        return false;
    }
    const uint32_t host = host_between(self, next, at_ns);
    *out = (ps_offload_place){
        .before = self->task[next - 1], .behind = self->task[next], .host = host};
    if (host == PS_OFFLOAD_NONE) {
        return false;
    }
    out->resumes = ps__offload_resumes(self, next, host, at_ns);
    out->memop = ps__offload_first_memop_after(self, self->times.end_ns[host]);
    return true;
}

bool ps__offload_any_place(const ps_offload_stream *self, ps_ns at_ns, ps_offload_place *out)
{
    const size_t launched = ps__offload_launched_by(self, at_ns);
    if (launched == 0) {
        const uint32_t first = self->previous[self->launch[0]];
        *out = (ps_offload_place){
            .before = self->previous[self->task[0]], .behind = self->task[0], .host = first};
        out->memop = first == PS_OFFLOAD_NONE
                         ? 0
                         : ps__offload_first_memop_after(self, self->times.end_ns[first]);
        return first != PS_OFFLOAD_NONE;
    }
    if (launched < self->count) {
        const bool found = ps__offload_place(self, at_ns, out);
        out->before = self->previous[self->task[launched]]; /* also work that nobody launches */
        return found;
    }
    const uint32_t newest = self->launch[self->count - 1];
    const uint32_t host = last_begun(self, self->plan->task.lane[newest], at_ns);
    *out = (ps_offload_place){.before = last_begun(self, self->lane, INT64_MAX),
                              .behind = PS_OFFLOAD_NONE,
                              .host = host == PS_OFFLOAD_NONE || host < newest ? newest : host};
    out->memop = ps__offload_first_memop_after(self, self->times.end_ns[out->host]);
    return true;
}

bool ps__offload_is_over(const ps_offload_stream *self, size_t row, uint32_t task)
{
    const uint32_t host = self->plan->memop.task[row];
    size_t at = 0, high = self->count;
    while (at < high) {
        const size_t mid = at + (high - at) / 2;
        if (self->task[mid] < task) {
            at = mid + 1;
        } else {
            high = mid;
        }
    }
    return self->times.start_ns[self->launch[at]] >= (self->plan->memop.offset_ns[row] > 0
                                                          ? self->times.end_ns[host]
                                                          : self->times.start_ns[host]);
}

/* ---- all ---- */

/* Places are found by when work is launched. */
static ps_code check_order(const ps_offload_stream *stream, ps_error *err)
{
    for (size_t i = 1; i < stream->count; i++) {
        if (stream->times.start_ns[stream->launch[i]] <
            stream->times.start_ns[stream->launch[i - 1]]) {
            return ps_fail(err, PS_USAGE,
                           "the stream that computes runs work in another order than it was "
                           "launched in: what comes before what on it is not known");
        }
    }
    return PS_OK;
}

ps_code ps__offload_stream(const ps_plan *plan, ps_offload_stream *out, ps_error *err)
{
    *out = (ps_offload_stream){.plan = plan};
    PS_TRY(find_lane(out, err));
    PS_TRY(ps__recorded_times(plan, &out->times, err));
    PS_TRY(find_launches(out, err));
    return check_order(out, err);
}

void ps__offload_stream_fini(ps_offload_stream *self)
{
    ps__recorded_times_fini(&self->times);
    ps_free(self->task);
    ps_free(self->launch);
    ps_free(self->previous);
    *self = (ps_offload_stream){0};
}
