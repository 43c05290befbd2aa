/* SPDX-License-Identifier: MIT
 *
 * The life of a cluster, its ranks and its links.
 */
#include "cluster/cluster.h"

#include "base/memory.h"
#include "cluster/cluster_store.h"

static ps_code check_size(ps_cluster *self, uint32_t gpus, ps_error *err)
{
    ps_cluster_info *info = &self->info;
    const uint32_t size = self->kind.gpus;
    if (gpus == 0 || gpus > PS_CLUSTER_MAX_GPUS) {
        return ps_fail(err, PS_USAGE, "a cluster has 1 to %u GPUs, not %u", PS_CLUSTER_MAX_GPUS,
                       (unsigned)gpus);
    }
    if (gpus > size && gpus % size != 0) {
        return ps_fail(err, PS_USAGE,
                       "%u GPUs are not a multiple of the %u of a node of kind %.80s",
                       (unsigned)gpus, (unsigned)size, info->kind);
    }
    if (gpus > size && self->kind.nic_bytes_per_s == 0) {
        return ps_fail(err, PS_USAGE,
                       "%u GPUs need several nodes of kind %.80s, which has no network",
                       (unsigned)gpus, info->kind);
    }
    info->gpus = gpus;
    info->gpus_per_node = gpus < size ? gpus : size;
    info->nodes = gpus / info->gpus_per_node;
    return PS_OK;
}

/* Threads that were bound to ranks must exist. */
static ps_code bind_cores(ps_cluster *self, const ps_cluster_options *options, ps_error *err)
{
    ps_node_kind *kind = &self->kind;
    const uint32_t sockets = kind->sockets, gpus = self->info.gpus_per_node;
    const uint32_t per_socket = (kind->gpus + sockets - 1) / sockets;
    const uint32_t ranks = gpus < per_socket ? gpus : per_socket;
    if (options == NULL || options->rank_cores == 0) {
        return PS_OK;
    }
    if (kind->core_bytes_per_s == 0) {
        return ps_fail(err, PS_USAGE, "nothing is known of the cores of %.80s (core-stream)",
                       self->info.kind);
    }
    if (kind->cores > 0 && (uint64_t)options->rank_cores * ranks > kind->cores) {
        return ps_fail(err, PS_USAGE,
                       "%u threads for each of the %u ranks of a socket: one of %.80s has %u cores",
                       (unsigned)options->rank_cores, (unsigned)ranks, self->info.kind,
                       (unsigned)kind->cores);
    }
    kind->rank_cores = options->rank_cores;
    return PS_OK;
}

static ps_code build(ps_cluster *self, const ps_catalogue *catalogue, const char *name,
                     uint32_t gpus, const ps_cluster_options *options, ps_error *err)
{
    PS_TRY(ps_cluster_read_kind(self, catalogue, name, gpus, options, err));
    PS_TRY(check_size(self, gpus, err));
    PS_TRY(bind_cores(self, options, err));
    self->is_cyclic = options != NULL && options->is_cyclic;
    return ps_cluster_make_links(self, err);
}

ps_code ps_cluster_create(const ps_catalogue *catalogue, const char *name, uint32_t gpus,
                          const ps_cluster_options *options, ps_cluster **out, ps_error *err)
{
    ps_cluster *self = ps_calloc(1, sizeof *self);
    if (self == NULL) {
        return ps_fail_nomem(err);
    }
    const ps_code code = build(self, catalogue, name, gpus, options, err);
    if (code != PS_OK) {
        ps_cluster_destroy(self);
        return code;
    }
    *out = self;
    return PS_OK;
}

void ps_cluster_destroy(ps_cluster *self)
{
    if (self != NULL) {
        ps_free(self->link);
        ps_free(self);
    }
}

const ps_cluster_info *ps_cluster_about(const ps_cluster *self)
{
    return &self->info;
}

uint32_t ps_cluster_seat(const ps_cluster *self, uint32_t rank)
{
    const ps_cluster_info *info = &self->info;
    return self->is_cyclic ? rank % info->nodes * info->gpus_per_node + rank / info->nodes : rank;
}

uint32_t ps_cluster_node(const ps_cluster *self, uint32_t rank)
{
    return ps_cluster_seat(self, rank) / self->info.gpus_per_node;
}

uint32_t ps_cluster_local(const ps_cluster *self, uint32_t rank)
{
    return ps_cluster_seat(self, rank) % self->info.gpus_per_node;
}

uint32_t ps_cluster_link_count(const ps_cluster *self)
{
    return self->link_count;
}

ps_cluster_link ps_cluster_link_at(const ps_cluster *self, uint32_t link)
{
    return (ps_cluster_link){self->link[link].name, self->link[link].bytes_per_s};
}
