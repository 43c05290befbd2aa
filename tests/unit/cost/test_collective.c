/* SPDX-License-Identifier: MIT
 *
 * Times of collectives against closed forms, and what any of them must hold:
 * longer with more bytes.
 */
#include "collective_support.h"

#include "base/memory.h"

static void nothing_to_send_takes_no_time(void **state)
{
    (void)state;
    scene at = scene_make("dgx-a100-80", 8, NULL);
    for (int kind = PS_COLLECTIVE_ALL_REDUCE; kind < PS_COLLECTIVE_SEND; kind++) {
        const ps_collective_call alone = call_of(&at, (ps_collective_op)kind, 1, 1, 1 << 20);
        const ps_collective_call empty = call_of(&at, (ps_collective_op)kind, 8, 1, 0);
        assert_int_equal(time_of(&at, &alone).dur_ns, 0);
        assert_int_equal(time_of(&at, &alone).wire_bytes, 0);
        assert_int_equal(time_of(&at, &empty).dur_ns, 0);
    }
    scene_end(&at);
}

static void bus_bytes_are_those_of_nccl_tests(void **state)
{
    (void)state;
    assert_int_equal(ps_collective_bus_bytes(PS_COLLECTIVE_ALL_REDUCE, 800, 8), 1400);
    assert_int_equal(ps_collective_bus_bytes(PS_COLLECTIVE_ALL_GATHER, 800, 8), 700);
    assert_int_equal(ps_collective_bus_bytes(PS_COLLECTIVE_REDUCE_SCATTER, 800, 8), 700);
    assert_int_equal(ps_collective_bus_bytes(PS_COLLECTIVE_ALL_TO_ALL, 800, 8), 700);
    assert_int_equal(ps_collective_bus_bytes(PS_COLLECTIVE_BROADCAST, 800, 8), 800);
    assert_int_equal(ps_collective_bus_bytes(PS_COLLECTIVE_SEND, 800, 2), 800);
    assert_int_equal(ps_collective_bus_bytes(PS_COLLECTIVE_REDUCE, 800, 1), 0);
}

/* 300 GB/s of links; round figures make times that can be told by hand. */
static const char round_machine[] = "machine,quantity,value,unit,origin\n"
                                    "round,nccl,2.30,,given: round\n"
                                    "round,channels,10,,given: round\n"
                                    "round,bus-rate,240,GB/s,given: round\n"
                                    "round,base-latency,10,us,measured: round\n"
                                    "round,simple-hop,3,us,measured: round\n"
                                    "round,ll128-hop,2,us,measured: round\n"
                                    "round,link-share,0.5,,measured: round\n"
                                    "round,ll128-share,0.8,,measured: round\n"
                                    "round,copy-rate,500,GB/s,measured: round\n";

static scene round_scene(uint32_t gpus)
{
    const ps_collective_options options = {
        .csv = round_machine, .csv_bytes = sizeof round_machine - 1, .machine = "round"};
    return scene_make("dgx-a100-80", gpus, &options);
}

static ps_ns forced(const scene *at, ps_collective_call call, ps_collective_algorithm algorithm,
                    ps_collective_protocol protocol)
{
    call.algorithm = algorithm;
    call.protocol = protocol;
    const ps_collective_result got = time_of(at, &call);
    assert_int_equal(got.algorithm, algorithm);
    assert_int_equal(got.protocol, protocol);
    return got.dur_ns;
}

static void closed_forms_of_a_round_machine(void **state)
{
    (void)state;
    scene at = round_scene(8);
    /* 4 ranks, 600 MB. Ring: 6 steps; 900 MB at 150 GB/s are 6 ms; last copy 150 MB at 500 GB/s */
    ps_collective_call call = call_of(&at, PS_COLLECTIVE_ALL_REDUCE, 4, 1, 600000000);
    assert_int_equal(forced(&at, call, PS_COLLECTIVE_BY_RING, PS_COLLECTIVE_SIMPLE),
                     10000 + 6 * 3000 + 6000000 + 300000);
    /* LL128: 120 GB/s; chunks 19200 x 40 of 768000 bytes: 782 rounds, 15014400 bytes a channel at
     * 20 GB/s are less than the step's 150 MB at 120 GB/s */
    assert_int_equal(forced(&at, call, PS_COLLECTIVE_BY_RING, PS_COLLECTIVE_LL128),
                     10000 + 6 * 2000 + 7500000 + 300000);
    /* 4000 bytes are one chunk on one channel, 960 ns a step, whatever the rate of all together */
    call.bytes = 4000;
    assert_int_equal(forced(&at, call, PS_COLLECTIVE_BY_RING, PS_COLLECTIVE_LL128),
                     10000 + 6 * 2000 + 6 * 960 + 2);
    /* tree inside a node: 2 x 3 hops, twice the bytes at 0.92, correction of 2^23 x 64 and more: 1 */
    call.bytes = UINT64_C(690000000);
    assert_int_equal(forced(&at, call, PS_COLLECTIVE_BY_TREE, PS_COLLECTIVE_SIMPLE),
                     10000 + 6 * 3000 + 10000000);
    call = call_of(&at, PS_COLLECTIVE_ALL_GATHER, 4, 1, 600000000);
    assert_int_equal(forced(&at, call, PS_COLLECTIVE_BY_RING, PS_COLLECTIVE_SIMPLE),
                     10000 + 3 * 3000 + 3000000 + 300000);
    /* two more ranks wait for 10 chunks of 512 KiB each to pass */
    call = call_of(&at, PS_COLLECTIVE_BROADCAST, 4, 1, 600000000);
    assert_int_equal(forced(&at, call, PS_COLLECTIVE_BY_RING, PS_COLLECTIVE_SIMPLE),
                     10000 + 3 * 3000 + 4000000 + 2 * 34953);
    call = call_of(&at, PS_COLLECTIVE_ALL_TO_ALL, 4, 1, 600000000);
    assert_int_equal(time_of(&at, &call).dur_ns, 10000 + 3 * 3000 + 3000000);
    call = call_of(&at, PS_COLLECTIVE_SEND, 2, 1, 600000000);
    assert_int_equal(time_of(&at, &call).dur_ns, 10000 + 3000 + 4000000);
    assert_int_equal(time_of(&at, &call).basis, PS_BASIS_ANALYTIC);
    scene_end(&at);
}

static void nodes_meet_at_the_ports(void **state)
{
    (void)state;
    scene at = round_scene(16);
    /* 8 x 23.5 GB/s are more than the links' 150: they bind; 28 of 30 steps inside, 2 of 14 us and
     * twice 1.3 us of the network */
    ps_collective_call call = call_of(&at, PS_COLLECTIVE_ALL_REDUCE, 16, 1, 800000000);
    assert_int_equal(forced(&at, call, PS_COLLECTIVE_BY_RING, PS_COLLECTIVE_SIMPLE),
                     10000 + 28 * 3000 + 2 * (14000 + 2600) + 10000000 + 100000);
    /* one rank a node: one port of 23.5 GB/s */
    call = call_of(&at, PS_COLLECTIVE_ALL_REDUCE, 2, 8, 235000000);
    assert_int_equal(forced(&at, call, PS_COLLECTIVE_BY_RING, PS_COLLECTIVE_SIMPLE),
                     10000 + 2 * (14000 + 2600) + 10000000 + 235000);
    /* each of 16 sends 15 parts of 50 MB, 8 of them to the other node, which takes all 8 ranks'
     * through 188 GB/s: at most 5 bytes of each byte sent, so 37.6 GB/s */
    call = call_of(&at, PS_COLLECTIVE_ALL_TO_ALL, 16, 1, 800000000);
    assert_int_equal(time_of(&at, &call).rate_bytes_per_s, 37600000000);
    scene_end(&at);
}

/* More bytes never take less, by any one way. */
static void time_grows_with_bytes(void **state)
{
    (void)state;
    static const char *const kinds[] = {"dgx-a100-80", "dgx-1-v100-32", "dgx-h100",
                                        "dgx-b200",    "a100-pcie-8",   "rtx4090-8"};
    for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++) {
        scene at = scene_make(kinds[k], 8, NULL);
        for (int way = 0; way < PS_COLLECTIVE_ALGORITHM_COUNT * PS_COLLECTIVE_PROTOCOL_COUNT;
             way++) {
            ps_ns last = 0;
            for (uint64_t bytes = 1; bytes < UINT64_C(1) << 36; bytes += bytes / 3 + 1) {
                ps_collective_call call = call_of(&at, PS_COLLECTIVE_ALL_REDUCE, 7, 1, bytes);
                ps_collective_result got;
                call.algorithm = (ps_collective_algorithm)(way / PS_COLLECTIVE_PROTOCOL_COUNT);
                call.protocol = (ps_collective_protocol)(way % PS_COLLECTIVE_PROTOCOL_COUNT);
                if (call.algorithm ==
                        PS_COLLECTIVE_BY_TREE || /* NCCL's corrections go up and down */
                    ps_collective_time(at.model, &call, &got, NULL) != PS_OK) {
                    break;
                }
                assert_true(got.dur_ns >= last);
                last = got.dur_ns;
            }
        }
        scene_end(&at);
    }
}

static void refused(const scene *at, ps_collective_call call, const char *message)
{
    ps_error err = {0};
    ps_collective_result got;
    assert_int_equal(ps_collective_time(at->model, &call, &got, &err), PS_USAGE);
    if (strstr(err.message, message) == NULL) {
        fail_msg("%s", err.message);
    }
}

static void what_cannot_run_is_refused(void **state)
{
    (void)state;
    scene at = scene_make("dgx-a100-80", 8, NULL);
    ps_collective_call call = call_of(&at, PS_COLLECTIVE_NONE, 8, 1, 1);
    refused(&at, call, "of no kind");
    call = call_of(&at, PS_COLLECTIVE_SEND, 3, 1, 1);
    refused(&at, call, "between two");
    call = call_of(&at, PS_COLLECTIVE_ALL_REDUCE, 8, 1, (UINT64_C(1) << 56) + 1);
    refused(&at, call, "2^56");
    call.bytes = 1;
    call.algorithm = PS_COLLECTIVE_BY_NVLS;
    refused(&at, call, "does not go by nvls, any");
    call.place.nodes = 0;
    refused(&at, call, "0 nodes");
    call = call_of(&at, PS_COLLECTIVE_ALL_GATHER, 8, 1, 1);
    call.algorithm = PS_COLLECTIVE_BY_TREE;
    refused(&at, call, "all-gather among these ranks does not go by tree");
    scene_end(&at);
    at = scene_make("a100-pcie-8", 8, NULL);
    call = call_of(&at, PS_COLLECTIVE_ALL_REDUCE, 8, 1, 1);
    call.protocol = PS_COLLECTIVE_LL128;
    refused(&at, call, "does not go by any, ll128");
    scene_end(&at);
}

static void bad_figures_are_refused(void **state)
{
    (void)state;
    static const char bad[] = "machine,quantity,value,unit,origin\nm,link-share,1.5,,given: x\n";
    static const char few[] = "machine,quantity,value,unit,origin\nm,nccl,2.30,,given: x\n";
    static const struct {
        ps_collective_options options;
        ps_code code;
        const char *message;
    } cases[] = {
        {{.machine = "no such"}, PS_NOT_FOUND, "no machine of collectives is called \"no such\""},
        {{.nccl = "1.0"}, PS_NOT_FOUND, "no release of NCCL is called \"1.0\""},
        {{.csv = bad, .csv_bytes = sizeof bad - 1, .csv_name = "b.csv"},
         PS_BAD_INPUT,
         "b.csv:2: link-share"},
        {{.csv = few, .csv_bytes = sizeof few - 1, .machine = "m"},
         PS_NOT_FOUND,
         "m states no channels"},
    };
    scene at = scene_make("dgx-a100-80", 8, NULL);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ps_error err = {0};
        ps_collective_model *model = NULL;
        assert_int_equal(
            ps_collective_create(at.catalogue, at.cluster, &cases[i].options, &model, &err),
            cases[i].code);
        assert_null(model);
        if (strstr(err.message, cases[i].message) == NULL) {
            fail_msg("%s", err.message);
        }
    }
    scene_end(&at);
}

static void out_of_memory_is_survived(void **state)
{
    (void)state;
    scene at = scene_make("dgx-a100-80", 8, NULL);
    ps_code code = PS_NOMEM;
    for (unsigned long n = 1; code == PS_NOMEM; n++) {
        ps_error err = {0};
        ps_collective_model *model = NULL;
        ps_memory_fail_nth(n);
        code = ps_collective_create(at.catalogue, at.cluster, NULL, &model, &err);
        ps_memory_fail_nth(0);
        assert_true(code == PS_OK || model == NULL);
        ps_collective_destroy(model);
    }
    assert_int_equal(code, PS_OK);
    scene_end(&at);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_to_send_takes_no_time),
        cmocka_unit_test(bus_bytes_are_those_of_nccl_tests),
        cmocka_unit_test(closed_forms_of_a_round_machine),
        cmocka_unit_test(nodes_meet_at_the_ports),
        cmocka_unit_test(time_grows_with_bytes),
        cmocka_unit_test(what_cannot_run_is_refused),
        cmocka_unit_test(bad_figures_are_refused),
        cmocka_unit_test(out_of_memory_is_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
