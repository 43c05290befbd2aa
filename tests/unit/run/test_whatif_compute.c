/* SPDX-License-Identifier: MIT
 *
 * What-if of another GPU: recorded kernels rescaled by what bounds them.
 *
 * Newcard has 2 times Oldcard's memory bandwidth, 4 times its fp32 rate, 5
 * times its fp16 and 8 times its bf16 rate. The shortest kernel of each
 * recording takes 1000 ns, which no rate shortens.
 */
#include "hardware.h"
#include "make_trace.h"

#define FIXED 1000

/* One after the other on stream 7, each launched well before. */
static void put_next_kernel(ps_trace *trace, ps_ns *now, const char *name, ps_ns dur,
                            uint64_t correlation)
{
    const ps_ns call = (ps_ns)correlation * 2000;
    put_launch(trace, (span){call, call + 1000}, stream_7, (span){*now, *now + dur}, name,
               correlation);
    *now += dur;
}

static ps_trace *kernels_of(const char *gpu)
{
    ps_trace *trace = trace_new();
    ps_ns now = 50000;
    put_device(trace, 0, gpu, 0);
    put_call(trace, MAIN_THREAD, (span){0, 1500}, "cudaGetDevice", 0);
    put_next_kernel(trace, &now, "tiny", FIXED, 1);
    put_next_kernel(trace, &now, "vectorized_elementwise_kernel", FIXED + 40000, 2);
    put_next_kernel(trace, &now, "ampere_sgemm_128x64_nn", FIXED + 40000, 3);
    put_next_kernel(trace, &now, "ampere_fp16_s16816gemm_fp16_128x64", FIXED + 40000, 4);
    put_next_kernel(trace, &now, "ampere_bf16_s16816gemm_bf16_128x64", FIXED + 40000, 5);
    put_call(trace, MAIN_THREAD, (span){20000, 21000}, "cudaLaunchKernel", 6);
    put_collective(trace, stream_9, (span){30000, 30000 + FIXED + 40000}, 6);
    put_call(trace, MAIN_THREAD, (span){22000, 23000}, "cudaMemsetAsync", 7);
    put_fill(trace, stream_9, (span){80000, 80000 + FIXED + 40000}, 7);
    put_call(trace, MAIN_THREAD, (span){24000, 25000}, "cudaMemcpyAsync", 8);
    put_copy(trace, stream_9, (span){130000, 130000 + FIXED + 40000},
             (cargo){PS_COPY_DTOD, PS_MEMORY_DEVICE, 20000000}, 8);
    return trace;
}

static ps_plan *on_gpu(const char *from, const char *to)
{
    ps_plan *plan = lower(kernels_of(from));
    apply_change(plan, &(ps_whatif){.gpu = to});
    return plan;
}

static ps_ns own_time(const ps_plan *plan, const char *name)
{
    return plan->task.dur_ns[task_named(plan, name, 0)];
}

static void each_kernel_follows_the_rate_that_bounds_it(void **state)
{
    (void)state;
    ps_plan *plan = on_gpu("Oldcard", "Newcard");
    assert_int_equal(own_time(plan, "tiny"), FIXED);
    assert_int_equal(own_time(plan, "vectorized_elementwise_kernel"), FIXED + 20000);
    assert_int_equal(own_time(plan, "ampere_sgemm_128x64_nn"), FIXED + 10000);
    assert_int_equal(own_time(plan, "ampere_fp16_s16816gemm_fp16_128x64"), FIXED + 8000);
    assert_int_equal(own_time(plan, "ampere_bf16_s16816gemm_bf16_128x64"), FIXED + 5000);
    assert_int_equal(own_time(plan, "fill"), FIXED + 20000);
    assert_int_equal(own_time(plan, "copy"), FIXED + 20000);
    assert_string_equal(ps_strings_text(plan->strings, plan->device.name[0]), "Newcard");
    ps_plan_destroy(plan);
}

static void a_slower_gpu_stretches_by_the_same_rates(void **state)
{
    (void)state;
    ps_plan *plan = on_gpu("Newcard", "Oldcard");
    assert_int_equal(own_time(plan, "tiny"), FIXED);
    assert_int_equal(own_time(plan, "vectorized_elementwise_kernel"), FIXED + 80000);
    assert_int_equal(own_time(plan, "ampere_sgemm_128x64_nn"), FIXED + 160000);
    assert_int_equal(own_time(plan, "ampere_fp16_s16816gemm_fp16_128x64"), FIXED + 200000);
    assert_int_equal(own_time(plan, "ampere_bf16_s16816gemm_bf16_128x64"), FIXED + 320000);
    ps_plan_destroy(plan);
}

static void a_format_the_part_lacks_runs_on_its_fp32_units(void **state)
{
    (void)state;
    ps_plan *plan = on_gpu("Oldcard", "Plaincard");
    /* from 100 TFLOP/s of bf16 to 5 of fp32 */
    assert_int_equal(own_time(plan, "ampere_bf16_s16816gemm_bf16_128x64"), FIXED + 40000 * 20);
    ps_plan_destroy(plan);
}

static void collectives_and_host_work_keep_their_time(void **state)
{
    (void)state;
    ps_plan *plan = on_gpu("Oldcard", "Newcard");
    const uint32_t collective = task_named(plan, "ncclDevKernel_AllReduce", 0);
    assert_int_equal(plan->task.kind[collective], PS_TASK_COLLECTIVE);
    assert_int_equal(plan->task.dur_ns[collective], FIXED + 40000);
    assert_int_equal(plan->task.basis[collective], PS_BASIS_MEASURED);
    for (uint32_t task = 0; task < plan->task.head.count; task++) {
        if (plan->lane.kind[plan->task.lane[task]] == PS_LANE_HOST) {
            assert_int_equal(plan->task.dur_ns[task], task == 0 ? 1500 : 1000);
            assert_int_equal(plan->task.basis[task], PS_BASIS_MEASURED);
        }
    }
    ps_plan_destroy(plan);
}

static void the_result_says_how_much_was_rescaled(void **state)
{
    (void)state;
    ps_plan *plan = on_gpu("Oldcard", "Newcard");
    ps_result result = run_plan(plan);
    /* all of the kernels above, the fill and the copy */
    assert_int_equal(result.basis_ns[PS_BASIS_SCALED],
                     7 * FIXED + 20000 + 10000 + 8000 + 5000 + 20000 + 20000);
    assert_int_equal(result.basis_ns[PS_BASIS_MEASURED], 1500 + 8 * 1000 + FIXED + 40000);
    ps_result_fini(&result);
    ps_plan_destroy(plan);
}

static void the_same_gpu_changes_nothing(void **state)
{
    (void)state;
    ps_plan *same = on_gpu("Oldcard", "Oldcard");
    ps_plan *plan = lower(kernels_of("Oldcard"));
    for (uint32_t task = 0; task < plan->task.head.count; task++) {
        assert_int_equal(same->task.dur_ns[task], plan->task.dur_ns[task]);
    }
    ps_plan_destroy(same);
    ps_plan_destroy(plan);
}

static void an_unknown_gpu_is_refused_with_the_nearest_name(void **state)
{
    (void)state;
    ps_plan *plan = lower(kernels_of("Oldcard"));
    is_refused(plan, &(ps_whatif){.gpu = "Newcrad"}, PS_NOT_FOUND, "Newcard");
    ps_plan_destroy(plan);
    plan = lower(kernels_of("Oldcadr"));
    is_refused(plan, &(ps_whatif){.gpu = "Newcard"}, PS_NOT_FOUND, "Oldcard");
    ps_plan_destroy(plan);
}

static void a_recording_that_names_no_gpu_cannot_be_compared(void **state)
{
    (void)state;
    ps_plan *plan = lower(kernels_of(""));
    is_refused(plan, &(ps_whatif){.gpu = "Newcard"}, PS_NOT_FOUND, "does not name its GPU");
    ps_plan_destroy(plan);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_kernel_follows_the_rate_that_bounds_it),
        cmocka_unit_test(a_slower_gpu_stretches_by_the_same_rates),
        cmocka_unit_test(a_format_the_part_lacks_runs_on_its_fp32_units),
        cmocka_unit_test(collectives_and_host_work_keep_their_time),
        cmocka_unit_test(the_result_says_how_much_was_rescaled),
        cmocka_unit_test(the_same_gpu_changes_nothing),
        cmocka_unit_test(an_unknown_gpu_is_refused_with_the_nearest_name),
        cmocka_unit_test(a_recording_that_names_no_gpu_cannot_be_compared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
