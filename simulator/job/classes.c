/* SPDX-License-Identifier: MIT
 *
 * Ranks, groups and links that cannot be told apart: the graph of a job and
 * its network, handed to symmetry.c. Without folding each stands for itself.
 *
 *   rank ──span── group ──crosses── link
 *   rank ──traffic with its host── link, where that is
 */
#include <string.h>

#include "base/memory.h"
#include "job/job_parts.h"
#include "job/symmetry.h"

#define LABEL_CROSSES UINT32_MAX
#define LABEL_HOST (UINT32_MAX - PS_HOST_TRAFFIC_COUNT) /* and on: one for each traffic */
#define MAX_EDGES ((size_t)1 << 28)

/* Vertices: ranks, then groups, then links. */
typedef struct graph {
    const ps_job *job;
    const ps_job_target *target;
    const ps_job_groups *groups;
    ps_job_classes *out;
    ps_symmetry_edge *edge;
    size_t edge_count, edge_capacity;
    uint32_t ranks, group_count, link_count;
} graph;

static ps_code add_edge(graph *self, uint32_t a, uint32_t b, uint32_t label, ps_error *err)
{
    PS_TRY(ps_grow((void **)&self->edge, &self->edge_capacity, self->edge_count + 1, MAX_EDGES,
                   sizeof *self->edge, err));
    self->edge[self->edge_count++] = (ps_symmetry_edge){a, b, label};
    return PS_OK;
}

/* Ends of a message are told apart: one sends. */
static ps_code add_members(graph *self, uint32_t group, ps_error *err)
{
    const ps_job_group *of = &self->groups->group[group];
    const bool is_message = self->groups->span[of->span].is_message;
    for (uint32_t i = 0; i < of->count; i++) {
        const uint32_t label = 2 * of->span + (is_message ? i : 0);
        PS_TRY(
            add_edge(self, self->groups->member[of->first + i], self->ranks + group, label, err));
    }
    return PS_OK;
}

static ps_code add_path(graph *self, uint32_t group, ps_error *err)
{
    const ps_job_group *of = &self->groups->group[group];
    const ps_job_span *span = &self->groups->span[of->span];
    const ps_exchange exchange = {.op = span->is_message  ? PS_COLLECTIVE_SEND
                                        : span->is_direct ? PS_COLLECTIVE_ALL_TO_ALL
                                                          : PS_COLLECTIVE_ALL_REDUCE,
                                  .rank = self->groups->member + of->first,
                                  .rank_count = of->count};
    const ps_network *network = self->target->network;
    ps_network_path *path = &self->out->path[group];
    PS_TRY(network->path(network->context, &exchange, path, err));
    for (size_t i = 0; i < path->count; i++) {
        PS_TRY(add_edge(self, self->ranks + group, self->ranks + self->group_count + path->link[i],
                        LABEL_CROSSES, err));
    }
    return PS_OK;
}

#define KEY_RANK (UINT64_C(0) << 62)
#define KEY_GROUP (UINT64_C(1) << 62)
#define KEY_LINK (UINT64_C(2) << 62)
#define MAX_KEY_RATE ((UINT64_C(1) << 62) - 1)

/* What tells vertices apart by themselves: a rank's work, a group's costs, a link's rate. */
static uint64_t key_of(const graph *self, uint32_t vertex)
{
    const ps_network *network = self->target->network;
    if (vertex < self->ranks) {
        const uint64_t speed = self->job->speed_permille == NULL
                                   ? PS_JOB_FULL_SPEED
                                   : self->job->speed_permille[vertex];
        return KEY_RANK | ((speed & UINT32_C(0x3fffffff)) << 32) | self->job->workload_of[vertex];
    }
    if (vertex < self->ranks + self->group_count) {
        const ps_job_group *of = &self->groups->group[vertex - self->ranks];
        const uint64_t shape =
            network->shape(network->context, self->groups->member + of->first, of->count);
        return KEY_GROUP | ((uint64_t)of->span << 32) | shape;
    }
    const uint32_t link = vertex - self->ranks - self->group_count;
    return KEY_LINK | (network->link_bytes_per_s(network->context, link) & MAX_KEY_RATE);
}

static ps_code add_host(graph *self, uint32_t rank, ps_network_path *path, ps_error *err)
{
    const ps_network *network = self->target->network;
    for (uint32_t traffic = 0; traffic < PS_HOST_TRAFFIC_COUNT; traffic++) {
        PS_TRY(network->host_path(network->context, rank, (ps_host_traffic)traffic, path, err));
        for (size_t i = 0; i < path->count; i++) {
            PS_TRY(add_edge(self, rank, self->ranks + self->group_count + path->link[i],
                            LABEL_HOST + traffic, err));
        }
    }
    return PS_OK;
}

static ps_code add_hosts(graph *self, ps_error *err)
{
    ps_network_path path = {0};
    ps_code code = PS_OK;
    for (uint32_t rank = 0; self->out->has_hosts && rank < self->ranks && code == PS_OK; rank++) {
        code = add_host(self, rank, &path, err);
    }
    ps_free(path.link);
    return code;
}

static ps_code describe(graph *self, ps_error *err)
{
    PS_TRY(add_hosts(self, err));
    for (uint32_t i = 0; i < self->group_count; i++) {
        PS_TRY(add_members(self, i, err));
        PS_TRY(add_path(self, i, err));
    }
    return PS_OK;
}

/* Classes are numbered by their lowest vertex: those of ranks come first, then groups, then links. */
static ps_code take(const uint32_t *colour, uint32_t count, uint32_t offset, uint32_t *class_of,
                    uint32_t **first, uint32_t *class_count, ps_error *err)
{
    uint32_t classes = 0;
    *first = ps_calloc(count, sizeof **first);
    if (*first == NULL) {
        return ps_fail_nomem(err);
    }
    for (uint32_t i = 0; i < count; i++) {
        class_of[i] = colour[i] - offset;
        if (class_of[i] == classes) {
            (*first)[classes++] = i;
        }
    }
    *class_count = classes;
    return PS_OK;
}

static ps_code take_all(const graph *self, const uint32_t *colour, ps_error *err)
{
    ps_job_classes *out = self->out;
    const uint32_t *groups = colour + self->ranks, *links = groups + self->group_count;
    PS_TRY(take(colour, self->ranks, 0, out->rank, &out->rank_first, &out->rank_count, err));
    PS_TRY(take(groups, self->group_count, out->rank_count, out->group, &out->group_first,
                &out->group_count, err));
    PS_TRY(take(links, self->link_count, out->rank_count + out->group_count, out->link,
                &out->link_first, &out->link_count, err));
    out->rank_size = ps_calloc(out->rank_count, sizeof *out->rank_size);
    if (out->rank_size == NULL) {
        return ps_fail_nomem(err);
    }
    for (uint32_t i = 0; i < self->ranks; i++) {
        out->rank_size[out->rank[i]]++;
    }
    return PS_OK;
}

static ps_code refine(graph *self, uint32_t *colour, ps_error *err)
{
    const size_t vertices = (size_t)self->ranks + self->group_count + self->link_count;
    uint64_t *key = ps_calloc(vertices, sizeof *key);
    uint32_t count;
    if (key == NULL) {
        return ps_fail_nomem(err);
    }
    for (uint32_t i = 0; i < vertices; i++) {
        key[i] = key_of(self, i);
    }
    const ps_code code =
        ps_symmetry_refine(self->edge, self->edge_count, key, vertices, colour, &count, err);
    ps_free(key);
    return code;
}

static ps_code classify(graph *self, ps_error *err)
{
    const size_t vertices = (size_t)self->ranks + self->group_count + self->link_count;
    uint32_t *colour = ps_calloc(vertices, sizeof *colour);
    if (colour == NULL) {
        return ps_fail_nomem(err);
    }
    for (uint32_t i = 0; i < vertices; i++) {
        colour[i] = i;
    }
    ps_code code = describe(self, err);
    if (code == PS_OK && self->target->folds) {
        code = refine(self, colour, err);
    }
    if (code == PS_OK) {
        code = take_all(self, colour, err);
    }
    ps_free(colour);
    return code;
}

ps_code ps__job_classes(const ps_job *job, const ps_job_target *target, const ps_job_groups *groups,
                        ps_job_classes *out, ps_error *err)
{
    graph self = {.job = job,
                  .target = target,
                  .groups = groups,
                  .out = out,
                  .ranks = groups->grid.ranks,
                  .group_count = (uint32_t)groups->group_count,
                  .link_count = target->network == NULL ? 0 : target->network->link_count};
    *out = (ps_job_classes){.has_hosts = ps__job_uses_hosts(job, target),
                            .ranks = self.ranks,
                            .rank = ps_calloc(self.ranks, sizeof *out->rank),
                            .group = ps_calloc(self.group_count, sizeof *out->group),
                            .link = ps_calloc(self.link_count, sizeof *out->link),
                            .path = ps_calloc(self.group_count, sizeof *out->path)};
    if (out->rank == NULL || out->group == NULL || out->link == NULL || out->path == NULL) {
        return ps_fail_nomem(err);
    }
    const ps_code code = classify(&self, err);
    ps_free(self.edge);
    return code;
}

void ps__job_classes_fini(ps_job_classes *self, const ps_job_groups *groups)
{
    for (size_t i = 0; self->path != NULL && i < groups->group_count; i++) {
        ps_free(self->path[i].link);
    }
    ps_free(self->path);
    ps_free(self->rank);
    ps_free(self->group);
    ps_free(self->link);
    ps_free(self->rank_first);
    ps_free(self->group_first);
    ps_free(self->link_first);
    ps_free(self->rank_size);
    *self = (ps_job_classes){0};
}
