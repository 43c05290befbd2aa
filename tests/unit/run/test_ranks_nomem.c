/* SPDX-License-Identifier: MIT
 *
 * Other numbers of ranks while every single allocation fails in turn: the call
 * says so, or gets along; nothing breaks and nothing is lost.
 */
#include "make_trace.h"

#include <string.h>

#include "base/memory.h"
#include "job/bus_network.h"
#include "lower/lower.h"
#include "policy/whatif.h"
#include "run/jitter.h"
#include "run/rank_speed.h"
#include "trace/file.h"

#define MOST_REQUESTS 100000u
#define ADDR 0x7f0000000000u
#define GRADIENTS 3

static ps_str text(ps_trace *trace, const char *value)
{
    ps_error err = {0};
    ps_str id;
    assert_ok(&err, ps_strings_put_z(trace->strings, value, &id, &err));
    return id;
}

/* One step of one GPU: gradients with shapes, and buffers of which some are freed again. */
static ps_trace *one_gpu(void)
{
    ps_error err = {0};
    ps_trace *trace = trace_new();
    put_device(trace, 0, "V100-SXM2-32", 0);
    put_step(trace, (span){0, 100000}, 1);
    for (uint64_t i = 0; i < GRADIENTS; i++) {
        const ps_ns at = (ps_ns)i * 1000;
        put_launch(trace, (span){at, at + 100}, stream_7, (span){at + 200, at + 900}, "k", i + 1);
        put_alloc(trace, at + 150, MIB, ADDR + i * MIB);
        put_range(trace, MAIN_THREAD, (span){at + 300, at + 310}, PS_RANGE_OPERATOR,
                  "torch::autograd::AccumulateGrad");
        trace->range.shapes[trace->range.head.count - 1] = text(trace, "[[512,512]];[\"float\"]");
    }
    put_launch(trace, (span){8000, 8100}, stream_7, (span){8200, 9000}, "optimizer", 99);
    put_free(trace, 9100, MIB, ADDR);
    assert_ok(&err, ps_trace_sort(trace, &err));
    return trace;
}

/* Two ranks that meet twice. */
static ps_trace *two_ranks(void)
{
    ps_error err = {0};
    ps_trace *trace = trace_new();
    put_call(trace, 9, (span){0, 10}, "cudaGetDevice", 0);
    for (uint32_t i = 0; i < 4; i++) {
        const ps_ns at = 1000 + (ps_ns)(i / 2) * 5000;
        put_call(trace, MAIN_THREAD + i % 2, (span){at, at + 100}, "cudaLaunchKernel", i + 1);
        put_collective(trace, (place){i % 2, 22}, (span){at + 200 + i, at + 3000}, i + 1);
        trace->collective.dtype[i] = text(trace, "Half");
        trace->collective.elements_in[i] = trace->collective.elements_out[i] = 1000;
        trace->collective.group[i] = text(trace, "dp");
        trace->collective.group_size[i] = 2;
    }
    assert_ok(&err, ps_trace_sort(trace, &err));
    return trace;
}

/* One attempt during which the nth allocation fails. */
typedef ps_code (*attempt)(ps_trace *trace, unsigned long nth, ps_error *err);

static ps_code try_lowering(ps_trace *trace, unsigned long nth, ps_error *err)
{
    ps_plan *plan = NULL;
    ps_memory_fail_nth(nth);
    const ps_code code = ps_lower_trace(trace, &plan, err);
    ps_memory_fail_nth(0);
    ps_plan_destroy(plan);
    return code;
}

static ps_code apply(ps_plan *plan, const ps_whatif *change, unsigned long nth, ps_error *err)
{
    ps_catalogue *catalogue;
    assert_ok(err, ps_catalogue_create(&catalogue, err));
    ps_memory_fail_nth(nth);
    const ps_code code = ps_whatif_apply(plan, catalogue, change, err);
    ps_memory_fail_nth(0);
    ps_catalogue_destroy(catalogue);
    return code;
}

static ps_code try_data_parallel(ps_trace *trace, unsigned long nth, ps_error *err)
{
    ps_plan *plan;
    ps_structure structure;
    ps_bus bus = {.bytes_per_s = 1000000000};
    const ps_network network = ps_bus_network(&bus);
    assert_ok(err, ps_lower_trace(trace, &plan, err));
    assert_ok(err, ps_structure_recover(trace, plan, NULL, &structure, err));
    const ps_data_parallel ranks = {.ranks = 2,
                                    .network = &network,
                                    .trace = trace,
                                    .structure = &structure,
                                    .has_views = true};
    const ps_code code = apply(plan, &(ps_whatif){.data_parallel = &ranks}, nth, err);
    if (code == PS_OK) {
        assert_ok(err, ps_plan_check(plan, err));
    }
    ps_structure_fini(&structure);
    ps_plan_destroy(plan);
    return code;
}

static ps_code try_rank_change(ps_trace *trace, unsigned long nth, ps_error *err)
{
    ps_plan *plan;
    const char *group = "dp";
    ps_bus bus = {.bytes_per_s = 1000000000};
    const ps_network network = ps_bus_network(&bus);
    const ps_rank_change ranks = {.ranks = 4,
                                  .recorded = &network,
                                  .wanted = &network,
                                  .trace = trace,
                                  .group = &group,
                                  .group_count = 1};
    assert_ok(err, ps_lower_trace(trace, &plan, err));
    const ps_code code = apply(plan, &(ps_whatif){.rank_change = &ranks}, nth, err);
    ps_plan_destroy(plan);
    return code;
}

/* Parted for good, and one by one for chance. */
static ps_code try_differing(ps_trace *trace, unsigned long nth, ps_error *err)
{
    ps_plan *plan;
    ps_jitter_times times;
    const ps_rank_speed slow = {.rank = 1, .speed = 500000};
    const ps_jitter jitter = {.deviation = 50000, .draws = 2};
    assert_ok(err, ps_lower_trace(trace, &plan, err));
    plan->device.stands_for[0] = 4;
    ps_memory_fail_nth(nth);
    ps_code code = ps_run_jitter(plan, &jitter, &times, err);
    if (code == PS_OK) {
        code = ps_plan_set_rank_speeds(&plan, &slow, 1, false, err);
    }
    ps_memory_fail_nth(0);
    ps_plan_destroy(plan);
    return code;
}

/* Until an attempt gets along often enough to be sure that nothing failed any more. */
static void try_all(ps_trace *(*make)(void), attempt one)
{
    ps_trace *trace = make();
    unsigned long failures = 0, in_a_row = 0;
    for (unsigned long nth = 1; in_a_row < 20 && nth < MOST_REQUESTS; nth++) {
        ps_error err = {0};
        const ps_code code = one(trace, nth, &err);
        if (code != PS_OK && code != PS_NOMEM) {
            fail_msg("allocation %lu fails: %s", nth, err.message);
        }
        failures += code == PS_NOMEM;
        in_a_row = code == PS_OK ? in_a_row + 1 : 0;
    }
    assert_true(failures >= 4);
    assert_int_equal(in_a_row, 20);
    ps_trace_destroy(trace);
}

static void lowering_of_ranks_survives(void **state)
{
    (void)state;
    try_all(two_ranks, try_lowering);
}

static void data_parallel_survives(void **state)
{
    (void)state;
    try_all(one_gpu, try_data_parallel);
}

static void a_change_of_ranks_survives(void **state)
{
    (void)state;
    try_all(two_ranks, try_rank_change);
}

static void differing_ranks_survive(void **state)
{
    (void)state;
    try_all(one_gpu, try_differing);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lowering_of_ranks_survives),
        cmocka_unit_test(data_parallel_survives),
        cmocka_unit_test(a_change_of_ranks_survives),
        cmocka_unit_test(differing_ranks_survive),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
