/* SPDX-License-Identifier: MIT
 *
 * What a launch decides: which GPU is which rank, and what ranks reach of
 * their host's memory when no threads are bound.
 */
#include "cluster_scene.h"

#include <string.h>

static const char csv[] = "node,quantity,value,unit,origin\n"
                          "four,like,dgx-a100-80,,given: test\n"
                          "four,gpus,4,,given: test\n"
                          "four,sockets,4,,given: test\n"
                          "four,cores,8,,given: test\n"
                          "four,core-stream,2,GB/s,given: test\n"
                          "four,host-stream,40,GB/s,given: test\n"
                          "four,unbound-share,0.9,,given: test\n"
                          "four,unbound-crowding,0.8,,given: test\n";

static ps_cluster *launch(uint32_t gpus, bool is_unbound, bool is_cyclic)
{
    const ps_cluster_options options = {
        .csv = csv, .csv_bytes = sizeof csv - 1, .is_unbound = is_unbound, .is_cyclic = is_cyclic};
    return make_with("four", gpus, &options);
}

static bool crosses(const ps_cluster *cluster, const ps_group *group, const char *name)
{
    ps_error err = {0};
    ps_crossing path[64];
    uint32_t count = 0;
    assert_ok(&err, ps_cluster_path(cluster, PS_TRAFFIC_RING, group, path, 64, &count, &err));
    for (uint32_t i = 0; i < count; i++) {
        if (strcmp(ps_cluster_link_at(cluster, path[i].link).name, name) == 0) {
            return true;
        }
    }
    return false;
}

static uint64_t rate_of(const ps_cluster *cluster, const char *name)
{
    for (uint32_t i = 0; i < ps_cluster_link_count(cluster); i++) {
        const ps_cluster_link link = ps_cluster_link_at(cluster, i);
        if (strcmp(link.name, name) == 0) {
            return link.bytes_per_s;
        }
    }
    return 0;
}

/* Neighbours that node by node sit in one node are dealt to two; every other rank is in one then. */
static void ranks_are_dealt_over_nodes(void **state)
{
    (void)state;
    static const uint32_t pair[2] = {2, 3}, others[4] = {7, 3, 5, 1};
    ps_error err = {0};
    ps_group_place at;
    ps_cluster *block = launch(8, false, false), *cyclic = launch(8, false, true);
    for (uint32_t rank = 0; rank < 8; rank++) {
        assert_int_equal(ps_cluster_node(block, rank), rank / 4);
        assert_int_equal(ps_cluster_local(block, rank), rank % 4);
        assert_int_equal(ps_cluster_node(cyclic, rank), rank % 2);
        assert_int_equal(ps_cluster_local(cyclic, rank), rank / 2);
    }
    const ps_group neighbours = {pair, 2}, every_other = {others, 4};
    assert_ok(&err, ps_cluster_place(block, &neighbours, &at, &err));
    assert_int_equal(at.nodes, 1);
    assert_ok(&err, ps_cluster_place(block, &every_other, &at, &err));
    assert_int_equal(at.nodes, 2);
    assert_ok(&err, ps_cluster_place(cyclic, &neighbours, &at, &err));
    assert_int_equal(at.nodes, 2);
    assert_int_equal(at.least_per_node, 1);
    assert_ok(&err, ps_cluster_place(cyclic, &every_other, &at, &err));
    assert_int_equal(at.nodes, 1);
    assert_true(crosses(cyclic, &neighbours, "node0.gpu1.fabric.out"));
    assert_true(crosses(cyclic, &neighbours, "node1.gpu1.fabric.out"));
    assert_true(crosses(cyclic, &neighbours, "node1.network.out"));
    assert_false(crosses(cyclic, &every_other, "node0.gpu0.fabric.out"));
    assert_false(crosses(cyclic, &every_other, "node1.network.out"));
    ps_cluster_destroy(block);
    ps_cluster_destroy(cyclic);
}

static void a_rank_twice_is_refused_by_its_number(void **state)
{
    (void)state;
    static const uint32_t twice[3] = {6, 0, 6};
    ps_error err = {0};
    ps_group_place at;
    ps_cluster *cluster = launch(8, false, true);
    assert_int_equal(ps_cluster_place(cluster, &(ps_group){twice, 3}, &at, &err), PS_USAGE);
    assert_string_equal(err.message, "a group has rank 6 twice");
    ps_cluster_destroy(cluster);
}

/* Four tensors that choose among four sockets: the fullest has 2.125, 544 / 256, by counting all
 * ways; eight: 3.5380859375. */
static void unbound_ranks_share_one_pool(void **state)
{
    (void)state;
    static const struct {
        uint32_t gpus;
        uint64_t pool, pinned; /* MB/s */
    } cases[] = {{1, 144000, 75294}, {2, 115200, 90444}, {3, 103680, 98703}, {4, 92160, 92160}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ps_cluster *cluster = launch(cases[i].gpus, true, false);
        assert_int_equal(rate_of(cluster, "node0.memory0") / 1000000, cases[i].pool);
        assert_int_equal(rate_of(cluster, "node0.memory0.pinned") / 1000000, cases[i].pinned);
        assert_int_equal(rate_of(cluster, "node0.memory1"), 0);
        assert_int_equal(rate_of(cluster, "node0.gpu0.threads"),
                         UINT64_C(64000000000) / cases[i].gpus);
        ps_cluster_destroy(cluster);
    }
    ps_cluster *bound = launch(4, false, false);
    assert_int_equal(rate_of(bound, "node0.memory3"), 40000000000);
    assert_int_equal(rate_of(bound, "node0.memory3.pinned"), 40000000000);
    assert_int_equal(rate_of(bound, "node0.gpu0.threads"), 16000000000);
    ps_cluster_destroy(bound);
}

static void unbound_ranks_need_figures(void **state)
{
    (void)state;
    ps_error err = {0};
    ps_cluster *out = NULL;
    const ps_cluster_options options = {.is_unbound = true};
    assert_int_equal(ps_cluster_create(catalogue, "dgx-a100-80", 8, &options, &out, &err),
                     PS_USAGE);
    assert_null(out);
    assert_string_equal(err.message, "nothing is known of ranks that are not bound on dgx-a100-80 "
                                     "(unbound-share, unbound-crowding)");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranks_are_dealt_over_nodes),
        cmocka_unit_test(a_rank_twice_is_refused_by_its_number),
        cmocka_unit_test(unbound_ranks_share_one_pool),
        cmocka_unit_test(unbound_ranks_need_figures),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
