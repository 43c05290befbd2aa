/* SPDX-License-Identifier: MIT
 *
 * Builds the graph of moments: lists of tasks by lane and requests by task,
 * then the edges in two passes over the same walk, one to count, one to fill.
 */
#include "replay/graph.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"

/* Node numbers are 32 bits wide; two per task and one per memop. */
#define MAX_TASKS ((size_t)1 << 30)
#define MAX_MEMOPS ((size_t)1 << 30)

uint32_t ps_replay_node_task(const ps_replay_graph *self, const ps_plan *plan, uint32_t node)
{
    const uint32_t starts_and_ends = (uint32_t)(2 * self->task_count);
    return node < starts_and_ends ? node / 2 : plan->memop.task[node - starts_and_ends];
}

/* Positions of `count` rows grouped by key, rows in order: first has groups + 1 entries. */
static void group_rows(const uint32_t *key, size_t count, size_t *first, size_t groups)
{
    for (size_t i = 0; i < count; i++) {
        first[key[i] + 1]++;
    }
    for (size_t g = 0; g < groups; g++) {
        first[g + 1] += first[g];
    }
}

static ps_code list_lanes(ps_replay_graph *self, const ps_plan *plan, ps_error *err)
{
    const size_t lanes = plan->lane.head.count;
    self->lane_first = ps_calloc(lanes + 1, sizeof *self->lane_first);
    self->lane_task = ps_calloc(self->task_count, sizeof *self->lane_task);
    size_t *next = ps_calloc(lanes + 1, sizeof *next);
    if (self->lane_first == NULL || self->lane_task == NULL || next == NULL) {
        ps_free(next);
        return ps_fail_nomem(err);
    }
    group_rows(plan->task.lane, self->task_count, self->lane_first, lanes);
    memcpy(next, self->lane_first, (lanes + 1) * sizeof *next);
    for (size_t t = 0; t < self->task_count; t++) {
        self->lane_task[next[plan->task.lane[t]]++] = (uint32_t)t;
    }
    ps_free(next);
    return PS_OK;
}

static int compare_requests(const void *left, const void *right)
{
    const ps_replay_request *a = left, *b = right;
    if (a->offset_ns != b->offset_ns) {
        return a->offset_ns < b->offset_ns ? -1 : 1;
    }
    return (a->memop > b->memop) - (a->memop < b->memop);
}

/* Largest offset so far of each device in the task at hand. */
typedef struct device_offset {
    size_t task_mark; /* task + 1 the offset belongs to */
    ps_ns offset_ns;
} device_offset;

static void order_requests(ps_replay_graph *self, const ps_plan *plan, size_t task,
                           device_offset *last)
{
    const size_t begin = self->request_first[task], end = self->request_first[task + 1];
    bool is_sorted = true;
    for (size_t i = begin; i < end; i++) {
        ps_replay_request *request = &self->requests[i];
        device_offset *of = &last[plan->memop.device[request->memop]];
        if (of->task_mark == task + 1 && of->offset_ns > request->offset_ns) {
            request->offset_ns = of->offset_ns;
        }
        *of = (device_offset){.task_mark = task + 1, .offset_ns = request->offset_ns};
        is_sorted = is_sorted && (i == begin || request[-1].offset_ns <= request->offset_ns);
    }
    if (!is_sorted) { /* several devices in one task; the memop row makes the order total */
        qsort(&self->requests[begin], end - begin, sizeof *self->requests, compare_requests);
    }
}

static ps_code list_requests(ps_replay_graph *self, const ps_plan *plan, ps_error *err)
{
    self->request_first = ps_calloc(self->task_count + 1, sizeof *self->request_first);
    self->requests = ps_calloc(self->memop_count, sizeof *self->requests);
    size_t *next = ps_calloc(self->task_count + 1, sizeof *next);
    device_offset *last = ps_calloc(plan->device.head.count, sizeof *last);
    ps_code code = PS_OK;
    if (self->request_first == NULL || self->requests == NULL || next == NULL || last == NULL) {
        code = ps_fail_nomem(err);
    } else {
        group_rows(plan->memop.task, self->memop_count, self->request_first, self->task_count);
        memcpy(next, self->request_first, (self->task_count + 1) * sizeof *next);
        for (size_t m = 0; m < self->memop_count; m++) {
            self->requests[next[plan->memop.task[m]]++] =
                (ps_replay_request){.offset_ns = plan->memop.offset_ns[m], .memop = (uint32_t)m};
        }
        for (size_t t = 0; t < self->task_count; t++) {
            order_requests(self, plan, t, last);
        }
    }
    ps_free(next);
    ps_free(last);
    return code;
}

/* The walk over all edges; `next` is NULL while counting. */
typedef struct edge_walk {
    ps_replay_graph *graph;
    size_t *next; /* per node: where its next edge goes */
} edge_walk;

static void put_edge(const edge_walk *walk, uint32_t from, uint32_t to, ps_ns lag_ns)
{
    if (walk->next == NULL) {
        walk->graph->first_edge[from + 1]++;
        return;
    }
    const size_t at = walk->next[from]++;
    walk->graph->edge_to[at] = to;
    walk->graph->edge_lag_ns[at] = lag_ns;
    walk->graph->indegree[to]++;
}

static uint32_t entry_node(const ps_replay_graph *graph, uint32_t task)
{
    const size_t first = graph->request_first[task];
    const bool in_gap =
        first < graph->request_first[task + 1] && graph->requests[first].offset_ns < 0;
    return in_gap ? ps_replay_memop_node(graph, graph->requests[first].memop)
                  : ps_replay_start_node(task);
}

/* entry ► ... ► start ► ... ► end */
static void put_task_edges(const edge_walk *walk, uint32_t task)
{
    const ps_replay_graph *graph = walk->graph;
    size_t i = graph->request_first[task];
    const size_t end = graph->request_first[task + 1];
    const uint32_t start = ps_replay_start_node(task);
    uint32_t at = entry_node(graph, task);
    for (; i < end && graph->requests[i].offset_ns < 0; i++) {
        const uint32_t request = ps_replay_memop_node(graph, graph->requests[i].memop);
        if (request != at) {
            put_edge(walk, at, request, 0);
            at = request;
        }
    }
    if (at != start) {
        put_edge(walk, at, start, 0);
        at = start;
    }
    for (; i < end; i++) {
        const uint32_t request = ps_replay_memop_node(graph, graph->requests[i].memop);
        put_edge(walk, at, request, 0);
        at = request;
    }
    put_edge(walk, at, ps_replay_end_node(task), 0);
}

static void put_dep_edge(const edge_walk *walk, const ps_plan_dep_table *dep, size_t row)
{
    const uint32_t task = dep->task[row], before = dep->before[row];
    const ps_dep_kind kind = (ps_dep_kind)dep->kind[row];
    const bool waits_at_start = kind == PS_DEP_START_AFTER_END || kind == PS_DEP_START_AFTER_START;
    const bool awaits_end = kind == PS_DEP_START_AFTER_END || kind == PS_DEP_END_AFTER_END;
    put_edge(walk, awaits_end ? ps_replay_end_node(before) : ps_replay_start_node(before),
             waits_at_start ? entry_node(walk->graph, task) : ps_replay_end_node(task),
             dep->lag_ns[row]);
}

static void put_edges(const edge_walk *walk, const ps_plan *plan, uint32_t *last_memop)
{
    const ps_replay_graph *graph = walk->graph;
    for (size_t t = 0; t < graph->task_count; t++) {
        put_task_edges(walk, (uint32_t)t);
    }
    for (size_t lane = 0; lane < plan->lane.head.count; lane++) {
        for (size_t i = graph->lane_first[lane] + 1; i < graph->lane_first[lane + 1]; i++) {
            const uint32_t task = graph->lane_task[i];
            put_edge(walk, ps_replay_end_node(graph->lane_task[i - 1]), entry_node(graph, task),
                     plan->task.gap_ns[task]);
        }
    }
    for (size_t d = 0; d < plan->dep.head.count; d++) {
        put_dep_edge(walk, &plan->dep, d);
    }
    memset(last_memop, 0, plan->device.head.count * sizeof *last_memop);
    for (size_t m = 0; m < graph->memop_count; m++) {
        uint32_t *last = &last_memop[plan->memop.device[m]];
        if (*last != 0) {
            put_edge(walk, ps_replay_memop_node(graph, *last - 1),
                     ps_replay_memop_node(graph, (uint32_t)m), 0);
        }
        *last = (uint32_t)m + 1;
    }
}

static ps_code build_edges(ps_replay_graph *self, const ps_plan *plan, ps_error *err)
{
    uint32_t *last_memop = ps_calloc(plan->device.head.count, sizeof *last_memop);
    size_t *next = ps_calloc(self->node_count + 1, sizeof *next);
    self->first_edge = ps_calloc(self->node_count + 1, sizeof *self->first_edge);
    self->indegree = ps_calloc(self->node_count, sizeof *self->indegree);
    ps_code code = PS_OK;
    if (last_memop == NULL || next == NULL || self->first_edge == NULL || self->indegree == NULL) {
        code = ps_fail_nomem(err);
        goto out;
    }
    put_edges(&(edge_walk){.graph = self}, plan, last_memop);
    for (size_t n = 0; n < self->node_count; n++) {
        self->first_edge[n + 1] += self->first_edge[n];
    }
    self->edge_count = self->first_edge[self->node_count];
    self->edge_to = ps_calloc(self->edge_count, sizeof *self->edge_to);
    self->edge_lag_ns = ps_calloc(self->edge_count, sizeof *self->edge_lag_ns);
    if (self->edge_to == NULL || self->edge_lag_ns == NULL) {
        code = ps_fail_nomem(err);
        goto out;
    }
    memcpy(next, self->first_edge, self->node_count * sizeof *next);
    put_edges(&(edge_walk){.graph = self, .next = next}, plan, last_memop);
out:
    ps_free(last_memop);
    ps_free(next);
    return code;
}

ps_code ps_replay_graph_init(ps_replay_graph *self, const ps_plan *plan, ps_error *err)
{
    memset(self, 0, sizeof *self);
    if (plan->task.head.count > MAX_TASKS || plan->memop.head.count > MAX_MEMOPS) {
        return ps_fail(err, PS_LIMIT, "%zu tasks and %zu memops are more than replay can number",
                       plan->task.head.count, plan->memop.head.count);
    }
    self->task_count = plan->task.head.count;
    self->memop_count = plan->memop.head.count;
    self->node_count = 2 * self->task_count + self->memop_count;
    PS_TRY(list_lanes(self, plan, err));
    PS_TRY(list_requests(self, plan, err));
    return build_edges(self, plan, err);
}

void ps_replay_graph_fini(ps_replay_graph *self)
{
    ps_free(self->first_edge);
    ps_free(self->edge_to);
    ps_free(self->edge_lag_ns);
    ps_free(self->indegree);
    ps_free(self->order);
    ps_free(self->lane_first);
    ps_free(self->lane_task);
    ps_free(self->request_first);
    ps_free(self->requests);
    memset(self, 0, sizeof *self);
}
