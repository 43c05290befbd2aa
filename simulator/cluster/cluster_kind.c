/* SPDX-License-Identifier: MIT
 *
 * Which kind of node a name stands for.
 */
#include <string.h>

#include "cluster/builtin.h"
#include "cluster/cluster_store.h"
#include "cluster/near_names.h"

#define GENERIC_KIND "generic-pcie"

static const ps_figure_rule rules[] = {
    {"gpu", PS_FIGURE_WORD, 0, 0},
    {"gpus", PS_UNIT_COUNT, 1, PS_NODE_MAX_GPUS},
    {"default", PS_FIGURE_WORD, 0, 0},
    {"fabric", PS_FIGURE_WORD, 0, 0},
    {"links-*", PS_UNIT_COUNT, 0, 64},
    {"link-rate", PS_UNIT_BANDWIDTH, 1, UINT64_C(1) << 50},
    {"sockets", PS_UNIT_COUNT, 1, 16},
    {"gpus-per-switch", PS_UNIT_COUNT, 1, PS_NODE_MAX_GPUS},
    {"uplink", PS_FIGURE_WORD, 0, 0},
    {"peer-access", PS_FIGURE_WORD, 0, 0},
    {"host-memory", PS_FIGURE_WORD, 0, 0},
    {"cpu", PS_FIGURE_WORD, 0, 0},
    {"nic", PS_FIGURE_WORD, 0, 0},
    {"nics", PS_UNIT_COUNT, 0, 64},
    {"collectives", PS_FIGURE_WORD, 0, 0},
    {"host-capacity", PS_UNIT_SIZE, 1, UINT64_C(1) << 60},
    {"cores", PS_UNIT_COUNT, 1, 4096},
    {"core-stream", PS_UNIT_BANDWIDTH, 1, UINT64_C(1) << 50},
    {"staged", PS_UNIT_BANDWIDTH, 1, UINT64_C(1) << 50},
    {"staged-up", PS_UNIT_BANDWIDTH, 1, UINT64_C(1) << 50},
    {"staged-down", PS_UNIT_BANDWIDTH, 1, UINT64_C(1) << 50},
    {"slot-up", PS_UNIT_BANDWIDTH, 1, UINT64_C(1) << 50},
    {"slot-down", PS_UNIT_BANDWIDTH, 1, UINT64_C(1) << 50},
    {"slot-echo", PS_UNIT_BANDWIDTH, 1, UINT64_C(1) << 50},
    {"host-stream", PS_UNIT_BANDWIDTH, 1, UINT64_C(1) << 50},
    {"scatter-share", PS_UNIT_RATIO, 1, PS_RATIO_ONE},
    {"port-*", PS_UNIT_COUNT, 0, PS_NODE_MAX_GPUS - 1},
    {"rail-change", PS_UNIT_BANDWIDTH, 1, UINT64_C(1) << 50},
    {"storage", PS_FIGURE_WORD, 0, 0},
    {"storages", PS_UNIT_COUNT, 1, 64},
    {"unbound-share", PS_UNIT_RATIO, 1, PS_RATIO_ONE},
    {"unbound-crowding", PS_UNIT_RATIO, 1, PS_RATIO_ONE},
    {NULL, PS_UNIT_COUNT, 0, 0},
};

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

static bool is_default_of(const ps_kind_reader *self, uint32_t thing, ps_hardware_id gpu)
{
    ps_stated word;
    ps_hardware_id of;
    return ps_figure_table_get(self->table, thing, "default", &word) &&
           strcmp(word.text, "yes") == 0 && ps_figure_table_get(self->table, thing, "gpu", &word) &&
           ps_catalogue_find(self->catalogue, PS_HARDWARE_GPU, word.text, &of, NULL) == PS_OK &&
           of.v == gpu.v;
}

/* The default kind of a GPU: the smallest that has room, else the largest; else the generic one. */
static ps_code choose_kind(ps_kind_reader *self, ps_hardware_id gpu, uint32_t gpus)
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

static ps_code find_kind(ps_kind_reader *self, const char *name, uint32_t gpus)
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

ps_code ps_cluster_read_kind(ps_cluster *self, const ps_catalogue *catalogue, const char *name,
                             uint32_t gpus, const ps_cluster_options *options, ps_error *err)
{
    ps_figure_table *table = NULL;
    PS_TRY(read_table(options, &table, err));
    ps_kind_reader read = {.gpus = gpus,
                           .is_unbound = options != NULL && options->is_unbound,
                           .cluster = self,
                           .catalogue = catalogue,
                           .table = table,
                           .err = err};
    ps_code code = find_kind(&read, name, gpus);
    if (code == PS_OK) {
        code = ps_kind_read_figures(&read);
    }
    ps_figure_table_destroy(table);
    return code;
}
