/* SPDX-License-Identifier: MIT
 *
 * Recordings that contradict themselves: any row may say anything. Whatever
 * comes, lowering gives a valid plan or says why not, and a run of the plan
 * gives a whole result or says why not.
 */
#include "hardware.h"
#include "make_trace.h"

#include "lower/lower.h"
#include "run/run.h"
#include "trace/file.h"

#define MOST_NS 60000u
#define CORRELATIONS 24u

static const char *const calls[] = {"cudaLaunchKernel",
                                    "cudaMemcpyAsync",
                                    "cudaMemcpy",
                                    "cudaEventRecord",
                                    "cudaStreamWaitEvent",
                                    "cudaStreamSynchronize",
                                    "cudaDeviceSynchronize",
                                    ""};

static span any_span(uint64_t *rng)
{
    const ps_ns start = (ps_ns)(next_random(rng) % MOST_NS);
    return (span){start, start + (ps_ns)(next_random(rng) % (MOST_NS / 4))};
}

static place any_place(uint64_t *rng)
{
    return (place){(uint32_t)(next_random(rng) % 2), next_random(rng) % 3};
}

static void put_any_device_work(ps_trace *trace, uint64_t *rng)
{
    const uint64_t correlation = next_random(rng) % CORRELATIONS;
    const cargo what = {(ps_copy_kind)(next_random(rng) % 6),
                        (ps_memory_kind)(next_random(rng) % 6), next_random(rng) % (4 * MIB)};
    switch (next_random(rng) % 4) {
    case 0:
        put_fill(trace, any_place(rng), any_span(rng), correlation);
        break;
    case 1:
        put_copy(trace, any_place(rng), any_span(rng), what, correlation);
        break;
    case 2:
        put_collective(trace, any_place(rng), any_span(rng), correlation);
        break;
    default:
        put_kernel(trace, any_place(rng), any_span(rng), "k", correlation);
    }
}

static void put_any_memory(ps_trace *trace, uint64_t *rng)
{
    const size_t row = put_memory(
        trace, (ps_ns)(next_random(rng) % MOST_NS), (ps_memory_action)(next_random(rng) % 10),
        512 * (next_random(rng) % 4096), next_random(rng) % 3 * (next_random(rng) % 16) * 4 * MIB);
    trace->memory.tid[row] = next_random(rng) % 3;
    trace->memory.device[row] = (uint32_t)(next_random(rng) % 2);
    trace->memory.total_allocated[row] = next_random(rng) % 2 * next_random(rng) % (64 * MIB);
}

static void put_any_row(ps_trace *trace, uint64_t *rng)
{
    switch (next_random(rng) % 8) {
    case 0:
        put_range(trace, next_random(rng) % 3, any_span(rng),
                  (ps_range_category)(next_random(rng) % 7),
                  next_random(rng) % 2 == 0 ? "ProfilerStep#1" : "aten::mm");
        break;
    case 1:
        put_stream_wait(trace, any_place(rng), next_random(rng) % CORRELATIONS,
                        next_random(rng) % 3, next_random(rng) % CORRELATIONS);
        break;
    case 2:
        put_any_memory(trace, rng);
        break;
    case 3:
    case 4:
        put_any_device_work(trace, rng);
        break;
    default:
        put_call(trace, next_random(rng) % 3, any_span(rng),
                 calls[next_random(rng) % (sizeof calls / sizeof calls[0])],
                 next_random(rng) % CORRELATIONS);
    }
}

static ps_trace *nonsense(uint64_t seed)
{
    ps_error err = {0};
    uint64_t rng = seed * 2654435761u + 7;
    ps_trace *trace = trace_new();
    put_device(trace, 0, next_random(&rng) % 2 == 0 ? "Oldcard" : "", 0);
    if (next_random(&rng) % 2 == 0) {
        put_fact(trace, PS_META_MEMORY_SIZES, "block");
    }
    for (size_t rows = next_random(&rng) % 120; rows > 0; rows--) {
        put_any_row(trace, &rng);
    }
    assert_ok(&err, ps_trace_sort(trace, &err));
    return trace;
}

/* Returns whether there was a whole result. */
static bool run_it(const ps_plan *plan)
{
    ps_error err = {0};
    ps_result result;
    const ps_code code = ps_run_plan(plan, &result, &err);
    if (code != PS_OK) {
        assert_int_equal(code, PS_DEADLOCK); /* what the recording says cannot have happened */
        assert_true(err.message[0] != '\0');
        return false;
    }
    for (size_t i = 0; i < result.step_count; i++) {
        assert_true(result.step[i].time_ns >= 0);
    }
    for (size_t i = 0; i < result.device_count; i++) {
        const ps_result_time *time = &result.device[i].time;
        assert_int_equal(time->compute_ns + time->collective_ns + time->copy_ns + time->host_ns,
                         result.makespan_ns);
    }
    ps_result_fini(&result);
    return true;
}

static void nothing_is_too_odd_to_be_lowered_and_run(void **state)
{
    (void)state;
    unsigned lowered = 0, whole = 0;
    for (uint64_t seed = 1; seed <= 3000; seed++) {
        ps_error err = {0};
        ps_plan *plan = NULL;
        ps_trace *trace = nonsense(seed);
        const ps_code code = ps_lower_trace(trace, &plan, &err);
        ps_trace_destroy(trace);
        if (code != PS_OK) {
            print_message("seed %llu\n", (unsigned long long)seed);
            assert_int_equal(code, PS_BAD_INPUT);
            assert_true(err.message[0] != '\0');
            continue;
        }
        if (ps_plan_check(plan, &err) != PS_OK) {
            fail_msg("seed %llu: %s", (unsigned long long)seed, err.message);
        }
        lowered++;
        whole += run_it(plan);
        ps_plan_destroy(plan);
    }
    print_message("%u of 3000 lowered, %u with a whole result\n", lowered, whole);
    assert_true(lowered > 2500);
    assert_true(whole > 1000);
}

static void nothing_is_too_odd_for_a_what_if(void **state)
{
    (void)state;
    static const char *const caches[] = {NULL, "empty", "steady"};
    unsigned changed = 0;
    for (uint64_t seed = 5001; seed <= 6000; seed++) {
        ps_error err = {0};
        ps_plan *plan = NULL;
        ps_trace *trace = nonsense(seed);
        if (ps_lower_trace(trace, &plan, &err) == PS_OK) {
            const ps_whatif change = {.pcie_bytes_per_s = 1 + seed * 1000,
                                      .memory_bytes = 8 * MIB * (seed % 3 + 65),
                                      .cache = caches[seed % 3]};
            if (try_change(plan, &change, &err) == PS_OK) {
                assert_ok(&err, ps_plan_check(plan, &err));
                changed += run_it(plan);
            }
            ps_plan_destroy(plan);
        }
        ps_trace_destroy(trace);
    }
    print_message("%u of 1000 with a whole result\n", changed);
    assert_true(changed > 300);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_too_odd_to_be_lowered_and_run),
        cmocka_unit_test(nothing_is_too_odd_for_a_what_if),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
