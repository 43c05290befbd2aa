/* SPDX-License-Identifier: MIT
 *
 * What goes to the host of a recorded job of several ranks, of which one was
 * recorded: it stands for all.
 *
 *   links   each rank moves as much at the same time: a link that k of them cross
 *           is crossed k times, so that each has its part
 *   memory  of a node, for as many ranks as are in it
 *   order   gradients are ready when ranks have exchanged them
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "policy/offload_optimizer.h"

/* ---- hosts and links ---- */

static ps_code count_node(ps_offload_building *b, ps_error *err)
{
    const ps_network *network = b->change->network;
    for (uint32_t rank = 1; rank < b->change->ranks; rank++) {
        ps_network_host other;
        PS_TRY(network->host(network->context, rank, &other, err));
        b->node_ranks += other.node == b->host.node;
    }
    return PS_OK;
}

ps_code ps__offload_open_ranks(ps_offload_building *b, ps_error *err)
{
    const ps_network *network = b->change->network;
    char text[160];
    PS_TRY(network->host(network->context, 0, &b->host, err));
    if (b->change->ranks < 2) {
        return PS_OK;
    }
    b->node_ranks = 1;
    PS_TRY(count_node(b, err));
    (void)snprintf(text, sizeof text,
                   "all %" PRIu32 " ranks are taken to move as much at the same time, %" PRIu32
                   " of them over one host",
                   b->change->ranks, b->node_ranks);
    return ps_plan_set_meta(b->plan, PS_PLAN_META_OFFLOAD_RANKS, text, err);
}

static bool has_link(const ps_network_path *path, size_t count, uint32_t link)
{
    for (size_t i = 0; i < count; i++) {
        if (path->link[i] == link) {
            return true;
        }
    }
    return false;
}

/* Links of another rank's traffic that are among the first `own` of the path. */
static ps_code add_shared(const ps_network_path *other, size_t own, ps_network_path *path,
                          ps_error *err)
{
    for (size_t i = 0; i < other->count; i++) {
        if (has_link(path, own, other->link[i])) {
            PS_TRY(ps_grow((void **)&path->link, &path->capacity, path->count + 1,
                           PS_TABLE_MAX_ROWS, sizeof *path->link, err));
            path->link[path->count++] = other->link[i];
        }
    }
    return PS_OK;
}

ps_code ps__offload_path(const ps_offload_building *b, ps_host_traffic traffic,
                         ps_network_path *out, ps_error *err)
{
    const ps_network *network = b->change->network;
    ps_network_path other = {0};
    PS_TRY(network->host_path(network->context, 0, traffic, out, err));
    const size_t own = out->count;
    ps_code code = PS_OK;
    for (uint32_t rank = 1; rank < b->change->ranks && code == PS_OK; rank++) {
        code = network->host_path(network->context, rank, traffic, &other, err);
        if (code == PS_OK) {
            code = add_shared(&other, own, out, err);
        }
    }
    ps_free(other.link);
    return code;
}

/* ---- what ranks divide ---- */

ps_code ps__offload_check_ranks(const ps_trace *trace, ps_error *err)
{
    static const char *const divides[] = {"all-gather", "reduce-scatter"};
    for (size_t i = 0; i < trace->collective.head.count; i++) {
        const char *kind = ps_strings_text(trace->strings, trace->collective.kind[i]);
        for (size_t k = 0; k < sizeof divides / sizeof divides[0]; k++) {
            if (strncmp(kind, divides[k], strlen(divides[k])) == 0) {
                return ps_fail(err, PS_USAGE,
                               "the recording is of one of several ranks, and has %ss: what ranks "
                               "divide among them is not known",
                               divides[k]);
            }
        }
    }
    return PS_OK;
}

/* ---- gradients that ranks exchange ---- */

/* The step before which something is launched, or their number. Steps ascend. */
static size_t next_step(const ps_offload_search *self, ps_ns at_ns)
{
    size_t low = 0, high = self->out->step_count;
    while (low < high) {
        const size_t mid = low + (high - low) / 2;
        low = self->out->step[mid].begin_ns <= at_ns ? mid + 1 : low;
        high = self->out->step[mid].begin_ns <= at_ns ? high : mid;
    }
    return low;
}

static ps_code note_exchange(ps_offload_search *self, size_t step, uint32_t task, ps_error *err)
{
    ps_offload_optimizer *out = self->out;
    for (size_t i = 0; i < out->exchange_count; i++) {
        ps_offload_exchange *known = &out->exchange[i];
        if (known->step == step &&
            self->plan->task.lane[known->task] == self->plan->task.lane[task]) {
            known->task = known->task < task ? task : known->task;
            return PS_OK;
        }
    }
    PS_TRY(ps_grow((void **)&out->exchange, &out->exchange_capacity, out->exchange_count + 1,
                   PS_TABLE_MAX_ROWS, sizeof *out->exchange, err));
    out->exchange[out->exchange_count++] = (ps_offload_exchange){step, task};
    return PS_OK;
}

ps_code ps__offload_find_exchanges(ps_offload_search *self, ps_error *err)
{
    const ps_plan *plan = self->plan;
    for (size_t i = 0; i < plan->dep.head.count; i++) {
        const uint32_t task = plan->dep.task[i], before = plan->dep.before[i];
        if (plan->dep.kind[i] != PS_DEP_START_AFTER_START ||
            plan->task.kind[task] != PS_TASK_COLLECTIVE ||
            plan->lane.kind[plan->task.lane[before]] != PS_LANE_HOST ||
            plan->lane.kind[plan->task.lane[task]] != PS_LANE_STREAM) {
            continue;
        }
        const size_t step = next_step(self, self->stream.times.start_ns[before]);
        if (step < self->out->step_count) {
            PS_TRY(note_exchange(self, step, task, err));
        }
    }
    return PS_OK;
}
