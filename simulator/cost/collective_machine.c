/* SPDX-License-Identifier: MIT
 *
 * The figures of a machine and NCCL's constants, from collectives.csv and
 * nccl.csv.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cost/collective_parts.h"

#define MAX_RATE (UINT64_C(1) << 50)
#define MAX_TIME UINT64_C(1000000000)

static const ps_figure_rule machine_rules[] = {
    {"nccl", PS_FIGURE_WORD, 0, 0},
    {"channels", PS_UNIT_COUNT, 1, 64},
    {"bus-rate", PS_UNIT_BANDWIDTH, 1, MAX_RATE},
    {"base-latency", PS_UNIT_DURATION, 0, MAX_TIME},
    {"simple-hop", PS_UNIT_DURATION, 0, MAX_TIME},
    {"ll128-hop", PS_UNIT_DURATION, 0, MAX_TIME},
    {"link-share", PS_UNIT_RATIO, 1, PS_RATIO_ONE},
    {"ll128-share", PS_UNIT_RATIO, 1, PS_RATIO_ONE},
    {"forwarded-share", PS_UNIT_RATIO, 1, PS_RATIO_ONE},
    {"direct-share", PS_UNIT_RATIO, 1, PS_RATIO_ONE},
    {"nvls-share", PS_UNIT_RATIO, 1, 2 * PS_RATIO_ONE},
    {"nvls-hop", PS_UNIT_DURATION, 0, MAX_TIME},
    {"nvls-latency", PS_UNIT_DURATION, 0, MAX_TIME},
    {"copy-rate", PS_UNIT_BANDWIDTH, 1, MAX_RATE},
    {NULL, PS_UNIT_COUNT, 0, 0},
};

static const ps_figure_rule nccl_rules[] = {
    {"base-?", PS_UNIT_DURATION, 0, MAX_TIME},
    {"hop-?", PS_UNIT_DURATION, 0, MAX_TIME},
    {"ll-cap-?", PS_UNIT_BANDWIDTH, 1, MAX_RATE},
    {"ll-share-?", PS_UNIT_RATIO, 1, PS_RATIO_ONE},
    {"ll128-share", PS_UNIT_RATIO, 1, PS_RATIO_ONE},
    {"ll128-channel-?", PS_UNIT_BANDWIDTH, 1, MAX_RATE},
    {"tree-share", PS_UNIT_RATIO, 1, PS_RATIO_ONE},
    {"tree-ll-share", PS_UNIT_RATIO, 1, PS_RATIO_ONE},
    {"tree-ll128-share-*", PS_UNIT_RATIO, 1, PS_RATIO_ONE},
    {"tree-channel-?", PS_UNIT_BANDWIDTH, 1, MAX_RATE},
    {"ll128-tree-channel-?", PS_UNIT_BANDWIDTH, 1, MAX_RATE},
    {"plateau-?", PS_UNIT_RATIO, PS_RATIO_ONE, 10 * PS_RATIO_ONE},
    {"bus-cap-?", PS_UNIT_BANDWIDTH, 1, MAX_RATE},
    {"correction-?", PS_UNIT_RATIO, 1, PS_RATIO_ONE},
    {"chunk-?", PS_UNIT_SIZE, 1, UINT64_C(1) << 30},
    {"channel-bytes-?", PS_UNIT_SIZE, 1, UINT64_C(1) << 30},
    {"nvls-share-?", PS_UNIT_RATIO, 1, PS_RATIO_ONE},
    {"nvls-tree-channel-?", PS_UNIT_BANDWIDTH, 1, MAX_RATE},
    {NULL, PS_UNIT_COUNT, 0, 0},
};

static const char *const protocol_names[PS_NCCL_PROTOCOLS] = {"ll", "ll128", "simple"};
static const char *const graph_names[PS_NCCL_GRAPHS] = {"ring", "tree"};
static const char *const hardware_names[PS_NCCL_HARDWARE_COUNT] = {"nvlink", "pci", "net"};
static const char *const span_names[PS_NCCL_SPANS] = {"1", "2", "4"};

/* One thing of a table being read; the first failure stays. */
typedef struct reader {
    const ps_figure_table *table;
    uint32_t thing;
    bool is_guessed; /* a figure was recalled or only given */
    ps_code code;
    ps_error *err;
} reader;

/* The figure "a-b-c", parts that are "" left out; `without` when it is not stated. */
static uint64_t find(reader *self, const char *const part[4], uint64_t without)
{
    char name[64] = "";
    ps_stated stated;
    for (int i = 0; i < 4 && part[i] != NULL; i++) {
        const size_t used = strlen(name);
        (void)snprintf(name + used, sizeof name - used, "%s%s", i > 0 ? "-" : "", part[i]);
    }
    if (ps_figure_table_get(self->table, self->thing, name, &stated)) {
        self->is_guessed = self->is_guessed || stated.quality == PS_QUALITY_RECALLED ||
                           stated.quality == PS_QUALITY_GIVEN;
        return stated.value;
    }
    if (without == UINT64_MAX && self->code == PS_OK) {
        self->code = ps_figure_table_need(self->table, self->thing, name, &stated, self->err);
    }
    return without;
}

/* A figure that must be there. */
#define NEED(self, ...) find(self, (const char *const[4]){__VA_ARGS__}, UINT64_MAX)
#define FIND(self, without, ...) find(self, (const char *const[4]){__VA_ARGS__}, without)

static void read_spans(reader *self, const char *what, const char *row, uint64_t out[PS_NCCL_SPANS])
{
    for (int i = 0; i < PS_NCCL_SPANS; i++) {
        out[i] = NEED(self, what, row, span_names[i]);
    }
}

static void read_latencies(reader *self, ps_nccl *out)
{
    for (int g = 0; g < PS_NCCL_GRAPHS; g++) {
        for (int p = 0; p < PS_NCCL_PROTOCOLS; p++) {
            out->base[g][p] = NEED(self, "base", graph_names[g], protocol_names[p]);
            for (int h = 0; h < PS_NCCL_HARDWARE_COUNT; h++) {
                out->hop[h][g][p] =
                    NEED(self, "hop", hardware_names[h], graph_names[g], protocol_names[p]);
            }
        }
    }
}

static void read_protocols(reader *self, ps_nccl *out)
{
    for (int p = 0; p < PS_NCCL_PROTOCOLS; p++) {
        out->chunk[p] = NEED(self, "chunk", protocol_names[p]);
        out->channel_bytes[p] = NEED(self, "channel-bytes", protocol_names[p]);
        for (int i = 0; i < PS_NCCL_CORRECTIONS; i++) {
            char number[4];
            (void)snprintf(number, sizeof number, "%d", i);
            out->correction[p][i] = NEED(self, "correction", protocol_names[p], number);
        }
    }
}

static void read_nvls(reader *self, const char *generation, ps_nccl *out)
{
    out->nvls_share = FIND(self, 0, "nvls-share", generation);
    if (out->nvls_share > 0) {
        out->nvls_hop = NEED(self, "hop-nvlink", "nvls", "simple");
        out->nvls_tree_net_hop = NEED(self, "hop-net", "nvls-tree", "simple");
        read_spans(self, "nvls-tree-channel", generation, out->nvls_tree_channel);
    }
}

/* Constants of a GPU's generation; LL between nodes goes by the processor. */
static void read_nccl(reader *self, const char *generation, const char *cpu, ps_nccl *out)
{
    const bool is_intel = strcmp(cpu, "intel") == 0;
    uint64_t between[PS_NCCL_SPANS];
    *out = (ps_nccl){0};
    read_latencies(self, out);
    read_spans(self, "ll-cap", generation, out->ll_cap);
    read_spans(self, "ll-cap", is_intel ? "volta" : "ampere", between);
    out->ll_cap[1] = between[1];
    out->ll_cap[2] = between[2];
    out->ll_share_reduce = NEED(self, "ll-share", "reduce");
    out->ll_share_gather = NEED(self, "ll-share", "gather");
    out->ll128_share = NEED(self, "ll128-share");
    out->ll128_channel = NEED(self, "ll128-channel", generation);
    out->tree_share = NEED(self, "tree-share");
    out->tree_ll_share = NEED(self, "tree-ll-share");
    out->tree_ll128_share[0] = NEED(self, "tree-ll128-share", "1");
    out->tree_ll128_share[1] = NEED(self, "tree-ll128-share", "2");
    read_spans(self, "tree-channel", generation, out->tree_channel);
    read_spans(self, "ll128-tree-channel", generation, out->ll128_tree_channel);
    out->plateau = NEED(self, "plateau", generation);
    out->bus_cap = FIND(self, MAX_RATE, "bus-cap", generation);
    read_protocols(self, out);
    read_nvls(self, generation, out);
}

static void read_machine(reader *self, ps_collective_machine *out)
{
    const uint64_t channels = NEED(self, "channels");
    const uint64_t bus_rate = FIND(self, 0, "bus-rate");
    self->is_guessed = false; /* those only serve to choose */
    *out = (ps_collective_machine){
        .channels = channels,
        .bus_rate = bus_rate,
        .base_latency = NEED(self, "base-latency"),
        .simple_hop = NEED(self, "simple-hop"),
        .ll128_hop = NEED(self, "ll128-hop"),
        .link_share = NEED(self, "link-share"),
        .ll128_share = NEED(self, "ll128-share"),
        .forwarded_share = FIND(self, PS_RATIO_ONE, "forwarded-share"),
        .copy_rate = FIND(self, MAX_RATE, "copy-rate"),
        .nvls_share = FIND(self, 0, "nvls-share"),
        .nvls_latency = FIND(self, 0, "nvls-latency"),
        .nvls_hop = FIND(self, 0, "nvls-hop"),
    };
    out->direct_share = FIND(self, out->link_share, "direct-share");
}

static ps_code open_table(const char *subject, const ps_figure_rule *rules, size_t file,
                          const ps_collective_options *options, ps_figure_table **out,
                          ps_error *err)
{
    const ps_builtin_file *text = &ps_collective_files[file];
    ps_figure_table *table = ps_figure_table_create(subject, rules);
    if (table == NULL) {
        return ps_fail_nomem(err);
    }
    ps_code code =
        ps_figure_table_read(table, text->name, (const char *)text->bytes, text->count, err);
    if (code == PS_OK && options != NULL && options->csv != NULL) {
        const char *name = options->csv_name != NULL ? options->csv_name : "user's collectives";
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

static ps_code find_thing(reader *self, const char *what, const char *name)
{
    if (ps_figure_table_find(self->table, name, &self->thing)) {
        return PS_OK;
    }
    return ps_fail(self->err, PS_NOT_FOUND, "no %s is called \"%.80s\"", what, name);
}

/* Reads the machine and the release of NCCL that it names, to be freed. */
static ps_code read_machine_of(ps_collective_model *self, const char *name,
                               const ps_collective_options *options, char release[32],
                               ps_error *err)
{
    ps_figure_table *table = NULL;
    ps_stated stated;
    PS_TRY(open_table("machine", machine_rules, 0, options, &table, err));
    reader read = {.table = table, .err = err};
    read.code = find_thing(&read, "machine of collectives", name);
    if (read.code == PS_OK) {
        read_machine(&read, &self->machine);
        self->machine.is_guessed = read.is_guessed;
    }
    if (read.code == PS_OK) {
        read.code = ps_figure_table_need(table, read.thing, "nccl", &stated, err);
    }
    if (read.code == PS_OK) {
        (void)snprintf(release, 32, "%s", stated.text);
    }
    ps_figure_table_destroy(table);
    return read.code;
}

static const char *generation_of(long major)
{
    return major >= 10 ? "blackwell" : major == 9 ? "hopper" : major == 8 ? "ampere" : "volta";
}

ps_code ps_collective_read(ps_collective_model *self, const ps_catalogue *catalogue,
                           const ps_cluster *cluster, const ps_collective_options *options,
                           ps_error *err)
{
    const ps_cluster_info *info = ps_cluster_about(cluster);
    const bool has_machine = options != NULL && options->machine != NULL;
    const bool has_release = options != NULL && options->nccl != NULL;
    const long major = strtol(ps_catalogue_compute_capability(catalogue, info->gpu), NULL, 10);
    char release[32];
    ps_figure_table *table = NULL;
    PS_TRY(read_machine_of(self, has_machine ? options->machine : info->collectives, options,
                           release, err));
    PS_TRY(open_table("nccl", nccl_rules, 1, NULL, &table, err));
    reader read = {.table = table, .err = err};
    read.code = find_thing(&read, "release of NCCL", has_release ? options->nccl : release);
    if (read.code == PS_OK) {
        read_nccl(&read, generation_of(major), info->cpu, &self->nccl);
    }
    self->has_ll128 = major >= 7;
    self->network_ns = (uint64_t)info->network_latency_ns;
    self->machine.is_guessed = self->machine.is_guessed || info->basis == PS_BASIS_GUESSED;
    ps_figure_table_destroy(table);
    return read.code;
}
