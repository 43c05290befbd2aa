/* SPDX-License-Identifier: MIT
 *
 * The figures of a kind of node, from clusters.csv and the catalogue.
 */
#include <stdio.h>
#include <string.h>

#include "cluster/cluster_store.h"

const char *ps_fabric_name(ps_fabric fabric)
{
    static const char *const names[PS_FABRIC_COUNT] = {
#define PS_FABRIC_NAME(sym, name, doc) name,
        PS_FABRICS(PS_FABRIC_NAME)
#undef PS_FABRIC_NAME
    };
    return names[fabric];
}

static void keep_text(ps_kind_reader *self, size_t place, const char *text, const char **out)
{
    char *kept = self->cluster->text[place];
    (void)snprintf(kept, PS_NODE_TEXT_BYTES, "%s", text);
    *out = kept;
}

static uint32_t read_count(const ps_kind_reader *self, const char *quantity, uint32_t without)
{
    ps_stated stated;
    const bool is_stated = ps_figure_table_get(self->table, self->thing, quantity, &stated);
    return is_stated ? (uint32_t)stated.value : without;
}

static ps_code refuse_word(const ps_kind_reader *self, const char *quantity, const char *text,
                           const char *words)
{
    return ps_fail(self->err, PS_BAD_INPUT, "%s of %.80s is \"%.40s\": use %s", quantity,
                   ps_figure_table_name(self->table, self->thing), text, words);
}

/* A figure of the catalogue entry that the kind names under `quantity`. */
static ps_code read_part(const ps_kind_reader *self, const char *quantity,
                         ps_hardware_class class_of, ps_figure_id figure, uint64_t *out)
{
    ps_stated name;
    ps_hardware_id part;
    ps_figure found;
    PS_TRY(ps_figure_table_need(self->table, self->thing, quantity, &name, self->err));
    PS_TRY(ps_catalogue_find(self->catalogue, class_of, name.text, &part, self->err));
    PS_TRY(ps_catalogue_need(self->catalogue, part, figure, &found, self->err));
    *out = found.value;
    return PS_OK;
}

static ps_code read_gpu_figure(const ps_kind_reader *self, ps_figure_id figure, uint64_t *out)
{
    ps_figure found;
    PS_TRY(ps_catalogue_need(self->catalogue, self->cluster->info.gpu, figure, &found, self->err));
    *out = found.value;
    return PS_OK;
}

static ps_code read_mesh(ps_kind_reader *self)
{
    ps_node_kind *kind = &self->cluster->kind;
    ps_stated stated;
    PS_TRY(ps_figure_table_need(self->table, self->thing, "link-rate", &stated, self->err));
    kind->link_bytes_per_s = stated.value;
    for (uint32_t a = 0; a < PS_MESH_MAX_GPUS; a++) {
        for (uint32_t b = a + 1; b < PS_MESH_MAX_GPUS; b++) {
            char quantity[32];
            (void)snprintf(quantity, sizeof quantity, "links-%u-%u", (unsigned)a, (unsigned)b);
            if (!ps_figure_table_get(self->table, self->thing, quantity, &stated)) {
                continue;
            }
            if (b >= kind->gpus) {
                return ps_fail(self->err, PS_BAD_INPUT, "%.80s has %u GPUs, but %s is stated",
                               ps_figure_table_name(self->table, self->thing), (unsigned)kind->gpus,
                               quantity);
            }
            kind->links[a][b] = kind->links[b][a] = (uint32_t)stated.value;
        }
    }
    return PS_OK;
}

static ps_code read_fabric(ps_kind_reader *self)
{
    ps_node_kind *kind = &self->cluster->kind;
    ps_stated word;
    PS_TRY(ps_figure_table_need(self->table, self->thing, "fabric", &word, self->err));
    for (int i = 0; i < PS_FABRIC_COUNT; i++) {
        if (strcmp(word.text, ps_fabric_name((ps_fabric)i)) == 0) {
            kind->fabric = (ps_fabric)i;
            self->cluster->info.fabric = kind->fabric;
            if (kind->fabric != PS_FABRIC_PCIE) {
                PS_TRY(read_gpu_figure(self, PS_FIGURE_NVLINK, &kind->fabric_bytes_per_s));
            }
            if (kind->fabric != PS_FABRIC_PCIE && kind->fabric_bytes_per_s == 0) {
                return ps_fail(self->err, PS_BAD_INPUT,
                               "%.80s joins by %s GPUs that have no NVLink",
                               ps_figure_table_name(self->table, self->thing), word.text);
            }
            return kind->fabric == PS_FABRIC_NVLINK ? read_mesh(self) : PS_OK;
        }
    }
    return refuse_word(self, "fabric", word.text, "nvswitch, nvlink or pcie");
}

static uint64_t stated_or(const ps_kind_reader *self, const char *quantity, uint64_t without,
                          ps_basis *basis)
{
    ps_stated stated;
    if (!ps_figure_table_get(self->table, self->thing, quantity, &stated)) {
        return without;
    }
    *basis = stated.quality == PS_QUALITY_RECALLED ? PS_BASIS_GUESSED : PS_BASIS_ANALYTIC;
    return stated.value;
}

/* Memory, cores and what they stream; copies of pageable memory are one core's work too. */
static ps_code read_threads(ps_kind_reader *self)
{
    ps_node_kind *kind = &self->cluster->kind;
    ps_figure factor, staged;
    ps_basis ignored;
    const uint64_t faster = kind->up_bytes_per_s > kind->down_bytes_per_s ? kind->up_bytes_per_s
                                                                          : kind->down_bytes_per_s;
    kind->both_bytes_per_s = ps_catalogue_get(self->catalogue, self->cluster->info.gpu,
                                              PS_FIGURE_HOST_BOTH_FACTOR, &factor)
                                 ? ps_mul_div_u64(faster, factor.value, PS_RATIO_ONE)
                                 : 2 * faster;
    kind->staged_bytes_per_s =
        ps_catalogue_get(self->catalogue, self->cluster->info.gpu, PS_FIGURE_PAGEABLE, &staged)
            ? staged.value
            : kind->down_bytes_per_s;
    kind->staged_bytes_per_s = stated_or(self, "staged", kind->staged_bytes_per_s, &ignored);
    kind->staged_up_bytes_per_s = stated_or(self, "staged-up", kind->staged_bytes_per_s, &ignored);
    kind->staged_down_bytes_per_s =
        stated_or(self, "staged-down", kind->staged_bytes_per_s, &ignored);
    kind->memory_bytes = stated_or(self, "host-capacity", 0, &ignored);
    kind->core_basis = PS_BASIS_GUESSED;
    kind->cores = (uint32_t)stated_or(self, "cores", 0, &ignored);
    kind->core_bytes_per_s = stated_or(self, "core-stream", 0, &kind->core_basis);
    return PS_OK;
}

/* Disks of a node work side by side, as one. */
static ps_code read_storage(const ps_kind_reader *self)
{
    ps_node_kind *kind = &self->cluster->kind;
    const uint32_t count = read_count(self, "storages", 1);
    ps_stated name;
    if (!ps_figure_table_get(self->table, self->thing, "storage", &name)) {
        return PS_OK;
    }
    PS_TRY(read_part(self, "storage", PS_HARDWARE_STORAGE, PS_FIGURE_READ_BANDWIDTH,
                     &kind->read_bytes_per_s));
    PS_TRY(read_part(self, "storage", PS_HARDWARE_STORAGE, PS_FIGURE_WRITE_BANDWIDTH,
                     &kind->write_bytes_per_s));
    kind->read_bytes_per_s *= count;
    kind->write_bytes_per_s *= count;
    return PS_OK;
}

static ps_code read_host(ps_kind_reader *self)
{
    ps_node_kind *kind = &self->cluster->kind;
    ps_cluster_info *info = &self->cluster->info;
    ps_stated word;
    ps_basis ignored;
    kind->sockets = read_count(self, "sockets", 1);
    kind->gpus_per_switch = read_count(self, "gpus-per-switch", 1);
    PS_TRY(read_part(self, "host-memory", PS_HARDWARE_MEMORY, PS_FIGURE_STREAM_BANDWIDTH,
                     &kind->memory_bytes_per_s));
    PS_TRY(read_gpu_figure(self, PS_FIGURE_D2H, &kind->up_bytes_per_s));
    PS_TRY(read_gpu_figure(self, PS_FIGURE_H2D, &kind->down_bytes_per_s));
    kind->up_bytes_per_s = stated_or(self, "slot-up", kind->up_bytes_per_s, &ignored);
    kind->down_bytes_per_s = stated_or(self, "slot-down", kind->down_bytes_per_s, &ignored);
    kind->echo_bytes_per_s = stated_or(self, "slot-echo", kind->down_bytes_per_s, &ignored);
    kind->memory_bytes_per_s = stated_or(self, "host-stream", kind->memory_bytes_per_s, &ignored);
    kind->pinned_bytes_per_s = kind->memory_bytes_per_s;
    if (kind->gpus_per_switch > 1) {
        PS_TRY(read_part(self, "uplink", PS_HARDWARE_LINK, PS_FIGURE_BANDWIDTH,
                         &kind->uplink_bytes_per_s));
    }
    PS_TRY(read_threads(self));
    if (self->is_unbound) {
        PS_TRY(ps_kind_unbind(self));
    }
    PS_TRY(read_storage(self));
    PS_TRY(ps_figure_table_need(self->table, self->thing, "peer-access", &word, self->err));
    if (strcmp(word.text, "yes") != 0 && strcmp(word.text, "no") != 0) {
        return refuse_word(self, "peer-access", word.text, "yes or no");
    }
    info->has_peer_access = kind->has_peer_access = word.text[0] == 'y';
    PS_TRY(ps_figure_table_need(self->table, self->thing, "cpu", &word, self->err));
    if (strcmp(word.text, "intel") != 0 && strcmp(word.text, "amd") != 0) {
        return refuse_word(self, "cpu", word.text, "intel or amd");
    }
    keep_text(self, 2, word.text, &info->cpu);
    return PS_OK;
}

/* Beside which GPU each port sits, as far as it is stated. */
static ps_code read_ports(ps_kind_reader *self)
{
    ps_node_kind *kind = &self->cluster->kind;
    ps_stated stated;
    for (uint32_t port = 0; port < PS_NODE_MAX_GPUS; port++) {
        char quantity[32];
        (void)snprintf(quantity, sizeof quantity, "port-%u", (unsigned)port);
        if (!ps_figure_table_get(self->table, self->thing, quantity, &stated)) {
            continue;
        }
        if (port >= self->cluster->info.nics || stated.value >= kind->gpus) {
            return ps_fail(self->err, PS_BAD_INPUT,
                           "%.80s has %u network ports and %u GPUs, but %s beside GPU %u is stated",
                           ps_figure_table_name(self->table, self->thing),
                           (unsigned)self->cluster->info.nics, (unsigned)kind->gpus, quantity,
                           (unsigned)stated.value);
        }
        kind->near_gpus |= UINT64_C(1) << stated.value;
    }
    return PS_OK;
}

static ps_code read_network(ps_kind_reader *self)
{
    ps_cluster_info *info = &self->cluster->info;
    ps_stated stated;
    uint64_t latency = 0;
    info->nics = read_count(self, "nics", 0);
    if (info->nics > 0) {
        PS_TRY(read_part(self, "nic", PS_HARDWARE_LINK, PS_FIGURE_BANDWIDTH,
                         &self->cluster->kind.nic_bytes_per_s));
        PS_TRY(read_part(self, "nic", PS_HARDWARE_LINK, PS_FIGURE_LATENCY, &latency));
    }
    if (ps_figure_table_get(self->table, self->thing, "rail-change", &stated)) {
        self->cluster->kind.rail_change_bytes_per_s = stated.value;
    }
    if (ps_figure_table_get(self->table, self->thing, "scatter-share", &stated)) {
        self->cluster->kind.scatter_share = stated.value;
    }
    info->network_latency_ns = (ps_ns)latency;
    return read_ports(self);
}

ps_code ps_kind_read_figures(ps_kind_reader *self)
{
    ps_cluster_info *info = &self->cluster->info;
    ps_stated stated;
    keep_text(self, 0, ps_figure_table_name(self->table, self->thing), &info->kind);
    PS_TRY(ps_figure_table_need(self->table, self->thing, "gpus", &stated, self->err));
    self->cluster->kind.gpus = (uint32_t)stated.value;
    PS_TRY(ps_figure_table_need(self->table, self->thing, "collectives", &stated, self->err));
    keep_text(self, 1, stated.text, &info->collectives);
    PS_TRY(read_fabric(self));
    PS_TRY(read_host(self));
    return read_network(self);
}
