/* SPDX-License-Identifier: MIT
 *
 * Which kind of node a name stands for, and its figures from clusters.csv and
 * the catalogue.
 */
#include <stdio.h>
#include <string.h>

#include "cluster/builtin.h"
#include "cluster/cluster_store.h"
#include "cluster/near_names.h"

#define GENERIC_KIND "generic-pcie"

static const ps_figure_rule rules[] = {
    {"gpu", PS_FIGURE_WORD, 0, 0},         {"gpus", PS_UNIT_COUNT, 1, PS_NODE_MAX_GPUS},
    {"default", PS_FIGURE_WORD, 0, 0},     {"fabric", PS_FIGURE_WORD, 0, 0},
    {"links-*", PS_UNIT_COUNT, 0, 64},     {"link-rate", PS_UNIT_BANDWIDTH, 1, UINT64_C(1) << 50},
    {"sockets", PS_UNIT_COUNT, 1, 16},     {"gpus-per-switch", PS_UNIT_COUNT, 1, PS_NODE_MAX_GPUS},
    {"uplink", PS_FIGURE_WORD, 0, 0},      {"peer-access", PS_FIGURE_WORD, 0, 0},
    {"host-memory", PS_FIGURE_WORD, 0, 0}, {"cpu", PS_FIGURE_WORD, 0, 0},
    {"nic", PS_FIGURE_WORD, 0, 0},         {"nics", PS_UNIT_COUNT, 0, 64},
    {"collectives", PS_FIGURE_WORD, 0, 0}, {NULL, PS_UNIT_COUNT, 0, 0},
};

typedef struct reader {
    ps_cluster *cluster;
    const ps_catalogue *catalogue;
    const ps_figure_table *table;
    uint32_t thing;
    ps_error *err;
} reader;

const char *ps_fabric_name(ps_fabric fabric)
{
    static const char *const names[PS_FABRIC_COUNT] = {
#define PS_FABRIC_NAME(sym, name, doc) name,
        PS_FABRICS(PS_FABRIC_NAME)
#undef PS_FABRIC_NAME
    };
    return names[fabric];
}

static ps_code read_table(const ps_cluster_options *options, ps_figure_table **out, ps_error *err)
{
    ps_figure_table *table = ps_figure_table_create("node", rules);
    if (table == NULL) {
        return ps_fail_nomem(err);
    }
    const ps_builtin_file *file = &ps_cluster_files[0];
    ps_code code =
        ps_figure_table_read(table, file->name, (const char *)file->bytes, file->count, err);
    if (code == PS_OK && options != NULL && options->csv != NULL) {
        const char *name = options->csv_name != NULL ? options->csv_name : "user's clusters";
        code = ps_figure_table_read(table, name, options->csv, options->csv_bytes, err);
    }
    if (code == PS_OK) {
        code = ps_figure_table_check(table, err);
    }
    if (code != PS_OK) {
        ps_figure_table_destroy(table);
        return code;
    }
    *out = table;
    return PS_OK;
}

static const char *kind_name(const void *context, uint32_t id)
{
    return ps_figure_table_name(context, id);
}

/* Neither a kind nor a GPU; `err` holds what the catalogue said of the GPU. */
static ps_code refuse_name(const ps_figure_table *table, const char *name, ps_error *err)
{
    char key[PS_NAME_KEY_BYTES], other[PS_NAME_KEY_BYTES], near_text[320];
    ps_near_names near;
    if (!ps_name_key(name, PS_NAME_DECIMAL, key)) {
        return ps_fail(err, PS_NOT_FOUND, "\"%.80s\" is not a name for a cluster", name);
    }
    ps_near_names_init(&near, key);
    for (uint32_t i = 0; i < ps_figure_table_count(table); i++) {
        ps_stated gpu; /* families have none */
        if (ps_figure_table_get(table, i, "gpu", &gpu) &&
            ps_name_key(ps_figure_table_name(table, i), PS_NAME_DECIMAL, other)) {
            ps_near_names_add(&near, i, other);
        }
    }
    if (near.count == 0) { /* the catalogue's near names of GPUs are the better ones */
        return PS_NOT_FOUND;
    }
    ps_near_names_format(&near, kind_name, table, near_text, sizeof near_text);
    return ps_fail(err, PS_NOT_FOUND, "no kind of node and no GPU is called \"%.80s\"%s", name,
                   near_text);
}

static bool is_default_of(const reader *self, uint32_t thing, ps_hardware_id gpu)
{
    ps_stated word;
    ps_hardware_id of;
    return ps_figure_table_get(self->table, thing, "default", &word) &&
           strcmp(word.text, "yes") == 0 && ps_figure_table_get(self->table, thing, "gpu", &word) &&
           ps_catalogue_find(self->catalogue, PS_HARDWARE_GPU, word.text, &of, NULL) == PS_OK &&
           of.v == gpu.v;
}

/* The default kind of a GPU: the smallest that has room, else the largest; else the generic one. */
static ps_code choose_kind(reader *self, ps_hardware_id gpu, uint32_t gpus)
{
    uint64_t best = 0;
    for (uint32_t i = 0; i < ps_figure_table_count(self->table); i++) {
        ps_stated size;
        if (!is_default_of(self, i, gpu) || !ps_figure_table_get(self->table, i, "gpus", &size)) {
            continue;
        }
        const bool is_better = best == 0 || (best < gpus ? size.value > best
                                                         : size.value >= gpus && size.value < best);
        if (is_better) {
            best = size.value;
            self->thing = i;
        }
    }
    if (best == 0 && !ps_figure_table_find(self->table, GENERIC_KIND, &self->thing)) {
        return ps_fail(self->err, PS_NOT_FOUND, "no kind of node is called " GENERIC_KIND);
    }
    return PS_OK;
}

static ps_code find_kind(reader *self, const char *name, uint32_t gpus)
{
    ps_cluster_info *info = &self->cluster->info;
    ps_stated word;
    if (ps_figure_table_find(self->table, name, &self->thing)) {
        info->basis = PS_BASIS_ANALYTIC;
        PS_TRY(ps_figure_table_need(self->table, self->thing, "gpu", &word, self->err));
        return ps_catalogue_find(self->catalogue, PS_HARDWARE_GPU, word.text, &info->gpu,
                                 self->err);
    }
    info->basis = PS_BASIS_GUESSED;
    if (ps_catalogue_find(self->catalogue, PS_HARDWARE_GPU, name, &info->gpu, self->err) != PS_OK) {
        return refuse_name(self->table, name, self->err);
    }
    return choose_kind(self, info->gpu, gpus);
}

static void keep_text(reader *self, size_t place, const char *text, const char **out)
{
    char *kept = self->cluster->text[place];
    (void)snprintf(kept, PS_NODE_TEXT_BYTES, "%s", text);
    *out = kept;
}

static uint32_t read_count(const reader *self, const char *quantity, uint32_t without)
{
    ps_stated stated;
    const bool is_stated = ps_figure_table_get(self->table, self->thing, quantity, &stated);
    return is_stated ? (uint32_t)stated.value : without;
}

static ps_code refuse_word(const reader *self, const char *quantity, const char *text,
                           const char *words)
{
    return ps_fail(self->err, PS_BAD_INPUT, "%s of %.80s is \"%.40s\": use %s", quantity,
                   ps_figure_table_name(self->table, self->thing), text, words);
}

/* A figure of the catalogue entry that the kind names under `quantity`. */
static ps_code read_part(const reader *self, const char *quantity, ps_hardware_class class_of,
                         ps_figure_id figure, uint64_t *out)
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

static ps_code read_gpu_figure(const reader *self, ps_figure_id figure, uint64_t *out)
{
    ps_figure found;
    PS_TRY(ps_catalogue_need(self->catalogue, self->cluster->info.gpu, figure, &found, self->err));
    *out = found.value;
    return PS_OK;
}

static ps_code read_mesh(reader *self)
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

static ps_code read_fabric(reader *self)
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

static ps_code read_host(reader *self)
{
    ps_node_kind *kind = &self->cluster->kind;
    ps_cluster_info *info = &self->cluster->info;
    ps_stated word;
    kind->sockets = read_count(self, "sockets", 1);
    kind->gpus_per_switch = read_count(self, "gpus-per-switch", 1);
    PS_TRY(read_part(self, "host-memory", PS_HARDWARE_MEMORY, PS_FIGURE_STREAM_BANDWIDTH,
                     &kind->memory_bytes_per_s));
    PS_TRY(read_gpu_figure(self, PS_FIGURE_D2H, &kind->up_bytes_per_s));
    PS_TRY(read_gpu_figure(self, PS_FIGURE_H2D, &kind->down_bytes_per_s));
    if (kind->gpus_per_switch > 1) {
        PS_TRY(read_part(self, "uplink", PS_HARDWARE_LINK, PS_FIGURE_BANDWIDTH,
                         &kind->uplink_bytes_per_s));
    }
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

static ps_code read_network(reader *self)
{
    ps_cluster_info *info = &self->cluster->info;
    uint64_t latency = 0;
    info->nics = read_count(self, "nics", 0);
    if (info->nics > 0) {
        PS_TRY(read_part(self, "nic", PS_HARDWARE_LINK, PS_FIGURE_BANDWIDTH,
                         &self->cluster->kind.nic_bytes_per_s));
        PS_TRY(read_part(self, "nic", PS_HARDWARE_LINK, PS_FIGURE_LATENCY, &latency));
    }
    info->network_latency_ns = (ps_ns)latency;
    return PS_OK;
}

static ps_code read_figures(reader *self)
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

ps_code ps_cluster_read_kind(ps_cluster *self, const ps_catalogue *catalogue, const char *name,
                             uint32_t gpus, const ps_cluster_options *options, ps_error *err)
{
    ps_figure_table *table = NULL;
    PS_TRY(read_table(options, &table, err));
    reader read = {.cluster = self, .catalogue = catalogue, .table = table, .err = err};
    ps_code code = find_kind(&read, name, gpus);
    if (code == PS_OK) {
        code = read_figures(&read);
    }
    ps_figure_table_destroy(table);
    return code;
}
