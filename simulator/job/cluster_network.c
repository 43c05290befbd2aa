/* SPDX-License-Identifier: MIT
 *
 * Paths and costs of groups of a cluster.
 */
#include "job/cluster_network.h"

#include "base/memory.h"

#define MAX_PLACES ((size_t)1 << 20)
#define MAX_PATH ((size_t)1 << 24)

struct ps_cluster_network {
    const ps_cluster *cluster;
    const ps_collective_model *collectives;
    ps_network view;
    ps_group_place *place; /* all kinds of places that groups were seen in */
    size_t place_count, place_capacity;
    ps_crossing *crossing; /* room for a path */
    ps_code code;          /* of a place that could not be kept */
};

static const char *link_name(const void *context, uint32_t link)
{
    const ps_cluster_network *self = context;
    return ps_cluster_link_at(self->cluster, link).name;
}

static uint64_t link_bytes_per_s(const void *context, uint32_t link)
{
    const ps_cluster_network *self = context;
    return ps_cluster_link_at(self->cluster, link).bytes_per_s;
}

static ps_code find_place(const ps_cluster_network *self, const uint32_t *rank, size_t count,
                          ps_group_place *out, ps_error *err)
{
    const ps_group group = {.rank = rank, .count = (uint32_t)count};
    return ps_cluster_place(self->cluster, &group, out, err);
}

static ps_traffic traffic_of(ps_collective_op op)
{
    if (op == PS_COLLECTIVE_SEND || op == PS_COLLECTIVE_RECV) {
        return PS_TRAFFIC_SEND;
    }
    return op == PS_COLLECTIVE_ALL_TO_ALL ? PS_TRAFFIC_DIRECT : PS_TRAFFIC_RING;
}

static ps_code path_of(const ps_cluster_network *self, ps_traffic traffic, const ps_group *group,
                       ps_network_path *out, ps_error *err)
{
    uint32_t count;
    PS_TRY(ps_cluster_path(self->cluster, traffic, group, self->crossing,
                           ps_cluster_link_count(self->cluster), &count, err));
    out->count = 0;
    for (uint32_t i = 0; i < count; i++) {
        const ps_crossing *crossed = &self->crossing[i];
        PS_TRY(ps_grow((void **)&out->link, &out->capacity, out->count + crossed->times, MAX_PATH,
                       sizeof *out->link, err));
        for (uint32_t k = 0; k < crossed->times; k++) {
            out->link[out->count++] = crossed->link;
        }
    }
    return PS_OK;
}

static ps_code path(void *context, const ps_exchange *what, ps_network_path *out, ps_error *err)
{
    const ps_group group = {.rank = what->rank, .count = (uint32_t)what->rank_count};
    return path_of(context, traffic_of(what->op), &group, out, err);
}

static bool are_equal(const ps_group_place *a, const ps_group_place *b)
{
    return a->ranks == b->ranks && a->nodes == b->nodes && a->least_per_node == b->least_per_node &&
           a->fabric == b->fabric && a->rings == b->rings && a->is_forwarded == b->is_forwarded &&
           a->fabric_bytes_per_s == b->fabric_bytes_per_s &&
           a->network_bytes_per_s == b->network_bytes_per_s &&
           a->direct_bytes_per_s == b->direct_bytes_per_s &&
           a->direct_network_bytes_per_s == b->direct_network_bytes_per_s;
}

/* Number of the kind of place; groups that could not be placed are alike and fail at their cost. */
static uint32_t shape(void *context, const uint32_t *rank, size_t rank_count)
{
    ps_cluster_network *self = context;
    ps_group_place place;
    if (find_place(self, rank, rank_count, &place, NULL) != PS_OK) {
        return UINT32_MAX;
    }
    for (size_t i = 0; i < self->place_count; i++) {
        if (are_equal(&self->place[i], &place)) {
            return (uint32_t)i;
        }
    }
    const ps_code code = ps_grow((void **)&self->place, &self->place_capacity,
                                 self->place_count + 1, MAX_PLACES, sizeof *self->place, NULL);
    if (code != PS_OK) {
        self->code = code;
        return UINT32_MAX;
    }
    self->place[self->place_count] = place;
    return (uint32_t)self->place_count++;
}

static ps_code cost(void *context, const ps_exchange *what, ps_exchange_cost *out, ps_error *err)
{
    const ps_cluster_network *self = context;
    ps_collective_call call = {.kind = what->op,
                               .bytes = what->bytes,
                               .algorithm = PS_COLLECTIVE_ANY_ALGORITHM,
                               .protocol = PS_COLLECTIVE_ANY_PROTOCOL};
    ps_collective_result result;
    if (self->code != PS_OK) {
        return ps_fail_nomem(err);
    }
    PS_TRY(find_place(self, what->rank, what->rank_count, &call.place, err));
    PS_TRY(ps_collective_time(self->collectives, &call, &result, err));
    *out = (ps_exchange_cost){.latency_ns = result.latency_ns,
                              .wire_bytes = result.wire_bytes,
                              .rate_bytes_per_s = result.rate_bytes_per_s,
                              .basis = result.basis};
    return PS_OK;
}

/* ---- hosts ---- */

static ps_code host(void *context, uint32_t rank, ps_network_host *out, ps_error *err)
{
    const ps_cluster_network *self = context;
    const ps_rank_host of = ps_cluster_host(self->cluster, rank);
    (void)err;
    *out =
        (ps_network_host){.node = ps_cluster_node(self->cluster, rank),
                          .node_bytes = of.node_bytes,
                          .rate_bytes_per_s = {[PS_HOST_UPLOAD] = of.down_bytes_per_s,
                                               [PS_HOST_OFFLOAD] = of.up_bytes_per_s,
                                               [PS_HOST_ECHO] = of.echo_bytes_per_s,
                                               [PS_HOST_STAGED_UPLOAD] = of.staged_down_bytes_per_s,
                                               [PS_HOST_STAGED_OFFLOAD] = of.staged_up_bytes_per_s,
                                               [PS_HOST_COMPUTE] = of.threads_bytes_per_s,
                                               [PS_HOST_PINNED_COMPUTE] = of.threads_bytes_per_s,
                                               [PS_HOST_LONE_COMPUTE] = of.lone_bytes_per_s,
                                               [PS_HOST_STORAGE_READ] = of.read_bytes_per_s,
                                               [PS_HOST_STORAGE_WRITE] = of.write_bytes_per_s},
                          .basis = {[PS_HOST_UPLOAD] = PS_BASIS_ANALYTIC,
                                    [PS_HOST_OFFLOAD] = PS_BASIS_ANALYTIC,
                                    [PS_HOST_ECHO] = PS_BASIS_ANALYTIC,
                                    [PS_HOST_STAGED_UPLOAD] = PS_BASIS_ANALYTIC,
                                    [PS_HOST_STAGED_OFFLOAD] = PS_BASIS_ANALYTIC,
                                    [PS_HOST_COMPUTE] = of.threads_basis,
                                    [PS_HOST_PINNED_COMPUTE] = of.threads_basis,
                                    [PS_HOST_LONE_COMPUTE] = of.threads_basis,
                                    [PS_HOST_STORAGE_READ] = PS_BASIS_ANALYTIC,
                                    [PS_HOST_STORAGE_WRITE] = PS_BASIS_ANALYTIC}};
    return PS_OK;
}

static ps_code host_path(void *context, uint32_t rank, ps_host_traffic traffic,
                         ps_network_path *out, ps_error *err)
{
    static const ps_traffic kinds[PS_HOST_TRAFFIC_COUNT] = {
        [PS_HOST_UPLOAD] = PS_TRAFFIC_UPLOAD,
        [PS_HOST_OFFLOAD] = PS_TRAFFIC_OFFLOAD,
        [PS_HOST_ECHO] = PS_TRAFFIC_UPLOAD,
        [PS_HOST_STAGED_UPLOAD] = PS_TRAFFIC_STAGED_UPLOAD,
        [PS_HOST_STAGED_OFFLOAD] = PS_TRAFFIC_STAGED_OFFLOAD,
        [PS_HOST_COMPUTE] = PS_TRAFFIC_THREADS,
        [PS_HOST_PINNED_COMPUTE] = PS_TRAFFIC_PINNED_THREADS,
        [PS_HOST_LONE_COMPUTE] = PS_TRAFFIC_PINNED_THREADS,
        [PS_HOST_STORAGE_READ] = PS_TRAFFIC_STORAGE_READ,
        [PS_HOST_STORAGE_WRITE] = PS_TRAFFIC_STORAGE_WRITE};
    const ps_group one = {.rank = &rank, .count = 1};
    return path_of(context, kinds[traffic], &one, out, err);
}

ps_code ps_cluster_network_create(const ps_cluster *cluster, const ps_collective_model *collectives,
                                  ps_cluster_network **out, ps_error *err)
{
    ps_cluster_network *self = ps_calloc(1, sizeof *self);
    if (self == NULL) {
        return ps_fail_nomem(err);
    }
    self->cluster = cluster;
    self->collectives = collectives;
    self->crossing = ps_calloc(ps_cluster_link_count(cluster), sizeof *self->crossing);
    self->view = (ps_network){.context = self,
                              .link_count = ps_cluster_link_count(cluster),
                              .link_name = link_name,
                              .link_bytes_per_s = link_bytes_per_s,
                              .path = path,
                              .shape = shape,
                              .cost = cost,
                              .host = host,
                              .host_path = host_path};
    if (self->crossing == NULL) {
        ps_cluster_network_destroy(self);
        return ps_fail_nomem(err);
    }
    *out = self;
    return PS_OK;
}

void ps_cluster_network_destroy(ps_cluster_network *self)
{
    if (self == NULL) {
        return;
    }
    ps_free(self->place);
    ps_free(self->crossing);
    ps_free(self);
}

const ps_network *ps_cluster_network_view(const ps_cluster_network *self)
{
    return &self->view;
}
