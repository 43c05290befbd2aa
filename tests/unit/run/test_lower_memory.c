/* SPDX-License-Identifier: MIT
 *
 * Lowering of allocator events: which free ends which buffer, what lived
 * before the recording, and who allocated.
 */
#include "make_trace.h"

#include "lower/lower.h"
#include "trace/file.h"

#define A_ADDR 0x7f0000000000u
#define B_ADDR 0x7f0000200000u

static void memop_is(const ps_plan *plan, size_t row, ps_memop op, uint32_t buffer, uint32_t task,
                     ps_ns offset_ns)
{
    assert_in_range(row, 0, plan->memop.head.count - 1);
    assert_int_equal(plan->memop.op[row], op);
    assert_int_equal(plan->memop.buffer[row], buffer);
    assert_int_equal(plan->memop.task[row], task);
    assert_int_equal(plan->memop.offset_ns[row], offset_ns);
}

static ps_trace *two_calls(void)
{
    ps_trace *trace = trace_new();
    put_call(trace, MAIN_THREAD, (span){0, 1000}, "a", 0);
    put_call(trace, MAIN_THREAD, (span){5000, 6000}, "b", 0);
    return trace;
}

static void events_hang_on_the_call_they_happen_in_or_before(void **state)
{
    (void)state;
    ps_trace *trace = two_calls();
    (void)put_alloc(trace, 200, 512, A_ADDR);   /* inside the first call */
    (void)put_alloc(trace, 3000, 1024, B_ADDR); /* between: before the second */
    (void)put_free(trace, 5500, 512, A_ADDR);   /* inside the second */
    (void)put_free(trace, 8000, 1024, B_ADDR);  /* behind the last */
    ps_plan *plan = lower(trace);
    memop_is(plan, 0, PS_MEMOP_ALLOC, 0, 0, 200);
    memop_is(plan, 1, PS_MEMOP_ALLOC, 1, 1, -2000);
    memop_is(plan, 2, PS_MEMOP_FREE, 0, 1, 500);
    memop_is(plan, 3, PS_MEMOP_FREE, 1, task_named(plan, "last moment", 0), 0);
    assert_int_equal(plan->buffer.head.count, 2);
    assert_int_equal(plan->buffer.bytes[1], 1024);
    assert_int_equal(plan->buffer.addr[0], A_ADDR);
    ps_plan_destroy(plan);
}

static void an_address_used_again_is_another_buffer(void **state)
{
    (void)state;
    ps_trace *trace = two_calls();
    (void)put_alloc(trace, 100, 512, A_ADDR);
    (void)put_free(trace, 200, 512, A_ADDR);
    (void)put_alloc(trace, 300, 1024, A_ADDR);
    (void)put_free(trace, 400, 1024, A_ADDR);
    ps_plan *plan = lower(trace);
    memop_is(plan, 1, PS_MEMOP_FREE, 0, 0, 200);
    memop_is(plan, 2, PS_MEMOP_ALLOC, 1, 0, 300);
    memop_is(plan, 3, PS_MEMOP_FREE, 1, 0, 400);
    ps_plan_destroy(plan);
}

static void without_addresses_a_free_ends_the_youngest_of_its_size(void **state)
{
    (void)state;
    ps_trace *trace = two_calls();
    (void)put_alloc(trace, 100, 512, 0);
    (void)put_alloc(trace, 200, 1024, 0);
    (void)put_alloc(trace, 300, 512, 0);
    (void)put_free(trace, 400, 512, 0);
    (void)put_free(trace, 500, 512, 0);
    (void)put_free(trace, 600, 1024, 0);
    ps_plan *plan = lower(trace);
    memop_is(plan, 3, PS_MEMOP_FREE, 2, 0, 400);
    memop_is(plan, 4, PS_MEMOP_FREE, 0, 0, 500);
    memop_is(plan, 5, PS_MEMOP_FREE, 1, 0, 600);
    ps_result result = run_plan(plan);
    assert_int_equal(result.device[0].peak_allocated_bytes, 2048);
    assert_int_equal(result.device[0].unmatched_free_count, 0);
    ps_result_fini(&result);
    ps_plan_destroy(plan);
}

static void a_free_of_something_older_brings_it_to_life_at_the_origin(void **state)
{
    (void)state;
    ps_trace *trace = two_calls();
    (void)put_alloc(trace, 100, 512, A_ADDR);
    (void)put_free(trace, 200, 4096, B_ADDR);
    ps_plan *plan = lower(trace);
    assert_int_equal(plan->buffer.role[0], PS_ROLE_UNKNOWN);
    assert_int_equal(plan->buffer.role[1], PS_ROLE_BEFORE);
    memop_is(plan, 1, PS_MEMOP_FREE, 1, 0, 200);
    ps_result result = run_plan(plan);
    assert_int_equal(result.device[0].chart_allocated[0], 4096);
    assert_int_equal(result.device[0].peak_allocated_bytes, 4096 + 512);
    assert_int_equal(result.device[0].unmatched_free_count, 0);
    ps_result_fini(&result);
    ps_plan_destroy(plan);
}

static void recorded_totals_tell_of_buffers_nobody_names(void **state)
{
    (void)state;
    ps_trace *trace = two_calls();
    put_fact(trace, PS_META_MEMORY_SIZES, "block");
    size_t row = put_alloc(trace, 100, 512, A_ADDR);
    trace->memory.total_allocated[row] = 512 + 10240 + 1;
    row = put_free(trace, 200, 4096, B_ADDR); /* a part of the 10240 */
    trace->memory.total_allocated[row] = 512 + 6144 + 1;
    ps_plan *plan = lower(trace);
    assert_int_equal(plan->device.base_live_bytes[0], 6144);
    assert_int_equal(plan->memop.expect[1], 512 + 6144 + 1);
    ps_result result = run_plan(plan);
    assert_int_equal(result.device[0].allocated_check.compared, 2);
    assert_int_equal(result.device[0].allocated_check.equal, 2);
    assert_int_equal(result.device[0].peak_allocated_bytes, 512 + 10240);
    ps_result_fini(&result);
    ps_plan_destroy(plan);
}

static void a_recording_that_begins_with_a_free_counts_it_in(void **state)
{
    (void)state;
    ps_trace *trace = two_calls();
    put_fact(trace, PS_META_MEMORY_SIZES, "block");
    const size_t row = put_free(trace, 200, 4096, B_ADDR);
    trace->memory.total_allocated[row] = 6144 + 1;
    ps_plan *plan = lower(trace);
    assert_int_equal(plan->device.base_live_bytes[0], 6144);
    ps_result result = run_plan(plan);
    assert_int_equal(result.device[0].allocated_check.equal, 1);
    assert_int_equal(result.device[0].peak_allocated_bytes, 10240);
    ps_result_fini(&result);
    ps_plan_destroy(plan);
}

static void a_free_that_waits_is_requested_and_completed(void **state)
{
    (void)state;
    ps_trace *trace = two_calls();
    (void)put_alloc(trace, 100, 512, A_ADDR);
    (void)put_memory(trace, 200, PS_ACTION_FREE_REQUESTED, 512, A_ADDR);
    (void)put_memory(trace, 300, PS_ACTION_FREE_COMPLETED, 512, A_ADDR);
    ps_plan *plan = lower(trace);
    memop_is(plan, 1, PS_MEMOP_FREE_REQUEST, 0, 0, 200);
    memop_is(plan, 2, PS_MEMOP_FREE_COMPLETE, 0, 0, 300);
    ps_plan_destroy(plan);
}

static void a_refused_request_is_kept_as_one(void **state)
{
    (void)state;
    ps_trace *trace = two_calls();
    (void)put_alloc(trace, 100, 512, A_ADDR);
    (void)put_memory(trace, 200, PS_ACTION_OOM, 64 * MIB, 0);
    ps_plan *plan = lower(trace);
    memop_is(plan, 1, PS_MEMOP_OOM, 1, 0, 200);
    assert_int_equal(plan->buffer.bytes[1], 64 * MIB);
    ps_plan_destroy(plan);
}

static void host_memory_is_not_the_devices(void **state)
{
    (void)state;
    ps_trace *trace = two_calls();
    (void)put_alloc(trace, 100, 512, A_ADDR);
    const size_t row = put_alloc(trace, 200, 1 << 30, B_ADDR);
    trace->memory.device_kind[row] = PS_DEVICE_HOST;
    ps_plan *plan = lower(trace);
    assert_int_equal(plan->buffer.head.count, 1);
    ps_plan_destroy(plan);
}

static void events_written_out_of_time_order_are_sorted(void **state)
{
    (void)state;
    ps_trace *trace = two_calls();
    (void)put_free(trace, 400, 512, A_ADDR);
    (void)put_alloc(trace, 100, 512, A_ADDR);
    ps_plan *plan = lower(trace);
    memop_is(plan, 0, PS_MEMOP_ALLOC, 0, 0, 100);
    memop_is(plan, 1, PS_MEMOP_FREE, 0, 0, 400);
    ps_plan_destroy(plan);
}

static void an_event_follows_its_call_in_a_what_if(void **state)
{
    (void)state;
    ps_trace *trace = two_calls();
    (void)put_alloc(trace, 0, 512, A_ADDR);
    (void)put_alloc(trace, 5500, 1024, B_ADDR);
    ps_plan *plan = lower(trace);
    ps_result result = run_plan(plan);
    assert_int_equal(result.device[0].peak_time_ns, 5500);
    ps_result_fini(&result);
    plan->task.dur_ns[0] += 10000;
    result = run_plan(plan);
    assert_int_equal(result.device[0].peak_time_ns, 15500);
    ps_result_fini(&result);
    ps_plan_destroy(plan);
}

/* ---- labels ---- */

/* The label of one allocation at 5500 of the main thread, after `put` has said its part. */
static void label_is(void (*put)(ps_trace *trace), const char *expected)
{
    ps_trace *trace = two_calls();
    (void)put_alloc(trace, 5500, 512, A_ADDR);
    put(trace);
    ps_plan *plan = lower(trace);
    assert_string_equal(ps_strings_text(plan->strings, plan->buffer.label[0]), expected);
    ps_plan_destroy(plan);
}

static void put_nested_operators(ps_trace *trace)
{
    put_step(trace, (span){0, 9000}, 1);
    put_range(trace, MAIN_THREAD, (span){4000, 7000}, PS_RANGE_ANNOTATION, "forward");
    put_range(trace, MAIN_THREAD, (span){5000, 6000}, PS_RANGE_OPERATOR, "aten::linear");
    put_range(trace, MAIN_THREAD, (span){5400, 5600}, PS_RANGE_OPERATOR, "aten::empty");
    put_range(trace, MAIN_THREAD, (span){5450, 5550}, PS_RANGE_PYTHON, "nn.Module: Linear_0");
}

static void put_annotation_only(ps_trace *trace)
{
    put_step(trace, (span){0, 9000}, 1);
    put_range(trace, MAIN_THREAD, (span){1000, 8000}, PS_RANGE_ANNOTATION, "epoch");
    put_range(trace, MAIN_THREAD, (span){5000, 6000}, PS_RANGE_ANNOTATION, "Optimizer.step");
}

static void put_operators_elsewhere(ps_trace *trace)
{
    put_range(trace, MAIN_THREAD, (span){5000, 5500}, PS_RANGE_OPERATOR, "aten::over");
    put_range(trace, MAIN_THREAD, (span){5600, 5700}, PS_RANGE_OPERATOR, "aten::to_come");
    put_range(trace, BACKWARD_THREAD, (span){5000, 6000}, PS_RANGE_OPERATOR, "aten::theirs");
    put_step(trace, (span){0, 9000}, 1);
}

static void put_stack(ps_trace *trace)
{
    ps_error err = {0};
    put_nested_operators(trace);
    assert_ok(&err,
              ps_strings_put_z(trace->strings, "train.py:12 main", &trace->memory.stack[0], &err));
}

static void a_label_names_the_outermost_operator(void **state)
{
    (void)state;
    label_is(put_nested_operators, "aten::linear");
}

static void outside_operators_the_innermost_annotation_counts(void **state)
{
    (void)state;
    label_is(put_annotation_only, "Optimizer.step");
}

static void what_is_over_or_on_another_thread_names_nothing(void **state)
{
    (void)state;
    label_is(put_operators_elsewhere, "");
}

static void a_recorded_stack_counts_more_than_operators(void **state)
{
    (void)state;
    label_is(put_stack, "train.py:12 main");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_hang_on_the_call_they_happen_in_or_before),
        cmocka_unit_test(an_address_used_again_is_another_buffer),
        cmocka_unit_test(without_addresses_a_free_ends_the_youngest_of_its_size),
        cmocka_unit_test(a_free_of_something_older_brings_it_to_life_at_the_origin),
        cmocka_unit_test(recorded_totals_tell_of_buffers_nobody_names),
        cmocka_unit_test(a_recording_that_begins_with_a_free_counts_it_in),
        cmocka_unit_test(a_free_that_waits_is_requested_and_completed),
        cmocka_unit_test(a_refused_request_is_kept_as_one),
        cmocka_unit_test(host_memory_is_not_the_devices),
        cmocka_unit_test(events_written_out_of_time_order_are_sorted),
        cmocka_unit_test(an_event_follows_its_call_in_a_what_if),
        cmocka_unit_test(a_label_names_the_outermost_operator),
        cmocka_unit_test(outside_operators_the_innermost_annotation_counts),
        cmocka_unit_test(what_is_over_or_on_another_thread_names_nothing),
        cmocka_unit_test(a_recorded_stack_counts_more_than_operators),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
