/* SPDX-License-Identifier: MIT
 *
 * Measured tables of collectives: both forms, between their sizes and beyond,
 * and bad ones.
 */
#include "collective_support.h"

static const char table[] = "collective,ranks,nodes,bytes,time\n"
                            "all-reduce,8,1,1MiB,90us\n"
                            "all-reduce,8,1,3MiB,100us\n"
                            "all-reduce,8,1,3MiB,110us\n" /* of two the faster */
                            "send,2,1,1MB,50us\n";

static const char tests_text[] =
    "# nThread 1 nGpus 1 minBytes 1048576\n"
    "#  Rank  0 Group  0 Pid  11 on   node-a device  0 [0x07] NVIDIA A100-SXM4-80GB\n"
    "#  Rank  1 Group  0 Pid  12 on   node-a device  1 [0x0f] NVIDIA A100-SXM4-80GB\n"
    "#\n"
    "#                                                              out-of-place          "
    "in-place\n"
    "#       size         count      type   redop    root     time   algbw   busbw #wrong     "
    "time\n"
    "#        (B)    (elements)                               (us)  (GB/s)  (GB/s)            "
    "(us)\n"
    "     1048576        262144     float     sum      -1    44.21   23.72   23.72      0    "
    "45.10\n"
    "     2097152        524288     float     sum      -1    53.43   39.25   39.25      0    "
    "51.13\n"
    "# Avg bus bandwidth    : 31.9\n";

static void a_table_wins_over_the_formula(void **state)
{
    (void)state;
    ps_error err = {0};
    scene at = scene_make("dgx-a100-80", 8, NULL);
    ps_collective_call call = call_of(&at, PS_COLLECTIVE_ALL_REDUCE, 8, 1, 1 << 20);
    const ps_collective_result formula = time_of(&at, &call);
    assert_ok(&err, ps_collective_add_measured(at.model, "t.csv", table, sizeof table - 1,
                                               PS_COLLECTIVE_NONE, &err));
    assert_int_equal(time_of(&at, &call).dur_ns, 90000);
    assert_int_equal(time_of(&at, &call).basis, PS_BASIS_MEASURED);
    call.bytes = 2 << 20;
    assert_int_equal(time_of(&at, &call).dur_ns, 95000);
    call.bytes = 3 << 20;
    const ps_collective_result exact = time_of(&at, &call);
    assert_int_equal(exact.dur_ns, 100000);
    assert_int_equal(exact.latency_ns +
                         (ps_ns)((exact.wire_bytes * 1000000000 + exact.rate_bytes_per_s - 1) /
                                 exact.rate_bytes_per_s),
                     100000);
    call.bytes = 1 << 19; /* before the first: the formula there, times 90 us over its own */
    const ps_collective_result scaled = time_of(&at, &call);
    assert_int_equal(scaled.basis, PS_BASIS_SCALED);
    assert_true(scaled.dur_ns < 90000);
    assert_true(formula.dur_ns != 90000);
    call = call_of(&at, PS_COLLECTIVE_RECV, 2, 1, 1000000); /* the other side of a send */
    assert_int_equal(time_of(&at, &call).dur_ns, 50000);
    call = call_of(&at, PS_COLLECTIVE_ALL_REDUCE, 4, 1, 1 << 20);
    assert_int_equal(time_of(&at, &call).basis, PS_BASIS_ANALYTIC);
    scene_end(&at);
}

static void nccl_tests_output_is_read(void **state)
{
    (void)state;
    ps_error err = {0};
    scene at = scene_make("dgx-a100-80", 8, NULL);
    ps_collective_call call = call_of(&at, PS_COLLECTIVE_ALL_REDUCE, 2, 1, 2 << 20);
    assert_ok(&err, ps_collective_add_measured(at.model, "t.txt", tests_text, sizeof tests_text - 1,
                                               PS_COLLECTIVE_ALL_REDUCE, &err));
    assert_int_equal(time_of(&at, &call).dur_ns, 53430);
    assert_int_equal(time_of(&at, &call).basis, PS_BASIS_MEASURED);
    scene_end(&at);
}

static void bad_tables_leave_the_model_as_it_was(void **state)
{
    (void)state;
#define HEADER "collective,ranks,nodes,bytes,time\n"
    static const struct {
        const char *text;
        ps_collective_op kind;
        const char *message;
    } cases[] = {
        {"a,b,c,d,e\n", PS_COLLECTIVE_NONE, "t:1: measured collectives begin"},
        {HEADER, PS_COLLECTIVE_NONE, "no measured collective"},
        {HEADER "all-reduce,8,1,1MiB,90us\nall-red,8,1,1MiB,90us\n", PS_COLLECTIVE_NONE,
         "t:3: unknown collective \"all-red\""},
        {HEADER "all-reduce,1,1,1MiB,90us\n", PS_COLLECTIVE_NONE, "not ranks, nodes"},
        {HEADER "all-reduce,4,5,1MiB,90us\n", PS_COLLECTIVE_NONE, "not ranks, nodes"},
        {HEADER "all-reduce,4,1,1MiB,90\n", PS_COLLECTIVE_NONE, "not ranks, nodes"},
        {HEADER "all-reduce,4,1,1MiB\n", PS_COLLECTIVE_NONE, "not five fields"},
        {"", PS_COLLECTIVE_ALL_REDUCE, "no measured collective"},
        {"1048576 262144 float\n", PS_COLLECTIVE_ALL_REDUCE, "figures before the lines"},
        {"# Rank 0 on a\n# Rank 1 on a\n# size count time\n100 25\n", PS_COLLECTIVE_ALL_REDUCE,
         "t:4: too few figures"},
        {"# Rank 0 on a\n# Rank 1 on a\n# size count time\n100 25 x\n", PS_COLLECTIVE_ALL_REDUCE,
         "not bytes and a time"},
    };
    scene at = scene_make("dgx-a100-80", 8, NULL);
    const ps_collective_call call = call_of(&at, PS_COLLECTIVE_ALL_REDUCE, 8, 1, 1 << 20);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ps_error err = {0};
        assert_int_equal(ps_collective_add_measured(at.model, "t", cases[i].text,
                                                    strlen(cases[i].text), cases[i].kind, &err),
                         PS_BAD_INPUT);
        if (strstr(err.message, cases[i].message) == NULL) {
            fail_msg("%s", err.message);
        }
        assert_int_equal(time_of(&at, &call).basis, PS_BASIS_ANALYTIC);
    }
    scene_end(&at);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_table_wins_over_the_formula),
        cmocka_unit_test(nccl_tests_output_is_read),
        cmocka_unit_test(bad_tables_leave_the_model_as_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
