/* SPDX-License-Identifier: MIT
 *
 * No collective is faster than its links, on any kind of machine; ports that
 * pass on less of what is summed on its way.
 */
#include "collective_support.h"

/* A collective that is alone fits on its links, whatever its group. */
static void no_rate_is_beyond_its_path(void **state)
{
    (void)state;
    static const struct {
        const char *kind;
        uint32_t gpus, ranks, stride;
    } cases[] = {
        {"dgx-a100-80", 8, 8, 1},
        {"dgx-a100-80", 32, 32, 1},
        {"dgx-a100-80", 32, 4, 8},
        {"a100-4xhdr", 16, 16, 1},
        {"a100-4xhdr", 16, 4, 4}, /* by another port than they came in */
        {"a100-4xhdr", 16, 8, 2},
        {"dgx-h100", 16, 16, 1},
        {"dgx-h100", 8, 2, 3},
        {"dgx-1-v100-32", 8, 8, 1},
        {"dgx-1-v100-32", 8, 5, 1},
        {"dgx-1-v100-32", 8, 2, 5},
        {"dgx-1-v100-32", 8, 3, 1},
        {"dgx-1-v100-32", 16, 2, 8},
        {"v100-sxm2-4", 4, 4, 1},
        {"rtx4090-8", 8, 8, 1},
        {"rtx4090-2", 2, 2, 1},
        {"a100-pcie-8", 8, 4, 2},
        {"rtx3090-2-nvlink", 2, 2, 1},
        {"t4-4", 8, 8, 1},
        {"t4-4", 8, 2, 4},
        {"l4-8", 16, 2, 1},
        {"dgx-b200", 64, 64, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        scene at = scene_make(cases[i].kind, cases[i].gpus, NULL);
        for (int kind = PS_COLLECTIVE_ALL_REDUCE; kind < PS_COLLECTIVE_OP_COUNT; kind++) {
            for (uint64_t bytes = 1000; bytes < UINT64_C(1) << 34; bytes *= 7) {
                ps_error err = {0};
                ps_crossing path[2048];
                uint32_t rank[64], count = 0;
                const uint32_t ranks = kind >= PS_COLLECTIVE_SEND ? 2 : cases[i].ranks;
                const ps_collective_call call =
                    call_of(&at, (ps_collective_op)kind, ranks, cases[i].stride, bytes);
                const ps_collective_result got = time_of(&at, &call);
                for (uint32_t r = 0; r < ranks; r++) {
                    rank[r] = r * cases[i].stride;
                }
                assert_ok(&err, ps_cluster_path(at.cluster, got.traffic, &(ps_group){rank, ranks},
                                                path, 2048, &count, &err));
                assert_true(count > 0);
                if (got.rate_bytes_per_s > ps_cluster_path_rate(at.cluster, path, count)) {
                    fail_msg("%s: %s of %u ranks by %s", cases[i].kind,
                             ps_collective_kind_name(call.kind), (unsigned)ranks,
                             ps_collective_algorithm_name(got.algorithm));
                }
            }
        }
        scene_end(&at);
    }
}

static uint64_t wire(const scene *at, ps_collective_op kind, uint32_t ranks)
{
    ps_collective_call call = call_of(at, kind, ranks, 1, 1 << 28);
    call.algorithm = PS_COLLECTIVE_BY_RING;
    call.protocol = PS_COLLECTIVE_SIMPLE;
    return time_of(at, &call).wire_bytes;
}

/* A port is busy longer with a reduce-scatter; a sum is one, and then a gather. */
static void sums_hold_ports_longer(void **state)
{
    (void)state;
    scene two = scene_make("a100-40-numa-4", 8, NULL), one = scene_make("a100-40-numa-4", 4, NULL);
    const uint64_t gather = wire(&two, PS_COLLECTIVE_ALL_GATHER, 8);
    const uint64_t scatter = wire(&two, PS_COLLECTIVE_REDUCE_SCATTER, 8);
    const uint64_t sum = wire(&two, PS_COLLECTIVE_ALL_REDUCE, 8);
    assert_int_equal(gather, (UINT64_C(1) << 28) / 8 * 7);
    assert_true(scatter > gather + gather / 10);
    assert_true(sum + 2 >= gather + scatter && sum <= gather + scatter + 2);
    assert_int_equal(wire(&one, PS_COLLECTIVE_REDUCE_SCATTER, 4),
                     wire(&one, PS_COLLECTIVE_ALL_GATHER, 4));
    scene_end(&two);
    scene_end(&one);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_rate_is_beyond_its_path),
        cmocka_unit_test(sums_hold_ports_longer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
