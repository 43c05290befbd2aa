/* SPDX-License-Identifier: MIT
 *
 * Where a group lies and which links its traffic crosses, against hand counts:
 * rings in DGX-1's cube mesh, switches and host memory on PCIe, network ports.
 */
#include "cluster_scene.h"

#include <string.h>

enum { MAX_LINKS = 512 };

static ps_group_place place(const ps_cluster *cluster, const uint32_t *rank, uint32_t count)
{
    ps_error err = {0};
    ps_group_place out;
    const ps_group group = {rank, count};
    assert_ok(&err, ps_cluster_place(cluster, &group, &out, &err));
    return out;
}

/* Crossings of one link in a group's path; 0 when it is not crossed. */
static uint32_t crossings(const ps_cluster *cluster, ps_traffic traffic, const uint32_t *rank,
                          uint32_t count, const char *name)
{
    ps_error err = {0};
    ps_crossing path[MAX_LINKS];
    uint32_t length = 0;
    const ps_group group = {rank, count};
    assert_ok(&err, ps_cluster_path(cluster, traffic, &group, path, MAX_LINKS, &length, &err));
    for (uint32_t i = 0; i < length; i++) {
        if (strcmp(ps_cluster_link_at(cluster, path[i].link).name, name) == 0) {
            return path[i].times;
        }
    }
    return 0;
}

static const uint32_t first[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

static void rings_of_the_cube_mesh(void **state)
{
    (void)state;
    static const uint32_t rings[9] = {0, 1, 1, 2, 4, 2, 2, 4, 6};
    ps_cluster *cluster = make("dgx-1-v100-32", 8);
    for (uint32_t n = 2; n <= 8; n++) {
        const ps_group_place at = place(cluster, first, n);
        assert_int_equal(at.fabric, PS_FABRIC_NVLINK);
        assert_int_equal(at.rings, rings[n]);
        assert_int_equal(at.is_forwarded, n == 5); /* GPU 4 has links to GPU 0 alone */
        assert_int_equal(at.fabric_bytes_per_s, 25000000000 * rings[n]);
    }
    const uint32_t joined_twice[2] = {0, 3}, apart[2] = {0, 5}, other_half[4] = {4, 5, 6, 7};
    assert_int_equal(place(cluster, joined_twice, 2).rings, 2);
    assert_int_equal(place(cluster, apart, 2).fabric, PS_FABRIC_PCIE);
    assert_int_equal(place(cluster, other_half, 4).rings, 4);
    ps_cluster_destroy(cluster);
}

/* Every pair joined once: seven links a GPU make three cycles. */
static void rings_of_a_full_mesh(void **state)
{
    (void)state;
    ps_cluster *cluster = make("mi300x-8", 8);
    const ps_group_place all = place(cluster, first, 8);
    assert_int_equal(all.rings, 6);
    assert_int_equal(all.direct_bytes_per_s, 448000000000); /* a link to each of seven */
    assert_int_equal(place(cluster, first, 2).rings, 1);
    assert_int_equal(place(cluster, first, 3).rings, 2);
    assert_int_equal(place(cluster, first, 4).rings, 2);
    ps_cluster_destroy(cluster);
}

static void an_nvswitch_loads_two_links_a_rank(void **state)
{
    (void)state;
    const uint32_t group[3] = {6, 1, 3};
    ps_cluster *cluster = make("dgx-a100-80", 8);
    assert_int_equal(crossings(cluster, PS_TRAFFIC_RING, group, 3, "node0.gpu6.fabric.out"), 1);
    assert_int_equal(crossings(cluster, PS_TRAFFIC_RING, group, 3, "node0.gpu1.fabric.in"), 1);
    assert_int_equal(crossings(cluster, PS_TRAFFIC_RING, group, 3, "node0.gpu0.fabric.in"), 0);
    assert_int_equal(crossings(cluster, PS_TRAFFIC_RING, group, 3, "node0.network.out"), 0);
    assert_int_equal(crossings(cluster, PS_TRAFFIC_RING, group, 1, "node0.gpu6.fabric.out"), 0);
    assert_int_equal(crossings(cluster, PS_TRAFFIC_SEND, group, 2, "node0.gpu6.fabric.out"), 1);
    assert_int_equal(crossings(cluster, PS_TRAFFIC_SEND, group, 2, "node0.gpu6.fabric.in"), 0);
    assert_int_equal(crossings(cluster, PS_TRAFFIC_SEND, group, 2, "node0.gpu1.fabric.in"), 1);
    assert_int_equal(crossings(cluster, PS_TRAFFIC_UPLOAD, group, 1, "node0.switch3.down"), 1);
    assert_int_equal(crossings(cluster, PS_TRAFFIC_UPLOAD, group, 1, "node0.gpu6.slot.in"), 1);
    assert_int_equal(crossings(cluster, PS_TRAFFIC_OFFLOAD, group, 1, "node0.memory1"), 1);
    assert_int_equal(crossings(cluster, PS_TRAFFIC_OFFLOAD, group, 1, "node0.memory0"), 0);
    assert_int_equal(crossings(cluster, PS_TRAFFIC_STORAGE_READ, group, 1, "node0.storage.read"),
                     1);
    assert_int_equal(crossings(cluster, PS_TRAFFIC_STORAGE_READ, group, 1, "node0.storage.write"),
                     0);
    assert_int_equal(crossings(cluster, PS_TRAFFIC_STORAGE_WRITE, group, 1, "node0.storage.write"),
                     1);
    assert_int_equal(crossings(cluster, PS_TRAFFIC_STORAGE_WRITE, group, 1, "node0.memory1"), 1);
    assert_int_equal(crossings(cluster, PS_TRAFFIC_STORAGE_WRITE, group, 1, "node0.gpu6.slot.in"),
                     0);
    ps_cluster_destroy(cluster);
}

/* Disks are one; a node that has none is crossed nowhere. */
static void storage_is_as_fast_as_all_disks(void **state)
{
    (void)state;
    ps_cluster *with = make("dgx-a100-80", 16), *without = make("dgx-1-v100-16", 8);
    const ps_rank_host of = ps_cluster_host(with, 9), none = ps_cluster_host(without, 0);
    const uint32_t rank = 9, other = 0;
    assert_true(of.read_bytes_per_s == 8 * UINT64_C(6500000000));
    assert_true(of.write_bytes_per_s == 8 * UINT64_C(4500000000));
    assert_int_equal(crossings(with, PS_TRAFFIC_STORAGE_READ, &rank, 1, "node1.storage.read"), 1);
    assert_true(none.read_bytes_per_s == 0 && none.write_bytes_per_s == 0);
    assert_int_equal(crossings(without, PS_TRAFFIC_STORAGE_READ, &other, 1, "node0.memory0"), 0);
    ps_cluster_destroy(with);
    ps_cluster_destroy(without);
}

static void switches_share_their_uplink(void **state)
{
    (void)state;
    ps_cluster *cluster = make("a100-pcie-8", 8);
    /* with peer access a ring leaves a switch once; within one it does not */
    assert_int_equal(crossings(cluster, PS_TRAFFIC_RING, first, 2, "node0.switch0.up"), 0);
    assert_int_equal(crossings(cluster, PS_TRAFFIC_RING, first, 4, "node0.switch0.up"), 1);
    /* all pairs: two inside, six outside, 2 x 6 / 7 of what one sends, rounded up */
    assert_int_equal(crossings(cluster, PS_TRAFFIC_DIRECT, first, 8, "node0.switch0.up"), 2);
    assert_int_equal(place(cluster, first, 8).fabric_bytes_per_s, 25000000000);
    ps_cluster_destroy(cluster);
}

static void without_peer_access_all_goes_through_the_host(void **state)
{
    (void)state;
    ps_cluster *cluster = make("rtx4090-8", 8);
    assert_int_equal(crossings(cluster, PS_TRAFFIC_RING, first, 8, "node0.memory0"), 8);
    assert_int_equal(crossings(cluster, PS_TRAFFIC_SEND, first, 2, "node0.memory0"), 2);
    /* four ranks on a socket, each written and read: 170 GB/s over eight */
    assert_int_equal(place(cluster, first, 8).fabric_bytes_per_s, 21250000000);
    ps_cluster_destroy(cluster);
}

static void groups_over_nodes_share_the_ports(void **state)
{
    (void)state;
    const uint32_t same_place[2] = {3, 11};
    ps_cluster *cluster = make("a100-4xhdr", 16);
    assert_int_equal(crossings(cluster, PS_TRAFFIC_RING, first, 16, "node1.network.out"), 1);
    /* eight of sixteen, each to eight others: 64 / 15 of what one sends, rounded up */
    assert_int_equal(crossings(cluster, PS_TRAFFIC_DIRECT, first, 16, "node0.network.out"), 5);
    assert_int_equal(crossings(cluster, PS_TRAFFIC_SEND, same_place, 2, "node0.network.out"), 1);
    assert_int_equal(crossings(cluster, PS_TRAFFIC_SEND, same_place, 2, "node0.network.in"), 0);
    assert_int_equal(crossings(cluster, PS_TRAFFIC_SEND, same_place, 2, "node1.network.in"), 1);
    assert_int_equal(place(cluster, first, 16).network_bytes_per_s, 4 * UINT64_C(23500000000));
    assert_int_equal(place(cluster, same_place, 2).network_bytes_per_s, 23500000000);
    assert_int_equal(place(cluster, same_place, 2).least_per_node, 1);
    ps_cluster_destroy(cluster);
}

/* Two GPUs beside each of four ports. Rings of ranks that share no port with another of their node
 * leave it by another port than they came in, where ports do less; a lone rank's do not. */
static void rings_that_change_the_port_have_less(void **state)
{
    (void)state;
    static const char csv[] = "node,quantity,value,unit,origin\n"
                              "lab,like,dgx-a100-80,,given: a machine\n"
                              "lab,nics,4,,given: of it\n"
                              "lab,rail-change,6,GB/s,given: of a port\n";
    static const struct {
        uint32_t ranks, rank[8];
        uint32_t times;
        uint64_t rate;
    } cases[] = {{8, {0, 2, 4, 6, 8, 10, 12, 14}, 1, UINT64_C(24000000000)},
                 {4, {1, 5, 9, 13}, 1, UINT64_C(12000000000)},
                 {4, {0, 1, 8, 9}, 0, UINT64_C(47000000000)}, /* beside one port */
                 {3, {0, 4, 8}, 1, UINT64_C(12000000000)},    /* in one of the nodes */
                 {2, {3, 11}, 0, UINT64_C(23500000000)}};
    const ps_cluster_options options = {.csv = csv, .csv_bytes = sizeof csv - 1};
    ps_error err = {0};
    ps_cluster *cluster = NULL;
    assert_ok(&err, ps_cluster_create(catalogue, "lab", 16, &options, &cluster, &err));
    assert_int_equal(ps_cluster_link_count(cluster), 2 * (48 + 8 + 4 + 2 + 3));
    assert_string_equal(ps_cluster_link_at(cluster, 64).name, "node0.rail-change");
    assert_int_equal(ps_cluster_link_at(cluster, 64).bytes_per_s, UINT64_C(24000000000));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const uint32_t *rank = cases[i].rank, count = cases[i].ranks;
        const uint64_t rate = place(cluster, rank, count).network_bytes_per_s;
        const char *link = "node0.rail-change";
        assert_int_equal(crossings(cluster, PS_TRAFFIC_RING, rank, count, link), cases[i].times);
        assert_int_equal(crossings(cluster, PS_TRAFFIC_DIRECT, rank, count, link), 0);
        assert_int_equal(rate, cases[i].rate);
    }
    assert_int_equal(place(cluster, first, 16).network_bytes_per_s, 4 * UINT64_C(23500000000));
    ps_cluster_destroy(cluster);
}

/* Ports beside GPUs 3 and 1 of four. A ring with neither of them in a node has the long way, a lone
 * rank's too; rings with one of them have the ports, whichever GPU they enter beside. */
static void rings_far_from_all_ports_have_less(void **state)
{
    (void)state;
    static const char csv[] = "node,quantity,value,unit,origin\n"
                              "lab,like,a100-40-numa-4,,given: a machine\n"
                              "lab,nic,IB-EDR,,given: of it\n"
                              "lab,rail-change,2,GB/s,given: of a port\n";
    static const struct {
        uint32_t ranks, rank[8];
        uint32_t times;
        uint64_t rate;
    } cases[] = {{4, {0, 2, 4, 6}, 1, UINT64_C(4000000000)},
                 {2, {0, 4}, 1, UINT64_C(2000000000)},
                 {4, {1, 3, 5, 7}, 0, UINT64_C(23600000000)},
                 {2, {1, 5}, 0, UINT64_C(11800000000)},
                 {4, {0, 1, 4, 5}, 0, UINT64_C(23600000000)},
                 {3, {1, 3, 4}, 0, UINT64_C(2000000000)}, /* in the other node alone */
                 {8, {0, 1, 2, 3, 4, 5, 6, 7}, 0, UINT64_C(23600000000)}};
    const ps_cluster_options options = {.csv = csv, .csv_bytes = sizeof csv - 1};
    ps_error err = {0};
    ps_cluster *cluster = NULL;
    assert_ok(&err, ps_cluster_create(catalogue, "lab", 8, &options, &cluster, &err));
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const uint32_t *rank = cases[i].rank, count = cases[i].ranks;
        assert_int_equal(crossings(cluster, PS_TRAFFIC_RING, rank, count, "node0.rail-change"),
                         cases[i].times);
        assert_int_equal(place(cluster, rank, count).network_bytes_per_s, cases[i].rate);
    }
    ps_cluster_destroy(cluster);
}

static void wrong_groups_are_refused(void **state)
{
    (void)state;
    const uint32_t twice[2] = {1, 1}, outside[2] = {0, 8};
    ps_cluster *cluster = make("dgx-a100-80", 8);
    ps_crossing path[4];
    uint32_t length = 77;
    ps_group_place at;
    assert_int_equal(ps_cluster_place(cluster, &(ps_group){twice, 2}, &at, NULL), PS_USAGE);
    assert_int_equal(ps_cluster_place(cluster, &(ps_group){outside, 2}, &at, NULL), PS_USAGE);
    assert_int_equal(ps_cluster_place(cluster, &(ps_group){outside, 0}, &at, NULL), PS_USAGE);
    assert_int_equal(
        ps_cluster_path(cluster, PS_TRAFFIC_SEND, &(ps_group){first, 3}, path, 4, &length, NULL),
        PS_USAGE);
    assert_int_equal(
        ps_cluster_path(cluster, PS_TRAFFIC_RING, &(ps_group){first, 3}, path, 4, &length, NULL),
        PS_USAGE); /* six links, room for four */
    assert_int_equal(length, 77);
    ps_cluster_destroy(cluster);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rings_of_the_cube_mesh),
        cmocka_unit_test(rings_of_a_full_mesh),
        cmocka_unit_test(an_nvswitch_loads_two_links_a_rank),
        cmocka_unit_test(storage_is_as_fast_as_all_disks),
        cmocka_unit_test(switches_share_their_uplink),
        cmocka_unit_test(without_peer_access_all_goes_through_the_host),
        cmocka_unit_test(groups_over_nodes_share_the_ports),
        cmocka_unit_test(rings_that_change_the_port_have_less),
        cmocka_unit_test(rings_far_from_all_ports_have_less),
        cmocka_unit_test(wrong_groups_are_refused),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
