/* SPDX-License-Identifier: MIT
 *
 * Which algorithm and protocol are chosen: NCCL's predicted latencies as they
 * are published, and the sizes at which the choice turns, some of which
 * measured all-reduces show as a jump.
 */
#include "collective_support.h"
#include "cost/collective_parts.h"

static uint64_t predicted(const scene *at, const ps_collective_call *call,
                          ps_collective_algorithm algorithm, ps_collective_protocol protocol)
{
    uint64_t ns = 0;
    assert_true(ps_nccl_predict(at->model, call, (ps_collective_way){algorithm, protocol}, &ns));
    return ns;
}

static void worked_latencies_of_eight_gpus(void **state)
{
    (void)state;
    const ps_collective_options options = {.nccl = "2.30"};
    scene at = scene_make("dgx-a100-80", 8, &options);
    const ps_collective_call call = call_of(&at, PS_COLLECTIVE_ALL_REDUCE, 8, 1, 1);
    const ps_collective_call gather = call_of(&at, PS_COLLECTIVE_ALL_GATHER, 8, 1, 1);
    assert_int_equal(predicted(&at, &call, PS_COLLECTIVE_BY_RING, PS_COLLECTIVE_LL) / 100, 150);
    assert_int_equal(predicted(&at, &call, PS_COLLECTIVE_BY_RING, PS_COLLECTIVE_LL128) / 100, 406);
    assert_int_equal(predicted(&at, &call, PS_COLLECTIVE_BY_RING, PS_COLLECTIVE_SIMPLE) / 100, 560);
    assert_int_equal(predicted(&at, &gather, PS_COLLECTIVE_BY_RING, PS_COLLECTIVE_SIMPLE) / 100,
                     322);
    /* 6.8 + 14 x 0.6; 14 + 14 x 1.25; 8.4 + 14 x 4 */
    assert_int_equal(predicted(&at, &call, PS_COLLECTIVE_BY_TREE, PS_COLLECTIVE_LL) / 100, 152);
    assert_int_equal(predicted(&at, &call, PS_COLLECTIVE_BY_TREE, PS_COLLECTIVE_LL128) / 100, 315);
    assert_int_equal(predicted(&at, &call, PS_COLLECTIVE_BY_TREE, PS_COLLECTIVE_SIMPLE) / 100, 644);
    scene_end(&at);
}

static ps_collective_result of(const scene *at, uint32_t ranks, uint64_t mib)
{
    const ps_collective_call call = call_of(at, PS_COLLECTIVE_ALL_REDUCE, ranks, 1, mib << 20);
    return time_of(at, &call);
}

/* Between these sizes the measured times of DGX-1 turn down or flat. */
static void v100_turns_to_simple_where_it_was_seen(void **state)
{
    (void)state;
    static const struct {
        uint32_t ranks;
        uint64_t before_mib, after_mib;
    } turns[] = {{4, 4, 6}, {6, 3, 4}, {7, 8, 12}, {8, 12, 16}};
    scene at = scene_make("dgx-1-v100-32", 8, NULL);
    for (size_t i = 0; i < sizeof turns / sizeof turns[0]; i++) {
        assert_int_equal(of(&at, turns[i].ranks, turns[i].before_mib).protocol,
                         PS_COLLECTIVE_LL128);
        assert_int_equal(of(&at, turns[i].ranks, turns[i].after_mib).protocol,
                         PS_COLLECTIVE_SIMPLE);
    }
    /* five GPUs pass through one of them: not offered to LL128 */
    for (uint64_t mib = 1; mib <= 1024; mib *= 2) {
        assert_int_not_equal(of(&at, 5, mib).protocol, PS_COLLECTIVE_LL128);
    }
    scene_end(&at);
}

static void hopper_sums_in_the_switch_from_2_mib(void **state)
{
    (void)state;
    scene at = scene_make("dgx-h200", 16, NULL);
    ps_collective_call call = call_of(&at, PS_COLLECTIVE_ALL_REDUCE, 8, 1, 256 << 10);
    assert_int_equal(time_of(&at, &call).algorithm, PS_COLLECTIVE_BY_RING);
    assert_int_equal(time_of(&at, &call).protocol, PS_COLLECTIVE_LL);
    call.bytes = 2 << 20;
    assert_int_equal(time_of(&at, &call).algorithm, PS_COLLECTIVE_BY_NVLS);
    call.bytes = UINT64_C(1) << 34;
    assert_int_equal(time_of(&at, &call).algorithm, PS_COLLECTIVE_BY_NVLS);
    call = call_of(&at, PS_COLLECTIVE_ALL_GATHER, 8, 1, UINT64_C(1) << 34);
    assert_int_equal(time_of(&at, &call).algorithm, PS_COLLECTIVE_BY_RING);
    call = call_of(&at, PS_COLLECTIVE_ALL_REDUCE, 16, 1, UINT64_C(1) << 34);
    assert_int_not_equal(time_of(&at, &call).algorithm, PS_COLLECTIVE_BY_NVLS);
    call.algorithm = PS_COLLECTIVE_BY_NVLS_TREE;
    assert_int_equal(time_of(&at, &call).algorithm, PS_COLLECTIVE_BY_NVLS_TREE);
    scene_end(&at);
}

static void many_nodes_take_trees_for_little(void **state)
{
    (void)state;
    const ps_collective_options options = {.nccl = "2.30"};
    scene at = scene_make("dgx-a100-80", 64, &options);
    ps_collective_call call = call_of(&at, PS_COLLECTIVE_ALL_REDUCE, 64, 1, 4096);
    assert_int_equal(time_of(&at, &call).algorithm, PS_COLLECTIVE_BY_TREE);
    call.bytes = UINT64_C(1) << 32;
    assert_int_equal(time_of(&at, &call).algorithm, PS_COLLECTIVE_BY_RING);
    assert_int_equal(time_of(&at, &call).protocol, PS_COLLECTIVE_SIMPLE);
    scene_end(&at);
}

static void little_takes_few_multiprocessors(void **state)
{
    (void)state;
    scene at = scene_make("dgx-a100-80", 8, NULL);
    ps_collective_call call = call_of(&at, PS_COLLECTIVE_ALL_REDUCE, 8, 1, 3 * 8 * 4096);
    call.protocol = PS_COLLECTIVE_LL;
    assert_int_equal(time_of(&at, &call).channels, 3);
    call.bytes = 1;
    assert_int_equal(time_of(&at, &call).channels, 1);
    call.bytes = 1 << 30;
    call.protocol = PS_COLLECTIVE_SIMPLE;
    assert_int_equal(time_of(&at, &call).channels, 24);
    scene_end(&at);
}

/* Within 3 % of the fits that its figures are from (SimuMax: fixed + steps x latency + bytes /
 * (900 GiB/s x efficiency)); two GPUs, whose links the switch's sums would exceed, within 20 %. */
static void b200_agrees_with_its_published_fits(void **state)
{
    (void)state;
    static const struct {
        ps_collective_op kind;
        uint64_t fixed_ns, step_ns, efficiency; /* [1e-4] */
    } fits[] = {{PS_COLLECTIVE_ALL_REDUCE, 22232, 5518, 7424},
                {PS_COLLECTIVE_ALL_GATHER, 23105, 9183, 6735},
                {PS_COLLECTIVE_REDUCE_SCATTER, 25560, 8033, 6731}};
    scene at = scene_make("dgx-b200", 8, NULL);
    for (size_t i = 0; i < sizeof fits / sizeof fits[0]; i++) {
        for (uint32_t ranks = 2; ranks <= 8; ranks *= 2) {
            for (uint64_t bytes = UINT64_C(1) << 27; bytes <= UINT64_C(1) << 32; bytes *= 2) {
                ps_collective_call call = call_of(&at, fits[i].kind, ranks, 1, bytes);
                const uint64_t steps = ps_collective_steps(fits[i].kind, ranks);
                const uint64_t rate = (UINT64_C(900) << 30) / 10000 * fits[i].efficiency;
                const uint64_t fit =
                    fits[i].fixed_ns + steps * fits[i].step_ns +
                    ps_ns_at(ps_collective_bus_bytes(fits[i].kind, bytes, ranks), rate);
                const uint64_t got = (uint64_t)time_of(&at, &call).dur_ns;
                const uint64_t most =
                    fits[i].kind == PS_COLLECTIVE_ALL_REDUCE && ranks == 2 ? 20 : 3;
                assert_in_range(100 * got, (100 - most) * fit, (100 + most) * fit);
            }
        }
    }
    scene_end(&at);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(worked_latencies_of_eight_gpus),
        cmocka_unit_test(v100_turns_to_simple_where_it_was_seen),
        cmocka_unit_test(hopper_sums_in_the_switch_from_2_mib),
        cmocka_unit_test(many_nodes_take_trees_for_little),
        cmocka_unit_test(little_takes_few_multiprocessors),
        cmocka_unit_test(b200_agrees_with_its_published_fits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
