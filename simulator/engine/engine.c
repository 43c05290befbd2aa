/* SPDX-License-Identifier: MIT
 *
 * Edges of tasks in time.
 *
 * The time of an edge is the largest of finitely many awaited times, so an
 * edge is final once the last of them is; in what order other edges become
 * final does not matter. Only transfers couple tasks through more than such
 * maxima. So finality is propagated at once with a stack, in any order, and
 * a clock with an event queue exists for transfers alone (links.h): when it
 * stands at t, everything that happens up to t is final, because no awaited
 * time lies before the edge that waits.
 */
#include "engine/engine.h"

#include <string.h>

#include "base/memory.h"
#include "engine/deadlock.h"
#include "engine/input.h"
#include "engine/links.h"

#define NONE UINT32_MAX

/* An edge is its task * 2, plus 1 for the end. */
typedef uint32_t edge;

typedef struct run {
    const ps_engine_input *input;
    ps_ns *start_ns; /* the largest awaited time so far, final when nothing is awaited */
    ps_ns *end_ns;
    ps_waits *waits;     /* per task */
    uint32_t *next;      /* per task: the lane's next task, or NONE */
    uint32_t *first_out; /* per task and one more: where its dependents begin in out */
    uint32_t *out;       /* dependency rows sorted by the awaited task */
    edge *ready;         /* stack of final edges not yet propagated; one a task at most */
    size_t ready_count;
    ps_links *links;
} run;

static ps_code allocate(run *self, ps_error *err)
{
    const size_t tasks = self->input->task_count;
    /* but for first_out all is written before it is read */
    self->waits = ps_realloc(NULL, tasks, sizeof *self->waits);
    self->next = ps_realloc(NULL, tasks, sizeof *self->next);
    self->first_out = ps_calloc(tasks + 1, sizeof *self->first_out);
    self->out = ps_realloc(NULL, self->input->dep_count, sizeof *self->out);
    self->ready = ps_realloc(NULL, tasks, sizeof *self->ready);
    if (self->waits == NULL || self->next == NULL || self->first_out == NULL || self->out == NULL ||
        self->ready == NULL) {
        return ps_fail_nomem(err);
    }
    return ps_links_create(self->input, &self->links, err);
}

static void release(run *self)
{
    ps_free(self->waits);
    ps_free(self->next);
    ps_free(self->first_out);
    ps_free(self->out);
    ps_free(self->ready);
    ps_links_destroy(self->links);
}

/* Chains the tasks of each lane; the first of a lane starts from 0 and waits for nothing there. */
static ps_code thread_lanes(run *self, ps_error *err)
{
    const ps_engine_input *in = self->input;
    uint32_t *last = ps_calloc(in->lane_count, sizeof *last);
    if (last == NULL) {
        return ps_fail_nomem(err);
    }
    memset(last, 0xff, in->lane_count * sizeof *last);
    for (size_t i = 0; i < in->task_count; i++) {
        const uint32_t lane = in->lane[i];
        const bool is_first = last[lane] == NONE;
        self->next[i] = NONE;
        self->start_ns[i] = is_first ? in->gap_ns[i] : 0;
        self->end_ns[i] = 0;
        self->waits[i] = (ps_waits){.for_start = is_first ? 0 : 1, .for_end = 1};
        if (!is_first) {
            self->next[last[lane]] = (uint32_t)i;
        }
        last[lane] = (uint32_t)i;
    }
    ps_free(last);
    return PS_OK;
}

static bool holds_end(const ps_engine_input *in, size_t dep)
{
    return in->dep_kind[dep] == PS_ENGINE_END_AFTER_END ||
           in->dep_kind[dep] == PS_ENGINE_END_AFTER_START;
}

static bool awaits_end(const ps_engine_input *in, size_t dep)
{
    return in->dep_kind[dep] == PS_ENGINE_START_AFTER_END ||
           in->dep_kind[dep] == PS_ENGINE_END_AFTER_END;
}

/*
 * Counts what each edge waits for, and sorts dependencies by the awaited task
 * (counting sort, stable).
 */
static void thread_deps(run *self)
{
    const ps_engine_input *in = self->input;
    for (size_t i = 0; i < in->dep_count; i++) {
        ps_waits *waits = &self->waits[in->dep_task[i]];
        if (holds_end(in, i)) {
            waits->for_end++;
        } else {
            waits->for_start++;
        }
        self->first_out[in->dep_before[i]]++;
    }
    uint32_t total = 0;
    for (size_t i = 0; i <= in->task_count; i++) {
        total += self->first_out[i];
        self->first_out[i] = total;
    }
    for (size_t i = in->dep_count; i > 0; i--) {
        const uint32_t before = in->dep_before[i - 1];
        self->first_out[before]--;
        self->out[self->first_out[before]] = (uint32_t)(i - 1);
    }
}

static void push(run *self, edge ready)
{
    self->ready[self->ready_count] = ready;
    self->ready_count++;
}

static inline void hold_start(run *self, uint32_t task, ps_ns until)
{
    if (until > self->start_ns[task]) {
        self->start_ns[task] = until;
    }
    if (--self->waits[task].for_start == 0) {
        push(self, task * 2);
    }
}

static inline void hold_end(run *self, uint32_t task, ps_ns until)
{
    if (until > self->end_ns[task]) {
        self->end_ns[task] = until;
    }
    if (--self->waits[task].for_end == 0) {
        push(self, task * 2 + 1);
    }
}

/* Tells the dependents of one edge that it happens at a time. */
static void tell_dependents(run *self, uint32_t task, bool is_end, ps_ns at)
{
    const ps_engine_input *in = self->input;
    for (uint32_t i = self->first_out[task]; i < self->first_out[task + 1]; i++) {
        const uint32_t dep = self->out[i];
        if (awaits_end(in, dep) != is_end) {
            continue;
        }
        const ps_ns until = ps_time_add(at, in->dep_lag_ns[dep]);
        if (holds_end(in, dep)) {
            hold_end(self, in->dep_task[dep], until);
        } else {
            hold_start(self, in->dep_task[dep], until);
        }
    }
}

/* Propagates until no edge is ready. */
static void propagate(run *self)
{
    const ps_engine_input *in = self->input;
    while (self->ready_count > 0) {
        self->ready_count--;
        const edge done = self->ready[self->ready_count];
        const uint32_t task = done / 2;
        if (done % 2 == 0) {
            const ps_ns worked = ps_time_add(self->start_ns[task], in->dur_ns[task]);
            tell_dependents(self, task, false, self->start_ns[task]);
            if (ps_links_has_flow(self->links, task)) {
                ps_links_start(self->links, task, worked);
            } else {
                hold_end(self, task, worked);
            }
        } else {
            const uint32_t next = self->next[task];
            tell_dependents(self, task, true, self->end_ns[task]);
            if (next != NONE) {
                hold_start(self, next, ps_time_add(self->end_ns[task], in->gap_ns[next]));
            }
        }
    }
}

/* Sets off the edges that wait for nothing. */
static void begin(run *self)
{
    for (size_t i = self->input->task_count; i > 0; i--) {
        if (self->waits[i - 1].for_start == 0) {
            push(self, (edge)(i - 1) * 2);
        }
    }
    propagate(self);
}

static ps_code check_finished(run *self, ps_engine_namer namer, const void *context, ps_error *err)
{
    for (size_t i = 0; i < self->input->task_count; i++) {
        if (self->waits[i].for_end != 0) {
            return ps_deadlock_report(self->input, self->waits, namer, context, err);
        }
        if (self->end_ns[i] == PS_TIME_NEVER) {
            return ps_fail(err, PS_BAD_INPUT, "task %zu ends after the last representable time", i);
        }
    }
    return PS_OK;
}

static ps_code play(run *self, ps_error *err)
{
    PS_TRY(allocate(self, err));
    PS_TRY(thread_lanes(self, err));
    thread_deps(self);
    begin(self);
    uint32_t task;
    ps_ns at;
    while (ps_links_next_end(self->links, &task, &at)) {
        if (at == PS_TIME_NEVER) {
            return ps_fail(err, PS_BAD_INPUT, "task %u ends after the last representable time",
                           (unsigned)task);
        }
        hold_end(self, task, at);
        propagate(self);
    }
    return PS_OK;
}

ps_code ps_engine_run(const ps_engine_input *input, ps_engine_namer namer, const void *context,
                      int64_t *start_ns, int64_t *end_ns, ps_error *err)
{
    run self = {.input = input};
    self.start_ns = start_ns;
    self.end_ns = end_ns;
    PS_TRY(ps_engine_input_check(input, err));
    ps_code code = play(&self, err);
    if (code == PS_OK) {
        code = check_finished(&self, namer, context, err);
    }
    release(&self);
    return code;
}
