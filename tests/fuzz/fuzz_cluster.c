/* SPDX-License-Identifier: MIT
 *
 * Kinds of nodes, figures of collectives and measured tables as a user may
 * write them: the bytes are tried as each. What must hold of a cluster that is
 * built: its links have rates, a collective of all its ranks takes no negative
 * time, and alone it fits on its links.
 */
#include "fuzz.h"

#include "base/memory.h"
#include "cost/collective.h"

enum { MAX_RANKS = 128, MAX_PATH = 4096 };

static void check_time(const ps_cluster *cluster, const ps_collective_model *model,
                       ps_collective_op kind, uint32_t ranks)
{
    uint32_t rank[MAX_RANKS], count = 0;
    ps_crossing path[MAX_PATH];
    ps_collective_result got;
    ps_collective_call call = {.kind = kind,
                               .bytes = UINT64_C(3) << 20,
                               .algorithm = PS_COLLECTIVE_ANY_ALGORITHM,
                               .protocol = PS_COLLECTIVE_ANY_PROTOCOL};
    for (uint32_t i = 0; i < ranks; i++) {
        rank[i] = i;
    }
    const ps_group group = {rank, ranks};
    if (ps_cluster_place(cluster, &group, &call.place, NULL) != PS_OK ||
        ps_collective_time(model, &call, &got, NULL) != PS_OK) {
        return; /* out of memory, or a pair that is not one */
    }
    fuzz_require(got.latency_ns >= 0 && got.dur_ns >= got.latency_ns);
    if (ranks > 1 && got.basis >= PS_BASIS_ANALYTIC &&
        ps_cluster_path(cluster, got.traffic, &group, path, MAX_PATH, &count, NULL) == PS_OK) {
        fuzz_require(got.rate_bytes_per_s <= ps_cluster_path_rate(cluster, path, count));
    }
}

static void check_cluster(const ps_catalogue *catalogue, const ps_cluster *cluster,
                          const uint8_t *data, size_t size)
{
    ps_error err = {0};
    const char *text = (const char *)data;
    const ps_collective_options options = {.csv = text, .csv_bytes = size};
    ps_collective_model *model = NULL;
    const uint32_t gpus = ps_cluster_about(cluster)->gpus;
    for (uint32_t i = 0; i < ps_cluster_link_count(cluster); i++) {
        fuzz_require(ps_cluster_link_at(cluster, i).bytes_per_s > 0);
    }
    if (ps_collective_create(catalogue, cluster, &options, &model, &err) != PS_OK &&
        ps_collective_create(catalogue, cluster, NULL, &model, &err) != PS_OK) {
        return;
    }
    for (int measured = 0; measured < 3; measured++) {
        for (int kind = PS_COLLECTIVE_ALL_REDUCE; kind < PS_COLLECTIVE_OP_COUNT; kind++) {
            check_time(cluster, model, (ps_collective_op)kind, gpus < MAX_RANKS ? gpus : MAX_RANKS);
        }
        const ps_collective_op as = measured == 0 ? PS_COLLECTIVE_NONE : PS_COLLECTIVE_ALL_REDUCE;
        if (ps_collective_add_measured(model, "fuzz", text, size, as, &err) != PS_OK) {
            fuzz_require(err.message[0] != '\0');
        }
    }
    ps_collective_destroy(model);
}

/* What no input changes is made by the first and lives as long as the process: the built-in tables,
   and a cluster for bytes that describe none. */
static const ps_catalogue *shared_catalogue(void)
{
    static ps_catalogue *catalogue;
    if (catalogue == NULL && ps_catalogue_create(&catalogue, NULL) != PS_OK) {
        return NULL;
    }
    return catalogue;
}

static const ps_cluster *shared_cluster(const ps_catalogue *catalogue)
{
    static ps_cluster *cluster;
    if (cluster == NULL &&
        ps_cluster_create(catalogue, "dgx-h200", 16, NULL, &cluster, NULL) != PS_OK) {
        return NULL;
    }
    return cluster;
}

/* Whether the bytes describe a node of this name. */
static bool check_kind(const ps_catalogue *catalogue, const char *name, const uint8_t *data,
                       size_t size)
{
    ps_error err = {0};
    ps_cluster *cluster = NULL;
    const ps_cluster_options options = {
        .csv = (const char *)data, .csv_bytes = size, .csv_name = "fuzz"};
    const ps_code code = ps_cluster_create(catalogue, name, 8, &options, &cluster, &err);
    if (code != PS_OK) {
        fuzz_require(err.code == code && err.message[0] != '\0' && cluster == NULL);
        return false;
    }
    check_cluster(catalogue, cluster, data, size);
    ps_cluster_destroy(cluster);
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const ps_catalogue *catalogue = shared_catalogue();
    const ps_cluster *cluster = catalogue != NULL ? shared_cluster(catalogue) : NULL;
    if (cluster == NULL) {
        return 0;
    }
    const bool is_new = check_kind(catalogue, "fuzz", data, size);
    const bool is_changed = check_kind(catalogue, "dgx-1-v100-32", data, size);
    if (!is_new || !is_changed) {
        check_cluster(catalogue, cluster, data, size);
    }
    return 0;
}
