/* SPDX-License-Identifier: MIT
 *
 * A legal order of all moments of a plan, or the circle that forbids one; and,
 * along that order, the shortest length of a run.
 */
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "replay/graph.h"
#include "replay/replay.h"

/* Links of a circle spelt out in the message; longer ones are cut short. */
#define MAX_LINKS 4u

/* Nodes become free in the order their last predecessor was placed: a plain queue. */
static size_t place_nodes(ps_replay_graph *self, uint32_t *left)
{
    size_t placed = 0, next = 0;
    for (size_t n = 0; n < self->node_count; n++) {
        if (left[n] == 0) {
            self->order[placed++] = (uint32_t)n;
        }
    }
    for (; next < placed; next++) {
        const uint32_t node = self->order[next];
        for (size_t e = self->first_edge[node]; e < self->first_edge[node + 1]; e++) {
            if (--left[self->edge_to[e]] == 0) {
                self->order[placed++] = self->edge_to[e];
            }
        }
    }
    return placed;
}

static void describe_node(const ps_replay_graph *self, const ps_plan *plan, uint32_t node,
                          char *out, size_t bytes)
{
    const uint32_t task = ps_replay_node_task(self, plan, node);
    const char *name = ps_strings_text(plan->strings, plan->task.name[task]);
    if (node < 2 * self->task_count) {
        (void)snprintf(out, bytes, "the %s of task %u \"%.24s\"", node % 2 == 0 ? "start" : "end",
                       task, name);
    } else {
        (void)snprintf(out, bytes, "memop %zu in task %u \"%.24s\"", node - 2 * self->task_count,
                       task, name);
    }
}

/* `awaited[n]` is some node that n waits for; following it from `node` ends in a circle. */
static ps_code describe_circle(const ps_replay_graph *self, const ps_plan *plan,
                               const uint32_t *awaited, uint32_t node, ps_error *err)
{
    char text[PS_ERROR_MESSAGE_BYTES], one[96];
    for (size_t i = 0; i < self->node_count; i++) { /* surely on the circle after that many */
        node = awaited[node];
    }
    const uint32_t first = node;
    describe_node(self, plan, node, text, sizeof text);
    for (size_t links = 0; links == 0 || node != first; links++) {
        const size_t used = strlen(text);
        node = awaited[node];
        if (links == MAX_LINKS && node != first) {
            (void)snprintf(text + used, sizeof text - used, " waits for ... waits for the first");
            break;
        }
        describe_node(self, plan, node, one, sizeof one);
        (void)snprintf(text + used, sizeof text - used, " waits for %s", one);
    }
    return ps_fail(err, PS_DEADLOCK, "the plan waits for itself: %s", text);
}

static ps_code find_circle(const ps_replay_graph *self, const ps_plan *plan, const uint32_t *left,
                           ps_error *err)
{
    uint32_t *awaited = ps_calloc(self->node_count, sizeof *awaited);
    if (awaited == NULL) {
        return ps_fail_nomem(err);
    }
    uint32_t any = 0;
    for (size_t n = 0; n < self->node_count; n++) {
        if (left[n] == 0) {
            continue;
        }
        any = (uint32_t)n;
        for (size_t e = self->first_edge[n]; e < self->first_edge[n + 1]; e++) {
            awaited[self->edge_to[e]] = (uint32_t)n;
        }
    }
    const ps_code code = describe_circle(self, plan, awaited, any, err);
    ps_free(awaited);
    return code;
}

ps_code ps_replay_graph_sort(ps_replay_graph *self, const ps_plan *plan, ps_error *err)
{
    uint32_t *left = ps_calloc(self->node_count, sizeof *left);
    self->order = ps_calloc(self->node_count, sizeof *self->order);
    ps_code code = PS_OK;
    if (left == NULL || self->order == NULL) {
        code = ps_fail_nomem(err);
    } else {
        if (self->node_count > 0) {
            memcpy(left, self->indegree, self->node_count * sizeof *left);
        }
        if (place_nodes(self, left) < self->node_count) {
            code = find_circle(self, plan, left, err);
        }
    }
    ps_free(left);
    return code;
}

/* The lane's first task has no edge that carries its gap. */
static void place_first_tasks(const ps_replay_graph *self, const ps_plan *plan, double scale,
                              ps_ns *moment)
{
    for (size_t lane = 0; lane < plan->lane.head.count; lane++) {
        if (self->lane_first[lane] < self->lane_first[lane + 1]) {
            const uint32_t task = self->lane_task[self->lane_first[lane]];
            moment[ps_replay_start_node(task)] = ps_replay_scale_ns(plan->task.gap_ns[task], scale);
        }
    }
}

ps_code ps_replay_graph_length(const ps_replay_graph *self, const ps_plan *plan, double scale,
                               ps_ns *out, ps_error *err)
{
    ps_ns *moment = ps_calloc(self->node_count, sizeof *moment);
    if (moment == NULL) {
        return ps_fail_nomem(err);
    }
    *out = 0;
    place_first_tasks(self, plan, scale, moment);
    for (size_t i = 0; i < self->node_count; i++) {
        const uint32_t node = self->order[i];
        if (node < 2 * self->task_count && node % 2 == 1) {
            const ps_ns dur = ps_replay_scale_ns(plan->task.dur_ns[node / 2], scale);
            const ps_ns own_end = ps_time_add(moment[node - 1], dur);
            moment[node] = own_end > moment[node] ? own_end : moment[node];
        }
        *out = moment[node] > *out ? moment[node] : *out;
        for (size_t e = self->first_edge[node]; e < self->first_edge[node + 1]; e++) {
            const ps_ns bound =
                ps_time_add(moment[node], ps_replay_scale_ns(self->edge_lag_ns[e], scale));
            if (bound > moment[self->edge_to[e]]) {
                moment[self->edge_to[e]] = bound;
            }
        }
    }
    ps_free(moment);
    return PS_OK;
}
