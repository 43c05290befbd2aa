/* SPDX-License-Identifier: MIT
 *
 * Time of collectives against closed forms on a machine of round figures.
 */
#include "support/test.h"

#include <string.h>

#include "cost/collective.h"

/* One ring of 100 GB/s. LL 10 us + 1 us a step at a tenth of it, Simple 50 us + 2 us at all. */
#define HEADER "gpu,topology,quantity,value,unit,origin\n"
#define ROUND(quantity, value, unit) "Round,nvswitch," quantity "," value "," unit ",given\n"
static const char round_csv[] = HEADER ROUND("ranks", "8", "") ROUND("link-rate", "100", "GB/s")
    ROUND("rings", "1", "") ROUND("ll-start", "10", "us") ROUND("ll-start-hop", "1", "us")
        ROUND("ll-ring-share", "0.1", "") ROUND("ll-tree-share", "0.1", "")
            ROUND("ll128-start", "1", "s") ROUND("ll128-ring-share", "0.9", "")
                ROUND("ll128-tree-share", "0.9", "") ROUND("simple-start", "50", "us")
                    ROUND("simple-start-hop", "2", "us") ROUND("simple-ring-share", "1", "")
                        ROUND("simple-tree-share", "1", "") ROUND("simple-floor", "55", "us");

static ps_collective_model *model_of(const char *gpu, const char *csv)
{
    ps_error err = {0};
    ps_collective_model *model = NULL;
    const ps_collective_options options = {csv, csv != NULL ? strlen(csv) : 0};
    assert_ok(&err, ps_collective_create(gpu, &options, &model, &err));
    return model;
}

static ps_collective_call call_of(ps_collective_kind kind, uint32_t ranks, uint64_t bytes)
{
    return (ps_collective_call){.kind = kind,
                                .topology = PS_COLLECTIVE_NVSWITCH,
                                .algorithm = PS_COLLECTIVE_ANY_ALGORITHM,
                                .protocol = PS_COLLECTIVE_ANY_PROTOCOL,
                                .ranks = ranks,
                                .bytes = bytes};
}

static ps_collective_result time_of(const ps_collective_model *model, ps_collective_kind kind,
                                    uint32_t ranks, uint64_t bytes)
{
    ps_error err = {0};
    ps_collective_result out = {0};
    const ps_collective_call call = call_of(kind, ranks, bytes);
    assert_ok(&err, ps_collective_time(model, &call, &out, &err));
    return out;
}

static void large_rings_are_bound_by_their_bytes(void **state)
{
    (void)state;
    ps_collective_model *model = model_of("Round", round_csv);
    const uint64_t bytes = UINT64_C(400000000000);
    for (uint32_t n = 2; n <= 8; n += 2) {
        const ps_collective_result got = time_of(model, PS_COLLECTIVE_ALL_REDUCE, n, bytes);
        const int64_t by_bytes = (int64_t)(8000000000 / n * (n - 1)); /* 2 (n - 1) / n bytes */
        assert_int_equal(got.protocol, PS_COLLECTIVE_SIMPLE);
        assert_int_equal(got.algorithm, PS_COLLECTIVE_RING);
        assert_in_range(got.dur_ns - by_bytes, 50000 + 4000 * (n - 1), 50004 + 4000 * (n - 1));
        assert_in_range(got.bus_bytes_per_s, 99990000000, 100000000000);
        assert_int_equal(got.basis, PS_BASIS_ANALYTIC);
    }
    ps_collective_destroy(model);
}

static void tiny_ones_are_bound_by_their_steps(void **state)
{
    (void)state;
    ps_error err = {0};
    ps_collective_model *model = model_of("Round", round_csv);
    for (uint32_t n = 2; n <= 8; n++) {
        const ps_collective_result got = time_of(model, PS_COLLECTIVE_ALL_REDUCE, n, 1);
        assert_int_equal(got.protocol, PS_COLLECTIVE_LL);
        assert_in_range(got.dur_ns, 10000 + 2000 * (n - 1), 10002 + 2000 * (n - 1));
    }
    ps_collective_call call = call_of(PS_COLLECTIVE_ALL_REDUCE, 2, 1);
    ps_collective_result forced;
    call.protocol = PS_COLLECTIVE_SIMPLE; /* 54 us, and 55 is its floor */
    assert_ok(&err, ps_collective_time(model, &call, &forced, &err));
    assert_int_equal(forced.dur_ns, 55000);
    call.algorithm = PS_COLLECTIVE_TREE; /* twice the bytes up and down, not once */
    call.bytes = 1000000000;
    assert_ok(&err, ps_collective_time(model, &call, &forced, &err));
    assert_in_range(forced.dur_ns, 20054000, 20054002);
    ps_collective_destroy(model);
}

static void nothing_to_send_costs_nothing(void **state)
{
    (void)state;
    ps_collective_model *model = model_of("Round", round_csv);
    assert_int_equal(time_of(model, PS_COLLECTIVE_ALL_REDUCE, 1, 1 << 30).dur_ns, 0);
    assert_int_equal(time_of(model, PS_COLLECTIVE_ALL_GATHER, 8, 0).dur_ns, 0);
    assert_int_equal(time_of(model, PS_COLLECTIVE_ALL_REDUCE, 1, 1 << 30).bus_bytes, 0);
    ps_collective_destroy(model);
}

static void an_all_reduce_is_its_two_halves(void **state)
{
    (void)state;
    ps_collective_model *model = model_of("A100-SXM-80", NULL);
    for (uint64_t bytes = 1; bytes < (uint64_t)1 << 34; bytes = bytes * 3 + 1) {
        for (uint32_t n = 2; n <= 8; n++) {
            const uint64_t scatter =
                time_of(model, PS_COLLECTIVE_REDUCE_SCATTER, n, bytes).bus_bytes;
            const uint64_t gather = time_of(model, PS_COLLECTIVE_ALL_GATHER, n, bytes).bus_bytes;
            const uint64_t both = time_of(model, PS_COLLECTIVE_ALL_REDUCE, n, bytes).bus_bytes;
            assert_int_equal(scatter + gather, both);
        }
    }
    ps_collective_destroy(model);
}

static void assert_grows(const ps_collective_model *model, ps_collective_topology topology)
{
    ps_error err = {0};
    for (uint32_t kind = 0; kind < PS_COLLECTIVE_KIND_COUNT; kind++) {
        ps_collective_call call = call_of((ps_collective_kind)kind, 2, 0);
        ps_ns before = 0;
        call.topology = topology;
        for (uint64_t bytes = 1; bytes < (uint64_t)1 << 61; bytes += bytes / 5 + 1) {
            ps_collective_result got;
            call.bytes = bytes;
            assert_ok(&err, ps_collective_time(model, &call, &got, &err));
            assert_true(got.dur_ns >= before);
            before = got.dur_ns;
        }
    }
}

static void more_bytes_never_take_less(void **state)
{
    (void)state;
    static const struct {
        const char *gpu;
        ps_collective_topology topology;
    } machines[] = {{"A100-SXM-80", PS_COLLECTIVE_NVSWITCH},
                    {"V100-SXM2-32", PS_COLLECTIVE_NVLINK},
                    {"H200", PS_COLLECTIVE_NVSWITCH},
                    {"A100-PCIe-80", PS_COLLECTIVE_PCIE}};
    for (size_t i = 0; i < sizeof machines / sizeof machines[0]; i++) {
        ps_collective_model *model = model_of(machines[i].gpu, NULL);
        assert_grows(model, machines[i].topology);
        ps_collective_destroy(model);
    }
}

static void the_switch_sums_large_buffers(void **state)
{
    (void)state;
    ps_collective_model *model = model_of("H200", NULL);
    const ps_collective_result got = time_of(model, PS_COLLECTIVE_ALL_REDUCE, 8, 1 << 30);
    assert_int_equal(got.algorithm, PS_COLLECTIVE_NVLS);
    assert_int_equal(got.basis, PS_BASIS_GUESSED);
    assert_int_equal(time_of(model, PS_COLLECTIVE_ALL_GATHER, 8, 1 << 30).algorithm,
                     PS_COLLECTIVE_RING);
    ps_collective_destroy(model);
}

static void what_cannot_be_is_refused(void **state)
{
    (void)state;
    ps_error err = {0};
    ps_collective_result out;
    ps_collective_model *model = model_of("Round", round_csv), *none = NULL;
    ps_collective_call call = call_of(PS_COLLECTIVE_ALL_REDUCE, 9, 1);
    assert_int_equal(ps_collective_time(model, &call, &out, &err), PS_USAGE);
    call.ranks = 0;
    assert_int_equal(ps_collective_time(model, &call, &out, &err), PS_USAGE);
    call.ranks = 2;
    call.algorithm = PS_COLLECTIVE_NVLS; /* the switch does not sum */
    assert_int_equal(ps_collective_time(model, &call, &out, &err), PS_USAGE);
    call = call_of(PS_COLLECTIVE_ALL_REDUCE, 2, UINT64_MAX);
    assert_int_equal(ps_collective_time(model, &call, &out, &err), PS_USAGE);
    call = call_of(PS_COLLECTIVE_SEND_RECV, 3, 1);
    assert_int_equal(ps_collective_time(model, &call, &out, &err), PS_USAGE);
    call = call_of(PS_COLLECTIVE_ALL_REDUCE, 2, 1);
    call.topology = PS_COLLECTIVE_PCIE;
    assert_int_equal(ps_collective_time(model, &call, &out, &err), PS_NOT_FOUND);
    ps_collective_destroy(model);

    assert_int_equal(ps_collective_create("nothing", NULL, &none, &err), PS_NOT_FOUND);
    static const char *const bad[] = {
        "gpu\n", HEADER "X,nvswitch,ranks,8,\n", HEADER "X,nvswitch,speed,8,,given\n",
        HEADER "X,bus,ranks,8,,given\n", HEADER "X,nvswitch,link-rate,8,ns,given\n"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        const ps_collective_options options = {bad[i], strlen(bad[i])};
        assert_int_equal(ps_collective_create("X", &options, &none, &err), PS_BAD_INPUT);
    }
    assert_null(none);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(large_rings_are_bound_by_their_bytes),
        cmocka_unit_test(tiny_ones_are_bound_by_their_steps),
        cmocka_unit_test(nothing_to_send_costs_nothing),
        cmocka_unit_test(an_all_reduce_is_its_two_halves),
        cmocka_unit_test(more_bytes_never_take_less),
        cmocka_unit_test(the_switch_sums_large_buffers),
        cmocka_unit_test(what_cannot_be_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
