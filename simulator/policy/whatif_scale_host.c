/* SPDX-License-Identifier: MIT
 *
 * Searches for algorithms that a run of the new sizes need not repeat.
 *
 * A library that meets a shape for the first time looks for an algorithm: a
 * convolution then spends long on the host, and asks for the occupancy of the
 * kernels it considers. Later calls find the answer kept, and ask at once.
 * Another batch or sequence is simulated as it runs once it is under way, with
 * a cache of its own sizes and with its algorithms found; so the wait before
 * such a question is cut to the shortest that the recording shows for it.
 * Host time is otherwise kept.
 */
#include <string.h>

#include "base/memory.h"
#include "policy/whatif_scale_parts.h"

/* A wait this many times the shortest is a search. */
#define SEARCH_FACTOR 10

/* What the calls of one thread have come to. */
typedef struct thread_end {
    uint64_t tid;
    uint32_t pid;
    ps_ns end_ns;
} thread_end;

typedef struct host_stage {
    ps_scaling *scaling;
    thread_end *thread;
    size_t thread_count, thread_capacity;
    uint32_t *asking; /* host tasks that ask for occupancy under a convolution */
    size_t asking_count, asking_capacity;
} host_stage;

static ps_code thread_of(host_stage *self, uint32_t pid, uint64_t tid, thread_end **out,
                         ps_error *err)
{
    for (size_t i = 0; i < self->thread_count; i++) {
        if (self->thread[i].tid == tid && self->thread[i].pid == pid) {
            *out = &self->thread[i];
            return PS_OK;
        }
    }
    PS_TRY(ps_grow((void **)&self->thread, &self->thread_capacity, self->thread_count + 1,
                   PS_TABLE_MAX_ROWS, sizeof *self->thread, err));
    self->thread[self->thread_count] = (thread_end){.tid = tid, .pid = pid, .end_ns = INT64_MIN};
    *out = &self->thread[self->thread_count++];
    return PS_OK;
}

static bool is_under_convolution(const ps_scaling *self, size_t call)
{
    size_t next;
    uint32_t open = ps__scaling_open_at(self, self->trace->call.tid[call],
                                        self->trace->call.start_ns[call], &next);
    for (; open != PS_SCALING_NO_RANGE; open = self->parent[open]) {
        if (strstr(ps_strings_text(self->trace->strings, self->trace->range.name[open]), "conv") !=
            NULL) {
            return true;
        }
    }
    return false;
}

/* Lowering made a task of every call that lies inside no other of its thread, in order. */
static ps_code find_asking(host_stage *self, ps_error *err)
{
    const ps_call_table *call = &self->scaling->trace->call;
    uint32_t task = 0;
    for (size_t i = 0; i < call->head.count; i++) {
        const ps_ns end = call->start_ns[i] + call->dur_ns[i];
        const char *name = ps_strings_text(self->scaling->trace->strings, call->name[i]);
        thread_end *thread;
        PS_TRY(thread_of(self, call->pid[i], call->tid[i], &thread, err));
        if (end <= thread->end_ns && call->start_ns[i] < thread->end_ns) {
            continue;
        }
        thread->end_ns = end;
        if (strncmp(name, "cudaOccupancy", 13) == 0 && is_under_convolution(self->scaling, i)) {
            PS_TRY(ps_grow((void **)&self->asking, &self->asking_capacity, self->asking_count + 1,
                           PS_TABLE_MAX_ROWS, sizeof *self->asking, err));
            self->asking[self->asking_count++] = task;
        }
        task++;
    }
    return PS_OK;
}

/* Requests in the gap before a task need their time. */
static ps_ns least_gap(const ps_plan *plan, uint32_t task)
{
    ps_ns least = 0;
    for (size_t i = 0; i < plan->memop.head.count; i++) {
        if (plan->memop.task[i] == task && -plan->memop.offset_ns[i] > least) {
            least = -plan->memop.offset_ns[i];
        }
    }
    return least;
}

/* Only the first question of a call is behind the search; those right behind another tell nothing. */
static ps_ns shortest_wait(const host_stage *self)
{
    const ps_plan *plan = self->scaling->plan;
    ps_ns shortest = PS_TIME_NEVER;
    for (size_t i = 0; i < self->asking_count; i++) {
        const bool is_first = i == 0 || self->asking[i] != self->asking[i - 1] + 1;
        const ps_ns gap = plan->task.gap_ns[self->asking[i]];
        shortest = is_first && gap < shortest ? gap : shortest;
    }
    return shortest;
}

static void cut_searches(host_stage *self)
{
    ps_plan *plan = self->scaling->plan;
    const ps_ns shortest = shortest_wait(self);
    for (size_t i = 0; i < self->asking_count; i++) {
        const uint32_t task = self->asking[i];
        const ps_ns gap = plan->task.gap_ns[task];
        if (gap / SEARCH_FACTOR <= shortest) {
            continue;
        }
        const ps_ns least = least_gap(plan, task);
        const ps_ns kept = shortest < least ? least : shortest;
        if (kept < gap) {
            plan->task.gap_ns[task] = kept;
            self->scaling->searches++;
            self->scaling->searches_ns += gap - kept;
        }
    }
}

ps_code ps__scaling_host(ps_scaling *scaling, ps_error *err)
{
    host_stage self = {.scaling = scaling};
    const ps_code code = find_asking(&self, err);
    if (code == PS_OK && self.asking_count > 0) {
        cut_searches(&self);
    }
    ps_free(self.thread);
    ps_free(self.asking);
    return code;
}
