/* SPDX-License-Identifier: MIT
 *
 * Rates of rank 0's traffic with its host, as all ranks of the node have them.
 */
#include "update_rates.h"

#include "base/memory.h"

typedef struct sharing {
    const ps_cluster *cluster;
    uint32_t *flows; /* per link: ranks that cross it */
    ps_crossing *path;
    uint32_t capacity;
} sharing;

static ps_code path_of(const sharing *self, uint32_t rank, ps_traffic traffic, uint32_t *count,
                       ps_error *err)
{
    const ps_group one = {.rank = &rank, .count = 1};
    return ps_cluster_path(self->cluster, traffic, &one, self->path, self->capacity, count, err);
}

static ps_code rate_of(const sharing *self, ps_traffic traffic, uint64_t *out, ps_error *err)
{
    const uint32_t ranks = ps_cluster_about(self->cluster)->gpus_per_node;
    uint32_t count = 0;
    for (uint32_t i = 0; i < self->capacity; i++) {
        self->flows[i] = 0;
    }
    for (uint32_t rank = 0; rank < ranks; rank++) {
        PS_TRY(path_of(self, rank, traffic, &count, err));
        for (uint32_t i = 0; i < count; i++) {
            self->flows[self->path[i].link]++;
        }
    }
    PS_TRY(path_of(self, 0, traffic, &count, err));
    *out = UINT64_MAX;
    for (uint32_t i = 0; i < count; i++) {
        const uint64_t own = ps_cluster_link_at(self->cluster, self->path[i].link).bytes_per_s /
                             self->flows[self->path[i].link];
        *out = own < *out ? own : *out;
    }
    *out = *out > 0 ? *out : 1;
    return PS_OK;
}

static ps_code find_rates(const sharing *self, ps_update_rates *out, ps_error *err)
{
    const ps_rank_host host = ps_cluster_host(self->cluster, 0);
    PS_TRY(rate_of(self, PS_TRAFFIC_PINNED_THREADS, &out->memory_bytes_per_s, err));
    PS_TRY(rate_of(self, PS_TRAFFIC_UPLOAD, &out->upload_bytes_per_s, err));
    PS_TRY(rate_of(self, PS_TRAFFIC_OFFLOAD, &out->offload_bytes_per_s, err));
    out->threads_bytes_per_s = host.threads_bytes_per_s > 0 ? host.threads_bytes_per_s : 1;
    return PS_OK;
}

ps_code ps_update_rates_of(const ps_cluster *cluster, ps_update_rates *out, ps_error *err)
{
    sharing self = {.cluster = cluster, .capacity = ps_cluster_link_count(cluster)};
    self.flows = ps_calloc(self.capacity, sizeof *self.flows);
    self.path = ps_calloc(self.capacity, sizeof *self.path);
    const ps_code code =
        self.flows == NULL || self.path == NULL ? ps_fail_nomem(err) : find_rates(&self, out, err);
    ps_free(self.flows);
    ps_free(self.path);
    return code;
}
