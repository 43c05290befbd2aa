/* SPDX-License-Identifier: MIT
 *
 * Kinds of nodes: the built-in ones, the one that a GPU's name means, user's
 * rows, and everything that is refused.
 */
#include "cluster_scene.h"

#include <string.h>

#include "base/memory.h"
#include "cluster/builtin.h"

static void refused(const char *name, uint32_t gpus, const char *csv, ps_code code,
                    const char *message)
{
    ps_error err = {0};
    ps_cluster *out = NULL;
    const ps_cluster_options options = {
        .csv = csv, .csv_bytes = csv != NULL ? strlen(csv) : 0, .csv_name = "mine.csv"};
    assert_int_equal(ps_cluster_create(catalogue, name, gpus, &options, &out, &err), code);
    assert_null(out);
    if (strstr(err.message, message) == NULL) {
        fail_msg("%s", err.message);
    }
}

/* Every name of the built-in file builds, alone and, with a network, twice. */
static void every_kind_builds(void **state)
{
    (void)state;
    const size_t count = ps_cluster_files[0].count;
    char *text = calloc(count + 1, 1); /* the built-in text is not terminated */
    assert_non_null(text);
    memcpy(text, ps_cluster_files[0].bytes, count);
    const char *end = text + count;
    char last[96] = "node";
    size_t kinds = 0;
    for (const char *line = text; line < end; line = strchr(line, '\n') + 1) {
        char name[96] = "";
        (void)snprintf(name, sizeof name, "%.*s", (int)strcspn(line, ",\n"), line);
        if (line[0] == '#' || strcmp(name, last) == 0 || strncmp(name, "family-", 7) == 0 ||
            strcmp(name, "generic-pcie") == 0) {
            continue;
        }
        (void)snprintf(last, sizeof last, "%s", name);
        ps_cluster *one = make(name, 1);
        const ps_cluster_info *info = ps_cluster_about(one);
        assert_string_equal(info->kind, name);
        assert_int_equal(info->gpus_per_node, 1);
        for (uint32_t i = 0; i < ps_cluster_link_count(one); i++) {
            assert_true(ps_cluster_link_at(one, i).bytes_per_s > 0);
        }
        ps_cluster_destroy(one);
        kinds++;
    }
    free(text);
    assert_true(kinds >= 30);
}

static void ranks_go_node_by_node(void **state)
{
    (void)state;
    ps_cluster *cluster = make("dgx-a100-80", 24);
    const ps_cluster_info *info = ps_cluster_about(cluster);
    assert_int_equal(info->nodes, 3);
    assert_int_equal(info->gpus_per_node, 8);
    assert_int_equal(info->fabric, PS_FABRIC_NVSWITCH);
    assert_int_equal(info->basis, PS_BASIS_ANALYTIC);
    assert_int_equal(ps_cluster_node(cluster, 17), 2);
    assert_int_equal(ps_cluster_local(cluster, 17), 1);
    /* 8 GPUs x 6, 4 switches x 2, 2 sockets x 2, disks read and written, network out and in */
    assert_int_equal(ps_cluster_link_count(cluster), 3 * (48 + 8 + 4 + 2 + 2));
    assert_string_equal(ps_cluster_link_at(cluster, 0).name, "node0.gpu0.fabric.out");
    assert_int_equal(ps_cluster_link_at(cluster, 0).bytes_per_s, 300000000000);
    assert_string_equal(ps_cluster_link_at(cluster, 191).name, "node2.network.in");
    ps_cluster_destroy(cluster);
}

static void a_gpu_means_its_default_kind(void **state)
{
    (void)state;
    static const struct {
        const char *gpu;
        uint32_t gpus;
        const char *kind;
    } cases[] = {{"NVIDIA A100-SXM4-80GB", 8, "dgx-a100-80"},
                 {"H100", 16, "dgx-h100"},
                 {"RTX-4090", 1, "rtx4090-2"},
                 {"RTX-4090", 3, "rtx4090-4"},
                 {"RTX-4090", 16, "rtx4090-8"},
                 {"V100-SXM2-32", 4, "dgx-1-v100-32"},
                 {"RTX-3060", 2, "generic-pcie"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ps_cluster *cluster = make(cases[i].gpu, cases[i].gpus);
        assert_string_equal(ps_cluster_about(cluster)->kind, cases[i].kind);
        assert_int_equal(ps_cluster_about(cluster)->basis, PS_BASIS_GUESSED);
        ps_cluster_destroy(cluster);
    }
}

static void users_rows_add_and_override(void **state)
{
    (void)state;
    static const char csv[] = "node,quantity,value,unit,origin\n"
                              "lab,like,dgx-a100-80,,given: the box in the lab\n"
                              "lab,gpus,4,,given: half of it\n"
                              "dgx-a100-80,nics,1,,given: one port works\n";
    ps_error err = {0};
    ps_cluster *cluster = NULL;
    const ps_cluster_options options = {.csv = csv, .csv_bytes = sizeof csv - 1};
    assert_ok(&err, ps_cluster_create(catalogue, "Lab", 8, &options, &cluster, &err));
    assert_int_equal(ps_cluster_about(cluster)->nodes, 2);
    assert_int_equal(ps_cluster_about(cluster)->nics, 1);
    ps_cluster_destroy(cluster);
}

/* 64 cores of 20 GB/s for the four GPUs of a socket: 16 each, though memory of 170 is all they get together. */
static void threads_of_a_rank_have_its_cores(void **state)
{
    (void)state;
    static const struct {
        uint32_t cores, gpus;
        uint64_t expected;
    } cases[] = {{0, 8, 320}, {0, 1, 1280}, {0, 2, 640}, {1, 8, 20}, {16, 8, 320}, {60, 1, 1200}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ps_error err = {0};
        ps_cluster *cluster = NULL;
        const ps_cluster_options options = {.rank_cores = cases[i].cores};
        assert_ok(&err, ps_cluster_create(catalogue, "dgx-a100-80", cases[i].gpus, &options,
                                          &cluster, &err));
        assert_int_equal(ps_cluster_host(cluster, 0).threads_bytes_per_s,
                         cases[i].expected * UINT64_C(1000000000));
        assert_int_equal(ps_cluster_host(cluster, 0).node_bytes, UINT64_C(2048) << 30);
        ps_cluster_destroy(cluster);
    }
}

static void threads_that_there_are_not_are_refused(void **state)
{
    static const char csv[] = "node,quantity,value,unit,origin\n"
                              "bare,gpu,T4,,given: x\nbare,gpus,1,,given: x\n"
                              "bare,fabric,pcie,,given: x\nbare,cpu,amd,,given: x\n"
                              "bare,host-memory,DDR4-3200-2ch,,given: x\n"
                              "bare,peer-access,no,,given: x\nbare,collectives,pcie,,given: x\n";
    const ps_cluster_options many = {.rank_cores = 17};
    const ps_cluster_options some = {.csv = csv, .csv_bytes = sizeof csv - 1, .rank_cores = 2};
    ps_error err = {0};
    ps_cluster *out = NULL;
    (void)state;
    assert_int_equal(ps_cluster_create(catalogue, "dgx-a100-80", 8, &many, &out, &err), PS_USAGE);
    assert_non_null(strstr(err.message, "17 threads for each of the 4 ranks of a socket"));
    assert_int_equal(ps_cluster_create(catalogue, "bare", 1, &some, &out, &err), PS_USAGE);
    assert_non_null(strstr(err.message, "nothing is known of the cores"));
    assert_null(out);
}

#define HEADER "node,quantity,value,unit,origin\n"

static void what_cannot_be_is_refused(void **state)
{
    (void)state;
    refused("dgx-a100", 8, NULL, PS_NOT_FOUND, "did you mean dgx-a100-");
    refused("family-hgx", 8, NULL, PS_NOT_FOUND, "states no gpu");
    refused("RTX-4080-TI", 1, NULL, PS_NOT_FOUND, "did you mean");
    refused("", 1, NULL, PS_NOT_FOUND, "not a name");
    refused("dgx-a100-80", 0, NULL, PS_USAGE, "not 0");
    refused("dgx-a100-80", 12, NULL, PS_USAGE, "not a multiple of the 8");
    refused("rtx4090-2", 4, NULL, PS_USAGE, "no network");
    refused("generic-pcie", 1, NULL, PS_NOT_FOUND, "states no gpu");
    refused("a", 1, HEADER "a,gpu,T4,,given: x\na,gpus,0,,given: x\n", PS_BAD_INPUT,
            "mine.csv:3: gpus is not a count");
    refused("a", 1, HEADER "a,like,b,,given: x\n", PS_BAD_INPUT, "which nothing states");
    refused("a", 1, HEADER "a,like,b,,given: x\nb,like,a,,given: x\n", PS_BAD_INPUT, "leads back");
    refused("a", 1, HEADER "a,like,rtx4090-2,,given: x\na,fabric,rope,,given: x\n", PS_BAD_INPUT,
            "use nvswitch, nvlink or pcie");
    refused("a", 1, HEADER "a,like,rtx4090-2,,given: x\na,fabric,nvswitch,,given: x\n",
            PS_BAD_INPUT, "no NVLink");
    refused("a", 1, HEADER "a,like,rtx4090-2,,given: x\na,peer-access,maybe,,given: x\n",
            PS_BAD_INPUT, "use yes or no");
    refused("a", 1, HEADER "a,like,rtx3090-2-nvlink,,given: x\na,links-1-2,1,,given: x\n",
            PS_BAD_INPUT, "has 2 GPUs, but links-1-2");
    refused("a", 1, HEADER "a,like,a100-40-numa-4,,given: x\na,port-2,1,,given: x\n", PS_BAD_INPUT,
            "has 2 network ports and 4 GPUs, but port-2 beside GPU 1");
    refused("a", 1, HEADER "a,like,a100-40-numa-4,,given: x\na,port-1,4,,given: x\n", PS_BAD_INPUT,
            "port-1 beside GPU 4");
    refused("a", 1, HEADER "a,like,rtx4090-2,,given: x\na,host-memory,tape,,given: x\n",
            PS_NOT_FOUND, "tape");
    refused("a", 1, HEADER "a,like,rtx4090-2,,given: x\na,storage,reel,,given: x\n", PS_NOT_FOUND,
            "reel");
}

/* Each allocation in turn fails; nothing leaks, nothing is half made. */
static void out_of_memory_is_survived(void **state)
{
    (void)state;
    ps_code code = PS_NOMEM;
    for (unsigned long n = 1; code == PS_NOMEM; n++) {
        ps_error err = {0};
        ps_cluster *out = NULL;
        ps_memory_fail_nth(n);
        code = ps_cluster_create(catalogue, "dgx-a100-80", 16, NULL, &out, &err);
        ps_memory_fail_nth(0);
        assert_true(code == PS_OK || out == NULL);
        ps_cluster_destroy(out);
    }
    assert_int_equal(code, PS_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_builds),
        cmocka_unit_test(ranks_go_node_by_node),
        cmocka_unit_test(a_gpu_means_its_default_kind),
        cmocka_unit_test(users_rows_add_and_override),
        cmocka_unit_test(threads_of_a_rank_have_its_cores),
        cmocka_unit_test(threads_that_there_are_not_are_refused),
        cmocka_unit_test(what_cannot_be_is_refused),
        cmocka_unit_test(out_of_memory_is_survived),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
