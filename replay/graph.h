/* SPDX-License-Identifier: MIT
 *
 * The plan as a graph of moments: the start and the end of every task and
 * every allocator request. An edge says "not before that moment + lag".
 *
 *   end(previous on lane) ──gap──► entry(t)     entry(t): first request in the gap before t,
 *   edge of a start dep ────lag──► entry(t)               else start(t)
 *   entry(t) ► ... ► start(t) ► requests in t's course ► end(t)
 *   edge of an end dep ─────lag──► end(t)
 *   request ► next request of the same device
 *
 * Requests of one task are done one after the other by its lane, in the order
 * of their effective offsets: the offset, raised to that of any earlier
 * request of the same device, so that program order holds.
 */
#ifndef PS_REPLAY_GRAPH_H
#define PS_REPLAY_GRAPH_H

#include "plan/plan.h"

/** One allocator request as its task does it. */
typedef struct ps_replay_request {
    ps_ns offset_ns; /* effective, from the task's start; not scaled */
    uint32_t memop;
} ps_replay_request;

typedef struct ps_replay_graph {
    size_t task_count, memop_count;
    size_t node_count; /* starts and ends by task, then memops */
    size_t edge_count;
    size_t *first_edge; /* per node + 1: its outgoing edges */
    uint32_t *edge_to;  /* node */
    ps_ns *edge_lag_ns; /* not scaled */
    uint32_t *indegree; /* per node */
    uint32_t *order;    /* a legal order of all nodes; see ps_replay_graph_sort */
    size_t *lane_first; /* per lane + 1: its tasks in lane_task */
    uint32_t *lane_task;
    size_t *request_first;       /* per task + 1: its requests */
    ps_replay_request *requests; /* in the order they are done */
} ps_replay_graph;

static inline uint32_t ps_replay_start_node(uint32_t task)
{
    return 2 * task;
}

static inline uint32_t ps_replay_end_node(uint32_t task)
{
    return 2 * task + 1;
}

static inline uint32_t ps_replay_memop_node(const ps_replay_graph *self, uint32_t memop)
{
    return (uint32_t)(2 * self->task_count) + memop;
}

/** Task a node belongs to; for a memop the task in whose course it happens. */
uint32_t ps_replay_node_task(const ps_replay_graph *self, const ps_plan *plan, uint32_t node);

/** Builds the graph of a checked plan; release with fini, also after failure. PS_OK · PS_NOMEM · PS_LIMIT. */
ps_code ps_replay_graph_init(ps_replay_graph *self, const ps_plan *plan, ps_error *err) PS_MUST_USE;

/**
 * Fills `order`: always the same for the same plan.
 * @return PS_OK · PS_DEADLOCK with a circle of waiting tasks in words
 */
ps_code ps_replay_graph_sort(ps_replay_graph *self, const ps_plan *plan, ps_error *err) PS_MUST_USE;

/**
 * Shortest length of a run: nothing late, bytes in no time.
 *
 * @param scale  factor on all times
 * @param out    [ns] saturates at PS_TIME_NEVER
 */
ps_code ps_replay_graph_length(const ps_replay_graph *self, const ps_plan *plan, double scale,
                               ps_ns *out, ps_error *err) PS_MUST_USE;

void ps_replay_graph_fini(ps_replay_graph *self);

#endif
