/* SPDX-License-Identifier: MIT
 *
 * Lowering, what-if and run while every single allocation fails in turn: the
 * call says so, or gets along; nothing breaks and nothing is lost.
 */
#include "hardware.h"
#include "make_trace.h"

#include "base/memory.h"
#include "lower/lower.h"
#include "run/run.h"
#include "trace/file.h"

#define MOST_REQUESTS 100000u
#define ADDR 0x7f0000000000u

/* A little of everything that lowering looks for. */
static ps_trace *full_trace(void)
{
    ps_error err = {0};
    ps_trace *trace = trace_new();
    put_device(trace, 0, "Oldcard", 0);
    put_step(trace, (span){0, 100000}, 1);
    put_range(trace, MAIN_THREAD, (span){100, 5000}, PS_RANGE_OPERATOR, "aten::linear");
    for (int i = 0; i < 10; i++) {
        const uint64_t correlation = (uint64_t)i + 1;
        const ps_ns at = i * 1000;
        put_call(trace, i < 9 ? MAIN_THREAD : BACKWARD_THREAD, (span){at, at + 500},
                 "cudaLaunchKernel", correlation);
        put_kernel(trace, stream_7, (span){10000 + at, 10900 + at}, "k", correlation);
        put_alloc(trace, at + 100, MIB + correlation, ADDR + correlation * 32 * MIB);
    }
    put_call(trace, MAIN_THREAD, (span){20000, 20100}, "cudaEventRecord", 0);
    put_call(trace, MAIN_THREAD, (span){20200, 20300}, "cudaStreamWaitEvent", 0);
    put_call(trace, MAIN_THREAD, (span){21000, 40000}, "cudaMemcpyAsync", 20);
    put_copy(trace, stream_9, (span){23000, 38000},
             (cargo){PS_COPY_HTOD, PS_MEMORY_PAGEABLE, 64 * KIB}, 20);
    put_call(trace, MAIN_THREAD, (span){50000, 90000}, "cudaDeviceSynchronize", 21);
    put_free(trace, 60000, 4096, ADDR + 4096 * MIB);
    assert_ok(&err, ps_trace_sort(trace, &err));
    return trace;
}

static ps_trace *snapshot_trace(void)
{
    ps_trace *trace = trace_new();
    put_fact(trace, PS_META_SOURCE, "memory-snapshot");
    put_fact(trace, PS_META_MEMORY_SIZES, "requested");
    put_segment(trace, ADDR, 40 * MIB);
    put_block(trace, ADDR, 20 * MIB, PS_BLOCK_ALLOCATED);
    put_block(trace, ADDR + 20 * MIB, 20 * MIB, PS_BLOCK_INACTIVE);
    (void)put_alloc(trace, 0, 10 * MIB, ADDR + 20 * MIB);
    (void)put_free(trace, 100, 10 * MIB, ADDR + 20 * MIB);
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
    if (code == PS_OK) {
        assert_ok(err, ps_plan_check(plan, err));
        ps_plan_destroy(plan);
    } else {
        assert_null(plan);
    }
    return code;
}

static ps_code try_whatif(ps_trace *trace, unsigned long nth, ps_error *err)
{
    const char *const options[] = {"expandable_segments=True"};
    const ps_whatif change = {.gpu = "Newcard",
                              .pcie_bytes_per_s = 5000000000,
                              .memory_bytes = (uint64_t)4 << 30,
                              .allocator_option = options,
                              .allocator_option_count = 1,
                              .cache = "steady"};
    ps_catalogue *catalogue = ps_catalogue_create_empty();
    ps_plan *plan;
    assert_non_null(catalogue);
    assert_ok(err, ps_catalogue_read_memory(catalogue, "hardware.csv", hardware_csv,
                                            strlen(hardware_csv), err));
    assert_ok(err, ps_lower_trace(trace, &plan, err));
    ps_memory_fail_nth(nth);
    const ps_code code = ps_whatif_apply(plan, catalogue, &change, err);
    ps_memory_fail_nth(0);
    ps_plan_destroy(plan);
    ps_catalogue_destroy(catalogue);
    return code;
}

static ps_code try_run(ps_trace *trace, unsigned long nth, ps_error *err)
{
    ps_plan *plan;
    ps_result result;
    assert_ok(err, ps_lower_trace(trace, &plan, err));
    ps_memory_fail_nth(nth);
    const ps_code code = ps_run_plan(plan, &result, err);
    ps_memory_fail_nth(0);
    if (code == PS_OK) {
        ps_result_fini(&result);
    }
    ps_plan_destroy(plan);
    return code;
}

/* A run that does not fit takes more ways than one that does. */
static ps_code try_tight_run(ps_trace *trace, unsigned long nth, ps_error *err)
{
    ps_plan *plan;
    ps_result result;
    assert_ok(err, ps_lower_trace(trace, &plan, err));
    apply_change(plan, &(ps_whatif){.has_base = true, .memory_bytes = 8 * MIB, .cache = "steady"});
    ps_memory_fail_nth(nth);
    const ps_code code = ps_run_plan(plan, &result, err);
    ps_memory_fail_nth(0);
    if (code == PS_OK) {
        assert_true(result.device[0].oom.happened);
        ps_result_fini(&result);
    }
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
        assert_true(code == PS_OK || code == PS_NOMEM);
        failures += code == PS_NOMEM;
        in_a_row = code == PS_OK ? in_a_row + 1 : 0;
    }
    assert_true(failures >= 10);
    assert_int_equal(in_a_row, 20);
    ps_trace_destroy(trace);
}

static void lowering_survives(void **state)
{
    (void)state;
    try_all(full_trace, try_lowering);
}

static void lowering_of_a_snapshot_survives(void **state)
{
    (void)state;
    try_all(snapshot_trace, try_lowering);
}

static void a_what_if_survives(void **state)
{
    (void)state;
    try_all(full_trace, try_whatif);
}

static void a_run_survives(void **state)
{
    (void)state;
    try_all(full_trace, try_run);
}

static void a_run_of_a_snapshot_survives(void **state)
{
    (void)state;
    try_all(snapshot_trace, try_run);
}

static void a_run_that_does_not_fit_survives(void **state)
{
    (void)state;
    try_all(full_trace, try_tight_run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lowering_survives),
        cmocka_unit_test(lowering_of_a_snapshot_survives),
        cmocka_unit_test(a_what_if_survives),
        cmocka_unit_test(a_run_survives),
        cmocka_unit_test(a_run_of_a_snapshot_survives),
        cmocka_unit_test(a_run_that_does_not_fit_survives),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
